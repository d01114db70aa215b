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

bash .specify/scripts/bash/setup-plan.sh --json
mkdir -p specs/001-title-slugs/contracts
cat > specs/001-title-slugs/research.md <<'END_OF_FILE'
# Research: Title Slugs

## Taking accents off

- **Decision**: Normalise to NFKD with `unicodedata` and drop the combining marks; whatever else is not ASCII separates words, as punctuation does.
- **Rationale**: It is in the standard library, has no table of our own to maintain, and covers Latin scripts.
- **Alternatives considered**: A transliteration library covers more scripts, but would be the only dependency; a table by hand would be incomplete.

## Letters that have no decomposition

- **Decision**: Replace `ß` by `ss`, `æ` by `ae`, `œ` by `oe`, `ø` by `o`, `đ` by `d` and `ł` by `l` before normalising.
- **Rationale**: They are common in European titles and NFKD leaves them whole, so they would vanish.
- **Alternatives considered**: Leaving them out makes `strae` of `Straße`, which no reader expects.

## Where to cut

- **Decision**: Add words while the slug stays within the limit; cut the first word only when it alone is too long.
- **Rationale**: It follows FR-009 directly and needs no search backwards.
- **Alternatives considered**: Cutting the text and dropping the last part loses a whole word that would just have fitted.

## Reading the list

- **Decision**: Iterate over standard input and print each slug at once.
- **Rationale**: Memory does not grow with the list, and a pipe gets its results early.
- **Alternatives considered**: Reading everything first is simpler to test, but holds the whole archive in memory.
END_OF_FILE
cat > specs/001-title-slugs/data-model.md <<'END_OF_FILE'
# Data Model: Title Slugs

Nothing is stored. These are the values that pass through the tool.

## Title

| Field | Type | Rule |
|-------|------|------|
| text | text | one line, any characters; blank ones are left out of a list |

## House style

| Field | Type | Rule |
|-------|------|------|
| separator | text | one of `-`, `_`, `.`; default `-` |
| max_length | whole number or none | at least 1; default none |

## Slug

| Field | Type | Rule |
|-------|------|------|
| text | text | matches `[a-z0-9]+([-_.][a-z0-9]+)*`, with one separator throughout |

A title without letters and digits has no slug. In code that is a `ValueError`, on the command line exit status 1.
END_OF_FILE
cat > specs/001-title-slugs/contracts/cli.md <<'END_OF_FILE'
# Contract: command line

```text
python3 -m slugify [--separator {-,_,.}] [--max-length N] [TITLE ...]
```

| Input | Standard output | Standard error | Exit status |
|-------|-----------------|----------------|-------------|
| a title | its slug and a newline | nothing | 0 |
| a title without a slug | nothing | `slugify: no slug for: TITLE` | 1 |
| no title, a list on standard input | one slug a line, in order | nothing | 0 |
| a list with a title that has no slug | the slugs of the others | `slugify: line N: no slug for: TITLE` | 1 |
| an empty list | nothing | nothing | 0 |
| an unknown option, a separator or a limit that is not allowed | nothing | usage and a message | 2 |

A title that begins with `-` comes after `--`, as with other tools.
END_OF_FILE
cat > specs/001-title-slugs/quickstart.md <<'END_OF_FILE'
# Quickstart: Title Slugs

**Prerequisite**: Python 3.11 or later. Run everything at the root of the repository.

1. The tests pass:

   ```sh
   python3 -m unittest discover -s tests -t .
   ```

2. One title (User Story 1) prints `creme-brulee`:

   ```sh
   python3 -m slugify "Crème Brûlée"
   ```

3. A list (User Story 2) prints `hello-world` and `dont-panic`:

   ```sh
   printf 'Hello, World!\n\nDon'\''t panic\n' | python3 -m slugify
   ```

4. House style (User Story 3) prints `the_quick`:

   ```sh
   python3 -m slugify --separator=_ --max-length=12 "The quick brown fox"
   ```

