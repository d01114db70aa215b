"""What a session does about incidents at its end: who is to be told what, and what became of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.incidents.branches import place_of, why_not
from pytest_specbench.incidents.channel import Budget, Context
from pytest_specbench.incidents.content import Story
from pytest_specbench.incidents.deliver import Round
from pytest_specbench.incidents.message import event_of, incident_key
from pytest_specbench.incidents.outbox import Outbox
from pytest_specbench.incidents.permission import keeps_back
from pytest_specbench.incidents.specs import Spec, parse_channels
from pytest_specbench.reporting.incident import IncidentReport
from pytest_specbench.reporting.report import Report
from pytest_specbench.reporting.text import printable
from pytest_specbench.store.baselines.identity import email_by_git

CHANNEL_SEC = 15.0
"""How long all channels together may take, each in a thread of its own."""
SECRETS = ("SPECBENCH_WEBHOOK_URL", "SPECBENCH_WEBHOOK_SECRET", "GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN")


def with_incidents(
    report: Report,
    runs: Sequence[BenchmarkRun],
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    seconds: float = CHANNEL_SEC,
) -> Report:
    """Tell the channels of this session's regressions and recoveries; the report, with what became of that.

    `runs` are the verdicts that count; all channels together have `seconds`, and none in a session that was stopped.
    Never raises: whatever happens here, the verdicts stand.
    """
    try:
        found = _incidents(runs, settings, environ, Budget(0.0 if report.interrupted else seconds))
    except Exception as error:  # noqa: BLE001 - a defect here must not cost a verdict
        why = printable(f"{type(error).__name__} while incidents were dealt with")
        found = [_row(run, "lost", why) for run in runs if event_of(run) == "failed"]
    return report.model_copy(update={"incidents": tuple(found)})


def _incidents(
    runs: Sequence[BenchmarkRun], settings: Settings, environ: Mapping[str, str], budget: Budget
) -> list[IncidentReport]:
    redactor = Redactor.from_environment(SECRETS, environ)
    failed = [run for run in runs if event_of(run) == "failed"]
    option = keeps_back(settings)
    if option is not None:
        why = f"{option} by {_user(settings)}, whose identity was not verified"
        return [_row(run, "suppressed", redactor.text(why)) for run in failed]
    specs = parse_channels(settings.incidents)
    if not specs:
        return []
    reason = why_not(settings.incident_branches, place_of(settings.work_tree, environ))
    if reason is not None:
        return [_row(run, "suppressed", redactor.text(reason)) for run in failed]
    told = [_row(run, "suppressed", "it has no fingerprint") for run in failed if incident_key(run) is None]
    stories = [_story(run, settings, environ, redactor) for run in runs]
    known = [story for story in stories if story is not None]
    rounds = [
        _round(spec, known, settings, Context(environ, settings.work_tree, settings.output, redactor, budget))
        for spec in specs
    ]
    rows = _run(rounds, budget)
    order = {run.scenario_id: number for number, run in enumerate(runs)}
    found = [*told, *rows]
    return sorted(found, key=lambda row: order.get(row.scenario_id, len(order)))


def _story(run: BenchmarkRun, settings: Settings, environ: Mapping[str, str], redactor: Redactor) -> Story | None:
    event, key = event_of(run), incident_key(run)
    if event is None or key is None:
        return None
    return Story(run, key, event, settings.run_folder, settings.output, environ, redactor)


def _round(spec: Spec, stories: Sequence[Story], settings: Settings, context: Context) -> Round:
    outbox = Outbox(settings.output / "incidents" / "outbox")
    return Round(spec, context, outbox, [story.message(spec) for story in stories])


def _run(rounds: Sequence[Round], budget: Budget) -> list[IncidentReport]:
    """Run every round in a thread, and leave behind those that take too long: from then on they send nothing more."""
    threads = [threading.Thread(target=each.run, name="specbench-incidents", daemon=True) for each in rounds]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(budget.remaining() + 0.5)
    except KeyboardInterrupt:
        pass  # the session is at its end anyway: what is left is kept for the next one
    budget.cancel()
    return [row for each in rounds for row in each.rest()]


def _user(settings: Settings) -> str:
    try:
        return email_by_git(settings) or "nobody that git knows"
    except SpecbenchError:
        return "nobody that git knows"


def _row(run: BenchmarkRun, action: str, reason: str) -> IncidentReport:
    return IncidentReport.model_validate(
        {"scenario_id": run.scenario_id, "action": action, "reason": printable(reason)}
    )
