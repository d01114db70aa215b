"""What Spec Kit's documents must hold: the text of a spec, plan or task list -> its problems, one sentence each.

A document without problems has its mandatory sections filled, its ids in sequence and nothing left of the template.
The checks never raise: empty, binary and enormous texts have problems too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_specbench.core.text import counted
from pytest_specbench.verifiers.leftovers import leftovers
from pytest_specbench.verifiers.markdown import Document, Kind, Section, parse

SPEC_SECTIONS = ("User Scenarios & Testing", "Requirements", "Success Criteria")
"""The sections that Spec Kit's own template marks as mandatory."""
SPEC_OPTIONAL_SECTIONS = ("Assumptions",)
"""Sections that may be left out, but not left empty."""
PLAN_SECTIONS = ("Summary", "Technical Context", "Constitution Check", "Project Structure")
MAX_CLARIFICATIONS = 3
"""Open questions that a spec may keep."""
MAX_PROBLEMS = 40
"""Problems that are told one by one."""

_STORY = re.compile(r"^User Story (?P<number>\d{1,4})\s*(?:[-\u2013\u2014:]\s*)?(?P<title>.*)$", re.IGNORECASE)
_PRIORITY = re.compile(r"\(\s*Priority:\s*P\d{1,2}\s*\)", re.IGNORECASE)
_ITEM = r"^\s*[-*+]\s+(?P<bold>\*\*)?(?P<id>{prefix}-\w+)(?(bold)[^*]{{0,80}}\*\*\s*:?|\s*:)\s*(?P<text>.*)$"
_TASK = re.compile(r"^- \[(?P<box>[ xX])\] (?P<id>T\d{3,6})(?P<parallel> \[P\])?(?: \[US(?P<story>\d{1,4})\])? \S.*$")
_BOX = re.compile(r"^\s*[-*+] \[[ xX]?\]")
_TASK_LIKE = re.compile(r"^\s*(?:[-*+]\s+)?\[[ xX]?\]\s*\*{0,2}T(?:\d+|X+)\b")
_PHASE = re.compile(r"^Phase\s+(?P<number>\w+)\b", re.IGNORECASE)
_PHASE_STORY = re.compile(r"\bUser Story (\d{1,4})\b", re.IGNORECASE)
_OPTION_LABEL = re.compile(r"^\s*#?\s*Option \d+\b")
_SETTLED = re.compile(r"\b(?:no|none|all|any|zero|without|resolved?|resolves|settled)\b", re.IGNORECASE)


def check_spec(text: str) -> list[str]:
    """Problems of a `spec.md`: sections, prioritised user stories, FR and SC ids, open questions, left-overs."""
    document = parse(text)
    if document.flaws:
        return list(document.flaws)
    problems = [
        *_section_problems(document, SPEC_SECTIONS, SPEC_OPTIONAL_SECTIONS),
        *_story_problems(document),
        *_id_problems(document, "FR", "Requirements"),
        *_id_problems(document, "SC", "Success Criteria"),
        *_clarification_problems(document),
        *leftovers(document),
    ]
    return _capped(problems)


def check_plan(text: str) -> list[str]:
    """Problems of a `plan.md`: sections, unresolved questions, structure options nobody chose from, left-overs."""
    document = parse(text)
    if document.flaws:
        return list(document.flaws)
    problems = [
        *_section_problems(document, PLAN_SECTIONS),
        *_unresolved(document),
        *_option_labels(document),
        *leftovers(document),
    ]
    return _capped(problems)


def check_tasks(text: str) -> list[str]:
    """Problems of a `tasks.md`: phases, task lines of Spec Kit's form, ids in sequence, left-overs."""
    return _check_tasks(text, done=False)


def check_tasks_done(text: str) -> list[str]:
    """As `check_tasks`, and every task is marked `[X]`."""
    return _check_tasks(text, done=True)


def _check_tasks(text: str, *, done: bool) -> list[str]:
    document = parse(text)
    if document.flaws:
        return list(document.flaws)
    tasks = list(_tasks(document))
    problems = [*_phase_problems(document, tasks), *_malformed_tasks(document), *_task_sequence(tasks)]
    if done:
        problems += [f"Line {task.line}: {task.id} is not marked [X]." for task in tasks if not task.done]
    return _capped([*problems, *leftovers(document)])


def _capped(problems: list[str]) -> list[str]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], f"and {counted(len(problems) - MAX_PROBLEMS, 'more problem', 'more problems')}"]


