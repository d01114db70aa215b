"""Collection: what is selected, what cannot be collected, and that nothing happens where there is no scenario."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from scenario_files import LEAN, SAID_OF_THE_DEAD, Project, said_of_the_dead

PLAIN = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
OWN = """
class Own(CommandAgent):
    def __init__(self):
        super().__init__(command="echo made > result.txt")
"""


class TestInvalidFiles:
    def test_the_error_names_file_line_key_what_is_expected_and_the_nearest(self, project: Project) -> None:
        path = project.scenario(owner_rotaton="someone")
        line = path.read_text().splitlines().index("owner_rotaton: someone") + 1

        ran = project.run()

        assert ran.code != 0
        assert f"{path}:{line}: owner_rotaton" in ran.out
        assert "owner_rotation" in ran.out
        assert "Traceback" not in ran.out

    def test_a_check_that_is_not_registered_is_an_error_of_the_file(self, project: Project) -> None:
        project.scenario(success_artifacts=[{"path": "result.txt", "check": "jsn"}])

        ran = project.run()

        assert ran.code == 2
        assert "success_artifacts.0.check" in ran.out.replace("[0]", ".0")
        assert "'json'" in ran.out

    def test_nothing_runs_beside_a_file_that_is_invalid(self, either: Project) -> None:
        witness = either.path / "it-ran"
        either.scenario(agent={"name": "command", "options": {"command": f"touch {witness}"}})
        either.scenario("broken", trials=0)

        ran = either.run()

        assert ran.code == 2
        assert not witness.exists()
        assert ran.report["scenarios"] == []
        assert ran.report["interrupted"] is False
        assert ran.report["exit_reason"] == "1 file could not be collected"
        assert len(ran.report["collection_problems"]) == 1

    def test_two_files_with_one_id_are_an_error_at_the_second(self, either: Project) -> None:
        either.scenario("demo", file="a.scenario.yaml")
        either.scenario("demo", file="b.scenario.yaml")

        ran = either.run()

        assert ran.code != 0
        assert "b.scenario.yaml:1: scenario_id: 'demo' is the id of another scenario as well, at " in ran.out
        assert "a.scenario.yaml:1: scenario_id" in ran.out
        assert ran.report["scenarios"] == []

    def test_the_same_file_may_be_named_twice(self, project: Project) -> None:
        path = project.scenario()

        ran = project.run(str(path), str(path))

        assert ran.verdict() == ("provisional", "verified", 0)

    def test_those_that_can_be_collected_run_when_pytest_is_told_so(self, project: Project) -> None:
        project.scenario()
        project.scenario("broken", trials=0)

        ran = project.run("--continue-on-collection-errors")

        assert ran.code == 2
        assert ran.judged() == ("provisional", "verified")
        assert len(ran.report["collection_problems"]) == 1
        assert "broken.scenario.yaml" in ran.report["collection_problems"][0]


class TestSelection:
    def test_only_the_scenarios_that_were_asked_for(self, either: Project) -> None:
        for name in ("one", "two", "three"):
            either.scenario(name)

        ran = either.run("--specbench-scenarios=one,three")

        assert ran.code == 0
        assert sorted(row["scenario_id"] for row in ran.report["scenarios"]) == ["one", "three"]

    def test_an_unknown_scenario_names_the_nearest_and_runs_nothing(self, either: Project) -> None:
        either.scenario("specify")
        either.scenario("plan")

        ran = either.run("--specbench-scenarios=specfy")

        assert ran.code not in {0, 1}
        assert "no collected scenario is called 'specfy'" in ran.out + ran.err
        assert "the nearest is 'specify'" in ran.out + ran.err
        assert not (either.path / ".terminalbench" / "runs").exists()

    def test_what_another_plugin_leaves_out_after_this_one_owes_no_verdict(self, either: Project) -> None:
        """As pytest-split does, and pytest's own --last-failed."""
        (either.path / "conftest.py").write_text(
            "import pytest\n"
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_collection_modifyitems(config, items):\n"
            "    yield\n"
            "    config.hook.pytest_deselected(items=items[1:])\n"
            "    items[1:] = []\n"
        )
        for name in ("one", "two"):
            either.scenario(name)

        ran = either.run()

        assert (ran.code, ran.report["missing_verdicts"]) == (0, [])
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["one"]

    def test_a_run_is_resumed_with_all_that_it_was_to_run_or_not_at_all(self, project: Project) -> None:
        for name in ("one", "two"):
            project.scenario(name)
        assert project.run().code == 0

        ran = project.run("--specbench-resume=latest", "-k", "one")

        assert ran.code == pytest.ExitCode.USAGE_ERROR
        assert "two" in ran.out + ran.err

    def test_scenarios_outside_of_the_dataset_are_deselected(self, project: Project) -> None:
        project.registry(
            {"task_id_subset": ["inside"]},
            {"name": "rest", "version": "2.0", "task_id_subset": ["outside"]},
        )
        project.scenario("inside")
        project.scenario("outside", registry_version="rest==2.0")

        ran = project.run("--specbench-dataset=suite==1.0")

        assert ran.code == 0
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["inside"]
        assert ran.report["dataset"] == "suite==1.0"

    def test_a_dataset_that_does_not_resolve_blocks(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--specbench-dataset=siute==1.0")

        assert ran.verdict() == ("blocked", "dataset_missing", 2)
        assert "no dataset is called 'siute'" in ran.scenario()["notes"]
        assert "the nearest is 'suite'" in ran.scenario()["notes"]

    def test_a_folder_is_a_dataset(self, project: Project) -> None:
        project.scenario("inside", file="here/inside.scenario.yaml")
        project.scenario("outside", file="there/outside.scenario.yaml")

        ran = project.run("--specbench-dataset=./here")

        assert ran.code == 0
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["inside"]

    def test_a_dataset_without_any_of_the_scenarios_is_not_green(self, project: Project) -> None:
        project.registry({"task_id_subset": ["another"]})
        project.scenario()

        assert project.run("--specbench-dataset=suite==1.0").code == 5

    def test_another_registry(self, project: Project) -> None:
        project.scenario()
        project.registry(path="other.json")
        project.registry({"name": "something-else"})

        assert project.run().judged() == ("blocked", "dataset_missing")
        assert project.run("--specbench-registry=other.json").verdict() == ("provisional", "verified", 0)

    @pytest.mark.parametrize(("expression", "expected"), [("plan", ["plan"]), ("not plan", ["specify"])])
    def test_k_selects_by_scenario_id(self, project: Project, expression: str, expected: list[str]) -> None:
        project.scenario("specify")
        project.scenario("plan")

        ran = project.run("-k", expression)

        assert [row["scenario_id"] for row in ran.report["scenarios"]] == expected

    def test_lf_runs_what_did_not_pass(self, project: Project) -> None:
        project.scenario("good")
        project.scenario("bad", agent={"name": "nop"})
        project.scenario("stuck", agent={"name": "unheard-of"})

        assert project.run().code == 1
        ran = project.run("--lf")

        assert sorted(row["scenario_id"] for row in ran.report["scenarios"]) == ["bad", "stuck"]

    def test_x_stops_at_the_first_that_does_not_pass(self, project: Project) -> None:
        project.scenario("a-bad", agent={"name": "nop"})
        project.scenario("b-good")

        ran = project.run("-x")

        assert ran.code == 1
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["a-bad"]
        assert ran.report["interrupted"] is False
        assert ran.report["missing_verdicts"] == []

    def test_x_stops_at_a_block_with_its_exit_code(self, project: Project) -> None:
        project.scenario("a-stuck", agent={"name": "unheard-of"})
        project.scenario("b-good")

        ran = project.run("-x")

        assert ran.code == 2
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["a-stuck"]

    def test_collect_only_runs_nothing_and_leaves_nothing(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--collect-only", "-q")

        assert ran.code == 0
        assert "demo.scenario.yaml::demo" in ran.out
        assert not (project.path / ".terminalbench").exists()


class TestBesideOtherPlugins:
    @pytest.mark.parametrize("arguments", [["-p", "no:cacheprovider"], ["-p", "no:terminal"], ["-s"], ["-v"], ["-q"]])
    def test_it_runs(self, project: Project, arguments: list[str]) -> None:
        project.scenario()
        project.scenario("bad", agent={"name": "nop"})

        ran = project.run(*arguments)

        assert ran.code == 1
        assert ran.judged("bad") == ("regression", "artifact_missing")
        assert ran.judged() == ("provisional", "verified")

    def test_words_of_the_statuses_and_properties_for_junit(self, either: Project) -> None:
        either.scenario()
        either.scenario("bad", agent={"name": "nop"})
        either.scenario("stuck", agent={"name": "unheard-of"})

        ran = either.run("-v", "--junitxml=junit.xml")

        for word in ("PROVISIONAL", "FAILED", "BLOCKED"):
            assert word in ran.out
        suite = ET.parse(either.path / "junit.xml").getroot()[0]
        found = {
            case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")} for case in suite
        }
        assert found["demo"]["specbench_status"] == "provisional"
        assert found["demo"]["specbench_success"] == "True"
        assert found["bad"]["specbench_cause"] == "artifact_missing"
        assert found["stuck"]["specbench_scenario_id"] == "stuck"
        assert (suite.get("failures"), suite.get("errors")) == ("1", "1")

    def test_reportlog_holds_the_whole_benchmark_run(self, project: Project) -> None:
        pytest.importorskip("pytest_reportlog")
        project.scenario()

        ran = project.run("--report-log=log.jsonl")

        lines = [json.loads(line) for line in (project.path / "log.jsonl").read_text().splitlines()]
        runs = [json.loads(line["specbench"]) for line in lines if "specbench" in line]
        assert [run["run_id"] for run in runs] == [ran.report["run_id"]]

    def test_json_report_records_the_exit_code_of_the_gate(self, project: Project) -> None:
        pytest.importorskip("pytest_jsonreport")
        project.scenario(agent={"name": "unheard-of"})

        project.run("--json-report", "--json-report-file=plain.json")

        assert json.loads((project.path / "plain.json").read_text())["exitcode"] == 2

    def test_a_worker_that_dies_is_no_pass(self, project: Project) -> None:
        project.module("actors", DIES)
        project.file("conftest.py", SAID_OF_THE_DEAD)
        project.scenario(agent={"name": "actors:Actor"})
        project.scenario("good")

        ran = project.process("-n2", "--max-worker-restart=0")

        assert ran.code == 2
        assert ran.judged() == ("blocked", "no_verdict")
        assert said_of_the_dead(project, "demo") in ran.scenario()["notes"]


DIES = """
import os

class Actor:
    name = "actor"
    version = "1"
    acts_freely = False
    trusted = True
    def prepare(self, task): pass
    def configuration(self): return {}
    def run(self, task, shell, journal): os._exit(7)
"""


HEAVY = [
    "docker",
    "requests",
    "urllib3",
    "urllib.request",
    "asyncio",
    "filelock",
    "pydantic",
    "terminal_bench",
    "litellm",
    "rich",
    "numpy",
    "scipy",
    "psutil",
    "yaml",
    "pytest_jsonreport",
]

INSPECT = f"""
import json, pathlib, sys

def pytest_unconfigure():
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    ours = sorted(name for name in sys.modules if name.startswith("pytest_specbench"))
    pathlib.Path("loaded.json").write_text(json.dumps([loaded, ours]))
"""


class TestInert:
    """A session without scenarios pays nothing."""

    def test_nothing_is_imported_and_nothing_is_made(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        project.file("conftest.py", INSPECT)
        project.file("test_plain.py", "def test_one(): pass\n")
        before = {path.name for path in project.path.iterdir()}

        result = project.pytester.run(
            sys.executable, "-m", "pytest", "-p", "pytest_specbench.plugin", "-p", "no:cacheprovider"
        )

        assert result.ret == 0
        loaded, ours = json.loads((project.path / "loaded.json").read_text())
        assert loaded == []
        assert ours == [
            "pytest_specbench",
            "pytest_specbench.core",
            "pytest_specbench.core.git",
            "pytest_specbench.core.settings",
            "pytest_specbench.fixtures",
            "pytest_specbench.option_table",
            "pytest_specbench.options",
            "pytest_specbench.plugin",
        ]
        made = {path.name for path in project.path.iterdir()} - before
        assert made <= {"loaded.json", "__pycache__", "stdout", "stderr"}

    def test_collecting_scenarios_imports_nothing_that_only_running_needs(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        project.file("conftest.py", INSPECT)
        project.scenario()

        result = project.pytester.run(
            *(sys.executable, "-m", "pytest", "-p", "pytest_specbench.plugin"),
            *("-p", "no:cacheprovider", "--collect-only", "--specbench-trials=2"),
        )

        assert result.ret == 0
        loaded, ours = json.loads((project.path / "loaded.json").read_text())
        assert loaded == ["pydantic", "yaml"]
        rooms = {name.split(".")[1] for name in ours if "." in name}
        assert not rooms & {"gate", "trial", "approvals"}

    def test_header_and_summary_are_those_of_pytest(self, project: Project) -> None:
        project.file("test_plain.py", "def test_one(): pass\n")

        ran = project.run()

        assert ran.code == 0
        assert "specbench:" not in ran.out
        assert "specbench ==" not in ran.out

    def test_with_workers_nothing_is_made_either(self, project: Project) -> None:
        project.file("test_plain.py", "def test_one(): pass\n")

        assert project.process("-n2").code == 0
        assert not (project.path / ".terminalbench").exists()

    def test_the_exit_codes_of_pytest_are_its_own(self, project: Project) -> None:
        assert project.run().code == 5
        project.file("test_plain.py", "def test_one(): assert False\n")
        assert project.run().code == 1

    def test_the_options_stand_in_the_help(self, project: Project) -> None:
        ran = project.run("--help")

        assert re.search(r"(?m)^ *--specbench-dataset\b.*\bREF\b", ran.out)
        assert re.search(r"(?m)^ *specbench_dataset\b", ran.out)


def test_a_session_with_options_says_what_it_will_do(project: Project) -> None:
    project.scenario()

    ran = project.run("--specbench-dataset=suite==1.0", "--specbench-sandbox=local")

    assert "specbench: dataset suite==1.0" in ran.out
    assert "specbench: sandbox local (asked for)" in ran.out
    assert "specbench: approval mode full-access (from ini specbench_approval_mode)" in ran.out


def test_auto_says_what_it_chose_and_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    project.scenario()

    ran = project.run("--specbench-sandbox=auto")

    assert ran.verdict() == ("provisional", "verified", 0)
    assert "specbench: sandbox local (no Docker engine answers" in ran.out
    assert ran.run()["trials"][0]["sandbox"]["backend"] == "local"


def test_what_auto_chose_stands_in_the_report_also_when_workers_chose(
    either: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    either.more_ini(sandbox="auto")
    either.scenario()

    ran = either.run()

    assert ran.report["settings"]["sandbox"] == "local"
    assert ran.report["settings"]["sandbox_reason"].startswith("no Docker engine answers")


def test_every_worker_belongs_to_the_same_run(project: Project) -> None:
    for number in range(4):
        project.scenario(f"demo-{number}")

    ran = project.process("-n2")

    assert ran.code == 0
    assert len(list((project.path / ".terminalbench" / "runs").iterdir())) == 1
    assert {ran.run(f"demo-{number}")["run_id"] for number in range(4)} == {ran.report["run_id"]}
    assert not (project.path / ".terminalbench" / "progress" / ran.report["run_id"]).exists()
    assert (project.path / ".terminalbench" / "latest").is_symlink()


class TestWhatIsSaid:
    def test_in_ci_a_failure_is_told_once_and_the_exit_is_the_last_line(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CI", "true")
        project.scenario(agent={"name": "nop"})
        ran = project.run()
        assert ran.out.count("under test:") == 1
        assert ran.out.count("specbench: exit 1: ") == 1
        assert ran.out.splitlines()[-1].startswith("specbench: exit 1: ")

    def test_what_an_ini_file_decided(self, project: Project) -> None:
        project.scenario()
        out = project.run().out
        assert "specbench: sandbox local" in out
        assert "(from ini specbench_approval_mode)" in out
        assert (
            out.count("specbench: sandbox") == project.run("--specbench-trials=1").out.count("specbench: sandbox") == 1
        )

    def test_a_model_for_an_agent_that_asks_none_is_an_error(self, project: Project) -> None:
        project.scenario()
        ran = project.run("--specbench-model=openai/any")
        assert ran.judged()[0] == "blocked"
        assert "asks no model, and 'openai/any' was asked for" in ran.scenario()["notes"]

    def test_a_model_that_an_ini_file_names_is_for_those_that_ask_one(self, project: Project) -> None:
        project.scenario()
        project.more_ini(model="openai/any")

        ran = project.run()

        assert ran.judged() == ("provisional", "verified")
        assert ran.run()["fingerprint"]["instrument"]["model"] is None

    def test_what_the_lock_pins(self, project: Project) -> None:
        project.scenario()
        assert f"wrote {project.path / 'specbench.lock'}: demo in local" in project.run("--specbench-lock").out
        assert f"{project.path / 'specbench.lock'} fits: demo in local" in project.run("--specbench-lock-check").out

    @pytest.mark.parametrize("started", [("-m", "pytest_specbench", "run", "."), ("-c", PLAIN, *LEAN, ".")])
    def test_an_agent_beside_the_scenarios_is_found_however_it_is_started(
        self, project: Project, started: tuple[str, ...]
    ) -> None:
        """`python -m` looks in the working folder, and the programs `specbench` and `pytest` do not."""
        project.scenario(agent={"name": "own_agent:Own"})
        project.file("own_agent.py", "from pytest_specbench.agents.command import CommandAgent\n" + OWN)
        done = subprocess.run(
            [sys.executable, "-P", *started], cwd=project.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
