"""Nothing that an agent says, a hook does or a plug-in breaks becomes a pass, a leak or a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenario_files import Project, Ran

AGENT = """
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.core.metrics import Measurement

class Liar:
    name, version, acts_freely, trusted, trusted_in_replay = "liar", "1", False, True, True

    def __init__(self, **options):
        pass

    def prepare(self, task):
        pass

    def configuration(self):
        return {}

    def run(self, task, shell, journal):
        shell.run("echo made > result.txt")
        return AgentOutcome(%s)
"""


def lying(project: Project, outcome: str) -> Ran:
    project.module("liars", AGENT % outcome)
    project.scenario(agent={"name": "liars:Liar"})
    return project.run()


class TestWhatAnAgentSaysAboutItself:
    @pytest.mark.parametrize(
        "name", ["runtime_ms", "cpu_ms", "peak_memory_mb", "kernel_peak_memory_mb", "success", "exit_status"]
    )
    def test_what_is_measured_cannot_be_said(self, project: Project, name: str) -> None:
        ran = lying(project, f"usage={{{name!r}: Measurement(value=0)}}")

        assert ran.verdict() == ("regression", "agent_crashed", 1)

    def test_less_than_nothing_was_not_used(self, project: Project) -> None:
        assert lying(project, "usage={'output_tokens': Measurement(value=-5)}").judged() == (
            "regression",
            "agent_crashed",
        )

    def test_its_usage_is_taken(self, project: Project) -> None:
        ran = lying(project, "usage={'output_tokens': Measurement(value=5)}")

        assert ran.run()["metrics"]["output_tokens"]["value"] == 5

    def test_content_with_an_exit_status_is_no_success(self, project: Project) -> None:
        assert lying(project, "exit_status=7").verdict() == ("regression", "agent_crashed", 1)


class TestItemsThatNeverRan:
    def test_a_hook_that_swallows_an_item_does_not_make_it_green(self, either: Project) -> None:
        either.scenario()
        either.file("conftest.py", "def pytest_runtest_protocol(item, nextitem):\n    return True\n")

        ran = either.run()

        assert ran.code == 2
        assert ran.judged() == ("blocked", "no_verdict")

    def test_what_x_leaves_out_owes_nothing(self, project: Project) -> None:
        project.scenario("a-fails", agent={"name": "nop"})
        project.scenario("b-never")

        ran = project.run("-x")

        assert ran.code == 1
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["a-fails"]


class TestDefectsOfPlugIns:
    @pytest.mark.parametrize("name", ["os:getcwd", "json:JSONDecoder", "datetime:date"])
    def test_what_is_no_agent_blocks_without_a_traceback(self, project: Project, name: str) -> None:
        project.scenario(agent={"name": name})

        ran = project.run()

        assert (ran.code, ran.scenario()["status"]) == (2, "blocked")
        assert "Traceback" not in ran.out + ran.err

    @pytest.mark.parametrize("text", ["raise RuntimeError('no')", "def (", "import sys; sys.exit(0)"])
    def test_nor_does_a_module_that_cannot_be_imported(self, project: Project, text: str) -> None:
        project.file("broken.py", text)
        project.pytester.syspathinsert(project.path)
        project.scenario(agent={"name": "broken:Agent"})

        ran = project.run()

        assert ran.verdict() == ("blocked", "configuration", 2)
        assert "cannot be imported" in ran.scenario()["notes"]

    def test_an_unknown_workflow_command_is_no_defect_of_ours(self, project: Project) -> None:
        project.scenario(
            agent={"name": "spec-kit-orchestrator"}, command_path="/nonsense", model={"name": "replay:c.yaml"}
        )
        project.file(
            "c.yaml",
            "{cassette: 1, provenance: scripted, model: scripted, match: tail, recorded_at: null, replies: []}",
        )

        assert project.run().judged() == ("blocked", "configuration")


class TestSecretsInErrors:
    def test_neither_a_token_nor_a_password_in_a_url_reaches_a_reader(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REGISTRY_TOKEN", "t0p-s3cret-value")
        project.scenario()

        ran = project.process(
            "--specbench-registry=http://someone:pa55-word@127.0.0.1:9/t0p-s3cret-value.json",
            "--junitxml=junit.xml",
            "--json-report",
        )

        assert ran.code == 2
        written = [path.read_text("utf-8", "replace") for path in sorted(ran.folder.rglob("*.json"))]
        seen = "\n".join([ran.out, ran.err, *written])
        seen += (project.path / "junit.xml").read_text() + (project.path / ".report.json").read_text()
        assert "t0p-s3cret-value" not in seen
        assert "pa55-word" not in json.dumps(ran.run())


class TestPathsAndNames:
    @pytest.mark.parametrize("path", ["/dev/null/x", "file.txt", "x" * 300])
    def test_an_artifact_root_that_cannot_be_is_a_wrong_usage(self, project: Project, path: str) -> None:
        project.file("file.txt", "")
        project.scenario()

        ran = project.run(f"--specbench-output={path}")

        assert ran.code == 4
        assert "Traceback" not in ran.out + ran.err

    def test_a_scenario_is_not_called_like_a_file_of_the_run(self, project: Project) -> None:
        project.scenario("report.json")

        ran = project.run()

        assert ran.code == 2
        assert "must not end in .json" in ran.out

    def test_the_reserved_host_class_is_refused(self, project: Project) -> None:
        project.scenario()

        assert project.run("--specbench-host-class=portable").code == 4

    def test_a_registry_without_an_end_is_not_read(self, project: Project) -> None:
        project.scenario()

        assert project.run("--specbench-registry=/dev/zero").judged() == ("blocked", "dataset_missing")

    def test_a_solution_that_is_no_text_blocks(self, project: Project) -> None:
        Path(project.path / "solve.sh").write_bytes(b"\xff\xfe")
        project.scenario(agent={"name": "oracle"}, solution="solve.sh")

        assert project.run().judged() == ("blocked", "configuration")


def test_tests_that_share_a_scenario_do_not_share_its_artifacts(either: Project) -> None:
    either.scenario()
    either.file(
        "test_many.py",
        "import pytest\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_it(specbench, n):\n"
        "    assert specbench('demo.scenario.yaml').status == 'provisional'\n",
    )

    ran = either.run("test_many.py")

    assert ran.code == 0
    assert len([*either.path.glob(".terminalbench/runs/*/demo/**/run.json")]) == 4