5. A title without a slug ends with exit status 1:

   ```sh
   python3 -m slugify "!!!"
   ```

What each command prints is laid down in [contracts/cli.md](contracts/cli.md).
END_OF_FILE
cat > specs/001-title-slugs/plan.md <<'END_OF_FILE'
# Implementation Plan: Title Slugs

**Branch**: `001-title-slugs` | **Date**: 2026-01-15 | **Spec**: [spec.md](spec.md)

**Input**: Feature specification from `specs/001-title-slugs/spec.md`

## Summary

A small Python package, `slugify`, with one pure function that makes a slug of a title, and a thin command line around it. `python3 -m slugify TITLE...` prints one slug; without a title it reads one title a line from standard input. The standard library is enough: `unicodedata` takes accents apart, `re` finds the words, `argparse` reads the options.

## Technical Context

**Language/Version**: Python 3.11 or later

**Primary Dependencies**: none; standard library only

**Storage**: N/A, the tool keeps no state

**Testing**: `unittest`, run as `python3 -m unittest discover -s tests -t .`

**Target Platform**: any system with Python; developed on Linux

**Project Type**: command-line tool in a single package

**Performance Goals**: 10,000 titles in less than 10 seconds (SC-002)

**Constraints**: no network, no files written, memory independent of the length of the list

**Scale/Scope**: one package of about 100 lines, two test modules

## Constitution Check

*GATE: Must pass before Phase 0 research. Re-check after Phase 1 design.*

The project has not ratified a constitution yet: `.specify/memory/constitution.md` is still the template and sets no gate. The plan was checked against the principles that its template suggests:

| Principle | How the plan meets it |
|-----------|------------------------|
| Library first | `slugify.core` is pure and has no knowledge of the command line |
| Text in, text out | arguments and standard input in, standard output out, messages on standard error |
| Test first | every story begins with its tests, which fail before the code is there |
| Simplicity | one function, one command, no dependency, no configuration file |

Result before research: pass. Result after design: pass, nothing to justify.

## Project Structure

### Documentation (this feature)

```text
specs/001-title-slugs/
├── spec.md
├── plan.md
├── research.md
├── data-model.md
├── quickstart.md
├── contracts/
│   └── cli.md
├── checklists/
│   └── requirements.md
└── tasks.md
```

### Source Code (repository root)

```text
slugify/
├── __init__.py      # the public function
├── __main__.py      # python3 -m slugify
├── cli.py           # options, input, output, exit status
└── core.py          # title -> slug, pure

tests/
├── __init__.py
├── test_core.py
└── test_cli.py
```

**Structure Decision**: A single package at the root of the repository, so that `python3 -m slugify` works in a checkout without an installation. Tests are a package of their own beside it.

## Complexity Tracking

No principle is violated, so there is nothing to justify.
END_OF_FILE

bash .specify/scripts/bash/check-prerequisites.sh --json --require-spec
cat > specs/001-title-slugs/tasks.md <<'END_OF_FILE'
# Tasks: Title Slugs

**Input**: Design documents from `specs/001-title-slugs/`

**Prerequisites**: plan.md, spec.md, research.md, data-model.md, contracts/cli.md, quickstart.md

**Tests**: The plan asks for tests first, so every story begins with its tests.

**Organization**: Tasks are grouped by user story, so that each story can be implemented and tested on its own.

## Format: `[ID] [P?] [Story] Description`

- **[P]**: Can run in parallel (different files, no dependencies)
- **[Story]**: The user story that the task belongs to, for example US1

## Phase 1: Setup

**Purpose**: The package and its tests exist and can be found

- [ ] T001 Create the package marker slugify/__init__.py with the docstring of the package
- [ ] T002 [P] Create the test package marker tests/__init__.py
- [ ] T003 [P] Ignore bytecode caches in .gitignore

