"""What a trial leaves: the layout, files that parse, nothing overwritten, and no secret anywhere."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from scenario_files import Project, Ran, command

from pytest_specbench.core.errors import UsageError
from pytest_specbench.recording.atif_check import check_trajectory
from pytest_specbench.recording.attempts import claim_attempt
from pytest_specbench.recording.folder import check_output
from pytest_specbench.reporting.schemas import shipped_schema

SECRET = "correct-horse/battery staple+42"
BACKENDS = ["local", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a sandbox, with its image where it needs one."""
    if request.param == "docker":
        request.getfixturevalue("runner_image")
    return str(request.param)


def files(folder: Path) -> dict[str, Path]:
    """Every file below the folder, by its relative path."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def cast(path: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    """Header and events of a recording."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return lines[0], lines[1:]


class TestLayout:
    def test_every_file_is_where_the_design_says(self, project: Project) -> None:
        project.scenario(verification={"command": "cat result.txt"})

        ran = project.run()

        there = set(files(ran.folder))
        assert there >= {
            "report.json",
            "run_metadata.json",
            "summary.json",
            "demo/run.json",
            "demo/trial-01/run_metadata.json",
            "demo/trial-01/run-metadata.json",
            "demo/trial-01/summary.json",
            "demo/trial-01/agent.cast",
            "demo/trial-01/post-test.txt",
            "demo/trial-01/atif/trajectory.json",
            "demo/trial-01/raw/events.jsonl",
            "demo/trial-01/verifier/artifacts/result.txt",
        }
        assert not [name for name in there if name.endswith(".tmp")]
        assert (ran.root / "latest").readlink() == Path("runs") / ran.folder.name

    def test_every_file_parses_and_what_has_a_schema_holds_it(self, project: Project) -> None:
        project.scenario(verification={"command": "cat result.txt"})

        ran = project.run()

        for path in files(ran.folder).values():
            if path.suffix == ".json":
                json.loads(path.read_text("utf-8"))
            if path.suffix == ".jsonl":
                assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())
        jsonschema.validate(ran.report, shipped_schema("report.schema.json"))
        jsonschema.validate(ran.run(), shipped_schema("benchmark_run.schema.json"))
        assert check_trajectory(ran.trial() / "atif" / "trajectory.json") == []

    def test_the_paths_in_the_report_lead_to_files(self, project: Project) -> None:
        project.scenario()

        ran = project.run()

        paths = ran.scenario()["artifacts"]
        assert set(paths) == {"run_metadata", "agent_cast", "post_test", "trajectory", "summary"}
        assert all((ran.folder / path).is_file() for path in paths.values())
        assert (ran.root.parent / ran.report["run_folder"]).resolve() == ran.folder

    def test_the_hashes_are_those_of_the_files(self, project: Project) -> None:
        import hashlib

        project.scenario()

        ran = project.run()

        hashes = ran.run()["artifact_hashes"]
        folder = ran.folder / "demo"
        assert hashes == {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in files(folder).items()
            if name != "run.json" and not path.is_symlink()
        }

    def test_a_failed_run_leaves_the_same(self, project: Project) -> None:
        project.scenario(agent=command("echo half of it; exit 1"))

        ran = project.run()

        paths = ran.scenario()["artifacts"]
        assert all((ran.folder / path).is_file() for path in paths.values())
        assert check_trajectory(ran.trial() / "atif" / "trajectory.json") == []

    def test_the_decisive_trial_is_the_first_that_did_not_succeed(self, project: Project) -> None:
        counter = project.path / "counter"
        line = f"echo x >> {counter}; echo made > result.txt; test $(wc -l < {counter}) -ne 2"
        project.scenario(trials=3, agent=command(line))

        ran = project.run()

        assert ran.verdict() == ("regression", "agent_crashed", 1)
        assert ran.scenario()["artifacts"]["summary"] == "demo/trial-02/summary.json"
        assert ran.scenario()["notes"].startswith("1 of 3 trials failed")


