"""The agent in `docs/writing-an-agent.md`, as it stands there: by `module:Class`, and by its package's entry point."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pytest_specbench.scenarios.scaffold import write_scaffold

DOCUMENT = Path(__file__).parent.parent / "docs" / "writing-an-agent.md"
OPTIONS = ("benchmarks", "--specbench-sandbox=local", "--specbench-allow-dirty")
FULL = "--specbench-approval-mode=full-access"


def file_in_document(path: str) -> str:
    found = re.search(
        rf"<!-- file: agent {re.escape(path)} -->\n```\w+\n(.*?)^```$",
        DOCUMENT.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found
    return found.group(1)


@pytest.fixture
def package(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the scaffold, and the agent's package installed as pip would, without a build backend."""
    write_scaffold(pytester.path)
    site = pytester.mkdir("site")
    project = tomllib.loads(file_in_document("pyproject.toml"))["project"]
    (site / "greeter.py").write_text(file_in_document("greeter.py"), "utf-8")
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    return site


def run(pytester: pytest.Pytester, *options: str) -> dict[str, Any]:
    pytester.runpytest_subprocess(*OPTIONS, *options)
    report: dict[str, Any] = json.loads((pytester.path / ".terminalbench/latest/report.json").read_text("utf-8"))
    return report


@pytest.mark.parametrize("name", ["greeter:GreeterAgent", "greeter"])
def test_the_agent_solves_the_scenario(package: Path, pytester: pytest.Pytester, name: str) -> None:
    report = run(pytester, FULL, f"--specbench-agent={name}")
    assert report["exit_code"] == 0, report["exit_reason"]
    metrics = report["scenarios"][0]["metrics"]
    assert metrics["success"]["value"] is True
    assert metrics["steps"]["value"] == 1
    assert metrics["input_tokens"]["reason"] == "trial 1: the agent 'greeter' asks no model"


def test_it_refuses_an_option_that_it_does_not_know(package: Path, pytester: pytest.Pytester) -> None:
    """What the document promises of the constructor: a misspelt option blocks, and does not get lost."""
    scenario = pytester.path / "benchmarks/hello.scenario.yaml"
    text = scenario.read_text("utf-8")
    scenario.write_text(text.replace("name: oracle", "name: greeter\n  options: {fil: a.txt}"), "utf-8")
    report = run(pytester, FULL)
    assert report["exit_code"] == 2
    assert "has no option 'fil'" in report["scenarios"][0]["notes"]


def test_a_denied_command_is_told_as_such(package: Path, pytester: pytest.Pytester) -> None:
    """Policed one by one, as `acts_freely = False` says: a deny rule stops its one command."""
    scenario = pytester.path / "benchmarks/hello.scenario.yaml"
    scenario.write_text(scenario.read_text("utf-8") + "allow:\n  deny: ['printf *']\n", "utf-8")
    report = run(pytester, FULL, "--specbench-agent=greeter")
    assert report["exit_code"] == 1
    assert report["scenarios"][0]["cause"] == "denied"
