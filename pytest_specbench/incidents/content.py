"""BenchmarkRun -> the text of a ticket. Whatever a scenario, an agent or a verifier chose stands in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.records import BenchmarkRun, Scalar
from pytest_specbench.core.redact import Redactor
from pytest_specbench.incidents.evidence import attachments, ci_link, command_log, post_test_tail
from pytest_specbench.incidents.message import Event, Message
from pytest_specbench.incidents.specs import Spec
from pytest_specbench.reporting.failure import rerun_command
from pytest_specbench.reporting.markdown import code, fence
from pytest_specbench.reporting.text import cut, printable, printable_lines
from pytest_specbench.reporting.values import UNKNOWN, show_cause, show_delta, show_status, show_value

BODY_LIMIT = 50_000
"""Characters of a ticket's text; GitHub takes 65,536, and links and marks are still to come."""
COMMENT_LIMIT = 20_000
_NOTE_LINES = 40
_ROWS = 40
_CELL = 200


@dataclass(frozen=True)
class Story:
    """Everything that messages about one benchmark run are made of."""

    run: BenchmarkRun
    key: str
    event: Event
    folder: Path
    """The run folder."""
    output: Path
    """The artifact root."""
    environ: Mapping[str, str]
    redactor: Redactor

    def message(self, spec: Spec) -> Message:
        """The message for a channel."""
        run, clean = self.run, self.redactor.text
        failed = self.event == "failed"
        return Message(
            channel_id=spec.channel_id,
            channel=clean(spec.shown),
            key=self.key,
            event=self.event,
            scenario_id=run.scenario_id,
            owner_rotation=clean(run.owner_rotation),
            status=run.status,
            cause=run.cause,
            run_id=str(run.run_id),
            commit_sha=run.commit_sha,
            dataset_version=run.dataset_version,
            title=cut(printable(clean(f"specbench: {run.scenario_id}: {show_cause(run.cause)}")), _CELL),
            body=self._body() if failed else "",
            comment=self._again() if failed else self._recovery(),
            attachments=attachments(run, self.folder, self.output, self.environ) if failed else (),
        )

    def _body(self) -> str:
        run = self.run
        status = show_status(run.status, run.comparison.baseline_id)
        what = "**failed**" if status == "failed" else f"is a **{status}**"
        intro = (
            f"{self._code(run.scenario_id)} ({self._code(run.display_name)}) {what}: "
            f"{show_cause(run.cause)}. {self._code(run.owner_rotation)} is to look at it."
        )
        return fitting(
            BODY_LIMIT,
            [
                intro,
                self._facts(),
                section("Why", self._block(run.notes)),
                section("Metrics", self._metrics()),
                section(*self._subject()),
                section("Reproduce", self._reproduce()),
                section("End of the command log", block(command_log(run, self.folder, self.redactor))),
                section("End of post-test.txt", block(post_test_tail(run, self.folder, self.redactor))),
            ],
        )

    def _again(self) -> str:
        intro = f"It failed again: {show_cause(self.run.cause)}."
        why = self._block(self.run.notes)
        tail = section("End of post-test.txt", block(post_test_tail(self.run, self.folder, self.redactor)))
        return fitting(COMMENT_LIMIT, [intro, self._facts(), why, section("Metrics", self._metrics()), tail])

    def _recovery(self) -> str:
        return fitting(COMMENT_LIMIT, ["It passes again, so this is closed.", self._facts()])

    def _facts(self) -> str:
        run, link = self.run, ci_link(self.environ)
        status = show_status(run.status, run.comparison.baseline_id)
        place = self.folder.relative_to(self.output) if self.folder.is_relative_to(self.output) else self.folder
        rows = [
            ("status", f"{status} ({show_cause(run.cause)})" + (", flaky" if run.flaky else "")),
            ("owner", self._code(run.owner_rotation)),
            (
                "commit",
                self._code(run.commit_sha or "unknown") + ("" if run.clean else ", with changes that it does not hold"),
            ),
            ("run", self._code(str(run.run_id)) + (f", [the CI job]({link})" if link else "")),
            ("executed at", run.executed_at.isoformat(timespec="seconds")),
            ("dataset", self._code(run.dataset_version)),
            ("baseline", self._code(run.comparison.baseline_id or "none")),
            ("artifacts", self._code(f"{place.as_posix()}/{run.artifacts_path}")),
        ]
        return table(("", ""), rows)

    def _metrics(self) -> str:
        run = self.run
        rows = [
            (
                self._code(item.name) + ("" if item.tracked else " (not tracked)"),
                self._value(item.name, item.baseline),
                self._value(item.name, item.measured),
                show_delta(item.delta_percent),
                _threshold(item.name, item.threshold_percent),
                item.result + (f": {self._code(item.reason)}" if item.reason else ""),
            )
            for item in run.comparison.metrics
            if item.tracked or item.result != "not compared"
        ]
        if not rows:
            measured = {name: run.metrics[name] for name in run.metrics_tracked if name in run.metrics}
            rows = [
                (self._code(name), UNKNOWN, self._value(name, found.value), UNKNOWN, UNKNOWN, "nothing to compare with")
                for name, found in measured.items()
            ]
        return table(("metric", "baseline", "measured", "delta", "threshold", ""), rows[:_ROWS]) if rows else ""

    def _subject(self) -> tuple[str, str]:
        run = self.run
        if run.comparison.baseline_id is None:
            subject: Mapping[str, Scalar] = run.fingerprint.subject if run.fingerprint else {}
            rows = [(self._code(name), self._scalar(value)) for name, value in subject.items()]
            return "Under test", table(("", ""), rows[:_ROWS]) if rows else ""
        changes = run.comparison.subject_changes
        found = [(self._code(each.name), self._scalar(each.baseline), self._scalar(each.measured)) for each in changes]
        unchanged = "Nothing that the fingerprint holds."
        return (
            "Changed under test since the baseline",
            table(("", "baseline", "this run"), found[:_ROWS]) if found else unchanged,
        )

    def _reproduce(self) -> str:
        sha = self.run.commit_sha
        lines = [*([f"git checkout {sha}"] if sha else []), rerun_command(self.run)]
        return fence(self.redactor.text("\n".join(lines)))

    def _block(self, text: str) -> str:
        lines = printable_lines(self.redactor.text(text))
        more = [f"... and {len(lines) - _NOTE_LINES} more lines"] if len(lines) > _NOTE_LINES else []
        return block([*(cut(line, 500) for line in lines[:_NOTE_LINES]), *more])

    def _code(self, text: str) -> str:
        return code(cut(printable(self.redactor.text(text)), _CELL))

    def _scalar(self, value: Scalar) -> str:
        return UNKNOWN if value is None else self._code(str(value))

    def _value(self, name: str, value: float | int | bool | None) -> str:
        return show_value(name, value)