class TestContent:
    def test_the_metadata_of_a_trial_has_all_that_it_takes_to_know_what_ran(self, project: Project) -> None:
        project.scenario()

        ran = project.run()

        metadata = json.loads((ran.trial() / "run_metadata.json").read_text())
        required = {
            "timestamp_utc", "run_id", "commit_sha", "version", "agent_name", "agent_version", "dataset_id", "task_id",
            "model_provider", "model_name", "approval_mode", "approval_mode_source", "sandbox_backend", "image",
            "limits", "limits_enforced", "atif_schema_version", "exit_status", "fingerprint", "trial_index",
        }  # fmt: skip
        assert required <= set(metadata)
        assert metadata["run_id"] == ran.report["run_id"]
        assert metadata["task_id"] == "demo"
        assert metadata["dataset_id"] == "suite==1.0"
        assert metadata["approval_mode"] == "full-access"
        assert metadata["approval_mode_source"] == "ini specbench_approval_mode"
        assert metadata["exit_status"] == 0
        assert metadata["limits_enforced"] == {"cpus": False, "memory": False, "pids": False, "network": False}
        assert metadata["limits"]["agent_sec"] == 600
        assert (ran.trial() / "run-metadata.json").read_text() == (ran.trial() / "run_metadata.json").read_text()

    def test_the_recording_is_an_asciicast_of_the_command_and_its_output(self, project: Project) -> None:
        project.scenario(agent=command("printf 'caf\\303\\251\\n'; echo made > result.txt"), terminal_size=[90, 25])

        ran = project.run()

        header, events = cast(ran.trial() / "agent.cast")
        assert (header["version"], header["width"], header["height"]) == (2, 90, 25)
        assert [event[1] for event in events] == ["o"] * len(events)
        times = [event[0] for event in events]
        assert times == sorted(times)
        shown = "".join(event[2] for event in events)
        assert shown.startswith("$ ")
        assert "café\r\n" in shown

    def test_asciinema_plays_it(self, project: Project) -> None:
        pytest.importorskip("asciinema")
        import sys

        project.scenario(agent=command("echo seen on the screen; echo made > result.txt"))

        ran = project.run()

        result = project.pytester.run(sys.executable, "-m", "asciinema", "cat", ran.trial() / "agent.cast")
        assert result.ret == 0
        assert any("seen on the screen" in line for line in result.outlines)

    def test_all_of_the_verifiers_output_is_kept(self, project: Project, backend: str) -> None:
        project.scenario(
            verification={"command": "seq 1 30000; echo on stderr >&2; printf '\\377'; exit 1"},
        )

        ran = project.run(f"--specbench-sandbox={backend}")

        said = (ran.trial() / "post-test.txt").read_bytes()
        assert ran.verdict() == ("regression", "verifier_said_no", 1)
        assert b"on stderr\n" in said  # where among the rest, an engine's two pipes do not tell
        assert "\n".join(map(str, range(1, 30001))).encode() in said.replace(b"on stderr\n", b"")
        assert b"\xff" in said
        assert b"exit status: 1" in said

    def test_the_trajectory_tells_the_command_and_what_came_of_it(self, project: Project) -> None:
        project.scenario(agent=command("echo this came out; echo made > result.txt"))

        ran = project.run()

        trajectory = json.loads((ran.trial() / "atif" / "trajectory.json").read_text())
        assert "this came out" in json.dumps(trajectory["steps"])
        assert trajectory["agent"]["name"] == "command"

    def test_how_the_sandbox_measured_and_what_the_agent_remarked_is_noted(self, project: Project) -> None:
        project.module(
            "actors",
            """
from pytest_specbench.agents.base import AgentOutcome

class Actor:
    name, version, acts_freely, trusted = "actor", "1", False, True
    def prepare(self, task): pass
    def configuration(self): return {}
    def run(self, task, shell, journal):
        shell.run("echo made > result.txt")
        return AgentOutcome(notes=("the agent's own remark",))
""",
        )
        project.scenario(agent={"name": "actors:Actor"})

        assert "the agent's own remark" in project.run().run()["trials"][0]["notes"]


