"""Every example in the documents is run, or says why it cannot be.

A comment before a fenced block says what becomes of it:

    <!-- runnable: SESSION -->            the block is run; the blocks of a session share a folder and follow each other
    <!-- runnable: SESSION; exit 1 -->    its last command ends with this exit status, every other one with 0
    <!-- runnable: SESSION; with benchmarks -->    it begins with a committed copy of `benchmarks/` and `baselines/`
    <!-- file: SESSION PATH -->           the block is the content of a file of the session
    <!-- replace: SESSION PATH KEY -->    the block replaces a top-level key of a YAML file of the session
    <!-- output: OF WHAT -->              the block is output that was copied, and nothing else
    <!-- not run: REASON -->              why it is not run

In a `console` block, `$ ` begins a command and what follows is its output. Every line of it must appear, in this order;
`...` stands for anything. Times, sizes and names of run folders may differ.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parent.parent
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
SHELLS = ("console", "bash", "sh", "shell")
MARK = re.compile(r"<!-- (runnable|file|replace|output|not run): (.+?) -->")
FENCE = re.compile(r"^```(\S*)$")
COMMAND_SEC = 120


@dataclass(frozen=True)
class Block:
    """One fenced block: where it begins, its language, its text, and the mark before it."""

    document: Path
    line: int
    language: str
    text: str
    kind: str
    detail: str

    @property
    def where(self) -> str:
        return f"{self.document.relative_to(PROJECT)}:{self.line}"

    @property
    def session(self) -> str:
        return re.split(r"[; ]", self.detail, maxsplit=1)[0]

    @property
    def exit_status(self) -> int:
        found = re.search(r"; exit (\d+)", self.detail)
        return int(found.group(1)) if found else 0


def blocks_of(document: Path) -> list[Block]:
    found: list[Block] = []
    lines = iter(enumerate(document.read_text("utf-8").splitlines(), 1))
    before = ""
    for number, line in lines:
        fence = FENCE.match(line)
        if fence is None:
            before = line if line.strip() else before
            continue
        content = []
        for _, inner in lines:
            if inner == "```":
                break
            content.append(inner)
        mark = MARK.fullmatch(before)
        kind, detail = mark.groups() if mark else ("", "")
        found.append(Block(document, number, fence.group(1), "\n".join(content) + "\n", kind, detail))
        before = ""
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
SESSIONS = sorted({(block.document, block.session) for block in BLOCKS if block.kind == "runnable"})


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert block.language, f"{block.where}: the block names no language"
    if block.language in SHELLS:
        assert block.kind in ("runnable", "not run", "file"), f"{block.where}: neither run nor marked with a reason"
    if block.kind == "not run":
        assert len(block.detail.split()) >= 4, f"{block.where}: {block.detail!r} is no reason"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_data_in_a_document_is_well_formed(block: Block) -> None:
    """YAML, JSON, TOML and Python parse, also where no session uses them."""
    if block.language == "yaml":
        assert yaml.safe_load(block.text)
    elif block.language == "json":
        assert json.loads(block.text)
    elif block.language == "toml":
        assert tomllib.loads(block.text)
    elif block.language == "python":
        compile(block.text, block.where, "exec")


@pytest.mark.parametrize(
    ("document", "session"), SESSIONS, ids=[f"{document.stem}-{session}" for document, session in SESSIONS]
)
def test_the_examples_do_what_the_document_says(document: Path, session: str, tmp_path: Path) -> None:
    """A reader who types what stands there sees what stands there."""
    blocks = [block for block in BLOCKS if block.document == document and block.session == session]
    reader = Reader(tmp_path)
    if any("with benchmarks" in block.detail for block in blocks):
        for name in ("benchmarks", "baselines"):
            shutil.copytree(PROJECT / name, reader.folder / name)
        reader.write(".gitignore", ".terminalbench/\n__pycache__/\nrecorded/\n")
        reader.run("git init --quiet . && git add . && git commit --quiet -m Benchmarks", "a copy of benchmarks")
    for block in blocks:
        if block.kind == "file":
            reader.write(block.detail.split()[1], block.text)
        elif block.kind == "replace":
            _, path, key = block.detail.split()
            reader.write(path, with_key_replaced((reader.folder / path).read_text("utf-8"), key, block.text))
        elif block.kind == "runnable":
            follow(reader, block)


def follow(reader: Reader, block: Block) -> None:
    commands = list(commands_of(block))
    for number, (command, expected) in enumerate(commands, 1):
        status = block.exit_status if number == len(commands) else 0
        output = reader.run(command, block.where, status=status)
        missing = first_missing(expected, output)
        assert missing is None, f"{block.where}: $ {command}\nno line (in this order) like: {missing}\n{output}"


class Reader:
    """Somebody with an empty folder, an installed package and git; without any setting of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        self._place = folder / "place"
        own = ("SPECBENCH_", "SPEC_BENCH_", "PYTEST_", "GIT_", "COV_")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(own)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONIOENCODING": "utf-8",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Reader"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "reader@example.org"),
        }

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")

    def run(self, command: str, where: str, *, status: int = 0) -> str:
        """Run a command line in the folder and return what it prints; its exit status must be `status`."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=COMMAND_SEC,
            check=False,
        )
        assert done.returncode == status, f"{where}: $ {command}\nexit status {done.returncode}\n{done.stdout}"
        return done.stdout


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines of output that follow it; a block of another language is one command."""
    if block.language != "console":
        yield block.text, []
        return
    lines = block.text.splitlines()
    assert lines[0].startswith("$ "), f"{block.where}: a console block begins with a command"
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start][2:], lines[start + 1 : end]


