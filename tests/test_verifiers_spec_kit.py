"""What makes a spec, a plan and a task list of Spec Kit sound, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.verifiers.spec_kit import MAX_PROBLEMS, check_plan, check_spec, check_tasks, check_tasks_done

SPEC = """\
# Feature Specification: Slugs

## User Scenarios & Testing *(mandatory)*

### User Story 1 - One title (Priority: P1)

An editor wants a slug, as described in [the style guide](https://example.org/style) and [RFC 3986][rfc].

1. **Given** a title, **When** it is given, **Then** a slug is printed.

## Requirements *(mandatory)*

### Functional Requirements

- **FR-001**: The tool MUST print a slug.
- **FR-002**: The tool MUST keep `[initial state]` in code as it is, and write item[s] and [sic] and [1, 2].

## Success Criteria *(mandatory)*

- **SC-001**: Every title has a slug.

## Assumptions

- None that matter.

[rfc]: https://example.org/rfc3986
"""

PLAN = """\
# Implementation Plan: Slugs

## Summary

One function.

## Technical Context

**Language/Version**: Python 3.11

## Constitution Check

All gates pass; no NEEDS CLARIFICATION is left.

## Project Structure

```text
slugify/
# [an option in a listing]
```

**Structure Decision**: one package.
"""

TASKS = """\
# Tasks: Slugs

## Format: `[ID] [P?] [Story] Description`

- **[P]**: can run in parallel
- **[Story]**: the story

## Phase 1: Setup

- [ ] T001 Create slugify/__init__.py
- [ ] T002 [P] Create tests/__init__.py

## Phase 2: User Story 1 - One title (Priority: P1)

- [ ] T003 [P] [US1] Write tests in tests/test_core.py
- [ ] T004 [US1] Implement slugify/core.py

## Notes

- [P] tasks touch different files
"""

CHECKS = {"spec": (check_spec, SPEC), "plan": (check_plan, PLAN), "tasks": (check_tasks, TASKS)}
EVERY_CHECK = (check_spec, check_plan, check_tasks, check_tasks_done)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize("kind", CHECKS)
def test_a_sound_document_has_no_problems(kind) -> None:
    check, text = CHECKS[kind]
    assert check(text) == []
    assert check(text.replace("\n", "\r\n")) == []
    assert check("\ufeff" + text) == []


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        *(("spec", title) for title in ("User Scenarios & Testing", "Requirements", "Success Criteria")),
        *(("plan", title) for title in ("Summary", "Technical Context", "Constitution Check", "Project Structure")),
    ],
)
def test_a_mandatory_section_must_be_there_once_and_hold_something(kind, title) -> None:
    check, text = CHECKS[kind]
    heading = next(line for line in text.splitlines() if line.startswith(f"## {title}"))
    missing = text.replace(heading, "## Something else")
    assert any(f"without the mandatory section '## {title}'" in problem for problem in check(missing))
    in_code = text.replace(heading, f"```\n{heading}\n```")
    assert any(f"'## {title}'" in problem for problem in check(in_code)), "a heading in a code block is none"
    in_comment = text.replace(heading, f"<!--\n{heading}\n-->")
    assert any(f"'## {title}'" in problem for problem in check(in_comment)), "a heading in a comment is none"
    empty = text.replace(heading, f"{heading}\n\n<!-- later -->\n\n---\n\n## Something else")
    assert f"Line {line_of(empty, heading)}: the section '## {title}' is empty." in check(empty)
    twice = f"{text}\n{heading}\n\nAgain.\n"
    assert any("second time" in problem for problem in check(twice))


def test_assumptions_may_be_left_out_but_not_left_empty() -> None:
    without = SPEC.replace("## Assumptions\n\n- None that matter.\n", "")
    assert check_spec(without) == []
    assert any(
        "'## Assumptions' is empty" in problem for problem in check_spec(SPEC.replace("- None that matter.", ""))
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("(Priority: P1)", "", "has no '(Priority: Pn)'"),
        ("One title (Priority", "(Priority", "has no title"),
        ("### User Story 1 - One title (Priority: P1)", "Some story", "without a '### User Story 1"),
        ("### User Story 1 ", "### User Story 2 ", "in the place of User Story 1"),
        ("- **FR-001**: The tool MUST print a slug.\n", "", "FR-002 is out of sequence; expected FR-001"),
        ("FR-002", "FR-003", "FR-003 is out of sequence; expected FR-002"),
        ("FR-002", "FR-001", "FR-001 is defined a second time"),
        ("FR-002", "FR-2", "FR-2 is no valid id"),
        ("FR-002", "FR-002b", "FR-002b is no valid id"),
        ("**SC-001**: Every title has a slug.", "Every title has a slug.", "defines no '- **SC-001**"),
        ("**SC-001**: Every title has a slug.", "**SC-001**:", "SC-001 says nothing"),
    ],
)
def test_stories_and_ids_of_a_spec(old, new, problem) -> None:
    assert old in SPEC
    assert any(problem in found for found in check_spec(SPEC.replace(old, new))), check_spec(SPEC.replace(old, new))


@pytest.mark.parametrize("form", ["- **FR-001:** It must.", "- FR-001: It must.", "* **FR-001** It must."])
def test_usual_spellings_of_a_requirement_are_accepted(form) -> None:
    assert check_spec(SPEC.replace("- **FR-001**: The tool MUST print a slug.", form)) == []


def test_up_to_three_open_questions_are_allowed_in_a_spec() -> None:
    question = "- **FR-00{}**: It must be [NEEDS CLARIFICATION: how fast?]\n"
    three = SPEC.replace("## Success", "".join(question.format(n) for n in (3, 4, 5)) + "\n## Success")
    assert check_spec(three) == []
    four = three.replace("## Success", question.format(6) + "\n## Success")
    assert len(check_spec(four)) == 1
    assert "4 [NEEDS CLARIFICATION] markers; at most 3" in check_spec(four)[0]


@pytest.mark.parametrize(
    "leftover",
    [
        "# Feature Specification: [FEATURE NAME]",
        "# Implementation Plan: [FEATURE]",
        "**Feature Branch**: `[###-feature-name]`",
        "**Created**: [DATE]",
        '**Input**: User description: "$ARGUMENTS"',
        "<!--\n  ACTION REQUIRED: fill this in\n-->",
        "- [ ] TXXX Polish",
        "[Brief Title]",
        "**Given** [initial state], **When** [action]",
        "- **[Entity 1]**: something",
        "see [link]",
        "[Describe how, e.g. [specific action], this\nis done]",
        '- [Assumption about data/environment, e.g., "reused"]',
        "tests/contract/test_[name].py",
        "| [e.g., 4th project] | x |",
        "```text\n# [REMOVE IF UNUSED] Option 2: Web application\n```",
        '```bash\nTask: "Contract test for [endpoint] in x.py"\n```',
    ],
)
@pytest.mark.parametrize("kind", CHECKS)
def test_a_leftover_of_the_template_is_a_problem_with_its_line(kind, leftover) -> None:
    check, text = CHECKS[kind]
    problems = check(f"{text}\n{leftover}\n")
    first = text.count("\n") + 2
    last = first + leftover.count("\n")
    assert any(f"Line {line}: '" in problem for problem in problems for line in range(first, last + 1)), problems


@pytest.mark.parametrize(
    "harmless",
    [
        "- [x] done\n- [ ] open",
        "A [link to a page](page.md), an ![image of it](a.png), a [reference of two words][rfc] and a footnote[^1].",
        "A [defined reference] too.\n\n[defined reference]: https://example.org",
        "`tool [OPTIONS] [FILE NAME]` and ``code with ` and [two words]``",
        "```python\nfirst = names[0 if x else 1]\nrest = [name for name in names]\n```",
        "~~~\n```\n[two words]\n~~~",
        "An interval [0, 1) and [min, max], an escaped \\[not one\\], a mark [see FR-001].",
        "[NEEDS CLARIFICATION: one question?]",
    ],
)
def test_what_only_looks_like_a_leftover_is_none(harmless) -> None:
    assert check_spec(f"{SPEC}\n{harmless}\n") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Python 3.11", "NEEDS CLARIFICATION", "NEEDS CLARIFICATION is unresolved"),
        ("Python 3.11", "[NEEDS CLARIFICATION: which?]", "NEEDS CLARIFICATION is unresolved"),
        ("slugify/\n#", "# Option 1: one package\nslugify/\n#", "'# Option 1: one package' is an option label"),
    ],
)
def test_a_plan_has_settled_everything(old, new, problem) -> None:
    assert any(problem in found for found in check_plan(PLAN.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("T002", "T003", "T003 is out of sequence; expected T002"),
        ("T004", "T003", "T003 is defined a second time"),
        ("- [ ] T004 [US1]", "- [ ] T004", "T004 belongs to the phase of User Story 1 and lacks [US1]"),
        ("- [ ] T004 [US1]", "- [ ] T004 [US2]", "lacks [US1]"),
        ("- [ ] T004 [US1] Implement", "- [ ] [US1] Implement", "is no task of the form"),
        ("- [ ] T004 [US1] Implement", "- [] T004 [US1] Implement", "is no task of the form"),
        ("- [ ] T004 [US1] Implement", "* [ ] T004 [US1] Implement", "is no task of the form"),
        ("## Notes", "## Notes\n\n- [ ] T005 Polish README.md", "T005 stands outside of every phase"),
        ("## Phase 2: User", "## Phase N: User", "'Phase N' is left over"),
        ("## Phase", "## Part", "without a '## Phase 1: ...'"),
        ("- [ ] T0", "- T0", "without a task of the form"),
    ],
)
def test_form_and_sequence_of_tasks(old, new, problem) -> None:
    assert old in TASKS
    assert any(problem in found for found in check_tasks(TASKS.replace(old, new))), check_tasks(TASKS.replace(old, new))


def test_tasks_in_a_code_block_do_not_count() -> None:
    fenced = TASKS.replace("- [ ] T001", "```\n- [ ] T001").replace("## Notes", "```\n\n## Notes")
    assert any("without a task" in problem for problem in check_tasks(fenced))


def test_tasks_are_done_when_every_box_is_marked() -> None:
    assert len(check_tasks_done(TASKS)) == 4
    done = TASKS.replace("- [ ]", "- [X]")
    assert check_tasks_done(done) == []
    assert check_tasks_done(done.replace("- [X] T002", "- [x] T002")) == []
    assert check_tasks_done(done.replace("- [X] T003", "- [ ] T003")) == ["Line 15: T003 is not marked [X]."]


@pytest.mark.parametrize("check", EVERY_CHECK)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\n",
        "\x00\x01\x02",
        "\x7fELF\x02",
        "\udc80",
        "x",
        "#" * 100,
        "[" * 10_000,
        "x" * 3_000_000,
        "# \n" * 50_000,
    ],
    ids=["empty", "blank", "control", "elf", "surrogate", "letter", "hashes", "brackets", "enormous", "headings"],
)
def test_what_is_no_document_has_problems_and_raises_nothing(check, text) -> None:
    problems = check(text)
    assert problems
    assert all(isinstance(problem, str) and len(problem) < 300 for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        "[two words] " * 160_000,
        "[two words]\n" * 160_000,
        "[ [" * 600_000,
        ("#" + " " * 19_000 + "x\n") * 100,
        ("".join("`" * n + " " for n in range(190)) + "\n") * 100,
        ("<!--`" * 3_000 + "\n") * 100,
        "- [ ] T001 a\n" * 140_000,
        ("**" * 9_000 + "\n") * 100,
    ],
    ids=["line", "paragraph", "nested", "heading", "code", "comment", "tasks", "stars"],
)
@pytest.mark.parametrize("check", [check_spec, check_tasks_done])
def test_a_text_that_is_made_to_be_slow_is_still_judged(check, text) -> None:
    assert check(text)


@pytest.mark.parametrize("check", EVERY_CHECK)
def test_many_problems_are_counted_and_not_all_told(check) -> None:
    problems = check("[two words]\n" * 5_000)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].startswith("and ")


MARKDOWN = st.text(st.sampled_from("#[]()`~-*<!>: \nTFR01XP$"), max_size=400)


@settings(max_examples=150, deadline=None)
@given(st.one_of(MARKDOWN, st.text(max_size=200)))
def test_no_text_makes_a_check_raise_or_pass(text) -> None:
    for check in EVERY_CHECK:
        assert check(text)
