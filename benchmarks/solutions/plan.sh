#!/bin/sh
# What a good agent leaves behind; run by the oracle agent in the project's folder.
set -eu

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