def _section_problems(document: Document, mandatory: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[str]:
    for title in (*mandatory, *optional):
        found = document.named(title, 2)
        if not found and title in mandatory:
            yield f"Line {len(document.lines)}: the document ends without the mandatory section '## {title}'."
        for again in found[1:]:
            yield f"Line {again.number}: the section '## {title}' is there a second time."
        if found and found[0].empty:
            yield f"Line {found[0].number}: the section '## {title}' is empty."


def _story_problems(document: Document) -> Iterator[str]:
    stories = [
        (section, match)
        for section in document.sections
        if section.level >= 3 and (match := _STORY.match(section.title.replace("*", "").strip()))
    ]
    if not stories:
        yield f"Line {len(document.lines)}: the document ends without a '### User Story 1 - Title (Priority: P1)'."
    for expected, (section, match) in enumerate(stories, 1):
        if not _PRIORITY.search(match["title"]):
            yield f"Line {section.number}: User Story {match['number']} has no '(Priority: Pn)'."
        elif not _PRIORITY.sub("", match["title"]).strip():
            yield f"Line {section.number}: User Story {match['number']} has no title."
        if int(match["number"]) != expected:
            yield f"Line {section.number}: User Story {match['number']} stands in the place of User Story {expected}."
        if section.empty:
            yield f"Line {section.number}: User Story {match['number']} is empty."


def _id_problems(document: Document, prefix: str, title: str) -> Iterator[str]:
    """Ids of one kind: defined as list items of their section, from 001, each once, in sequence, each with a text."""
    sections = document.named(title, 2)
    if not sections:
        return
    pattern = re.compile(_ITEM.format(prefix=prefix))
    found = [
        (line.number, match)
        for line in sections[0].lines
        if line.kind is Kind.PROSE and (match := pattern.match(line.visible))
    ]
    if not found:
        yield f"Line {sections[0].number}: the section '## {title}' defines no '- **{prefix}-001**: ...'."
    yield from _sequence_problems([(number, match["id"]) for number, match in found], f"{prefix}-")
    for number, match in found:
        if not match["text"].strip():
            yield f"Line {number}: {match['id']} says nothing."


def _sequence_problems(ids: list[tuple[int, str]], prefix: str) -> Iterator[str]:
    """Ids must be the prefix and three digits or more, from 1, each once, in sequence; after a gap it goes on there."""
    seen: dict[str, int] = {}
    expected = 1
    for line, name in ids:
        digits = name.removeprefix(prefix)
        if not re.fullmatch(r"[0-9]{3,6}", digits):
            yield f"Line {line}: {_clip(name)} is no valid id; expected the form {prefix}001."
            continue
        if name in seen:
            yield f"Line {line}: {name} is defined a second time; it was defined on line {seen[name]}."
            continue
        seen[name] = line
        if int(digits) != expected:
            yield f"Line {line}: {name} is out of sequence; expected {prefix}{expected:03d}."
        expected = int(digits) + 1


def _clip(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _clarification_problems(document: Document) -> Iterator[str]:
    lines = [line.number for line in document.lines for _ in re.finditer(r"\[NEEDS CLARIFICATION\b", line.prose)]
    if len(lines) > MAX_CLARIFICATIONS:
        yield (
            f"Line {lines[MAX_CLARIFICATIONS]}: there are {len(lines)} [NEEDS CLARIFICATION] markers; "
            f"at most {MAX_CLARIFICATIONS} are allowed."
        )


def _unresolved(document: Document) -> Iterator[str]:
    for line in document.lines:
        prose = line.prose
        if "[NEEDS CLARIFICATION" in prose or ("NEEDS CLARIFICATION" in prose and not _SETTLED.search(prose)):
            yield f"Line {line.number}: NEEDS CLARIFICATION is unresolved; the plan must settle it."


def _option_labels(document: Document) -> Iterator[str]:
    for section in document.named("Project Structure", 2):
        for line in section.lines:
            if line.kind is Kind.CODE and _OPTION_LABEL.match(line.visible):
                label = _clip(line.visible.strip())
                yield f"Line {line.number}: '{label}' is an option label; keep one structure only."


@dataclass(frozen=True)
class _Task:
    """One task line: where it is, its id, whether it is marked, its story label and the phase that holds it."""

    line: int
    id: str
    done: bool
    story: int | None
    phase: Section | None


def _phases(document: Document) -> list[Section]:
    return [section for section in document.sections if section.level in (2, 3) and _PHASE.match(section.title)]


def _phase_of(document: Document) -> dict[int, Section]:
    """Line number -> the phase that holds the line."""
    return {line.number: phase for phase in _phases(document) if phase.level == 2 for line in phase.lines} or {
        line.number: phase for phase in _phases(document) for line in phase.lines
    }


def _tasks(document: Document) -> Iterator[_Task]:
    phases = _phase_of(document)
    for line in document.lines:
        match = _TASK.match(line.visible.rstrip()) if line.kind is Kind.PROSE else None
        if match:
            story = int(match["story"]) if match["story"] else None
            yield _Task(line.number, match["id"], match["box"] != " ", story, phases.get(line.number))


def _phase_problems(document: Document, tasks: list[_Task]) -> Iterator[str]:
    last = len(document.lines)
    if not tasks:
        yield f"Line {last}: the document ends without a task of the form '- [ ] T001 [P] [US1] Description with path'."
    phases = _phases(document)
    if not phases:
        yield f"Line {last}: the document ends without a '## Phase 1: ...'."
    for phase in phases:
        number = _PHASE.match(phase.title)
        if number and number["number"] in ("N", "X"):
            yield f"Line {phase.number}: 'Phase {number['number']}' is left over from the template; give it a number."
    for task in tasks:
        if phases and task.phase is None:
            yield f"Line {task.line}: {task.id} stands outside of every phase."
        story = _PHASE_STORY.search(task.phase.title) if task.phase else None
        if story and task.story != int(story[1]):
            yield f"Line {task.line}: {task.id} belongs to the phase of User Story {story[1]} and lacks [US{story[1]}]."


def _malformed_tasks(document: Document) -> Iterator[str]:
    """Checkboxes in a phase, and lines with a task id anywhere, that are not of the form that Spec Kit reads."""
    phases = _phase_of(document)
    for line in document.lines:
        if line.kind is not Kind.PROSE or _TASK.match(line.visible.rstrip()):
            continue
        if _TASK_LIKE.match(line.visible) or (line.number in phases and _BOX.match(line.visible)):
            yield (
                f"Line {line.number}: '{_clip(line.visible.strip())}' is no task of the form "
                "'- [ ] T001 [P] [US1] Description with path'."
            )


def _task_sequence(tasks: list[_Task]) -> Iterator[str]:
    yield from _sequence_problems([(task.line, task.id) for task in tasks], "T")
