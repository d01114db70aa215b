"""terminal-bench loads the same class, and it works in a real container with a real session."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents_support import SPEC, MemoryJournal, init_project, write
from engine_support import require_runner_image
from model_server import ModelServer, reply, shell, usage

from pytest_specbench.agents.orchestrator.adapter import OrchestratorAgent
from pytest_specbench.core.errors import AgentStoppedError, InfrastructureError, UsageError

IMPORT_PATH = "pytest_specbench.agents.orchestrator.agent:SpecKitOrchestrator"


@pytest.fixture(scope="module")
def agent_class() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from terminal_bench.agents.agent_factory import AgentFactory

    return AgentFactory.get_agent_class(import_path=IMPORT_PATH)


@pytest.fixture
def container(engine: Any, tmp_path: Path) -> Iterator[Any]:
    """A running container with a Spec Kit project in its working folder, as a terminal-bench task would have it."""
    started = engine.containers.run(
        require_runner_image(), ["sleep", "infinity"], detach=True, init=True, working_dir="/app", network_mode="none"
    )
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(init_project(tmp_path), arcname=".")
        started.exec_run(["mkdir", "-p", "/logs"])
        started.put_archive("/app", packed.getvalue())
        yield started
    finally:
        started.remove(force=True)


@pytest.fixture
def session(container: Any) -> Iterator[Any]:
    from terminal_bench.terminal.tmux_session import TmuxSession

    started = TmuxSession("agent", container, disable_recording=True)
    started.start()
    yield started
    started.stop()


def test_the_factory_loads_a_subclass_of_its_base_agent(agent_class: Any) -> None:
    from terminal_bench.agents.base_agent import BaseAgent

    assert issubclass(agent_class, BaseAgent)
    assert agent_class.name() == OrchestratorAgent.name


def test_our_own_trials_drive_the_same_class(agent_class: Any, tmp_path: Path) -> None:
    from agents_support import task

    cassette = tmp_path / "c.yaml"
    cassette.write_text("{cassette: 1, provenance: scripted, model: scripted, replies: []}")
    agent = OrchestratorAgent()
    agent.prepare(task(model=f"replay:{cassette}"))
    assert type(agent._orchestrator) is agent_class


def test_it_takes_what_terminal_bench_passes(agent_class: Any) -> None:
    agent = agent_class(model_name="openai/test", no_rebuild=False, version="9", max_steps=3)
    assert agent.version == "9"
    assert agent_class().version


def test_a_misspelt_argument_names_the_nearest(agent_class: Any) -> None:
    with pytest.raises(UsageError, match="the nearest is 'max_steps'"):
        agent_class(max_step=3)
    with pytest.raises(UsageError, match="no stage"):
        agent_class(command_path="/specfy")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", "three"),
        ("max_tokens", 0),
        ("timeout_sec", "soon"),
        ("timeout_sec", -1),
        ("retries", 99),
        ("parameters", "hot"),
        ("api_base", 8080),
    ],
)
def test_a_value_that_cannot_be_taken_names_its_argument(agent_class: Any, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"the argument '{name}' is {value!r}"):
        agent_class(**{name: value})


def test_the_models_own_settings_are_taken(agent_class: Any) -> None:
    """As `--agent-kwarg` reads them: numbers and dicts are Python's."""
    settings = {"retries": 0, "request_timeout_sec": 30, "parameters": {"temperature": 0.5}}
    task = agent_class(model_name="openai/test", prices={"input": 1, "output": 2}, **settings)._task("Count.", 1.0)
    assert task.model_defaults.model_dump(include=set(settings)) == settings
    assert task.model_defaults.prices.output == 2


