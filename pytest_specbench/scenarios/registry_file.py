"""Registry files in terminal-bench's format: a JSON list of rows, each one version of one dataset."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_specbench.core.errors import DatasetError

REGISTRY_NAME = "registry.json"
MAX_BYTES = 10_000_000
TIMEOUT_SEC = 20.0
_REQUIRED = ("name", "version", "terminal_bench_version", "github_url", "dataset_path", "branch", "commit_hash")
_OPTIONAL = ("description", "task_id_subset")


@dataclass(frozen=True)
class RegistryRow:
    """One version of a dataset; the fields are terminal-bench's."""

    name: str
    version: str
    terminal_bench_version: str
    """Versions of terminal-bench that it is made for, for example `>=0.2.18`, or `latest`."""
    github_url: str
    """Git repository; '.' or a path relative to the registry file means that it is here already."""
    dataset_path: str
    """Folder inside the repository."""
    branch: str
    commit_hash: str
    """`head`, or the commit."""
    description: str | None = None
    task_id_subset: tuple[str, ...] | None = None
    """Only these scenarios; None: all in the folder."""
    where: str = ""
    """`file:line` of the row."""


@dataclass(frozen=True)
class RegistryFile:
    """A registry that was read: `source` is its path or URL as shown to people, `folder` where relative paths start."""

    source: str
    folder: Path | None
    """None when it came from a URL."""
    rows: tuple[RegistryRow, ...]


def read_registry(registry: str) -> RegistryFile:
    """Read a registry from a path or an http(s) URL.

    Raises DatasetError when it cannot be had, is no JSON (with the line), or has a row that is wrong or there twice.
    """
    if "://" in registry:
        text, folder = _download(registry), None
    else:
        path = Path(registry)
        text, folder = _read(path), path.resolve().parent
    return RegistryFile(source=registry, folder=folder, rows=_rows(text, registry))


def nearest_registry(near: Path) -> Path | None:
    """The nearest `registry.json` at or above `near`, not beyond the root of its git repository."""
    start = near.resolve()
    for folder in (start, *start.parents):
        candidate = folder / REGISTRY_NAME
        if candidate.is_file():
            return candidate
        if (folder / ".git").exists():
            return None
    return None


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a device or a pipe has no end
            raise DatasetError("the registry is no regular file", where=str(path), expected=_FORM)
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError("the registry is larger than 10 MB", where=str(path), expected=_FORM)
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"the registry cannot be read: {error.strerror}", where=str(path), expected=_FORM, hint=_INIT
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError("the registry is not UTF-8 text", where=str(path), expected=_FORM) from error


def _download(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DatasetError(f"a registry cannot be had from {url!r}", expected="a path, or a URL of http or https")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SEC) as reply:  # noqa: S310 - the scheme was looked at
            content: bytes = reply.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DatasetError("the registry is larger than 10 MB", where=url, expected=_FORM)
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DatasetError(f"the registry cannot be had: {reason}", where=url, expected=_FORM) from error


def _rows(text: str, source: str) -> tuple[RegistryRow, ...]:
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DatasetError(f"is not JSON: {error.msg}", where=f"{source}:{error.lineno}", expected=_FORM) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"is not a registry: {error}", where=source, expected=_FORM) from error
    if not isinstance(document, list):
        raise DatasetError("is not a list of rows", where=f"{source}:1", expected=_FORM)
    rows: dict[tuple[str, str], RegistryRow] = {}
    for index, (line, given) in enumerate(zip(_lines(text), document, strict=True)):
        row = _row(given, f"{source}:{line}", index)
        other = rows.setdefault((row.name, row.version), row)
        if other is not row:
            raise DatasetError(
                f"{row.name}=={row.version} is there twice; the other is at {other.where}",
                where=f"{source}:{line}: [{index}]",
                expected="one row for each name and version",
            )
    return tuple(rows.values())


def _row(given: Any, where: str, index: int) -> RegistryRow:
    if not isinstance(given, dict):
        raise DatasetError("is not a mapping", where=f"{where}: [{index}]", expected=f"a row: {', '.join(_REQUIRED)}")
    for key in _REQUIRED:
        if key not in given:
            raise DatasetError(f"the key {key!r} is missing", where=f"{where}: [{index}].{key}", expected=_ROW)
    for key, value in given.items():
        place = f"{where}: [{index}].{key}"
        near = get_close_matches(key, (*_REQUIRED, *_OPTIONAL), n=1)
        if key not in _REQUIRED and key not in _OPTIONAL:
            # Later versions of the format may add keys; a misspelt one must not silently lose its meaning.
            if near:
                raise DatasetError(f"unknown key {key!r}", where=place, expected=f"{near[0]!r}")
        elif key == "task_id_subset":
            if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
                raise DatasetError("is not a list of names", where=place, expected="a list of scenario ids, or null")
        elif not isinstance(value, str) and not (key == "description" and value is None):
            raise DatasetError("is not text", where=place, expected="text")
        elif key in ("name", "version") and not _sound(str(value)):
            raise DatasetError(f"{value!r} is no {key}", where=place, expected="text without blanks, '=' and '@'")
    subset = given.get("task_id_subset")
    return RegistryRow(
        **{key: given[key] for key in _REQUIRED},
        description=given.get("description"),
        task_id_subset=None if subset is None else tuple(subset),
        where=where,
    )


def _sound(name: str) -> bool:
    return bool(name) and not any(character in "=@" or character.isspace() for character in name)


def _lines(text: str) -> list[int]:
    """The line in which each element of the list begins; the text is known to be a JSON list."""
    decoder = json.JSONDecoder()
    found: list[int] = []
    at = text.index("[") + 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return found
        found.append(text.count("\n", 0, at) + 1)
        _, at = decoder.raw_decode(text, at)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one row")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_FORM = "a JSON list of rows in terminal-bench's registry format"
_ROW = f"a row with {', '.join(_REQUIRED)}; {' and '.join(_OPTIONAL)} are optional"
_INIT = "specbench init"
