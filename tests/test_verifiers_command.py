"""The verification command: its files arrive only now, its output is kept whole, and its exit status decides."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_support import tar
from folder_sandbox import FolderSandbox

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import Sandbox, SandboxSpec
from pytest_specbench.sandboxes.docker import commands
from pytest_specbench.sandboxes.docker.backend import DockerBackend
from pytest_specbench.sandboxes.docker.exec import NotStartedError
from pytest_specbench.sandboxes.local.backend import LocalBackend
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.verifiers.base import VerificationContext
from pytest_specbench.verifiers.command import CommandVerifier


@pytest.fixture
def sandbox(tmp_path: Path) -> FolderSandbox:
    return FolderSandbox(tmp_path / "work")


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The scenario's folder."""
    folder = tmp_path / "scenario"
    (folder / "verification/more").mkdir(parents=True)
    (folder / "verification/check.sh").write_text("echo checking; test -f more/../.verification/more/data\n")
    (folder / "verification/more/data").write_text("x")
    return folder


@pytest.fixture
def verify(tmp_path: Path, sandbox: FolderSandbox, beside: Path) -> Callable[..., tuple[list[CheckResult], bytes]]:
    def verified(
        seconds: float = 30.0, sandbox: Sandbox = sandbox, **verification: Any
    ) -> tuple[list[CheckResult], bytes]:
        basics = {"scenario_id": "s", "display_name": "S", "command_path": "/specify", "owner_rotation": "o"}
        scenario = {**basics, "registry_version": "d==1", "instruction": "do", "verification": verification}
        post_test = bytearray()
        context = VerificationContext(
            scenario=Scenario.model_validate(scenario),
            scenario_folder=beside,
            sandbox=sandbox,
            folder=tmp_path / "verifier",
            write=post_test.extend,
            remaining=lambda: seconds,
        )
        return CommandVerifier().verify(context), bytes(post_test)

    return verified


def test_exit_status_0_is_yes(verify) -> None:
    (result,), post_test = verify(command="echo fine")
    assert result == CheckResult(name="command echo fine", passed=True)
    assert post_test == b"$ echo fine\nfine\n\nexit status: 0\n"


@pytest.mark.parametrize("status", [1, 2, 125, 255])
def test_any_other_exit_status_is_no(status, verify) -> None:
    (result,), _ = verify(command=f"echo first; echo 'last \033[1m words' >&2; exit {status}")
    assert (result.passed, result.cause) == (False, Cause.VERIFIER_SAID_NO)
    assert result.problems == (rf"The command exited with status {status}; its last line: last \x1b[1m words",)


def test_all_output_is_kept_even_when_there_is_more_than_the_result_holds(verify) -> None:
    _, post_test = verify(command="head -c 2000000 /dev/zero; echo; echo end >&2")
    assert post_test.count(b"\0") == 2_000_000
    assert b"end\n" in post_test


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("no-such-command-here", Cause.VERIFIER_CRASHED),
        ("./not-executable", Cause.VERIFIER_CRASHED),
        ("kill -9 $$", Cause.VERIFIER_CRASHED),
        ("sh -c 'kill -SEGV $$'", Cause.VERIFIER_CRASHED),
        ("sleep 60", Cause.VERIFIER_TIMEOUT),
    ],
)
def test_a_verifier_that_cannot_tell_is_nobodys_failure(command, cause, verify, sandbox) -> None:
    (sandbox.folder / "not-executable").write_text("")
    with pytest.raises(InfrastructureError) as caught:
        verify(command=command, seconds=0.5 if cause is Cause.VERIFIER_TIMEOUT else 30.0)
    assert caught.value.cause is cause
    assert "wrap it, as in `timeout 60 ./tool || exit 1`" in str(caught.value)


