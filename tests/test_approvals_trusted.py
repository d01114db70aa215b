"""A change cannot turn itself green: what judges is the ref's that it wants to go into; only its subject is its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from approval_support import BEN, MARA, approved, as_made_once, maintained, passes, record
from engine_support import require_runner_image
from parity_support import commit, git
from scenario_files import LEAN, Project, Ran, command
from store_support import Person, person

REF = "--specbench-trusted-ref=trusted"
BROKEN = "echo no result\n"
"""What the agent under test is after a change that breaks it."""


@pytest.fixture
def change(project: Project, templates: Path) -> Project:
    """A project whose branch `trusted` has a maintainer, a lock and an active baseline; checked out is a change. Under
    test is the program that the agent runs, a fixture.
    """

    def make() -> None:
        project.file("bench/app/run.sh", "echo made > result.txt\n")
        (project.path / "registry.json").rename(project.path / "bench" / "registry.json")
        project.scenario(
            file="bench/demo.scenario.yaml",
            agent=command("sh run.sh"),
            fixtures={"app": {"type": "files", "source": "app"}},
            prerequisites=["app"],
            subject=["agent", "fixtures"],
        )
        project.file("bench/test_ok.py", "def test_ok():\n    pass\n")
        maintained(project)
        assert project.specbench("lock", "bench", "--sandbox", "local").code == 0
        commit(project)
        passes(project, 3, "bench")
        approved(project)
        commit(project)
        git(project.path, "branch", "trusted")

    return as_made_once(project, templates, "change", make)


def held(change: Project, *arguments: str) -> Ran:
    """Commit, and have the change judged, in a process that finds no module where it is started."""
    commit(change)
    specbench = Path(sys.executable).with_name("specbench")
    rest = () if "--" in arguments else ("--",)
    words = [specbench, "run", "bench", "--trusted-ref", "trusted", *arguments, *rest, *LEAN]
    done = subprocess.run(words, cwd=change.path, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, change.path / ".terminalbench")


def altered(ran: Ran) -> str:
    """What the report says was altered."""
    return "\n".join(ran.report["altered"])


def test_a_change_that_alters_nothing_is_judged_as_ever(change: Project) -> None:
    ran = held(change)

    assert ran.judged() == ("pass", "verified"), ran.out + ran.err
    assert ran.report["altered"] == []
    metadata = json.loads((ran.folder / "run_metadata.json").read_text())
    assert metadata["trusted_commit"] == git(change.path, "rev-parse", "trusted").strip()
    assert metadata["commit_sha"] == git(change.path, "rev-parse", "HEAD").strip()
    assert "specbench-ref-" not in (ran.folder / "report.json").read_text()


def test_what_is_under_test_is_the_changes(change: Project) -> None:
    change.file("bench/app/run.sh", BROKEN)

    ran = held(change)

    assert ran.code == 1
    assert ran.judged() == ("regression", "artifact_missing")
    assert ran.report["altered"] == []


def test_without_the_ref_nothing_is_looked_up(change: Project) -> None:
    git(change.path, "branch", "-D", "trusted")

    assert change.run("bench").judged() == ("pass", "verified")


def test_a_ref_that_is_not_there_is_a_wrong_usage(change: Project) -> None:
    ran = change.run("bench", "--specbench-trusted-ref=nowhere")

    assert ran.code == 4
    assert "nowhere" in ran.out + ran.err


def ini(change: Project, line: str) -> None:
    with (change.path / "pytest.ini").open("a") as file:
        file.write(f"{line}\n")


def weaker(change: Project) -> None:
    """Another instrument, which asks for less, with its lock."""
    change.scenario(file="bench/demo.scenario.yaml", success_artifacts=[{"path": "run.sh"}])
    commit(change)
    assert change.specbench("lock", "bench", "--sandbox", "local").code == 0


def lookalike(change: Project) -> None:
    """Ordinary files that make the benchmarks look like a bare repository, in which a program is named."""
    program = change.file("program", f"#!/bin/sh\ntouch {change.path}/ran\n", executable=True)
    for name in ("bench/objects/.keep", "bench/refs/heads/.keep"):
        change.file(name, "")
    change.file("bench/HEAD", "ref: refs/heads/main\n")
    change.file("bench/config", f"[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsmonitor = {program}\n")


def unpacked(change: Project) -> None:
    """A repository among the benchmarks, of which git itself knows nothing."""
    git(change.path / "bench", "init", "-q")
    git(change.path / "bench", "config", "core.fsmonitor", f"touch {change.path}/ran")


def removed(change: Project, *names: str) -> None:
    for name in names:
        path = change.path / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


EVIL = "import os, pathlib\npathlib.Path(r'{path}/ran').touch()\nos._exit(0)\n"
"""Code of the change, which must not run."""

TRICKS: dict[str, Callable[[Project], Any]] = {
    "setup.py moves rootdir": lambda it: it.file("bench/setup.py", ""),
    "an ini of its own": lambda it: it.file("bench/pytest.ini", "[pytest]\nspecbench_baselines = none\n"),
    "an ini that takes precedence": lambda it: it.file("pytest.toml", "[pytest]\nspecbench_baselines = 'none'\n"),
    "an ini that cannot be read": lambda it: it.file("pytest.ini", "no section = 1\n"),
    "the ini is gone": lambda it: removed(it, "pytest.ini"),
    "addopts deselect": lambda it: ini(it, "addopts = --deselect=bench/demo.scenario.yaml"),
    "addopts show help": lambda it: ini(it, "addopts = --help"),
    "addopts turn the plugin off": lambda it: ini(it, "addopts = -p no:specbench"),
    "norecursedirs": lambda it: ini(it, "norecursedirs = bench"),
    "a conftest that ends it all": lambda it: it.file("conftest.py", EVIL.format(path=it.path)),
    "a conftest that ignores": lambda it: it.file("bench/conftest.py", "collect_ignore = ['demo.scenario.yaml']\n"),
    "a module in the way": lambda it: it.file("yaml.py", EVIL.format(path=it.path)),
    "a plugin": lambda it: (it.file("evil.py", EVIL.format(path=it.path)), ini(it, "addopts = -p evil")),
    "no scenario": lambda it: removed(it, "bench/demo.scenario.yaml"),
    "another id": lambda it: it.scenario("other", file="bench/demo.scenario.yaml"),
    "a weaker scenario": weaker,
    "moved away": lambda it: (it.path / "bench" / "demo.scenario.yaml").rename(it.path / "demo.scenario.yaml"),
    "left out of the dataset": lambda it: it.registry(
        {"dataset_path": ".", "task_id_subset": ["x"]}, path="bench/registry.json"
    ),
    "no baselines": lambda it: removed(it, "baselines", "bench/specbench.lock"),
    "maintainers of its own": lambda it: it.file(
        "baselines/maintainers.yaml", f"maintainers: [{{principal: {BEN}, rotations: [x]}}]\n"
    ),
    "looks like a bare repository": lookalike,
    "a repository among the benchmarks": unpacked,
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_whatever_the_change_does_beside_breaking_its_subject_is_of_no_use(
    change: Project, trick: Callable[[Project], Any]
) -> None:
    change.file("bench/app/run.sh", BROKEN)
    trick(change)

    ran = held(change)

    assert ran.code == 1, ran.out + ran.err
    assert ran.judged() == ("regression", "artifact_missing")
    assert ran.scenario()["baseline_id"] is not None
    assert not (change.path / "ran").exists()


def test_nothing_above_the_private_folder_counts(change: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where temporary folders lie in the change."""
    removed(change, "bench/registry.json")
    commit(change)
    git(change.path, "branch", "-f", "trusted")
    change.registry()
    change.file("temporary/registry.json", (change.path / "registry.json").read_text())
    monkeypatch.setenv("TMPDIR", str(change.path / "temporary"))

    assert held(change).judged() == ("blocked", "dataset_missing")


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        (".", ["bench", REF]),
        ("bench", [".", REF]),
        ("bench", ["demo.scenario.yaml", REF, "-n1"]),
        ("..", ["{path}/bench", REF, "--rootdir={path}"]),
        ("bench/app", ["{path}/bench/demo.scenario.yaml::demo", REF]),
    ],
    ids=["top", "in the benchmarks", "a file, with workers", "from elsewhere", "an absolute path"],
)
def test_pytest_itself_does_the_same_from_anywhere(change: Project, folder: str, arguments: list[str]) -> None:
    """The paths lie in the ref, wherever one stands; what is written lies where one stands."""
    change.file("bench/app/run.sh", BROKEN)
    change.file("bench/setup.py", "")
    commit(change)
    os.chdir(change.path / folder)

    ran = change.process(*(word.format(path=change.path) for word in arguments), "--junitxml=junit.xml")

    assert ran.judged() == ("regression", "artifact_missing"), ran.out + ran.err
    assert ran.code == 1
    written = change.path / folder / "junit.xml"
    assert 'name="demo"' in written.read_text()
    written.unlink()


