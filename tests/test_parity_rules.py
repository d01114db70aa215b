"""Which baseline a run is compared with, and what becomes of a run that has none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from parity_support import NOW, STRICT, approve, lock_content
from scenario_files import Project, Ran, asking, command

from pytest_specbench.core.approval.baselines import PORTABLE

LATER = NOW + timedelta(days=1)


@pytest.fixture
def demo(project: Project) -> Project:
    """A project with one scenario."""
    project.scenario()
    return project


def other_instrument(project: Project) -> None:
    """Change the scenario so that no baseline of before has its instrument."""
    project.scenario(runner={"cpus": 2.0})


class TestWithoutABaseline:
    @pytest.mark.parametrize(("required", "code"), [("never", 0), ("known", 0), ("always", 2)])
    def test_a_new_scenario(self, demo: Project, required: str, code: int) -> None:
        ran = demo.run(f"--specbench-require-baseline={required}")

        assert ran.verdict() == ("provisional", "approval_needed" if code else "verified", code)
        assert "there is no approved baseline of this scenario" in ran.scenario()["notes"]

    @pytest.mark.parametrize(("required", "code"), [("never", 0), ("known", 2), ("always", 2)])
    def test_a_scenario_that_has_one_for_another_instrument(self, demo: Project, required: str, code: int) -> None:
        record = approve(demo, demo.run())
        other_instrument(demo)

        ran = demo.run(f"--specbench-require-baseline={required}")

        assert ran.verdict() == ("provisional", "approval_needed" if code else "verified", code)
        comparison = ran.run()["comparison"]
        assert comparison["baseline_id"] is None
        assert comparison["diff"] == [f"--- {record.baseline_id}", "+++ this run", "- cpus: 1.0", "+ cpus: 2.0"]
        assert f"the nearest, {record.baseline_id}, differs in cpus" in ran.scenario()["notes"]
        assert (ran.folder / "demo" / "parity.diff").read_text().splitlines() == comparison["diff"]

    def test_it_says_so_everywhere(self, either: Project) -> None:
        either.scenario()
        approve(either, either.run())
        other_instrument(either)

        ran = either.run("-v")

        assert ran.code == 2
        assert ran.report["exit_reason"] == "1 not accepted: demo (approval needed)"
        assert ran.report["summary"] == {"regressions": 0, "blocked": 0, "provisional": 1, "passed": 0, "total": 1}
        assert "APPROVAL NEEDED" in ran.out
        assert "specbench: exit 2: 1 not accepted: demo (approval needed)" in ran.out
        assert "+ cpus: 2.0" in ran.err

    def test_the_agent_acts_all_the_same(self, demo: Project) -> None:
        """What it leaves is the candidate for the approval that is needed."""
        approve(demo, demo.run())
        other_instrument(demo)

        ran = demo.run()

        assert ran.run()["trials"][0]["outcome"] == "success"
        assert ran.run()["metrics"]["runtime_ms"]["value"] is not None

    def test_a_failing_agent_fails_whether_approved_or_not(self, demo: Project) -> None:
        approve(demo, demo.run())
        demo.scenario(runner={"cpus": 2.0}, agent=command("true"))

        assert demo.run().verdict() == ("regression", "artifact_missing", 1)

    def test_the_nearest_baseline_has_the_fewest_differences(self, demo: Project) -> None:
        near = approve(demo, demo.run(), at=NOW)
        demo.file("solve.sh", "echo made > result.txt\n")
        demo.scenario(agent={"name": "oracle"}, solution="solve.sh", runner={"memory_mb": 64, "pids": 64})
        approve(demo, demo.run(), at=LATER)
        other_instrument(demo)

        assert demo.run().run()["comparison"]["diff"][0] == f"--- {near.baseline_id}"

    def test_another_agent_or_approval_mode_is_another_instrument(self, demo: Project) -> None:
        demo.file("solve.sh", "echo solved > result.txt\n")
        demo.scenario(solution="solve.sh", approval_mode="trusted")
        approve(demo, demo.run())

        ran = demo.run("--specbench-agent=oracle")

        assert ran.verdict() == ("provisional", "approval_needed", 2)
        assert "- agent: command" in ran.run()["comparison"]["diff"]
        assert "+ agent: oracle" in ran.run()["comparison"]["diff"]

    def test_endpoint_and_parameters_are_the_scenarios_models_and_not_anothers(self, demo: Project) -> None:
        def facts(model: dict[str, Any] | None, *arguments: str) -> dict[str, Any]:
            demo.scenario(model=model, agent=asking(demo, "echo made > result.txt"))
            found: dict[str, Any] = demo.run(*arguments).run()["fingerprint"]["instrument"]
            return found

        own = {"name": "openai/own", "parameters": {"temperature": 0}}
        asked = facts(own)["model_parameters"]
        assert facts(own, "--specbench-model=openai/own")["model_parameters"] == asked
        assert facts(own | {"api_base": "http://user:hush@127.0.0.1:1/v1"})["model_parameters"] != asked
        assert "hush" not in str(facts(own | {"api_base": "http://user:hush@127.0.0.1:1/v1"}))
        other = "--specbench-model=openai/other"
        assert facts(own, other) == facts(own | {"parameters": {"temperature": 1}}, other) == facts(None, other)

    def test_only_its_own_scenario_counts(self, demo: Project) -> None:
        approve(demo, demo.run())
        demo.scenario("other")

        ran = demo.run()

        assert ran.judged("demo") == ("pass", "verified")
        assert ran.judged("other") == ("provisional", "verified")
        assert ran.code == 0


class TestSeveralBaselines:
    def test_each_agent_has_its_own(self, demo: Project) -> None:
        demo.file("solve.sh", "echo made > result.txt\n")
        demo.scenario(solution="solve.sh")
        first = approve(demo, demo.run())
        second = approve(demo, demo.run("--specbench-agent=oracle"))

        assert demo.run("--specbench-agent=oracle").scenario()["baseline_id"] == second.baseline_id
        assert demo.run().scenario()["baseline_id"] == first.baseline_id

    def test_a_changed_instrument_retires_what_it_was_before(self, demo: Project) -> None:
        """Who brings the older scenario back finds no baseline that fits it."""
        first = approve(demo, demo.run())
        other_instrument(demo)
        second = approve(demo, demo.run("--specbench-require-baseline=never"), at=LATER)

        assert demo.run().scenario()["baseline_id"] == second.baseline_id
        demo.scenario()
        ran = demo.run()
        assert ran.verdict() == ("provisional", "approval_needed", 2)
        assert f"the nearest, {second.baseline_id}, differs in cpus" in ran.scenario()["notes"]
        assert first.baseline_id not in ran.scenario()["notes"]

    def test_one_that_is_superseded_no_longer_counts(self, demo: Project) -> None:
        first = approve(demo, demo.run(), metrics=STRICT)
        second = approve(demo, demo.run("--specbench-require-baseline=never"), at=LATER, supersedes=first.baseline_id)
        demo.scenario(metrics_tracked=["runtime_ms"])

        ran = demo.run()

        assert ran.verdict() == ("pass", "verified", 0)
        assert ran.scenario()["baseline_id"] == second.baseline_id

    def test_this_hosts_own_goes_before_any_other(self, demo: Project) -> None:
        demo.more_ini(host_class="here", host_parity="portable")
        first = demo.run()
        own = approve(demo, first)
        approve(demo, demo.run(), at=LATER, host="elsewhere")
        approve(demo, demo.run(), at=LATER + timedelta(days=1), portable=True)

        ran = demo.run()

        assert ran.scenario()["baseline_id"] == own.baseline_id
        assert ran.run()["comparison"]["same_host"] is True


class TestHosts:
    def test_another_host_class_blocks(self, either: Project) -> None:
        either.scenario()
        mark = either.path / "the-agent-ran"
        record = approve(either, either.run(), host="big-machine")
        either.scenario(agent=command(f"touch {mark}; echo made > result.txt"))

        ran = either.run("--specbench-host-class=small-machine")

        assert ran.verdict() == ("blocked", "parity", 2)
        notes = ran.scenario()["notes"]
        assert (
            f"the baseline {record.baseline_id} is for the host class 'big-machine', this is 'small-machine'" in notes
        )
        assert "specbench_host_class" in notes
        assert "--specbench-host-parity=portable" in notes
        assert "- class: big-machine\n+ class: small-machine" in ran.err
        assert not mark.exists()

    def test_portable_parity_compares_what_does_not_depend_on_the_host(self, demo: Project) -> None:
        demo.scenario(metrics_tracked=["runtime_ms", "success", "steps"], thresholds={"steps": 10})
        record = approve(demo, demo.run(), host="big-machine", metrics=STRICT)

        ran = demo.run("--specbench-host-parity=portable")

        assert ran.verdict() == ("pass", "verified", 0)
        comparison = ran.run()["comparison"]
        assert comparison["baseline_id"] == record.baseline_id
        assert comparison["same_host"] is False
        assert comparison["runtime_percent"] is None
        results = {item["name"]: item["result"] for item in comparison["metrics"]}
        assert (results["runtime_ms"], results["success"], results["steps"]) == ("not compared", "within", "within")
        assert "host" in ran.scenario()["notes"]
        assert record.baseline_id in ran.scenario()["notes"]

    def test_portable_parity_still_finds_what_is_worse(self, demo: Project) -> None:
        demo.scenario(metrics_tracked=["runtime_ms", "exit_status"])
        approve(demo, demo.run(), host="big-machine", metrics={"exit_status": 3})

        assert demo.run("--specbench-host-parity=portable").verdict() == ("regression", "metric_regression", 1)

    def test_nothing_portable_that_is_tracked_is_no_pass(self, demo: Project) -> None:
        demo.scenario(metrics_tracked=["runtime_ms"])
        approve(demo, demo.run(), host="big-machine")

        assert demo.run("--specbench-host-parity=portable").verdict() == ("blocked", "parity", 2)

    def test_a_portable_baseline_fits_every_host(self, demo: Project) -> None:
        record = approve(demo, demo.run(), portable=True)
        assert record.host_class == PORTABLE
        assert "runtime_ms" not in record.metrics

        ran = demo.run("--specbench-host-parity=portable", "--specbench-host-class=anywhere")

        assert ran.verdict() == ("pass", "verified", 0)
        assert ran.scenario()["baseline_id"] == record.baseline_id
        assert demo.run("--specbench-host-class=anywhere").verdict() == ("blocked", "parity", 2)

    def test_a_portable_one_goes_before_that_of_another_host(self, demo: Project) -> None:
        portable = approve(demo, demo.run(), portable=True)
        approve(demo, demo.run("--specbench-host-parity=portable"), at=LATER, host="big-machine")

        ran = demo.run("--specbench-host-parity=portable")

        assert ran.scenario()["baseline_id"] == portable.baseline_id

    @pytest.mark.parametrize("how", ["command line", "ini"])
    def test_a_declared_class(self, demo: Project, how: str) -> None:
        if how == "ini":
            demo.more_ini(host_class="github-ubuntu-24.04-4core")
        ran = demo.run(*([] if how == "ini" else ["--specbench-host-class=github-ubuntu-24.04-4core"]))

        host = ran.run()["fingerprint"]["host"]
        assert (host["class"], host["declared"]) == ("github-ubuntu-24.04-4core", True)
        approve(demo, ran)
        assert demo.run("--specbench-host-class=github-ubuntu-24.04-4core").judged() == ("pass", "verified")

    def test_a_derived_class_tells_hosts_apart_that_differ_in_speed(self, demo: Project) -> None:
        host = demo.run().run()["fingerprint"]["host"]

        assert host["declared"] is False
        for fact in ("cpu_model", "cores", "memory_gib", "system", "cgroup"):
            assert str(host[fact]) in host["class"]

    def test_a_derived_class_is_the_same_in_every_run(self, demo: Project) -> None:
        assert demo.run().run()["fingerprint"] == demo.run().run()["fingerprint"]

    def test_the_class_is_no_part_of_the_lock(self, demo: Project) -> None:
        demo.run("--specbench-lock", "--specbench-host-class=here")

        assert "here" not in str(lock_content(demo))
        assert demo.run("--specbench-host-class=there").run()["comparison"]["lock"] == "equal"


class TestExpiry:
    @pytest.mark.parametrize(("days", "judged"), [(-1, "blocked"), (0, "blocked"), (2, "pass")])
    def test_an_expired_baseline_blocks(self, demo: Project, days: int, judged: str) -> None:
        expiry = datetime.now(UTC).date() + timedelta(days=days)
        record = approve(demo, demo.run(), expires_on=expiry)

        ran = demo.run()

        assert ran.scenario()["status"] == judged
        if judged == "blocked":
            assert ran.verdict() == ("blocked", "baseline_invalid", 2)
            assert f"the baseline {record.baseline_id} expired on {expiry}" in ran.scenario()["notes"]
            assert ran.run()["trials"] == []


def text_of(record: Path, **changes: Any) -> str:
    import json

    return json.dumps(json.loads(record.read_text()) | changes)


class TestAlteredBaseline:
    @pytest.fixture
    def record(self, demo: Project) -> Path:
        """The file of the only baseline."""
        approved = approve(demo, demo.run())
        return demo.path / "baselines" / "demo" / f"{approved.baseline_id}.json"

    def refused(self, demo: Project, *said: str) -> Ran:
        """The run is blocked before the agent acts, with these words."""
        ran = demo.run()
        assert ran.verdict() == ("blocked", "baseline_invalid", 2)
        assert "the baselines cannot be used" in ran.scenario()["notes"]
        for words in said:
            assert words in ran.scenario()["notes"]
        assert ran.run()["trials"] == []
        assert "Traceback" not in ran.out + ran.err
        return ran

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}"],
        ids=["empty", "cut", "list", "null", "no text", "nested", "no record"],
    )
    def test_one_that_cannot_be_read(self, demo: Project, record: Path, content: bytes) -> None:
        record.write_bytes(content)

        self.refused(demo, str(record), "it was altered", f"git log -p -- '*demo/{record.name}'")

    def test_a_change_of_any_value(self, demo: Project, record: Path) -> None:
        record.write_text(text_of(record, notes="better"))

        self.refused(demo, str(record), "it was altered", "approves another content")

    def test_a_renamed_file(self, demo: Project, record: Path) -> None:
        record.rename(record.with_name("demo-2026-01-01-00000000.json"))

        self.refused(demo, str(record), "it is missing", "no audit entry approves it")

    def test_another_scenarios(self, demo: Project, record: Path) -> None:
        demo.scenario("other")
        (demo.path / "baselines" / "other").mkdir()
        record.rename(demo.path / "baselines" / "other" / record.name)

        ran = demo.run()

        assert ran.judged("other") == ("blocked", "baseline_invalid")
        assert "no audit entry approves it" in ran.scenario("other")["notes"]
        assert ran.judged("demo") == ("blocked", "baseline_invalid")

    def test_one_that_is_gone(self, demo: Project, record: Path) -> None:
        """Else who removes a baseline would leave its scenario as if it never had one."""
        record.unlink()

        self.refused(demo, str(record), "it is missing")

    def test_one_without_its_audit_entry(self, demo: Project, record: Path) -> None:
        next((demo.path / "baselines" / "audit").iterdir()).unlink()

        self.refused(demo, str(record), "no audit entry approves it")

    def test_an_audit_entry_that_was_altered(self, demo: Project, record: Path) -> None:
        entry = next((demo.path / "baselines" / "audit").iterdir())
        entry.write_text(text_of(entry, by="eve@example.invalid"))

        self.refused(demo, str(entry), "it was altered")

    def test_a_folder_in_its_place(self, demo: Project, record: Path) -> None:
        record.unlink()
        record.mkdir()

        self.refused(demo, str(record), "it is no regular file")

    def test_one_broken_record_blocks_although_another_would_fit(self, demo: Project, record: Path) -> None:
        (record.parent / "demo-2026-01-01-00000000.json").write_text("{")

        self.refused(demo)

    def test_files_that_are_no_records_are_left_alone(self, demo: Project, record: Path) -> None:
        (record.parent / "README.md").write_text("Approved by the maintainers.\n")
        record.with_suffix(".json.sig").write_text("signature")

        assert demo.run().judged() == ("pass", "verified")


def test_the_day_counts_in_utc(demo: Project) -> None:
    record = approve(demo, demo.run(), expires_on=date.max)

    assert demo.run().scenario()["baseline_id"] == record.baseline_id
