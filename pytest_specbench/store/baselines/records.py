"""The baseline folder: immutable records, one file each, and the audit trail that says which of them are active."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from pytest_specbench.core.approval.audit import BaselineHistory, Problem, Trail, line_of, sha256, supersede
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.json_text import parse_json
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import one_line
from pytest_specbench.core.transitions import BaselineStatus
from pytest_specbench.store.baselines.audit import AUDIT, broken_signatures, read_trail, unsigned
from pytest_specbench.store.baselines.trust import Signing, Trust, read_trust
from pytest_specbench.store.baselines.writing import PENDING, approving, contradiction, record_bytes, write_approved
from pytest_specbench.store.trees import MAX_BYTES, UNUSABLE, Tree, reason

__all__ = [
    "MAX_BYTES",
    "Baselines",
    "Signing",
    "Trust",
    "approving",
    "read_all",
    "read_baselines",
    "read_trust",
    "record_bytes",
    "verify_baselines",
    "write_approved",
]

_SHOWN = 5
"""Problems that a refusal lists; `specbench baseline verify` lists all."""

_APPROVE_ANEW = (
    "where the signature got lost, restore it from version control; else a maintainer approves a run that passed anew, "
    "signed: specbench baseline approve --scenario {scenario_id} --run RUN "
    "(where none is recorded here, it passes with --specbench-signing=off)"
)


@dataclass(frozen=True)
class Baselines:
    """The baselines of one scenario, all of them approved."""

    records: Mapping[str, BaselineRecord] = field(default_factory=dict)
    """By id, in the order of the trail."""
    trail: Trail = field(default_factory=Trail)
    """The whole trail, of all scenarios."""

    @property
    def active(self) -> list[BaselineRecord]:
        """Those that count, one for each sandbox, agent, model and host class."""
        return [
            record
            for name, record in self.records.items()
            if self.trail.baselines[name].status is BaselineStatus.ACTIVE
        ]

    @property
    def ever_active(self) -> bool:
        """Whether the scenario has ever had an active baseline."""
        return bool(self.records)


def read_baselines(tree: Tree, scenario_id: str, trust: Trust) -> Baselines:
    """Every record of a scenario. Raises BlockedError(BASELINE_INVALID) for a record that no approval names, one that
    is missing, altered, or contradicts itself or its approval, for anything that is wrong with the trail, and for what
    the trust does not accept: what was approved must not get lost, and what was not must not count.
    """
    if scenario_id == AUDIT:
        raise BlockedError(
            f"a scenario cannot be called {AUDIT!r}: the folder of that name holds the audit trail",
            cause=Cause.CONFIGURATION,
            where=tree.label,
            expected="another scenario_id",
        )
    # Before the trail: the entry of an approval that happens meanwhile is written before its record has its name.
    files = _record_files(tree, scenario_id)
    trail = read_trail(tree)
    records, problems = _records(tree, trail, scenario_id, files)
    problems = [*trail.problems, *problems]
    if problems:
        raise _invalid(tree, problems)
    counted = _counted(records, trail)
    problems = unsigned(tree, trail, trust, scenario_id=scenario_id)
    if problems:
        raise _invalid(tree, problems, hint=_APPROVE_ANEW.format(scenario_id=scenario_id))
    return counted


def read_all(tree: Tree, trust: Trust) -> Baselines:
    """Every record of every scenario. Raises as `read_baselines` does."""
    trail = read_trail(tree)
    records: dict[str, BaselineRecord] = {}
    problems = [*trail.problems]
    for scenario_id in sorted({history.approval.entry.scenario_id for history in trail.baselines.values()}):
        found, wrong = _records(tree, trail, scenario_id, _record_files(tree, scenario_id))
        records |= found
        problems += wrong
    if problems:
        raise _invalid(tree, problems)
    counted = _counted({name: records[name] for name in trail.baselines}, trail)
    problems = unsigned(tree, trail, trust)
    if problems:
        raise _invalid(tree, problems, hint=_APPROVE_ANEW.format(scenario_id="ID"))
    return counted


def _counted(records: Mapping[str, BaselineRecord], trail: Trail) -> Baselines:
    supersede(trail, {name: line_of(record.fingerprint, record.host_class) for name, record in records.items()})
    return Baselines(records, trail)


def verify_baselines(tree: Tree, trust: Trust, *, trusted: Tree | None = None) -> list[Problem]:
    """Everything that is wrong with the folder: with entries, signatures, records and bundles; and, with `trusted`, the
    same folder as it was before, every entry that was there and is no more. Empty when nothing is.

    BlockedError when the folder cannot be read at all, or what is trusted is broken itself.
    """
    files = {name: _record_files(tree, name) for name in tree.names() if _is_scenario(tree, name)}
    trail = read_trail(tree)
    problems = [*trail.problems]
    named = {history.approval.entry.scenario_id for history in trail.baselines.values()}
    for scenario_id in sorted(named | set(files)):
        records, found = _records(tree, trail, scenario_id, files.get(scenario_id, []))
        problems += found
        _counted(records, trail)  # for what it retires in the trail
        for record in records.values():
            problems += _bundle_problems(tree, record, trail.baselines[record.baseline_id])
    if trust.signing != "off":
        told = unsigned(tree, trail, trust)
        problems += [
            *told,
            *(one for one in broken_signatures(tree, trail) if one.name not in {by.name for by in told}),
        ]
    if trusted is not None:
        problems += removed_entries(trail, trusted)
    return problems


def removed_entries(trail: Trail, trusted: Tree) -> list[Problem]:
    """The entries that are in the trusted folder and not in this trail. BlockedError when the trusted one is broken."""
    before = read_trail(trusted)
    if before.problems:
        raise _invalid(trusted, before.problems)
    here = {filed.sha256 for filed in trail.entries}
    return [
        Problem(filed.name, f"it is in {trusted.label}, and was removed or altered here")
        for filed in before.entries
        if filed.sha256 not in here
    ]


def _record_files(tree: Tree, scenario_id: str) -> list[str]:
    """The names of a scenario's records, and of what looks like one."""
    return [name for name in tree.names(scenario_id) if name.endswith(".json") and not name.startswith(".")]