class TestNothingIsOverwritten:
    def test_a_second_run_has_a_folder_of_its_own_and_latest_points_to_it(self, project: Project) -> None:
        project.scenario()

        first = project.run()
        folder = first.folder
        before = {name: path.read_bytes() for name, path in files(folder).items()}
        second = project.run("--specbench-agent=nop")

        assert second.folder != folder
        assert {name: path.read_bytes() for name, path in files(folder).items()} == before
        assert (second.root / "latest").resolve() == second.folder
        assert len(list((second.root / "runs").iterdir())) == 2

    def test_what_stands_where_latest_goes_is_left_alone(self, project: Project) -> None:
        project.file(".terminalbench/latest/mine.txt", "mine\n")
        project.scenario()

        ran = project.run()

        assert ran.code == 2
        assert (project.path / ".terminalbench/latest/mine.txt").read_text() == "mine\n"
        assert "specbench: exit 2: the report could not be written" in ran.out
        [folder] = (project.path / ".terminalbench/runs").iterdir()
        assert json.loads((folder / "report.json").read_text())["exit_code"] == 2

    @pytest.mark.parametrize("written", ["report", "summary", "run_metadata"])
    def test_a_report_that_does_not_fit_the_disk_blocks_the_run(self, project: Project, written: str) -> None:
        """The last line says what the run ends with, and no file says anything else."""
        project.scenario()
        project.file(
            "conftest.py",
            "import errno, importlib, os\n"
            "write = importlib.import_module('pytest_specbench.reporting.write')\n"
            "def full(path, data, then=write.write_json):\n"
            f"    if path.stem == {written!r}:\n"
            "        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))\n"
            "    then(path, data)\n"
            "write.write_json = full\n",
        )

        ran = project.process()

        assert ran.code == 2
        assert "specbench: exit 2: the report could not be written" in ran.out
        assert "specbench: exit 0" not in ran.out
        [folder] = (project.path / ".terminalbench/runs").iterdir()
        assert not {"report.json", "summary.json", "run_metadata.json", "report.md"} & {*map(str, files(folder))}

    @pytest.mark.parametrize("there", [False, True])
    def test_a_link_out_of_the_project_is_not_written_through(
        self, either: Project, tmp_path_factory: pytest.TempPathFactory, there: bool
    ) -> None:
        outside = tmp_path_factory.mktemp("outside") / "folder"
        if there:
            outside.mkdir()
        (either.path / ".terminalbench").symlink_to(outside)
        either.scenario()

        ran = either.run()

        assert ran.code == pytest.ExitCode.USAGE_ERROR
        assert str(outside) in ran.err
        assert not there or list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["", "runs", "incidents"])
def test_where_artifacts_may_be_kept(tmp_path: Path, name: str) -> None:
    """In a folder of the project or one that was named, and not where a link of the project leads."""
    root, outside = tmp_path / "project", tmp_path / "outside"
    root.mkdir()
    path = root / "out" / name if name else root / "out"
    path.parent.mkdir(exist_ok=True)
    check_output(root / "out", root)
    outside.mkdir()
    path.symlink_to(outside)
    check_output(outside, root)
    with pytest.raises(UsageError, match="outside"):
        check_output(root / "out", root)
    outside.rmdir()
    with pytest.raises(UsageError, match="nothing"):
        check_output(root / "out", root)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(UsageError):
        check_output(root / "out", root)
    path.unlink()
    path.write_text("a file")
    with pytest.raises(UsageError, match="no folder"):
        check_output(root / "out", root)


def test_an_attempt_that_cannot_have_a_folder_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OSError, match="link"):
        claim_attempt(tmp_path / "link" / "runs" / "one", "demo")
    (tmp_path / "demo").symlink_to("nowhere")
    with pytest.raises(OSError, match="demo"):
        claim_attempt(tmp_path, "demo")