def block(lines: Sequence[str]) -> str:
    """Printable lines as a code block. Each has a mark of its own in front, so that none of them ends the block or is a
    command to the tracker, however its reader counts backticks; nothing for no lines.
    """
    return "\n".join(["```text", *(f"| {line}".rstrip(" ") for line in lines), "```"]) if lines else ""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the cells are safe already."""
    rule = "|".join([" --- "] * len(titles))
    return "\n".join([f"| {' | '.join(titles)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])


def section(title: str, text: str) -> str:
    """A heading and its text; nothing without one."""
    return f"### {title}\n\n{text}" if text else ""


def fitting(limit: int, parts: Sequence[str]) -> str:
    """The parts that fit into a limit, in their order; what does not fit is left out whole, and that is said."""
    kept: list[str] = []
    left, omitted = limit - 100, 0
    for part in filter(None, parts):
        if len(part) + 2 <= left:
            kept.append(part)
            left -= len(part) + 2
        else:
            omitted += 1
    said = [f"{omitted} more parts were too long; they are in the artifacts."] if omitted else []
    return "\n\n".join([*kept, *said])


def _threshold(name: str, percent: float | None) -> str:
    if percent is None:
        return UNKNOWN
    return f"{'+' if name not in METRICS or METRICS[name].more_is_worse else '-'}{percent:g}%"