@pytest.mark.docker
def test_it_performs_a_task_in_a_real_session(agent_class: Any, container: Any, session: Any, tmp_path: Path) -> None:
    answers = (
        shell("pwd; exit 3", usage=usage(100, 10, 0)),
        shell(write("specs/001-x/spec.md", SPEC), usage=usage(200, 20, 0)),
        reply("done", usage=usage(300, 30, 0)),
    )
    with ModelServer(*answers) as server:
        agent = agent_class(model_name="openai/test", api_base=server.url, command_path="/specify", no_rebuild=True)
        result = agent.perform_task("Count words.", session, tmp_path / "logs")
        seen = server.requests[1].body["messages"][-1]["content"]

    assert (result.failure_mode.value, result.total_input_tokens, result.total_output_tokens) == ("none", 600, 60)
    assert [marker for _, marker in result.timestamped_markers] == ["specify"]
    assert seen == "exit code: 3\n/app\n"
    code, text = container.exec_run(["cat", "specs/001-x/spec.md"])
    assert (code, text.decode()) == (0, SPEC)
    lines = [json.loads(line) for line in (tmp_path / "logs" / "specbench-journal.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines if line["type"] == "step"] == ["system", "user", "agent", "agent", "agent"]


@pytest.mark.docker
def test_an_agent_that_does_nothing_fails_the_task(agent_class: Any, session: Any) -> None:
    with ModelServer(reply("All done!")) as server:
        agent = agent_class(model_name="openai/test", api_base=server.url, command_path="/specify")
        result = agent.perform_task("Count words.", session)
    assert result.failure_mode.value == "unknown_agent_error"


@pytest.mark.docker
def test_what_is_nobodys_failure_is_unknown_and_logged(
    agent_class: Any, session: Any, caplog: pytest.LogCaptureFixture
) -> None:
    result = agent_class().perform_task("Count words.", session)
    assert (result.failure_mode.value, result.total_input_tokens, result.total_output_tokens) == ("unknown", None, None)
    assert "names no model" in caplog.text


@pytest.mark.docker
def test_an_unknown_time_limit_is_said(agent_class: Any, session: Any, caplog: pytest.LogCaptureFixture) -> None:
    agent_class().perform_task("Count words.", session)
    assert "timeout_sec=SECONDS" in caplog.text
    caplog.clear()
    agent_class(timeout_sec=60).perform_task("Count words.", session)
    assert "timeout_sec=SECONDS" not in caplog.text


@pytest.mark.docker
def test_each_stage_has_its_own_time_in_the_recording(agent_class: Any, session: Any) -> None:
    """Although nothing is typed in the session, whose clock therefore stands still."""
    answers = (shell(write("specs/001-x/spec.md", SPEC)), reply("done"), shell("true"), reply("done"))
    with ModelServer(*answers) as server:
        agent = agent_class(model_name="openai/test", api_base=server.url, command_path="/specify -> /plan")
        result = agent.perform_task("Count words.", session)
    (first, specify), (second, plan) = result.timestamped_markers
    assert (specify, plan) == ("specify", "plan")
    assert 0 < first < second


@pytest.mark.docker
class TestContainerShell:
    @pytest.fixture
    def shell(self, agent_class: Any, container: Any) -> Any:
        import math

        from pytest_specbench.agents.orchestrator.container_shell import ContainerShell

        return ContainerShell(container, MemoryJournal(), user="", command_sec=60, deadline=math.inf)

    def test_a_command_is_really_killed_at_its_limit_with_all_it_started(self, shell: Any, container: Any) -> None:
        result = shell.run("echo started; (setsid sleep 987 &) ; sleep 986", timeout_sec=1)
        assert (result.exit_code, result.output) == (None, "started\n")
        processes = container.exec_run(["ps", "-eo", "args"]).output.decode()
        assert "sleep 98" not in processes

    def test_files_are_read_by_glob(self, shell: Any) -> None:
        assert list(shell.read(".agent/commands/speckit.plan.md")) == [".agent/commands/speckit.plan.md"]
        assert ".agent/commands/speckit.plan.md" in shell.read(".*/commands/speckit.*.md")
        assert shell.read("no/such/*") == {}
        assert shell.read("$(id)") == {}
        assert shell.read("/etc/passwd") == {}
        assert shell.read("../etc/passwd") == {}
        shell.run("mkdir 'a [b] $(id)'; echo here > 'a [b] $(id)/-c'")
        assert shell.read("a [b] $(id)/-c") == {"a [b] $(id)/-c": "here\n"}
        assert list(shell.read("a*/-?")) == ["a [b] $(id)/-c"]

    def test_nothing_runs_after_the_deadline(self, agent_class: Any, container: Any) -> None:
        import time

        from pytest_specbench.agents.orchestrator.container_shell import ContainerShell

        late = ContainerShell(container, MemoryJournal(), user="", command_sec=60, deadline=time.monotonic() - 1)
        with pytest.raises(AgentStoppedError):
            late.run("touch /app/late")
        assert container.exec_run(["test", "-e", "/app/late"]).exit_code == 1

    def test_a_container_that_is_gone_is_infrastructure(self, shell: Any, container: Any) -> None:
        container.kill()
        with pytest.raises(InfrastructureError):
            shell.run("true")
