"""`specbench baseline approve | list | show | diff | retire | verify` and `specbench ack`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pytest_specbench.core.errors import ApprovalRefusedError, BlockedError, RunNotFoundError, UsageError
from pytest_specbench.core.status import EXIT_BLOCKED, EXIT_PASS, EXIT_REFUSED
from pytest_specbench.core.text import counted

if TYPE_CHECKING:
    from pytest_specbench.core.approval.audit import Trail
    from pytest_specbench.core.approval.baselines import BaselineRecord
    from pytest_specbench.core.settings import Settings
    from pytest_specbench.store.baselines.records import Baselines

type Work = Callable[[argparse.Namespace, "Settings"], int]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `baseline` and `ack`."""
    baseline = commands.add_parser("baseline", help="approve runs as baselines, and look after them")
    own = baseline.add_subparsers(required=True, metavar="COMMAND")
    _add_approve(own)
    shown = own.add_parser("list", help="all baselines with their status, acknowledgements, and candidates")
    shown.add_argument("--scenario", metavar="ID", help="of this scenario only")
    shown.add_argument("--format", choices=("table", "json"), default="table")
    shown.set_defaults(command=_command(_list))
    show = own.add_parser("show", help="one baseline")
    show.add_argument("baseline", metavar="BASELINE")
    show.add_argument("--format", choices=("table", "json"), default="table")
    show.set_defaults(command=_command(_show))
    diff = own.add_parser("diff", help="two baselines side by side, or the active one and what a run would make of it")
    diff.add_argument("baselines", nargs="*", metavar="BASELINE", help="an older and a newer one")
    diff.add_argument("--scenario", metavar="ID")
    diff.add_argument("--run", metavar="RUN")
    diff.add_argument("--portable", action="store_true", help="as for approve")
    diff.set_defaults(command=_command(_diff))
    retire = own.add_parser("retire", help="retire a baseline without a newer one")
    retire.add_argument("baseline", metavar="BASELINE")
    retire.add_argument("--reason", required=True, metavar="TEXT")
    _add_identity(retire)
    retire.set_defaults(command=_command(_retire))
    verify = own.add_parser("verify", help="look for edits, removals, reordering, and what is not signed")
    verify.add_argument("--trusted-ref", metavar="REF", help="and for what this git ref has and the work tree has not")
    verify.set_defaults(command=_command(_verify))
    _add_ack(commands)


