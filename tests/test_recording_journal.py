"""The journal: everything is on disk when a call returns, nothing counts after the end, and the recording plays."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.core.errors import AgentStoppedError, InfrastructureError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.cast import CastWriter
from pytest_specbench.recording.folder import TrialFolder
from pytest_specbench.recording.journal import Journal, StepUsage, ToolCall, TrialJournal

SECRETS = Redactor({"S": "secret-value"})


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def shown(path: Path) -> str:
    return "".join(event[2] for event in lines(path)[1:])  # type: ignore[misc]


def asciinema_cat(path: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_entry_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    with TrialJournal(folder, redactor=SECRETS) as journal:
        protocol: Journal = journal
        step = protocol.message(
            "agent", "go", tool_calls=[ToolCall("c1", "shell", {"command": "ls"})], usage=StepUsage(1, 2)
        )
        assert lines(folder.events)[-1]["tool_calls"] == [
            {"tool_call_id": "c1", "function_name": "shell", "arguments": {"command": "ls"}}
        ]
        protocol.command("ls")
        protocol.output(b"a\n")
        protocol.observation(step, "a\n", tool_call_id="c1")
        protocol.event("limit", left=3)
        assert [line["event"] for line in lines(folder.events)] == ["message", "command", "observation", "limit"]
        assert shown(folder.cast) == "$ ls\r\na\r\n"
    times = [line["t"] for line in lines(folder.events)]
    assert times == sorted(times)  # type: ignore[type-var]
    assert journal.steps[0].observations == (("c1", "a\n"),)


def test_after_the_end_of_its_phase_nothing_an_agent_does_has_an_effect(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    with TrialJournal(folder, redactor=SECRETS) as journal:
        journal.message("user", "hello")
        journal.close(Cause.STEP_LIMIT)
        journal.close(Cause.VERIFIED)
        calls = [
            lambda: journal.message("agent", "late"),
            lambda: journal.observation(1, "late"),
            lambda: journal.command("late"),
            lambda: journal.output(b"late"),
            lambda: journal.event("late"),
        ]
        for call in calls:
            with pytest.raises(AgentStoppedError) as caught:
                call()
            assert caught.value.cause is Cause.STEP_LIMIT
        journal.note("killed", processes=["sleep 100"])
    journal.note("ignored")
    with pytest.raises(AgentStoppedError):
        journal.event("very late")
    assert "late" not in folder.events.read_text()
    assert [line["event"] for line in lines(folder.events)] == ["message", "closed", "killed"]
    assert "late" not in shown(folder.cast)


def test_secrets_reach_neither_log_nor_recording_nor_trajectory(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    with TrialJournal(folder, redactor=SECRETS, title="secret-value") as journal:
        step = journal.message(
            "agent",
            "a secret-value",
            reasoning="secret-value",
            extra={"k": ["secret-value"]},
            tool_calls=[ToolCall("secret-value", "shell", {"secret-value": "secret-value"})],
            usage=StepUsage(extra={"x": "secret-value"}),
        )
        journal.observation(step, "secret-value", tool_call_id="secret-value")
        journal.command("echo secret-value")
        for byte in b"split secret-value end":
            journal.output(bytes([byte]))
        journal.event("e", value="secret-value")
        journal.note("n", value="secret-value")
    everything = folder.events.read_text() + folder.cast.read_text() + repr(journal.steps)
    assert "secret" not in everything.replace("[redacted:S]", "")
    assert "split [redacted:S] end" in shown(folder.cast)


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    seen: list[int] = []
    with TrialJournal(folder, redactor=SECRETS, on_progress=seen.append) as journal:

        def work(number: int) -> None:
            for _ in range(25):
                step = journal.message("agent", f"{number}" * 200)
                journal.observation(step, "x")
                journal.output(b"line\n")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [step.step_id for step in journal.steps] == list(range(1, 101))
    assert len(lines(folder.events)) == 200
    assert sorted(seen) == list(range(1, 101))
    assert shown(folder.cast) == "line\r\n" * 100


def test_misuse_is_an_error_of_the_agent_that_says_so(tmp_path: Path) -> None:
    with TrialJournal(TrialFolder(tmp_path / "s", 1), redactor=SECRETS) as journal:
        with pytest.raises(ValueError, match="one of system, user, agent"):
            journal.message("tool", "x")
        with pytest.raises(ValueError, match="no step 1"):
            journal.observation(1, "x")
        with pytest.raises(ValueError) as theirs:  # noqa: PT011 - its words are json's own
            json.dumps(float("nan"), allow_nan=False)
        with pytest.raises(ValueError, match=re.escape(str(theirs.value))):
            journal.event("x", value=float("nan"))
        assert journal.steps == ()


def test_the_recording_plays_in_asciinema(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    with TrialJournal(folder, redactor=SECRETS, terminal_size=(100, 30), title="a title") as journal:
        journal.command("printf 'a\\nb'\ncat x")
        journal.output("é\nwithout end".encode())
        journal.command("next")
    header = lines(folder.cast)[0]
    assert (header["version"], header["width"], header["height"], header["title"]) == (2, 100, 30, "a title")
    assert asciinema_cat(folder.cast) == "$ printf 'a\\nb'\r\n> cat x\r\né\r\nwithout end\r\n$ next\r\n".replace(
        "\r\n", "\n"
    )


def test_a_recording_that_was_never_closed_plays(tmp_path: Path) -> None:
    """A process that dies without warning leaves whole lines."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from pytest_specbench.core.redact import Redactor; from pytest_specbench.recording.cast import CastWriter\n"
        "cast = CastWriter(Path(sys.argv[1]), size=(80, 24), timestamp=0, title='', redactor=Redactor({}))\n"
        "cast.command(0.1, 'ls'); cast.output(0.2, b'known\\n'); cast.output(0.3, b'unfinished'); os._exit(9)\n"
    )
    path = tmp_path / "agent.cast"
    assert (
        subprocess.run([sys.executable, "-c", program, path], check=False, cwd=Path(__file__).parent.parent).returncode
        == 9
    )
    assert "known" in asciinema_cat(path)


