"""Files, names, servers and output that mean harm: refused in a sentence, in bounded time, or shown as mere text."""

from __future__ import annotations

import io
import json
import os
import socketserver
import tarfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from scenario_files import Project, command, scenario

from pytest_specbench.agents.base import AgentTask
from pytest_specbench.agents.models import open_model
from pytest_specbench.agents.models.base import ModelRequest
from pytest_specbench.agents.models.cassette import load_cassette
from pytest_specbench.core.errors import BlockedError, DatasetError, InfrastructureError, ScenarioError, SpecbenchError
from pytest_specbench.core.text import LINE_LIMIT, TEXT_LIMIT, visible
from pytest_specbench.recording.atif_check import check_trajectory
from pytest_specbench.sandboxes.archive import Budget, read_regular
from pytest_specbench.scenarios.content import tree_hash
from pytest_specbench.scenarios.datasets import resolve_dataset
from pytest_specbench.scenarios.download import TooLargeError, download
from pytest_specbench.scenarios.loader import find_scenarios, load_scenario
from pytest_specbench.scenarios.model import Limits
from pytest_specbench.scenarios.registry_file import read_registry
from pytest_specbench.scenarios.tree import MAX_BYTES, list_tree, read_bytes
from pytest_specbench.store.lock import read_lock

