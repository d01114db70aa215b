"""Progress: what runs says so in files, the view reads them, the thread shows them and leaves no trace."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_specbench.reporting.live import (
    HeartbeatLine,
    LiveLine,
    ProgressThread,
    progress_on,
    wants_live,
)
from pytest_specbench.reporting.progress import Heartbeat, ProgressView, beat_path, forget_the_dead

WAIT_SEC = 30
"""How long a test waits for an event before it counts as lost; no test takes that long when all is well."""


class Ticks:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


def heartbeat(
    folder: Path, scenario_id: str = "specify", *, started: float = 0.0, ticks: Ticks | None = None
) -> Heartbeat:
    return Heartbeat(folder, scenario_id, clock=lambda: started, ticks=ticks or Ticks())


class TestHeartbeatAndView:
    """The files: who writes them, when, and how they are read."""

    def test_a_running_item_has_a_line(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 3, 12)
        assert ProgressView(folder).lines(42.9) == ["specify: trial 1/3, agent, step 12, 0:42"]

    def test_steps_are_left_out_where_nothing_counts_them_and_the_trial_before_the_first(self, folder: Path) -> None:
        heartbeat(folder, "a").update("set-up", 0, 0)
        heartbeat(folder, "b", started=1).update("verification", 2, 3, None)
        view = ProgressView(folder, clock=lambda: 125.0)
        assert view.lines() == ["a: set-up, 2:05", "b: trial 2/3, verification, 2:04"]

    def test_the_longest_running_comes_first(self, folder: Path) -> None:
        heartbeat(folder, "a", started=20).update("agent", 1, 1)
        heartbeat(folder, "b", started=10).update("agent", 1, 1)
        assert [line[0] for line in ProgressView(folder).lines(30)] == ["b", "a"]

    def test_a_clock_that_was_set_back_shows_no_negative_time(self, folder: Path) -> None:
        heartbeat(folder, started=100).update("agent", 1, 1)
        assert ProgressView(folder).lines(50) == ["specify: trial 1/1, agent, 0:00"]

    def test_nothing_is_made_before_something_runs_and_nothing_is_left_after(self, folder: Path) -> None:
        view = ProgressView(folder)
        with heartbeat(folder) as beat:
            assert not folder.exists()
            assert view.lines(0) == []
            beat.update("agent", 1, 1)
            assert [path.name for path in folder.iterdir()] == ["specify.json"]
        assert not folder.exists()
        assert view.lines(0) == []

    def test_the_end_of_one_item_leaves_the_others(self, folder: Path) -> None:
        heartbeat(folder, "other").update("agent", 1, 1)
        with heartbeat(folder) as beat:
            beat.update("agent", 1, 1)
        assert ProgressView(folder).lines(0) == ["other: trial 1/1, agent, 0:00"]

    def test_a_late_update_does_not_bring_an_item_back(self, folder: Path) -> None:
        beat = heartbeat(folder)
        beat.done()
        beat.done()
        beat.update("agent", 1, 1)
        assert not folder.exists()

    def test_steps_are_written_every_200_ms_at_most_phases_and_trials_at_once(self, folder: Path) -> None:
        ticks, view = Ticks(), ProgressView(folder)
        beat = heartbeat(folder, ticks=ticks)
        shown = []
        for moment, phase, trial, steps in [
            (0.00, "agent", 1, 1),
            (0.10, "agent", 1, 2),
            (0.21, "agent", 1, 3),
            (0.22, "kill", 1, 3),
            (0.23, "agent", 2, 0),
        ]:
            ticks.now = 1000 + moment
            beat.update(phase, trial, 2, steps)
            shown += view.lines(0)
        assert [line.removeprefix("specify: trial ").removesuffix(", 0:00") for line in shown] == [
            "1/2, agent, step 1",
            "1/2, agent, step 1",
            "1/2, agent, step 3",
            "1/2, kill, step 3",
            "2/2, agent, step 0",
        ]

    def test_an_item_whose_process_is_gone_shows_no_sign_of_life_until_it_is_forgotten(self, folder: Path) -> None:
        script = """if True:
            import pathlib, sys
            from pytest_specbench.reporting.progress import Heartbeat
            Heartbeat(pathlib.Path(sys.argv[1]), "specify").update("agent", 1, 1)
        """
        worker = subprocess.Popen([sys.executable, "-c", script, str(folder)])
        assert worker.wait(WAIT_SEC) == 0
        view = ProgressView(folder)
        assert view.lines() == [f"specify: no sign of life, process {worker.pid} is gone"]
        view.forget("specify")
        view.forget("specify")
        assert view.lines() == []

    def test_another_process_with_the_same_number_is_not_taken_for_it(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 1)
        path = beat_path(folder, "specify")
        path.write_text(json.dumps({**json.loads(path.read_text()), "process_started": 1.0}))
        assert ProgressView(folder).lines(0) == [f"specify: no sign of life, process {os.getpid()} is gone"]

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"scenario_id": "x"}'])
    def test_a_file_that_is_no_heartbeat_is_not_shown(self, folder: Path, content: bytes) -> None:
        folder.mkdir()
        (folder / "odd.json").write_bytes(content)
        (folder / "folder.json").mkdir()
        assert ProgressView(folder).lines(0) == []

    def test_a_folder_that_cannot_be_written_stops_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with heartbeat(tmp_path / "file") as beat:
            beat.update("agent", 1, 1)
        assert ProgressView(tmp_path / "file").lines(0) == []

    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
    def test_no_id_leaves_the_folder_or_steers_the_terminal(self, scenario_id: str) -> None:
        path = beat_path(Path("/progress"), scenario_id)
        assert path.parent == Path("/progress")
        assert os.path.normpath(path) == str(path)

    def test_what_an_item_says_is_shown_escaped(self, folder: Path) -> None:
        heartbeat(folder, "../\x1b[2J").update("agent\n", 1, 1)
        assert ProgressView(folder).lines(0) == ["../\\x1b[2J: trial 1/1, agent\\n, 0:00"]


class Screen:
    """As much of a terminal as the live line uses: CR, LF, IND, CUU, CUD, EL, DECSC and DECRC, on a few rows."""

    TOKEN = re.compile(r"\x1b\[([ABK])|\x1b([D78])|([\r\n])|([^\x1b\r\n]+)")

    def __init__(self, rows: int, columns: int = 40) -> None:
        self.rows = [" " * columns for _ in range(rows)]
        self.row = self.column = 0
        self.saved = (0, 0)

    def write(self, text: str) -> None:
        assert "".join(match[0] for match in self.TOKEN.finditer(text)) == text
        for match in self.TOKEN.finditer(text):
            csi, escape, control, plain = match.groups()
            if plain:
                line = self.rows[self.row]
                self.rows[self.row] = line[: self.column] + plain + line[self.column + len(plain) :]
                self.column += len(plain)
                assert self.column <= len(line), "wrapped"
            elif control == "\r":
                self.column = 0
            elif escape == "D" or control == "\n":
                self.column = 0 if control else self.column
                self.down()
            elif csi == "A":
                self.row = max(0, self.row - 1)
            elif csi == "B":
                self.row = min(len(self.rows) - 1, self.row + 1)
            elif csi == "K":
                self.rows[self.row] = self.rows[self.row][: self.column].ljust(len(self.rows[self.row]))
            elif escape == "7":
                self.saved = (self.row, self.column)
            else:
                self.row, self.column = self.saved

    def down(self) -> None:
        if self.row == len(self.rows) - 1:
            self.rows = [*self.rows[1:], " " * len(self.rows[0])]
        else:
            self.row += 1

    def shown(self) -> list[str]:
        return [row.rstrip() for row in self.rows]


class TestLiveLine:
    """One line below the one that pytest is writing."""

    @pytest.mark.parametrize("rows", [2, 3, 5])
    @pytest.mark.parametrize("before", [0, 1, 4])
    def test_the_line_that_pytest_is_writing_is_never_touched(self, rows: int, before: int) -> None:
        screen = Screen(rows)
        line = LiveLine(screen.write, lambda: 40)
        screen.write("earlier\r\n" * before + "benchmarks/a.scenario.yaml ")
        line.show(["a: trial 1/3, agent, 0:01"])
        line.show(["a: kill, 0:02"])
        at = screen.row
        assert screen.shown()[at : at + 2] == ["benchmarks/a.scenario.yaml", "a: kill, 0:02"]
        line.clear()
        screen.write(".")
        assert screen.shown()[screen.row] == "benchmarks/a.scenario.yaml ."
        assert "a: kill" not in "".join(screen.shown())

    def test_what_is_printed_after_clearing_stands_alone(self) -> None:
        screen = Screen(3)
        line = LiveLine(screen.write, lambda: 40)
        screen.write("one ")
        line.show(["a: running"])
        line.clear()
        screen.write(".\r\ntwo")
        line.show(["b: running"])
        line.clear()
        assert screen.shown() == ["one .", "two", ""]

    def test_it_is_cut_to_the_width_and_joins_what_runs(self) -> None:
        screen = Screen(3, columns=20)
        LiveLine(screen.write, lambda: 20).show(["a: one", "b: two", "c: three"])
        assert screen.shown()[1] == "a: one | b: two ..."

    def test_nothing_running_clears_it_and_clearing_nothing_writes_nothing(self) -> None:
        written: list[str] = []
        line = LiveLine(written.append, lambda: 40)
        line.clear()
        line.show([])
        assert written == []
        line.show(["a"])
        line.show([])
        line.clear()
        assert len(written) == 2

    def test_a_stream_without_the_letters_gets_escapes(self) -> None:
        written: list[str] = []
        LiveLine(written.append, lambda: 40, encoding="ascii").show(["\u4ed5"])
        assert "\\u4ed5" in written[0]
        assert written[0].isascii()


class TestThread:
    """Shows until it is stopped, and stops at once."""

    def test_it_shows_what_runs_and_nothing_when_nothing_does(self, folder: Path) -> None:
        written: queue.Queue[str] = queue.Queue()
        beat = heartbeat(folder)
        beat.update("agent", 1, 1)
        view = ProgressView(folder, clock=lambda: 31.0)
        with ProgressThread(view, HeartbeatLine(written.put), interval=0.01):
            assert written.get(timeout=WAIT_SEC) == "specbench: specify: trial 1/1, agent, 0:31"
            beat.done()
        HeartbeatLine(written.put).show(view.lines())
        while not written.empty():
            assert written.get() == "specbench: specify: trial 1/1, agent, 0:31"

    def test_the_first_line_comes_after_one_interval_and_stopping_waits_for_none(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 1)
        written: list[str] = []
        with ProgressThread(ProgressView(folder), HeartbeatLine(written.append), interval=3600):
            pass
        assert written == []

    def test_stopping_clears_the_live_line_and_may_be_repeated(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 1)
        screen, drawn = Screen(3), threading.Event()

        def write(text: str) -> None:
            screen.write(text)
            drawn.set()

        thread = ProgressThread(ProgressView(folder), LiveLine(write, lambda: 40), interval=0.01)
        thread.start()
        assert drawn.wait(WAIT_SEC)
        thread.stop()
        thread.stop()
        assert screen.shown() == ["", "", ""]

    def test_a_thread_that_never_started_can_be_stopped(self, folder: Path) -> None:
        ProgressThread(ProgressView(folder), HeartbeatLine(print), interval=1).stop()

    def test_while_paused_nothing_is_drawn(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 1)
        screen, drawn = Screen(4), queue.Queue[str]()

        def write(text: str) -> None:
            screen.write(text)
            drawn.put(text)

        with ProgressThread(ProgressView(folder), LiveLine(write, lambda: 40), interval=0.001) as thread:
            for number in range(3):
                drawn.get(timeout=WAIT_SEC)
                with thread.paused():
                    assert "specify" not in "".join(screen.shown())
                    screen.write(f"line {number}")
                    screen.write("\r\n")
                while not drawn.empty():
                    drawn.get()
        assert screen.shown() == ["line 0", "line 1", "line 2", ""]

    def test_a_stream_that_breaks_ends_the_showing_and_nothing_else(self, folder: Path) -> None:
        heartbeat(folder).update("agent", 1, 1)
        tried = threading.Event()

        def broken(text: str) -> None:
            tried.set()
            raise BrokenPipeError

        with ProgressThread(ProgressView(folder), LiveLine(broken, lambda: 40), interval=0.001) as thread:
            assert tried.wait(WAIT_SEC)
            with thread.paused():
                pass

    def test_a_log_gets_lines_and_a_terminal_a_live_line(self, folder: Path) -> None:
        view = ProgressView(folder)
        leader, follower = os.openpty()
        with os.fdopen(leader, "rb"), os.fdopen(follower, "w", encoding="utf-8") as terminal:
            live = progress_on(view, terminal, print, environ={"TERM": "xterm"})
            lines = progress_on(view, terminal, print, environ={"TERM": "xterm", "CI": "true"})
        assert isinstance(live._display, LiveLine)
        assert live._interval == 0.5
        assert isinstance(lines._display, HeartbeatLine)
        assert lines._interval == 30

    @pytest.mark.parametrize(
        ("environ", "is_tty", "live"),
        [
            ({"TERM": "xterm"}, True, True),
            ({"TERM": "xterm"}, False, False),
            ({"TERM": "dumb"}, True, False),
            ({}, True, False),
            ({"TERM": "xterm", "CI": "1"}, True, False),
        ],
    )
    def test_live_only_on_a_terminal_that_understands_it(
        self, environ: dict[str, str], is_tty: bool, live: bool
    ) -> None:
        assert wants_live(environ, is_tty=is_tty) is live


def test_what_dead_runs_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    living = Heartbeat(tmp_path / "living", "demo")
    dead = Heartbeat(tmp_path / "dead", "demo")
    for beat in (living, dead):
        beat.update("agent", 1, 1)
    path = beat_path(tmp_path / "dead", "demo")
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"pid": gone.pid}), "utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dead too").mkdir()
    path.with_name("note.txt").write_text("somebody's")

    forget_the_dead(tmp_path)

    assert [one.name for one in sorted(tmp_path.rglob("*"))] == [
        "dead",
        "note.txt",
        "dead too",
        "empty",
        "living",
        beat_path(tmp_path, "demo").name,
    ]
    living.done()
    dead.done()
