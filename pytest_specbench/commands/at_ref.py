"""A command held against a trusted ref: the ref is laid out, and the command runs there, in a process of its own.

Nothing of the work tree is imported, and none of its configuration is read: the paths, the configuration, the
scenarios, the lock and the modules that the process finds are the ref's.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pytest_specbench.commands.place import configured
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import commit_of, superproject_of, top_level
from pytest_specbench.core.status import Cause
from pytest_specbench.option_table import OPTIONS
from pytest_specbench.store.trusted.changes import add, changes, listed
from pytest_specbench.store.trusted.environment import installed_from
from pytest_specbench.store.trusted.laid_out import ENVIRONMENT, LaidOut
from pytest_specbench.store.trusted.layout import lay_out

WRITTEN = frozenset(
    {"--junitxml", "--junit-xml", "--log-file", "--report-log", "--json-report-file", "--html", "--csv"}
)
"""Options of pytest and its plugins that name a file to write: that is relative to where the command was given."""
SHORT = ("-c", "-p")
"""Short options of pytest whose value may be a path."""
OURS = frozenset({"--specbench-output", "--output", "--specbench-record", "--record"})
"""Options of ours that name one; the settings read them."""


def run_at_ref(ref: str, module: str, arguments: Sequence[str], *, near: Path) -> int:
    """Run `python -m MODULE ARGUMENTS` where `ref` is laid out, and return its exit code.

    The repository is the one that holds `near`. Raises BlockedError(CONFIGURATION) where there is none, or where the
    ref does not resolve or is not wholly there.
    """
    work_tree = top_level(near)
    outer = superproject_of(work_tree)
    if outer is not None:
        raise BlockedError(
            f"the repository is a submodule of {outer}, and a change of that one can lead it to any other",
            cause=Cause.CONFIGURATION,
            where=str(work_tree),
            expected="the repository that the change is made to",
            hint=f"cd {outer}, and name the paths and a ref from there; or check {work_tree.name} out by itself",
        )
    commit = commit_of(work_tree, ref)
    here, there = Path.cwd(), listed(work_tree)
    with (
        _ended_by_signals() as ending,
        tempfile.TemporaryDirectory(prefix="specbench-ref-", ignore_cleanup_errors=True) as private,
    ):
        folder = Path(os.path.realpath(private), "tree")
        folder.mkdir()
        paths = lay_out(work_tree, commit, folder)
        # Who looks further up, for a repository or a registry, ends here; no ref holds a file of this name.
        Path(folder, ".git").touch()
        if not configured(folder):
            # pytest would look for its configuration further up, where anybody may have put one.
            (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
        found = changes(folder, paths, work_tree, ref, there)
        registries, done = (add(folder, work_tree, files) for files in (found.registries, found.added))
        record = LaidOut(
            ref=ref,
            commit=commit,
            folder=folder,
            work_tree=work_tree,
            here=here,
            argv=tuple(sys.argv),
            altered=(*found.altered, *registries.altered, *done.altered, *installed_from(work_tree)),
            added=done.added,
        )
        file = Path(private, "laid-out.json")
        file.write_text(record.model_dump_json(), "utf-8")
        moved = Moved(record)
        with _working_directory(record) as place:
            return ending.run(
                [sys.executable, "-P", "-m", module, *moved.arguments(arguments)],
                cwd=place,
                environment={**moved.environment(os.environ), ENVIRONMENT: str(file)},
            )


class Moved:
    """Turns paths of the work tree into those of the laid-out ref."""

    def __init__(self, record: LaidOut) -> None:
        self._record = record
        self._inside = Path(os.path.realpath(record.here)).is_relative_to(record.work_tree)

    def arguments(self, words: Sequence[str]) -> list[str]:
        """The words of a command line; what names a file to write stays where it was meant to be."""
        found, waiting = [], ""  # the option that the next word is the value of
        for word in words:
            option, equals, value = word.partition("=") if word.startswith("-") else (waiting, "", word)
            if word[:2] in SHORT and len(word) > 2:  # the value stands right behind a short option
                found.append(word[:2] + self.path(word[2:]))
                continue
            if word.startswith("-") and not equals:
                waiting = word if word in WRITTEN | OURS else ""
                found.append(word)
                continue
            if option in WRITTEN:
                value = str(self._record.here / value)
            elif option not in OURS:
                value = self.path(value)
            found.append(f"{option}={value}" if equals else value)
            waiting = ""
        return found

    def path(self, word: str) -> str:
        """A word that may be a path, with what follows it, as in `file::test`."""
        text, separator, rest = word.partition("::")
        if not text or (self._inside and not os.path.isabs(text)):  # noqa: PTH117 - a word is no path yet
            return word  # relative to a working directory that is moved as a whole
        place = Path(os.path.abspath(self._record.here / text))  # noqa: PTH100 - links are the ref's
        for one in (place, Path(os.path.realpath(place))):
            for top in _names_of(self._record):
                if one.is_relative_to(top) and (os.path.isabs(text) or os.path.lexists(place)):  # noqa: PTH117 - as above
                    return f"{self._record.folder / one.relative_to(top)}{separator}{rest}"
        return word

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment, in which Python finds no module of the work tree."""
        found = dict(environ)
        if "PYTHONPATH" in found:
            entries = found["PYTHONPATH"].split(os.pathsep)
            found["PYTHONPATH"] = os.pathsep.join(self.path(one) for one in entries)
        if "PYTEST_ADDOPTS" in found:
            found["PYTEST_ADDOPTS"] = shlex.join(self.arguments(shlex.split(found["PYTEST_ADDOPTS"])))
        # The output names what is written, and stays where it was meant to be.
        ours = [name for option in OPTIONS if option.field != "output" for name in option.variables]
        return found | {name: self.path(found[name]) for name in ours if name in found}


def _names_of(record: LaidOut) -> Iterator[Path]:
    """The top of the work tree, and the name that it has by way of the working directory."""
    yield record.work_tree
    for above in (record.here, *record.here.parents):
        if Path(os.path.realpath(above)) == record.work_tree:
            yield above


@contextmanager
def _working_directory(record: LaidOut) -> Iterator[Path]:
    """The folder at the ref that the working directory is in the work tree; made, where the ref has none."""
    here = Path(os.path.realpath(record.here))
    inside = here.is_relative_to(record.work_tree)
    place = record.folder / here.relative_to(record.work_tree) if inside else record.folder
    with suppress(FileExistsError, NotADirectoryError):
        place.mkdir(parents=True)
    yield place if place.is_dir() and place.resolve().is_relative_to(record.folder) else record.folder


class _Ending:
    """What a signal ends: the process that was started, or, before there is one, this command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def pass_on(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        if self._process is None:
            raise SystemExit(128 + number)
        if not (number == signal.SIGINT and _in_foreground()):  # what a terminal sends, it sends to both
            self._process.send_signal(number)

    def run(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> int:
        """Run a process to its end, and return its exit code."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = subprocess.Popen(command, cwd=cwd, env=dict(environment))
        code = self._process.wait()
        return code if code >= 0 else 128 - code


@contextmanager
def _ended_by_signals() -> Iterator[_Ending]:
    ending = _Ending()
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if main else ()
    taken = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ending.pass_on) for number in taken}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
