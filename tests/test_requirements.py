"""The files in requirements/ hold what pyproject.toml asks for, in versions with hashes; one command makes them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGIN = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["spec-kit"]]
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
HELD = {
    "plugin": PLUGIN,
    "tests": [*PLUGIN, *GROUPS["tests"]],
    "lowest": [*PLUGIN, *GROUPS["tests"]],
    "package": [*GROUPS["package"], *PROJECT["build-system"]["requires"]],
    **{name: GROUPS[name] for name in ("harbor", "lint", "lock", "tox", "types")},
}
TOX = ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
UNLOCKED = {"testenv:newest"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; .*?)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n", re.MULTILINE)
REFRESH = "python3 -m tox run -e lock -- --no-upgrade"


def pins(name: str) -> dict[str, list[Version]]:
    """The versions of each package of a file: more than one where they depend on the platform."""
    found: dict[str, list[Version]] = {}
    for package, version in PIN.findall((ROOT / f"requirements/{name}.txt").read_text()):
        found.setdefault(canonicalize_name(package), []).append(Version(version))
    return found


def direct(name: str) -> Iterator[tuple[Requirement, list[Version]]]:
    held = pins(name)
    for text in HELD[name]:
        requirement = Requirement(text)
        yield requirement, held.get(canonicalize_name(requirement.name), [])


def test_every_file_is_one_of_those_that_are_checked_here() -> None:
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == set(HELD)


@pytest.mark.parametrize("name", HELD)
def test_every_line_is_a_version_with_a_hash(name: str) -> None:
    rest = PIN.sub("", (ROOT / f"requirements/{name}.txt").read_text())
    assert [line for line in rest.splitlines() if not line.lstrip().startswith("#")] == []


@pytest.mark.parametrize("name", HELD)
def test_what_pyproject_asks_for_is_there_in_a_version_that_it_allows(name: str) -> None:
    for requirement, versions in direct(name):
        assert versions, f"{requirement.name} is missing in requirements/{name}.txt: {REFRESH}"
        refused = [str(version) for version in versions if version not in requirement.specifier]
        assert not refused, f"requirements/{name}.txt has {requirement.name} {refused}: {REFRESH}"


def test_the_lowest_versions_are_the_bounds_that_pyproject_states() -> None:
    for requirement, versions in direct("lowest"):
        bounds = [Version(bound.version) for bound in requirement.specifier if bound.operator == ">="]
        assert versions == bounds, f"{requirement}: {REFRESH}, or state the version that can be had"


def test_what_several_environments_install_has_one_version_in_all_of_them() -> None:
    tests = pins("tests")
    for name in ("plugin", "types"):
        assert {package: tests[package] for package in pins(name) if package in tests} == {
            package: versions for package, versions in pins(name).items() if package in tests
        }


def test_tox_installs_nothing_else() -> None:
    for name in TOX.sections():
        asked = [line for key in ("deps", "dependency_groups") for line in TOX.get(name, key, fallback="").splitlines()]
        loose = [line for line in asked if line and not re.fullmatch(r"-r requirements/[a-z-]+\.txt", line)]
        assert bool(loose) == (name in UNLOCKED), f"[{name}] installs {loose}"


def test_the_nightly_workflow_runs_the_newest_and_the_lowest_versions() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())["jobs"]["tests"]
    environments = {row["environment"] for row in job["strategy"]["matrix"]["include"]}

    assert environments == {"newest", "lowest"}
    assert {f"testenv:{name}" for name in environments} <= set(TOX.sections())
    assert job["steps"][-1]["run"].endswith("python -m tox run -e ${{ matrix.environment }}")


def test_the_package_is_built_with_what_is_locked() -> None:
    assert TOX.get("testenv:.pkg", "set_env").strip() == "PIP_CONSTRAINT = {tox_root}/requirements/package.txt"


@pytest.mark.parametrize(
    "file", ["tox.ini", ".ci/run", ".github/workflows/nightly.yml", "README.md", "CONTRIBUTING.md"]
)
def test_pip_is_asked_for_locked_versions_only(file: str) -> None:
    asked = re.findall(r"pip install (.*)", (ROOT / file).read_text())
    loose = [line for line in asked if "-r requirements/" not in line and "path/to/" not in line]
    assert loose == (
        ["--quiet --disable-pip-version-check --no-deps harbor"] if file == "tox.ini" else []
    )  # of `newest`
