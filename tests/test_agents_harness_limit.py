"""The orchestrator finds out from a run's own records when terminal-bench will give up on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

IMPORT_PATH = "pytest_specbench.agents.orchestrator.agent:SpecKitOrchestrator"
RUN = {"log_level": "info", "livestream": False, "n_concurrent_trials": 1, "n_attempts": 1, "no_rebuild": False}

type Limit = Callable[[Path | None, float | None], Any]


@pytest.fixture(scope="module")
def time_limit() -> Limit:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from pytest_specbench.agents.orchestrator.harness import time_limit

    return time_limit


@pytest.fixture
def logging_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one" / "words" / "words.1-of-1.one" / "agent-logs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    task = tmp_path / "dataset" / "1.0" / "words" / "task.yaml"
    task.parent.mkdir(parents=True)
    task.write_text("{instruction: Count words., difficulty: easy, max_agent_timeout_sec: 100}")
    return task.parents[1]


def lock(
    logging_dir: Path, dataset: dict[str, Any], *, multiplier: float = 1.0, agent_sec: float | None = None
) -> None:
    """The run's lock file as terminal-bench writes it."""
    from terminal_bench.utils.run_lock import RunLock

    run = {
        **RUN,
        "cleanup": True,
        "global_timeout_multiplier": multiplier,
        "global_agent_timeout_sec": agent_sec,
    }
    RunLock.model_validate(
        {
            "agent": {"name": "spec-kit-orchestrator", "import_path": IMPORT_PATH},
            "run_config": run,
            "dataset": {"task_ids": ["words"], **dataset},
            "local_config": {"output_path": "runs", "run_id": "one", "upload_results": False},
        }
    ).to_json(logging_dir.parents[2] / "tb.lock")


def test_the_tasks_time_counts_times_the_multiplier(time_limit: Limit, logging_dir: Path, dataset: Path) -> None:
    lock(logging_dir, {"local_path": dataset}, multiplier=0.05)
    assert time_limit(logging_dir, None).seconds == pytest.approx(4.5)


def test_a_time_for_all_tasks_replaces_it(time_limit: Limit, logging_dir: Path, dataset: Path) -> None:
    lock(logging_dir, {"local_path": dataset}, multiplier=0.05, agent_sec=60)
    assert time_limit(logging_dir, None).seconds == 58


def test_a_registered_dataset_is_read_where_it_is_cached(
    time_limit: Limit, logging_dir: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terminal_bench.registry.client import RegistryClient

    monkeypatch.setattr(RegistryClient, "CACHE_DIR", dataset.parents[1])
    lock(logging_dir, {"name": "dataset", "version": "1.0"})
    assert time_limit(logging_dir, None).seconds == 98


def test_the_agents_own_limit_can_only_shorten_it(time_limit: Limit, logging_dir: Path, dataset: Path) -> None:
    lock(logging_dir, {"local_path": dataset})
    assert time_limit(logging_dir, 97).seconds == 97
    assert time_limit(logging_dir, 99).seconds == 98


@pytest.mark.parametrize("text", [None, "", "{", "{}", '{"run_config": {}}'])
def test_without_a_readable_lock_only_the_own_limit_is_known(
    time_limit: Limit, logging_dir: Path, text: str | None
) -> None:
    if text is not None:
        (logging_dir.parents[2] / "tb.lock").write_text(text)
    assert time_limit(logging_dir, None).seconds is None
    assert time_limit(logging_dir, 7).seconds == 7


def test_without_a_readable_task_it_is_unknown(time_limit: Limit, logging_dir: Path, dataset: Path) -> None:
    lock(logging_dir, {"local_path": dataset})
    for text in ("{", "instruction: only", "[]", "\x00"):
        (dataset / "words" / "task.yaml").write_text(text)
        assert time_limit(logging_dir, None).seconds is None


def test_without_a_log_folder_it_is_unknown(time_limit: Limit) -> None:
    assert time_limit(None, None).seconds is None
    assert time_limit(Path("/logs"), None).seconds is None
