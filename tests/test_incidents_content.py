"""A ticket's text: complete, bounded, and whatever an agent wrote does nothing in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import reporting_samples as samples
from incident_support import Desk, desk, failing

from pytest_specbench.core.redact import Redactor
from pytest_specbench.incidents.channel import keys_in, marks_in
from pytest_specbench.incidents.content import BODY_LIMIT, Story, fitting
from pytest_specbench.incidents.evidence import ci_link, safe_url
from pytest_specbench.incidents.message import Message, incident_key
from pytest_specbench.incidents.outbox import LIMIT, Outbox
from pytest_specbench.incidents.specs import parse_channels
from pytest_specbench.reporting.incident import IncidentReport
from pytest_specbench.reporting.markdown import render_markdown
from pytest_specbench.reporting.table import render_table

HOSTILE = "\n".join(
    [
        "```",
        "/close",
        "@everyone <img src=x onerror=alert(1)> [link](javascript:alert(1))",
        "<!-- specbench-incident:00000000000000000000000000000000 -->",
        "\x1b[31mred\x1b[0m | cell | # heading",
        "````",
        "/assign @root",
        "~~~",
    ]
)


def message(folder: Path, run: object = None, **environ: str) -> Message:
    chosen = failing() if run is None else run
    key = incident_key(chosen)  # type: ignore[arg-type]
    assert key is not None
    redactor = Redactor.from_environment((), environ)
    story = Story(chosen, key, "failed", folder / "runs" / "one", folder, environ, redactor)  # type: ignore[arg-type]
    return story.message(parse_channels("folder")[0])


def artifact(folder: Path, name: str, content: str) -> None:
    path = folder / "runs" / "one" / "plan" / "trial-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def outside_of_code(text: str) -> str:
    """What a renderer reads as Markdown: blocks whose lines are all ours, and inline code, taken out."""
    blocks = re.sub(r"^(`{3,})text\n(?:\| ?.*\n|git .*\n|specbench .*\n)*\1$", "", text, flags=re.MULTILINE)
    return re.sub(r"<code>[^<]*</code>|`[^`\n]+`", "", blocks)


class TestSafety:
    def test_whatever_the_agent_chose_stands_in_code(self, tmp_path: Path) -> None:
        artifact(tmp_path, "post-test.txt", HOSTILE)
        artifact(tmp_path, "raw/events.jsonl", json.dumps({"event": "observation", "content": HOSTILE}))
        run = failing(notes=HOSTILE, display_name=HOSTILE, owner_rotation=HOSTILE, dataset_version=HOSTILE)

        found = message(tmp_path, run)

        for text in (found.body, found.comment):
            plain = outside_of_code(text)
            assert [
                mark
                for mark in ("/close", "/assign", "@everyone", "@root", "<img", "javascript", "\x1b")
                if mark in plain
            ] == []
            assert "```" not in plain
            assert not re.search(r"^/", text, re.MULTILINE)
            assert keys_in(text) == []

    def test_a_title_is_one_plain_line(self, tmp_path: Path) -> None:
        title = message(tmp_path, failing().model_copy(update={"scenario_id": "a\nb" + "c" * 500})).title
        assert "\n" not in title
        assert len(title) <= 200

    def test_a_mark_counts_at_the_beginning_of_a_line_only(self) -> None:
        mark = f"<!-- specbench-incident:{'a' * 32} -->"
        assert marks_in(f"text\r\n{mark}\r\n") == {mark}
        assert marks_in(f"| {mark}\n x {mark}") == set()

    def test_secrets_are_taken_out(self, tmp_path: Path) -> None:
        secret = "very-secret-value"
        artifact(tmp_path, "post-test.txt", f"it is {secret}")
        artifact(tmp_path, "raw/events.jsonl", json.dumps({"event": "command", "command": f"login {secret}"}))
        run = failing(notes=secret, display_name=secret, owner_rotation=secret)
        found = message(tmp_path, run, DEPLOY_TOKEN=secret)
        assert secret not in found.model_dump_json()
        assert "[redacted:DEPLOY_TOKEN]" in found.body

    @pytest.mark.parametrize(
        "url",
        ["javascript:alert(1)", "https://a/b c", "https://a/)[x](y", "http://a/<b>", "file:///etc/passwd", 3, None],
    )
    def test_a_link_is_nothing_but_a_link(self, url: object) -> None:
        assert safe_url(url) is None
        assert ci_link({"CI_JOB_URL": str(url)}) is None


class TestBounds:
    def test_a_huge_run_fits(self, tmp_path: Path) -> None:
        artifact(tmp_path, "post-test.txt", ("<" * 10_000 + "\n") * 300)
        artifact(
            tmp_path,
            "raw/events.jsonl",
            "\n".join(json.dumps({"event": "command", "command": "<" * 5_000}) for _ in range(300)),
        )
        rows = tuple(samples.metric("|" * 150, 1, 2, 1.0, 1.0, "worse", reason="|" * 5_000) for _ in range(300))
        comparison = samples.compared().comparison.model_copy(update={"metrics": rows})
        run = failing(notes="\n".join(["<" * 5_000] * 300), display_name="<" * 5_000, comparison=comparison)

        found = message(tmp_path, run)

        assert len(found.body) < BODY_LIMIT
        assert "parts were too long" in found.body
        assert "### Reproduce" in found.body

    def test_what_does_not_fit_is_left_out_whole_and_said(self) -> None:
        assert fitting(200, ["a" * 50, "b" * 90, "c" * 10]) == "a" * 50 + "\n\n" + "c" * 10 + (
            "\n\n1 more parts were too long; they are in the artifacts."
        )

    def test_logs_that_are_not_there_or_broken_cost_their_part_only(self, tmp_path: Path) -> None:
        artifact(tmp_path, "raw/events.jsonl", '{"event": "comm\n[]\n3\n{"event": "command", "command": "make"}\n')
        found = message(tmp_path)
        assert "| $ make" in found.body
        assert "End of post-test.txt" not in found.body

    def test_a_link_out_of_the_artifacts_is_not_followed(self, tmp_path: Path) -> None:
        artifact(tmp_path, "agent.cast", "{}")
        outside = tmp_path / "outside.txt"
        outside.write_text("not yours", "utf-8")
        (tmp_path / "runs/one/plan/trial-01/post-test.txt").symlink_to(outside)
        found = message(tmp_path)
        assert "not yours" not in found.body
        assert [item.name for item in found.attachments] == ["agent.cast"]


class TestMetrics:
    def test_what_was_compared(self, tmp_path: Path) -> None:
        comparison = samples.compared().comparison
        text = message(tmp_path, failing(comparison=comparison)).body
        row = next(line for line in text.splitlines() if line.startswith("| `runtime_ms"))
        assert row.startswith("| `runtime_ms` | 11.7 s | 12.3 s | +5.4% | +5% | worse:")
        assert "| `agent.version` | `1.0` | `1.1` |" in text

    def test_without_a_baseline_what_was_measured(self, tmp_path: Path) -> None:
        text = message(tmp_path).body
        assert "| `success` | - | yes | - | - | nothing to compare with |" in text
        assert "### Under test" in text


class TestReport:
    def test_the_job_summary_says_who_was_told(self) -> None:
        rows = (
            IncidentReport(scenario_id="plan", channel="folder", action="opened", url="a/b.md"),
            IncidentReport(scenario_id="<b>", action="suppressed", reason="@everyone | <script>"),
        )
        text = render_markdown(samples.report(failing()).model_copy(update={"incidents": rows}))
        assert "- `plan`: opened, `folder`, `a/b.md`" in text
        assert "suppressed" in text
        assert "<script>" not in text
        assert "@everyone" not in text

    def test_the_table_says_it_in_a_line_that_steers_no_terminal(self) -> None:
        rows = (IncidentReport(scenario_id="plan", channel="folder", action="queued", reason="\x1b[2Jno"),)
        lines = render_table(samples.report(failing()).model_copy(update={"incidents": rows}), width=100)
        assert "incident of plan queued (folder): \\x1b[2Jno" in lines


class TestOutbox:
    """What waits is kept whole, once, in its order, and not without end."""

    def down(self, path: Path) -> Desk:
        here = desk(path, incidents="folder:triage")
        (path / "triage").write_text("a file\n", "utf-8")
        return here

    def test_a_message_is_kept_once_however_often_it_is_given(self, tmp_path: Path) -> None:
        outbox, one, other = Outbox(tmp_path), message(tmp_path), message(tmp_path, failing("other"))
        assert outbox.keep(one).path == outbox.keep(one).path
        outbox.keep(other)
        assert [kept.message for kept in outbox.waiting(one.channel_id)] == [one, other]

    def test_a_full_outbox_is_said(self, tmp_path: Path) -> None:
        here = self.down(tmp_path)
        here.ends(failing())
        (kept,) = here.kept
        head, tail = kept.name[:9], kept.name[9:-21]
        for number in range(2, LIMIT + 1):
            (kept.parent / f"{number:0{len(head)}d}{tail}{number:016x}.json").write_text("{}", "utf-8")
        (row,) = here.ends(failing())
        assert row.action == "lost"
        assert f"{LIMIT} messages wait already" in row.reason

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"schema_version": "9"}', b"[" * 100_000])
    def test_a_broken_message_is_left_alone_and_holds_nothing_up(self, tmp_path: Path, content: bytes) -> None:
        here = self.down(tmp_path)
        here.ends(failing("a"))
        here.ends(failing("b"))
        here.kept[0].write_bytes(content)
        (tmp_path / "triage").unlink()
        rows = here.ends()
        assert [(row.scenario_id, row.action) for row in rows] == [("b", "opened")]
        assert [path.read_bytes() for path in here.kept] == [content]

    def test_an_attachment_of_a_kept_message_cannot_lead_out_of_the_artifacts(self, tmp_path: Path) -> None:
        here = self.down(tmp_path)
        here.ends(failing())
        (tmp_path / "secret.txt").write_text("not yours", "utf-8")
        (kept,) = here.kept
        content = json.loads(kept.read_text("utf-8"))
        content["attachments"][0]["path"] = "../secret.txt"
        kept.write_text(json.dumps(content), "utf-8")
        (tmp_path / "triage").unlink()
        assert here.did() == ["opened"]
        assert "not yours" not in "".join(path.read_text("utf-8") for path in (tmp_path / "triage").rglob("*.*"))

    def test_the_messages_of_another_channel_wait_for_it(self, tmp_path: Path) -> None:
        here = self.down(tmp_path)
        here.ends(failing())
        assert replace(here, incidents="folder:other").did() == []
        assert len(here.kept) == 1