@given(text=st.text(alphabet="aé\n\r😀", max_size=20), cuts=st.lists(st.integers(0, 60), max_size=5))
@settings(max_examples=150, deadline=None)
def test_chunks_may_end_anywhere(tmp_path_factory: pytest.TempPathFactory, text: str, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("cast") / "a.cast"
    data = text.encode()
    cast = CastWriter(path, size=(80, 24), timestamp=0, title="", redactor=SECRETS)
    start = 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        cast.output(float(-cut), data[start:cut])
        start = cut
    cast.close(1.0)
    whole = text.replace("\r\n", "\n").replace("\n", "\r\n")
    assert shown(path) == whole
    assert [event[0] for event in lines(path)[1:]] == sorted(event[0] for event in lines(path)[1:])  # type: ignore[index]


def test_a_recording_that_grows_too_long_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "agent.cast"
    cast = CastWriter(path, size=(80, 24), timestamp=0, title="", redactor=SECRETS, limit=2000)
    for second in range(100):
        cast.output(float(second), b"x" * 100 + b"\n")
    cast.close(100.0)
    assert path.stat().st_size < 2300
    assert shown(path).endswith("[the recording is cut here: it is too long]\r\n")
    assert shown(path).count("cut here") == 1
    assert "cut here" in asciinema_cat(path)


def test_an_event_log_that_grows_too_long_is_cut_but_the_trials_own_events_stay(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "s", 1)
    with TrialJournal(folder, redactor=SECRETS, limit=2000) as journal:
        for _ in range(100):
            journal.event("much", text="x" * 100)
        journal.close()
        journal.note("killed")
    events = [line["event"] for line in lines(folder.events)]
    assert len(events) < 20
    assert events[-3:] == ["cut", "closed", "killed"]


@pytest.mark.parametrize("broken", ["_log", "_cast"])
def test_what_the_host_cannot_write_is_not_the_agents_failure(tmp_path: Path, broken: str) -> None:
    """It is told again at every call, for an agent may go on, and at the end of its phase."""
    with TrialJournal(TrialFolder(tmp_path / "s", 1), redactor=SECRETS) as journal:
        owner, name = (journal, "_log") if broken == "_log" else (journal._cast, "_descriptor")
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, getattr(owner, name))
        os.close(full)
        for call in (
            lambda: journal.command("ls"),
            lambda: journal.output(b"more"),
            lambda: journal.event("more"),
            lambda: journal.message("agent", "more"),
            journal.close,
        ):
            with pytest.raises(InfrastructureError) as caught:
                call()
            assert caught.value.message == f"cannot write the trial's recording: {os.strerror(errno.ENOSPC)}"
            assert caught.value.cause is Cause.SANDBOX_FAILED
        journal.note("ignored")
    assert journal.steps == ()
