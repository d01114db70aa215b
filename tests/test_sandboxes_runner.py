"""The runner image is a known recipe; `auto` builds it, or says why it does not."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_support import require_runner_image

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes import choice as choosing
from pytest_specbench.sandboxes.choice import Choice, choose_sandbox
from pytest_specbench.sandboxes.runner import LAST_LINES, base_image, build_runner, recipe_hash


@pytest.fixture
def tag(engine: Any) -> Iterator[str]:
    """A name for an image of this test's own, on a base that needs no network."""
    require_runner_image()
    name = f"specbench-test-{uuid.uuid4().hex[:8]}:1"
    yield name
    if engine.images.list(name):
        engine.images.remove(name, force=True)


def test_the_recipe_is_the_context_and_the_arguments() -> None:
    assert recipe_hash("a") == recipe_hash("a")
    assert recipe_hash("a") != recipe_hash("b")
    assert recipe_hash("a").startswith("sha256:")


def test_the_base_is_the_argument_else_the_environment_else_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPECBENCH_RUNNER_BASE", raising=False)
    assert base_image() == "debian:bookworm-slim"
    monkeypatch.setenv("SPECBENCH_RUNNER_BASE", "mine:1")
    assert base_image() == "mine:1"
    assert base_image("given:2") == "given:2"


@pytest.mark.docker
def test_a_base_that_has_everything_builds_without_a_network(tag: str, engine: Any) -> None:
    """Here the runner image itself is the base. The identity carries the recipe."""
    lines: list[str] = []
    identity = build_runner(RUNNER_IMAGE, tag, lines.append)
    assert identity.recipe == recipe_hash(RUNNER_IMAGE)
    assert identity.reference == tag
    assert lines
    assert not any(line.startswith("missing in the base image:") for line in lines)
    script = "cd /logs && cd /tests && command -v bash git awk sed grep python3 ps tmux asciinema"
    output = engine.containers.run(tag, ["sh", "-ec", f"pwd; {script}"], remove=True, network_mode="none")
    assert output.startswith(b"/work\n")


@pytest.mark.docker
def test_building_twice_gives_the_same_identity(tag: str) -> None:
    assert build_runner(RUNNER_IMAGE, tag).digest == build_runner(RUNNER_IMAGE, tag).digest


@pytest.mark.docker
def test_a_failed_build_shows_its_last_lines_and_the_fix(engine: Any) -> None:
    lines: list[str] = []
    with pytest.raises(BlockedError) as caught:
        build_runner("no-such-base-image:0", "specbench-test-fails:1", lines.append)
    assert caught.value.cause is Cause.IMAGE_MISSING
    assert caught.value.message.startswith("building the runner image on no-such-base-image:0 failed: ")
    assert lines
    assert caught.value.message.endswith("".join(f"\n    {line}" for line in lines[-LAST_LINES:]))
    assert "specbench runner build --base" in str(caught.value.hint)


def test_what_is_asked_for_by_name_is_taken() -> None:
    assert choose_sandbox("local") == Choice("local", "asked for")
    assert choose_sandbox("third-party") == Choice("third-party", "asked for")


@pytest.mark.docker
def test_auto_is_docker_when_the_image_is_there(tag: str) -> None:
    found = choose_sandbox("auto")
    assert found.name == "docker"
    assert "is there" in found.reason


@pytest.mark.docker
def test_auto_is_local_when_a_scenarios_own_image_is_missing(engine: Any) -> None:
    found = choose_sandbox("auto", "no-such-image:0")
    assert found.name == "local"
    assert "no-such-image:0" in found.reason
    assert "\n" not in found.reason


@pytest.mark.docker
def test_auto_is_local_when_the_build_fails(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the reason in one line."""
    monkeypatch.setenv("SPECBENCH_RUNNER_BASE", "no-such-base-image:0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choosing, "RUNNER_IMAGE", "specbench-test-absent:1")
    found = choose_sandbox("auto", "specbench-test-absent:1")
    assert found.name == "local"
    assert "building the runner image on no-such-base-image:0 failed" in found.reason
    assert "\n" not in found.reason


BUILD = """
import sys
from pytest_specbench.sandboxes import choice
choice.RUNNER_IMAGE = sys.argv[1]
print(choice.choose_sandbox("auto", sys.argv[1]).reason)
"""


@pytest.mark.docker
def test_processes_that_choose_at_the_same_time_build_once(
    tag: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPECBENCH_RUNNER_BASE", RUNNER_IMAGE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = [sys.executable, "-c", BUILD, tag]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    reasons = [process.communicate(timeout=120)[0] for process in processes]
    assert sum("was built\n" in reason for reason in reasons) == 1
