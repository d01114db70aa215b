"""Incidents of real runs: who is told at the end of a session, how it is configured, and who may keep it back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
import store_support
from incident_server import TOKEN, Fault, TrackerServer
from incident_support import git, loopback  # noqa: F401 - a fixture
from scenario_files import Project, Ran, command

from pytest_specbench.core.approval.baselines import Approval, propose
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.incidents.specs import parse_channels
from pytest_specbench.reporting.schemas import shipped_schema

MARA = "mara@example.org"


def in_repository(project: Project) -> Project:
    """A project in a repository of its own, on `main`, whose scenario does what a file beside it says."""
    project.scenario(agent=command(f"cp {project.path}/made.txt result.txt"))
    git(project.path, "init", "-q", "-b", "main")
    commit(project)
    return project


def commit(project: Project) -> None:
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "as it is")


def works(project: Project, does: bool) -> None:
    """Let the agent succeed, or fail."""
    if does:
        project.file("made.txt", "made\n")
    else:
        (project.path / "made.txt").unlink()


def approve(project: Project, ran: Ran) -> None:
    """Make a run the baseline."""
    approval = Approval(by=MARA, rotation="workflow-maintainers", notes="good", at=datetime(2026, 1, 2, tzinfo=UTC))
    run = BenchmarkRun.model_validate(ran.run())
    store_support.approve(project.path / "baselines", propose([run], approval, {}), bundle={})


def incidents(ran: Ran) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ran.report["incidents"]
    return rows


def actions(ran: Ran) -> list[str]:
    return [row["action"] for row in incidents(ran)]


def tickets(project: Project) -> list[str]:
    """The kinds of the files: open or closed."""
    return sorted(
        "." + ".".join(path.name.split(".")[-2:])
        for path in (project.path / ".terminalbench" / "incidents").glob("*.md")
    )


class TestLife:
    def test_a_regression_opens_a_ticket_a_repeat_adds_to_it_and_a_pass_closes_it(self, project: Project) -> None:
        in_repository(project)
        works(project, True)
        first = project.run()
        assert (first.verdict(), incidents(first)) == (("provisional", "verified", 0), [])
        approve(project, first)
        commit(project)

        works(project, False)
        failed = project.run()
        assert (failed.judged()[0], failed.code, actions(failed)) == ("regression", 1, ["opened"])
        again = project.run()
        assert (again.code, actions(again)) == (1, ["commented"])

        works(project, True)
        passed = project.run()
        assert (passed.verdict(), actions(passed)) == (("pass", "verified", 0), ["closed"])
        assert tickets(project) == [".closed.md"]
        assert actions(project.run()) == []

    def test_with_workers_the_controller_tells_once(self, project: Project) -> None:
        in_repository(project)
        project.scenario("other", agent=command("false"))
        commit(project)
        assert actions(project.process("-n2")) == ["opened"] * 2
        assert tickets(project) == [".open.md"] * 2

    def test_the_report_says_so_everywhere(self, project: Project) -> None:
        ran = in_repository(project).run()
        (row,) = incidents(ran)
        assert f"incident of demo opened (folder) {row['url']}" in " ".join(ran.out.split())
        jsonschema.validate(ran.report, shipped_schema("report.schema.json"))

    def test_json_on_stdout_says_it_too(self, project: Project) -> None:
        ran = in_repository(project).run("--specbench-format=json")
        assert json.loads(ran.out)["incidents"] == incidents(ran)

    def test_a_blocked_scenario_is_nobodys_incident(self, project: Project) -> None:
        in_repository(project)
        ran = project.run("--specbench-agent=nobody")
        assert (ran.judged()[0], incidents(ran)) == ("blocked", [])

    def test_of_several_attempts_the_last_one_counts(self, project: Project) -> None:
        project.scenario(agent=command(f"if mkdir {project.path}/seen; then false; else echo made > result.txt; fi"))
        git(project.path, "init", "-q", "-b", "main")
        ran = project.process("--reruns=1")
        assert ran.scenario()["flaky"] is True
        assert incidents(ran) == []

    def test_a_branch_that_is_not_meant(self, project: Project) -> None:
        in_repository(project)
        git(project.path, "switch", "-q", "-c", "feature")
        ran = project.run()
        assert (ran.code, actions(ran)) == (1, ["suppressed"])
        assert "'feature' is not the default branch 'main'" in incidents(ran)[0]["reason"]
        assert actions(project.run("--specbench-incident-branches=main,feat*")) == ["opened"]

    def test_a_pull_request(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_REF_NAME", "7/merge")
        monkeypatch.setenv("GITHUB_HEAD_REF", "main")
        assert actions(in_repository(project).run()) == ["suppressed"]

    def test_a_tracker_and_a_folder_together(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        with TrackerServer() as server:
            monkeypatch.setenv("GITHUB_API_URL", server.url)
            monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
            ran = in_repository(project).run("--specbench-incidents=folder,github:team/tool")
            assert [(row["channel"], row["action"]) for row in incidents(ran)] == [
                ("folder", "opened"),
                ("github:team/tool", "opened"),
            ]
            written = "".join(p.read_text("utf-8", "replace") for p in ran.root.rglob("*") if p.is_file())
            assert TOKEN not in written + ran.out + ran.err

    @pytest.mark.parametrize("answer", [Fault(500, always=True), Fault(200, b"<html>", always=True)], ids=str)
    def test_a_channel_in_trouble_changes_no_verdict(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, answer: Fault
    ) -> None:
        with TrackerServer(answer) as server:
            monkeypatch.setenv("GITHUB_API_URL", server.url)
            monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
            project = in_repository(project)
            ran = project.run("--specbench-incidents=github:team/tool")
            assert (ran.code, actions(ran)) == (1, ["queued"])

            server.faults.clear()
            works(project, True)
            ran = project.run("--specbench-incidents=github:team/tool")
            assert (ran.code, actions(ran)) == (0, ["opened"])
            assert incidents(ran)[0]["reason"] == "kept from an earlier run"


class TestConfiguration:
    def test_naming_a_channel_costs_an_ordinary_session_next_to_nothing(self) -> None:
        code = (
            "import sys; from pytest_specbench.incidents.specs import parse_channels;"
            "parse_channels('folder,github:a/b,gitlab:1,webhook:https://h.example');"
            "print({'pydantic', 'requests', 'filelock', 'yaml', 'docker'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "set()\n"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("githb", "the nearest is 'github'"),
            ("folder,non", "the nearest is 'none'"),
            ("none,folder", "'none' stands alone"),
            (",", "names no channel"),
            ("folder,folder", "is there twice"),
            ("github:tool", "expected github or github:owner/repo"),
            ("github:team/tool/issues", "expected github or github:owner/repo"),
            ("gitlab:tool", "expected gitlab, gitlab:group/project or gitlab:ID"),
            ("webhook:hooks.example.org", "expected a URL such as"),
            ("webhook:https://user:pass@hooks.example.org/", "belongs into the environment"),
            ("webhook:https://hooks.example.org/?token=3", "belongs into the environment"),
        ],
    )
    def test_a_wrong_one_is_a_wrong_usage_from_the_start(self, project: Project, text: str, said: str) -> None:
        project.more_ini(incidents=text)
        ran = project.run()
        assert ran.code == pytest.ExitCode.USAGE_ERROR
        assert not ran.root.exists()
        with pytest.raises(ValueError, match=re.escape(said)):
            parse_channels(text)

    def test_right_ones(self) -> None:
        text = (
            "folder, folder:docs/triage, github, github:team/tool, gitlab:12, gitlab:a/b/c, webhook:https://h.example/x"
        )
        assert [spec.shown for spec in parse_channels(text)] == [
            *("folder", "folder:docs/triage", "github", "github:team/tool", "gitlab:12", "gitlab:a/b/c"),
            "webhook:h.example",
        ]

    def test_none_in_the_ini_file_is_the_repositorys_own_policy(self, project: Project) -> None:
        project.more_ini(incidents="none")
        ran = in_repository(project).run()
        assert (ran.code, incidents(ran)) == (1, [])

    def test_a_channel_of_another_package(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        info = project.path / "shout-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n", "utf-8")
        info.joinpath("entry_points.txt").write_text("[pytest_specbench.incidents]\nshout = shouting:Shout\n", "utf-8")
        project.module("shouting", SHOUT)
        ran = in_repository(project).run("--specbench-incidents=shout:loud")
        assert [(row["channel"], row["action"], row["url"]) for row in incidents(ran)] == [
            ("shout:loud", "opened", "https://shout.example/loud")
        ]


SHOUT = """
from pytest_specbench.incidents.channel import Issue