---

## Phase 2: Foundational

**Purpose**: What every story needs

- [ ] T004 Define the allowed separators and the default style as constants in slugify/core.py

**Checkpoint**: The package can be imported

---

## Phase 3: User Story 1 - Slug of one title (Priority: P1)

**Goal**: One title from the arguments becomes one slug

**Independent Test**: `python3 -m slugify "Hello, World!"` prints `hello-world`

### Tests for User Story 1

- [ ] T005 [P] [US1] Write tests for words, accents, apostrophes and titles without a slug in tests/test_core.py
- [ ] T006 [P] [US1] Write tests for one title and exit status 1 in tests/test_cli.py

### Implementation for User Story 1

- [ ] T007 [US1] Implement slugify(title) in slugify/core.py and export it from slugify/__init__.py
- [ ] T008 [US1] Implement main(arguments) for one title in slugify/cli.py, and slugify/__main__.py

**Checkpoint**: One title works from the command line

---

## Phase 4: User Story 2 - Slugs of many titles (Priority: P2)

**Goal**: A list on standard input becomes a list of slugs

**Independent Test**: Three titles on standard input give three slugs in order

### Tests for User Story 2

- [ ] T009 [US2] Write tests for order, blank lines, a bad line and an empty list in tests/test_cli.py

### Implementation for User Story 2

- [ ] T010 [US2] Read titles from standard input line by line in slugify/cli.py

**Checkpoint**: Stories 1 and 2 work, each on its own

---

## Phase 5: User Story 3 - Slugs that fit the house style (Priority: P3)

**Goal**: Separator and maximum length can be chosen

**Independent Test**: `python3 -m slugify --separator=_ --max-length=12 "The quick brown fox"` prints `the_quick`

### Tests for User Story 3

- [ ] T011 [P] [US3] Write tests for the separator and for cutting at words in tests/test_core.py
- [ ] T012 [P] [US3] Write tests for both options and exit status 2 in tests/test_cli.py

### Implementation for User Story 3

- [ ] T013 [US3] Add separator (one of `-`, `_`, `.`) and max_length (at least 1) to slugify(title) in slugify/core.py
- [ ] T014 [US3] Add --separator and --max-length to the parser in slugify/cli.py

**Checkpoint**: All stories work

---

## Phase 6: Polish

**Purpose**: What concerns all stories

- [ ] T015 [P] Describe installation, use and exit statuses in README.md
- [ ] T016 Run every command of specs/001-title-slugs/quickstart.md

---

## Dependencies & Execution Order

- Phase 1 comes first, then Phase 2; every story depends on both.
- User Story 2 and User Story 3 use the function of User Story 1, and do not depend on each other.
- Within a story its tests are written first and fail; Phase 6 comes last.

## Parallel Example: User Story 1

```text
T005 Write tests in tests/test_core.py
T006 Write tests in tests/test_cli.py
```

## Implementation Strategy

The first usable version is Phases 1 to 3. Stories 2 and 3 are added one after the other, each with its tests, and each leaves a working tool.
END_OF_FILE

mkdir -p slugify tests
: > tests/__init__.py
cat > .gitignore <<'END_OF_FILE'
__pycache__/
*.pyc
END_OF_FILE
cat > slugify/__init__.py <<'END_OF_FILE'
"""Turns titles into URL slugs."""

from slugify.core import slugify

__all__ = ["slugify"]
END_OF_FILE
cat > slugify/core.py <<'END_OF_FILE'
"""Title -> slug. Pure: it reads nothing and writes nothing."""

import re
import unicodedata

SEPARATORS = ("-", "_", ".")
"""The separators that a house style may choose."""
DEFAULT_SEPARATOR = "-"

_WHOLE_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l"})
_APOSTROPHES = re.compile("['\u2019\u02bc]")


