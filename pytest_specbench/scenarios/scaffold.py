"""A first working scenario, a registry and a CI stage for any repository: what `specbench init` writes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from pytest_specbench import __version__
from pytest_specbench.core.errors import UsageError

TEMPLATES: Mapping[str, str] = {
    "benchmarks/hello.scenario.yaml": "hello.scenario.yaml",
    "benchmarks/solutions/hello.sh": "hello.sh",
    "benchmarks/registry.json": "registry.json",
    "benchmarks/requirements.txt": "requirements.txt",
    "baselines/maintainers.yaml": "maintainers.yaml",
    ".github/workflows/benchmarks.yml": "benchmarks.yml",
}
"""What is written, relative to the repository -> the template's name in this package."""

CONFIGURATION = "pytest.ini"
"""What is written where the repository does not configure pytest yet."""
IGNORE = ".gitignore"

ROTATION = "maintainers"
"""The rotation of the first maintainer."""


def write_scaffold(
    folder: Path, maintainer: str | None = None, package: str | None = None, *, configured: bool = False
) -> list[Path]:
    """Write the files below `folder` and return their paths. All of them are written, or none. `maintainer` is the
    e-mail address of the first one, which may name a person there, `package` what CI installs (default: what is
    installed here). pytest's configuration is written unless it is `configured`, `.gitignore` where there is none.

    Raises UsageError that lists what is in the way: nothing is ever overwritten.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), expected="the root of a repository")
    targets = {folder / target: _template(name) for target, name in TEMPLATES.items()}
    if maintainer is not None:
        name = json.dumps(maintainer, ensure_ascii=False)
        first = f"maintainers:\n  - principal: {name}\n    rotations: [{ROTATION}]\n".encode()
        path = folder / "baselines/maintainers.yaml"
        targets[path] = targets[path].replace(b"maintainers: []\n", first)
    if package is not None and not (package.isprintable() and package.strip()):
        raise UsageError("--package must be one line", expected="a requirement, as pip takes it")
    requirements = folder / "benchmarks/requirements.txt"
    targets[requirements] = targets[requirements].replace(b"PACKAGE", (package or installed()[0]).encode())
    if not configured:
        targets[folder / CONFIGURATION] = configuration().encode()
    if not (folder / IGNORE).exists():
        targets[folder / IGNORE] = "".join(f"{line}\n" for line in ignored(folder)).encode()
    in_the_way = sorted({str(path) for target in targets for path in _obstacles(target, folder)})
    if in_the_way:
        raise UsageError(
            f"nothing was written, for there is already: {', '.join(in_the_way)}",
            where=str(folder),
            expected="a repository without these files",
            hint="move them away, or write a scenario by hand and check it with: specbench validate benchmarks",
        )
    written: list[Path] = []
    made: list[Path] = []
    try:
        for target, content in targets.items():
            made += _make_folders(target.parent, folder)
            _write(target, content, written)
    except OSError as error:
        _undo(written, made)
        raise UsageError(
            f"cannot be written: {error.strerror}; nothing was", where=str(error.filename or folder)
        ) from error
    return list(targets)


def installed() -> tuple[str, str | None]:
    """What pip is asked for to install this very package elsewhere; and where it came from, if only this machine has
    that: then it is its version, as a package index would have it.
    """
    try:
        found = distribution("pytest-specbench")
    except PackageNotFoundError:
        return f"pytest-specbench=={__version__}", None
    origin = json.loads(found.read_text("direct_url.json") or "{}")  # PEP 610
    url, vcs = str(origin.get("url", "")), origin.get("vcs_info")
    if not url or url.startswith("file:"):
        return f"pytest-specbench=={found.version}", url or None
    below = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
    if vcs:
        return f"pytest-specbench @ {vcs['vcs']}+{url}@{vcs['commit_id']}{below}", None
    return f"pytest-specbench @ {url}{below}", None


def configuration(*, toml: bool = False) -> str:
    """What pytest's configuration has to say, as an ini file or as lines of TOML."""
    text = _template("pytest.ini").decode()
    if not toml:
        return text
    text = re.sub(r"^(specbench_\w+) = (.*)$", r'\1 = "\2"', text, flags=re.MULTILINE)
    return re.sub(r"^addopts = (.*)$", r'addopts = ["\1"]', text, flags=re.MULTILINE)


def ignored(folder: Path) -> list[str]:
    """The lines that `.gitignore` of the folder has to have."""
    return (_template("gitignore") + _virtualenv(folder)).decode().splitlines()


def _virtualenv(folder: Path) -> bytes:
    """The virtual environment in use, where it lies in the folder: `git add .` would take it along."""
    own = Path(sys.prefix)
    inside = sys.prefix != sys.base_prefix and own.is_relative_to(folder.resolve()) and own.name != ".venv"
    return f"/{own.relative_to(folder.resolve()).as_posix()}/\n".encode() if inside else b""


def _template(name: str) -> bytes:
    return files("pytest_specbench.scenarios").joinpath("scaffold", name).read_bytes()


def _obstacles(target: Path, folder: Path) -> list[Path]:
    """The target itself, or something above it that is no folder; a dangling link is in the way too."""
    parents = [path for path in target.parents if path.is_relative_to(folder) and path != folder]
    found = [path for path in parents if (path.exists() or path.is_symlink()) and not path.is_dir()]
    if not found and (target.exists() or target.is_symlink()):
        found.append(target)
    return found


def _make_folders(folder: Path, root: Path) -> list[Path]:
    """Make what is missing of `folder`, outermost first, and return it."""
    missing = [path for path in (folder, *folder.parents) if path.is_relative_to(root) and not path.exists()]
    for path in reversed(missing):
        path.mkdir()
    return missing[::-1]


def _write(target: Path, content: bytes, written: list[Path]) -> None:
    with target.open("xb") as file:
        written.append(target)
        file.write(content)
    if target.suffix == ".sh":
        target.chmod(target.stat().st_mode | 0o111)


def _undo(written: list[Path], made: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)
    for path in reversed(made):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
