"""`specbench init`: a first scenario that works, a registry that holds it, a CI stage, and nothing overwritten."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from parity_support import git

from pytest_specbench.cli import main
from pytest_specbench.core.errors import UsageError
from pytest_specbench.scenarios.datasets import contains, resolve_dataset
from pytest_specbench.scenarios.loader import find_scenarios, load_scenario
from pytest_specbench.scenarios.scaffold import TEMPLATES, configuration, installed, write_scaffold


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_it_writes_a_scenario_its_solution_a_registry_and_a_ci_stage(tmp_path: Path) -> None:
    written = write_scaffold(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        *TEMPLATES,
        "pytest.ini",
        ".gitignore",
    ]
    assert all(path.is_file() for path in written)


def test_the_scenario_loads_and_belongs_to_the_dataset_that_it_names(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    (path,) = find_scenarios([tmp_path])

    loaded = load_scenario(path, known_checks=[])
    dataset = resolve_dataset(loaded.scenario.registry_version, registry=None, near=path)

    assert dataset.reference == loaded.scenario.registry_version
    assert contains(dataset, loaded)
    assert (loaded.scenario.agent.name, loaded.scenario.solution) == ("oracle", "solutions/hello.sh")


def test_the_solution_satisfies_the_verification_and_doing_nothing_does_not(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    loaded = load_scenario(tmp_path / "benchmarks" / "hello.scenario.yaml")
    workdir = tmp_path / "work"
    workdir.mkdir()
    assert loaded.scenario.verification is not None
    verify = ["sh", "-c", loaded.scenario.verification.command]

    assert subprocess.run(verify, cwd=workdir, capture_output=True, check=False).returncode != 0
    subprocess.run([tmp_path / "benchmarks" / "solutions" / "hello.sh"], cwd=workdir, check=True)
    assert subprocess.run(verify, cwd=workdir, capture_output=True, check=False).returncode == 0
    for artifact in loaded.scenario.success_artifacts:
        assert list(workdir.glob(artifact.path))


def test_the_ci_stage_keeps_the_artifacts_and_installs_what_was_asked_for(tmp_path: Path) -> None:
    write_scaffold(tmp_path, package="pytest-specbench @ git+https://example.org/specbench.git@0123abcd")
    text = (tmp_path / ".github" / "workflows" / "benchmarks.yml").read_text()
    steps = yaml.safe_load(text)["jobs"]["benchmarks"]["steps"]

    assert any(".terminalbench/runs" in step.get("with", {}).get("path", "") for step in steps)
    assert any("benchmarks/requirements.txt" in step.get("run", "") for step in steps)
    asked = (tmp_path / "benchmarks" / "requirements.txt").read_text().splitlines()
    assert asked[-1] == "pytest-specbench @ git+https://example.org/specbench.git@0123abcd"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, ("pytest-specbench==9.1", None)),
        ({"url": "file:///src/specbench", "dir_info": {}}, ("pytest-specbench==9.1", "file:///src/specbench")),
        (
            {"url": "https://example.org/s.git", "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}},
            ("pytest-specbench @ git+https://example.org/s.git@0123abcd", None),
        ),
        (
            {"url": "https://example.org/s.whl", "archive_info": {}},
            ("pytest-specbench @ https://example.org/s.whl", None),
        ),
    ],
)
def test_what_is_installed_is_told_as_pip_takes_it(
    origin: object, expected: tuple[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pytest_specbench-9.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-specbench\nVersion: 9.1\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    assert installed() == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("pyproject.toml", '[tool."pytest".ini_options]\n'),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_a_repository_that_configures_pytest_goes_on_doing_so(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / name).read_text() == text
    assert name == "pytest.ini" or not (tmp_path / "pytest.ini").exists()
    line = 'addopts = ["--ignore=benchmarks"]' if name.endswith(".toml") else "addopts = --ignore=benchmarks"
    assert f"  {line}\n" in capsys.readouterr().out


def test_what_it_says_of_toml_is_toml() -> None:
    said = tomllib.loads(configuration(toml=True).replace("[pytest]", "[tool.pytest]"))
    assert said["tool"]["pytest"]["specbench_sandbox"] == "docker"


def test_other_tools_configuration_is_not_pytests(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n# not [tool.pytest]\n[tool.pytest-watcher]\n")
    assert main(["init", str(tmp_path)]) == 0
    assert "\naddopts = --ignore=benchmarks\n" in (tmp_path / "pytest.ini").read_text()


def test_git_is_kept_off_the_virtual_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path.resolve() / "my env"))
    write_scaffold(tmp_path)
    assert (tmp_path / ".gitignore").read_text().splitlines() == [".terminalbench/", ".venv/", "/my env/"]


def test_what_git_ignores_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".gitignore").write_text("mine\n.venv/\n")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n.venv/\n"
    assert f"note: what {tmp_path / '.gitignore'} should say, too:\n  .terminalbench/\n" in capsys.readouterr().out


def test_below_the_top_of_a_repository_it_says_what_is_looked_for_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "part").mkdir()
    assert main(["init", str(tmp_path / "part")]) == 0
    assert f"is not the top of its repository, {tmp_path}." in capsys.readouterr().out


@pytest.mark.parametrize("package", ["a\nb", " "])
def test_a_package_is_one_requirement(tmp_path: Path, package: str) -> None:
    with pytest.raises(UsageError, match="must be one line"):
        write_scaffold(tmp_path, package=package)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("target", TEMPLATES)
def test_an_existing_file_is_told_and_nothing_is_written(tmp_path: Path, target: str) -> None:
    (tmp_path / target).parent.mkdir(parents=True)
    (tmp_path / target).write_text("mine")
    before = everything(tmp_path)

    with pytest.raises(UsageError, match="nothing was written") as caught:
        write_scaffold(tmp_path)

    assert str(tmp_path / target) in str(caught.value)
    assert everything(tmp_path) == before
    assert (tmp_path / target).read_text() == "mine"


def test_all_that_is_in_the_way_is_listed(tmp_path: Path) -> None:
    write_scaffold(tmp_path)

    with pytest.raises(UsageError) as caught:
        write_scaffold(tmp_path)

    assert all(str(tmp_path / target) in str(caught.value) for target in TEMPLATES)


def test_a_file_where_a_folder_belongs_or_a_dangling_link_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("a file")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "registry.json").symlink_to(tmp_path / "nowhere")

    with pytest.raises(UsageError, match=r"\.github, .*registry\.json"):
        write_scaffold(tmp_path)
    assert not (tmp_path / "nowhere").exists()


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        write_scaffold(tmp_path / "nowhere")