def _words(title):
    """The words of a title, in lower case, as plain letters and digits."""
    text = _APOSTROPHES.sub("", title.lower().translate(_WHOLE_LETTERS))
    plain = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    return re.findall("[a-z0-9]+", "".join(plain).lower())


def slugify(title, separator=DEFAULT_SEPARATOR, max_length=None):
    """Return the slug of a title, of at most max_length characters.

    Raises ValueError for a title without letters and digits, and for a style that is not allowed.
    """
    if separator not in SEPARATORS:
        raise ValueError(f"the separator must be one of {' '.join(SEPARATORS)}")
    if max_length is not None and max_length < 1:
        raise ValueError("the maximum length must be at least 1")
    words = _words(title)
    if not words:
        raise ValueError(f"no slug for: {title}")
    slug = words[0][:max_length]
    for word in words[1:]:
        longer = f"{slug}{separator}{word}"
        if max_length is not None and len(longer) > max_length:
            break
        slug = longer
    return slug
END_OF_FILE
cat > slugify/cli.py <<'END_OF_FILE'
"""The command line around the slug function."""

import argparse
import sys

from slugify.core import DEFAULT_SEPARATOR, SEPARATORS, slugify


def _limit(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _parser():
    parser = argparse.ArgumentParser(prog="slugify", description="Turn titles into URL slugs.")
    parser.add_argument("title", nargs="*", help="the words of one title; without any, one title a line is read")
    parser.add_argument("--separator", choices=SEPARATORS, default=DEFAULT_SEPARATOR, help="between words")
    parser.add_argument("--max-length", type=_limit, metavar="N", help="most characters of a slug")
    return parser


def _lines():
    """The titles on standard input, each with what a message calls it; blank lines are left out."""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            yield f"line {number}: ", line.strip()


def main(arguments=None):
    """Print one slug for each title; return 0, or 1 when a title has none."""
    options = _parser().parse_args(arguments)
    titles = [("", " ".join(options.title))] if options.title else _lines()
    status = 0
    for place, title in titles:
        try:
            print(slugify(title, options.separator, options.max_length))
        except ValueError as error:
            print(f"slugify: {place}{error}", file=sys.stderr)
            status = 1
    return status
END_OF_FILE
cat > slugify/__main__.py <<'END_OF_FILE'
"""Entry point of python3 -m slugify."""

import sys

from slugify.cli import main

sys.exit(main())
END_OF_FILE
cat > tests/test_core.py <<'END_OF_FILE'
import unittest

from slugify import slugify


class PlainSlugs(unittest.TestCase):
    """User Story 1: the slug of one title."""

    def test_words_are_joined_in_lower_case(self):
        self.assertEqual(slugify("Hello, World!"), "hello-world")

    def test_accents_are_taken_off(self):
        self.assertEqual(slugify("Crème Brûlée"), "creme-brulee")

    def test_letters_without_decomposition_are_spelt_out(self):
        self.assertEqual(slugify("Straße nach Łódź"), "strasse-nach-lodz")

    def test_apostrophes_do_not_separate(self):
        self.assertEqual(slugify("Don't panic"), "dont-panic")

    def test_marks_in_a_row_are_one_separator_and_none_at_the_ends(self):
        self.assertEqual(slugify("  --a \u2013 b?! "), "a-b")

    def test_a_slug_stays_as_it_is(self):
        self.assertEqual(slugify(slugify("Été 2026: l'année")), "ete-2026-lannee")

    def test_a_title_without_letters_and_digits_has_no_slug(self):
        with self.assertRaises(ValueError):
            slugify("!!!")


class HouseStyle(unittest.TestCase):
    """User Story 3: separator and maximum length."""

    def test_the_separator_can_be_chosen(self):
        self.assertEqual(slugify("Hello, World!", separator="_"), "hello_world")

    def test_another_separator_is_refused(self):
        with self.assertRaises(ValueError):
            slugify("Hello", separator="/")

    def test_a_slug_is_cut_at_a_word(self):
        self.assertEqual(slugify("The quick brown fox", max_length=12), "the-quick")

    def test_a_word_that_just_fits_is_kept(self):
        self.assertEqual(slugify("The quick brown fox", max_length=9), "the-quick")

    def test_a_first_word_that_is_too_long_is_cut(self):
        self.assertEqual(slugify("Extraordinary", max_length=5), "extra")

    def test_a_limit_below_one_is_refused(self):
        with self.assertRaises(ValueError):
            slugify("Hello", max_length=0)
END_OF_FILE
cat > tests/test_cli.py <<'END_OF_FILE'
import subprocess
import sys
import unittest


def run(*arguments, titles=""):
    """Exit status, standard output and standard error of the tool."""
    done = subprocess.run(
        [sys.executable, "-m", "slugify", *arguments], input=titles, capture_output=True, encoding="utf-8", timeout=30
    )
    return done.returncode, done.stdout, done.stderr


class OneTitle(unittest.TestCase):
    """User Story 1: the title comes from the arguments."""

    def test_one_title_prints_one_slug(self):
        self.assertEqual(run("Hello, World!"), (0, "hello-world\n", ""))

    def test_all_arguments_are_one_title(self):
        self.assertEqual(run("Hello", "wide", "World"), (0, "hello-wide-world\n", ""))

    def test_a_title_without_a_slug_is_an_error(self):
        self.assertEqual(run("!!!"), (1, "", "slugify: no slug for: !!!\n"))


class ManyTitles(unittest.TestCase):
    """User Story 2: the titles come from standard input."""

    def test_the_order_is_kept(self):
        self.assertEqual(run(titles="One\nTwo\nThree\n"), (0, "one\ntwo\nthree\n", ""))

    def test_blank_lines_are_left_out(self):
        self.assertEqual(run(titles="One\n\n  \nTwo\n"), (0, "one\ntwo\n", ""))

    def test_a_bad_line_is_named_and_the_others_are_done(self):
        self.assertEqual(run(titles="One\n?\nTwo\n"), (1, "one\ntwo\n", "slugify: line 2: no slug for: ?\n"))

    def test_an_empty_list_is_a_success(self):
        self.assertEqual(run(titles=""), (0, "", ""))


class Options(unittest.TestCase):
    """User Story 3: the house style comes from options."""

    def test_separator_and_limit_work_together(self):
        result = run("--separator=_", "--max-length=12", "The quick brown fox")
        self.assertEqual(result, (0, "the_quick\n", ""))

    def test_a_wrong_option_is_wrong_use(self):
        for wrong in ("--separator=/", "--max-length=0", "--max-length=many", "--unknown"):
            with self.subTest(wrong):
                status, printed, message = run(wrong, "Hello")
                self.assertEqual((status, printed), (2, ""))
                self.assertIn("usage", message)
END_OF_FILE
cat > README.md <<'END_OF_FILE'
# slugify

Turns titles into URL slugs. It needs Python 3.11 or later and nothing else, so there is nothing to install.

```sh
python3 -m slugify "Hello, World!"                                     # hello-world
python3 -m slugify < titles.txt                                        # one slug a line
python3 -m slugify --separator=_ --max-length=12 "The quick brown fox" # the_quick
```

Exit status: 0 for success, 1 when a title has no slug, 2 for wrong use.

Tests: `python3 -m unittest discover -s tests -t .`
END_OF_FILE
sed 's/^- \[ \] \(T001\|T002\|T003\|T004\|T005\|T006\|T007\|T008\|T009\|T010\|T011\|T012\|T013\|T014\|T015\|T016\) /- [X] \1 /' specs/001-title-slugs/tasks.md > specs/001-title-slugs/tasks.md.new
mv specs/001-title-slugs/tasks.md.new specs/001-title-slugs/tasks.md
PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s tests -t . 2>&1
