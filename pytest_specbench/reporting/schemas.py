"""The JSON Schemas of what is written, made from the models and shipped beside this module in `schema/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_specbench.core.model import Record
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.reporting.report import Report
from pytest_specbench.reporting.summary import SummaryReport

SCHEMAS: Mapping[str, type[Record]] = {
    "report.schema.json": Report,
    "benchmark_run.schema.json": BenchmarkRun,
    "summary_report.schema.json": SummaryReport,
}
"""File name -> the record that the schema describes."""


def report_schema() -> dict[str, Any]:
    """The schema of report.json, made from the models."""
    return make_schema("report.schema.json")


def make_schema(name: str) -> dict[str, Any]:
    """The schema called `name`, made from its model as the record is written: every field is there."""
    schema = SCHEMAS[name].model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def shipped_schema(name: str) -> dict[str, Any]:
    """The schema called `name` as it ships in the package."""
    text = (files("pytest_specbench.reporting") / "schema" / name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_schemas(folder: Path) -> None:
    """Write every schema into the folder; for the developer who changed a record."""
    for name in SCHEMAS:
        (folder / name).write_text(json.dumps(make_schema(name), indent=2) + "\n", encoding="utf-8")
