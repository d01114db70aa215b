"""terminal-bench's own harness runs the agent: what its results say about an agent that did it, failed or came late.

Only Compose is replaced, which CI does not have: a container is started as its service `client` would be.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from agents_support import SPEC, init_project, write
from engine_support import require_runner_image
from model_server import Answer, ModelServer, error, reply, shell, usage

IMPORT_PATH = "pytest_specbench.agents.orchestrator.agent:SpecKitOrchestrator"
RUN_TESTS = """
echo '=== short test summary info ==='
[ -f /app/specs/001-x/spec.md ] && echo 'PASSED test_outputs.py::test_spec' || echo 'FAILED test_outputs.py::test_spec'
"""

type Run = Callable[..., Any]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    task = tmp_path / "dataset" / "specify"
    task.mkdir(parents=True)
    content = {"instruction": "Count words.", "difficulty": "easy", "disable_asciinema": True}
    (task / "task.yaml").write_text(yaml.safe_dump({**content, "max_agent_timeout_sec": 300}))
    (task / "run-tests.sh").write_text(RUN_TESTS)
    return task.parent


@pytest.fixture
def containers(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Containers in Compose's place, with a Spec Kit project in their working folder."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from terminal_bench.terminal.docker_compose_manager import DockerComposeManager

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(init_project(tmp_path), arcname=".")
    started: list[Any] = []

    def start(manager: Any) -> Any:
        container = engine.containers.run(
            require_runner_image(),
            ["sleep", "infinity"],
            detach=True,
            init=True,
            working_dir="/app",
            network_mode="none",
        )
        started.append(container)
        container.put_archive("/app", packed.getvalue())
        manager._client_container = container
        return container

    monkeypatch.setattr(DockerComposeManager, "start", start)
    monkeypatch.setattr(DockerComposeManager, "stop", lambda _: None)
    yield
    for container in started:
        container.remove(force=True)


@pytest.fixture
def run(containers: None, dataset: Path, tmp_path: Path) -> Iterator[Run]:
    """Runs the harness as `tb run` does, and gives the result of its one trial."""
    from terminal_bench.harness.harness import Harness
    from terminal_bench.utils.logger import logger

    handlers = list(logger.handlers)

    def go(*answers: Answer, agent_sec: float | None = None, **kwargs: Any) -> Any:
        with ModelServer(*answers) as server:
            given = {"model_name": "openai/test", "api_base": server.url, "command_path": "/specify"}
            harness = Harness(
                output_path=tmp_path / "runs",
                run_id="one",
                agent_import_path=IMPORT_PATH,
                dataset_path=dataset,
                agent_kwargs={"no_rebuild": True, **given, **kwargs},
                global_agent_timeout_sec=agent_sec,
            )
            (result,) = harness.run().results
        return result

    yield go
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)
        handler.close()


def journal(tmp_path: Path) -> dict[str, Any]:
    """The events of the trial's journal by name."""
    (path,) = tmp_path.glob("runs/one/specify/*/agent-logs/specbench-journal.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["name"]: line["details"] for line in lines if line["type"] == "event"}


@pytest.mark.docker
class TestRun:
    def test_an_agent_that_does_it_resolves_the_task(self, run: Run, tmp_path: Path) -> None:
        result = run(
            shell(write("specs/001-x/spec.md", SPEC), usage=usage(200, 20, 0)), reply("done", usage=usage(300, 30, 0))
        )
        assert (result.is_resolved, result.failure_mode.value) == (True, "unset")
        assert (result.total_input_tokens, result.total_output_tokens) == (500, 50)
        assert journal(tmp_path)["outcome"]["cause"] == "verified"

    def test_tokens_that_the_provider_does_not_report_are_null(self, run: Run) -> None:
        result = run(shell(write("specs/001-x/spec.md", SPEC)), reply("done"))
        assert result.is_resolved
        assert (result.total_input_tokens, result.total_output_tokens) == (None, None)

    def test_an_agent_that_gives_up_fails_and_the_log_says_why(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = run(reply("I cannot.", usage=usage(90, 9, 0)))
        assert (result.is_resolved, result.failure_mode.value) == (False, "unknown_agent_error")
        assert (result.total_input_tokens, result.total_output_tokens) == (90, 9)
        assert "agent_gave_up" in caplog.text

    def test_a_provider_that_fails_is_not_recorded_as_the_agents_error(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR)
        result = run(shell("true", usage=usage(90, 9, 0)), error(500, "on fire"), retries=0)
        assert (result.is_resolved, result.failure_mode.value) == (False, "unknown")
        assert (result.total_input_tokens, result.total_output_tokens) == (90, 9)
        assert "provider_failed" in caplog.text

    def test_an_agent_that_is_late_ends_before_the_tests_start(self, run: Run, tmp_path: Path) -> None:
        late = shell(f"sleep 60; {write('specs/001-x/spec.md', SPEC)}", usage=usage(90, 9, 0))
        result = run(late, reply("done"), agent_sec=5)
        assert (result.is_resolved, result.failure_mode.value) == (False, "agent_timeout")
        events = journal(tmp_path)
        assert events["time_limit"] == {"seconds": 4.5, "source": "tb.lock: 5 s"}
        assert events["outcome"]["cause"] == "agent_timeout"

    def test_the_tasks_own_time_is_the_agents(self, run: Run, tmp_path: Path) -> None:
        run(reply("no"))
        assert journal(tmp_path)["time_limit"] == {"seconds": 298, "source": "tb.lock: 300 s"}

    def test_a_shorter_time_of_the_agents_own_is_kept(self, run: Run, tmp_path: Path) -> None:
        run(reply("no"), timeout_sec=20)
        assert journal(tmp_path)["time_limit"] == {"seconds": 20, "source": "timeout_sec"}

    def test_a_misspelt_argument_ends_the_trial_before_the_agent_starts(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = run(max_step=3)
        assert (result.is_resolved, result.failure_mode.value) == (None, "unknown_agent_error")
        assert "the nearest is 'max_steps'" in caplog.text
