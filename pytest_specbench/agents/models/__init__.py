"""The downstream model: live through LiteLLM, or replayed from a cassette; recorded and capped on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench.agents.models.base import ModelClient, ModelReply, ModelRequest
from pytest_specbench.agents.models.live import LiveModel
from pytest_specbench.agents.models.record import RecordingModel, cassette_path
from pytest_specbench.agents.models.replay import ReplayModel
from pytest_specbench.agents.models.spend import LedgeredModel, SpendLedger
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause

if TYPE_CHECKING:
    from pytest_specbench.agents.base import AgentTask

__all__ = ["ModelClient", "ModelReply", "ModelRequest", "SpendLedger", "open_model"]

REPLAY = "replay:"


def open_model(task: AgentTask, *, ledger: SpendLedger | None = None) -> ModelClient:
    """The model of a task: a replay or LiteLLM, charged to the ledger, and recorded where the task asks for it.

    Raises BlockedError when there is no model, no key, or no readable cassette.
    """
    if not task.model:
        raise BlockedError(
            f"scenario {task.scenario_id!r} names no model, and its agent needs one",
            cause=Cause.CONFIGURATION,
            expected="a LiteLLM model name, or replay:CASSETTE",
            hint="name one with --specbench-model, or under 'model' in the scenario",
        )
    model: ModelClient
    if task.model.startswith(REPLAY):
        model = ReplayModel(Path(task.model.removeprefix(REPLAY)))
    else:
        model = LiveModel(task.model, task.model_defaults)
        if ledger is not None:
            model = LedgeredModel(model, ledger)
    if task.record_cassette:
        redactor = Redactor.from_environment(task.secrets, {**os.environ, **task.environment})
        model = RecordingModel(model, cassette_path(task.record_cassette, task.scenario_id), redactor=redactor)
    return model