def leaks(ran: Ran, value: str) -> list[str]:
    """Where a secret stands: in a file of the artifacts, or in what was printed; also in base64."""
    forms = [value.encode(), base64.b64encode(value.encode()), json.dumps(value)[1:-1].encode()]
    places = [str(path) for path in files(ran.root).values() if any(form in path.read_bytes() for form in forms)]
    printed = (ran.out + ran.err).encode()
    return places + [form.decode() for form in forms if form in printed]


class TestSecrets:
    @pytest.fixture(autouse=True)
    def _secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEMO_PASSPHRASE", SECRET)

    def test_no_secret_is_left_anywhere(self, project: Project, backend: str) -> None:
        project.scenario(
            secrets=["DEMO_PASSPHRASE"],
            agent=command(
                'echo "$DEMO_PASSPHRASE"; printf %s "$DEMO_PASSPHRASE" | base64; env; echo "$DEMO_PASSPHRASE" >&2; '
                'echo "$DEMO_PASSPHRASE" > result.txt; '
                'sh -c "sleep 300; : $DEMO_PASSPHRASE" & '
                'echo "found it: $DEMO_PASSPHRASE"; exit 3'
            ),
            verification={"command": "cat result.txt; exit 1"},
        )

        ran = project.process("-vv", "-rA", f"--specbench-sandbox={backend}")

        assert ran.verdict() == ("regression", "agent_crashed", 1)
        assert leaks(ran, SECRET) == []
        assert b"[redacted:DEMO_PASSPHRASE]" in (ran.trial() / "agent.cast").read_bytes()
        assert b"[redacted:DEMO_PASSPHRASE]" in (ran.trial() / "post-test.txt").read_bytes()

    def test_nor_where_a_check_finds_it(self, project: Project) -> None:
        project.scenario(
            secrets=["DEMO_PASSPHRASE"],
            agent=command('echo "$DEMO_PASSPHRASE" > result.txt'),
            verification={"command": "cat result.txt; exit 1"},
        )

        ran = project.process("-n2", "--junitxml=.terminalbench/junit.xml", "--report-log=.terminalbench/log.jsonl")

        assert ran.verdict() == ("regression", "verifier_said_no", 1)
        assert leaks(ran, SECRET) == []

    @pytest.mark.parametrize("secret", ["provisional", f"{datetime.now(UTC):%Y-%m-%d}"], ids=["a status", "today"])
    def test_one_that_reads_like_a_part_of_the_report_spoils_nothing(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, secret: str
    ) -> None:
        monkeypatch.setenv("DEMO_TOKEN", secret)
        project.scenario()

        ran = project.process()

        assert ran.code == 0
        assert (ran.root / "latest" / "report.md").read_text("utf-8").startswith("## specbench: exit 0")
        assert (ran.root / "latest" / "run_metadata.json").is_file()

    def test_nor_in_the_name_of_a_file(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEMO_PASSPHRASE", "fits-into-a-name-42")
        project.scenario(
            secrets=["DEMO_PASSPHRASE"],
            agent=command('mkdir "$DEMO_PASSPHRASE"; echo 1 > "$DEMO_PASSPHRASE/$DEMO_PASSPHRASE.txt"'),
            success_artifacts=[{"path": "**/*.txt"}],
        )

        ran = project.process()

        assert leaks(ran, "fits-into-a-name-42") == []
        assert not [name for name in files(ran.root) if "fits-into-a-name-42" in name]

    def test_the_agent_gets_it_and_the_verifier_does_not(self, project: Project, backend: str) -> None:
        project.scenario(
            secrets=["DEMO_PASSPHRASE"],
            agent=command('printf %s "$DEMO_PASSPHRASE" | wc -c > result.txt'),
            verification={"command": f'test "$(cat result.txt)" -eq {len(SECRET)} && test -z "$DEMO_PASSPHRASE"'},
        )

        assert project.run(f"--specbench-sandbox={backend}").verdict() == ("provisional", "verified", 0)
