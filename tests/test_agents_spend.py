"""The session's cost cap holds over scenarios and processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from agents_support import asked, task
from model_server import ModelServer, reply, usage

from pytest_specbench.agents.models import SpendLedger, open_model
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.model import ModelDefaults, Prices

ADD = """
import sys
from pathlib import Path
from pytest_specbench.agents.models.spend import SpendLedger
ledger = SpendLedger(Path(sys.argv[1]))
for _ in range(25):
    ledger.add(0.01, what="test")
"""


def test_a_ledger_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "run" / "spend.jsonl", 1.0)
    assert ledger.total() == 0.0
    ledger.check()


def test_processes_share_a_ledger_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", ADD, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert SpendLedger(path).total() == pytest.approx(0.75)


def test_at_the_cap_nothing_more_is_asked(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "spend.jsonl", 0.5)
    prices = Prices(input=1.0, output=1.0)
    with ModelServer(*[reply("ok", usage=usage(400_000, 0))] * 2, reply("never")) as server:
        defaults = ModelDefaults(name="openai/test", api_base=server.url, prices=prices)
        model = open_model(task(model="openai/test", model_defaults=defaults), ledger=ledger)
        model.complete(asked(1))
        model.complete(asked(2))
        with pytest.raises(BlockedError) as caught:
            model.complete(asked(3))
        assert len(server.requests) == 2
    assert caught.value.cause is Cause.SESSION_COST_CAP
    assert "0.8000" in str(caught.value)


def test_an_unknown_cost_under_a_cap_blocks(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "spend.jsonl", 0.5)
    with ModelServer(reply("ok")) as server:
        defaults = ModelDefaults(name="openai/test", api_base=server.url)
        model = open_model(task(model="openai/test", model_defaults=defaults), ledger=ledger)
        with pytest.raises(BlockedError) as caught:
            model.complete(asked(1))
    assert caught.value.cause is Cause.METRIC_UNMEASURED


def test_an_unreadable_ledger_blocks(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    path.write_text("{half")
    with pytest.raises(BlockedError) as caught:
        SpendLedger(path, 1.0).check()
    assert caught.value.cause is Cause.SESSION_COST_CAP
