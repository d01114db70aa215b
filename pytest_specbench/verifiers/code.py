"""What verifies, as one hash: the code of checks and verifiers that are not this package's own."""

from __future__ import annotations

import hashlib
import importlib.util
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
        files |= {path.relative_to(root).as_posix(): path for root, path in _files(one)}
    digest = hashlib.sha256()
    for relative, path in sorted(files.items()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{len(relative)}:{relative}{content}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(module: str) -> Iterator[tuple[Path, Path]]:
    """The source of a module and of the package that it belongs to; of one that is not installed, but lies in a
    project, also that of the project's modules that it imports.
    """
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top)
    origin = None if found is None or found.origin in (None, "built-in", "frozen") else found.origin
    folders = [] if found is None else [Path(one) for one in found.submodule_search_locations or ()]
    if origin is None and not folders:
        raise UsageError(f"the module {module!r} has no source to take a hash of", expected="a module in a file")
    if not folders and origin is not None:
        folders_root = Path(origin).parent
        yield folders_root, Path(origin)
    else:
        folders_root = folders[0].parent
    for folder in folders:
        yield from (
            (folder.parent, path) for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".so", ".pyd")
        )
    if any(folders_root.resolve() == installed for installed in _INSTALLED):
        return
    finder = ModuleFinder([str(folders_root)])
    finder.import_hook(module)
    for imported in finder.modules.values():
        path = getattr(imported, "__file__", None)
        if path is not None:
            yield folders_root, Path(path)
