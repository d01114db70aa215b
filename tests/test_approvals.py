"""From recorded runs to an active baseline: what it takes, every reason why not, and what the gate makes of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from approval_support import BEN, MARA, approved, as_made_once, entries, latest, maintained, passes, record
from parity_support import commit, git
from scenario_files import Project, Ran, command
from store_support import Person, person

from pytest_specbench.reporting.approvals import list_text
from pytest_specbench.store.baselines.records import Trust, read_all
from pytest_specbench.store.trees import FolderTree


@pytest.fixture
def kept(project: Project) -> Project:
    """A maintained project with one scenario, in which nothing ran yet."""
    project.scenario()
    return maintained(project)


@pytest.fixture
def passed(project: Project, templates: Path) -> Project:
    """The same after three passing runs."""

    def make() -> None:
        project.scenario()
        passes(maintained(project), 3)

    return as_made_once(project, templates, "passed", make)


def refused(project: Project, *arguments: str, scenario: str = "demo", run: str = "latest") -> str:
    """Try to approve, see that nothing was written, and return what was said."""
    before = sorted(path for path in project.path.glob("baselines/**/*"))
    ran = project.specbench("baseline", "approve", "--scenario", scenario, "--run", run, *arguments)
    assert ran.code == 4, ran.out + ran.err
    assert sorted(path for path in project.path.glob("baselines/**/*")) == before
    assert "Traceback" not in ran.err
    return ran.err


class TestApproving:
    def test_three_passing_runs_make_a_baseline_that_the_next_run_is_compared_with(self, passed: Project) -> None:
        told = approved(passed, "--notes", "first one").out

        assert record(passed)["baseline_id"] in told
        commit(passed)
        after = passed.run()
        assert after.judged() == ("pass", "verified")
        assert after.scenario()["baseline_id"] == record(passed)["baseline_id"]

    def test_the_record_pools_all_runs_and_says_what_it_rests_on(self, passed: Project) -> None:
        last = latest(passed)
        approved(passed, "--notes", "first one")

        made = record(passed)
        assert len(made["run_ids"]) == 3
        assert made["run_ids"][-1] == last.report["run_id"]
        assert made["metrics"]["success"]["values"] == [True, True, True]
        assert (made["approved_by"], made["rotation"]) == (MARA, "workflow-maintainers")
        assert made["notes"] == "first one"
        assert made["commit_sha"] == git(passed.path, "rev-parse", "HEAD").strip()
        folder = passed.path / "baselines" / made["artifact_snapshot"]
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            name for name, file in made["bundle"].items() if file["uri"] is None
        )
        assert json.loads((folder / "summary.json").read_text())["scenario_id"] == "demo"

    def test_the_audit_entry_names_who_when_why_and_the_record(self, passed: Project) -> None:
        approved(passed, "--notes", "first one")

        (entry,) = entries(passed)
        assert (entry["action"], entry["by"], entry["verified"], entry["reason"]) == (
            "approve",
            MARA,
            False,
            "first one",
        )
        assert entry["baseline_id"] == record(passed)["baseline_id"]
        assert entry["parents"] == []

    def test_a_newer_one_retires_the_older_and_names_it_as_its_parent(self, passed: Project) -> None:
        approved(passed)
        first = record(passed)
        commit(passed)
        passes(passed, 1)
        approved(passed)

        second = record(passed)
        assert second["supersedes_baseline_id"] == first["baseline_id"]
        assert len(entries(passed)[1]["parents"]) == 1
        listed = passed.specbench("baseline", "list", "--format", "json")
        assert {row["baseline_id"]: row["status"] for row in json.loads(listed.out)["baselines"]} == {
            first["baseline_id"]: "retired",
            second["baseline_id"]: "active",
        }

    def test_the_list_says_what_counts_and_for_what(self, passed: Project) -> None:
        approved(passed, "--expires", "2999-01-01")
        baselines = read_all(FolderTree(passed.path / "baselines"), Trust("off"))
        (one,) = baselines.records.values()

        on_time, too_late = (list_text(baselines, {}, date(2998, 12, 31) + timedelta(days)) for days in (0, 1))

        assert re.search(rf"{one.baseline_id} +active +demo .* local; command; {re.escape(one.host_class)}$", on_time)
        assert " expired " in too_late

    def test_a_dry_run_shows_old_and_new_side_by_side_and_writes_nothing(self, passed: Project) -> None:
        approved(passed)
        first = record(passed)["baseline_id"]
        commit(passed)
        passes(passed, 1)

        shown = approved(passed, "--dry-run").out

        assert first in shown
        assert "consecutive passing runs: 3" in shown
        assert len(entries(passed)) == 1

    def test_a_portable_one_holds_no_hosts_metric(self, passed: Project) -> None:
        approved(passed, "--portable")

        assert "runtime_ms" not in record(passed)["metrics"]
        assert record(passed)["fingerprint"]["host"] == {"class": "portable"}

    def test_a_run_that_was_made_elsewhere_is_approved_in_one_command(self, passed: Project) -> None:
        elsewhere = passed.path.parent / "artifact"
        shutil.move(passed.path / ".terminalbench", elsewhere)

        ran = passed.specbench("baseline", "approve", "--scenario", "demo", "--run", str(elsewhere))

        assert ran.code == 0, ran.err
        assert len(record(passed)["run_ids"]) == 3

    @pytest.mark.parametrize("expires", ["2020-01-01", "tomorrow"])
    def test_an_expiry_must_be_a_day_to_come(self, passed: Project, expires: str) -> None:
        ran = passed.specbench("baseline", "approve", "--scenario", "demo", "--run", "latest", "--expires", expires)

        assert ran.code in (2, 4)
        assert expires in ran.err
        assert entries(passed) == []

    def test_of_two_at_once_one_wins_and_the_other_is_told(self, passed: Project) -> None:
        line = [sys.executable, "-m", "pytest_specbench", "baseline", "approve", "--scenario=demo", "--run=latest"]
        both = [
            subprocess.Popen(line, cwd=passed.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [one.communicate(timeout=120) for one in both]

        assert sorted(one.returncode for one in both) == [0, 4], said
        assert any("approved already" in err for _, err in said)
        assert len(entries(passed)) == 1


class TestRefused:
    def test_two_runs_are_not_enough(self, kept: Project) -> None:
        passes(kept, 2)
        assert "3 consecutive passing runs" in refused(kept)

    def test_all_reasons_are_told_at_once(self, kept: Project) -> None:
        kept.file("untracked.scenario.yaml", "x")
        kept.run("--specbench-allow-dirty", "demo.scenario.yaml")

        said = refused(kept, "--dataset", "other==1")

        assert "3 consecutive passing runs" in said
        assert "clean commit" in said
        assert "other==1" in said

    def test_a_failed_run_breaks_the_streak(self, kept: Project) -> None:
        passes(kept, 2)
        assert kept.run("--specbench-agent=nop").code == 1
        kept.scenario(agent=command("true"))
        commit(kept)
        assert kept.run().code == 1
        kept.scenario()
        commit(kept)
        passes(kept, 1)

        assert refused(kept)

    def test_a_blocked_run_neither_counts_nor_breaks(self, kept: Project) -> None:
        passes(kept, 2)
        assert kept.run("--specbench-approval-mode=minimal").code == 2
        passes(kept, 1)

        approved(kept)

    def test_a_regression(self, kept: Project) -> None:
        kept.scenario(agent=command("true"))
        commit(kept)
        kept.run()

        assert "regression" in refused(kept)

    def test_the_same_run_twice(self, passed: Project) -> None:
        approved(passed)

        assert "approved already" in refused(passed)

    def test_an_altered_artifact(self, passed: Project) -> None:
        ran = latest(passed)
        (ran.trial() / "post-test.txt").write_text("all is well\n")

        assert "post-test.txt" in refused(passed)

    def test_an_altered_artifact_of_an_earlier_run_of_the_streak(self, kept: Project) -> None:
        first = passes(kept, 1)
        (first.trial() / "post-test.txt").write_text("all is well\n")
        passes(kept, 2)

        assert "post-test.txt" in refused(kept)

    def test_an_altered_record(self, passed: Project) -> None:
        ran = latest(passed)
        path = ran.folder / "demo" / "run.json"
        path.write_text(path.read_text().replace('"clean": true', '"clean":  true'))

        assert refused(passed)

    def test_somebody_who_is_no_maintainer(self, project: Project) -> None:
        project.scenario()
        maintained(project, BEN, user=MARA)
        passes(project, 3)

        said = refused(project)
        assert MARA in said
        assert BEN in said

    def test_the_author_of_the_commit_where_four_eyes_are_asked_for(self, kept: Project) -> None:
        kept.more_ini(four_eyes="true")
        git(kept.path, "commit", "-q", "-a", "-m", "four eyes", f"--author=Mara <{MARA}>")
        passes(kept, 3)

        assert "author" in refused(kept)

    def test_but_not_another_one(self, kept: Project) -> None:
        kept.more_ini(four_eyes="true")
        git(kept.path, "commit", "-q", "-a", "-m", "four eyes", f"--author=Ben <{BEN}>")
        passes(kept, 3)

        approved(kept)

    @pytest.mark.parametrize("run", ["deadbeef", "no/such/folder", "0"])
    def test_a_run_that_nobody_knows(self, kept: Project, run: str) -> None:
        passes(kept, 1)
        assert refused(kept, run=run)

    def test_a_scenario_that_the_run_does_not_have(self, kept: Project) -> None:
        passes(kept, 1)
        assert "expected: one of demo" in refused(kept, scenario="dema")

    def test_a_broken_trail_is_not_added_to(self, passed: Project) -> None:
        approved(passed)
        (entry,) = (passed.path / "baselines" / "audit").glob("*.json")
        entry.write_text(entry.read_text().replace(MARA, BEN))
        commit(passed)
        passed.run()

        assert refused(passed)


class TestRetiring:
    def test_a_retired_baseline_is_compared_with_no_more(self, passed: Project) -> None:
        approved(passed)
        name = record(passed)["baseline_id"]

        retired = passed.specbench("baseline", "retire", name, "--reason", "decommissioned")

        assert retired.code == 0, retired.err
        commit(passed)
        assert passed.run().judged() == ("provisional", "approval_needed")
        shown = passed.specbench("baseline", "show", name).out
        assert "retired" in shown
        assert "decommissioned" in shown

    def test_twice_is_refused(self, passed: Project) -> None:
        approved(passed)
        name = record(passed)["baseline_id"]
        passed.specbench("baseline", "retire", name, "--reason", "decommissioned")

        again = passed.specbench("baseline", "retire", name, "--reason", "decommissioned")

        assert again.code == 4
        assert "retired" in again.err


class TestAcknowledging:
    def failing(self, kept: Project, line: str = "true") -> None:
        kept.scenario(agent=command(line))
        commit(kept)
        assert kept.run().code == 1

    def test_a_known_failure_is_green_until_its_day(self, kept: Project) -> None:
        self.failing(kept)

        self.acknowledged(kept)
        ran = kept.run()
        assert (ran.code, *ran.judged()) == (0, "pass", "acknowledged")
        assert "upstream #12" in ran.scenario()["notes"]

    def test_another_failure_is_not(self, kept: Project) -> None:
        kept.scenario(success_artifacts=[{"path": "result.txt"}, {"path": "more.txt"}])
        commit(kept)
        assert kept.run().code == 1
        self.acknowledged(kept)
        assert kept.run().code == 0

        # Same scenario and agent, and now the other artifact is missing too: the agent's command is under test.
        kept.file("flag", "")
        assert kept.run("--specbench-agent=nop").judged()[0] == "regression"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--reason", "x", "--until", "2020-01-01"], "2020-01-01"),
            (["--reason", "x", "--until", "soon"], "YYYY-MM-DD"),
            (["--reason", " ", "--until", "2999-01-01"], "--reason"),
        ],
    )
    def test_it_takes_a_reason_and_a_day_to_come(self, kept: Project, options: list[str], said: str) -> None:
        self.failing(kept)

        ran = kept.specbench("ack", "--scenario", "demo", "--run", "latest", *options)

        assert ran.code in (2, 4)
        assert said in ran.err
        assert entries(kept) == []

    def test_a_pass_cannot_be_acknowledged(self, kept: Project) -> None:
        passes(kept, 1)

        ran = self.acknowledge(kept)

        assert ran.code == 4
        assert "only a regression" in ran.err

    def test_it_needs_no_more_than_was_acknowledged(self, kept: Project) -> None:
        """A failure of another kind beside the known one is told, whichever trial shows it first."""
        count = kept.path.parent / "count"
        line = f"echo x >> {count}; test $(wc -l < {count}) -le 2 || exit 3"
        self.failing(kept, line)
        self.acknowledged(kept)

        assert kept.run().judged() == ("pass", "acknowledged")
        # From the third start on, the agent crashes instead of leaving nothing.
        assert kept.run().judged()[0] == "regression"

    def test_withdrawn_it_fails_again(self, kept: Project) -> None:
        self.failing(kept)
        self.acknowledged(kept)
        assert kept.run().code == 0

        ended = kept.specbench("ack", "--scenario", "demo", "--withdraw", "--reason", "mended upstream")

        assert ended.code == 0, ended.err
        assert re.search(r"^  demo +ended ", kept.specbench("baseline", "list").out, re.MULTILINE)
        commit(kept)
        assert kept.run().code == 1
        assert kept.specbench("ack", "--scenario", "demo", "--withdraw", "--reason", "again").code == 4

    def test_a_failure_that_is_acknowledged_becomes_no_baseline(self, kept: Project) -> None:
        self.failing(kept)
        self.acknowledged(kept)
        passes(kept, 3)

        said = refused(kept, "--accept-regression", "--reason", "it is so")

        assert "acknowledged failure" in said

    def test_for_longer_than_a_year_it_is_no_exception(self, kept: Project) -> None:
        self.failing(kept)

        ran = self.acknowledge(kept, "2999-01-01")

        assert ran.code == 4
        assert "366 days" in ran.err

    def test_it_is_not_green_where_an_approval_is_owed(self, passed: Project) -> None:
        approved(passed)
        name = record(passed)["baseline_id"]
        passed.specbench("baseline", "retire", name, "--reason", "decommissioned")
        self.failing(passed)
        self.acknowledged(passed)

        assert passed.run().code == 1

    def acknowledge(self, passed: Project, until: str | None = None) -> Ran:
        day = until or str(datetime.now(UTC).date() + timedelta(days=30))
        return passed.specbench(
            "ack", "--scenario", "demo", "--run", "latest", "--reason", "upstream #12", "--until", day
        )

    def acknowledged(self, passed: Project) -> None:
        known = self.acknowledge(passed)
        assert known.code == 0, known.err
        commit(passed)


class TestForged:
    """A run that comes from elsewhere is anybody's."""

    def test_it_brings_no_file_of_this_machine(self, kept: Project, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("for nobody's eyes")
        last = passes(kept, 3)
        path = last.folder / "demo" / "run.json"
        run = json.loads(path.read_text("utf-8"))
        digest = hashlib.sha256(secret.read_bytes()).hexdigest()
        run["artifacts"]["agent_cast"] = str(secret)
        run["artifact_hashes"][str(secret)] = digest
        path.write_text(json.dumps(run), "utf-8")
        decoy = Path(f"{last.folder}/demo/{secret}")
        decoy.parent.mkdir(parents=True)
        decoy.write_bytes(secret.read_bytes())
        shutil.copytree(kept.path / ".terminalbench", tmp_path / "elsewhere", symlinks=True)
        shutil.rmtree(kept.path / ".terminalbench")

        refused(kept, run=str(tmp_path / "elsewhere"))

        assert not any(b"nobody's eyes" in file.read_bytes() for file in kept.path.rglob("*") if file.is_file())

    def test_its_commit_must_be_known_here(self, passed: Project) -> None:
        git(passed.path, "commit", "-q", "--amend", "--allow-empty", "-m", "another history")
        git(passed.path, "reflog", "expire", "--expire=now", "--all")
        git(passed.path, "gc", "-q", "--prune=now")

        assert "is not in this repository" in refused(passed)

    def test_a_missing_artifact_is_told_and_not_tripped_over(self, passed: Project) -> None:
        last = latest(passed)
        (last.trial() / "agent.cast").unlink()

        assert "agent.cast" in refused(passed)
        assert "Traceback" not in passed.specbench("baseline", "diff", "--scenario=demo", "--run=latest").err

    def test_a_broken_list_of_maintainers_refuses(self, passed: Project) -> None:
        passed.file("baselines/maintainers.yaml", "maintainers: 3\n")

        assert "maintainers.yaml" in refused(passed)


def test_from_every_state_that_a_switch_of_signing_leaves_approving_anew_is_the_way_on(
    kept: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Unsigned, then required; the key is rotated; its maintainer is gone; and back, to optional and off."""
    mara, newer, ben = (person(tmp_path_factory.mktemp("keys"), who) for who in (MARA, MARA, BEN))
    good = passes(kept, 3).report["run_id"]

    def is_blocked(said: str) -> None:
        commit(kept)
        ran = kept.run()
        assert ran.judged() == ("blocked", "baseline_invalid")
        assert said in ran.scenario()["notes"]
        assert "specbench baseline approve --scenario demo" in ran.scenario()["notes"]

    def is_approved_anew(signer: Person) -> None:
        approved(kept, "--signing-key", str(signer.key), run=good)
        commit(kept)
        assert kept.run().judged() == ("pass", "verified")
        assert kept.specbench("baseline", "verify").code == 0
        again = kept.specbench(
            *("baseline", "approve", "--scenario", "demo", "--run", good, "--signing-key", str(signer.key))
        )
        assert (again.code, "approved already" in again.err) == (4, True)

    approved(kept, run=good)
    kept.file("baselines/allowed_signers", mara.line())
    kept.more_ini(signing="required")
    is_blocked("not signed")
    is_approved_anew(mara)

    kept.file("baselines/allowed_signers", newer.line())
    is_blocked("nobody's")
    is_approved_anew(newer)

    kept.file("baselines/allowed_signers", newer.line() + ben.line())
    maintained(kept, BEN, user=BEN)
    is_blocked("no maintainer")
    is_approved_anew(ben)

    for signing in ("optional", "off"):
        assert kept.run(f"--specbench-signing={signing}").judged() == ("pass", "verified")
