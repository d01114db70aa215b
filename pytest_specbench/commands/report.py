"""`specbench report`: the latest benchmark run of each scenario, or the scenarios of one run."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    report = commands.add_parser("report", help="show the latest run of each scenario, or one run")
    report.add_argument("--run", metavar="RUN", help="a run's id, 8 characters of it, its folder, or latest")
    report.add_argument("--dataset", metavar="REF", help="only this dataset: NAME, NAME==VERSION or NAME@VERSION")
    report.add_argument("--format", choices=("table", "json", "markdown"), default="table", help="what is printed")
    report.add_argument("--deltas", action="store_true", help="every metric against its baseline, and what changed")
    report.add_argument("--output", metavar="PATH", help="root folder of the artifacts (default: .terminalbench)")
    report.add_argument("--baselines", metavar="PATH", help="folder of the baselines (default: baselines)")
    report.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    from pytest_specbench.commands.summary import run

    return run(arguments)
