#!/bin/sh
# What a good agent leaves behind; run by the oracle agent in the project's folder.
set -eu

bash .specify/scripts/bash/create-new-feature.sh --json --short-name title-slugs \
    "A command-line tool that turns titles into URL slugs: one title from the arguments, many from standard input, with an optional separator and maximum length."
mkdir -p specs/001-title-slugs/checklists
cat > specs/001-title-slugs/spec.md <<'END_OF_FILE'
# Feature Specification: Title Slugs

**Feature Branch**: `001-title-slugs`

**Created**: 2026-01-15

**Status**: Draft

**Input**: User description: "A command-line tool that turns titles into URL slugs: one title from the arguments, many from standard input, with an optional separator and maximum length."

## User Scenarios & Testing *(mandatory)*

### User Story 1 - Slug of one title (Priority: P1)

An editor has the title of an article and needs the part of the address that stands for it. They give the title to the tool and get one line back, which can be pasted into an address as it is.

**Why this priority**: Everything else builds on a correct slug of one title, and this alone already spares the editor the error-prone work by hand.

**Independent Test**: Run the tool with one title and compare the single line that it prints with the expected slug.

**Acceptance Scenarios**:

1. **Given** the title "Hello, World!", **When** the editor runs the tool with it, **Then** it prints `hello-world` and reports success.
2. **Given** the title "Crème Brûlée", **When** the editor runs the tool with it, **Then** it prints `creme-brulee`, without accents.
3. **Given** several words as separate arguments, **When** the editor runs the tool with them, **Then** they count as one title.
4. **Given** the title "!!!", **When** the editor runs the tool with it, **Then** it prints no slug, explains why on the error channel and reports failure.

---

### User Story 2 - Slugs of many titles (Priority: P2)

A publisher moves an archive and has a list of titles, one a line. They send the list to the tool and get the slugs in the same order, one a line, so that both lists can be put side by side.

**Why this priority**: It makes the tool useful for whole archives, and needs nothing but the slug of one title.

**Independent Test**: Send three titles to the tool and compare the three lines that it prints, in order.

**Acceptance Scenarios**:

1. **Given** a list of three titles on standard input and no arguments, **When** the publisher runs the tool, **Then** it prints three slugs in the order of the titles.
2. **Given** a list with blank lines, **When** the publisher runs the tool, **Then** the blank lines are left out of the result.
3. **Given** a list in which one title yields no slug, **When** the publisher runs the tool, **Then** the slugs of the others are printed, the line number of the bad one is named on the error channel, and failure is reported.

---

### User Story 3 - Slugs that fit the house style (Priority: P3)

A site has its own rules: another separator, or an upper limit for the length of an address. Its maintainer passes both to the tool and gets slugs that keep to them.

**Why this priority**: The defaults suit most sites; only some need their own rules.

**Independent Test**: Run the tool on a long title with a separator and a limit, and check that the result has no other separator, no partial word and no more characters than the limit.

**Acceptance Scenarios**:

1. **Given** the separator `_`, **When** the maintainer runs the tool with "Hello, World!", **Then** it prints `hello_world`.
2. **Given** a limit of 12 characters, **When** the maintainer runs the tool with "The quick brown fox", **Then** it prints `the-quick`, because the next word would exceed the limit.
3. **Given** a limit that is shorter than the first word, **When** the maintainer runs the tool, **Then** the word is cut at the limit, so that there is a slug at all.
4. **Given** a limit of zero, **When** the maintainer runs the tool, **Then** it refuses the limit with a message and reports wrong use.

### Edge Cases

- A title of punctuation only has no slug; it is an error that names the title, never an empty line.
- Several spaces, tabs and marks in a row make one separator; none stands at the beginning or the end.
- Letters of other scripts that have no plain counterpart are left out, and separate words as punctuation does.
- An empty list on standard input yields no output and is a success.
- Apostrophes inside words vanish and do not separate: "don't" becomes `dont`.

## Requirements *(mandatory)*

### Functional Requirements

- **FR-001**: The tool MUST turn a title into a slug that consists of lower-case letters a to z, digits and the separator only.
- **FR-002**: The tool MUST replace accented letters by their plain counterparts.
- **FR-003**: The tool MUST put exactly one separator between words, and none at either end.
- **FR-004**: The tool MUST take all of its arguments together as one title.
- **FR-005**: The tool MUST read one title a line from standard input when it is given no title.
- **FR-006**: The tool MUST keep the order of the titles and leave blank lines out.
- **FR-007**: Users MUST be able to choose the separator, one of `-`, `_` and `.`.
- **FR-008**: Users MUST be able to limit the length of a slug, in characters, at least 1.
- **FR-009**: The tool MUST cut a slug that is too long at the end of a word, and within the first word only when even that is too long.
- **FR-010**: The tool MUST report success, a title without a slug, and wrong use as three different exit statuses: 0, 1 and 2.

### Key Entities

- **Title**: one line of text as a person wrote it, in any script, with any punctuation.
- **Slug**: what is made of a title; lower-case words, joined by a separator.
- **House style**: the separator and the maximum length that hold for one run.

## Success Criteria *(mandatory)*

### Measurable Outcomes

- **SC-001**: An editor gets the slug of a title with one command and no further editing in every acceptance scenario above.
- **SC-002**: A list of 10,000 titles is done in less than 10 seconds.
- **SC-003**: Running the tool on its own output changes nothing, for every title.
- **SC-004**: No title makes the tool print a character that has to be escaped in an address.

## Assumptions

- Titles are text in UTF-8, one a line; binary input is out of scope.
- Uniqueness of slugs is up to the site that stores them; the tool keeps no state.
- The default separator is `-`, and there is no limit of length by default.
- People run the tool on their own machine, without a network.
END_OF_FILE
cat > specs/001-title-slugs/checklists/requirements.md <<'END_OF_FILE'
# Specification Quality Checklist: Title Slugs

**Purpose**: Validate specification completeness and quality before proceeding to planning
**Created**: 2026-01-15
**Feature**: [spec.md](../spec.md)

## Content Quality

- [x] No implementation details (languages, frameworks, APIs)
- [x] Focused on user value and business needs
- [x] Written for non-technical stakeholders
- [x] All mandatory sections completed

## Requirement Completeness

- [x] No open questions remain
- [x] Requirements are testable and unambiguous
- [x] Success criteria are measurable
- [x] Success criteria are technology-agnostic
- [x] All acceptance scenarios are defined
- [x] Edge cases are identified
- [x] Scope is clearly bounded
- [x] Dependencies and assumptions identified

## Feature Readiness

- [x] All functional requirements have clear acceptance criteria
- [x] User scenarios cover primary flows
- [x] Feature meets measurable outcomes defined in Success Criteria
- [x] No implementation details leak into specification

## Notes

- Cutting within the first word (FR-009) is a choice of ours: a slug that is cut is more useful than none.
END_OF_FILE
