"""What verifies is part of the instrument: the code of checks and verifiers that this package does not bring."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario_files import scenario

from pytest_specbench.core.errors import UsageError
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.verifiers.code import code_of


def checked_by(*names: str | None) -> Scenario:
    content = scenario(
        "s", success_artifacts=[{"path": f"{number}", "check": name} for number, name in enumerate(names)]
    )
    return Scenario.model_validate(content)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from, and nothing of it stays."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    (tmp_path / "mine.py").write_text("import helping\n\ndef check(text):\n    return helping.problems(text)\n")
    (tmp_path / "helping.py").write_text("def problems(text):\n    return []\n")
    (tmp_path / "aside.py").write_text("")
    (tmp_path / "parcel").mkdir()
    (tmp_path / "parcel" / "__init__.py").write_text("from parcel.inner import check\n")
    (tmp_path / "parcel" / "inner.py").write_text("def check(text):\n    return []\n")
    (tmp_path / "parcel" / "other.py").write_text("")
    (tmp_path / "parcel" / "words.txt").touch()
    (tmp_path / "spread").mkdir()  # without an __init__.py
    (tmp_path / "spread" / "part.py").write_text("import helping\n\ndef check(text):\n    return []\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "further.py").touch()
    (tmp_path / "mine.py").write_text("import further\n" + (tmp_path / "mine.py").read_text())
    monkeypatch.syspath_prepend(tmp_path / "src")
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_this_package_brings_is_left_out() -> None:
    assert code_of(checked_by("json", "spec-kit-plan", None)) == {}


@pytest.mark.parametrize(
    ("name", "file", "counts"),
    [
        ("mine:check", "mine.py", True),
        ("mine:check", "helping.py", True),
        ("mine:check", "aside.py", False),
        ("parcel:check", "parcel/__init__.py", True),
        ("parcel:check", "parcel/inner.py", True),
        ("parcel.inner:check", "parcel/other.py", True),
        ("parcel:check", "mine.py", False),
        ("parcel:check", "parcel/words.txt", True),
        ("spread.part:check", "spread/part.py", True),
        ("spread.part:check", "helping.py", True),
        ("mine:check", "src/further.py", True),
    ],
)
def test_the_code_counts_with_what_it_imports_and_the_rest_of_its_package(
    project: Path, name: str, file: str, *, counts: bool
) -> None:
    before = code_of(checked_by(name))
    assert list(before) == [name]
    with (project / file).open("a") as text:
        text.write("# another\n")

    assert (code_of(checked_by(name)) != before) == counts


def test_where_it_lies_does_not_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of(checked_by("parcel:check"))
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    (project / "parcel").rename(elsewhere / "parcel")
    for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(elsewhere)
    importlib.invalidate_caches()

    assert code_of(checked_by("parcel:check")) == before


def test_an_installed_package_counts_as_a_whole() -> None:
    assert len(code_of(checked_by("yaml:safe_load"))["yaml:safe_load"]) == 64


@pytest.mark.parametrize("name", ["nowhere:check", "sys:exit"])
def test_what_has_no_source_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        code_of(checked_by(name))
