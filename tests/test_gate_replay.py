"""The orchestrator with a replayed model, through the gate: the repository's own scenario, and where it is stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from scenario_files import Project

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytest.importorskip("specify_cli")


@pytest.fixture
def specify(project: Project) -> Path:
    """The scenario `specify` in a project of its own, with nothing pinned and nothing approved."""
    shutil.copytree(BENCHMARKS, project.path / "benchmarks", ignore=shutil.ignore_patterns("specbench.lock"))
    for path in (project.path / "benchmarks").glob("*.scenario.yaml"):
        if path.name != "specify.scenario.yaml":
            path.unlink()
    return project.path / "benchmarks" / "specify.scenario.yaml"


def change(path: Path, **changes: Any) -> None:
    """Change keys of the scenario."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def test_a_replayed_model_may_act_unisolated_and_its_tokens_are_not_measured(project: Project, specify: Path) -> None:
    # The model of the command line, with a path from where pytest was started.
    shutil.move(project.path / "benchmarks" / "cassettes" / "specify.cassette.yaml", project.path / "moved.yaml")
    change(specify, model=None)

    ran = project.process("benchmarks", "--specbench-scenarios=specify", "--specbench-model=replay:moved.yaml")

    assert ran.verdict("specify") == ("provisional", "verified", 0)
    metrics = ran.scenario("specify")["metrics"]
    assert metrics["steps"]["value"] > 1
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        assert metrics[name]["value"] is None
        assert metrics[name]["reason"]
    metadata = json.loads((ran.trial("specify") / "run_metadata.json").read_text())
    assert (metadata["model_provider"], metadata["agent_name"]) == ("replay", "spec-kit-orchestrator")
    assert "cassette_content" in ran.run("specify")["fingerprint"]["instrument"]
    assert str(project.path) not in json.dumps(metadata)


def test_a_step_limit_is_the_agents_failure(project: Project, specify: Path) -> None:
    change(specify, limits={"steps": 1})

    ran = project.process("benchmarks")

    assert ran.verdict("specify") == ("regression", "step_limit", 1)
    assert ran.scenario("specify")["metrics"]["steps"]["value"] == 1


def test_a_live_model_is_recorded(project: Project, specify: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from model_server import ModelServer, reply, usage

    from pytest_specbench.agents.models.cassette import load_cassette

    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-nobody-1234")
    with ModelServer(*[reply("There is nothing to do.", usage=usage(11, 7))] * 5) as server:
        change(specify, model={"name": "openai/served", "api_base": server.url, "retries": 0})

        ran = project.process("benchmarks", "--specbench-record=new.yaml", "--specbench-allow-unisolated-model")

        assert server.requests, ran.out
    assert ran.code == 1
    cassette = load_cassette(project.path / "new.yaml")
    assert cassette.provenance == "recorded"
    assert cassette.replies[0].reply.content == "There is nothing to do."
    assert ran.scenario("specify")["metrics"]["input_tokens"]["value"] == 11 * len(server.requests)
    for path in [project.path / "new.yaml", *(path for path in ran.folder.rglob("*") if path.is_file())]:
        assert b"a-key-for-nobody-1234" not in path.read_bytes()
