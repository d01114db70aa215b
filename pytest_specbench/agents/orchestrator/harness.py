"""What terminal-bench's harness knows and does not tell its agents: when it gives up on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from terminal_bench.handlers.trial_handler import Task, TaskPaths
from terminal_bench.registry.client import RegistryClient
from terminal_bench.utils.run_lock import DatasetLock, RunLock

_LOCK_NAME = "tb.lock"
_HEAD_START = 0.1
_LONGEST_HEAD_START_SEC = 2.0


@dataclass(frozen=True)
class TimeLimit:
    """How long the agent may act, and where that is written; `seconds` is null where nothing says it."""

    seconds: float | None
    source: str


def time_limit(logging_dir: Path | None, own_sec: float | None) -> TimeLimit:
    """The shorter one of the agent's own limit and what the harness grants.

    Of the harness's time the agent leaves a tenth, at most 2 s: an agent that ends by itself can report what it used,
    and is dead when the tests start. The harness cannot end one: it waits for it, and tests what it did too late.
    """
    granted = _granted_sec(logging_dir)
    if granted is None:
        return TimeLimit(own_sec, "nothing" if own_sec is None else "timeout_sec")
    allowed = granted - min(_LONGEST_HEAD_START_SEC, granted * _HEAD_START)
    if own_sec is not None and own_sec <= allowed:
        return TimeLimit(own_sec, "timeout_sec")
    return TimeLimit(allowed, f"{_LOCK_NAME}: {granted:g} s")


def _granted_sec(logging_dir: Path | None) -> float | None:
    """Seconds after which the harness gives up, by the same rules; null where the run's own records do not say.

    `logging_dir` is RUN/TASK/TRIAL/agent-logs.
    """
    if logging_dir is None or len(logging_dir.absolute().parents) < 3:
        return None
    _, task, run = logging_dir.absolute().parents[:3]
    try:
        lock = RunLock.model_validate_json((run / _LOCK_NAME).read_text())
        config = lock.run_config
        if config.global_agent_timeout_sec:
            return float(config.global_agent_timeout_sec)
        task_file = TaskPaths(_dataset_folder(lock.dataset) / task.name).task_config_path
        limit = Task.model_validate(yaml.safe_load(task_file.read_text())).max_agent_timeout_sec
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return float(limit * config.global_timeout_multiplier)


def _dataset_folder(dataset: DatasetLock) -> Path:
    if dataset.local_path is not None:
        return Path(dataset.local_path)
    return Path(RegistryClient.CACHE_DIR) / str(dataset.name) / str(dataset.version)
