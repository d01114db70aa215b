"""The pytest configuration file of a tree, found as pytest finds it, and what it says about specbench."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import iniconfig

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.trees import Tree

PREFIX = "specbench_"

_NAMES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""What pytest looks for in a folder, in its order."""


@dataclass(frozen=True)
class Ini:
    """What was found."""

    path: str | None = None
    """The file, relative to the tree; None where there is none."""
    root: str = ""
    """Folder that relative paths in it are relative to: pytest's rootdir; "" is the tree's root."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Every `specbench_*` value, as pytest would read it: texts, or what TOML has for it in its native tables."""
    addopts: str = ""
    """What is put in front of every command line, on one line."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Every other value: what is collected, and how, follows from them."""


def read_ini(tree: Tree, start: str, *, file: str | None = None) -> Ini:
    """The configuration for what lies in the folder `start`: of the nearest folder at or above it that has one. `file`
    was named on the command line instead. Both are relative to the tree, which is a whole repository.

    BlockedError(CONFIGURATION) when a file cannot be parsed: one that is broken is not one that is missing.
    """
    if file is not None:
        return _ini(file, _section(tree, file, named=True) or {})
    folder = start.strip("/")
    nearest_project: str | None = None
    while True:
        for name in _NAMES:
            path = f"{folder}/{name}" if folder else name
            section = _section(tree, path)
            if section is not None:
                return _ini(path, section)
            if name == "pyproject.toml" and nearest_project is None and name in tree.names(folder):
                nearest_project = path
        if not folder:
            return _ini(nearest_project, {}) if nearest_project else Ini(root=start.strip("/"))
        folder = folder.rpartition("/")[0]


def _ini(path: str, section: Mapping[str, Any]) -> Ini:
    given = section.get("addopts", "")
    addopts = " ".join(map(str, given)) if isinstance(given, list) else " ".join(str(given).split())
    values = {name: value for name, value in section.items() if name.startswith(PREFIX)}
    others = {name: value for name, value in section.items() if not name.startswith(PREFIX) and name != "addopts"}
    return Ini(path, path.rpartition("/")[0], values, addopts, others)


def _section(tree: Tree, path: str, *, named: bool = False) -> Mapping[str, Any] | None:
    """pytest's part of a file; None where the file is not there or has none, so that pytest would look further."""
    content = tree.read(path)
    if content is None:
        return None
    name = path.rpartition("/")[2]
    try:
        text = content.decode()
        if name.endswith(".toml"):
            return _toml(text, name, named=named and name not in _NAMES)
        parsed = iniconfig.IniConfig(name, data=text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, iniconfig.ParseError, ValueError) as error:
        raise BlockedError(
            f"the pytest configuration cannot be read: {error}",
            cause=Cause.CONFIGURATION,
            where=f"{path} in {tree.label}",
            expected="a file that pytest reads without complaint",
        ) from None
    section = "tool:pytest" if name.endswith(".cfg") else "pytest"
    if section in parsed:
        return dict(parsed[section].items())
    return {} if name in ("pytest.ini", ".pytest.ini") else None


def _toml(text: str, name: str, *, named: bool) -> Mapping[str, Any] | None:
    document = tomllib.loads(text)
    if name in ("pytest.toml", ".pytest.toml"):
        return _table(document, "pytest") or {}
    tool = _table(_table(document, "tool") or {}, "pytest") or {}
    native = {key: value for key, value in tool.items() if key != "ini_options"}
    texts = _table(tool, "ini_options")
    if native and texts:
        raise ValueError("it has both [tool.pytest] and [tool.pytest.ini_options]")
    if texts is not None:
        return {key: value if isinstance(value, list) else str(value) for key, value in texts.items()}
    return native or (_table(document, "pytest") if named else None)


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = document.get(name)
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{name} is no table")
    return found