def first_missing(expected: list[str], output: str) -> str | None:
    """The first expected line that does not come after the ones before it; None when all are there."""
    observed = iter([plain(line) for line in output.splitlines()])
    for line in expected:
        if not line.strip(" ."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in plain(line).split("...")))
        if not any(pattern.fullmatch(seen) for seen in observed):
            return line
    return None


def plain(line: str) -> str:
    """The line without what differs from run to run."""
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{8}", "RUN", line)
    line = re.sub(r"\b\d+(?:\.\d+)? (?:ms|s|MB|kB)(?=\s|$)", "N", line)
    line = re.sub(r"(?<=\s)-(?=\s|$)", "N", line)  # a value that was too short-lived to be measured
    return " ".join(line.split())


def with_key_replaced(text: str, key: str, block: str) -> str:
    """A YAML text in which a top-level key and what belongs to it is replaced by `block`."""
    found = re.compile(rf"^{re.escape(key)}:.*\n(?:[ #].*\n)*", re.MULTILINE)
    assert len(found.findall(text)) == 1, f"no key {key!r}, or several"
    return found.sub(lambda _: block, text)


def test_a_command_that_fails_fails_its_block(tmp_path: Path) -> None:
    """The machinery above can say no: for an exit status, and for a line that is not there."""
    block = Block(DOCUMENTS[0], 1, "console", "$ false\n", "runnable", "self")
    with pytest.raises(AssertionError, match="exit status 1"):
        follow(Reader(tmp_path), block)
    assert first_missing(["one", "...", "three"], "one\ntwo\nthree\n") is None
    assert first_missing(["two", "one"], "one\ntwo\n") == "one"
    assert first_missing(["20260101T000000Z-0123abcd took 8 ms"], "20270101T000000Z-4567abcd took 1.2 s") is None


def test_a_shell_block_without_a_mark_is_found() -> None:
    block = Block(DOCUMENTS[0], 1, "bash", "rm -rf x\n", "", "")
    with pytest.raises(AssertionError, match="neither run nor marked"):
        test_a_block_is_run_or_says_why_not(block)
