"""The lock file: who writes it, what it pins, and that drift from it blocks before the agent acts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from parity_support import approve, lock_content
from scenario_files import Project, Ran, asking

PINNED = {
    "dataset", "dataset_version", "scenario_content", "verifier_content", "gate_content",
    "cpus", "memory_mb", "pids", "network", "user",
        "workdir",
}  # fmt: skip


class Pinned:
    """A project whose scenario rests on a file of every kind, and leaves a mark where its agent ran."""

    def __init__(self, project: Project, **changes: Any) -> None:
        self.project = project
        self.mark = project.path / "the-agent-ran"
        project.file("check/accept.sh", "test -s result.txt\n")
        project.file("data/given.txt", "given\n")
        project.file("talk.cassette.yaml", "cassette: 1\n")
        self.write(**changes)

    def write(self, **changes: Any) -> None:
        """Write the scenario anew."""
        whole: dict[str, Any] = {
            "agent": asking(self.project, f"touch {self.mark}; echo made > result.txt"),
            "model": {"name": "replay:talk.cassette.yaml"},
            "verification": {"command": "sh .verification/accept.sh", "files": "check"},
            "fixtures": {"given": {"type": "files", "source": "data"}},
            "prerequisites": ["given"],
        }
        self.project.scenario(**(whole | changes))

    def lock(self, *arguments: str) -> Mapping[str, Any]:
        """Lock it; return the entry."""
        assert self.project.run("--specbench-lock", *arguments).code == 0
        entry: Mapping[str, Any] = lock_content(self.project)["sandboxes"]["local"]["demo"]
        return entry


@pytest.fixture
def pinned(project: Project) -> Pinned:
    return Pinned(project)


def blocked_by(ran: Ran, fact: str) -> None:
    """The run was blocked by drift in this fact alone, and says so everywhere."""
    assert ran.verdict() == ("blocked", "parity", 2)
    assert ran.run()["comparison"]["lock"] == "drift"
    diff = ran.run()["comparison"]["diff"]
    assert diff[:2] == ["--- specbench.lock", "+++ observed now"]
    assert {line[2:].partition(":")[0] for line in diff[2:]} == {fact}
    assert (ran.folder / "demo" / "parity.diff").read_text() == "\n".join(diff) + "\n"
    assert "\n".join(diff) in ran.err
    assert "specbench: demo: blocked: parity" in ran.err
    assert "`specbench lock`, review and commit" in ran.scenario()["notes"]
    assert ran.run()["trials"] == []
    assert "Traceback" not in ran.out + ran.err


class TestWriting:
    def test_nothing_runs_and_no_artifact_is_left(self, pinned: Pinned) -> None:
        entry = pinned.lock()

        assert set(entry) == PINNED | {"cassette_content"} | {
            f"fixture.given.{name}" for name in ("content", "source", "type")
        }
        assert not pinned.mark.exists()
        assert not (pinned.project.path / ".terminalbench" / "runs").exists()

    def test_a_run_under_its_lock_says_that_it_is_equal(self, pinned: Pinned) -> None:
        pinned.lock()

        ran = pinned.project.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["comparison"]["lock"] == "equal"
        assert not (ran.folder / "demo" / "parity.diff").exists()

    def test_without_a_lock_or_an_entry_the_run_says_so(self, project: Project) -> None:
        project.scenario()
        project.scenario("late")
        assert project.run().run()["comparison"]["lock"] == "none"
        project.run("--specbench-lock", "--specbench-scenarios=demo")

        ran = project.run()

        assert ran.run("demo")["comparison"]["lock"] == "equal"
        assert ran.run("late")["comparison"]["lock"] == "no entry"

    def test_workers_write_every_entry_of_every_folder(self, project: Project) -> None:
        names = [f"scenario-{number}" for number in range(6)]
        for number, name in enumerate(names):
            project.scenario(name, file=f"{'ab'[number % 2]}/{name}.scenario.yaml")

        ran = project.process("-n2", "--specbench-lock")

        assert ran.code == 0
        assert list(lock_content(project, "a")["sandboxes"]["local"]) == names[0::2]
        assert list(lock_content(project, "b")["sandboxes"]["local"]) == names[1::2]
        # Here the project is the user's home too, in whose cache the mutexes stay.
        left = [path for path in project.path.rglob("*") if path.suffix in {".tmp", ".mutex"}]
        left = [path for path in left if ".cache" not in path.parts]
        assert left == []

    def test_other_entries_stay_as_they_are(self, project: Project) -> None:
        project.scenario()
        project.scenario("other")
        project.run("--specbench-lock")
        content = lock_content(project)
        content["sandboxes"]["elsewhere"] = {"demo": {"cpus": 9.0}}
        content["sandboxes"]["local"]["other"]["cpus"] = 7.0
        (project.path / "specbench.lock").write_text(json.dumps(content))
        project.scenario(runner={"cpus": 2.0})

        assert project.run("--specbench-lock", "--specbench-scenarios=demo").code == 0

        after = lock_content(project)["sandboxes"]
        assert after["elsewhere"] == {"demo": {"cpus": 9.0}}
        assert after["local"]["other"]["cpus"] == 7.0
        assert after["local"]["demo"]["cpus"] == 2.0

    def test_the_same_facts_give_the_same_bytes(self, project: Project) -> None:
        project.scenario("b")
        project.scenario("a")
        project.run("--specbench-lock")
        before = (project.path / "specbench.lock").read_bytes()
        (project.path / "specbench.lock").unlink()

        project.run("--specbench-lock", "b.scenario.yaml", "a.scenario.yaml")

        assert (project.path / "specbench.lock").read_bytes() == before

    def test_it_holds_no_path_of_this_machine(self, pinned: Pinned) -> None:
        pinned.lock()

        assert str(pinned.project.path) not in (pinned.project.path / "specbench.lock").read_text()

    def test_what_cannot_be_observed_cannot_be_locked(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        project.scenario()

        ran = project.run("--specbench-lock", "--specbench-sandbox=docker")

        assert ran.code == 2
        assert "no Docker engine answers" in ran.out
        assert not (project.path / "specbench.lock").exists()
        assert "Traceback" not in ran.out

    def test_ordinary_tests_of_the_same_folder_do_not_run(self, project: Project) -> None:
        project.scenario()
        project.file("test_plain.py", "import pathlib\ndef test_one(): pathlib.Path('it-ran').touch(); assert False\n")

        ran = project.run("--specbench-lock")

        assert ran.code == 0
        assert not (project.path / "it-ran").exists()
        assert (project.path / "specbench.lock").exists()


class TestChecking:
    def test_it_passes_while_everything_is_as_locked(self, pinned: Pinned) -> None:
        pinned.lock()
        before = (pinned.project.path / "specbench.lock").read_bytes()

        assert pinned.project.run("--specbench-lock-check").code == 0
        assert (pinned.project.path / "specbench.lock").read_bytes() == before

    def test_drift_ends_it_with_2_and_a_diff(self, pinned: Pinned) -> None:
        pinned.lock()
        before = (pinned.project.path / "specbench.lock").read_bytes()
        pinned.write(runner={"cpus": 2.0})

        ran = pinned.project.run("--specbench-lock-check")

        assert ran.code == 2
        assert "- cpus: 1.0\n+ cpus: 2.0" in ran.out
        assert "`specbench lock`, review and commit" in ran.out
        assert (pinned.project.path / "specbench.lock").read_bytes() == before
        assert not pinned.mark.exists()

    @pytest.mark.parametrize("lock", [None, '{"lock": 1, "sandboxes": {}}'], ids=["no lock", "no entry"])
    def test_what_is_not_locked_fails_the_check(self, project: Project, lock: str | None) -> None:
        project.scenario()
        if lock is not None:
            project.file("specbench.lock", lock)

        ran = project.run("--specbench-lock-check")

        assert ran.code == 2
        assert ("no entry" if lock else "none") in ran.out

    def test_the_command_does_the_same(self, project: Project) -> None:
        project.scenario("demo", file="benchmarks/demo.scenario.yaml")

        assert project.specbench("lock", "--sandbox=local").code == 0
        assert list(lock_content(project, "benchmarks")["sandboxes"]["local"]) == ["demo"]
        project.scenario("demo", file="benchmarks/demo.scenario.yaml", instruction="Do something else.")
        ran = project.specbench("lock", "--check", "benchmarks", "--sandbox=local")
        assert ran.code == 2
        assert "+ scenario_content: sha256:" in ran.out


def edit(path: str) -> Callable[[Pinned], None]:
    def change(pinned: Pinned) -> None:
        file = pinned.project.path / path
        file.write_text(file.read_text() + "# edited\n")

    return change


def rewrite(**changes: Any) -> Callable[[Pinned], None]:
    return lambda pinned: pinned.write(**changes)


def executable(pinned: Pinned) -> None:
    (pinned.project.path / "check" / "accept.sh").chmod(0o755)


def new_dataset_version(pinned: Pinned) -> None:
    pinned.project.registry({"version": "2.0"})
    pinned.write(registry_version="suite==2.0")


def new_dataset_name(pinned: Pinned) -> None:
    pinned.project.registry({"name": "suite-of-another"})
    pinned.write(registry_version="suite-of-another==1.0")


DRIFT: dict[str, tuple[str, Callable[[Pinned], None]]] = {
    "the instruction": ("scenario_content", rewrite(instruction="Write result.txt, and quickly.")),
    "the deadline of the agent": ("scenario_content", rewrite(deadlines={"agent_sec": 5})),
    "the environment": ("scenario_content", rewrite(environment={"LEVEL": "2"})),
    "the limits of the agent": ("scenario_content", rewrite(limits={"steps": 3})),
    "the allow list": ("scenario_content", rewrite(allow={"commands": ["make *"]})),
    "a verification file": ("verifier_content", edit("check/accept.sh")),
    "the mode of a verification file": ("verifier_content", executable),
    "the verification command": (
        "verifier_content",
        rewrite(verification={"command": "sh -e .verification/accept.sh", "files": "check"}),
    ),
    "the success artifacts": ("verifier_content", rewrite(success_artifacts=[{"path": "*.txt"}])),
    "a fixture's file": ("fixture.given.content", edit("data/given.txt")),
    "the cassette": ("cassette_content", edit("talk.cassette.yaml")),
    "the CPUs": ("cpus", rewrite(runner={"cpus": 2.0})),
    "the memory": ("memory_mb", rewrite(runner={"memory_mb": 64})),
    "the processes": ("pids", rewrite(runner={"pids": 64})),
    "the network of one phase": ("network", rewrite(runner={"network": {"agent": "bridge"}})),
    "the working directory": ("workdir", rewrite(runner={"workdir": "/elsewhere"})),
    "a threshold": ("gate_content", rewrite(thresholds={"runtime_ms": 1e6})),
    "the trials": ("gate_content", rewrite(trials=2)),
    "the tracked metrics": ("gate_content", rewrite(metrics_tracked=["success"])),
    "what is under test": ("gate_content", rewrite(subject=["agent", "fixtures"])),
    "the version of the dataset": ("dataset_version", new_dataset_version),
    "the name of the dataset": ("dataset", new_dataset_name),
}


class TestDrift:
    @pytest.mark.parametrize(("fact", "change"), DRIFT.values(), ids=DRIFT)
    def test_a_changed_fact_blocks_before_the_agent_acts(
        self, pinned: Pinned, fact: str, change: Callable[[Pinned], None]
    ) -> None:
        pinned.lock()
        change(pinned)

        ran = pinned.project.run()

        blocked_by(ran, fact)
        assert not pinned.mark.exists()

    def test_workers_block_the_same(self, pinned: Pinned) -> None:
        pinned.lock()
        pinned.write(runner={"cpus": 2.0})

        ran = pinned.project.process("-n2")

        blocked_by(ran, "cpus")
        assert not pinned.mark.exists()

    def test_a_prerequisite_that_was_added_is_drift(self, pinned: Pinned) -> None:
        pinned.lock()
        fixtures = {"given": {"type": "files", "source": "data"}, "more": {"type": "files", "source": "check"}}
        pinned.write(fixtures=fixtures, prerequisites=["given", "more"])

        ran = pinned.project.run()

        assert ran.verdict() == ("blocked", "parity", 2)
        assert "- fixture.more.content: (absent)" in ran.err

    def test_it_is_shown_once_on_stderr(self, pinned: Pinned) -> None:
        pinned.lock()
        pinned.write(runner={"cpus": 2.0})

        assert pinned.project.run().err.count("+ cpus: 2.0") == 1

    def test_a_locked_fact_that_is_gone_is_drift(self, pinned: Pinned) -> None:
        pinned.lock()
        content = lock_content(pinned.project)
        del content["sandboxes"]["local"]["demo"]["pids"]
        pinned.project.file("specbench.lock", json.dumps(content))

        blocked_by(pinned.project.run(), "pids")

    def test_locking_anew_ends_it(self, pinned: Pinned) -> None:
        pinned.lock()
        pinned.write(runner={"cpus": 2.0})
        assert pinned.project.run().code == 2
        pinned.lock()

        assert pinned.project.run().verdict() == ("provisional", "verified", 0)

    def test_a_baseline_does_not_hide_it(self, pinned: Pinned) -> None:
        pinned.lock()
        approve(pinned.project, pinned.project.run())
        assert pinned.project.run().judged() == ("pass", "verified")
        pinned.mark.unlink()
        pinned.write(runner={"cpus": 2.0})

        blocked_by(pinned.project.run(), "cpus")
        assert not pinned.mark.exists()


UNPINNED: dict[str, dict[str, Any]] = {
    "the title": {"display_name": "Another title"},
    "the owner": {"owner_rotation": "somebody-else"},
    "the order of the tracked metrics": {"metrics_tracked": ["success", "exit_status"]},
    "the agent's options": {"agent": {"name": "asking:Asking", "options": {"command": "echo more > result.txt"}}},
    "the agent": {"agent": {"name": "nop"}, "success_artifacts": [{"path": "given.txt"}]},
    "the size of the recording": {"terminal_size": [100, 30]},
}


class TestNoDrift:
    @pytest.mark.parametrize("changes", [value for name, value in UNPINNED.items() if name != "the agent"],
                             ids=[name for name in UNPINNED if name != "the agent"])  # fmt: skip
    def test_what_shapes_nothing_or_is_under_test(self, pinned: Pinned, changes: dict[str, Any]) -> None:
        pinned.lock()
        pinned.write(**changes)

        ran = pinned.project.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["comparison"]["lock"] == "equal"

    def test_another_agent_is_an_invocations_to_choose(self, pinned: Pinned) -> None:
        pinned.lock()

        ran = pinned.project.run("--specbench-agent=nop")

        assert ran.verdict() == ("regression", "artifact_missing", 1)
        assert ran.run()["comparison"]["lock"] == "equal"

    def test_another_model_is_an_invocations_to_choose(self, pinned: Pinned) -> None:
        """Else no cassette could be recorded anew: the one that is locked is another model's."""
        pinned.lock()
        pinned.project.file("other.cassette.yaml", "cassette: 1\n# of another model\n")

        for model in ("replay:other.cassette.yaml", "openai/some-model"):
            ran = pinned.project.run(f"--specbench-model={model}")
            assert ran.verdict() == ("provisional", "verified", 0)

    def test_asking_for_the_scenarios_own_model_keeps_its_cassette_pinned(self, pinned: Pinned) -> None:
        pinned.lock()
        edit("talk.cassette.yaml")(pinned)

        blocked_by(pinned.project.run("--specbench-model=replay:talk.cassette.yaml"), "cassette_content")
        blocked_by(pinned.project.run("--specbench-model=replay:./talk.cassette.yaml"), "cassette_content")

    def test_fixtures_that_are_under_test(self, project: Project) -> None:
        pinned = Pinned(project, subject=["fixtures"])
        entry = pinned.lock()
        assert not [name for name in entry if name.startswith("fixture.")]
        edit("data/given.txt")(pinned)

        ran = pinned.project.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["fingerprint"]["subject"]["fixture.given.type"] == "files"

    def test_a_fact_that_was_locked_before_it_came_under_test(self, pinned: Pinned) -> None:
        pinned.lock()
        pinned.write(subject=["fixtures", "model"])
        edit("data/given.txt")(pinned)
        edit("talk.cassette.yaml")(pinned)

        # What may differ is said by the gate, which is pinned itself; the facts that came under test are no drift.
        blocked_by(pinned.project.run(), "gate_content")

    def test_the_backend_has_an_entry_of_its_own(self, pinned: Pinned) -> None:
        pinned.lock()
        content = lock_content(pinned.project)
        content["sandboxes"] = {"docker": {"demo": content["sandboxes"]["local"]["demo"] | {"cpus": 9.0}}}
        pinned.project.file("specbench.lock", json.dumps(content))

        assert pinned.project.run().run()["comparison"]["lock"] == "no entry"

    def test_the_form_of_the_file_does_not_matter(self, pinned: Pinned) -> None:
        pinned.lock()
        path = pinned.project.path / "demo.scenario.yaml"
        path.write_text("# a remark\n" + yaml.safe_dump(yaml.safe_load(path.read_text()), sort_keys=True))

        assert pinned.project.run().run()["comparison"]["lock"] == "equal"