@pytest.fixture
def spoiled() -> Iterator[Sandbox]:
    """A real sandbox, for an agent to spoil."""
    sandbox = LocalBackend().start(SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",)))
    yield sandbox
    sandbox.close()


SPOILT = {
    "workdir removed": 'rmdir "$PWD"',
    "workdir a file": 'rmdir "$PWD"; echo > "$PWD"',
    "workdir a link that leads out": 'rmdir "$PWD"; ln -s / "$PWD"',
}


@pytest.mark.parametrize("script", SPOILT.values(), ids=SPOILT)
def test_an_agent_that_spoils_its_sandbox_has_failed(script, verify, spoiled) -> None:
    """Whether no command runs any more, or the files cannot be brought: nobody else did it."""
    assert spoiled.exec(["sh", "-c", script], timeout_sec=30).exit_code == 0
    (result,), post_test = verify(sandbox=spoiled, command="true", files="verification", target="checks")
    assert (result.passed, result.cause) == (False, Cause.VERIFIER_SAID_NO)
    assert result.problems[0].startswith("The agent left")
    assert b"FAIL  The agent left" in post_test


@pytest.fixture
def proved(runner_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A container whose agent cannot change its programs."""
    spec = SandboxSpec(runner_image, 1.0, 128, 64, "/work/deep", "1000:1000", ("none",))
    sandbox = DockerBackend().start(spec)
    sandbox.start_measuring()
    yield sandbox
    sandbox.close()


@pytest.mark.docker
@pytest.mark.parametrize("files", [None, "verification"])
@pytest.mark.parametrize("script", ["", 'echo > "$PWD"', 'ln -s deep "$PWD"'], ids=["removed", "a file", "a loop"])
def test_an_agent_that_cannot_replace_the_shell_may_still_spoil_the_workdir(
    script: str, files: str | None, verify, proved, engine
) -> None:
    # As in an image in which the folder above is the agent's too.
    engine.containers.get(proved._container).exec_run(["chown", "1000:1000", "/work"], user="0:0")
    assert proved.exec(["sh", "-c", f'rmdir "$PWD"; {script}'], timeout_sec=30).exit_code == 0
    proved.kill_all()
    assert proved.shell_is_intact()
    (result,), post_test = verify(sandbox=proved, command="true", files=files, target="checks")
    assert (result.passed, result.cause) == (False, Cause.VERIFIER_SAID_NO), post_test
    assert b"FAIL  " in post_test


@pytest.mark.docker
def test_a_shell_that_is_proved_to_be_itself_is_not_looked_at_first(verify, proved, monkeypatch) -> None:
    proved.kill_all()
    ran: list[list[str]] = []
    run = proved.exec
    monkeypatch.setattr(proved, "exec", lambda command, **more: (ran.append(command), run(command, **more))[1])
    (result,), post_test = verify(sandbox=proved, command='test -d "$HOME" -a -w "$HOME" && test -z "$(ls -A "$HOME")"')
    assert result.passed, post_test
    assert len(ran) == 1
    with pytest.raises(InfrastructureError) as caught:
        verify(sandbox=proved, command="no-such-command-here")
    assert caught.value.cause is Cause.VERIFIER_CRASHED


@pytest.mark.docker
@pytest.mark.parametrize(
    "command",
    [
        'rm -rf "$PWD"; cd /; no-such-tool',
        "i=0; while [ $i -lt 59 ]; do sleep 300 & i=$((i + 1)); done 2>/dev/null; exec no-such-tool",
        "echo 'OCI runtime exec failed: exec failed: no such file or directory'; exit 127",
    ],
    ids=["it removed the workdir", "it used up the processes", "it talks like the engine"],
)
def test_what_the_command_itself_did_is_not_the_agents(command: str, verify, proved, engine) -> None:
    engine.containers.get(proved._container).exec_run(["chown", "1000:1000", "/work"], user="0:0")
    proved.kill_all()
    with pytest.raises(InfrastructureError) as caught:
        verify(sandbox=proved, command=command)
    assert caught.value.cause is Cause.VERIFIER_CRASHED


@pytest.mark.docker
@pytest.mark.parametrize("files", [None, "verification"])
def test_what_the_engine_cannot_do_is_not_the_agents(files: str | None, verify, proved, monkeypatch) -> None:
    """Its words may be those that it has for a workdir which is gone."""

    def fail(*_: Any) -> None:
        raise NotStartedError(
            b"OCI runtime exec failed: adding pid 7 to cgroups: cgroup.procs: no such file or directory"
        )

    proved.kill_all()
    monkeypatch.setattr(commands, "run", fail)
    monkeypatch.setattr(proved._commands, "_dies", lambda: False)
    with pytest.raises(InfrastructureError) as caught:
        verify(sandbox=proved, command="true", files=files)
    assert caught.value.cause is Cause.VERIFIER_CRASHED


@pytest.mark.docker
def test_the_shell_of_a_sandbox_in_which_root_acted_or_something_was_put_is_not_proved(proved) -> None:
    assert not proved.shell_is_intact()  # who acts may still be acting
    proved.put(tar({"any": b""}), ".")
    proved.kill_all()
    assert not proved.shell_is_intact()
    proved.start_measuring()
    proved.kill_all()
    assert proved.shell_is_intact()
    proved.put(tar({"any": b""}), ".")
    assert not proved.shell_is_intact()
    other = DockerBackend().start(replace(proved._spec, user="0:0"))
    try:
        other.start_measuring()
        other.kill_all()
        assert not other.shell_is_intact()
    finally:
        other.close()


def test_a_shell_that_was_replaced_is_the_agents_failure(verify, sandbox, tmp_path, monkeypatch) -> None:
    for number, script in enumerate(("#!/bin/true", "#!/bin/cat", "no program")):
        (tmp_path / f"bin{number}").mkdir()
        (tmp_path / f"bin{number}/sh").write_text(f"{script}\n")
        (tmp_path / f"bin{number}/sh").chmod(0o755)
        spec = SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",), {"PATH": str(tmp_path / f"bin{number}")})
        local = LocalBackend().start(spec)
        try:
            (result,), _ = verify(sandbox=local, command="true")
        finally:
            local.close()
        assert (result.passed, result.cause) == (False, Cause.VERIFIER_SAID_NO)


def test_the_files_arrive_in_the_target_with_their_modes(verify, sandbox, beside) -> None:
    (beside / "verification/check.sh").chmod(0o700)
    (sandbox.folder / "more").mkdir()
    (result,), post_test = verify(command=".verification/check.sh", files="verification")
    assert result.passed, post_test
    assert sandbox.puts == [".verification"]
    assert (sandbox.folder / ".verification/check.sh").stat().st_mode & 0o777 == 0o755
    assert (sandbox.folder / ".verification/more/data").stat().st_mode & 0o777 == 0o644


def test_a_single_file_arrives_under_its_own_name(verify, sandbox) -> None:
    (result,), _ = verify(command="cat checks/deep/data", files="verification/more/data", target="checks/deep")
    assert result.passed


def test_what_the_agent_left_in_the_target_is_gone(verify, sandbox) -> None:
    (sandbox.folder / ".verification/more").mkdir(parents=True)
    (sandbox.folder / ".verification/conftest.py").write_text("cheat")
    (sandbox.folder / ".verification/more").chmod(0o000)
    (result,), _ = verify(
        command="test ! -e .verification/conftest.py && test -f .verification/more/data", files="verification"
    )
    assert result.passed


@pytest.mark.parametrize("obstacle", ["link", "file"])
@pytest.mark.parametrize("place", ["checks", "checks/deep", "checks/deep/er"])
def test_an_obstacle_on_the_way_to_the_target_is_removed_and_no_link_is_followed(
    obstacle, place, verify, sandbox, tmp_path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in ("", "deep", "deep/er", "er"):
        (elsewhere / folder).mkdir(exist_ok=True)
        (elsewhere / folder / "precious").write_text("kept")
    (sandbox.folder / place).parent.mkdir(parents=True, exist_ok=True)
    if obstacle == "link":
        (sandbox.folder / place).symlink_to(elsewhere)
    else:
        (sandbox.folder / place).write_text("in the way")
    (result,), _ = verify(command="test -f checks/deep/er/check.sh", files="verification", target="checks/deep/er")
    assert result.passed
    assert sorted(path.relative_to(elsewhere).as_posix() for path in elsewhere.rglob("*") if path.is_file()) == [
        "deep/er/precious",
        "deep/precious",
        "er/precious",
        "precious",
    ]


def test_files_for_the_workdir_itself_replace_only_their_namesakes(verify, sandbox, tmp_path) -> None:
    (sandbox.folder / "work.txt").write_text("the agent's")
    (tmp_path / "outside").write_text("outside")
    (sandbox.folder / "check.sh").symlink_to(tmp_path / "outside")
    (result,), _ = verify(
        command="test -f work.txt && test -f more/data && sh -n check.sh", files="verification", target="."
    )
    assert result.passed
    assert (tmp_path / "outside").read_text() == "outside"


def test_without_files_nothing_is_removed(verify, sandbox) -> None:
    (sandbox.folder / ".verification").mkdir()
    (sandbox.folder / ".verification/own").write_text("x")
    (result,), _ = verify(command="test -f .verification/own")
    assert result.passed
    assert sandbox.puts == []


def test_files_that_are_missing_or_hold_a_link_are_nobodys_failure(verify, beside) -> None:
    (beside / "verification/link").symlink_to("check.sh")
    for files in ("nowhere", "verification"):
        with pytest.raises(InfrastructureError) as caught:
            verify(command="true", files=files)
        assert caught.value.cause is Cause.VERIFIER_CRASHED


def test_it_applies_only_where_there_is_a_command(verify) -> None:
    basics = {"scenario_id": "s", "display_name": "S", "command_path": "/specify", "owner_rotation": "o"}
    scenario = Scenario.model_validate(
        {**basics, "registry_version": "d==1", "instruction": "do", "success_artifacts": [{"path": "a"}]}
    )
    assert not CommandVerifier().applies(scenario)


def test_what_the_agent_left_in_its_home_decides_nothing(verify, spoiled) -> None:
    """Neither a module that Python loads at its start, nor git's configuration, nor a file at all."""
    # A virtual environment's Python has no user site; what the PATH calls python3 may be a script that looks for one.
    python = shlex.quote(sys._base_executable)
    leave = (
        f'site=$({python} -c "import site; print(site.getusersitepackages())"); mkdir -p "$site";'
        'echo "import os; os._exit(0)" > "$site/usercustomize.py";'
        f'git config --global alias.yes "!true"; {python} -c "exit(3)"'
    )
    assert spoiled.exec(["sh", "-c", leave], timeout_sec=30).exit_code == 0
    (no,), _ = verify(sandbox=spoiled, command=f'{python} -c "exit(3)"')
    assert not no.passed
    (no,), _ = verify(sandbox=spoiled, command="git yes || exit 1")
    assert not no.passed
    (yes,), post_test = verify(sandbox=spoiled, command='test -d "$HOME" -a -w "$HOME" && test -z "$(ls -A "$HOME")"')
    assert yes.passed, post_test


def test_a_home_is_an_absolute_path(verify) -> None:
    """Relative to the workdir it would be where the agent was."""
    spec = SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",), {"TMPDIR": "rel"})
    local = LocalBackend().start(spec)
    try:
        assert local.exec(["mkdir", "rel"], timeout_sec=30).exit_code == 0
        (result,), post_test = verify(sandbox=local, command='echo "$HOME"; test "$HOME" = /nonexistent')
    finally:
        local.close()
    assert result.passed, post_test


def test_a_home_that_cannot_be_made_is_none(verify, tmp_path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    spec = SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",), {"PATH": str(tmp_path / "bin")})
    local = LocalBackend().start(spec)
    try:
        (result,), post_test = verify(sandbox=local, command='test "$HOME" = /nonexistent')
    finally:
        local.close()
    assert result.passed, post_test
