"""The local sandbox: plain processes, nothing isolated, everything cleaned up."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from engine_support import tar

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.base import SandboxSpec, SpoiledError
from pytest_specbench.sandboxes.local.backend import LocalBackend, LocalSandbox

SPEC = SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",), {"OWN": "1"})


@pytest.fixture
def sandbox() -> Iterator[LocalSandbox]:
    made = LocalBackend().start(SPEC)
    yield made
    made.close()


def sh(sandbox: LocalSandbox, script: str) -> bytes:
    return sandbox.exec(["sh", "-c", script], timeout_sec=30).output


def test_it_is_usable_isolates_nothing_and_has_no_image() -> None:
    backend = LocalBackend()
    assert backend.availability().usable
    assert not backend.isolates
    assert backend.identify("any") is None


def test_home_and_temporary_files_are_private(sandbox: LocalSandbox) -> None:
    """All three folders lie in one that only this sandbox has; no variable comes from the host but PATH."""
    root = Path(sandbox.workdir).parent
    names = {line.partition("=")[0] for line in sh(sandbox, "env").decode().splitlines()}
    assert sh(sandbox, "echo $HOME:$TMPDIR:$PWD").decode().strip() == f"{root}/home:{root}/tmp:{root}/work"
    assert names <= {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "PWD",
        "GIT_CEILING_DIRECTORIES",
        "OWN",
        "_SPECBENCH_SANDBOX",
        "_SPECBENCH_EXEC",
        "OLDPWD",
        "_",
        "SHLVL",
    }
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize("clear", ["", "env -u GIT_CEILING_DIRECTORIES ", "env -i PATH=$PATH HOME=$HOME "])
def test_a_repository_around_the_temporary_folder_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clear: str
) -> None:
    """What an agent commits without a repository of its own would go into the user's branch."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox = LocalBackend().start(SPEC)
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m all"
    try:
        sh(sandbox, f"echo x > x; {clear} git add . ; cd ../home; {clear} {commit}; cd ../tmp; {clear} {commit}")
        assert not (tmp_path / ".git" / "index").exists()
        assert not list((tmp_path / ".git" / "refs" / "heads").iterdir())
        own = sandbox.exec(
            ["sh", "-c", f"git init -q . && git add . && {commit} && git log --format=%s"], timeout_sec=30
        )
        assert own.output == b"all\n"
    finally:
        sandbox.close()


def test_closing_removes_everything_also_what_is_read_only(sandbox: LocalSandbox, tmp_path: Path) -> None:
    """A link to a folder elsewhere is removed; the folder is not touched."""
    (tmp_path / "precious").write_text("kept")
    tmp_path.chmod(0o755)
    sh(sandbox, f"mkdir -p a/b; touch a/b/c; chmod 500 a/b; chmod 000 a; ln -s {tmp_path} elsewhere")
    sandbox.close()
    assert not Path(sandbox.workdir).parent.exists()
    assert (tmp_path / "precious").read_text() == "kept"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("target", ["/tests", "../..", "link", "link/deeper"])
def test_nothing_is_put_outside(sandbox: LocalSandbox, target: str, tmp_path: Path) -> None:
    """Not by an absolute path, not by climbing, not through a link that the agent made."""
    sh(sandbox, f"ln -s {tmp_path} link")
    with pytest.raises(InfrastructureError, match="outside the local sandbox") as caught:
        sandbox.put(tar({"x": b"1"}), target)
    assert isinstance(caught.value, SpoiledError) is target.startswith("link")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_put_through_a_link_inside_the_target(sandbox: LocalSandbox, tmp_path: Path) -> None:
    sh(sandbox, f"mkdir there; ln -s {tmp_path} there/folder; ln -s {tmp_path}/new there/file")
    for name in ("folder/x", "file"):
        with pytest.raises(SpoiledError, match="cannot put files"):
            sandbox.put(tar({name: b"1"}), "there")
    assert list(tmp_path.iterdir()) == []


def test_closing_kills_what_runs(sandbox: LocalSandbox) -> None:
    pid = int(sh(sandbox, "setsid sleep 300 >/dev/null 2>&1 & echo $!"))
    sandbox.close()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_command_in_a_workdir_that_is_gone_is_the_commands_failure(sandbox: LocalSandbox) -> None:
    sh(sandbox, 'rmdir "$PWD"')
    assert sandbox.exec(["true"], timeout_sec=5).exit_code == 126


def test_the_kernels_peak_is_unknown_and_says_why(sandbox: LocalSandbox) -> None:
    sandbox.start_measuring()
    usage = sandbox.stop_measuring()
    assert usage.kernel_peak_memory_mb is None
    assert "no peak" in usage.reasons["kernel_peak_memory_mb"]


def test_a_command_shorter_than_the_time_between_samples_never_has_no_memory(sandbox: LocalSandbox) -> None:
    """What it held as it began is known, or else it is unknown; 0 is for no command at all."""
    for _ in range(5):
        sandbox.start_measuring()
        sandbox.exec(["true"], timeout_sec=30)
        usage = sandbox.stop_measuring()
        assert usage.peak_memory_mb != 0
        assert (usage.peak_memory_mb is None) == ("peak_memory_mb" in usage.reasons)


def test_without_a_command_the_peak_is_zero(sandbox: LocalSandbox) -> None:
    sandbox.start_measuring()
    sandbox.exec(["no-such-program"], timeout_sec=30)
    assert sandbox.stop_measuring().peak_memory_mb == 0


def test_a_sandbox_that_removed_itself_is_closed_all_the_same(sandbox: LocalSandbox) -> None:
    pid = int(sh(sandbox, 'setsid sleep 300 >/dev/null 2>&1 & echo $!; cd /; rm -rf "${HOME%/home}"'))
    sandbox.close()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_daemons_memory_counts_when_its_parent_is_gone(sandbox: LocalSandbox) -> None:
    """It is found by searching, when no sample saw it beside its parent."""
    hold = "import pathlib, signal; x = bytearray(60_000_000); pathlib.Path('up').touch(); signal.pause()"
    (Path(sandbox.workdir) / "hold.py").write_text(hold)
    sandbox.start_measuring()
    sh(
        sandbox,
        "setsid sh -c 'setsid python3 hold.py & exit' >/dev/null 2>&1; until [ -e up ]; do sleep 0.05; done; sleep 1",
    )
    usage = sandbox.stop_measuring()
    assert usage.peak_memory_mb is not None
    assert usage.peak_memory_mb > 55
    assert len(sandbox.kill_all()) == 1


HIDE = """
import ctypes, threading
def write():
    while True:
        open("alive", "a").write("x")
threading.Thread(target=write).start()
ctypes.CDLL(None).syscall(60, 0)
"""
"""The system call 60 is `exit` on x86-64: it ends the main thread alone."""


@pytest.mark.skipif(os.uname().sysname != "Linux" or os.uname().machine != "x86_64", reason="uses a system call number")
def test_a_zombie_whose_threads_go_on_is_alive(sandbox: LocalSandbox) -> None:
    """It is found though it shows no environment, and killed."""
    (Path(sandbox.workdir) / "hide.py").write_text(HIDE)
    sh(sandbox, "setsid python3 hide.py >/dev/null 2>&1 & until [ -s alive ]; do sleep 0.05; done; sleep 0.2")
    assert len(sandbox.kill_all()) == 1
    before, after = sh(sandbox, "wc -c <alive; sleep 0.3; wc -c <alive").split()
    assert before == after
