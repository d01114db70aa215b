"""A trusted git ref: a change cannot approve itself, and what it tried to alter is told."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from scenario_files import scenario
from store_support import (
    BEN,
    MARA,
    ROTATION,
    START,
    Person,
    acknowledgement,
    add,
    approve,
    commit,
    entries,
    person,
    record_of,
    retirement,
)

from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.audit import read_trust
from pytest_specbench.store.baselines.records import Signing, read_baselines, record_bytes, verify_baselines
from pytest_specbench.store.trees import FolderTree, GitTree
from pytest_specbench.store.trusted.proposals import Alteration, what_counts


@pytest.fixture(scope="module")
def mara(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("mara"), MARA)


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("eve"), "eve@example.org")


def maintainers(*names: str) -> str:
    return yaml.safe_dump({"maintainers": [{"principal": name, "rotations": [ROTATION]} for name in names]})


class Change:
    """A repository with a first approval on `main`, and a work tree that proposes something else."""

    def __init__(self, path: Path, mara: Person) -> None:
        self.path = path
        self.root = path / "baselines"
        self.root.mkdir()
        (self.root / "maintainers.yaml").write_text(maintainers(MARA))
        (self.root / "allowed_signers").write_text(mara.line())
        (path / "pytest.ini").write_text("[pytest]\nspecbench_require_baseline = always\nspecbench_sandbox = docker\n")
        self.scenario("s")
        approve(self.root, record_of(1), who=mara)
        self.base = commit(path)

    @property
    def trusted(self) -> GitTree:
        return GitTree(self.path, "main", "baselines")

    def scenario(self, scenario_id: str, file: str | None = None) -> Path:
        path = self.path / (file or f"bench/{scenario_id}.scenario.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(scenario(scenario_id), sort_keys=False))
        return path

    def read(self, signing: Signing = "required") -> tuple[list[BaselineRecord], list[Alteration]]:
        """The active baselines, and what was altered."""
        trusted = self.trusted
        trust = read_trust(trusted, signing)
        tree, found = what_counts(FolderTree(self.root), trusted, trust)
        return read_baselines(tree, "s", trust).active, found

    def told(self, signing: Signing = "required") -> str:
        return "\n".join(one.sentence for one in self.read(signing)[1])


@pytest.fixture
def change(tmp_path: Path, mara: Person) -> Change:
    return Change(tmp_path, mara)


class TestTheBaselinesThatCount:
    @pytest.mark.parametrize("signing", ["off", "optional", "required"])
    def test_are_those_of_the_ref_where_nothing_changed(self, change: Change, signing: Signing) -> None:
        assert change.read(signing) == ([record_of(1)], [])

    @pytest.mark.parametrize("signing", ["optional", "required"])
    def test_include_an_approval_that_a_maintainer_signed_in_the_change(
        self, change: Change, mara: Person, signing: Signing
    ) -> None:
        approve(change.root, record_of(2), who=mara)

        active, found = change.read(signing)

        assert active == [record_of(2)]
        assert [(one.kind, one.scenario_id) for one in found] == [("added", "s")]
        assert "approves s-2026-03-02-00000002 of s, and that counts" in found[0].sentence

    def test_include_one_whose_record_has_no_name_yet(self, change: Change, mara: Person) -> None:
        path = approve(change.root, record_of(2), who=mara)
        path.rename(path.with_name(path.name + ".pending"))

        assert change.read()[0] == [record_of(2)]

    def test_include_a_signed_retirement_and_acknowledgement(self, change: Change, mara: Person) -> None:
        add(change.root, retirement(change.root, record_of(1), START + timedelta(days=2)), mara)
        add(change.root, acknowledgement(change.root, START + timedelta(days=3), date(2099, 1, 1)), mara)

        active, found = change.read()

        assert active == []
        assert all("and that counts" in one.sentence for one in found)

    def test_include_none_without_signatures(self, change: Change, mara: Person) -> None:
        approve(change.root, record_of(2), who=mara)

        assert change.read("off")[0] == [record_of(1)]
        assert "does not count: signatures are not looked at" in change.told("off")

    @pytest.mark.parametrize("signing", ["off", "optional", "required"])
    def test_do_not_include_an_unsigned_approval(self, change: Change, signing: Signing) -> None:
        approve(change.root, record_of(2))

        assert change.read(signing)[0] == [record_of(1)]
        assert "that does not count" in change.told(signing)

    def test_do_not_include_one_by_whom_only_the_change_makes_a_maintainer(self, change: Change, eve: Person) -> None:
        with (change.root / "allowed_signers").open("a") as file:
            file.write(eve.line())
        (change.root / "maintainers.yaml").write_text(maintainers(MARA, eve.name))
        approve(change.root, record_of(2, by=eve.name), who=eve)

        assert change.read()[0] == [record_of(1)]
        told = change.told()
        assert "that does not count: no good signature of eve@example.org" in told
        assert "allowed_signers is changed in comparison with baselines at main" in told
        assert "maintainers.yaml is changed" in told

    def test_do_not_include_one_with_a_maintainers_name_on_a_strangers_key(self, change: Change, eve: Person) -> None:
        (change.root / "allowed_signers").write_text(eve.line().replace(eve.name, MARA))
        approve(change.root, record_of(2, by=MARA), who=eve)

        assert change.read()[0] == [record_of(1)]

    def test_do_not_include_what_follows_one_that_does_not_count(self, change: Change, mara: Person) -> None:
        approve(change.root, record_of(2))
        approve(change.root, record_of(3), who=mara)

        assert change.read()[0] == [record_of(1)]
        assert "an entry that came before it does not count" in change.told()

    def test_do_not_include_one_signed_with_a_key_that_has_expired_since(self, change: Change, mara: Person) -> None:
        """Whoever holds it could date the entry back."""
        line = mara.line('namespaces="specbench",valid-before="20260601"')
        (change.root / "allowed_signers").write_text(line)
        commit(change.path)
        approve(change.root, record_of(2), who=mara)
        assert datetime.now(UTC).date() > date(2026, 6, 1)

        assert change.read()[0] == [record_of(1)]
        assert f"that does not count: no good signature of {MARA}: " in change.told()

    def test_do_not_include_one_of_a_former_maintainer(self, change: Change, mara: Person) -> None:
        (change.root / "maintainers.yaml").write_text(f"maintainers:\n  - {{principal: {MARA}, rotations: []}}\n")
        commit(change.path)
        approve(change.root, record_of(2), who=mara)

        assert change.read()[0] == [record_of(1)]
        assert "is not of the rotation" in change.told()

    def test_do_not_include_a_first_entry_of_another_repository(self, change: Change, mara: Person) -> None:
        approve(change.root.with_name("elsewhere"), record_of(2), who=mara)
        shutil.copytree(change.root.with_name("elsewhere"), change.root, dirs_exist_ok=True)

        assert change.read()[0] == [record_of(1)]
        assert "it follows no entry, though baselines at main has some" in change.told()

    @pytest.mark.parametrize("known", [True, False])
    def test_do_not_include_the_approval_of_a_commit_of_another_repository(
        self, change: Change, mara: Person, *, known: bool
    ) -> None:
        for folder in ("audit", "s"):
            shutil.rmtree(change.root / folder)
        base = commit(change.path)
        record = record_of(2).model_copy(update={"commit_sha": base if known else "0" * 40})
        approve(change.root, record, who=mara)

        assert change.read()[0] == ([record] if known else [])
        assert ("is not known here" in change.told()) != known

    def test_do_not_include_one_of_a_time_to_come(self, change: Change, mara: Person) -> None:
        approve(change.root, record_of(2, recorded_at=datetime.now(UTC) + timedelta(days=2)), who=mara)

        assert "it is of a time to come" in change.told()

    def test_do_not_include_a_record_that_the_signed_entry_does_not_name(self, change: Change, mara: Person) -> None:
        """A good entry whose record was replaced blocks: it counts, and what it names is not there."""
        path = approve(change.root, record_of(2), who=mara)
        path.write_bytes(record_bytes(record_of(2, notes="better")))

        with pytest.raises(BlockedError, match="it was altered"):
            change.read()


class TestWhatTheChangeRemovesOrEdits:
    def test_a_record(self, change: Change) -> None:
        path = next((change.root / "s").glob("*.json"))
        path.unlink()
        assert change.read()[0] == [record_of(1)]
        assert (
            f"s/{path.name} is removed in comparison with baselines at main; what counts is as before" in change.told()
        )
        path.write_text("{}")
        assert f"s/{path.name} is changed" in change.told()

    def test_the_whole_folder(self, change: Change) -> None:
        import shutil

        shutil.rmtree(change.root)

        assert change.read()[0] == [record_of(1)]
        told = change.told()
        for name in ("maintainers.yaml", "allowed_signers", "s/s-2026-03-01-00000001.json"):
            assert f"{name} is removed" in told
        assert "was removed or altered here" in told

    def test_an_entry_and_then_nothing_new_counts(self, change: Change, mara: Person) -> None:
        gone = entries(change.root)[0]
        for path in change.root.rglob(f"{gone.name}*"):
            path.unlink()
        approve(change.root, record_of(2), who=mara)

        assert change.read()[0] == [record_of(1)]
        assert (
            f"the audit entry {gone.name}: it is in baselines at main, and was removed or altered here" in change.told()
        )
        assert "does not count: entries that came before it were removed" in change.told()

    def test_the_newest_entry_with_its_record_is_found_by_verify(self, change: Change, mara: Person) -> None:
        """A truncation leaves no trace but at the ref."""
        path = approve(change.root, record_of(2), who=mara)
        newest = entries(change.root)[-1]
        commit(change.path)
        path.unlink()
        newest.unlink()
        tree, trusted = FolderTree(change.root), change.trusted
        trust = read_trust(trusted, "required")

        assert verify_baselines(tree, trust) == []
        assert [problem.name for problem in verify_baselines(tree, trust, trusted=trusted)] == [newest.name]

    def test_an_entry_by_editing_it(self, change: Change) -> None:
        entry = entries(change.root)[0]
        entry.write_text(entry.read_text().replace(MARA, BEN))
        trusted = change.trusted

        problems = verify_baselines(FolderTree(change.root), read_trust(trusted, "off"), trusted=trusted)

        assert any(problem.name == entry.name and "altered" in problem.what for problem in problems)
        assert any("was removed or altered here" in problem.what for problem in problems)

    def test_a_file_of_those_who_may_revoke(self, change: Change, mara: Person) -> None:
        (change.root / "revoked_signers").write_text(mara.public)

        assert change.read()[0] == [record_of(1)]
        assert "revoked_signers is added in comparison with baselines at main; it does not count" in change.told()

    def test_a_file_into_a_link(self, change: Change) -> None:
        (change.root / "maintainers.yaml").unlink()
        (change.root / "maintainers.yaml").symlink_to("allowed_signers")

        assert "maintainers.yaml cannot be read any more" in change.told()


def test_a_ref_whose_own_trail_is_broken_blocks(change: Change) -> None:
    entries(change.root)[0].write_text("{")
    commit(change.path)

    with pytest.raises(BlockedError) as caught:
        change.read()

    assert caught.value.cause is Cause.BASELINE_INVALID


def test_a_link_that_the_change_made_does_not_lead_the_ref_astray(change: Change) -> None:
    change.root.rename(change.path / "moved")
    change.root.symlink_to("moved")

    assert change.read()[0] == [record_of(1)]
