"""`maintainers.yaml`: who may approve, and for which rotations. Read strictly: what is odd in it is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_specbench.core.errors import ApprovalRefusedError, BlockedError
from pytest_specbench.core.problems import KeyPath, Problem, place
from pytest_specbench.core.status import Cause
from pytest_specbench.core.yaml_text import kind_of, parse
from pytest_specbench.store.trees import Tree

MAINTAINERS = "maintainers.yaml"

FORM = "maintainers: [{principal: mara@example.org, rotations: [workflow-maintainers]}]"

PRINCIPAL = re.compile(r"[\w.+@/=:~'$%&^`{|}\[\]-]{1,200}")
"""What may name a person, here and in `allowed_signers`: what an address may hold, such as `O'Neill`, letters of any
script and the `[bot]` of a forge's own, but `*`, `?`, `!`, `#`, commas and quotes, which have a meaning there.
"""
_ROTATION = re.compile(r"\S(?:[^\x00-\x1f\x7f]{0,98}\S)?")


@dataclass(frozen=True)
class Maintainers:
    """Who may approve."""

    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Principal -> rotations. One without rotations is a former maintainer: what they approved stands."""
    label: str = MAINTAINERS
    """What to call the file in a message."""

    def rotation(self, principal: str, asked: str | None) -> str:
        """The rotation that `principal` acts for. Raises ApprovalRefusedError when they are no maintainer, when they
        are not of the one that is asked for, and when none is asked for and they are of several.
        """
        rotations = self.people.get(principal, ())
        if not rotations:
            known = ", ".join(sorted(name for name, held in self.people.items() if held)) or "nobody"
            why = f"{principal} is no maintainer by {self.label}, which names {known}"
        elif asked is not None and asked not in rotations:
            why = f"{principal} is not of the rotation {asked!r} by {self.label}, but of {', '.join(rotations)}"
        elif asked is None and len(rotations) > 1:
            why = f"{principal} is of several rotations: {', '.join(rotations)}; say which with --rotation"
        else:
            return asked or rotations[0]
        raise ApprovalRefusedError("not authorised", (why,))


def read_maintainers(tree: Tree) -> Maintainers:
    """The maintainers. Without a file nobody is one. BlockedError(CONFIGURATION), with the line of everything that is
    wrong, when it is not of the form that `FORM` shows.
    """
    label = f"{tree.label}/{MAINTAINERS}"
    content = tree.read(MAINTAINERS)
    if content is None:
        return Maintainers(label=label)
    parsed = parse(content, of="maintainers")
    problems = [*parsed.problems]
    people: dict[str, tuple[str, ...]] = {}
    if parsed.usable:
        problems += _problems(parsed.data, people)
    if problems:
        said = [(place(label, parsed.lines, one.keys, one.line), one.message) for one in problems]
        more = "".join(f"\n{where}: {message}" for where, message in said[1:])
        raise BlockedError(
            said[0][1] + more,
            cause=Cause.CONFIGURATION,
            where=said[0][0],
            expected=problems[0].expected or FORM,
            hint=f"mend {label}",
        )
    return Maintainers(people, label)


def _problems(data: Mapping[str, Any], people: dict[str, tuple[str, ...]]) -> Iterator[Problem]:
    """What is wrong with the document; those who are well described are added to `people`."""
    yield from _keys((), data, {"maintainers"})
    listed = data.get("maintainers", ())
    if not isinstance(listed, tuple):
        yield Problem(("maintainers",), f"holds {kind_of(listed)}", FORM)
        return
    for index, one in enumerate(listed):
        here: KeyPath = ("maintainers", index)
        if not isinstance(one, dict):
            yield Problem(here, f"holds {kind_of(one)}", FORM)
            continue
        found = [*_keys(here, one, {"principal", "rotations"}), *_person(here, one)]
        if not found and one["principal"] in people:
            found = [Problem((*here, "principal"), f"{one['principal']!r} is there twice", "each principal once")]
        yield from found
        if not found:
            people[one["principal"]] = one["rotations"]


def _keys(here: KeyPath, data: Mapping[str, Any], wanted: set[str]) -> Iterator[Problem]:
    for name in data:
        if name not in wanted:
            yield Problem((*here, name), "is no key that is known here", f"only {', '.join(sorted(wanted))}")
    for name in sorted(wanted - set(data)):
        yield Problem(here, f"lacks the key {name!r}", FORM)


def _person(here: KeyPath, one: Mapping[str, Any]) -> Iterator[Problem]:
    principal, rotations = one.get("principal", "a"), one.get("rotations", ())
    if not isinstance(principal, str) or not PRINCIPAL.fullmatch(principal):
        yield Problem((*here, "principal"), f"{principal!r} names nobody", "a name such as mara@example.org")
    if not isinstance(rotations, tuple):
        yield Problem((*here, "rotations"), f"holds {kind_of(rotations)}", "a list of names")
        return
    for index, rotation in enumerate(rotations):
        if not isinstance(rotation, str) or not _ROTATION.fullmatch(rotation):
            yield Problem((*here, "rotations", index), f"{rotation!r} is no name of a rotation", "a name")
        elif rotation in rotations[:index]:
            yield Problem((*here, "rotations", index), f"{rotation!r} is there twice", "each rotation once")
