"""The audit folder: entries that nobody can write over, and what a trust accepts of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from core_samples import fingerprint
from store_support import (
    ANYBODY,
    BEN,
    MARA,
    ROTATION,
    START,
    Person,
    acknowledgement,
    add,
    approve,
    entries,
    person,
    record_of,
    retirement,
    trust,
)

from pytest_specbench.core.approval.audit import Problem, entry_bytes
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.store.baselines.audit import append, read_trail, read_trust, unsigned
from pytest_specbench.store.baselines.maintainers import Maintainers
from pytest_specbench.store.baselines.records import Trust, read_all, read_baselines, verify_baselines
from pytest_specbench.store.trees import FolderTree


@pytest.fixture(scope="module")
def mara(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("mara"), MARA)


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("ben"), BEN)


def not_accepted(root: Path, whom: Trust, *, today: date | None = None) -> list[Problem]:
    tree = FolderTree(root)
    return unsigned(tree, read_trail(tree), whom, today=today)


def only(problems: list[Problem]) -> str:
    assert len(problems) == 1
    return f"{problems[0].name}: {problems[0].what}"


class TestAnEntry:
    def test_is_written_once(self, tmp_path: Path) -> None:
        entry = retirement(tmp_path, record_of(1), START)

        path = append(tmp_path, entry, b"first")

        assert path.read_bytes() == entry_bytes(entry)
        assert path.with_name(path.name + ".sig").read_bytes() == b"first"
        with pytest.raises(FileExistsError):
            append(tmp_path, entry, b"second")
        assert path.with_name(path.name + ".sig").read_bytes() == b"first"
        assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.sig"]

    def test_is_found_again(self, tmp_path: Path) -> None:
        first = retirement(tmp_path, record_of(1), START)
        append(tmp_path, first, None)
        second = acknowledgement(tmp_path, START + timedelta(days=1), date(2026, 4, 1))
        append(tmp_path, second, None)

        trail = read_trail(FolderTree(tmp_path))

        assert [filed.entry for filed in trail.entries] == [first, second]
        assert second.parents == (trail.entries[0].sha256,)

    def test_that_is_a_link_or_a_folder_is_a_problem_of_the_trail(self, tmp_path: Path) -> None:
        path = append(tmp_path, acknowledgement(tmp_path, START, date(2026, 4, 1)), None)
        (path.parent / "a.json").symlink_to(path.name)
        (path.parent / "b.json").mkdir()

        problems = read_trail(FolderTree(tmp_path)).problems

        assert [(problem.name, problem.what) for problem in problems] == [
            ("a.json", "it is a link, and no regular file"),
            ("b.json", "it is no regular file"),
        ]

    def test_under_another_name_is_a_problem_of_the_trail(self, tmp_path: Path) -> None:
        path = append(tmp_path, acknowledgement(tmp_path, START, date(2026, 4, 1)), None)
        path.rename(path.with_name("another.json"))

        assert "it was altered" in only(list(read_trail(FolderTree(tmp_path)).problems))


class TestWhereSignaturesAreRequired:
    def test_a_maintainers_is_accepted(self, tmp_path: Path, mara: Person, ben: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)
        approve(tmp_path, record_of(2, by=BEN, scenario="other"), who=ben)

        assert not_accepted(tmp_path, trust("required", mara, ben)) == []
        assert read_baselines(FolderTree(tmp_path), "s", trust("required", mara, ben)).active == [record_of(1)]
        assert verify_baselines(FolderTree(tmp_path), trust("required", mara, ben)) == []

    def test_an_unsigned_one_blocks(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1))

        assert f"it is not signed, by {MARA} or anybody" in only(not_accepted(tmp_path, trust("required", mara)))
        with pytest.raises(BlockedError, match="it is not signed"):
            read_baselines(FolderTree(tmp_path), "s", trust("required", mara))

    def test_a_strangers_blocks(self, tmp_path: Path, mara: Person, ben: Person) -> None:
        approve(tmp_path, record_of(1, by=BEN), who=ben)

        assert "its key is nobody's" in only(not_accepted(tmp_path, trust("required", mara)))

    def test_one_in_another_persons_name_blocks(self, tmp_path: Path, mara: Person, ben: Person) -> None:
        approve(tmp_path, record_of(1, by=MARA), who=ben)

        assert f"its key is {BEN}'s" in only(not_accepted(tmp_path, trust("required", mara, ben)))

    def test_one_of_somebody_who_is_no_maintainer_blocks(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)
        known = trust("required", mara)

        found = not_accepted(tmp_path, Trust("required", Maintainers({BEN: (ROTATION,)}), known.allowed_signers))

        assert f"{MARA} is no maintainer" in only(found)

    def test_one_of_a_former_maintainer_stands(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)
        known = trust("required", mara)

        assert not_accepted(tmp_path, Trust("required", Maintainers({MARA: ()}), known.allowed_signers)) == []

    def test_nobody_is_believed_without_allowed_signers(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)

        found = not_accepted(tmp_path, Trust("required", Maintainers({MARA: (ROTATION,)}), None))

        assert "there is no allowed_signers" in only(found)

    def test_a_signature_of_another_entry_blocks(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)
        approve(tmp_path, record_of(2, scenario="other"), who=mara)
        first, second = entries(tmp_path)
        signature = first.with_name(first.name + ".sig")
        signature.write_bytes(second.with_name(second.name + ".sig").read_bytes())

        assert first.name in only(not_accepted(tmp_path, trust("required", mara)))
        assert first.name in only(verify_baselines(FolderTree(tmp_path), trust("required", mara)))
        assert read_baselines(FolderTree(tmp_path), "other", trust("required", mara)).active

    def test_the_key_must_have_been_valid_then(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1), who=mara)
        people = Maintainers({MARA: (ROTATION,)})
        before, after = (f'namespaces="specbench",valid-before="2026030{day}"' for day in (3, 2))

        assert not_accepted(tmp_path, Trust("required", people, mara.line(before).encode())) == []
        told = only(not_accepted(tmp_path, Trust("required", people, mara.line(after).encode())))
        assert f"no good signature of {MARA}: " in told

    def test_a_revoked_key_never_counts_and_approving_anew_mends_it(
        self, tmp_path: Path, mara: Person, ben: Person
    ) -> None:
        approve(tmp_path, record_of(1), who=mara)
        revoked = trust("required", mara, ben, revoked=f"{mara.public}\n".encode())
        assert "its key is revoked" in only(not_accepted(tmp_path, revoked))

        approve(tmp_path, record_of(2, by=BEN), who=ben)

        assert not_accepted(tmp_path, revoked) == []
        assert verify_baselines(FolderTree(tmp_path), revoked) == []

    def test_what_was_approved_before_they_were_is_mended_by_approving_anew(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1))
        approve(tmp_path, record_of(2))
        add(tmp_path, retirement(tmp_path, record_of(2), START + timedelta(days=3)))
        assert len(not_accepted(tmp_path, trust("required", mara))) == 3

        approve(tmp_path, record_of(4), who=mara)

        assert not_accepted(tmp_path, trust("required", mara)) == []

    def test_so_is_what_was_approved_of_another_instrument(self, tmp_path: Path, mara: Person) -> None:
        """The scenario was edited between two unsigned approvals; only the newer one is approved anew."""
        required, tree = trust("required", mara), FolderTree(tmp_path)
        approve(tmp_path, record_of(1))
        approve(tmp_path, record_of(2, fingerprint=fingerprint(cpus=2.0)))
        with pytest.raises(BlockedError) as blocked:
            read_baselines(tree, "s", required)
        assert "specbench baseline approve --scenario s" in str(blocked.value)

        approve(tmp_path, record_of(3, fingerprint=fingerprint(cpus=2.0)), who=mara)

        assert [one.baseline_id for one in read_baselines(tree, "s", required).active] == [record_of(3).baseline_id]
        assert [one.baseline_id for one in read_all(tree, required).active] == [record_of(3).baseline_id]
        assert verify_baselines(tree, required) == []

    def test_so_does_a_signed_retirement_and_no_unsigned_one(self, tmp_path: Path, mara: Person) -> None:
        required = trust("required", mara)
        approve(tmp_path, record_of(1))
        add(tmp_path, retirement(tmp_path, record_of(1), START + timedelta(days=2)))
        assert len(not_accepted(tmp_path, required)) == 2

        elsewhere = record_of(3, fingerprint=fingerprint("elsewhere"))
        approve(tmp_path, elsewhere)
        add(tmp_path, retirement(tmp_path, elsewhere, START + timedelta(days=4)), mara)

        assert len(not_accepted(tmp_path, required)) == 2

    def test_approving_another_environment_mends_nothing(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1))
        approve(tmp_path, record_of(2, fingerprint=fingerprint("elsewhere")), who=mara)
        approve(tmp_path, record_of(3, scenario="other"), who=mara)

        assert entries(tmp_path)[0].name in only(not_accepted(tmp_path, trust("required", mara)))

    @pytest.mark.parametrize("signed", [False, True])
    def test_a_retirement_is_signed_too(self, tmp_path: Path, mara: Person, *, signed: bool) -> None:
        approve(tmp_path, record_of(1), who=mara)
        add(tmp_path, retirement(tmp_path, record_of(1), START + timedelta(days=3)), mara if signed else None)

        assert len(not_accepted(tmp_path, trust("required", mara))) == (0 if signed else 1)

    def test_an_acknowledgement_is_signed_while_it_holds(self, tmp_path: Path, mara: Person) -> None:
        add(tmp_path, acknowledgement(tmp_path, START, date(2026, 3, 9)))

        assert "not signed" in only(not_accepted(tmp_path, trust("required", mara), today=date(2026, 3, 8)))
        assert not_accepted(tmp_path, trust("required", mara), today=date(2026, 3, 9)) == []


class TestWhereSignaturesAreOptional:
    def test_gits_word_is_enough(self, tmp_path: Path, mara: Person) -> None:
        approve(tmp_path, record_of(1))

        assert not_accepted(tmp_path, trust("optional", mara)) == []

    def test_what_says_that_it_is_verified_must_be(self, tmp_path: Path, mara: Person, ben: Person) -> None:
        approve(tmp_path, record_of(1, by=MARA), verified=True)
        approve(tmp_path, record_of(2, by=MARA, scenario="other"), who=ben)

        assert len(not_accepted(tmp_path, trust("optional", mara, ben))) == 2

    def test_verify_names_a_signature_that_is_of_something_else(self, tmp_path: Path, mara: Person) -> None:
        path = approve(tmp_path, record_of(1), who=mara, verified=False)
        signature = next((path.parent.parent / "audit").glob("*.sig"))
        signature.write_bytes(mara.sign(b"something else"))

        assert not_accepted(tmp_path, trust("optional", mara)) == []
        assert "its signature is of something else" in only(
            verify_baselines(FolderTree(tmp_path), trust("optional", mara))
        )


def test_where_they_are_off_nothing_is_looked_at(tmp_path: Path) -> None:
    approve(tmp_path, record_of(1), signer=lambda data: b"rubbish")

    assert not_accepted(tmp_path, ANYBODY) == []
    assert verify_baselines(FolderTree(tmp_path), ANYBODY) == []


def test_trust_is_read_from_the_baseline_folder(tmp_path: Path, mara: Person) -> None:
    (tmp_path / "maintainers.yaml").write_text(f"maintainers:\n  - principal: {MARA}\n    rotations: [{ROTATION}]\n")
    (tmp_path / "allowed_signers").write_text(mara.line())
    (tmp_path / "revoked_signers").write_text(mara.public)

    found = read_trust(FolderTree(tmp_path), "required")

    assert (found.signing, found.maintainers.people) == ("required", {MARA: (ROTATION,)})
    assert (found.allowed_signers, found.revoked) == (mara.line().encode(), mara.public.encode())


def test_entries_without_parents_are_all_heads(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(200):
        append(tmp_path, acknowledgement(tmp_path / "none", at + timedelta(minutes=number), date(2026, 4, 1)), None)

    trail = read_trail(FolderTree(tmp_path))

    assert len(trail.entries) == len(trail.heads) == 200
    assert trail.problems == ()
