"""A change cannot approve itself: what decides about it is read from the ref that it wants to go into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from approval_support import BEN, MARA, approved, maintained, passes, record
from parity_support import commit, git
from scenario_files import Project, Ran, command
from store_support import Person, person

REF = "--specbench-trusted-ref=trusted"


@pytest.fixture
def change(project: Project) -> Project:
    """A project whose branch `trusted` has a maintainer, a lock and an active baseline; checked out is a change."""
    project.scenario()
    maintained(project)
    assert project.specbench("lock", ".", "--sandbox", "local").code == 0
    commit(project)
    passes(project, 3)
    approved(project)
    commit(project)
    git(project.path, "branch", "trusted")
    return project


def altered(ran: Ran) -> str:
    """What the report says was altered."""
    return "\n".join(ran.report["altered"])


def test_a_change_that_alters_nothing_is_judged_as_ever(change: Project) -> None:
    ran = change.run(REF)

    assert ran.judged() == ("pass", "verified")
    assert ran.report["altered"] == []


def test_without_the_ref_nothing_is_looked_up(change: Project) -> None:
    git(change.path, "branch", "-D", "trusted")

    assert change.run().judged() == ("pass", "verified")


def test_a_ref_that_is_not_there_is_a_wrong_usage(change: Project) -> None:
    ran = change.run("--specbench-trusted-ref=nowhere")

    assert ran.code == 4
    assert "nowhere" in ran.out + ran.err


def test_an_approval_of_the_change_itself_does_not_count(change: Project) -> None:
    change.scenario(instruction="Write result.txt, please.")
    commit(change)
    assert change.specbench("lock", ".", "--sandbox", "local").code == 0
    commit(change)
    passes(change, 3, "--specbench-require-baseline=never")
    approved(change)
    commit(change)

    assert change.run().judged() == ("pass", "verified")
    ran = change.run(REF)
    assert ran.judged() == ("provisional", "approval_needed")
    assert "does not count" in altered(ran)


def test_a_deleted_baseline_is_still_there(change: Project) -> None:
    shutil.rmtree(change.path / "baselines" / "demo")
    shutil.rmtree(change.path / "baselines" / "audit")
    commit(change)

    ran = change.run(REF)

    assert ran.scenario()["baseline_id"] is not None
    assert "removed" in altered(ran)


def test_a_renamed_scenario_does_not_escape(change: Project) -> None:
    (change.path / "demo.scenario.yaml").unlink()
    change.scenario("renamed")
    commit(change)

    ran = change.run(REF)

    assert ran.code == 2
    assert ran.judged("renamed") == ("blocked", "parity")
    assert "demo" in ran.scenario("renamed")["notes"]


def test_maintainers_of_the_change_are_none(change: Project) -> None:
    change.file("baselines/maintainers.yaml", f"maintainers: [{{principal: {BEN}, rotations: [x]}}]\n")
    commit(change)

    assert "maintainers.yaml" in altered(change.run(REF))


def test_policy_is_the_refs(change: Project) -> None:
    change.more_ini(approval_mode="minimal")
    commit(change)

    assert change.run(REF).judged() == ("pass", "verified")
    assert change.run().judged() == ("blocked", "approval_mode")


def test_a_loosened_gate_blocks(change: Project) -> None:
    change.scenario(metrics_tracked=["success"])
    commit(change)
    assert change.specbench("lock", ".", "--sandbox", "local").code == 0
    commit(change)

    ran = change.run(REF)

    assert ran.judged() == ("blocked", "parity")
    assert "gate_content" in ran.scenario()["notes"]


def lockless(change: Project) -> None:
    """The trusted branch has no lock."""
    (change.path / "specbench.lock").unlink()
    commit(change)
    git(change.path, "branch", "-f", "trusted")


def test_a_gate_that_no_lock_pins_is_the_baselines(change: Project) -> None:
    lockless(change)
    change.scenario(metrics_tracked=["success"])
    commit(change)

    ran = change.run(REF)

    assert ran.judged() == ("blocked", "parity")
    assert "gate_content" in ran.scenario()["notes"]
    assert "approve anew, signed" in ran.scenario()["notes"]


def test_a_scenario_that_moves_takes_its_gate_along(change: Project) -> None:
    (change.path / "demo.scenario.yaml").unlink()
    change.scenario(file="sub/demo.scenario.yaml", metrics_tracked=["success"])
    commit(change)

    assert change.run(REF).judged() == ("blocked", "parity")


def test_a_gate_that_the_maintainers_merged_is_as_good_as_the_baselines(change: Project) -> None:
    change.scenario(metrics_tracked=["success"])
    commit(change)
    assert change.specbench("lock", ".", "--sandbox", "local").code == 0
    commit(change)
    git(change.path, "branch", "-f", "trusted")

    assert change.run(REF).judged() == ("pass", "verified")


class TestNothingEscapesByNotBeingRun:
    """Each is a change after which nothing that was approved runs, and everything that runs is green."""

    @pytest.fixture
    def bench(self, project: Project) -> Project:
        """As `change`, with the scenario in a folder beside an ordinary test."""
        project.registry({"dataset_path": "bench"})
        project.scenario(file="bench/slow/demo.scenario.yaml")
        project.file("bench/test_ok.py", "def test_ok():\n    pass\n")
        maintained(project)
        passes(project, 3, "bench")
        approved(project)
        commit(project)
        git(project.path, "branch", "trusted")
        return project

    def escapes(self, bench: Project, *arguments: str) -> str:
        """Commit, run, and see that it is blocked; why."""
        commit(bench)
        ran = bench.run("bench", REF, *arguments)
        assert ran.code == 2, ran.out + ran.err
        assert "the change escapes its judgement" in ran.report["exit_reason"]
        return str(ran.report["exit_reason"]) + altered(ran)

    def strict(self, bench: Project) -> str:
        """What `validate --strict` finds, which runs nothing."""
        bench.scenario("other", file="bench/other.scenario.yaml", provisional=True)
        ran = bench.specbench("validate", "bench", "--strict", "--trusted-ref", "trusted")
        assert ran.code == 1
        return ran.err

    def ini(self, bench: Project, line: str) -> None:
        with (bench.path / "pytest.ini").open("a") as file:
            file.write(f"{line}\n")

    def test_deleted(self, bench: Project) -> None:
        shutil.rmtree(bench.path / "bench" / "slow")

        assert "demo.scenario.yaml is gone" in self.escapes(bench)

    def test_moved_out_of_the_way(self, bench: Project) -> None:
        (bench.path / "bench" / "slow").rename(bench.path / "attic")

        assert "lies at bench/slow/demo.scenario.yaml at trusted, is not run here any more" in self.escapes(bench)
        assert "lies at bench/slow/demo.scenario.yaml" in self.strict(bench)

    @pytest.mark.parametrize(
        "line",
        ["addopts = --deselect=bench/slow/demo.scenario.yaml", "norecursedirs = slow", "addopts = --co"],
    )
    def test_hidden_by_the_configuration(self, bench: Project, line: str) -> None:
        self.ini(bench, line)
        commit(bench)

        ran = bench.run("bench", REF)

        assert ran.code == 2
        assert f"{line.partition(' ')[0]} is '{line.partition('= ')[2]}' in pytest.ini" in ran.err
        assert "put it into a change of its own" in self.strict(bench)

    @pytest.mark.parametrize("word", ["--markers", "--help", "-p no:specbench-hooks"])
    def test_pytest_itself_led_to_run_nothing(self, bench: Project, word: str) -> None:
        self.ini(bench, f"addopts = {word}")

        assert bench.process("bench", REF).code == 4

    def test_dropped_from_the_dataset(self, bench: Project) -> None:
        bench.scenario("other", file="bench/other.scenario.yaml")
        bench.registry({"dataset_path": "bench", "task_id_subset": ["other"]})

        assert "left out of the dataset" in self.escapes(bench, "--specbench-dataset=suite==1.0")

    def test_hidden_by_a_conftest(self, bench: Project) -> None:
        bench.file("bench/conftest.py", "collect_ignore = ['slow']\n")

        assert "is not run here any more" in self.escapes(bench)

    def test_the_plugin_turned_off_fails_over_the_option(self, bench: Project) -> None:
        self.ini(bench, "addopts = -p no:specbench")

        assert bench.process("bench", REF).code == 4

    def test_with_the_ref_of_the_environment(self, bench: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPEC_BENCH_TRUSTED_REF", "trusted")
        shutil.rmtree(bench.path / "bench" / "slow")
        commit(bench)

        assert bench.run("bench").code == 2

    def test_among_workers(self, bench: Project) -> None:
        assert bench.process("bench", REF, "-n1", "-k", "test_ok").code == 0

        (bench.path / "bench" / "slow").rename(bench.path / "attic")
        commit(bench)

        assert bench.process("bench", REF, "-n1").code == 2

    def test_by_a_configuration_that_is_gone(self, bench: Project) -> None:
        bench.file("bench/pytest.ini", "[pytest]\nspecbench_baselines = ../baselines\n")
        commit(bench)
        git(bench.path, "branch", "-f", "trusted")
        (bench.path / "bench" / "pytest.ini").unlink()

        assert "its rootdir" in self.escapes(bench)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("-k", "test_ok"),
            ("--deselect=bench/slow/demo.scenario.yaml",),
            ("--ignore=bench/slow",),
            ("--specbench-scenarios=other",),
            ("bench/test_ok.py",),
        ],
        ids=lambda given: given[0],
    )
    def test_what_the_command_line_leaves_out_is_ci_s_word(self, bench: Project, arguments: tuple[str, ...]) -> None:
        bench.scenario("other", file="bench/other.scenario.yaml")
        commit(bench)
        paths = () if arguments[0].startswith("bench/") else ("bench",)

        ran = bench.run(*paths, REF, *arguments)

        assert ran.code == 0, ran.out + ran.err

    def test_a_move_within_what_is_run_is_none(self, bench: Project) -> None:
        (bench.path / "bench" / "slow").rename(bench.path / "bench" / "quick")
        commit(bench)

        assert bench.run("bench", REF).judged() == ("pass", "verified")


class TestSigned:
    @pytest.fixture
    def mara(self, change: Project, tmp_path_factory: pytest.TempPathFactory) -> Person:
        """The maintainer, with a key that the trusted branch lists."""
        mara = person(tmp_path_factory.mktemp("keys"), MARA)
        change.file("baselines/allowed_signers", mara.line())
        commit(change)
        git(change.path, "branch", "-f", "trusted")
        return mara

    def changed(self, change: Project, key: Path) -> Ran:
        """Change the scenario, approve it with a key, and run against the ref."""
        change.scenario(instruction="Write result.txt, please.")
        commit(change)
        assert change.specbench("lock", ".", "--sandbox", "local").code == 0
        commit(change)
        passes(change, 3, "--specbench-require-baseline=never")
        approved(change, "--signing-key", str(key))
        commit(change)
        return change.run(REF)

    def test_an_approval_that_a_maintainer_signed_rides_in_the_same_change(self, change: Project, mara: Person) -> None:
        ran = self.changed(change, mara.key)

        assert ran.judged() == ("pass", "verified"), ran.out
        assert ran.scenario()["baseline_id"] == record(change)["baseline_id"]
        assert "counts" in altered(ran)

    def test_and_lets_the_gate_be_another(self, change: Project, mara: Person) -> None:
        change.scenario(metrics_tracked=["success"])
        commit(change)
        assert change.specbench("lock", ".", "--sandbox", "local").code == 0
        commit(change)
        assert change.run(REF).judged() == ("blocked", "parity")
        passes(change, 3)
        approved(change, "--signing-key", str(mara.key))
        commit(change)

        assert change.run(REF).judged() == ("pass", "verified")

    def test_one_signed_with_a_key_that_the_change_brings_does_not_count(
        self, change: Project, mara: Person, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        forger = person(tmp_path_factory.mktemp("forged"), MARA)
        change.file("baselines/allowed_signers", forger.line())

        ran = self.changed(change, forger.key)

        assert ran.judged() == ("provisional", "approval_needed")


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
