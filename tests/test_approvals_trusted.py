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