def test_a_reference_of_the_environment_counts_and_moves_no_unit_tests(
    change: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECBENCH_TRUSTED_REF", "trusted")
    change.file("bench/app/run.sh", BROKEN)
    change.file("bench/test_ok.py", "def test_ok():\n    assert False\n")
    removed(change, "baselines")

    assert held(change).code == 1
    assert change.process("bench", "--specbench-sandbox=local").judged() == ("regression", "artifact_missing")
    assert change.run("bench/test_ok.py").code == 1
    refused = change.run("bench/demo.scenario.yaml")
    assert refused.code != 0
    assert "start it with `specbench run --trusted-ref REF`" in refused.out + refused.err


def test_a_configuration_that_the_command_line_names_is_the_refs(
    change: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    change.file("bench/app/run.sh", BROKEN)
    change.file("evil.py", EVIL.format(path=change.path))
    change.file("pytest.ini", "[pytest]\naddopts = -p evil\npythonpath = .\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-c '{change.path}/pytest.ini'")

    assert held(change, "--", f"-c{change.path}/pytest.ini").judged() == ("regression", "artifact_missing")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-c /dev/null")
    assert held(change).code == 4
    assert not (change.path / "ran").exists()


def test_an_agent_that_lies_in_the_project_cannot_be_tested_so(change: Project) -> None:
    """It would be the ref's, whatever the change made of it."""
    code = "name, version, trusted = 'mine', '1', True\n    def run(self, *_):\n        return None\n"
    change.file("mine.py", f"class Agent:\n    {code}")
    ini(change, "pythonpath = .")
    change.scenario("own", file="bench/own.scenario.yaml", agent={"name": "mine:Agent"})
    commit(change)
    git(change.path, "branch", "-f", "trusted")
    change.file("mine.py", "raise ValueError\n")

    ran = held(change, "--scenarios=own")

    assert ran.judged("own") == ("blocked", "configuration"), ran.out + ran.err
    assert "nothing of the change would be tested" in ran.scenario("own")["notes"]


def test_a_submodule_in_the_place_of_the_folder_is_not_asked(
    change: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It has a ref of that name, too."""
    other = tmp_path_factory.mktemp("other")
    (other / "conftest.py").write_text(EVIL.format(path=change.path))
    git(other, "init", "-q")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "one")
    removed(change, "bench")
    commit(change)
    git(change.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "bench")
    git(change.path / "bench", "branch", "trusted")
    commit(change)
    os.chdir(change.path / "bench")

    ran = change.process(".", REF)

    assert ran.code == 4
    assert f"is a submodule of {change.path}" in ran.out + ran.err
    assert not (change.path / "ran").exists()


def test_what_the_command_line_leaves_out_is_ci_s_word(change: Project) -> None:
    change.file("bench/app/run.sh", BROKEN)

    ran = held(change, "--", "-k", "test_ok")

    assert ran.code == 0, ran.out + ran.err


def test_options_that_name_what_is_written_mean_the_work_tree(change: Project) -> None:
    ran = held(change, "--output", f"{change.path}/bench/out", "--", "--junitxml", "some.xml")

    assert ran.code == 0, ran.out + ran.err
    assert (change.path / "bench" / "out" / "latest" / "report.json").is_file()
    assert (change.path / "some.xml").is_file()


class TestAdded:
    """A scenario that the ref has not runs after the others, with nothing of the host."""

    def added(self, change: Project, *arguments: str, **content: Any) -> Ran:
        change.scenario("anew", file="bench/anew.scenario.yaml", **content)
        return held(change, *arguments)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ({"secrets": ["HOME"]}, "HOME"),
            ({"runner": {"network": {"agent": "bridge"}}}, "'bridge' in the phase agent"),
            ({"success_artifacts": [{"path": "result.txt", "check": "os:system"}]}, "'os:system'"),
            ({"agent": {"name": "evil:Agent"}, "allow": {"deny": ["curl *"]}}, "'evil:Agent'"),
            ({"model": {"name": "openai/any", "api_base": "http://127.0.0.1:9"}}, "'openai/any'"),
        ],
        ids=["a secret", "a network", "a check", "an agent", "a model"],
    )
    def test_it_gets_nothing_that_nobody_approved(self, change: Project, content: dict[str, Any], said: str) -> None:
        change.file("bench/evil.py", EVIL.format(path=change.path))

        ran = self.added(change, **content)

        assert ran.code == 2, ran.out + ran.err
        assert ran.judged() == ("pass", "verified")
        assert ran.judged("anew") == ("blocked", "approval_needed")
        assert said in ran.scenario("anew")["notes"]
        assert [one["scenario_id"] for one in ran.report["scenarios"]] == ["demo", "anew"]
        assert not (change.path / "ran").exists()

    def test_it_does_not_run_on_this_machine_itself(self, change: Project) -> None:
        ran = self.added(change, agent=command("touch ../../../../ran; echo made > result.txt"))

        assert ran.judged("anew") == ("blocked", "not_isolated")
        assert ran.run("anew")["trials"] == []

    def test_in_a_container_it_runs_with_what_lies_beside_it_and_is_provisional(self, change: Project) -> None:
        require_runner_image()
        change.file("bench/more/seed.txt", "made\n")
        fixtures = {"seed": {"type": "files", "source": "more"}}

        ran = self.added(
            change, "--sandbox=docker", "--scenarios=anew",
            agent=command("cp seed.txt result.txt"), fixtures=fixtures, prerequisites=["seed"],
        )  # fmt: skip

        assert ran.judged("anew") == ("provisional", "verified"), ran.out + ran.err

    def test_one_that_is_invalid_is_not_passed_over(self, change: Project) -> None:
        change.file("bench/broken.scenario.yaml", "scenario_id: [\n")

        ran = held(change)

        assert ran.code != 0
        assert "broken.scenario.yaml" in ran.out


class TestSigned:
    @pytest.fixture
    def mara(self, change: Project, tmp_path_factory: pytest.TempPathFactory) -> Person:
        """The maintainer, with a key that the trusted branch lists."""
        mara = person(tmp_path_factory.mktemp("keys"), MARA)
        change.file("baselines/allowed_signers", mara.line())
        commit(change)
        git(change.path, "branch", "-f", "trusted")
        return mara

    def approved_anew(self, change: Project, key: Path) -> Ran:
        """Change the subject, have it approved with a key, and judged."""
        change.file("bench/app/run.sh", "echo made otherwise > result.txt\n")
        commit(change)
        passes(change, 3, "bench")
        approved(change, "--signing-key", str(key))
        return held(change)

    def test_an_approval_that_a_maintainer_signed_rides_in_the_same_change(self, change: Project, mara: Person) -> None:
        ran = self.approved_anew(change, mara.key)

        assert ran.judged() == ("pass", "verified"), ran.out
        assert ran.scenario()["baseline_id"] == record(change)["baseline_id"]
        assert "and that counts" in altered(ran)

    def test_one_signed_with_a_key_that_the_change_brings_does_not_count(
        self, change: Project, mara: Person, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        forger = person(tmp_path_factory.mktemp("forged"), MARA)
        change.file("baselines/allowed_signers", forger.line())

        ran = self.approved_anew(change, forger.key)

        assert ran.scenario()["baseline_id"] != record(change)["baseline_id"]
        assert "does not count" in altered(ran)
        assert mara.name == MARA


class TestValidating:
    def strict(self, change: Project, *arguments: str) -> Ran:
        commit(change)
        return change.specbench("validate", "bench", "--strict", "--trusted-ref", "trusted", *arguments)

    def test_what_is_in_order_is_in_order(self, change: Project) -> None:
        ran = self.strict(change)

        assert ran.code == 0, ran.out + ran.err

    @pytest.mark.parametrize("gone", ["deleted", "moved"])
    def test_an_approved_scenario_that_nobody_would_run_any_more(self, change: Project, gone: str) -> None:
        path = change.path / "bench" / "demo.scenario.yaml"
        change.scenario("other", file="bench/other.scenario.yaml", provisional=True)
        path.rename(change.path / "demo.scenario.yaml") if gone == "moved" else path.unlink()

        ran = self.strict(change)

        assert ran.code == 1
        assert (
            "bench/demo.scenario.yaml: the scenario 'demo', which has an active baseline at trusted, is not" in ran.err
        )

    def test_one_that_is_judged_less_strictly(self, change: Project) -> None:
        path = change.path / "bench" / "demo.scenario.yaml"
        path.write_text(path.read_text().replace("- exit_status\n", ""))

        ran = self.strict(change)

        assert ran.code == 1
        assert "demo.scenario.yaml:" in ran.err
        assert "it is judged otherwise than at trusted" in ran.err

    def test_the_files_are_the_changes_and_the_code_is_not(self, change: Project) -> None:
        change.file("conftest.py", EVIL.format(path=change.path))
        change.file("bench/broken.scenario.yaml", "scenario_id: [\n")

        ran = self.strict(change)

        assert ran.code == 1
        assert "broken.scenario.yaml" in ran.err
        assert not (change.path / "ran").exists()

    def test_verify_holds_the_folder_against_the_ref(self, change: Project) -> None:
        assert change.specbench("baseline", "verify", "--trusted-ref", "trusted").code == 0
        ini(change, "specbench_baselines = elsewhere")
        removed(change, "baselines")

        ran = change.specbench("baseline", "verify", "--trusted-ref", "trusted")

        assert ran.code == 2
        assert "was removed or altered here" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["run", "bench", "--trusted-ref", ""],
        ["run", "bench", "--trusted-ref="],
        ["run", ""],
        ["run", "bench", "--sandbox="],
        ["validate", "bench", "--strict", "--trusted-ref", ""],
        ["baseline", "verify", "--trusted-ref", ""],
        ["baseline", "approve", "--scenario", "demo", "--run", ""],
        ["lock", "bench", "--sandbox="],
    ],
    ids=" ".join,
)
def test_an_empty_value_is_none(project: Project, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A variable of CI that is not set must not turn an option off."""
    from pytest_specbench.cli import main

    assert main(words) == 2
    assert "is empty" in capsys.readouterr().err


def test_an_empty_variable_is_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.scenario()
    monkeypatch.setenv("SPECBENCH_TRUSTED_REF", "")

    assert project.run().code == 4
    assert project.specbench("run", ".").code == 2


def test_what_ends_the_command_ends_what_it_started(change: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    mark, temporary = tmp_path_factory.mktemp("marks") / "acts", tmp_path_factory.mktemp("temporary")
    os.mkfifo(mark)
    change.file("bench/app/run.sh", f"echo acts > {mark}\nexec sleep 600\n")
    commit(change)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_specbench", "run", "bench", "--trusted-ref", "trusted"],
        env=os.environ | {"TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    acts = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert select.select([acts], [], [], 120)[0], "the agent never began"
    finally:
        os.close(acts)

    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 2
    assert not list(temporary.glob("specbench-ref-*"))


def test_a_signature_is_required_where_it_is_asked_for(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mara = person(tmp_path_factory.mktemp("keys"), MARA)
    project.scenario(agent=command("echo made > result.txt"))
    project.more_ini(signing="required", signing_key=str(mara.key))
    project.file("baselines/allowed_signers", mara.line())
    maintained(project)
    passes(project, 3)
    approved(project)
    commit(project)
    assert project.run().judged() == ("pass", "verified")

    for signature in (project.path / "baselines" / "audit").glob("*.sig"):
        signature.unlink()
    commit(project)

    ran = project.run()
    assert ran.judged() == ("blocked", "baseline_invalid")
    assert "not signed" in ran.scenario()["notes"]
