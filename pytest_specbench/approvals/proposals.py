"""What an approval would do: the record that a recorded run would become, and every reason why it may not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.core.approval.audit import Action, line_of, sha256
from pytest_specbench.core.approval.baselines import Approval, BaselineRecord, BundledFile, host_class_of, propose
from pytest_specbench.core.approval.eligibility import Streak, Wanted, refusals, streak
from pytest_specbench.core.errors import RunNotFoundError
from pytest_specbench.core.git import author_of
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.text import one_line
from pytest_specbench.store.baselines.audit import unsigned
from pytest_specbench.store.baselines.identity import Maintainer
from pytest_specbench.store.baselines.records import Baselines, read_baselines
from pytest_specbench.store.baselines.trust import Trust, read_trust, signing_of
from pytest_specbench.store.runs.history import History
from pytest_specbench.store.runs.run_folder import RecordError, artifact_problems, read_record
from pytest_specbench.store.trees import FolderTree

BUNDLED_BYTES = 256_000
"""What is larger stays where it is, and the record says where."""


@dataclass(frozen=True)
class Proposal:
    """What an approval would do. With `reasons` it is refused."""

    run: BenchmarkRun
    record: BaselineRecord | None
    """Null where no record can be made of the run."""
    replaces: BaselineRecord | None
    """The active baseline that it would retire."""
    streak: Streak
    reasons: tuple[str, ...]
    """Every reason why it is refused; none when it may be."""
    bundle: Mapping[str, bytes]

    @property
    def summary(self) -> str:
        """The record and what it replaces, in a line."""
        name = "nothing" if self.record is None else self.record.baseline_id
        return name if self.replaces is None else f"{name}, in place of {self.replaces.baseline_id}"


def propose_baseline(scenario_id: str, settings: Settings, maintainer: Maintainer, *, now: datetime) -> Proposal:
    """What an approval by `maintainer` would do; writes nothing.

    Raises RunNotFoundError when no such run of the scenario is recorded, BlockedError when the baselines that are there
    cannot be trusted.
    """
    tree = FolderTree(settings.baselines)
    # What is there unsigned, or signed by who may do so no more, is mended by approving anew: it is read all the same.
    baselines = read_baselines(tree, scenario_id, Trust("off"))
    refused = {one.name for one in unsigned(tree, baselines.trail, read_trust(tree, signing_of(settings)))}
    with History.open(settings.output) as history:
        run, folder = recorded_run(history, settings.run, scenario_id)
        wanted = Wanted(settings.accept_regression is not None, stochastic=run.min_rate is not None)
        found = streak(run, history.runs(scenario_id, like=run, attempts=True), wanted)
        reasons = [
            *refusals(run, found, wanted),
            *_asked_for(run, settings),
            *_provenance(run, settings, maintainer, baselines, refused),
            *_intact(found.runs or (run,), run, folder, history),
        ]
        reasons = list(dict.fromkeys(reasons))
    replaces = _replaced(run, settings, baselines)
    approval = Approval(
        by=maintainer.principal,
        rotation=maintainer.rotation,
        notes=_notes(settings),
        at=now,
        portable=settings.portable,
        again=sum(record.run_ids[-1] == run.run_id for record in baselines.records.values()),
        supersedes=None if replaces is None else replaces.baseline_id,
        expires_on=settings.expires_on,
    )
    record, bundle = None, dict[str, bytes]()
    if run in found.runs:  # shown beside the active one although it may be refused
        try:
            bundle, described = _bundle(run, folder)
            record = propose(found.runs, approval, described)
        except (OSError, ValueError) as error:
            reasons = reasons or [f"no record can be made of the run: {one_line(str(error))}"]
    return Proposal(run, record, replaces, found, tuple(reasons), bundle)


def _notes(settings: Settings) -> str:
    parts = [settings.notes]
    if settings.accept_regression is not None:
        parts.append(f"accepted regression: {settings.accept_regression}")
    return "; ".join(filter(None, parts))


def _asked_for(run: BenchmarkRun, settings: Settings) -> Iterable[str]:
    """What of the request itself cannot be granted."""
    asked, there = (settings.dataset or "").replace("@", "=="), run.dataset_version.replace("@", "==")
    # A dataset may be asked for by its folder, which is called as it is.
    if asked and asked != there and ("==" in asked or Path(asked).name != there.partition("==")[0]):
        yield f"the run is of the dataset {run.dataset_version}, asked for is {settings.dataset}"
    if settings.accept_regression is not None and not settings.accept_regression.strip():
        yield "say why the regression is accepted"
    if settings.expires_on is not None and settings.expires_on <= datetime.now(UTC).date():
        yield f"--expires {settings.expires_on} must be in the future"


def _provenance(
    run: BenchmarkRun, settings: Settings, maintainer: Maintainer, baselines: Baselines, refused: Collection[str]
) -> Iterable[str]:
    """Whether the run was approved before, by an entry that is not among the `refused`, and whether the approver may
    approve it.
    """
    for filed in baselines.trail.entries:
        entry = filed.entry
        same = entry.action is Action.APPROVE and entry.scenario_id == run.scenario_id and entry.run_id == run.run_id
        if same and filed.name not in refused:
            yield f"the run was approved already, as {entry.baseline_id} by {entry.by}"
    if run.commit_sha is not None and author_of(settings.work_tree, run.commit_sha) is None:
        yield f"the run's commit {run.commit_sha} is not in this repository"
    if settings.four_eyes:
        yield from one_pair_of_eyes(run, settings, maintainer)


def one_pair_of_eyes(run: BenchmarkRun, settings: Settings, by: Maintainer) -> list[str]:
    """Why four eyes have not looked at the run, where they have not."""
    author = None if run.commit_sha is None else author_of(settings.work_tree, run.commit_sha)
    if author is None:
        return [f"four eyes are asked for, and the author of the run's commit {run.commit_sha} cannot be found here"]
    if "@" not in by.principal:
        return [f"four eyes are asked for, and {by.principal!r} is no e-mail address, which authors have"]
    if author.casefold() == by.principal.casefold():
        return [f"four eyes are asked for, and {author} is the author of the run's commit"]
    return []


def _intact(runs: Sequence[BenchmarkRun], run: BenchmarkRun, folder: Path, history: History) -> Iterable[str]:
    """What was altered of the artifacts that the record would rest on."""
    for one in runs:
        try:
            place = folder if one is run else history.find(str(one.run_id))
        except RunNotFoundError as error:
            yield str(error)
        else:
            yield from artifact_problems(place, one)


def _replaced(run: BenchmarkRun, settings: Settings, baselines: Baselines) -> BaselineRecord | None:
    if run.fingerprint is None:
        return None
    line = line_of(run.fingerprint, host_class_of(run, portable=settings.portable))
    same = [one for one in baselines.active if line_of(one.fingerprint, one.host_class) == line]
    return same[0] if same else None


def _bundle(run: BenchmarkRun, folder: Path) -> tuple[dict[str, bytes], dict[str, BundledFile]]:
    """The small files of the decisive trial, and the description of all of them."""
    kept: dict[str, bytes] = {}
    described: dict[str, BundledFile] = {}
    named = run.artifacts
    parts = {
        "run_metadata.json": named.run_metadata,
        "summary.json": named.summary,
        "trajectory.json": named.trajectory,
        "agent.cast": named.agent_cast,
    }
    for name, path in parts.items():
        if path is None:
            continue
        data = _inside(run, folder, path)
        large = len(data) > BUNDLED_BYTES
        described[name] = BundledFile(
            sha256=sha256(data), size=len(data), uri=f"run:{run.run_id}/{path}" if large else None
        )
        if not large:
            kept[name] = data
    return kept, described


def _inside(run: BenchmarkRun, folder: Path, path: str) -> bytes:
    """An artifact that the record names: one of the run's own, as it was hashed. ValueError for anything else: a record
    may come from anywhere, and must not bring other files of this machine into the repository.
    """
    relative = path.removeprefix(f"{run.artifacts_path}/")
    expected = run.artifact_hashes.get(relative)
    place = folder / run.artifacts_path / relative
    inside = place.resolve().is_relative_to((folder / run.artifacts_path).resolve())
    if expected is None or not path.startswith(f"{run.artifacts_path}/") or not inside or not place.is_file():
        raise ValueError(f"{path} is none of the artifacts of the run")
    data = place.read_bytes()
    if sha256(data) != expected:
        raise ValueError(f"{path} was altered")
    return data


def recorded_run(history: History, reference: str, scenario_id: str) -> tuple[BenchmarkRun, Path]:
    """The last attempt at a scenario in the run that is meant, and the run's folder.

    Raises RunNotFoundError when there is none, its record cannot be read, or it is not the one that was recorded.
    """
    folder = history.find(reference)
    rows = history.rows_of(folder.name)
    for row in rows:
        if row.scenario_id != scenario_id:
            continue
        hint = f"specbench run --scenarios {scenario_id}"
        try:
            run, digest = read_record(folder / row.path)
        except RecordError as error:
            raise RunNotFoundError(str(error), hint=hint) from None
        if digest != row.sha256:
            raise RunNotFoundError("the record was altered since it was made", where=str(folder / row.path), hint=hint)
        return run, folder
    raise RunNotFoundError(
        f"the run has no scenario {scenario_id!r}",
        where=str(folder),
        expected=f"one of {', '.join(row.scenario_id for row in rows) or 'none'}",
    )
