"""Who is told, and when: shown with the channel that is there by default, a folder of Markdown files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from incident_support import Desk, desk, failing, known, passing

from pytest_specbench.core.status import Cause, Status


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    return desk(tmp_path)


class TestLife:
    def test_a_regression_opens_a_ticket_a_repeat_adds_to_it_and_a_pass_closes_it(self, here: Desk) -> None:
        (opened,) = here.ends(failing())
        (path,) = here.tickets
        assert (opened.action, opened.channel, opened.reason) == ("opened", "folder", "")
        assert here.path / (opened.url or "") == path
        assert path.name.endswith(".open.md")
        assert "It failed again" not in path.read_text("utf-8")

        (again,) = here.ends(failing())
        assert (again.action, again.url) == ("commented", opened.url)
        assert here.tickets == [path]
        assert path.read_text("utf-8").count("It failed again") == 1

        (closed,) = here.ends(passing())
        assert closed.action == "closed"
        (path,) = here.tickets
        assert here.path / (closed.url or "") == path
        assert path.name.endswith(".closed.md")
        assert "It passes again" in path.read_text("utf-8")

    def test_after_a_recovery_the_next_regression_is_a_new_ticket(self, here: Desk) -> None:
        assert [here.did(failing()), here.did(passing()), here.did(failing())] == [["opened"], ["closed"], ["opened"]]
        assert len(here.tickets) == 2

    def test_a_pass_without_a_ticket_is_nothing_to_tell_and_leaves_nothing(self, here: Desk) -> None:
        assert here.ends(passing()) == []
        assert not here.output.joinpath("incidents").exists()

    def test_a_metric_regression_is_told_too(self, here: Desk) -> None:
        assert here.did(failing(cause=Cause.METRIC_REGRESSION)) == ["opened"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": Status.BLOCKED, "cause": Cause.SANDBOX_FAILED},
            {"status": Status.PROVISIONAL},
            {"status": Status.PASS, "cause": Cause.ACKNOWLEDGED, "acknowledgement": "20260101-abc"},
        ],
        ids=lambda changes: str(changes["status"]),
    )
    def test_what_says_nothing_of_the_agent_opens_nothing_and_closes_nothing(
        self, here: Desk, changes: dict[str, Any]
    ) -> None:
        assert here.ends(known("plan", **changes)) == []
        here.ends(failing())
        assert here.ends(known("plan", **changes)) == []
        assert [path.name.endswith(".open.md") for path in here.tickets] == [True]

    def test_each_scenario_and_each_instrument_has_a_ticket_of_its_own(self, here: Desk) -> None:
        other = {"agent": "nop"}
        assert here.did(failing("plan"), failing("tasks")) == ["opened", "opened"]
        assert here.did(failing("plan", instrument=other)) == ["opened"]
        assert here.did(passing("plan", instrument=other)) == ["closed"]
        assert sum(path.name.endswith(".open.md") for path in here.tickets) == 2

    def test_what_is_under_test_and_the_host_do_not_make_another_ticket(self, here: Desk) -> None:
        run = failing()
        assert run.fingerprint is not None
        moved = run.fingerprint.model_copy(update={"subject": {"agent_version": "3"}, "host": {"class": "other"}})
        here.ends(run)
        assert here.did(run.model_copy(update={"fingerprint": moved})) == ["commented"]

    def test_without_a_fingerprint_nobody_is_told_and_the_report_says_so(self, here: Desk) -> None:
        (row,) = here.ends(failing(fingerprint=None))
        assert (row.action, row.reason) == ("suppressed", "it has no fingerprint")

    def test_none_tells_nobody(self, here: Desk) -> None:
        here.incidents = "none"
        assert here.ends(failing()) == []


class TestTicket:
    def test_what_it_holds(self, here: Desk) -> None:
        here.ends(failing())
        text = here.tickets[0].read_text("utf-8")
        for said in ("artifact missing", "`guild`", "no plan.md", "spec-kit", "git checkout c0ffee"):
            assert said in text
        assert "specbench run --scenarios plan" in text
        assert "| $ make plan" in text
        assert "| exit status: 2" in text

    def test_the_artifacts_lie_beside_it_and_its_links_lead_to_them(self, here: Desk) -> None:
        here.ends(failing())
        (path,) = here.tickets
        for name in ("agent.cast", "events.jsonl", "post-test.txt"):
            link = f"{path.name.removesuffix('.open.md')}/{name}"
            assert f"[attached]({link})" in path.read_text("utf-8")
            assert (path.parent / link).is_file()

    def test_a_folder_of_its_own(self, here: Desk) -> None:
        here.incidents = "folder:triage/open"
        (row,) = here.ends(failing())
        assert (row.channel, (row.url or "").startswith("triage/open/plan-")) == ("folder:triage/open", True)
        assert (here.path / (row.url or "")).is_file()


class TestTrouble:
    def test_a_folder_that_cannot_be_written_keeps_the_message_for_the_next_run(self, here: Desk) -> None:
        here.incidents = "folder:triage"
        (here.path / "triage").write_text("a file\n", "utf-8")
        (row,) = here.ends(failing())
        assert (row.action, "cannot be used" in row.reason) == ("queued", True)

        (here.path / "triage").unlink()
        assert here.did() == ["opened"]
        assert here.kept == []

    def test_a_link_in_the_place_of_a_ticket_is_not_followed(self, here: Desk) -> None:
        here.ends(failing())
        (path,) = here.tickets
        secret = here.path / "elsewhere.md"
        path.rename(secret)
        path.symlink_to(secret)
        before = secret.read_text("utf-8")
        assert here.did(failing()) == ["queued"]
        assert secret.read_text("utf-8") == before

    def test_nowhere_to_keep_it_either_is_said(self, here: Desk) -> None:
        here.output.mkdir()
        (here.output / "incidents").write_text("a file\n", "utf-8")
        (row,) = here.ends(failing())
        assert row.action == "lost"
        assert "cannot be kept" in row.reason

    def test_sessions_at_the_same_time_open_one_ticket(self, here: Desk) -> None:
        """Four of them, each with an artifact root of its own, share a folder."""
        desks = [replace(here, artifacts=f"root-{number}", incidents="folder:shared") for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            actions = list(pool.map(lambda each: each.did(failing()), desks))

        assert [action for (action,) in actions if action not in {"opened", "commented"}] == []
        (ticket,) = (here.path / "shared").glob("*.md")
        assert ticket.read_text("utf-8").count("It failed again") == 3

    def test_a_channel_that_throws_changes_nothing_else(self, here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        from pytest_specbench.incidents.folder import FolderChannel

        monkeypatch.setattr(FolderChannel, "find_open", lambda *_: {}["no such key"])
        (row,) = here.ends(failing())
        assert (row.action, row.reason) == ("queued", "KeyError in the channel; kept for the next run")
