"""A scenario that started has exactly one verdict, whatever becomes of its agent, its worker or its report."""

from __future__ import annotations

import pytest
from parity_support import benchmark_run
from scenario_files import SAID_OF_THE_DEAD, Project, said_of_the_dead

ACTOR = """
import os, sys, threading
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause

class Actor:
    name = "actor"
    version = "1"
    acts_freely = True
    trusted = True

    def __init__(self, does="nothing"):
        self.does = does
        if does == "breaks when made":
            raise KeyError("no such thing")

    def prepare(self, task): pass

    def configuration(self):
        return {"does": self.does, **({"what": object()} if self.does == "configures nonsense" else {})}

    def run(self, task, shell, journal):
        shell.run("echo made > result.txt")
        if self.does == "dies":
            os._exit(7)
        if self.does == "exits":
            sys.exit(0)
        if self.does == "interrupts":
            raise KeyboardInterrupt("from an agent")
        if self.does == "raises":
            raise type("Own", (BaseException,), {})("own kind")
        return {
            "nothing": lambda: AgentOutcome(),
            "returns nothing": lambda: None,
            "returns a text": lambda: "done",
            "returns a class": lambda: AgentOutcome,
            "claims nonsense": lambda: AgentOutcome(cause="fine"),
            "measures nonsense": lambda: AgentOutcome(usage={"steps": object()}),
            "measures no number": lambda: AgentOutcome(usage={"cost_usd": float("nan")}),
            "measures NaN": lambda: AgentOutcome(usage={"cost_usd": Measurement(value=float("nan"))}),
            "measures no text": lambda: AgentOutcome(exit_status="0"),
        }[self.does]()
"""


def actor(does: str) -> dict[str, object]:
    return {"name": "actors:Actor", "options": {"does": does}}


@pytest.fixture
def actors(project: Project) -> Project:
    """A project with an agent that can be told to misbehave."""
    project.module("actors", ACTOR)
    return project


class TestWorkerThatDies:
    def test_its_scenario_is_blocked_with_the_reason_and_others_keep_their_verdicts(self, actors: Project) -> None:
        actors.scenario("dies", agent=actor("dies"))
        actors.scenario("dies-too", agent=actor("dies"))
        for number in range(3):
            actors.scenario(f"good-{number}", agent=actor("nothing"))
        actors.file("conftest.py", SAID_OF_THE_DEAD)

        ran = actors.process("-n2")

        assert ran.code == 2
        for name in ("dies", "dies-too"):
            assert ran.judged(name) == ("blocked", "no_verdict")
            assert said_of_the_dead(actors, name) in ran.scenario(name)["notes"]
        for number in range(3):
            assert ran.judged(f"good-{number}") == ("provisional", "verified")
        assert ran.report["missing_verdicts"] == []
        assert ran.report["exit_reason"].startswith("2 blocked: dies")
        assert ran.report["summary"]["total"] == 5
        assert (ran.trial("dies") / "agent.cast").exists()
        assert benchmark_run(ran, "dies").exit_code == 2

    def test_without_a_new_worker_what_did_not_run_is_not_green(self, actors: Project) -> None:
        actors.scenario("dies", agent=actor("dies"))

        ran = actors.process("-n1", "--max-worker-restart=0")

        assert ran.verdict("dies") == ("blocked", "no_verdict", 2)


NONSENSE = [
    "exits",
    "interrupts",
    "raises",
    "returns nothing",
    "returns a text",
    "returns a class",
    "claims nonsense",
    "measures nonsense",
    "measures no number",
    "measures NaN",
    "measures no text",
    "breaks when made",
    "configures nonsense",
]


class TestAgentThatTalksNonsense:
    @pytest.mark.parametrize("does", NONSENSE)
    def test_it_never_passes_and_never_ends_the_session(self, actors: Project, does: str) -> None:
        actors.scenario("a-nonsense", agent=actor(does))
        actors.scenario("b-good", agent=actor("nothing"))

        ran = actors.run()

        assert ran.judged("b-good") == ("provisional", "verified")
        status, cause, code = ran.verdict("a-nonsense")
        assert (status, code) in {("regression", 1), ("blocked", 2)}
        assert cause not in {"verified", "metric_regression"}
        assert ran.scenario("a-nonsense")["notes"].strip()
        assert ran.report["interrupted"] is False
        assert ran.report["missing_verdicts"] == []


SWALLOWS = {
    "the attribute on its way": """
class Swallower:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report):
        report.__dict__.pop("specbench", None)
        return (yield)

def pytest_collection_finish(session):
    session.config.pluginmanager.register(Swallower())  # after everybody else, and so before them
""",
    "the attribute where it is made": """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.__dict__.pop("specbench", None)
    return report
""",
    "the benchmark run of the item": """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    yield
    item.benchmark_run = None
""",
    "the whole report": """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    return pytest.TestReport(report.nodeid, report.location, {}, "passed", None, report.when)
""",
    "the running": "def pytest_runtest_call(item): raise pytest.skip.Exception('not today')",
    "the protocol": """
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    return True
""",
}


class TestReportThatIsSwallowed:
    @pytest.mark.parametrize("hook", SWALLOWS.values(), ids=SWALLOWS)
    def test_a_plugin_that_swallows(self, project: Project, hook: str) -> None:
        project.file("conftest.py", f"import pytest\n{hook}\n")
        project.scenario()

        ran = project.run("-p", "no:cacheprovider")

        assert ran.verdict() == ("blocked", "no_verdict", 2)
        assert ran.report["exit_reason"] == "1 blocked: demo (no verdict)"

    def test_a_report_that_is_no_benchmark_run(self, project: Project) -> None:
        project.file(
            "conftest.py",
            """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        report.specbench = "{}"
    return report
""",
        )
        project.scenario()

        ran = project.process()

        assert ran.code not in {0, 5}

    def test_an_attribute_that_cannot_travel(self, either: Project) -> None:
        """Somebody else's property that xdist or a report cannot write down must not turn the run green."""
        either.file(
            "conftest.py",
            """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.somebodys = object()
    return report
""",
        )
        either.scenario(agent={"name": "nop"})

        ran = either.process(*([f"-n{either.workers}"] if either.workers else []), "--report-log=log.jsonl")

        assert ran.code != 0


class TestSkippedScenario:
    def test_a_scenario_that_is_skipped_is_not_green(self, project: Project) -> None:
        """A skip is not an approval: who does not want it deselects it."""
        project.file(
            "conftest.py",
            "import pytest\ndef pytest_collection_modifyitems(items): items[0].add_marker(pytest.mark.skip('later'))\n",
        )
        project.scenario()

        ran = project.run()

        assert ran.verdict() == ("blocked", "no_verdict", 2)


class TestReportThatCannotBeWritten:
    def test_it_is_not_green(self, project: Project) -> None:
        project.scenario()
        project.file("taken", "a file where the artifacts would go\n")

        ran = project.run("--specbench-output=taken")

        assert ran.code == 4
        assert "is no folder that can be written to" in ran.err + ran.out
