"""Which of the scenarios in the files belong to the session, and which of them were asked for."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_specbench.agents.deny_rules import check_deny_rules
from pytest_specbench.core.errors import DatasetError, ScenarioError
from pytest_specbench.core.settings import Settings
from pytest_specbench.scenarios.loader import LoadedScenario, load_scenario

if TYPE_CHECKING:
    from pytest_specbench.scenarios.datasets import Dataset


class Selection:
    """Takes scenarios in as their files are collected, then leaves out those that nobody asked for."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._claimed: dict[str, str] = {}
        self._datasets: dict[Path, Dataset | None] = {}
        self._outside: set[str] = set()
        self.kept: list[str] = []
        """Node ids of the scenarios that are to run."""

    def claim(self, loaded: LoadedScenario) -> None:
        """Take a scenario in. A second file with the same id is an error, and so are deny rules that the agent which
        would run it is not held to. The same file may be collected again.
        """
        scenario_id = loaded.scenario.scenario_id
        first = self._claimed.setdefault(scenario_id, loaded.given)
        if first != loaded.given:
            raise ScenarioError(
                f"{scenario_id!r} is the id of another scenario as well, at {_place(first)}",
                where=loaded.where("scenario_id"),
                expected="an id that is unique in the session, since baselines are keyed on it",
            )
        if not self._in_dataset(loaded):
            self._outside.add(scenario_id)
        elif self._settings.adds(loaded.path):
            pass  # what it names is not imported before the gate has looked at it
        elif not self._settings.scenarios or scenario_id in self._settings.scenarios:
            check_deny_rules(loaded, asked_for=self._settings.agent)

    def select(self, items: list[pytest.Item], *, broken: bool) -> None:
        """Leave out scenarios that `--specbench-scenarios` or `--specbench-dataset` does not name.

        `broken` tells that some file could not be collected. Raises pytest.UsageError for an id that nobody has.
        """
        ours = [item for item in items if hasattr(item, "benchmark_run")]
        if (self._settings.lock or self._settings.lock_check or self._settings.approve) and len(ours) < len(
            items
        ):  # an ordinary test would run something
            self._config.hook.pytest_deselected(items=[item for item in items if item not in ours])
            items[:] = ours
        if not ours:
            return
        wanted = self._settings.scenarios
        ids = sorted(item.name for item in ours)
        for name in wanted:
            if name not in ids:
                near = get_close_matches(name, ids, n=1)
                self._refuse(
                    f"--specbench-scenarios: no collected scenario is called {name!r}; expected one of "
                    f"{', '.join(ids)}" + (f"; the nearest is {near[0]!r}" if near else ""),
                    items,
                )
                return
        if (
            hasattr(self._config, "workerinput")
            and broken
            and not self._config.getoption("continue_on_collection_errors")
        ):
            # xdist goes on after files that could not be collected. A benchmark does not, with or without workers.
            items[:] = [item for item in items if not hasattr(item, "benchmark_run")]
            return
        out = [item for item in ours if (wanted and item.name not in wanted) or item.name in self._outside]
        kept = [item for item in ours if item not in out]
        self.kept = [item.nodeid for item in kept]
        if self._settings.held is not None:  # what is approved is judged before what is new
            items.sort(key=lambda item: self._settings.adds(item.path))
        if out:
            dropped = set(map(id, out))
            items[:] = [item for item in items if id(item) not in dropped]
            self._config.hook.pytest_deselected(items=out)

    def settle(self, items: list[pytest.Item]) -> None:
        """Take what is left when every plugin has had its say: some of them deselect after this one, and what they left
        out owes no verdict. Raises pytest.UsageError for a run that is resumed without all that it was to run.
        """
        left = {item.nodeid for item in items}
        self.kept = [nodeid for nodeid in self.kept if nodeid in left]
        missing = sorted({*self._owed()} - {*self.kept})
        if missing and self.kept:
            self.kept = []
            self._refuse(
                f"--specbench-resume: the run had scenarios that are not selected now: {', '.join(missing)}; "
                "give the same paths and options as then, or start a new run",
                items,
            )

    def _owed(self) -> tuple[str, ...]:
        """Node ids that the run which is resumed was to run."""
        if self._settings.resume is None:
            return ()
        from pytest_specbench.recording.run_start import read_start

        return read_start(self._settings.run_folder).selected

    def _refuse(self, message: str, items: list[pytest.Item]) -> None:
        """Run nothing, for the options are wrong. A worker cannot say so itself: it leaves it to its controller."""
        if not hasattr(self._config, "workerinput"):
            raise pytest.UsageError(message)
        self._config.workeroutput["specbench_usage_error"] = message  # type: ignore[attr-defined]
        items.clear()

    def _in_dataset(self, loaded: LoadedScenario) -> bool:
        """Whether the dataset asked for holds the scenario; one that does not resolve blocks each item later."""
        if self._settings.dataset is None:
            return True
        # Here, since it brings urllib along, and few sessions ask for a dataset.
        from pytest_specbench.scenarios.datasets import contains, resolve_dataset

        if loaded.path.parent not in self._datasets:
            try:
                self._datasets[loaded.path.parent] = resolve_dataset(
                    self._settings.dataset, registry=self._settings.registry, near=loaded.path.parent
                )
            except DatasetError:
                self._datasets[loaded.path.parent] = None
        dataset = self._datasets[loaded.path.parent]
        return dataset is None or contains(dataset, loaded)


def _place(given: str) -> str:
    """Where the id stands in a file that was taken in. Read again: only a second file with the same id asks."""
    try:
        return load_scenario(Path(given)).where("scenario_id")
    except ScenarioError:
        return given  # it was valid when it was taken in
