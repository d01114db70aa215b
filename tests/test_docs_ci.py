"""The CI recipes are valid YAML, name options that exist, and end green as they are printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import resources
from io import BytesIO
from pathlib import Path

import yaml
from own_engine import IMAGE, own_engine

from pytest_specbench.option_table import OPTIONS

DOCUMENT = Path(__file__).parent.parent / "docs" / "ci.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
BEFORE = re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[0]

BASE = f"""
FROM {IMAGE}
RUN for tool in asciinema awk bash git ps python3 sed tmux; do cat /bin/true >/bin/$tool; chmod 755 /bin/$tool; done
RUN mkdir -p /etc/ssl/certs && touch /etc/ssl/certs/ca-certificates.crt
"""
"""A base with what the runner image looks for, and does not call while it is built."""


def commands() -> dict[str, list[str]]:
    """The commands of the GitHub and the GitLab recipe."""
    github, _, gitlab = (yaml.safe_load(block) for block in BLOCKS)
    steps = github["jobs"]["benchmarks"]["steps"]
    return {
        "github": [step["run"] for step in steps if "run" in step],
        "gitlab": gitlab["benchmarks"]["script"],
    }


def test_every_option_of_a_recipe_exists():
    known = {option.name for option in OPTIONS if option.purpose == "run"}
    nightly = [step["run"] for step in yaml.safe_load(BLOCKS[1])]
    lines = [line for each in (*commands().values(), nightly) for line in each if line.startswith("specbench run ")]
    assert len(lines) == 3
    for line in lines:
        assert set(re.findall(r"(?<= )--([a-z-]+)", line.partition(" -- ")[0])) <= known


def test_what_init_writes_is_the_recipe_for_github():
    template = resources.files("pytest_specbench.scenarios").joinpath("scaffold", "benchmarks.yml").read_text("utf-8")
    assert yaml.safe_load(template) == yaml.safe_load(BLOCKS[0])


def test_the_recipes_end_green_as_printed_in_a_new_repository_and_after_the_image_was_rebuilt(tmp_path):
    """Every line as it stands there: GitHub's in the pull request that brings the benchmarks and at night, GitLab's in
    the next one, on an image that was built anew.
    """
    own = ("SPECBENCH_", "SPEC_BENCH_", "PYTEST_", "GIT_", "COV_", "DOCKER_", "GITHUB_", "CI_")
    base = "specbench-test-base:1"
    (tmp_path / "repository").mkdir()
    with own_engine() as engine:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DOCKER_HOST": engine.host,
            "SPECBENCH_RUNNER_BASE": base,
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "HOME": str(tmp_path),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Reader"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "reader@example.org"),
        }

        def run(line: str) -> None:
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", line],
                cwd=tmp_path / "repository",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

        def build_base(day: str) -> None:
            with engine.client() as client:
                file = f"{BASE}ENV DAY={day}\n".encode()
                assert not any("error" in event for event in client.build(fileobj=BytesIO(file), tag=base, decode=True))
                images.add(client.inspect_image(base)["Id"])

        images: set[str] = set()
        build_base("Monday")
        run("git init --quiet --bare ../origin && git init --quiet -b main . && git remote add origin ../origin")
        run("echo new >README.md && git add . && git commit --quiet -m New && git push --quiet origin main")
        run("git switch --quiet -c change")
        run(BEFORE)
        environment["GITHUB_BASE_REF"] = "main"
        for line in commands()["github"]:
            run(line)
        environment["GITHUB_BASE_REF"] = ""
        run(next(line for line in commands()["github"] if line.startswith("specbench run ")))
        run("git push --quiet origin change:main")
        build_base("Tuesday")
        environment["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"] = "main"
        for line in commands()["gitlab"]:
            run(line)
        assert len(images) == 2
    runs = (tmp_path / "repository" / ".terminalbench" / "runs").glob("*")
    found = [
        [json.loads((run / name).read_text("utf-8")) for name in ("report.json", "run_metadata.json")] for run in runs
    ]
    assert [(each["exit_code"], each["scenarios"][0]["status"]) for each, _ in found] == [(0, "provisional")] * 3
    assert sorted(each["trusted_commit"] is not None for _, each in found) == [False, True, True]
    assert "1 provisional" in (tmp_path / "summary.md").read_text("utf-8")
