"""`specbench index`, `specbench import` and `specbench gc --runs`: the recorded runs, found, added and removed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.status import EXIT_BLOCKED, EXIT_NOT_FOUND, EXIT_PASS
from pytest_specbench.core.text import counted

if TYPE_CHECKING:
    from pytest_specbench.commands.place import Place

SHOWN = 20
"""Problems that are told one by one."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands, but `gc`, which has another half."""
    index = commands.add_parser("index", help="bring the index of the recorded runs in step with their folders")
    index.add_argument("--rebuild", action="store_true", help="read every run folder anew")
    index.add_argument("--output", metavar="PATH", help="root folder of the artifacts (default: .terminalbench)")
    index.set_defaults(command=_index)
    bring = commands.add_parser("import", help="add runs that were made elsewhere: folders or archives")
    bring.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="run folder, artifact root, or archive")
    bring.add_argument("--output", metavar="PATH", help="root folder of the artifacts (default: .terminalbench)")
    bring.set_defaults(command=_import)


def add_gc(gc: argparse.ArgumentParser) -> None:
    """Declare the options of `gc` that are about runs."""
    gc.add_argument("--runs", action="store_true", help="remove old runs instead of sandboxes")
    gc.add_argument("--keep", metavar="N", help="with --runs: keep the newest N (default: specbench_keep_runs)")
    gc.add_argument(
        "--older-than", metavar="DAYS", help="with --runs: only what is older (default: specbench_keep_days)"
    )
    gc.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    gc.add_argument("--output", metavar="PATH", help="with --runs: root folder of the artifacts")
    gc.add_argument("--baselines", metavar="PATH", help="with --runs: folder of the baselines")


def _index(arguments: argparse.Namespace) -> int:
    from pytest_specbench.commands.place import place_here, told
    from pytest_specbench.store.runs.history import History
    from pytest_specbench.store.runs.index import INDEX

    place = place_here({"output": arguments.output})
    with told(), History.open(place.output) as history:
        if arguments.rebuild:
            history.rebuild()
        runs, folders = history.count()
    sys.stdout.write(f"{runs} benchmark runs in {folders} run folders are indexed in {place.output / INDEX}\n")
    return EXIT_PASS


def _import(arguments: argparse.Namespace) -> int:
    from pytest_specbench.commands.place import place_here, told
    from pytest_specbench.importing import import_runs

    place = place_here({"output": arguments.output})
    with told():
        done = import_runs(arguments.paths, place.output)
    for line in done.lines:
        sys.stdout.write(f"{line}\n")
    for problem in done.problems:
        sys.stderr.write(f"specbench: {problem}\n")
    if done.problems and not done.lines:
        sys.stderr.write("specbench: nothing was imported\n")
    return EXIT_NOT_FOUND if done.problems else EXIT_PASS


def remove_runs(arguments: argparse.Namespace) -> int | None:
    """`gc --runs`: remove old runs, and say which stay and why. None: it is not about runs."""
    if not arguments.runs:
        if arguments.keep or arguments.older_than:
            raise UsageError("--keep and --older-than are about runs", expected="--runs with them")
        return None
    from pytest_specbench.commands.place import place_here

    place = place_here(
        {
            "output": arguments.output,
            "baselines": arguments.baselines,
            "keep-runs": arguments.keep,
            "keep-days": arguments.older_than,
        }
    )
    if place.keep_runs is None and place.keep_days is None:
        raise UsageError(
            "which runs are old was not said",
            expected="--keep N, --older-than DAYS, or specbench_keep_runs or specbench_keep_days in the ini file",
        )
    return _prune(place, dry_run=arguments.dry_run)


def _prune(place: Place, *, dry_run: bool) -> int:
    from pytest_specbench.commands.place import told
    from pytest_specbench.store.baselines.writing import alone
    from pytest_specbench.store.runs.history import History
    from pytest_specbench.store.runs.index import exclusive
    from pytest_specbench.store.runs.retention import Keep, candidates, missing, protected_runs, prune

    if place.baselines_from is not None and not os.path.lexists(place.baselines):
        raise missing(place.baselines, place.baselines_from)
    keep = Keep(place.keep_runs, place.keep_days)
    # No run goes while an approval looks at it; the lock is that of approvals, and nothing of the baselines is written.
    with told(), alone(place.baselines), exclusive(place.output / "runs"), History.open(place.output) as history:
        found = candidates(history, keep, protected_runs(place.baselines), _alive(place))
        going = [candidate.name for candidate in found if not candidate.kept]
        stay = len(history.folders()) - len(going)
        problems = [] if dry_run else prune(history, going)
    for candidate in found:
        if candidate.kept:
            sys.stdout.write(f"kept {candidate.name}: {candidate.kept}\n")
    for name in going:
        sys.stdout.write(f"{'would remove' if dry_run else 'removed'} {name}\n")
    sys.stdout.write(f"{counted(len(going), 'run', 'runs')} {'would be ' if dry_run else ''}removed, {stay} stay\n")
    for problem in problems[:SHOWN]:
        sys.stderr.write(f"specbench: could not be removed: {problem}\n")
    return EXIT_BLOCKED if problems else EXIT_PASS


def _alive(place: Place) -> Callable[[str], bool]:
    """What says whether a process still runs an item of the run of an id."""
    from pytest_specbench.reporting.progress import ProgressView

    return lambda run_id: bool(ProgressView(place.output / "progress" / run_id).processes())
