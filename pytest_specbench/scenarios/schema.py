"""The JSON Schema of the scenario format, made from the models. Editors complete and check scenario files with it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from pytest_specbench.scenarios.model import Scenario

SCHEMA_FILE = "scenario.schema.json"


def scenario_schema() -> dict[str, Any]:
    """The schema, draft 2020-12, of the form; names that must fit together, and files, are the loader's to check."""
    schema = Scenario.model_json_schema(mode="validation")
    for model in (schema, *schema["$defs"].values()):
        for field in model.get("properties", {}).values():
            _close(field)
    schema["anyOf"] = [
        {"required": ["success_artifacts"], "properties": {"success_artifacts": {"minItems": 1}}},
        {"required": ["verification"], "properties": {"verification": {"not": {"type": "null"}}}},
    ]
    counted = {"required": ["success"], "properties": {"success": {"not": {"type": "null"}}}}
    schema["not"] = {"allOf": [counted, {"required": ["trials"]}]}
    schema["title"] = "pytest-specbench scenario"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def shipped_schema() -> str:
    """The text of the file that ships in the package."""
    return files("pytest_specbench.scenarios").joinpath("schema", SCHEMA_FILE).read_text("utf-8")


def _close(field: dict[str, Any]) -> None:
    """A mapping whose keys have a form takes no others; pydantic states the form and leaves the mapping open."""
    if "patternProperties" in field:
        field["additionalProperties"] = False
