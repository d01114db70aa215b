"""Which baseline a run may be compared with: the rules of the fingerprint, in their order."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from core_samples import NOW, baseline, fingerprint, summary

from pytest_specbench.core.approval.baselines import PORTABLE
from pytest_specbench.core.fingerprint import Fact, locked_part
from pytest_specbench.core.fingerprint import fingerprint as make_fingerprint
from pytest_specbench.core.matching import Policy, drift, match
from pytest_specbench.core.status import Cause

TODAY = date(2026, 11, 22)


def matched(observed=None, *active, ever=None, **policy):
    return match(
        observed or fingerprint(),
        active,
        ever_active=bool(active) if ever is None else ever,
        policy=Policy(**policy),
        today=TODAY,
    )


class TestTheFingerprint:
    facts = (
        Fact("instrument", "cpus", 1.0),
        Fact("agent", "agent_version", "1"),
        Fact("model", "model", "m"),
        Fact("runner_image", "runner_image", "sha256:1"),
        Fact("fixtures", "fixtures_content", "sha256:2"),
    )

    def test_what_is_under_test_is_the_subject_and_all_else_the_instrument(self):
        found = make_fingerprint(self.facts, subject=["agent", "fixtures"], host={"class": "h"})
        assert set(found.subject) == {"agent_version", "fixtures_content"}
        assert set(found.instrument) == {"cpus", "model", "runner_image"}

    def test_a_fact_cannot_be_observed_twice(self):
        with pytest.raises(ValueError, match="cpus"):
            make_fingerprint([*self.facts, self.facts[0]], subject=[], host={})

    def test_the_lock_pins_the_instrument_without_what_an_invocation_chooses(self):
        found = make_fingerprint(self.facts, subject=["fixtures"], host={})
        assert set(locked_part(found)) == {"cpus", "runner_image"}

    def test_what_loosens_the_gate_is_pinned_and_no_baseline_is_matched_by_it(self):
        facts = [*self.facts, Fact("gate", "gate_content", "sha256:3")]
        found = make_fingerprint(facts, subject=["gate"], host={"class": "h"})
        assert found.gate == {"gate_content": "sha256:3"}
        assert "gate_content" not in {**found.instrument, **found.subject}
        assert locked_part(found)["gate_content"] == "sha256:3"
        other = found.model_copy(update={"gate": {"gate_content": "sha256:4"}})
        assert [item.name for item in drift(locked_part(found), other)] == ["gate_content"]
        record = baseline(found=found)
        assert matched(other, record).baseline is record


class TestRule1Drift:
    def test_equal_is_no_drift(self):
        assert drift({"cpus": 1.0}, fingerprint()) == ()

    @pytest.mark.parametrize("locked", [{"cpus": 2.0}, {"cpus": 1.0, "memory_mb": 5}, {}])
    def test_another_value_and_a_fact_on_one_side_only_are_drift(self, locked):
        assert drift(locked, fingerprint())

    def test_a_locked_fact_that_is_under_test_is_no_drift(self):
        assert drift({"cpus": 1.0, "agent_version": "0"}, fingerprint()) == ()


class TestRule2NoBaselineOfThisInstrument:
    def test_a_new_scenario_is_provisional(self):
        found = matched()
        assert (found.baseline, found.cause) == (None, None)

    def test_a_scenario_that_had_a_baseline_owes_an_approval(self):
        found = matched(fingerprint(cpus=2.0), baseline())
        assert found.cause is Cause.APPROVAL_NEEDED
        assert "differs in cpus" in found.notes
        assert found.diff == ("--- s-1", "+++ this run", "- cpus: 1.0", "+ cpus: 2.0")

    def test_a_scenario_whose_baselines_are_all_retired_owes_one_too(self):
        assert matched(ever=True).cause is Cause.APPROVAL_NEEDED

    @pytest.mark.parametrize(
        ("require", "ever", "owed"),
        [
            ("never", True, False),
            ("never", False, False),
            ("known", False, False),
            ("known", True, True),
            ("always", False, True),
            ("always", True, True),
        ],
    )
    def test_require_baseline(self, require, ever, owed):
        assert (matched(ever=ever, require_baseline=require).cause is Cause.APPROVAL_NEEDED) is owed

    def test_the_nearest_baseline_is_the_one_with_the_fewest_differences(self):
        far = baseline("s-far", fingerprint(cpus=4.0, memory_mb=1))
        near = baseline("s-near", fingerprint(cpus=4.0))
        assert "s-near" in matched(fingerprint(cpus=2.0), far, near).notes


class TestRule3AnotherHost:
    def test_it_blocks(self):
        found = matched(fingerprint("h2"), baseline())
        assert found.cause is Cause.PARITY
        assert "h1" in found.notes
        assert "--specbench-host-parity=portable" in found.notes
        assert "- class: h1" in found.diff

    def test_portable_compares_and_says_what_was_not(self):
        found = matched(fingerprint("h2"), baseline(), host_parity="portable")
        assert found.baseline is not None
        assert not found.same_host
        assert "h1" in found.notes

    def test_a_portable_baseline_fits_every_host_where_that_is_asked_for_and_none_else(self):
        record = baseline(found=fingerprint(PORTABLE), metrics={"steps": summary(3, "steps")})
        assert matched(fingerprint("h2"), record, host_parity="portable").baseline is record
        assert matched(fingerprint("h2"), record).cause is Cause.PARITY

    @pytest.mark.parametrize("host_parity", ["block", "portable"])
    def test_no_host_is_of_the_reserved_class(self, host_parity):
        """Else a run that calls its host so would be compared with a portable baseline, asked for or not."""
        record = baseline(found=fingerprint(PORTABLE), metrics={"steps": summary(3, "steps")})
        for active in ([record], [baseline()], []):
            found = matched(fingerprint(PORTABLE), *active, host_parity=host_parity)
            assert (found.baseline, found.cause) == (None, Cause.PARITY)
            assert "reserved" in found.notes


class TestRule4Comparable:
    def test_same_instrument_and_host(self):
        record = baseline()
        found = matched(fingerprint(), record)
        assert (found.baseline, found.same_host, found.cause) == (record, True, None)

    def test_the_newest_of_several(self):
        newer = baseline("s-2", recorded_at=NOW + timedelta(days=1))
        assert matched(fingerprint(), newer, baseline()).baseline is newer

    def test_each_host_class_has_its_own(self):
        other = baseline("s-2", fingerprint("h2"), recorded_at=NOW + timedelta(days=1))
        assert matched(fingerprint(), baseline(), other).baseline.baseline_id == "s-1"

    def test_an_expired_one_blocks(self):
        found = matched(fingerprint(), baseline(expires_on=TODAY))
        assert found.cause is Cause.BASELINE_INVALID
        assert matched(fingerprint(), baseline(expires_on=TODAY + timedelta(days=1))).cause is None
