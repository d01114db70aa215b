"""The fingerprint: which observed facts are the instrument, which are under test, and which are the host's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_specbench.core.records import Fingerprint, Scalar

type Party = Literal["instrument", "gate", "agent", "model", "runner_image", "fixtures"]
"""Whose fact it is. All but `instrument` and `gate` may be declared to be under test."""

LOCKED = (
    "dataset",
    "dataset_version",
    "scenario_content",
    "verifier_content",
    "cassette_content",
    "runner_image",
    "platform",
    "cpus",
    "memory_mb",
    "pids",
    "network",
    "workdir",
    "user",
)
"""What a lock file pins, as far as it is not under test. Agent, model and modes are an invocation's to choose: with
others the run is another instrument, which has another baseline, and no drift.
"""

LOCKED_PREFIX = "fixture."
"""What is put in place before the agent acts is pinned too, fixture by fixture."""


@dataclass(frozen=True)
class Fact:
    """One observed fact and whose it is."""

    party: Party
    name: str
    value: Scalar


def fingerprint(facts: Iterable[Fact], *, subject: Iterable[str], host: Mapping[str, Scalar]) -> Fingerprint:
    """Sort facts into instrument, gate and subject: what belongs to a party under test may differ from the baseline's.

    `host` must have a `class`. A name that occurs twice is an error: one fact would hide the other.
    """
    tested = set(subject)
    sides: dict[str, dict[str, Scalar]] = {"instrument": {}, "gate": {}, "subject": {}}
    seen: set[str] = set()
    for fact in facts:
        if fact.name in seen:
            raise ValueError(f"the fact {fact.name!r} was observed twice")
        seen.add(fact.name)
        side = "gate" if fact.party == "gate" else "subject" if fact.party in tested else "instrument"
        sides[side][fact.name] = fact.value
    return Fingerprint(**sides, host=dict(host))


def locked_part(found: Fingerprint) -> dict[str, Scalar]:
    """What a lock file pins: facts of the instrument, and all of the gate's."""
    pinned = {
        name: value for name, value in found.instrument.items() if name in LOCKED or name.startswith(LOCKED_PREFIX)
    }
    return pinned | found.gate


@dataclass(frozen=True)
class Difference:
    """A fact that is not what was expected; None stands for a fact that is not there at all."""

    name: str
    expected: Scalar
    observed: Scalar


def differences(expected: Mapping[str, Scalar], observed: Mapping[str, Scalar]) -> tuple[Difference, ...]:
    """Every fact that one side has and the other has not, or has with another value, by name."""
    return tuple(
        Difference(name, expected.get(name), observed.get(name))
        for name in sorted({*expected, *observed})
        if name not in expected or name not in observed or expected[name] != observed[name]
    )


def diff_lines(found: Iterable[Difference], *, expected: str, observed: str) -> list[str]:
    """A readable diff: `expected` and `observed` name the two sides, for example `specbench.lock` and `this run`."""
    lines = [f"--- {expected}", f"+++ {observed}"]
    for item in found:
        lines += [f"- {item.name}: {_shown(item.expected)}", f"+ {item.name}: {_shown(item.observed)}"]
    return lines


def _shown(value: Scalar) -> str:
    return "(absent)" if value is None else str(value)