def _add_approve(own: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    approve = own.add_parser("approve", help="make a recorded run the baseline of its scenario")
    approve.add_argument("--scenario", required=True, metavar="ID")
    approve.add_argument(
        "--run",
        required=True,
        metavar="RUN",
        help="id, folder or archive of the run, or latest; is imported if need be",
    )
    approve.add_argument("--notes", metavar="TEXT", help="why; kept in the record and in the audit trail")
    approve.add_argument("--dataset", metavar="REF", help="refuse a run of another dataset")
    approve.add_argument("--accept-regression", action="store_true", help="an acknowledged regression may become it")
    approve.add_argument("--reason", metavar="TEXT", help="why the regression is accepted")
    approve.add_argument(
        "--portable", action="store_true", help="hold what does not depend on the host, for every host"
    )
    approve.add_argument("--expires", metavar="YYYY-MM-DD", help="first day on which it does not count any more")
    approve.add_argument("--dry-run", action="store_true", help="show what would be done, and write nothing")
    _add_identity(approve)
    approve.set_defaults(command=_command(_approve))


def _add_ack(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ack = commands.add_parser("ack", help="acknowledge a known regression until a day")
    ack.add_argument("--scenario", required=True, metavar="ID")
    ack.add_argument("--run", metavar="RUN", help="the run that shows it: id, folder or latest")
    ack.add_argument("--reason", required=True, metavar="TEXT")
    ack.add_argument("--until", metavar="YYYY-MM-DD", help="first day on which it does not hold any more")
    ack.add_argument("--withdraw", action="store_true", help="end what is acknowledged of the scenario")
    _add_identity(ack)
    ack.set_defaults(command=_command(_ack))


def _add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rotation", metavar="NAME", help="rotation that you act for, of several")
    parser.add_argument("--signing-key", metavar="PATH", help="SSH key to sign with (default: git's)")


def _command(work: Work) -> Callable[[argparse.Namespace], int]:
    """The command that does `work` with the settings of this folder; what is refused exits with 4."""

    def run(arguments: argparse.Namespace) -> int:
        from pytest_specbench.commands.settings import settings_here

        given: dict[str, Any] = {
            name: getattr(arguments, name.replace("-", "_"), None)
            for name in ("run", "notes", "dataset", "rotation", "signing-key", "portable", "expires", "dry-run")
        }
        if getattr(arguments, "accept_regression", False):
            given["accept-regression"] = arguments.reason or " "
        elif getattr(arguments, "reason", None) and work is _approve:
            raise UsageError("--reason belongs to --accept-regression; --notes says why a run is approved")
        try:
            return work(arguments, settings_here(given))
        except (ApprovalRefusedError, RunNotFoundError) as error:
            print(f"specbench: {error}", file=sys.stderr)
            return EXIT_REFUSED
        except BlockedError as error:
            if work not in (_approve, _retire, _ack):
                raise
            print(f"specbench: {error}", file=sys.stderr)
            return EXIT_REFUSED

    return run


def _approve(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.approvals.approving import approve_as_asked
    from pytest_specbench.approvals.decisions import maintainer_of
    from pytest_specbench.approvals.proposals import propose_baseline
    from pytest_specbench.importing import with_imported_run
    from pytest_specbench.reporting.approvals import proposal_text

    settings = with_imported_run(settings, arguments.scenario)
    if settings.dry_run:
        proposal = propose_baseline(arguments.scenario, settings, maintainer_of(settings), now=datetime.now(UTC))
        print(proposal_text(proposal))
        return EXIT_REFUSED if proposal.reasons else EXIT_PASS
    print(approve_as_asked(arguments.scenario, settings))
    print(f"next: review and commit {settings.baselines}")
    return EXIT_PASS


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.reporting.approvals import is_expired, list_text, what_for

    everything = _everything(settings)
    everything = replace(everything, trail=_of_scenario(everything.trail, arguments.scenario))
    candidates = _candidates(settings, arguments.scenario)
    today = datetime.now(UTC).date()
    if arguments.format == "json":
        rows = [
            {
                "baseline_id": name,
                "status": one.status.value,
                "expired": is_expired(one, everything.records[name], today),
                "for": what_for(everything.records[name]),
                **one.approval.entry.model_dump(mode="json"),
            }
            for name, one in everything.trail.baselines.items()
        ]
        print(json.dumps({"baselines": rows, "candidates": candidates}, indent=2))
    else:
        print(list_text(everything, candidates, today))
    return EXIT_PASS


def _of_scenario(trail: Trail, scenario_id: str | None) -> Trail:
    """The part of the trail that is about one scenario, or all of it."""
    from pytest_specbench.core.approval.audit import Trail

    if scenario_id is None:
        return trail
    histories = {name: one for name, one in trail.baselines.items() if one.approval.entry.scenario_id == scenario_id}
    return Trail([filed for filed in trail.entries if filed.entry.scenario_id == scenario_id], (), histories)


def _candidates(settings: Settings, scenario_id: str | None) -> dict[str, str]:
    """How far the newest run of each scenario is on its way to a baseline."""
    from pytest_specbench.approvals.proposals import recorded_run
    from pytest_specbench.core.approval.eligibility import PASSING_RUNS, Wanted, streak
    from pytest_specbench.store.runs.history import History

    found: dict[str, str] = {}
    try:
        with History.open(settings.output) as history:
            for row in history.latest():
                if row.problem is not None or scenario_id not in (None, row.scenario_id):
                    continue
                run, _ = recorded_run(history, row.folder, row.scenario_id)
                wanted = Wanted(stochastic=run.min_rate is not None)
                runs = streak(run, history.runs(row.scenario_id, like=run, attempts=True), wanted).runs
                found[row.scenario_id] = f"{len(runs)} of {PASSING_RUNS} passing runs, newest {run.run_id}"
    except RunNotFoundError:
        pass  # nothing ran here yet
    return found


def _show(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.reporting.approvals import record_text

    everything = _everything(settings)
    record = _named(everything, arguments.baseline)
    if arguments.format == "json":
        print(record.model_dump_json(indent=2))
    else:
        print(record_text(record, everything.trail.baselines[record.baseline_id]))
    return EXIT_PASS


def _diff(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.approvals.decisions import maintainer_of
    from pytest_specbench.approvals.proposals import propose_baseline
    from pytest_specbench.importing import with_imported_run
    from pytest_specbench.reporting.approvals import difference_text, proposal_text

    if len(arguments.baselines) == 2 and not (arguments.scenario or arguments.run):
        everything = _everything(settings)
        old, new = (_named(everything, name) for name in arguments.baselines)
        print(difference_text(old, new))
        return EXIT_PASS
    if arguments.baselines or not (arguments.scenario and arguments.run):
        raise UsageError("name two baselines, or a run with --scenario and --run")
    settings = with_imported_run(settings, arguments.scenario)
    print(proposal_text(propose_baseline(arguments.scenario, settings, maintainer_of(settings), now=datetime.now(UTC))))
    return EXIT_PASS


def _retire(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.approvals.approving import retire

    entry = retire(arguments.baseline, arguments.reason, settings)
    print(f"retired {entry.baseline_id} by {entry.by} ({entry.rotation})\nnext: review and commit {settings.baselines}")
    return EXIT_PASS


def _verify(arguments: argparse.Namespace, settings: Settings) -> int:  # noqa: ARG001 - the form of a command
    from pytest_specbench.store.baselines.records import verify_baselines
    from pytest_specbench.store.trusted.authority import authority

    whose = authority(settings)
    work = whose.work
    problems = verify_baselines(work, whose.trust, trusted=whose.trusted)
    for problem in problems:
        print(f"{problem.name}: {problem.what}", file=sys.stderr)
    against = "" if settings.held is None else f", held against {settings.held.ref}"
    print(f"{work.label}{against}: {counted(len(problems), 'problem', 'problems') if problems else 'intact'}")
    return EXIT_BLOCKED if problems else EXIT_PASS


def _ack(arguments: argparse.Namespace, settings: Settings) -> int:
    from pytest_specbench.approvals.acknowledging import acknowledge, withdraw

    if arguments.withdraw:
        ended = withdraw(arguments.scenario, arguments.reason, settings)
        print(
            f"withdrawn by {ended[0].by}: {len(ended)} acknowledgements\nnext: review and commit {settings.baselines}"
        )
        return EXIT_PASS
    if not (arguments.run and arguments.until):
        raise UsageError("name the run with --run and the day with --until, or give --withdraw")
    try:
        until = date.fromisoformat(arguments.until)
    except ValueError:
        raise UsageError(f"--until {arguments.until!r} is no day", expected="YYYY-MM-DD") from None
    entry = acknowledge(arguments.scenario, until, arguments.reason, settings)
    print(f"acknowledged until {until} by {entry.by} ({entry.rotation}); a worse result still fails")
    print(f"next: review and commit {settings.baselines}")
    return EXIT_PASS


def _everything(settings: Settings) -> Baselines:
    from pytest_specbench.store.baselines.records import read_all
    from pytest_specbench.store.trusted.authority import authority

    whose = authority(settings)
    return read_all(whose.tree, whose.trust)


def _named(everything: Baselines, name: str) -> BaselineRecord:
    record = everything.records.get(name)
    if record is None:
        known = ", ".join(sorted(everything.records)) or "none"
        raise UsageError(f"there is no baseline {name!r}", expected=f"one of {known}", hint="specbench baseline list")
    return record
