"""What is observed before a run: the facts of the fingerprint, each with the party that it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import Fact
from pytest_specbench.core.records import AgentRecord, ImageIdentity, Scalar
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.content import tree_hash
from pytest_specbench.scenarios.datasets import Dataset
from pytest_specbench.scenarios.fixtures import FixtureContent
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.verifiers.code import code_of

BEHAVIOUR = {
    "scenario_id",
    "command_path",
    "prerequisites",
    "instruction",
    "approval_mode",
    "allow",
    "deadlines",
    "limits",
    "environment",
    "secrets",
}
"""Fields of a scenario that shape what an agent does. Titles, owners, thresholds and the number of trials do not, and
what belongs to a party (agent, model, runner, fixtures) has facts of its own.
"""


def gate_of(scenario: Scenario) -> dict[str, Scalar]:
    """The facts that say how strictly a scenario is judged; they can be told without a run."""
    gate = {name: sorted(getattr(scenario, name)) for name in ("metrics_tracked", "subject")}
    rate = {} if scenario.success is None else {"success": scenario.success.model_dump()}
    strictness = {**gate, "thresholds": scenario.thresholds, "trials": scenario.trials, **rate}
    return {"gate_content": _hash(strictness)}


def facts_of(
    loaded: LoadedScenario,
    settings: Settings,
    dataset: Dataset,
    agent: AgentRecord,
    fixtures: Sequence[FixtureContent],
    image: ImageIdentity | None,
) -> Iterator[Fact]:
    """Every fact of a benchmark run that a comparison may have to look at."""
    scenario, runner = loaded.scenario, loaded.scenario.runner
    verifier: dict[str, object] = {"artifacts": scenario.success_artifacts, "verification": scenario.verification}
    code = code_of(scenario)
    if code:
        verifier["code"] = code
    instrument: dict[str, Scalar] = {
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "scenario": scenario.scenario_id,
        "scenario_content": _hash(
            scenario.model_dump(mode="json", include=BEHAVIOUR), tree_hash(loaded, scenario.solution)
        ),
        "verifier_content": _hash(
            {name: _plain(value) for name, value in verifier.items()},
            tree_hash(loaded, scenario.verification.files if scenario.verification else None),
        ),
        "sandbox": settings.sandbox,
        "cpus": runner.cpus,
        "memory_mb": runner.memory_mb,
        "pids": runner.pids,
        "network": "/".join((runner.network.setup, runner.network.agent, runner.network.verification)),
        "user": runner.user,
        "workdir": runner.workdir,
        "approval_mode": settings.approval_mode,
        "agent": agent.name,
    }
    yield from (Fact("instrument", name, value) for name, value in instrument.items())
    yield from (Fact("gate", name, value) for name, value in gate_of(scenario).items())
    if image is not None and runner.pin == "recipe":
        if image.recipe is None:
            raise BlockedError(
                f"the image {image.reference!r} has no recipe: every other image without one would be its equal",
                cause=Cause.CONFIGURATION,
                where=loaded.where("runner", "pin"),
                expected="an image that `specbench runner build` made",
                hint="pin: digest",
            )
        # The same recipe makes another image on another platform, which is the host's doing.
        yield Fact("runner_image", "runner_image", image.recipe)
    elif image is not None:
        yield Fact("runner_image", "runner_image", image.digest)
        yield Fact("runner_image", "platform", image.platform)
    yield Fact("agent", "agent_version", agent.version)
    yield from (Fact("agent", f"agent.{name}", value) for name, value in sorted(agent.configuration.items()))
    yield Fact("model", "model", agent.model)
    if scenario.model is not None and agent.model and settings.model in (None, scenario.model.name):
        # Another model gets none of these. The endpoint may hold a credential, so only the hash tells it.
        asked = scenario.model.model_dump(mode="json", include={"parameters", "prices", "api_base"})
        yield Fact("model", "model_parameters", _hash(asked))
    for fixture in fixtures:
        for name, value in sorted(fixture.record.items()):
            yield Fact("fixtures", f"fixture.{fixture.name}.{name}", value)


def model_facts(loaded: LoadedScenario, model: str | None) -> Iterator[Fact]:
    """What tells a model's answers apart besides its name: the cassette's content, or the price table of a live one."""
    if model is None:
        return
    if model.startswith("replay:"):
        content = Path(model.removeprefix("replay:")).read_bytes()
        yield Fact("model", "cassette_content", f"sha256:{hashlib.sha256(content).hexdigest()}")
    else:
        from pytest_specbench.agents.models.usage import price_table_name

        own = loaded.scenario.model
        yield Fact("model", "price_table", price_table_name(own.prices if own and own.name == model else None))


def host_facts(settings: Settings) -> dict[str, Scalar]:
    """The host: its declared class, else one derived from what makes two hosts differ in speed."""
    derived: dict[str, Scalar] = {
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "cgroup": _cgroup_version(),
    }
    name = settings.host_class or ", ".join(f"{value}" for value in derived.values())
    return {"class": name, "declared": settings.host_class is not None, **derived}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def _cgroup_version() -> str:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "cgroup v2"
    return "cgroup v1" if Path("/sys/fs/cgroup/memory").exists() else "no cgroup"


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _hash(data: object, more: str = "") -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False) + "\n" + more
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
