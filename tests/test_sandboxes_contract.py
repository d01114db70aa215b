"""What every sandbox does, whichever it is: each test runs in a local one and in a container."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engine_support import require_runner_image, tar

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.sandboxes import SANDBOXES, archive
from pytest_specbench.sandboxes.base import FetchTooLargeError, Sandbox, SandboxSpec, SpoiledError

SPEC = SandboxSpec(RUNNER_IMAGE, 1.0, 256, 128, "/work", None, ("none", "none", "none"), {"SPEC_VARIABLE": "given"})


def usable(name: str, request: pytest.FixtureRequest) -> None:
    if name == "docker":
        request.getfixturevalue("engine")
        require_runner_image()


BACKENDS = [pytest.param("local"), pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox for tests that leave nothing running and keep to a folder of their own."""
    usable(request.param, request)
    sandbox = SANDBOXES.load(request.param)().start(SPEC)
    yield sandbox
    sandbox.close()


@pytest.fixture(params=BACKENDS)
def fresh(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    usable(request.param, request)
    sandbox = SANDBOXES.load(request.param)().start(SPEC)
    yield sandbox
    sandbox.close()


def sh(sandbox: Sandbox, script: str, **options: Any) -> Any:
    return sandbox.exec(["sh", "-c", script], **{"timeout_sec": 30, **options})


def test_a_command_runs_in_the_workdir_with_its_environment(shared: Sandbox) -> None:
    result = sh(shared, 'pwd; echo "$SPEC_VARIABLE $OWN"; echo err >&2; exit 3', environment={"OWN": "mine"})
    assert result.exit_code == 3
    assert sorted(result.output.decode().splitlines()) == sorted([shared.workdir, "given mine", "err"])
    assert not result.truncated
    assert not result.timed_out


def test_no_variable_of_the_host_leaks(shared: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "leak")
    assert b"leak" not in sh(shared, "env").output


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_start_ends_as_in_a_shell(shared: Sandbox, command: str, code: int) -> None:
    result = shared.exec([command], timeout_sec=30)
    assert result.exit_code == code
    assert command.encode() in result.output


def test_a_signal_gives_128_and_its_number(shared: Sandbox) -> None:
    assert sh(shared, "kill -TERM $$").exit_code == 143


def test_standard_input_is_empty(shared: Sandbox) -> None:
    assert shared.exec(["cat"], timeout_sec=30).exit_code == 0


def test_output_is_cut_and_passed_on_whole(shared: Sandbox) -> None:
    chunks: list[bytes] = []
    result = sh(shared, "head -c 3000000 /dev/zero; echo end", on_output=chunks.append, max_output=1000)
    assert (len(result.output), result.truncated, result.exit_code) == (1000, True, 0)
    assert len(b"".join(chunks)) == 3_000_004


def test_output_and_errors_come_in_the_order_of_a_terminal(shared: Sandbox) -> None:
    """What the agent reads, the cast shows and a cassette holds."""
    numbers = [str(number) for number in range(50)]
    result = sh(shared, f"for i in {' '.join(numbers)}; do echo out $i; echo err $i >&2; done")
    assert result.output.decode() == "".join(f"out {number}\nerr {number}\n" for number in numbers)


def test_output_comes_while_the_command_runs(shared: Sandbox) -> None:
    """The command waits for a file that is made when its first output has come."""
    shared.put(tar({"keep": b""}), "live")

    def on_output(chunk: bytes) -> None:
        if b"first" in chunk:
            shared.put(tar({"go": b""}), "live")

    result = sh(shared, "echo first; until [ -e live/go ]; do sleep 0.05; done; echo last", on_output=on_output)
    assert result.output == b"first\nlast\n"


UNTIL_SLEEPING = "until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = 'sleep 300 ' ]; do :; done"
"""Until the child in the background is `sleep` and no longer the shell that forked it."""


def test_a_child_in_the_background_is_not_waited_for(fresh: Sandbox) -> None:
    """Even when it keeps standard output open."""
    result = sh(fresh, f"sleep 300 & {UNTIL_SLEEPING}; echo done", timeout_sec=60)
    assert (result.exit_code, result.output) == (0, b"done\n")
    assert fresh.kill_all() == ("sleep 300",)


def test_a_command_that_closes_its_output_is_waited_for(shared: Sandbox) -> None:
    assert sh(shared, "exec >&- 2>&-; sleep 0.3; exit 5").exit_code == 5


def test_a_command_that_closes_its_output_has_a_deadline(fresh: Sandbox) -> None:
    assert sh(fresh, "exec >&- 2>&-; sleep 300", timeout_sec=0.5).timed_out
    assert fresh.kill_all() == ()


FOREVER = {
    "plain": "sleep 300",
    "ignores signals": "trap '' TERM INT HUP; while :; do sleep 300; done",
    "background": "sleep 300 & sleep 301 & wait",
    "own session": "setsid sleep 300 & setsid setsid sh -c 'sleep 301 & sleep 302' & sleep 303",
    "floods": "yes",
    "floods in the background": "yes & yes >/dev/null & sleep 300",
}


@pytest.mark.parametrize("script", FOREVER.values(), ids=FOREVER)
def test_at_the_deadline_a_command_and_all_its_descendants_die(fresh: Sandbox, script: str) -> None:
    """Nothing is left for `kill_all` to find, and output so far is kept."""
    result = sh(fresh, f"echo before; {script}", timeout_sec=1, max_output=7)
    assert result.exit_code is None
    assert result.timed_out
    assert result.output == b"before\n"
    assert fresh.kill_all() == ()


def test_a_deadline_spares_what_an_earlier_command_left(fresh: Sandbox) -> None:
    """A server started by one command outlives another's timeout."""
    assert sh(fresh, f"setsid sleep 300 >/dev/null 2>&1 & {UNTIL_SLEEPING}").exit_code == 0
    assert sh(fresh, "sleep 200", timeout_sec=0.5).timed_out
    assert fresh.kill_all() == ("sleep 300",)


def test_a_deadline_that_has_passed_runs_nothing(shared: Sandbox) -> None:
    assert sh(shared, "touch was-run", timeout_sec=0).timed_out
    assert shared.fetch(["was-run"], max_bytes=10) == {}


DAEMONS = """
exec >/dev/null 2>&1
setsid sh -c 'touch one; sleep 300' &
setsid sh -c 'setsid sh -c "touch two; exec sleep 301" & exit' &
env -i setsid sh -c 'touch three; exec sleep 302' &
until [ -e one ] && [ -e two ] && [ -e three ]; do sleep 0.05; done
"""


def test_kill_all_finds_daemons_and_leaves_the_sandbox_usable(fresh: Sandbox) -> None:
    """Own sessions, orphans, and one that cleared its environment."""
    fresh.put(tar({"kept": b"1"}), ".")
    assert sh(fresh, DAEMONS).exit_code == 0
    assert len(fresh.kill_all()) >= 3
    assert fresh.kill_all() == ()
    assert sh(fresh, "cat kept").output == b"1"


def test_closing_cuts_a_running_command_short(fresh: Sandbox) -> None:
    started = threading.Event()
    closer = threading.Thread(target=lambda: (started.wait(30), fresh.close()))
    closer.start()
    with pytest.raises(InfrastructureError, match="closed"):
        sh(fresh, "echo up; sleep 300", timeout_sec=300, on_output=lambda _: started.set())
    closer.join()


def test_a_closed_sandbox_refuses_and_closes_again_quietly(fresh: Sandbox) -> None:
    fresh.close()
    fresh.close()
    for call in refusals(fresh):
        with pytest.raises(InfrastructureError):
            call()


def refusals(sandbox: Sandbox) -> list[Callable[[], object]]:
    return [
        lambda: sandbox.exec(["true"], timeout_sec=5),
        lambda: sandbox.put(tar({"a": b""}), "."),
        lambda: sandbox.fetch(["*"], max_bytes=5),
    ]


def test_what_is_put_can_be_used_and_fetched(shared: Sandbox) -> None:
    shared.put(tar({"a/run.sh": b"echo ran", "b.md": b"text"}, executable=True), "put/deep/er")
    assert sh(shared, "put/deep/er/a/run.sh").output == b"ran\n"
    sh(shared, "echo changed > put/deep/er/b.md")
    assert shared.fetch(["put/**/*.md", "put/deep/er/a/run.sh"], max_bytes=100) == {
        "put/deep/er/a/run.sh": b"echo ran",
        "put/deep/er/b.md": b"changed\n",
    }


def test_an_absolute_target_inside_the_workdir_is_fine(shared: Sandbox) -> None:
    shared.put(tar({"x": b"1"}), f"{shared.workdir}/absolute")
    assert shared.fetch(["absolute/x"], max_bytes=1) == {"absolute/x": b"1"}


@pytest.mark.parametrize("pattern", ["missing", "missing/*.md", "missing/a/b", "/etc/passwd", "../*", "file/under/it"])
def test_what_is_not_there_is_an_empty_result(shared: Sandbox, pattern: str) -> None:
    shared.put(tar({"file": b"1"}), ".")
    assert shared.fetch([pattern], max_bytes=100) == {}


LINKS = """
mkdir -p links/real links/sub && cd links && echo data > real/file
echo secret > "$PWD/../../outside-of-the-workdir"
ln -s ../../outside-of-the-workdir link; ln -s ../.. up; ln -s /etc etc; ln -s real inner; ln real/file hard
mkfifo pipe; chmod 000 real/file
"""


def test_links_and_special_files_are_left_out(shared: Sandbox) -> None:
    """Also where a glob's own folder is a link; a second name of a regular file is a regular file."""
    assert sh(shared, LINKS).exit_code == 0
    patterns = ["links/**", "links/link", "links/up/*", "links/etc/hostname", "links/inner/file", "links/pipe"]
    assert shared.fetch(patterns, max_bytes=10_000) == {"links/hard": b"data\n", "links/real/file": b"data\n"}


def test_odd_names_and_many_patterns(shared: Sandbox) -> None:
    """Names that are no UTF-8 come back as printable text; overlapping patterns count once."""
    sh(shared, r"""mkdir odd; printf 1 > odd/'a b'; printf 2 > "odd/$(printf '\377')"; printf 3 > odd/[x]""")
    found = shared.fetch(["odd/**", "odd/*", "odd/[x]", "**/a b"], max_bytes=3)
    assert found == {"odd/a b": b"1", "odd/\\xff": b"2", "odd/[x]": b"3"}


def test_too_much_is_an_error_and_nothing_is_left_out(shared: Sandbox) -> None:
    shared.put(tar({"one": b"x" * 600, "two": b"x" * 600}), "much")
    assert len(shared.fetch(["much/*"], max_bytes=1200)) == 2
    with pytest.raises(FetchTooLargeError, match="more than 1199 bytes"):
        shared.fetch(["much/*"], max_bytes=1199)


def test_too_many_files_are_too_much(shared: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wanted ones, and also those that are only looked through."""
    shared.put(tar({f"many/{number}": b"" for number in range(30)}), ".")
    monkeypatch.setattr(archive, "MAX_FILES", 29)
    with pytest.raises(FetchTooLargeError, match="more than 29 files to fetch"):
        shared.fetch(["many/*"], max_bytes=1)
    assert shared.fetch(["many/none*"], max_bytes=1) == {}
    monkeypatch.setattr(archive, "MAX_ENTRIES", 29)
    with pytest.raises(FetchTooLargeError, match="more than 29 files to look through"):
        shared.fetch(["many/none*"], max_bytes=1)


def test_a_file_that_pretends_to_be_endless_is_too_much(shared: Sandbox) -> None:
    assert sh(shared, "mkdir sparse; truncate -s 1T sparse/art").exit_code == 0
    for pattern in ("sparse/art", "sparse/*"):
        with pytest.raises(FetchTooLargeError):
            shared.fetch([pattern], max_bytes=1_000_000)


BIND = "import socket; socket.socket(socket.AF_UNIX).bind('art')"
NO_FILE = {
    "pipe": "mkfifo art",
    "socket": f'python3 -c "{BIND}"',
    "folder": "mkdir -p art/art; echo 1 > art/art/x",
    "loop": "ln -s art art",
    "loop of two": "ln -s other art; ln -s art other",
    "dangling link": "ln -s nowhere art",
    "link to a file": "echo 1 > file; ln -s file art",
}


@pytest.mark.parametrize("script", NO_FILE.values(), ids=NO_FILE)
def test_what_is_called_like_an_artifact_and_is_no_file_is_not_there(shared: Sandbox, script: str) -> None:
    place = f"place-{sorted(NO_FILE.values()).index(script)}"
    assert sh(shared, f"mkdir {place} && cd {place} && {script}").exit_code == 0
    for pattern in ("art", "art/below", "a*t"):
        assert shared.fetch([f"{place}/{pattern}"], max_bytes=100) == {}


def test_further_names_of_a_file_may_be_odd(shared: Sandbox) -> None:
    """Also where the first name is not wanted."""
    odd = r"""mkdir -p links2; cd links2; echo 1 > a; ln a "$(printf '\377')"; ln a "$(printf 'x\ny')" """
    assert sh(shared, odd).exit_code == 0
    assert shared.fetch(["links2/*"], max_bytes=6) == {f"links2/{name}": b"1\n" for name in ("a", "x\ny", "\\xff")}
    assert shared.fetch(["links2/?"], max_bytes=4) == {"links2/a": b"1\n", "links2/\\xff": b"1\n"}
    assert shared.fetch(["links2/x*"], max_bytes=2) == {"links2/x\ny": b"1\n"}
    with pytest.raises(FetchTooLargeError):
        shared.fetch(["links2/*"], max_bytes=5)


def test_what_forbids_to_be_read_is_read_all_the_same(shared: Sandbox) -> None:
    assert sh(shared, "mkdir -p shut/in; echo 1 > shut/in/art; chmod 000 shut/in/art shut/in shut").exit_code == 0
    assert shared.fetch(["shut/in/art"], max_bytes=2) == {"shut/in/art": b"1\n"}


DEEP = "import os\nfor _ in range(1500): os.mkdir('d' * 99); os.chdir('d' * 99)\nopen('art', 'w').close()"


def test_a_path_longer_than_any_may_be_is_no_failure_of_the_sandbox(fresh: Sandbox) -> None:
    """What lies beside it is still there, and closing removes it."""
    fresh.put(tar({"art": b"1"}), ".")
    assert fresh.exec(["python3", "-c", DEEP], timeout_sec=60).exit_code == 0
    assert fresh.fetch(["art"], max_bytes=1) == {"art": b"1"}
    if fresh.record().backend == "local":
        with pytest.raises(SpoiledError, match="levels deep"):
            fresh.fetch(["**/art"], max_bytes=1)
    else:
        assert fresh.fetch(["**/art"], max_bytes=1) == {"art": b"1"}
    fresh.close()


GONE = {
    "removed": 'cd /; rm -rf "$PWD_BEFORE"',
    "a file": 'cd /; rm -rf "$PWD_BEFORE"; echo > "$PWD_BEFORE"',
    "a loop": 'cd /; rm -rf "$PWD_BEFORE"; ln -s "$PWD_BEFORE" "$PWD_BEFORE"',
    "a file, and something runs": 'cd /; rm -rf "$PWD_BEFORE"; echo > "$PWD_BEFORE"; sleep 300 >/dev/null 2>&1 &',
}


@pytest.mark.parametrize("script", GONE.values(), ids=GONE)
def test_a_workdir_that_was_spoiled_is_no_failure_of_the_sandbox(fresh: Sandbox, script: str) -> None:
    """Commands cannot run there, nothing is found there, and killing and closing go on."""
    assert sh(fresh, script, environment={"PWD_BEFORE": fresh.workdir}).exit_code == 0
    result = sh(fresh, "echo alive")
    assert result.exit_code == 126, result
    assert result.output
    assert fresh.fetch(["art", "specs/*", "**"], max_bytes=100) == {}
    assert len(fresh.kill_all()) == script.count("sleep")
    fresh.set_network("none")
    assert sh(fresh, "echo alive").exit_code == 126
    if "echo" in script:
        with pytest.raises(SpoiledError):
            fresh.put(tar({"a/b": b"1"}), "target")


def test_cpu_and_memory_are_measured(fresh: Sandbox) -> None:
    """80 MB held and half a second of CPU burnt are seen; what is null says why."""
    busy = "import time; x = bytearray(80_000_000)\nwhile time.process_time() < 0.5: pass"
    fresh.start_measuring()
    assert fresh.exec(["python3", "-c", busy], timeout_sec=60).exit_code == 0
    usage = fresh.stop_measuring()
    assert usage.cpu_ms is not None
    assert usage.peak_memory_mb is not None
    assert 450 < usage.cpu_ms < 5000
    assert 78 < usage.peak_memory_mb < 200
    assert not usage.out_of_memory
    assert (usage.kernel_peak_memory_mb is None) == ("kernel_peak_memory_mb" in usage.reasons)


def test_what_is_killed_is_still_counted(fresh: Sandbox) -> None:
    """CPU of a daemon that `kill_all` ended, and of a command that ran into its deadline."""
    fresh.start_measuring()
    burn = "python3 -c 'while True: pass'"
    assert sh(fresh, f"setsid {burn} >/dev/null 2>&1 & {burn}", timeout_sec=1.5).timed_out
    sh(fresh, f"{burn} >/dev/null 2>&1 & sleep 0.8")
    assert fresh.kill_all()
    usage = fresh.stop_measuring()
    assert usage.cpu_ms is not None
    assert usage.cpu_ms > 500


def test_measuring_that_was_not_started_is_unknown(shared: Sandbox) -> None:
    usage = shared.stop_measuring()
    assert (usage.cpu_ms, usage.peak_memory_mb) == (None, None)
    assert usage.reasons["cpu_ms"] == "measuring was not started"


def test_the_record_says_what_is_enforced(shared: Sandbox) -> None:
    record = shared.record()
    assert set(record.enforced) == {"cpus", "memory", "pids", "network"}
    assert all(record.enforced.values()) is (record.backend == "docker")
    assert (record.image is None) is (record.backend == "local")


def test_commands_at_the_same_time_do_not_disturb_each_other(fresh: Sandbox) -> None:
    """One runs into its deadline while another goes on."""
    results: dict[str, Any] = {}

    def start(name: str, script: str, seconds: float) -> threading.Thread:
        thread = threading.Thread(target=lambda: results.update({name: sh(fresh, script, timeout_sec=seconds)}))
        thread.start()
        return thread

    for thread in (start("late", "sleep 300", 0.5), start("fine", "sleep 1.5; echo fine", 60)):
        thread.join()
    assert results["late"].timed_out
    assert results["fine"].output == b"fine\n"


def test_duration_is_the_commands(shared: Sandbox) -> None:
    before = time.monotonic()
    result = sh(shared, "sleep 0.2")
    assert 200 <= result.duration_ms <= (time.monotonic() - before) * 1000