def _records(
    tree: Tree, trail: Trail, scenario_id: str, files: Sequence[str]
) -> tuple[dict[str, BaselineRecord], list[Problem]]:
    """The approved records of a scenario, and what is wrong with them and with `files`, which lay in its folder."""
    records: dict[str, BaselineRecord] = {}
    problems: list[Problem] = []
    histories = {
        name: history for name, history in trail.baselines.items() if history.approval.entry.scenario_id == scenario_id
    }
    for baseline_id, history in histories.items():
        try:
            records[baseline_id] = _record(tree, history)
        except BlockedError as error:
            problems.append(Problem(f"{scenario_id}/{baseline_id}.json", reason(error)))
    problems += [
        Problem(f"{scenario_id}/{name}", "no audit entry approves it")
        for name in files
        if name.removesuffix(".json") not in histories
    ]
    for record in records.values():
        if record.supersedes_baseline_id is not None and record.supersedes_baseline_id not in trail.baselines:
            name = f"{scenario_id}/{record.baseline_id}.json"
            problems.append(Problem(name, f"it supersedes {record.supersedes_baseline_id!r}, which nobody approved"))
    return records, problems


def _record(tree: Tree, history: BaselineHistory) -> BaselineRecord:
    """The record of an approval. Raises BlockedError, whose message says what is wrong with it."""
    entry = history.approval.entry
    path = f"{entry.scenario_id}/{entry.baseline_id}.json"
    data = tree.read(path)
    if data is None:
        pending = tree.read(path + PENDING)  # the approval was killed right after the entry, with which it counts
        # When it is not there either, the record may just have got its name.
        data = pending if pending is not None and sha256(pending) == entry.record_sha256 else tree.read(path)
        if data is None:
            raise _broken(f"it is missing, and {history.approval.name} approves it")
    if sha256(data) != entry.record_sha256:
        raise _broken(f"it was altered: {history.approval.name} approves another content")
    record = _parse(data)
    why = contradiction(entry, record)
    if why:
        raise _broken(f"{history.approval.name} approves something else: {why}")
    return record


def _parse(data: bytes) -> BaselineRecord:
    try:
        return BaselineRecord.model_validate(parse_json(data))
    except ValidationError as error:
        first = error.errors()[0]
        raise _broken(one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None
    except ValueError as error:
        raise _broken(one_line(str(error))) from None
    except (ArithmeticError, LookupError, TypeError) as error:
        raise _broken(f"{type(error).__name__}: {error}") from None


def _bundle_problems(tree: Tree, record: BaselineRecord, history: BaselineHistory) -> Iterator[Problem]:
    """What is wrong with the files that are kept beside a record."""
    folder = f"{record.scenario_id}/{record.baseline_id}"
    hashes = history.approval.entry.bundle
    kept = {name: file.sha256 for name, file in record.bundle.items() if file.uri is None}
    if kept != hashes:
        yield Problem(history.approval.name, f"it names another bundle than {folder}.json")
    for name, digest in hashes.items():
        try:
            data = tree.read(f"{folder}/{name}")
        except BlockedError as error:
            yield Problem(f"{folder}/{name}", reason(error))
            continue
        if data is None:
            yield Problem(f"{folder}/{name}", f"it is missing, and {history.approval.name} names it")
        elif sha256(data) != digest:
            yield Problem(f"{folder}/{name}", f"it was altered: {history.approval.name} names another content")


def _is_scenario(tree: Tree, name: str) -> bool:
    if name == AUDIT or name.startswith("."):
        return False
    try:
        return bool(tree.names(name))
    except BlockedError:
        return False  # a file beside the folders: the maintainers, a text for readers


def _broken(why: str) -> BlockedError:
    return BlockedError(why, cause=Cause.BASELINE_INVALID)


def _invalid(tree: Tree, problems: Sequence[Problem], *, hint: str | None = None) -> BlockedError:
    first, more = problems[0], problems[1:]
    where = first.name if "/" in first.name else f"{AUDIT}/{first.name}"
    lines = [f"{problem.name}: {problem.what}" for problem in more[: _SHOWN - 1]]
    if len(more) >= _SHOWN:
        lines.append(f"and {len(more) - _SHOWN + 1} more")
    return BlockedError(
        "\n  ".join([UNUSABLE + first.what, *lines]),
        cause=Cause.BASELINE_INVALID,
        where=f"{tree.label}/{where}",
        expected="a well-formed record that fits its audit entry, its name, its folder and its own values",
        hint=hint or f"specbench baseline verify, and restore it from version control: git log -p -- '*{where}'",
    )
