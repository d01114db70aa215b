"""The audit trail: whatever branches did and in whatever order files are found, it says one thing, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_specbench.core.approval.audit import (
    Acknowledged,
    Action,
    AuditEntry,
    Filed,
    Trail,
    comparison_key,
    entry_bytes,
    entry_name,
    follow,
    latest,
    sha256,
)
from pytest_specbench.core.records import Fingerprint
from pytest_specbench.core.status import Cause
from pytest_specbench.core.transitions import BaselineStatus

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = ("a" * 64, "b" * 64)


def entry(**changes: Any) -> AuditEntry:
    """An approval, unless something else is said."""
    fields: dict[str, Any] = {
        "action": Action.APPROVE,
        "at": START,
        "by": "mara@example.org",
        "rotation": "maintainers",
        "verified": False,
        "scenario_id": "s",
        "key": KEYS[0],
        "baseline_id": "s-1",
        "record_sha256": "c" * 64,
        "run_id": UUID(int=1),
    }
    return AuditEntry(**(fields | changes))


def retired(**changes: Any) -> AuditEntry:
    return entry(action=Action.RETIRE, record_sha256=None, run_id=None, **changes)


def known_until(until: date, **changes: Any) -> AuditEntry:
    known = Acknowledged(until=until, cause=Cause.METRIC_REGRESSION, failed_share=0.0)
    return entry(action=Action.ACKNOWLEDGE, baseline_id=None, record_sha256=None, acknowledged=known, **changes)


def filed(one: AuditEntry) -> Filed:
    digest = sha256(entry_bytes(one))
    return Filed(entry_name(one, digest), digest, one)


def chain(*entries: AuditEntry) -> list[Filed]:
    """Each names the one before as its parent."""
    found: list[Filed] = []
    for one in entries:
        found.append(filed(one.model_copy(update={"parents": (found[-1].sha256,) if found else ()})))
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[Filed]:
    """What maintainers on up to three branches did, which merge now and then; times only grow along a branch."""
    branches: list[dict[str, Filed]] = [{}]
    everything: dict[str, Filed] = {}
    clock = START
    for number in range(draw(st.integers(1, 10))):
        step = draw(st.integers(0, 5))
        branch = draw(st.sampled_from(branches))
        if step == 0 and len(branches) < 3:
            branches.append(dict(branch))
        elif step == 1:
            branch.update(draw(st.sampled_from(branches)))
        clock += timedelta(seconds=draw(st.integers(0, 3)))
        one = draw(actions(number, branch, clock))
        made = filed(one.model_copy(update={"parents": Trail(tuple(branch.values())).heads}))
        branch[made.sha256] = everything[made.sha256] = made
    return list(everything.values())


@st.composite
def actions(draw: st.DrawFn, number: int, branch: dict[str, Filed], at: datetime) -> AuditEntry:
    """Something that a maintainer can do on a branch."""
    key = draw(st.sampled_from(KEYS))
    approved = [one.entry for one in branch.values() if one.entry.action is Action.APPROVE]
    action = draw(st.sampled_from(Action))
    if action is Action.RETIRE and approved:
        old = draw(st.sampled_from(approved))
        return retired(at=at, scenario_id=old.scenario_id, key=old.key, baseline_id=old.baseline_id, reason=str(number))
    if action is Action.ACKNOWLEDGE:
        return known_until(date(2026, 4, 1), at=at, key=key, reason=str(number))
    scenario_id = draw(st.sampled_from(["s", "t"]))
    return entry(
        at=at, scenario_id=scenario_id, key=key, baseline_id=f"{scenario_id}-{number}", run_id=UUID(int=number)
    )


def expected(found: Sequence[Filed]) -> dict[str, BaselineStatus]:
    """The status of every baseline, said in another way: by time, whatever branch it was on."""
    approvals = [one.entry for one in found if one.entry.action is Action.APPROVE]
    gone = {one.entry.baseline_id for one in found if one.entry.action is Action.RETIRE}
    newest: dict[tuple[str, str], tuple[Any, ...]] = {}
    for one in found:
        if one.entry.action is Action.APPROVE:
            key = (one.entry.scenario_id, one.entry.key)
            newest[key] = max(newest.get(key, (START - timedelta(days=1), "")), (one.entry.at, one.entry.baseline_id))
    status = {}
    for one in approvals:
        last = newest[one.scenario_id, one.key][1] == one.baseline_id
        alive = last and one.baseline_id not in gone
        status[str(one.baseline_id)] = BaselineStatus.ACTIVE if alive else BaselineStatus.RETIRED
    return status


def distinct_times(found: Sequence[Filed]) -> bool:
    return len({one.entry.at for one in found}) == len(found)


class TestWhateverBranchesDid:
    @given(histories(), st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_it_says_the_same_in_whatever_order_files_are_found(self, found: list[Filed], random: Any) -> None:
        shuffled = list(found)
        random.shuffle(shuffled)

        trail, again = follow(found), follow(shuffled)

        assert list(trail.entries) == list(again.entries)
        assert dict(trail.baselines) == dict(again.baselines)
        assert trail.problems == again.problems == []
        assert trail.heads == again.heads

    @given(histories())
    @settings(max_examples=60, deadline=None)
    def test_parents_come_first_and_time_never_goes_back(self, found: list[Filed]) -> None:
        ordered = follow(found).entries

        assert sorted(one.sha256 for one in ordered) == sorted(one.sha256 for one in found)
        place = {one.sha256: index for index, one in enumerate(ordered)}
        assert all(place[parent] < place[one.sha256] for one in ordered for parent in one.entry.parents)
        assert [one.entry.at for one in ordered] == sorted(one.entry.at for one in ordered)

    @given(histories())
    @settings(max_examples=60, deadline=None)
    def test_the_latest_approval_is_active_unless_it_was_retired(self, found: list[Filed]) -> None:
        trail = follow(found)

        if distinct_times(found):
            assert {name: one.status for name, one in trail.baselines.items()} == expected(found)
        active = [one.approval.entry for one in trail.baselines.values() if one.status is BaselineStatus.ACTIVE]
        assert len({(one.scenario_id, one.key) for one in active}) == len(active)
        for one in trail.baselines.values():
            assert (one.retired_by is None) == (one.status is BaselineStatus.ACTIVE)

    @given(histories())
    @settings(max_examples=40, deadline=None)
    def test_the_next_entry_joins_all_heads(self, found: list[Filed]) -> None:
        heads = follow(found).heads
        at = latest(found)
        assert at is not None

        joined = follow([*found, filed(known_until(date(2026, 4, 1), at=at, reason="next", parents=heads))])

        assert len(joined.heads) == 1
        assert joined.problems == []

    @given(histories(), st.data())
    @settings(max_examples=60, deadline=None)
    def test_a_removal_is_named_unless_it_is_the_newest(self, found: list[Filed], data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(found))
        children = [one.name for one in found if gone.sha256 in one.entry.parents]

        problems = follow([one for one in found if one is not gone]).problems

        told = [problem.name for problem in problems if gone.sha256[:16] in problem.what and "removed" in problem.what]
        assert sorted(told) == sorted(children)

    @given(histories(), st.data())
    @settings(max_examples=60, deadline=None)
    def test_an_edit_is_named(self, found: list[Filed], data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(found))
        change = data.draw(
            st.sampled_from([{"by": "eve"}, {"reason": "!"}, {"verified": True}, {"parents": ("0" * 64,)}])
        )
        edited = victim.entry.model_copy(update=change)
        there = Filed(victim.name, sha256(entry_bytes(edited)), edited)

        problems = follow([there if one is victim else one for one in found]).problems

        assert any(problem.name == victim.name and "altered" in problem.what for problem in problems)


class TestByExample:
    def test_nothing_is_an_empty_trail(self) -> None:
        trail = follow([])

        assert (list(trail.entries), trail.problems, trail.heads, latest([])) == ([], [], (), None)

    def test_an_approval_replaces_the_one_before_it(self) -> None:
        first, second = chain(entry(), entry(baseline_id="s-2", at=START + timedelta(days=1)))

        history = follow([second, first]).baselines

        assert (history["s-1"].status, history["s-1"].retired_by) == (BaselineStatus.RETIRED, second)
        assert (history["s-2"].status, history["s-2"].retired_by) == (BaselineStatus.ACTIVE, None)

    def test_what_is_retired_twice_stays_retired_by_the_first(self) -> None:
        """Two branches may have done so."""
        first = filed(entry())
        left, right = (
            filed(retired(at=START + timedelta(days=day), parents=(first.sha256,), reason=f"{day}")) for day in (1, 2)
        )

        trail = follow([first, right, left])

        assert trail.problems == []
        assert trail.baselines["s-1"].retired_by == left

    def test_what_was_replaced_can_still_be_retired_on_the_other_branch(self) -> None:
        first, second = chain(entry(), entry(baseline_id="s-2", at=START + timedelta(days=1)))
        late = filed(retired(at=START + timedelta(days=2), parents=(first.sha256,)))

        trail = follow([first, second, late])

        assert trail.problems == []
        assert trail.baselines["s-1"].retired_by == second
        assert trail.baselines["s-2"].status is BaselineStatus.ACTIVE

    def test_approving_the_same_record_twice_is_a_problem(self) -> None:
        problems = follow(chain(entry(), entry(at=START + timedelta(days=1)))).problems

        assert [problem.what for problem in problems] == ["it approves s-1 once more"]

    def test_retiring_what_nobody_approved_is_a_problem(self) -> None:
        problems = follow(chain(retired())).problems

        assert [problem.what for problem in problems] == ["it retires s-1, which nobody approved"]

    def test_being_older_than_ones_parent_is_a_problem(self) -> None:
        first, second = chain(entry(), entry(baseline_id="s-2", at=START - timedelta(seconds=1)))

        problems = follow([first, second]).problems

        assert [(problem.name, problem.what) for problem in problems] == [
            (second.name, f"it is older than its parent {first.name}")
        ]

    def test_a_copy_under_another_name_is_a_problem_and_counts_once(self) -> None:
        first = filed(entry())

        trail = follow([first, Filed("copy.json", first.sha256, first.entry)])

        assert [problem.name for problem in trail.problems] == ["copy.json"]
        assert len(trail.entries) == 1

    def test_acknowledgements_hold_until_their_day_for_their_key_newest_first(self) -> None:
        first, second, _ = found = chain(
            known_until(date(2026, 4, 1)),
            known_until(date(2026, 3, 20), at=START + timedelta(days=1)),
            known_until(date(2026, 4, 1), at=START + timedelta(days=2), key=KEYS[1]),
        )
        trail = follow(found)

        assert trail.acknowledgements("s", KEYS[:1], date(2026, 3, 19)) == [second, first]
        assert trail.acknowledgements("s", KEYS[:1], date(2026, 3, 20)) == [first]
        assert trail.acknowledgements("s", KEYS[:1], date(2026, 4, 1)) == []
        assert trail.acknowledgements("other", KEYS[:1], date(2026, 3, 1)) == []


def wrong_entries() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "an approval without a baseline", {"baseline_id": None}
    yield "an approval without a record", {"record_sha256": None}
    yield "an approval without a run", {"run_id": None}
    yield "a retirement with a record", {"action": Action.RETIRE, "run_id": None}
    yield "a retirement with a run", {"action": Action.RETIRE, "record_sha256": None}
    yield "an acknowledgement of nothing", {"action": Action.ACKNOWLEDGE, "baseline_id": None, "record_sha256": None}
    yield "a naive time", {"at": datetime(2026, 3, 1)}  # noqa: DTZ001 - that is the point
    yield "half a hash", {"record_sha256": "c" * 63}
    yield "a parent that is no hash", {"parents": ("x",)}
    yield "a baseline that leads elsewhere", {"baseline_id": "../s-1"}
    yield "a scenario that leads elsewhere", {"scenario_id": "a/b"}
    yield "an unknown key", {"more": 1}
    yield "a later version", {"schema_version": "2"}


@pytest.mark.parametrize("changes", [pytest.param(changes, id=name) for name, changes in wrong_entries()])
def test_an_entry_that_contradicts_itself_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        entry(**changes)


def test_the_bytes_of_an_entry_give_it_back_and_its_name_has_its_time_in_utc() -> None:
    one = entry(at=datetime(2026, 3, 1, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))), reason='"ünï"\n')
    data = entry_bytes(one)

    assert AuditEntry.model_validate_json(data) == one
    assert data.endswith(b"}\n")
    assert entry_name(one, sha256(data)) == f"20260301T120000.000005Z-{sha256(data)[:16]}.json"


@given(
    st.dictionaries(
        st.text(max_size=3), st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)), max_size=4
    ),
    st.text(max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_the_key_of_a_comparison_depends_on_instrument_and_host_class_only(instrument: Any, host: str) -> None:
    one = Fingerprint(instrument=instrument, subject={}, host={"class": "x"})
    turned = dict(reversed(instrument.items()))
    same = Fingerprint(instrument=turned, subject={"agent": "2"}, host={"class": "y", "cores": 4}, gate={"g": 1})

    assert comparison_key(one, host) == comparison_key(same, host)
    assert comparison_key(one, host) != comparison_key(one, host + "!")
    more = Fingerprint(instrument={**instrument, "longer than those": 1}, subject={}, host={"class": "x"})
    assert comparison_key(one, host) != comparison_key(more, host)
