"""`specbench validate`: scenario files without running them; with `--strict` also what governs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench.core.errors import ScenarioError, SpecbenchError

if TYPE_CHECKING:
    from pytest_specbench.core.settings import Settings
    from pytest_specbench.scenarios.loader import LoadedScenario
    from pytest_specbench.store.trusted.authority import Authority

EXIT_INVALID = 1


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    validate = commands.add_parser("validate", help="check scenario files without running them")
    validate.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="scenario file, or folder to search")
    validate.add_argument(
        "--strict",
        action="store_true",
        help="and that each has an owner, a lock entry and an active baseline or the mark `provisional`, and that no "
        "baseline changed without an audit entry",
    )
    validate.add_argument("--trusted-ref", metavar="REF", help="with --strict: and that nothing that this has is gone")
    validate.set_defaults(command=_validate)


def _validate(arguments: argparse.Namespace) -> int:
    """Check every scenario file and print every problem; exit 1 when there is one."""
    from pytest_specbench.agents.deny_rules import check_deny_rules
    from pytest_specbench.commands.settings import settings_here
    from pytest_specbench.scenarios.loader import check_unique, find_scenarios, load_scenario
    from pytest_specbench.verifiers import CHECKS

    loaded: list[LoadedScenario] = []
    problems: list[str] = []
    files = find_scenarios(arguments.paths)
    if not files:
        problems.append(f"no scenario file below {', '.join(map(str, arguments.paths))}; expected *.scenario.yaml")
    for path in files:
        try:
            one = load_scenario(path, known_checks=CHECKS.names())
            if one.scenario.allow.deny:
                check_deny_rules(one, asked_for=settings_here().agent)
            loaded.append(one)
        except ScenarioError as error:
            problems.append(str(error))
    try:
        check_unique(loaded)
    except ScenarioError as error:
        problems.append(str(error))
    if arguments.strict:
        problems += _governed(loaded, settings_here({"trusted-ref": arguments.trusted_ref}), arguments.paths)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(loaded)} of {len(files)} scenario files are valid" + _tail(arguments, problems))
    return EXIT_INVALID if problems else 0


def _tail(arguments: argparse.Namespace, problems: Sequence[str]) -> str:
    if not arguments.strict:
        return ""
    return f"; {len(problems)} problems" if problems else "; owners, locks, baselines and audit trail are in order"


def _governed(loaded: Sequence[LoadedScenario], settings: Settings, paths: Sequence[Path]) -> Iterator[str]:
    """What is missing around the scenarios, a sentence each."""
    from pytest_specbench.store.lock import LOCK_NAME, read_lock

    for one in loaded:
        try:
            pinned = read_lock(one.folder).content.sandboxes.values()
            if not any(one.scenario.scenario_id in entries for entries in pinned):
                yield f"{one.where('scenario_id')}: {LOCK_NAME} has no entry for it\n  next: specbench lock, and commit"
        except SpecbenchError as error:
            yield str(error)
    yield from _approved(loaded, settings, paths)


def _approved(loaded: Sequence[LoadedScenario], settings: Settings, paths: Sequence[Path]) -> Iterator[str]:
    from pytest_specbench.store.baselines.records import read_baselines, verify_baselines
    from pytest_specbench.store.trees import FolderTree
    from pytest_specbench.store.trusted.authority import authority

    try:
        folders = [Path(os.path.abspath(path if path.is_dir() else path.parent)) for path in paths]  # noqa: PTH100 - links
        below = [folder for folder in folders if folder.is_relative_to(settings.root)]
        whose = authority(settings, places=below)
        work = FolderTree(settings.baselines)
        broken = verify_baselines(work, whose.trust, trusted=whose.trusted)
    except SpecbenchError as error:
        yield str(error)
        return
    yield from (f"{work.label}/{one.name}: {one.what}" for one in broken)
    yield from (one.sentence for one in whose.altered if one.blocks)
    yield from _escaping(loaded, whose, paths)
    for one in loaded if not broken else ():
        active = read_baselines(whose.tree, one.scenario.scenario_id, whose.trust).active
        if not active and not one.scenario.provisional:
            yield (
                f"{one.where('scenario_id')}: it has no active baseline, and is not marked\n"
                f"  next: specbench baseline approve --scenario {one.scenario.scenario_id} --run latest, or "
                "`provisional: true` in the scenario"
            )
        if active and one.scenario.provisional:
            yield f"{one.where('provisional')}: it is marked, and has the active baseline {active[0].baseline_id}"


def _escaping(loaded: Sequence[LoadedScenario], whose: Authority, paths: Sequence[Path]) -> Iterator[str]:
    """What a change does about the scenarios of the trusted ref, as far as it can be told without a run."""
    from pytest_specbench.gate.escapes import Asked, missing
    from pytest_specbench.gate.facts import gate_of
    from pytest_specbench.store.baselines.records import read_baselines

    asked = Asked(
        paths=tuple(Path(os.path.abspath(path)) for path in paths),  # noqa: PTH100 - links are told apart later
        not_entered=(".*", "__pycache__", "node_modules", "venv"),
    )
    yield from missing(whose, asked, {one.scenario.scenario_id for one in loaded})
    for one in loaded:
        scenario_id = one.scenario.scenario_id
        try:
            active = read_baselines(whose.tree, scenario_id, whose.trust).active
            whose.refuse_loosened(scenario_id, None, gate_of(one.scenario), active)
        except SpecbenchError as error:
            yield str(error)