def directory(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    import os

    os.mkfifo(path)


BROKEN: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.touch(),
    "no JSON": lambda path: path.write_text("{"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00\x01"),
    "no mapping": lambda path: path.write_text("[]"),
    "another version": lambda path: path.write_text('{"lock": 2, "sandboxes": {}}'),
    "an unknown key": lambda path: path.write_text('{"lock": 1, "sandbox": {}}'),
    "a value that is no scalar": lambda path: path.write_text('{"sandboxes": {"local": {"demo": {"cpus": [1]}}}}'),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a number without end": lambda path: path.write_text("9" * 100_000),
    "huge": lambda path: path.write_bytes(b" " * 10_000_001),
    "a folder": directory,
    "a link to itself": loop,
    "a pipe": pipe,
}


class TestBrokenLock:
    @pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
    def test_it_blocks_with_its_name_and_the_command_that_mends_it(
        self, pinned: Pinned, make: Callable[[Path], Any]
    ) -> None:
        path = pinned.project.path / "specbench.lock"
        make(path)

        ran = pinned.project.run()

        assert ran.verdict() == ("blocked", "parity", 2)
        assert f"{path}: the lock file cannot be read: " in ran.scenario()["notes"]
        assert "restore it from version control" in ran.scenario()["notes"]
        assert "Traceback" not in ran.out + ran.err
        assert not pinned.mark.exists()

    @pytest.mark.parametrize("option", ["--specbench-lock", "--specbench-lock-check"])
    def test_it_is_neither_overwritten_nor_believed(self, project: Project, option: str) -> None:
        project.scenario()
        project.file("specbench.lock", "{")

        ran = project.run(option)

        assert ran.code == 2
        assert "the lock file cannot be read" in ran.out
        assert "Traceback" not in ran.out
        assert (project.path / "specbench.lock").read_text() == "{"
