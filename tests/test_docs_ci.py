"""The CI recipes are valid YAML, name options that exist, and their commands do what they say in the local sandbox."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_specbench.option_table import OPTIONS

DOCUMENT = Path(__file__).parent.parent / "docs" / "ci.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


def commands() -> dict[str, list[str]]:
    """The commands of the GitHub and the GitLab recipe."""
    github, _, gitlab = (yaml.safe_load(block) for block in BLOCKS)
    steps = github["jobs"]["benchmarks"]["steps"]
    return {
        "github": [step["run"] for step in steps if "run" in step],
        "gitlab": gitlab["benchmarks"]["script"],
    }


def test_every_option_of_a_recipe_exists():
    known = {option.option for option in OPTIONS}
    assert set(re.findall(r"--specbench-[a-z-]+", DOCUMENT.read_text("utf-8"))) <= known


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_the_commands_of_a_recipe_end_green_in_a_new_repository(service, tmp_path, monkeypatch):
    for name in [name for name in __import__("os").environ if name.startswith("SPEC_BENCH_")]:
        monkeypatch.delenv(name)
    git = ["git", "-c", "user.name=Specbench", "-c", "user.email=specbench@example.invalid"]

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"

    run(*git, "init", "--quiet")
    run(sys.executable, "-m", "pytest_specbench", "init")
    run(sys.executable, "-m", "pytest_specbench", "lock", "benchmarks", "--sandbox", "local")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "Scenarios")
    for command in commands()[service]:
        program, *arguments = shlex.split(command)
        if program == "pytest":
            run(sys.executable, "-m", "pytest", *arguments, "--specbench-sandbox=local", "-p", "no:cacheprovider")
            assert (tmp_path / "specbench.xml").is_file()
            assert [*(tmp_path / ".terminalbench" / "runs").glob("*/report.json")]
        elif program == "test":
            run("env", f"GITHUB_STEP_SUMMARY={tmp_path / 'summary.md'}", "sh", "-c", command)
            assert "1 provisional" in (tmp_path / "summary.md").read_text("utf-8")
        elif arguments[:1] == ["lock"]:
            run(sys.executable, "-m", "pytest_specbench", *arguments, "--sandbox", "local")
