"""`specbench validate`: scenario files without running them; with `--strict` also what governs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench.core.errors import ScenarioError, SpecbenchError, UsageError
from pytest_specbench.core.text import counted, one_line

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
    from pytest_specbench.agents import AGENTS
    from pytest_specbench.agents.deny_rules import check_deny_rules
    from pytest_specbench.commands.place import configuration
    from pytest_specbench.commands.settings import settings_here
    from pytest_specbench.scenarios.loader import check_unique, find_scenarios, load_scenario
    from pytest_specbench.store.trusted.laid_out import laid_out
    from pytest_specbench.verifiers import CHECKS

    loaded: list[LoadedScenario] = []
    problems: list[str] = []
    held = laid_out(Path.cwd())
    registry = configuration(Path.cwd())[1].get("specbench_registry")
    files = find_scenarios(
        arguments.paths if held is None else [held.under_test(path.absolute()) for path in arguments.paths]
    )
    if not files:
        problems.append(f"no scenario file below {', '.join(map(str, arguments.paths))}; expected *.scenario.yaml")
    for path in files:
        try:
            one = load_scenario(path, known_checks=CHECKS.names())
            _check_agent(one)
            _check_membership(one, registry)
            if one.scenario.allow.deny and (held is None or one.scenario.agent.name in AGENTS.names()):
                check_deny_rules(one, asked_for=settings_here().agent)
            loaded.append(one)
        except ScenarioError as error:
            problems.append(str(error))
    try:
        check_unique(loaded)
    except ScenarioError as error:
        problems.append(str(error))
    if arguments.strict:
        problems += _governed(loaded, settings_here(), arguments.paths)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(loaded)} of {len(files)} scenario files are valid" + _tail(arguments, problems))
    return EXIT_INVALID if problems else 0


def _check_agent(loaded: LoadedScenario) -> None:
    """Raises ScenarioError for an agent that nobody registered, or an option that it does not have. One that is
    `module:Class` is not looked at: nothing that a scenario names is run here.
    """
    from pytest_specbench.agents import AGENTS

    agent = loaded.scenario.agent
    if ":" in agent.name:
        return
    try:
        AGENTS.load(agent.name)(**agent.options)
    except UsageError as error:
        where = loaded.where("agent", "name" if agent.name not in AGENTS.names() else "options")
        raise ScenarioError(error.message, where=where, expected=error.expected) from None
    except Exception as error:  # noqa: BLE001 - an agent of somebody else's refuses in its own way
        raise ScenarioError(
            f"the agent {agent.name!r} cannot be made: {type(error).__name__}: {one_line(str(error))}",
            where=loaded.where("agent", "options"),
            expected="options that it takes",
        ) from None


def _check_membership(loaded: LoadedScenario, registry: str | None) -> None:
    """Raises ScenarioError where the registry does not list it: the one that is configured, else the nearest."""
    from pytest_specbench.scenarios.datasets import contains, resolve_dataset
    from pytest_specbench.scenarios.registry_file import nearest_registry

    reference = loaded.scenario.registry_version
    if registry is not None and "://" in registry:
        return  # nothing is fetched here
    if registry is None and nearest_registry(loaded.folder) is None:
        return  # which one counts, the invocation will say
    try:
        dataset = resolve_dataset(reference, registry=registry, near=loaded.folder)
    except SpecbenchError as error:
        where = loaded.where("registry_version")
        raise ScenarioError(f"the dataset {reference} is not there: {error}", where=where) from None
    if not contains(dataset, loaded):
        raise ScenarioError(
            f"the dataset {reference} does not list the scenario {loaded.scenario.scenario_id!r}",
            where=loaded.where("registry_version"),
            expected="its id in task_id_subset of the registry, or the dataset that holds it",
        )


def _tail(arguments: argparse.Namespace, problems: Sequence[str]) -> str:
    if not arguments.strict:
        return ""
    return (
        f"; {counted(len(problems), 'problem', 'problems')}"
        if problems
        else "; owners, locks, baselines and audit trail are in order"
    )


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
    from pytest_specbench.store.trusted.authority import authority

    try:
        whose = authority(settings)
        broken = verify_baselines(whose.work, whose.trust, trusted=whose.trusted)
    except SpecbenchError as error:
        yield str(error)
        return
    yield from (f"{whose.work.label}/{one.name}: {one.what}" for one in broken)
    yield from _against_the_ref(loaded, settings, whose, paths)
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


def _against_the_ref(
    loaded: Sequence[LoadedScenario], settings: Settings, whose: Authority, paths: Sequence[Path]
) -> Iterator[str]:
    """What a change would do to approved scenarios once it is merged; until then the ref's are run."""
    if settings.held is None:
        return
    from pytest_specbench.gate.facts import gate_of
    from pytest_specbench.scenarios.loader import find_scenarios, load_scenario
    from pytest_specbench.store.baselines.records import read_baselines

    now = {one.scenario.scenario_id: one for one in loaded}
    places = [path for path in map(Path.absolute, paths) if path.exists()]
    for path in find_scenarios(places) if places else ():
        if settings.adds(path):
            continue
        before = load_scenario(path)
        scenario_id = before.scenario.scenario_id
        active = read_baselines(whose.tree, scenario_id, whose.trust).active
        one = now.get(scenario_id)
        place = path.relative_to(settings.root)
        if not active:
            continue
        if one is None:
            yield (
                f"{place}: the scenario {scenario_id!r}, which has an active baseline at {settings.held.ref}, is not "
                "below the paths given any more\n"
                f"  next: bring it back, or specbench baseline retire {active[0].baseline_id} --reason TEXT"
            )
        elif gate_of(one.scenario) not in (gate_of(before.scenario), *(dict(each.fingerprint.gate) for each in active)):
            yield (
                f"{one.where('scenario_id')}: it is judged otherwise than at {settings.held.ref} (tracked metrics, "
                "thresholds, trials, subject, success), and than by its active baseline\n"
                "  next: approve it anew, signed; or make it a change of its own"
            )
