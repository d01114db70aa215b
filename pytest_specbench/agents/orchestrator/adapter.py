"""The orchestrator as an agent of ours. Importing this is cheap: terminal_bench comes in with `prepare`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.models import ModelClient, SpendLedger, open_model
from pytest_specbench.agents.models.usage import price_table_name
from pytest_specbench.agents.orchestrator.options import as_configuration, parse_options
from pytest_specbench.agents.orchestrator.stages import parse_command_path
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal

if TYPE_CHECKING:
    from pytest_specbench.agents.orchestrator.agent import SpecKitOrchestrator


class OrchestratorAgent:
    """Drives `SpecKitOrchestrator`, the very class that terminal-bench loads, through our contract."""

    name = "spec-kit-orchestrator"
    version = pytest_specbench.__version__
    acts_freely = False
    takes_model = True
    trusted = False
    trusted_in_replay = True

    def __init__(self, **options: Scalar) -> None:
        self._options = parse_options(options)
        self._ledger: SpendLedger | None = None
        self._model: ModelClient | None = None
        self._orchestrator: SpecKitOrchestrator | None = None
        self._price_table: str | None = None

    def charge_to(self, ledger: SpendLedger) -> None:
        self._ledger = ledger

    def prepare(self, task: AgentTask) -> None:
        parse_command_path(task.command_path)
        self._model = open_model(task, ledger=self._ledger)
        if self._model.live:
            self._price_table = price_table_name(task.model_defaults.prices if task.model_defaults else None)
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or the import fetches prices from the network
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other packages' imports, which are no business of our users
                from pytest_specbench.agents.orchestrator.agent import SpecKitOrchestrator
        except ImportError as error:
            raise BlockedError(
                f"terminal-bench cannot be imported: {error}",
                cause=Cause.DEPENDENCY_MISSING,
                hint="python -m pip install 'terminal-bench>=0.2.18'",
            ) from error
        self._orchestrator = SpecKitOrchestrator(**dict[str, Any](as_configuration(self._options)))

    def run(self, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:
        if self._orchestrator is None or self._model is None:
            self.prepare(task)
        assert self._orchestrator is not None  # noqa: S101 - for the type checker: prepare sets both
        assert self._model is not None  # noqa: S101 - as above
        return self._orchestrator.drive(task, self._model, shell, journal)

    def usage(self) -> Mapping[str, Measurement]:
        """What was used so far; for the record of a trial whose phase ended before the agent did."""
        return self._orchestrator.usage() if self._orchestrator else {}

    def cancel(self) -> None:
        """Give up a request to the model that is under way. May be called from another thread."""
        if self._model is not None:
            self._model.close()

    def configuration(self) -> Mapping[str, Scalar]:
        prices = {"price_table": self._price_table} if self._price_table else {}
        return as_configuration(self._options) | prices
