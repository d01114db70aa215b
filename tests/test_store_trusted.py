"""A trusted git ref: a change cannot approve itself, and what it tried to alter is told."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

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
    git,
    person,
    record_of,
    retirement,
)

from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.audit import read_trust
from pytest_specbench.store.baselines.records import Signing, read_baselines, record_bytes, verify_baselines
from pytest_specbench.store.trees import FolderTree
from pytest_specbench.store.trusted.ini import read_ini
from pytest_specbench.store.trusted.ref import Alteration, TrustedRef, ini_alterations, trusted_ref, what_counts
from pytest_specbench.store.trusted.scenarios import gates_at, lock_alterations, scenario_alterations


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
    def ref(self) -> TrustedRef:
        return trusted_ref(self.path, "main")

    def scenario(self, scenario_id: str, file: str | None = None) -> Path:
        path = self.path / (file or f"bench/{scenario_id}.scenario.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(scenario(scenario_id), sort_keys=False))
        return path

    def read(self, signing: Signing = "required") -> tuple[list[BaselineRecord], list[Alteration]]:
        """The active baselines, and what was altered."""
        trusted = self.ref.tree(self.root)
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
        assert [(one.kind, one.scenario_id, one.blocks) for one in found] == [("added", "s", False)]
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
        tree, trusted = FolderTree(change.root), change.ref.tree(change.root)
        trust = read_trust(trusted, "required")

        assert verify_baselines(tree, trust) == []
        assert [problem.name for problem in verify_baselines(tree, trust, trusted=trusted)] == [newest.name]

    def test_an_entry_by_editing_it(self, change: Change) -> None:
        entry = entries(change.root)[0]
        entry.write_text(entry.read_text().replace(MARA, BEN))
        trusted = change.ref.tree(change.root)

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


def test_a_folder_outside_of_the_repository_is_a_wrong_setting(change: Change, tmp_path_factory: Any) -> None:
    with pytest.raises(BlockedError, match="outside of the repository"):
        change.ref.tree(tmp_path_factory.mktemp("elsewhere"))


def test_a_link_that_the_change_made_does_not_lead_the_ref_astray(change: Change) -> None:
    change.root.rename(change.path / "moved")
    change.root.symlink_to("moved")

    assert change.ref.inside(change.root) == "baselines"
    assert change.read()[0] == [record_of(1)]


def test_a_repository_that_is_reached_by_a_link_is_the_same(change: Change, tmp_path_factory: Any) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(change.path)

    assert trusted_ref(link, "main").inside(link / "baselines" / "s") == "baselines/s"
    assert trusted_ref(link, "main").inside(link) == ""


class TestTheConfiguration:
    def told(self, change: Change) -> list[tuple[str, bool]]:
        return [(one.sentence, one.blocks) for one in ini_alterations(change.ref, change.path)]

    def test_of_the_ref_counts(self, change: Change) -> None:
        (change.path / "pytest.ini").write_text("[pytest]\nspecbench_require_baseline = never\nspecbench_agent = nop\n")

        assert change.ref.ini(change.path).values == {
            "specbench_require_baseline": "always",
            "specbench_sandbox": "docker",
        }
        assert self.told(change) == [
            ("specbench_agent is 'nop' in pytest.ini; not set at main counts", False),
            ("specbench_require_baseline is 'never' in pytest.ini; 'always' at main counts", False),
            ("specbench_sandbox is not set in pytest.ini; 'docker' at main counts", False),
        ]

    def test_in_a_file_that_takes_precedence_now_is_told(self, change: Change) -> None:
        (change.path / "pytest.toml").write_text("[pytest]\nspecbench_require_baseline = 'never'\n")

        assert self.told(change)[0] == (
            "pytest is configured by pytest.toml instead of pytest.ini; what that says of specbench does not count",
            False,
        )
        assert change.ref.ini(change.path).path == "pytest.ini"

    def test_that_moves_the_rootdir_and_so_the_baselines_blocks(self, change: Change) -> None:
        (change.path / "bench" / "pytest.ini").write_text("[pytest]\n")

        found = ini_alterations(change.ref, change.path / "bench")

        assert "its rootdir is 'bench' instead of '.'" in found[0].sentence
        assert found[0].blocks

    def test_that_cannot_be_parsed_any_more_is_told(self, change: Change) -> None:
        (change.path / "pytest.ini").write_text("no section = 1\n")

        assert "it cannot be read any more" in self.told(change)[0][0]

    @pytest.mark.parametrize(
        ("line", "blocks"),
        [
            ("addopts = --deselect=bench/s.scenario.yaml", True),
            ("addopts = -q", True),
            ("norecursedirs = bench", True),
            ("testpaths = other", True),
            ("markers =\n  slow: takes long", True),
            ("specbench_agent = nop", False),
        ],
    )
    def test_cannot_decide_what_is_run(self, change: Change, line: str, *, blocks: bool) -> None:
        with (change.path / "pytest.ini").open("a") as file:
            file.write(f"{line}\n")

        told = self.told(change)

        assert [one[1] for one in told] == [blocks]
        assert line.partition(" ")[0] in told[0][0]
        assert ("put it into a change of its own" in told[0][0]) == blocks

    def test_cannot_be_led_elsewhere_by_a_link(self, change: Change) -> None:
        (change.path / "pytest.ini").rename(change.path / "other.ini")
        (change.path / "pytest.ini").symlink_to("other.ini")

        assert [one[1] for one in self.told(change)] == [True]


LAYOUTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "pytest.ini": {"pytest.ini": "[pytest]\nspecbench_a = 1\naddopts = -q\n  -x\n"},
    "pytest.ini without a section": {"pytest.ini": "", "tox.ini": "[pytest]\nspecbench_a = 1\n"},
    "hidden": {".pytest.ini": "[pytest]\nspecbench_a = 1\n", "tox.ini": "[pytest]\nspecbench_a = 2\n"},
    "pytest.toml": {"pytest.toml": "[pytest]\nspecbench_a = true\n", "pytest.ini": "[pytest]\nspecbench_a = 2\n"},
    "empty pytest.toml": {"pytest.toml": "", "pytest.ini": "[pytest]\nspecbench_a = 2\n"},
    "ini_options": {"pyproject.toml": "[tool.pytest.ini_options]\nspecbench_a = true\naddopts = ['-q', '-x']\n"},
    "native": {"pyproject.toml": "[tool.pytest]\nspecbench_a = true\n", "tox.ini": "[pytest]\nspecbench_a = 2\n"},
    "pyproject without": {"pyproject.toml": "[project]\nname = 'x'\n", "setup.cfg": "[tool:pytest]\nspecbench_a = 1\n"},
    "only a pyproject": {"pyproject.toml": "[project]\nname = 'x'\n"},
    "only a pyproject above": {"../pyproject.toml": "[project]\nname = 'x'\n"},
    "above": {"tox.ini": "[tox]\nspecbench_a = 1\n", "../setup.cfg": "[tool:pytest]\nspecbench_a = 1\n"},
    "above a pyproject": {"pyproject.toml": "", "../tox.ini": "[pytest]\nspecbench_a = 1\n"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_configuration_is_found_and_read_as_pytest_does(tmp_path: Path, layout: dict[str, str]) -> None:
    from _pytest.config.findpaths import locate_config

    start = tmp_path / "top" / "deep"
    start.mkdir(parents=True)
    for name, text in layout.items():
        (start / name).write_text(text)

    ini = read_ini(FolderTree(tmp_path), "top/deep")

    root, path, values, _ = locate_config(start, [start])
    assert ini.path == (None if path is None else path.resolve().relative_to(tmp_path).as_posix())
    if root is not None:
        assert tmp_path / ini.root == root.resolve()
    expected = {name: value.value for name, value in values.items() if name.startswith("specbench_")}
    assert ini.values == expected
    if "addopts" in values:
        assert ini.addopts == "-q -x"


@pytest.mark.parametrize(
    "files",
    [
        {"pytest.ini": "x"},
        {"pyproject.toml": "["},
        {"pyproject.toml": "tool = 1"},
        {"pyproject.toml": "[tool.pytest]\na = 1\n[tool.pytest.ini_options]\nb = 1\n"},
        {"pytest.ini": "[pytest]\na = 1\na = 2\n"},
    ],
    ids=range(5),
)
def test_a_configuration_that_cannot_be_parsed_is_no_missing_one(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(BlockedError) as caught:
        read_ini(FolderTree(tmp_path), "")

    assert caught.value.cause is Cause.CONFIGURATION


class TestScenarios:
    def told(self, change: Change) -> list[Alteration]:
        ref = change.ref
        trusted = ref.tree(change.root)
        tree, _ = what_counts(FolderTree(change.root), trusted, read_trust(trusted, "required"))
        return scenario_alterations(ref, tree)

    def test_that_stay_or_move_or_are_new_are_all_right(self, change: Change) -> None:
        assert self.told(change) == []
        change.scenario("new")
        (change.path / "bench" / "s.scenario.yaml").rename(change.path / "moved.scenario.yml")
        assert self.told(change) == []

    def test_that_are_deleted_block(self, change: Change) -> None:
        (change.path / "bench" / "s.scenario.yaml").unlink()

        found = self.told(change)

        assert [(one.blocks, one.scenario_id) for one in found] == [(True, "s")]
        assert "bench/s.scenario.yaml is gone" in found[0].sentence

    def test_that_are_renamed_block(self, change: Change) -> None:
        change.scenario("another", "bench/s.scenario.yaml")

        assert "bench/s.scenario.yaml declares another now" in self.told(change)[0].sentence
        assert self.told(change)[0].blocks

    @pytest.mark.parametrize("name", ["s.scenario.yaml.off", ".gitignored/s.scenario.yaml"])
    def test_that_are_hidden_block(self, change: Change, name: str) -> None:
        (change.path / ".gitignore").write_text(".gitignored\n")
        target = change.path / name
        target.parent.mkdir(exist_ok=True)
        (change.path / "bench" / "s.scenario.yaml").rename(target)

        assert self.told(change)[0].blocks

    def test_that_were_never_approved_may_go(self, change: Change) -> None:
        path = change.scenario("draft")
        commit(change.path)
        path.unlink()

        assert self.told(change) == []

    def test_that_a_maintainer_decommissioned_in_the_change_may_go(self, change: Change, mara: Person) -> None:
        (change.path / "bench" / "s.scenario.yaml").unlink()
        add(change.root, retirement(change.root, record_of(1), START + timedelta(days=2)))
        assert self.told(change)[0].blocks, "an unsigned retirement does not count"
        entries(change.root)[-1].unlink()

        add(change.root, retirement(change.root, record_of(1), START + timedelta(days=2)), mara)

        assert self.told(change) == []


class TestTheLock:
    def write(self, change: Change, facts: dict[str, Any] | None, name: str = "s") -> None:
        sandboxes = {} if facts is None else {"docker": {name: facts}}
        (change.path / "bench" / "specbench.lock").write_text(json.dumps({"lock": 1, "sandboxes": sandboxes}))

    def test_tells_how_strictly_is_judged(self, change: Change) -> None:
        self.write(change, {"cpus": 1.0, "gate_content": "strict"})
        commit(change.path)
        assert lock_alterations(change.ref) == []

        self.write(change, {"cpus": 2.0, "gate_content": "lax"})

        found = lock_alterations(change.ref)
        assert [(one.sentence, one.scenario_id, one.kind) for one in found] == [
            ("specbench.lock pins gate_content of s in docker as lax; it is strict at main", "s", "changed")
        ]

    def test_is_found_wherever_the_scenario_goes(self, change: Change) -> None:
        self.write(change, {"gate_content": "strict"})
        commit(change.path)
        lax = {"lock": 1, "sandboxes": {"docker": {"s": {"gate_content": "lax"}}}}
        (change.path / "specbench.lock").write_text(json.dumps(lax))

        assert [one.kind for one in lock_alterations(change.ref)] == ["changed"]
        assert gates_at(change.ref) == {("docker", "s"): [{"gate_content": "strict"}]}

    def test_may_pin_more(self, change: Change) -> None:
        self.write(change, None)
        commit(change.path)
        self.write(change, {"gate_content": "strict"})

        assert lock_alterations(change.ref) == []

    def test_that_pins_it_no_more_or_is_gone_is_told(self, change: Change) -> None:
        self.write(change, {"gate_content": "strict"})
        commit(change.path)
        self.write(change, None)
        assert [one.kind for one in lock_alterations(change.ref)] == ["removed"]
        (change.path / "bench" / "specbench.lock").write_text("{")
        assert [one.kind for one in lock_alterations(change.ref)] == ["removed"]
        (change.path / "bench" / "specbench.lock").unlink()
        assert [one.kind for one in lock_alterations(change.ref)] == ["removed"]


def test_the_ref_is_resolved_once(change: Change) -> None:
    ref = change.ref
    approve(change.root, record_of(2))
    commit(change.path)

    assert ref.commit == change.base
    assert len(ref.tree(change.root).names("s")) == 2
    assert len(change.ref.tree(change.root).names("s")) == 4


def test_a_work_tree_in_a_folder_of_the_repository_is_found(change: Change) -> None:
    inner = change.path / "bench"
    git(change.path, "status")

    assert trusted_ref(inner, "main").tree(change.root).names("s")
