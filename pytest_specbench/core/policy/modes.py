"""Which commands an agent may run unattended: the approval mode and the rules of the scenario.

This is a fence for well-meaning agents, and not a sandbox. It reads command lines; it does not see what a script, a
link or a program does when it runs. What must not be reachable has to be out of reach: by the sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_specbench.core.globs import must_match, spellings
from pytest_specbench.core.policy.commands import (
    DECLARING,
    READERS,
    WRITERS,
    command_problem,
    declaration_problem,
    sed_problem,
    variable_problem,
)
from pytest_specbench.core.policy.denying import Denied, find_denied, may_occur
from pytest_specbench.core.policy.paths import in_git, path_problem, shown, value_problem
from pytest_specbench.core.policy.segments import Segment
from pytest_specbench.core.policy.words import Unparsable
from pytest_specbench.core.policy.wrappers import expand


class ApprovalMode(StrEnum):
    """How much an agent may do: `minimal` < `trusted` < `full-access`."""

    MINIMAL = "minimal"
    TRUSTED = "trusted"
    FULL_ACCESS = "full-access"

    def includes(self, needed: ApprovalMode) -> bool:
        """Whether this mode grants all that `needed` grants."""
        order = list(ApprovalMode)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Decision:
    """Whether a command line may run, why, and by which rule of the scenario (null: by the mode itself)."""

    allowed: bool
    reason: str
    rule: str | None = None


def decide(
    command: str,
    *,
    mode: ApprovalMode | str,
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    workdir: str = "/work",
) -> Decision:
    """Decide about one command line, as `sh -c` or `bash -c` would take it.

    Deny globs win in every mode, over every command in it, also those inside of substitutions, subshells and wrappers.
    Programs that are not known to run nothing are looked through. Then the mode must allow all of its commands, or, in
    `trusted`, an allow glob must name them. A text that is not understood is refused, except in `full-access` where
    nothing is denied.
    Raises ValueError for an unknown mode.
    """
    mode = ApprovalMode(mode)
    try:
        segments = expand(command)
        denied = find_denied(segments, deny)
    except (Unparsable, RecursionError) as problem:
        return _not_understood(command, str(problem) or "it is nested too deeply", mode, deny)
    if denied is not None:
        return _refused(denied)
    if mode is ApprovalMode.FULL_ACCESS:
        return Decision(True, "the mode full-access allows what no rule denies")
    rules: list[str] = []
    if any(_enters_git(segment) for segment in segments) and any(_writes(segment) for segment in segments):
        return Decision(False, f"the mode {mode} does not allow it to write where it enters what belongs to git")
    for segment in segments:
        decision = _judge(segment, mode, allow, workdir)
        if not decision.allowed:
            return decision
        rules += [decision.rule] if decision.rule else []
    return Decision(True, f"the mode {mode} allows it", rules[0] if rules else None)


def _refused(denied: Denied) -> Decision:
    command = _short(denied.command)
    if denied.why is None:
        return Decision(False, f"the rule {denied.rule!r} denies `{command}`", denied.rule)
    return Decision(False, f"the rule {denied.rule!r} may deny `{command}`: {denied.why}", denied.rule)


def _not_understood(command: str, problem: str, mode: ApprovalMode, deny: Sequence[str]) -> Decision:
    if mode is not ApprovalMode.FULL_ACCESS:
        return Decision(False, f"the command is not understood ({problem}), which only full-access allows")
    if not deny:
        return Decision(True, "the mode full-access allows what no rule denies")
    # Any of them may be in there. The one that is seen in the text says most.
    try:
        rule = may_occur(command, deny) or deny[0]
    except Unparsable:
        rule = deny[0]
    return Decision(False, f"the command is not understood ({problem}), and the rule {rule!r} may deny it", rule)


def _judge(segment: Segment, mode: ApprovalMode, allow: Sequence[str], workdir: str) -> Decision:
    """Whether `mode` allows one command, its redirections and the variables that it sets."""
    trusted = mode is ApprovalMode.TRUSTED
    problems = [variable_problem(name, trusted=trusted) for name, _ in segment.assignments]
    problems += [value_problem(value, workdir) for _, value in segment.assignments]
    for redirect in segment.redirects:
        if redirect.data is not None and (not segment.words or segment.words[0].text == "read"):
            problems.append(value_problem(redirect.data, workdir))  # a variable may get it
        elif redirect.data is None:
            problems.append(path_problem(redirect.target, workdir, writes=redirect.writes))
            if (
                redirect.writes
                and not trusted
                and redirect.target.text not in ("/dev/null", "/dev/stdout", "/dev/stderr")
            ):
                problems.append(f"it writes to {shown(redirect.target.text)}")
    problem = next((each for each in problems if each), None)
    rule = None
    if problem is None and segment.words and not segment.transparent:
        texts = spellings(segment.words, may_vanish=False)
        rule = next((glob for glob in allow if trusted and any(must_match(glob, text) for text in texts)), None)
        problem = None if rule is not None else _use_problem(segment, workdir, trusted=trusted)
    if problem is None:
        return Decision(True, f"the mode {mode} allows it", rule)
    text = shown(" ".join(word.text for word in segment.words)) or "the redirection"
    return Decision(False, f"the mode {mode} does not allow `{_short(text)}`: {problem}")


def _enters_git(segment: Segment) -> bool:
    return bool(segment.words) and segment.words[0].text == "cd" and any(in_git(word.text) for word in segment.words)


def _writes(segment: Segment) -> bool:
    name = segment.words[0].text.rpartition("/")[2] if segment.words else ""
    return name in WRITERS or name == "sed" or any(redirect.writes for redirect in segment.redirects)


def _use_problem(segment: Segment, workdir: str, *, trusted: bool) -> str | None:
    # A path would name another program than the known one.
    name = segment.words[0].text
    if name in (f"{folder}/{name.rpartition('/')[2]}" for folder in ("/bin", "/usr/bin")):
        name = name.rpartition("/")[2]
    if name in DECLARING:
        return declaration_problem(segment.words, workdir, trusted=trusted)
    if name == "sed":
        return sed_problem(segment.words, workdir, trusted=trusted)
    known = READERS.get(name) or (WRITERS.get(name) if trusted else None)
    if known is None:
        if trusted:
            return "no allow rule names it, and it is not known to stay inside the workdir"
        return "it is not known to only read"
    return command_problem(known, segment.words, workdir)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