ESCAPES = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e\u2028"
ROW = {
    "name": "suite",
    "version": "1.0",
    "terminal_bench_version": ">=0",
    "github_url": ".",
    "dataset_path": ".",
    "branch": "main",
    "commit_hash": "head",
}
SHORT = yaml.safe_dump(scenario("demo"))
CASSETTE = "cassette: 1\nprovenance: scripted\nmodel: m\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, a repository of its own."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(kind: type[SpecbenchError], call: Callable[[], object]) -> str:
    """The text of the error, which holds nothing that steers a terminal and is short."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert all(character.isprintable() or character == "\n" for character in text), text
    assert len(text) < 100_000
    return text


class TestText:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("::error file=x::gone", r"\x3a:error file=x::gone"),
            ("so ::set-output name=x::y", r"so \x3a:set-output name=x::y"),
            ("##[add-mask]x", r"\x23#[add-mask]x"),
            ("##vso[task.complete]", r"\x23#vso[task.complete]"),
            ("file.py::test", "file.py::test"),
            ("x :: Int", "x :: Int"),
            ("## Title", "## Title"),
        ],
    )
    def test_what_a_ci_service_would_obey_is_defused(self, text: str, shown: str) -> None:
        assert visible(text) == shown

    def test_an_error_is_short_and_its_place_is_one_line(self) -> None:
        error = SpecbenchError("m" * 10**6, where=f"a\n{ESCAPES}", expected="e\n" * 10**5, hint="h\nfake: 1")
        assert len(str(error)) < TEXT_LIMIT + 3 * LINE_LIMIT
        assert len(str(error).splitlines()) == 3
        assert str(error).startswith(r"a\n\x1b[31m")


class TestScenarioFiles:
    @pytest.mark.parametrize(
        "more",
        [
            "".join(f"k{i}: 1\n" for i in range(60_000)),
            "z: 1\n" * 100_000,
            f"prerequisites: [{','.join(f'a{i}' for i in range(60_000))}]\n",
            "prerequisites: [" + ",".join(f"a{i}" for i in range(15_000)) + "]\nfixtures:\n"
            + "".join(f" b{i}: {{type: git}}\n" for i in range(15_000)),
            "thresholds: {" + ",".join(f"a{i}: 1" for i in range(60_000)) + "}\n",
            "x: " + "1:" * 300_000 + "0\n",
            "trials: " + "9" * 900_000 + "\n",
            f"? {'k' * 900_000}\n: 1\n",
            "x: " + ": : : " * 100_000,
        ],
        ids=["unknown keys", "repeated keys", "no fixtures", "other fixtures", "thresholds", "base 60", "digits", "key",
             "nested keys"],
    )  # fmt: skip
    def test_a_megabyte_of_nonsense_is_refused_at_once_and_in_short(self, tmp_path: Path, more: str) -> None:
        file = tmp_path / "demo.scenario.yaml"
        file.write_text(SHORT + more)
        assert f"{file}:" in refusal(ScenarioError, lambda: load_scenario(file))

    @pytest.mark.parametrize("entry", ["a:\n", "-\n", "? a\n:\n"])
    def test_nesting_by_indentation_has_an_end_too(self, tmp_path: Path, entry: str) -> None:
        file = tmp_path / "demo.scenario.yaml"
        file.write_text("".join(" " * depth + entry.replace("\n", "\n" + " " * depth) + "\n" for depth in range(900)))
        refusal(ScenarioError, lambda: load_scenario(file))

    def test_many_different_names_are_no_work(self, tmp_path: Path) -> None:
        file = tmp_path / "demo.scenario.yaml"
        file.write_text(SHORT + f"secrets: [{','.join(f'A{i}' for i in range(60_000))}]\n")
        assert len(load_scenario(file).scenario.secrets) == 60_000

    @pytest.mark.parametrize(
        "more",
        ['"\\e[31mx\\nfake": 1', '"trial\\e": 1', 'trials: !!int "1\\e\\nfake"', "trials: !<tag:%1B%0Ax> 1",
         'environment: {"A\\n": b}', 'display_name: "\\x9b31m"', 'solution: "a\\x9b"'],
    )  # fmt: skip
    def test_what_is_quoted_of_it_cannot_steer_a_terminal(self, tmp_path: Path, more: str) -> None:
        file = tmp_path / "demo.scenario.yaml"
        taken = yaml.safe_dump({k: v for k, v in scenario("demo").items() if not more.startswith(k)})
        file.write_text(f"{taken}{more}\n")
        assert "fake" not in [line.strip() for line in refusal(ScenarioError, lambda: load_scenario(file)).split("\n")]

    @pytest.mark.parametrize(
        "name", ["a\x1b[31m", "a\nspecbench: exit 0: fake", "a::b", "a\u202eb", "a\udcffb", "a\0b", "a" * 5000]
    )
    def test_its_name_can_be_shown(self, tmp_path: Path, name: str) -> None:
        refusal(ScenarioError, lambda: load_scenario(tmp_path / f"{name}.scenario.yaml"))

    def test_a_folder_that_cannot_be_looked_into_is_not_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.scenario.yaml").write_text(SHORT)
        (tmp_path / "closed").mkdir(mode=0)
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("root may look into every folder")
        assert "closed: cannot be looked into" in refusal(ScenarioError, lambda: find_scenarios([tmp_path]))


class TestTrees:
    def test_a_deep_one_is_no_recursion(self, tmp_path: Path) -> None:
        folder = tmp_path / "tree"
        folder.mkdir()
        for _ in range(900):
            folder /= "d"
            folder.mkdir()
        (folder / "file").write_text("x")
        assert len(list_tree(tmp_path, "tree")) == 1

    @pytest.mark.parametrize("named", ["tree", "tree/huge"])
    def test_a_sparse_file_is_not_packed(self, tmp_path: Path, named: str) -> None:
        (tmp_path / "tree").mkdir()
        with (tmp_path / "tree/huge").open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        assert "holds 1000000001 bytes" in refusal(ScenarioError, lambda: list_tree(tmp_path, named))

    def test_a_name_that_cannot_be_written_down_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        try:
            (tmp_path / "tree" / os.fsdecode(b"a\xff")).write_text("x")
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
        assert "not UTF-8" in refusal(ScenarioError, lambda: list_tree(tmp_path, "tree"))

    @pytest.mark.parametrize("what", ["file", "folder", "pipe"])
    def test_what_became_a_link_or_a_pipe_since_it_was_listed_is_not_read(self, tmp_path: Path, what: str) -> None:
        file = tmp_path / "tree/in/file"
        file.parent.mkdir(parents=True)
        file.write_text("x")
        assert [found.source for found in list_tree(tmp_path, "tree")] == [file]
        if what == "folder":
            file.parent.rename(tmp_path / "moved")
            file.parent.symlink_to(tmp_path / "moved")
        else:
            file.unlink()
            os.mkfifo(file) if what == "pipe" else file.symlink_to("/etc/passwd")
        refusal(ScenarioError, lambda: read_bytes(file))

    def test_a_link_to_itself_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        file = tmp_path / "demo.scenario.yaml"
        file.write_text(yaml.safe_dump(scenario("demo", solution="loop")))
        assert "symbolic link" in refusal(ScenarioError, lambda: load_scenario(file))

    def test_names_with_line_ends_count_in_the_hash(self, tmp_path: Path) -> None:
        file = tmp_path / "demo.scenario.yaml"
        fixtures = {"tree": {"type": "files", "source": "tree"}}
        file.write_text(yaml.safe_dump(scenario("demo", fixtures=fixtures, prerequisites=["tree"])))
        (tmp_path / "tree").mkdir()
        hashes = set()
        for name in ("a\nb", "a\x1b[31mb", "ab"):
            (tmp_path / "tree" / name).write_text("x")
            hashes.add(tree_hash(load_scenario(file), "tree"))
            (tmp_path / "tree" / name).unlink()
        assert len(hashes) == 3


class TestDatasets:
    @pytest.mark.parametrize(
        "reference",
        ["a" * 5000, "a/" * 3000, "./loop/x", "./loop", "loop", "a\0b", "/a\0b", "\ud800", "\ud800/x", f"{ESCAPES}/x",
         "suite==" + "9" * 5000, "suite==\x1b", "=", "@", "pipe", "./pipe"],
        ids=repr,
    )  # fmt: skip
    @pytest.mark.parametrize("registry", [None, "good.json"])
    def test_a_reference_that_is_none(self, here: Path, reference: str, registry: str | None) -> None:
        (here / "loop").symlink_to("loop")
        os.mkfifo(here / "pipe")
        (here / "good.json").write_text(json.dumps([ROW]))
        refusal(DatasetError, lambda: resolve_dataset(reference, registry=registry, near=here))

    @pytest.mark.parametrize(
        "change",
        [
            {"github_url": "a\0b"},
            {"dataset_path": "a\0b"},
            {"dataset_path": "a" * 5000},
            {"dataset_path": "\ud800"},
            {"dataset_path": "loop"},
            {"github_url": "loop"},
            {"github_url": f"http://{ESCAPES}"},
            {"name": ESCAPES},
            {"name": "x" * 10**6},
            {"versio\x1b": 1},
            {f"zz{i}": 1 for i in range(50_000)},
        ],
        ids=lambda change: repr(change)[:40],
    )
    def test_a_row_that_means_harm(self, here: Path, change: dict[str, Any]) -> None:
        (here / "loop").symlink_to("loop")
        (here / "registry.json").write_text(json.dumps([ROW | change]))
        assert "registry.json" in refusal(DatasetError, lambda: resolve_dataset("suite", registry=None, near=here))

    @pytest.mark.parametrize(
        "text",
        [
            json.dumps([ROW | {"name": f"n{i}"} for i in range(20_000)]),
            "[" + ",\n".join("1" * 400_000) + "]",
            "[{" + ",".join(f'"a{i}":1' for i in range(100_000)) + ',"a99999":1}]',
            "[" * 10**6,
            "[" + " " * 9_000_000 + "]",
        ],
        ids=["rows", "numbers", "keys", "depth", "spaces"],
    )
    def test_megabytes_are_read_in_a_moment(self, here: Path, text: str) -> None:
        (here / "registry.json").write_text(text)
        refusal(DatasetError, lambda: resolve_dataset("suite", registry=None, near=here))

    def test_a_version_may_have_any_number_of_digits(self, here: Path) -> None:
        rows = [ROW | {"version": version} for version in ("9" * 5000, "1" + "0" * 5000, "0010", "9")]
        (here / "registry.json").write_text(json.dumps(rows))
        assert resolve_dataset("suite", registry=None, near=here).version == "1" + "0" * 5000

    @pytest.mark.parametrize(
        "source", ["a" * 5000, "loop", "pipe", ".", "a\0b", "\ud800", "/dev/zero", "/proc/self/mem"]
    )
    def test_a_registry_that_is_no_file(self, here: Path, source: str) -> None:
        (here / "loop").symlink_to("loop")
        os.mkfifo(here / "pipe")
        refusal(DatasetError, lambda: read_registry(source))


class Answers(socketserver.StreamRequestHandler):
    """A server that says what stands in `replies` for each path, or never ends."""

    replies: ClassVar[dict[str, bytes]] = {
        "/nonsense": b"this is no HTTP\r\n\r\n",
        "/status": b"HTTP/1.1 abc\r\n\r\n",
        "/error": b"HTTP/1.1 500 Broken\x1b[31m\r\nContent-Length: 0\r\n\r\n",
        "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[",
        "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        "/file": b"HTTP/1.1 302 Go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        "/ftp": b"HTTP/1.1 302 Go\r\nLocation: ftp://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
        "/loop": b"HTTP/1.1 302 Go\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n",
        "/odd": b"HTTP/1.1 302 Go\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
        "/latin": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[\xe9]",
        "/headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000,
        "/empty": b"",
    }

    def handle(self) -> None:
        path = self.rfile.readline().decode().split(" ")[1]
        while self.rfile.readline().strip():
            pass
        try:
            if path == "/silent":
                self.server.ended.wait(60)  # type: ignore[attr-defined]  # see below
            if path == "/endless":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n[")
                while not self.server.ended.is_set():  # type: ignore[attr-defined]  # see below
                    self.wfile.write(b" " * 10_000)
            self.wfile.write(self.replies.get(path, b""))
        except OSError:
            pass  # the client had enough


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server on this machine."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as running:
        running.daemon_threads = True
        running.ended = threading.Event()  # type: ignore[attr-defined]  # the handlers wait for it
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.ended.set()  # type: ignore[attr-defined]  # as above
        running.shutdown()


class TestServers:
    @pytest.mark.parametrize("path", [*Answers.replies, "/endless"])
    def test_a_registry_that_cannot_be_had(self, server: str, path: str) -> None:
        assert f"{server}{path}" in refusal(DatasetError, lambda: read_registry(f"{server}{path}"))

    def test_one_that_trickles_in_or_never_comes_ends_at_the_time_limit(self, server: str) -> None:
        with pytest.raises(TimeoutError, match=r"after 0\.2 s"):
            download(f"{server}/silent", 1000, seconds=0.2)

    def test_one_that_never_ends_is_cut_off(self, server: str) -> None:
        with pytest.raises(TooLargeError):
            download(f"{server}/endless", 1000)

    @pytest.mark.parametrize(
        "url",
        ["http://[", "http://", "http:///x", "ftp://x/y", "file:///etc/passwd", "http://a b/", f"http://{ESCAPES}/",
         "http://127.0.0.1:1/a\r\nX: y", "://", "http://127.0.0.1:99999999/", "http://" + "a" * 300],
        ids=repr,
    )  # fmt: skip
    def test_a_url_that_is_none(self, url: str) -> None:
        refusal(DatasetError, lambda: read_registry(url))

    def test_its_password_is_not_told(self) -> None:
        assert "hunter2" not in refusal(DatasetError, lambda: read_registry("http://me:hunter2@127.0.0.1:1/r.json"))


class TestRecords:
    @pytest.mark.parametrize(
        "text",
        ["{}", '{"sandboxes": {}}', '{"lock": true}', '{"lock": 1, "lock": 1}',
         '{"lock": 1, "sandboxes": {"a": {}, "a": {}}}',
         '{"lock": 1, "sandboxes": {"a": {"b": {"c": "\\ud800"}}}}', '{"lock": 1, "sandboxes": {"a\\u001b\\n": []}}',
         '{"lock": 1, "sandboxes": {"a": {"b": {"c": 1e400}}}}', '{"lock": 1, "sandboxes": {"a": {"b": {"c": NaN}}}}',
         f'{{"lock": 1, "sandboxes": {{"{"a" * 10**6}": []}}}}'],
        ids=lambda text: text[:60],
    )  # fmt: skip
    def test_a_lock_that_does_not_say_what_it_pins_blocks(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "specbench.lock").write_text(text)
        assert "specbench.lock: " in refusal(BlockedError, lambda: read_lock(tmp_path))

    @pytest.mark.parametrize(
        "more",
        ["x: 1" + ":00" * 400 + ".0", "x: 1" + ":00" * 1_500_000, "x: 0x" + "f" * 10**6, 'x: !!int ""', 'x: !!float ""',
         "x: !!bool xyz", "x: !!timestamp x", "x: !!binary a", "<<: {a: 1}", "? [a]\n: 1", "? {a: b}\n: 1", "!!map x",
         '"\\e[31m\\nfake": 1', "a: b\n" * 500_000, "replies: " + "[" * 100_000, "replies:\n" + "- " * 100_000, "x: *a",
         "x: !!python/object/apply:os.system [id]", "---\n", "x: \udce9"],
        ids=lambda more: repr(more)[:40],
    )  # fmt: skip
    def test_a_cassette_that_means_harm(self, tmp_path: Path, more: str) -> None:
        file = tmp_path / "c.yaml"
        file.write_bytes(f"{CASSETTE}{more}\n".encode("utf-8", "surrogateescape"))
        assert "c.yaml" in refusal(BlockedError, lambda: load_cassette(file))

    def test_a_cassette_that_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "loop").symlink_to("loop")
        for name in ("pipe", "loop", ".", "a\0b", "\ud800", "a" * 5000):
            refusal(BlockedError, lambda name=name: load_cassette(tmp_path / name))

    def test_a_trajectory_never_raises(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        agent = {"schema_version": "ATIF-v1.6", "session_id": "s", "agent": {"name": "a", "version": "1"}}
        image = {"type": "image", "source": {"media_type": "image/png", "path": "a" * 5000}}
        steps: list[dict[str, Any]] = [
            {"step_id": 1, "source": "user", "message": [image]},
            {"step_id": 2, "source": "user", "message": "x", "timestamp": "2020-01-01T00:00Z:00"},
            {"step_id": 7, "source": "user", "message": "x", f"{ESCAPES}\n": 1},
        ]
        for number, step in enumerate(steps):
            (tmp_path / f"{number}.json").write_text(json.dumps(agent | {"steps": [step]}))
        many = agent | {"steps": [{"step_id": 7, "source": "user", "message": "x"}] * 5000}
        (tmp_path / "many.json").write_text(json.dumps(many))
        for file in tmp_path.iterdir():
            problems = check_trajectory(file)
            assert problems
            assert len(problems) <= 101
            assert all(problem.isprintable() for problem in problems)


class TestArchives:
    def member(self, kind: bytes, size: int, name: str = "a") -> bytes:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, size
        return info.tobuf(tarfile.GNU_FORMAT)

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_a_header_of_gigabytes_is_not_read(self, kind: bytes) -> None:
        def chunks() -> Iterator[bytes]:
            yield self.member(kind, 8 * 10**9) + bytes(20 * 512)
            raise AssertionError("the header is read")

        with pytest.raises(InfrastructureError, match="a header of 8000000000 bytes"):
            read_regular(chunks(), str, Budget(1000))

    def test_a_negative_size_gives_nothing_back(self) -> None:
        budget = Budget(1000)
        with pytest.raises(InfrastructureError, match="cannot be read"):
            read_regular(iter([self.member(tarfile.REGTYPE, -5000) + bytes(10_240)]), str, budget)
        assert (budget.used, budget.streamed) == (0, 0)

    def test_a_broken_header_behind_the_first_is_not_the_end(self) -> None:
        good = self.member(tarfile.REGTYPE, 0)
        with pytest.raises(InfrastructureError, match="cannot be read"):
            read_regular(iter([good + b"x" * 512 + bytes(10_240)]), str, Budget(1000))

    @pytest.mark.parametrize(
        "fields", [{"size": "-9"}, {"size": "x"}, {"GNU.sparse.map": "x"}, {"mtime": "x"}], ids=str
    )
    def test_attributes_that_are_nonsense(self, fields: dict[str, str]) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as target:
            info = tarfile.TarInfo("a")
            info.pax_headers = fields
            target.addfile(info)
        budget = Budget(1000)
        with suppress(InfrastructureError):
            assert read_regular(iter([buffer.getvalue()]), str, budget).files == {"a": b""}
        assert budget.streamed == 0


HARM = (
    r"printf '\033[31mRED\033]0;t\007\n::error::fake\r\n##[error]fake\n]]>\nspecbench: exit 0: fake\n'; "
    r"""printf x > "$(printf 'a\033[31m\nspecbench: exit 0: fake')".txt; """
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


def assert_tame(*texts: str) -> None:
    """No terminal sequence, no line that a CI service or a reader of the last line would take for ours."""
    for text in texts:
        for line in text.split("\n"):
            assert all(character.isprintable() or character in "\t\r" for character in line), ascii(line)
            assert not line.lstrip().startswith(("::error", "##[error]")), line
            assert not line.startswith("specbench: exit 0"), line


class TestRuns:
    def test_nothing_that_an_agent_says_or_names_reaches_a_reader_as_more_than_text(self, project: Project) -> None:
        project.scenario(
            display_name="x ::error::fake\u202e]]> <b>&amp;|`",
            instruction=f"do {ESCAPES}",
            agent=command(f"{HARM}exit 3"),
            success_artifacts=[{"path": "*.txt", "check": "json"}, {"path": "missing\u202e"}],
            verification={"command": f"{HARM}exit 7"},
        )
        ran = project.process(
            "-rA", "--junitxml=j.xml", "--json-report", "--json-report-file=r.json", "--report-log=l.json"
        )
        assert ran.code == 1
        files = [(project.path / name).read_text("utf-8") for name in ("j.xml", "r.json", "l.json")]
        assert_tame(ran.out, ran.err, *files)
        assert "Traceback" not in ran.out + ran.err
        assert ET.fromstring(files[0]).findall(".//testcase")
        report = (ran.folder / "report.json").read_text("utf-8")
        assert "\x1b" not in report
        json.loads(report)

    def test_files_that_mean_harm_are_told_and_never_a_traceback(self, project: Project) -> None:
        project.scenario("good")
        bad: dict[str, bytes] = {
            "a\x1b[31m\nspecbench: exit 0: fake": SHORT.encode(),
            "b::c": SHORT.encode(),
            "d\u202e": SHORT.encode(),
            "empty": b"",
            "list": b"- 1\n",
            "bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
            "deep": b"".join(b" " * depth + b"a:\n" for depth in range(1300)),
            "wide": SHORT.encode("utf-16"),
            "nul": SHORT.encode() + b"\0",
            "large": SHORT.encode() + b"#" * 5_000_000,
            "keys": SHORT.encode() + b'"\\e[31m\\n::error::fake": 1\n' * 3,
            "tag": SHORT.encode() + b"trials: !!python/object/apply:os.system [id]\n",
        }
        for name, content in bad.items():
            (project.path / f"{name}.scenario.yaml").write_bytes(content)
        (project.path / os.fsdecode(b"half\xff.scenario.yaml")).write_text(SHORT)
        os.mkfifo(project.path / "pipe.scenario.yaml")
        (project.path / "loop.scenario.yaml").symlink_to("loop.scenario.yaml")
        for arguments in (["-rA", "--junitxml=j.xml"], ["--specbench-format=json"]):
            ran = project.process(*arguments)
            assert ran.code == 2
            assert_tame(ran.out, ran.err)
            assert "Traceback" not in ran.out + ran.err
        assert_tame((project.path / "j.xml").read_text("utf-8"))
        checked = project.specbench("validate", ".")
        assert checked.code == 1
        assert_tame(checked.out, checked.err)
        assert "Traceback" not in checked.err
        assert "1 of " in checked.out
        for name in ("empty", "list", "bomb", "deep", "wide", "nul", "large", "keys", "tag"):
            assert f"{name}.scenario.yaml:" in checked.err
        assert not (project.path / ".terminalbench/runs").exists() or not list(
            (project.path / ".terminalbench/runs").glob("*/good")
        )


SECRET = "s3cr3tValueWithOddchars77"
PRINTS = (
    'printf %s "$DB_URL" | head -c 7; sleep 0.05; printf %s "$DB_URL" | tail -c +8; echo; '
    'for c in $(printf %s "$DB_URL" | fold -w1); do printf %s $c; sleep 0.01; done; echo; '
    'mkdir -p "d/$DB_URL"; echo "{$DB_URL" > "d/$DB_URL/$DB_URL.txt"; echo $DB_URL >&2; '
)


class TestSecrets:
    """What an agent turns a value into (reversed, say) cannot be seen. Split, in names and copied, it can."""

    @pytest.mark.parametrize("status", [0, 4])
    def test_the_value_is_in_no_file_no_name_and_no_output(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        monkeypatch.setenv("DB_URL", SECRET)
        project.scenario(
            agent=command(f"{PRINTS}exit {status}"),
            secrets=["DB_URL"],
            success_artifacts=[{"path": "d/**", "check": "json" if status else None}],
            verification={"command": f"ls -R; cat d/*/*; cat d/*/* >&2; exit {status}"},
        )
        ran = project.process("-rA", "--junitxml=out/j.xml", "--report-log=out/l.json", "--specbench-format=json")
        assert ran.code == bool(status)
        assert SECRET not in ran.out + ran.err
        (ran.folder / "demo/trial-01/post-test.txt").read_text("utf-8").index("[redacted:DB_URL]")
        for folder in (project.path / ".terminalbench", project.path / "out"):
            for path in folder.rglob("*"):
                assert SECRET not in path.name
                assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path

    def test_a_recorded_cassette_does_not_hold_what_the_scenario_names_as_secret(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DB_URL", SECRET)
        source, target = tmp_path / "c.yaml", tmp_path / "new.yaml"
        source.write_text(f"{CASSETTE}replies:\n- {{stage: s, step: 1, tools: [], reply: {{content: done}}}}\n")
        task = AgentTask(
            scenario_id="demo",
            instruction="x",
            command_path="/x",
            limits=Limits(),
            approval_mode="full-access",
            deadline=float("inf"),
            model=f"replay:{source}",
            record_cassette=str(target),
            secrets=("DB_URL",),
        )
        model = open_model(task)
        seen = [{"role": "tool", "content": f"it said {SECRET}"}]
        model.complete(ModelRequest("s", 1, seen, [], deadline=float("inf"), exit_codes=()))
        model.finish(content=True)
        assert "[redacted:DB_URL]" in target.read_text("utf-8")
        assert SECRET not in target.read_text("utf-8")
