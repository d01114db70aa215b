"""What verifies, as one hash: the code of checks and verifiers that are not this package's own."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from modulefinder import ModuleFinder
from pathlib import Path

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.registry import Registry
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.verifiers import CHECKS, VERIFIERS, applicable

_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib"))


def code_of(scenario: Scenario) -> dict[str, str]:
    """Hashes of the code of the checks that a scenario names, and of the verifiers that apply to it, by name; those of
    this package are left out: it is the instrument itself. Imports them. Raises UsageError for one that is not there.
    """
    checks = {artifact.check for artifact in scenario.success_artifacts if artifact.check is not None}
    verifiers = [name for name in VERIFIERS.names() if name not in VERIFIERS.builtin]
    applied = {type(one) for one in applicable(scenario)} if verifiers else set()
    return {
        **_hashes(CHECKS, sorted(checks)),
        **_hashes(VERIFIERS, [name for name in verifiers if VERIFIERS.load(name) in applied]),
    }


def _hashes(registry: Registry, names: list[str]) -> Mapping[str, str]:
    return {name: _hash(registry, name) for name in names if name not in registry.builtin}


def _hash(registry: Registry, name: str) -> str:
    module = registry.target(name).partition(":")[0]
    defined_in = getattr(registry.load(name), "__module__", None)
    files: dict[str, Path] = {}
    for one in dict.fromkeys((module, defined_in or module)):
        files |= {path.resolve().relative_to(root.resolve()).as_posix(): path for root, path in _files(one)}
    digest = hashlib.sha256()
    for relative, path in sorted(files.items()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{len(relative)}:{relative}{content}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(module: str) -> Iterator[tuple[Path, Path]]:
    """The files of a module, or of the package that it belongs to, each with the folder that it is named from; and the
    modules that it imports by a statement, as far as they are not installed.
    """
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top)
    origin = None if found is None or found.origin in (None, "built-in", "frozen") else found.origin
    folders = [] if found is None else [Path(one) for one in found.submodule_search_locations or ()]
    if origin is None and not folders:
        raise UsageError(f"the module {module!r} has no source to take a hash of", expected="a module in a file")
    for folder in folders:
        yield from ((folder.parent, path) for path in sorted(folder.rglob("*")) if path.is_file() and _kept(path))
    if not folders and origin is not None:
        yield Path(origin).parent, Path(origin)
    if not any(
        Path(one).resolve() in _INSTALLED for one in [*(str(folder.parent) for folder in folders), *_parent(origin)]
    ):
        yield from _imported(module, origin)


def _kept(path: Path) -> bool:
    return "__pycache__" not in path.parts


def _parent(origin: str | None) -> list[str]:
    return [] if origin is None else [str(Path(origin).parent)]


def _imported(module: str, origin: str | None) -> Iterator[tuple[Path, Path]]:
    """The project's modules that a module of the project imports, wherever on `sys.path` they lie."""
    entries = [Path(one or ".").resolve() for one in sys.path]
    projects = [one for one in entries if one.is_dir() and not any(one.is_relative_to(each) for each in _INSTALLED)]
    finder = ModuleFinder([str(one) for one in projects])
    try:
        finder.import_hook(module)
    except Exception:  # noqa: BLE001 - it knows no package without an __init__.py; the file says what it imports, too
        spec = importlib.util.find_spec(module)
        file = origin if spec is None else spec.origin
        if file is None:
            return
        finder.run_script(file)
    for imported in finder.modules.values():
        path = getattr(imported, "__file__", None)
        if path is None:
            continue
        root = next((one for one in projects if Path(path).resolve().is_relative_to(one)), None)
        if root is not None:
            yield root, Path(path).resolve()
