#!/bin/sh
# What a good agent leaves behind; run by the oracle agent in the project's folder.
set -eu

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
