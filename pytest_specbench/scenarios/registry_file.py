"""Registry files in terminal-bench's format: a JSON list of rows, each one version of one dataset."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pytest_specbench.core.errors import DatasetError
from pytest_specbench.core.json_text import distinct_keys, no_constant
from pytest_specbench.core.redact import without_credentials
from pytest_specbench.core.text import one_line
from pytest_specbench.scenarios.download import TooLargeError, download

REGISTRY_NAME = "registry.json"
_MOST_KEYS = 100
_BETWEEN = re.compile(r"[ \t\r\n,]*")
MAX_BYTES = 10_000_000
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
        registry = without_credentials(registry)
    else:
        path = Path(registry)
        text, folder = _read(path), Path(os.path.realpath(path)).parent
    return RegistryFile(source=registry, folder=folder, rows=_rows(text, registry))


def nearest_registry(near: Path) -> Path | None:
    """The nearest `registry.json` at or above `near`, not beyond the root of its git repository."""
    start = Path(os.path.realpath(near))
    for folder in (start, *start.parents):
        candidate = folder / REGISTRY_NAME
        if os.path.isfile(candidate):  # noqa: PTH113 - unlike Path.is_file it answers where it may not look
            return candidate
        if os.path.lexists(folder / ".git"):
            return None
    return None


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe has no end
            raise DatasetError("the registry is no regular file", where=str(path), expected=_FORM)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DatasetError("the registry is larger than 10 MB", where=str(path), expected=_FORM)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"the registry cannot be read: {error.strerror}", where=str(path), expected=_FORM, hint=_INIT
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError("the registry is not UTF-8 text", where=str(path), expected=_FORM) from error
    except ValueError as error:  # NUL or half a character in the path
        raise DatasetError(f"the registry cannot be read: {error}", where=str(path), expected=_FORM) from error


def _download(url: str) -> str:
    where = without_credentials(url)
    try:
        return download(url, MAX_BYTES).decode("utf-8-sig")
    except TooLargeError:
        raise DatasetError("the registry is larger than 10 MB", where=where, expected=_FORM) from None
    except UnicodeDecodeError as error:
        raise DatasetError("the registry is not UTF-8 text", where=where, expected=_FORM) from error
    except ValueError as error:
        raise DatasetError(
            f"a registry cannot be had from {where!r}: {error}", expected="a path, or a URL of http or https"
        ) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise DatasetError(f"the registry cannot be had: {reason}", where=where, expected=_FORM) from error


def _rows(text: str, source: str) -> tuple[RegistryRow, ...]:
    try:
        document = json.loads(text, object_pairs_hook=distinct_keys, parse_constant=no_constant)
        json.dumps(document, ensure_ascii=False).encode()  # half a character could not be written into any report
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
    if not isinstance(given, dict) or len(given) > _MOST_KEYS:
        what = f"has {len(given)} keys" if isinstance(given, dict) else "is not a mapping"
        raise DatasetError(what, where=f"{where}: [{index}]", expected=f"a row: {', '.join(_REQUIRED)}")
    for key in _REQUIRED:
        if key not in given:
            raise DatasetError(f"the key {key!r} is missing", where=f"{where}: [{index}].{key}", expected=_ROW)
    for key, value in given.items():
        place = f"{where}: [{index}].{one_line(key, 200)}"
        if key not in _REQUIRED and key not in _OPTIONAL:
            # Later versions of the format may add keys; a misspelt one must not silently lose its meaning.
            near = get_close_matches(key, (*_REQUIRED, *_OPTIONAL), n=1)
            if near:
                raise DatasetError(f"unknown key {one_line(repr(key), 200)}", where=place, expected=f"{near[0]!r}")
        elif key == "task_id_subset":
            if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
                raise DatasetError("is not a list of names", where=place, expected="a list of scenario ids, or null")
        elif not isinstance(value, str) and not (key == "description" and value is None):
            raise DatasetError("is not text", where=place, expected="text")
        elif "\0" in str(value):
            raise DatasetError("holds a NUL character", where=place, expected="text without NUL")
        elif key in ("name", "version") and not _sound(str(value)):
            raise DatasetError(
                f"{one_line(repr(value), 200)} is no {key}",
                where=place,
                expected="visible text without blanks, '=' and '@'",
            )
    subset = given.get("task_id_subset")
    return RegistryRow(
        **{key: given[key] for key in _REQUIRED},
        description=given.get("description"),
        task_id_subset=None if subset is None else tuple(subset),
        where=where,
    )


def _sound(name: str) -> bool:
    return bool(name) and name.isprintable() and not any(character in "=@ " for character in name)


def _lines(text: str) -> list[int]:
    """The line in which each element of the list begins; the text is known to be a JSON list."""
    decoder = json.JSONDecoder()
    found: list[int] = []
    line, counted, at = 1, 0, text.index("[") + 1
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text, too
        if text[at] == "]":
            return found
        line, counted = line + text.count("\n", counted, at), at
        found.append(line)
        _, at = decoder.raw_decode(text, at)


_FORM = "a JSON list of rows in terminal-bench's registry format"
_ROW = f"a row with {', '.join(_REQUIRED)}; {' and '.join(_OPTIONAL)} are optional"
_INIT = "specbench init"
