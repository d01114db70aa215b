"""Issues of GitHub and GitLab: opened, commented, closed, and found again, over real HTTP; and whatever goes wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from incident_server import TOKEN, Fault, Ticket, TrackerServer
from incident_support import Desk, desk, failing, loopback, passing, tracker_desk  # noqa: F401 - a fixture

both = pytest.mark.parametrize("kind", ["github", "gitlab"])


def texts(here: Desk) -> str:
    """Everything below the artifact root, in one text."""
    return "".join(path.read_text("utf-8", "replace") for path in here.output.rglob("*") if path.is_file())


@both
class TestLife:
    def test_opened_commented_closed_and_opened_anew(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)

            (row,) = here.ends(failing())
            assert (row.action, row.channel) == ("opened", f"{kind}:team/tool")
            assert (row.url or "").startswith(f"{server.url}/team/tool/")
            (ticket,) = server.open
            assert ticket.title == "specbench: plan: artifact missing"
            assert ticket.labels == ["specbench-incident"]
            assert "no plan.md" in ticket.body

            assert here.did(failing()) == ["commented"]
            assert (len(server.open), len(ticket.comments)) == (1, 1)
            assert here.did(passing()) == ["closed"]
            assert (ticket.state, len(ticket.comments)) == ("closed", 2)
            assert here.did(passing()) == []
            assert here.did(failing()) == ["opened"]
            assert [each.number for each in server.open] == [2]

    def test_another_machine_finds_the_ticket(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            here.ends(failing())
            assert replace(here, artifacts="elsewhere").did(failing()) == ["commented"]

    def test_a_ticket_beyond_the_first_page_is_found(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            server.tickets += [Ticket(n, "other", "", ["specbench-incident"]) for n in range(1, 131)]
            here.ends(failing())
            assert here.did(failing()) == ["commented"]

    def test_one_listing_serves_all_scenarios(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            here.ends(*(passing(name) for name in "abcdef"))
            assert len([each for each in server.requests if each.path.endswith("/issues")]) == 2

    def test_a_strangers_copy_of_the_mark_is_not_ours(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            here.ends(failing())
            server.tickets[0].labels, server.tickets[0].author = [], "stranger"
            assert here.did(failing()) == ["opened"]
            assert server.tickets[0].comments == []

    def test_who_may_not_label_finds_what_they_opened(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(may_label=False) as server:
            here = tracker_desk(tmp_path, server, kind)
            assert [here.did(failing()), here.did(failing())] == [["opened"], ["commented"]]

    def test_two_that_opened_at_the_same_moment_end_up_with_the_older_one(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            here.ends(failing())
            # The second session's first look comes before the first session's issue is there.
            server.faults = [
                Fault(200, b"[]", method="GET", path="/issues"),
                Fault(200, b"[]", method="GET", path="/iss"),
            ]
            (row,) = replace(here, artifacts="elsewhere").ends(failing())

            assert (row.url or "").endswith("/1")
            assert [ticket.number for ticket in server.open] == [1]
            assert len(server.tickets[0].comments) == 1
            assert "/1, which is older" in server.tickets[1].comments[0]

    def test_parallel_sessions_on_one_machine_open_one(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            desks = [replace(here, sessions=10 * number) for number in range(3)]
            with ThreadPoolExecutor(3) as pool:
                actions = sorted(action for did in pool.map(lambda each: each.did(failing()), desks) for action in did)
            assert actions == ["commented", "commented", "opened"]
            assert len(server.tickets) == 1


@both
class TestTrouble:
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (Fault(500, always=True), "it answered 500: no"),
            (Fault(503, b"<html>", always=True), "it answered 503"),
            (Fault(429, headers={"Retry-After": "86400"}, always=True), "rate limited"),
            (Fault(403, headers={"Retry-After": "86400"}, always=True), "rate limited"),
            (Fault(403, headers={"X-RateLimit-Remaining": "0"}, always=True), "rate limited"),
            (Fault(403, always=True), "is the token allowed to do this?: no"),
            (Fault(200, b"<html>hello</html>", always=True), "no JSON"),
            (Fault(200, b'{"message": "strange"}', always=True), "no list"),
            (Fault(200, b"[3]", always=True), "no list"),
            (Fault(200, b"[{}]", always=True), "that can be used"),
            (Fault(drop=True, always=True), "cannot be reached"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_server_in_trouble_keeps_the_message_and_the_next_run_delivers_it(
        self, tmp_path: Path, kind: str, fault: Fault, said: str
    ) -> None:
        with TrackerServer(fault) as server:
            here = tracker_desk(tmp_path, server, kind)
            (row,) = here.ends(failing())
            assert (row.action, said in row.reason) == ("queued", True), row.reason
            assert len(here.kept) == 1

            server.faults.clear()
            (row,) = here.ends(passing("other"))
            assert (row.scenario_id, row.action, row.reason) == ("plan", "opened", "kept from an earlier run")
            assert here.kept == []
            assert len(server.open) == 1

    def test_a_server_that_is_not_there(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            pass
        (row,) = tracker_desk(tmp_path, server, kind).ends(failing())
        assert (row.action, row.reason) == ("queued", "it cannot be reached; kept for the next run")

    def test_a_server_that_never_answers_is_left_behind(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(Fault(hold=True)) as server:
            here = tracker_desk(tmp_path, server, kind, seconds=0.3)
            assert here.did(failing()) == ["queued"]
            here.seconds = 30.0
            assert here.did(failing()) == ["opened", "commented"]
            assert len(server.open) == 1

    def test_what_is_being_sent_is_kept_so_that_a_killed_process_loses_nothing(self, tmp_path: Path, kind: str) -> None:
        with ThreadPoolExecutor(1) as pool:
            with TrackerServer(Fault(hold=True)) as server:
                here = tracker_desk(tmp_path, server, kind)
                session = pool.submit(here.did, failing())
                server.holding.wait()
                assert len(here.kept) == 1
            assert session.result() == ["queued"]

    def test_a_wait_that_the_server_asks_for_is_waited(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(
            Fault(429, headers={"Retry-After": "0"}), Fault(403, headers={"Retry-After": "0"})
        ) as server:
            assert tracker_desk(tmp_path, server, kind).did(failing()) == ["opened"]

    def test_what_arrived_without_an_answer_is_not_said_twice(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(Fault(drop=True, method="POST", path="/issues")) as server:
            here = tracker_desk(tmp_path, server, kind)
            assert here.did(failing()) == ["queued"]
            assert len(server.open) == 1
            assert here.did() == ["opened"]
            assert server.tickets[0].comments == []

            server.faults = [Fault(drop=True, method="POST", path="/issues/1/")]
            assert here.did(failing()) == ["queued"]
            assert here.did() == ["commented"]
            assert len(server.tickets[0].comments) == 1

    def test_a_refused_message_does_not_hold_up_the_others(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(Fault(422, method="POST", path="/issues")) as server:
            here = tracker_desk(tmp_path, server, kind)
            rows = here.ends(failing("a"), failing("b"))
            assert [(row.scenario_id, row.action) for row in rows] == [("a", "queued"), ("b", "opened")]
            assert here.did() == ["opened"]

    def test_messages_are_delivered_in_their_order(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(Fault(500, always=True)) as server:
            here = tracker_desk(tmp_path, server, kind)
            for run in (failing(), failing(), passing(), passing(), failing()):
                assert set(here.did(run)) <= {"queued"}
            assert len(here.kept) == 4  # two recoveries in a row are one

            server.faults.clear()
            assert here.did() == ["opened", "commented", "closed", "opened"]
            assert [ticket.state for ticket in server.tickets] == ["closed", "open"]

    def test_another_host_gets_nothing(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as other, TrackerServer() as server:
            for status in (301, 302, 307, 308):
                server.faults = [Fault(status, headers={"Location": f"{other.url}/repos"}, always=True)]
                (row,) = tracker_desk(tmp_path, server, kind, sessions=status).ends(failing())
                assert "it redirects to 127.0.0.1, where nothing is sent" in row.reason
            assert other.requests == []

    def test_a_redirection_on_the_same_host_is_followed(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            where = "/repos/team/tool/issues" if kind == "github" else "/projects/team%2Ftool/issues"
            query = "?state=open&per_page=100&page=1"
            server.faults = [Fault(307, headers={"Location": where + query}, method="GET")]
            assert here.did(failing()) == ["opened"]

    def test_a_redirection_in_a_circle_ends(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer(Fault(302, headers={"Location": "/circle"}, always=True)) as server:
            assert tracker_desk(tmp_path, server, kind).did(failing()) == ["queued"]
            assert len(server.requests) < 10

    def test_a_session_that_was_stopped_keeps_everything_and_asks_nobody(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            assert here.did(failing(), interrupted=True) == ["queued"]
            assert server.requests == []
            assert here.did() == ["opened"]

    def test_without_a_token_failures_are_kept_and_passes_are_nothing_to_tell(self, tmp_path: Path, kind: str) -> None:
        here = desk(tmp_path, incidents=f"{kind}:team/tool")
        assert here.ends(passing()) == []
        (row,) = here.ends(failing())
        assert (row.action, "set; kept for the next run" in row.reason) == ("queued", True)


@both
class TestSecrets:
    def test_the_token_stands_nowhere(self, tmp_path: Path, kind: str) -> None:
        said = f'{{"message": "bad token {TOKEN}"}}'.encode()
        with TrackerServer(Fault(422, said, method="POST", path="/issues")) as server:
            here = tracker_desk(tmp_path, server, kind)
            rows = here.ends(failing(notes=f"it printed {TOKEN}"))
            assert "[redacted" in rows[0].reason
            rows += here.ends(passing("other"))
            assert [row.action for row in rows] == ["queued", "opened"]
            assert TOKEN not in texts(here) + "".join(map(repr, rows)) + repr(server.tickets)

    def test_a_token_that_is_no_header_is_not_shown(self, tmp_path: Path, kind: str) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, kind)
            here.environ |= {"GITHUB_TOKEN": "first\nsecond-line", "GITLAB_TOKEN": "first\nsecond-line"}
            (row,) = here.ends(failing())
            assert (row.action, row.reason) == ("queued", "the request failed: InvalidHeader; kept for the next run")
            assert "second-line" not in texts(here)

    def test_a_netrc_file_does_not_replace_the_token(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n", "utf-8")
        monkeypatch.setenv("NETRC", str(netrc))
        with TrackerServer() as server:
            assert tracker_desk(tmp_path, server, kind).did(failing()) == ["opened"]
            assert [each for each in server.requests if "Basic" in each.headers.get("Authorization", "")] == []


class TestGitHub:
    def test_what_is_asked_for(self, tmp_path: Path) -> None:
        with TrackerServer(user=None) as server:
            tracker_desk(tmp_path, server, "github").ends(failing())
            headers = server.asked("POST")[0].headers
            assert headers["Authorization"] == f"Bearer {TOKEN}"
            assert headers["Accept"] == "application/vnd.github+json"
            assert headers["X-GitHub-Api-Version"] == "2022-11-28"

    def test_the_repository_of_the_workflow_and_a_link_to_its_run(self, tmp_path: Path) -> None:
        with TrackerServer(user=None) as server:
            here = tracker_desk(tmp_path, server, "github")
            here.incidents = "github"
            here.environ |= {"GITHUB_REPOSITORY": "team/tool", "GITHUB_RUN_ID": "77", "GITHUB_SERVER_URL": server.url}
            assert here.did(failing()) == ["opened"]
            assert f"[the CI job]({server.url}/team/tool/actions/runs/77)" in server.tickets[0].body

    def test_a_pull_request_is_no_ticket(self, tmp_path: Path) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, "github")
            here.ends(failing())
            server.tickets[0].pull_request = True
            assert here.did(failing()) == ["opened"]

    def test_the_reason_of_closing(self, tmp_path: Path) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, "github")
            here.ends(failing())
            here.ends(passing())
            assert server.asked("PATCH")[0].json == {"state": "closed", "state_reason": "completed"}


class TestGitLab:
    def test_the_artifacts_are_uploaded_and_linked(self, tmp_path: Path) -> None:
        with TrackerServer() as server:
            tracker_desk(tmp_path, server, "gitlab").ends(failing())
            assert len(server.uploads) == 3
            assert b'{"version": 2}' in server.uploads[0]
            assert f"[attached](/uploads/{1:032x}/agent.cast)" in server.tickets[0].body

    @pytest.mark.parametrize("fault", [Fault(413), Fault(500), Fault(200, b'{"url": "javascript:alert(1)"}')])
    def test_an_upload_that_fails_costs_a_link_and_no_ticket(self, tmp_path: Path, fault: Fault) -> None:
        with TrackerServer(replace(fault, path="/uploads", always=True)) as server:
            assert tracker_desk(tmp_path, server, "gitlab").did(failing()) == ["opened"]
            assert "in the artifacts" in server.tickets[0].body
            assert "javascript" not in server.tickets[0].body

    def test_the_token_of_the_job_where_there_is_no_other(self, tmp_path: Path) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, "gitlab")
            del here.environ["GITLAB_TOKEN"]
            here.environ |= {"CI_JOB_TOKEN": TOKEN, "CI_JOB_URL": f"{server.url}/team/tool/-/jobs/5"}
            assert here.did(failing()) == ["opened"]
            assert {request.headers.get("JOB-TOKEN") for request in server.requests} == {TOKEN}
            assert f"[the CI job]({server.url}/team/tool/-/jobs/5)" in server.tickets[0].body

    def test_the_project_of_the_pipeline(self, tmp_path: Path) -> None:
        with TrackerServer() as server:
            here = tracker_desk(tmp_path, server, "gitlab")
            here.incidents, here.environ["CI_PROJECT_ID"] = "gitlab", "team/tool"
            assert here.did(failing()) == ["opened"]