class Shout:
    url_is_secret = False

    @classmethod
    def check(cls, argument):
        pass

    def __init__(self, argument, context):
        self.argument = argument

    def find_open(self, key):
        return None

    def open(self, delivery):
        assert delivery.message.key_mark in delivery.body({})
        return Issue("1", f"https://shout.example/{self.argument}")
"""


@pytest.mark.parametrize(
    "option",
    [
        "--specbench-no-incident",
        "--specbench-incidents=none,",
        "-ospecbench_incidents=none",
        "-ospecbench_no_incident=1",
    ],
)
class TestKeepingBack:
    def people(self, project: Project, *names: str, email: str | None = MARA) -> Project:
        listed = "".join(f"  - {{principal: {name}, rotations: [workflow-maintainers]}}\n" for name in names)
        project.file("baselines/maintainers.yaml", "maintainers:\n" + listed if names else "maintainers: []\n")
        in_repository(project)
        if email is not None:
            git(project.path, "config", "user.email", email)
        return project

    def test_a_maintainer_may_and_the_report_names_them(self, project: Project, option: str) -> None:
        ran = self.people(project, MARA).run(option)
        assert (ran.code, actions(ran)) == (1, ["suppressed"])
        assert f" by {MARA}, whose identity was not verified" in incidents(ran)[0]["reason"]
        assert not (ran.root / "incidents").exists()

    def test_nobody_else_may(self, project: Project, option: str) -> None:
        ran = self.people(project, "ben@example.org").run(option)
        assert ran.code == pytest.ExitCode.USAGE_ERROR
        assert "only maintainers may keep incidents back" in ran.err
        assert "maintainers.yaml" in ran.err

    def test_who_git_does_not_know_may_not(self, project: Project, option: str) -> None:
        assert self.people(project, MARA, email=None).run(option).code == pytest.ExitCode.USAGE_ERROR

    def test_without_a_list_nobody_may(self, project: Project, option: str) -> None:
        in_repository(project)
        git(project.path, "config", "user.email", MARA)
        assert project.run(option).code == pytest.ExitCode.USAGE_ERROR

    def test_a_list_that_cannot_be_read_lets_nobody(self, project: Project, option: str) -> None:
        project.file("baselines/maintainers.yaml", "maintainers: [mara]\n")
        in_repository(project)
        assert project.run(option).code == pytest.ExitCode.USAGE_ERROR

    def test_by_the_trusted_ref_nobody_appoints_themselves(self, project: Project, option: str) -> None:
        self.people(project, "ben@example.org")
        git(project.path, "branch", "trusted")
        project.file("baselines/maintainers.yaml", f"maintainers: [{{principal: {MARA}, rotations: [x]}}]\n")
        commit(project)
        ran = project.process(option, "--specbench-trusted-ref=trusted")
        assert ran.code == pytest.ExitCode.USAGE_ERROR
        assert "at trusted" in ran.err

    def test_the_environment_does_not_say_who_one_is(
        self, project: Project, option: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.people(project, MARA, email="ben@example.org")
        for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL", "EMAIL"):
            monkeypatch.setenv(name, MARA)
        assert project.run(option).code == pytest.ExitCode.USAGE_ERROR
