"""The tables of the documents say what the code does, no more and no less; every link leads somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.models.cassette import Cassette, CassetteReply, Entry, Expects
from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Status
from pytest_specbench.option_table import OPTIONS, Option
from pytest_specbench.sandboxes import SANDBOXES
from pytest_specbench.scenarios import model
from pytest_specbench.verifiers import CHECKS

PROJECT = Path(__file__).parent.parent
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def text_of(name: str) -> str:
    return (PROJECT / name).read_text("utf-8")


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", text_of(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading {heading!r}"
    return found.group(2)


def table_in(text: str) -> list[list[str]]:
    """The rows of the first table, without its head."""
    lines = dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows][2:]


# -- options ---------------------------------------------------------------------------------------------------------


def test_the_table_of_options_has_every_option_in_its_order() -> None:
    named = [row[0].strip("`").split()[0] for row in table_in(text_of("docs/options.md"))]
    assert named == [option.option for option in OPTIONS]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_is_described_as_it_is(option: Option) -> None:
    rows = {row[0].strip("`").split()[0]: row for row in table_in(text_of("docs/options.md"))}
    flag, ini, environment, default, meaning = rows[option.option]
    shown = option.option if option.flag or option.choices else f"{option.option} {option.metavar}"
    assert flag == f"`{shown}`"
    assert ini == f"`{option.ini}`"
    assert environment == (f"`{option.environment}`" if option.environment else "-")
    assert [choice for choice in option.choices if f"`{choice}`" not in f"{default} {meaning}"] == []
    value = next(field.default for field in fields(Settings) if field.name == option.field)
    assert value is not MISSING
    if value is False:
        assert default == "off"
    elif value is None or value == ():
        assert default
        assert "`" not in default or "registry.json" in default  # in words: there is no such value
    else:
        assert default == f"`{value}`"


@each_document
def test_every_option_and_ini_name_that_is_named_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    known = {option.option for option in OPTIONS} | {"--specbench-"}
    assert set(re.findall(r"--specbench-[a-z-]*", text)) <= known
    inis = {option.ini for option in OPTIONS}
    assert set(re.findall(r"^(specbench_\w+) = ", text, re.MULTILINE)) <= inis


@each_document
def test_every_environment_variable_that_is_named_is_read_or_set(document: Path) -> None:
    source = "\n".join(
        path.read_text("utf-8")
        for folder in ("pytest_specbench", "tests")
        for path in (PROJECT / folder).rglob("*.py")
        if not path.name.startswith("test_docs_")
    )
    named = set(re.findall(r"\bSPEC_?BENCH_[A-Z_]+\b", document.read_text("utf-8")))
    assert {name for name in named if name not in source} == set()


# -- the scenario format ---------------------------------------------------------------------------------------------

RECORDS = {
    "Scenario": model.Scenario,
    "`success`": model.SuccessCriterion,
    "`success_artifacts`": model.SuccessArtifact,
    "`runner`": model.Runner,
    "`runner.network`": model.PhaseNetworks,
    "`agent`": model.AgentDefaults,
    "`model`": model.ModelDefaults,
    "`model.prices`": model.Prices,
    "`allow`": model.AllowList,
    "`deadlines`": model.Deadlines,
    "`limits`": model.Limits,
    "`verification`": model.Verification,
    "`fixtures`, type `files`": model.FilesFixture,
    "`fixtures`, type `spec-kit`": model.SpecKitFixture,
    "`fixtures`, type `git`": model.GitFixture,
}


@pytest.mark.parametrize(("heading", "record"), RECORDS.items(), ids=[record.__name__ for record in RECORDS.values()])
def test_every_key_of_the_format_stands_there_with_its_default(heading: str, record: type[BaseModel]) -> None:
    rows = {row[0].strip("`"): row for row in table_in(section("docs/scenario-format.md", heading))}
    assert list(rows) == list(record.model_fields)
    for name, field in record.model_fields.items():
        _, default, meaning = rows[name]
        assert default == shown_default(field), f"{heading}: {name}"
        assert meaning, f"{heading}: {name} has no meaning"
        for choice in [value for value in get_args(field.annotation) if isinstance(value, str)]:
            assert f"`{choice}`" in meaning, f"{heading}: {name} does not say {choice!r}"


def shown_default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "see below" if isinstance(value, BaseModel) else f"`{json.dumps(value)}`"


def test_every_record_of_the_format_has_a_table() -> None:
    """A new record in the model needs a heading above."""
    there = {item for item in vars(model).values() if isinstance(item, type) and issubclass(item, model.Record)}
    assert there - {model.Record} == set(RECORDS.values())


@pytest.mark.parametrize("registry", [AGENTS, SANDBOXES, CHECKS], ids=lambda registry: registry.kind)
def test_every_name_that_comes_with_the_package_is_named(registry: Any) -> None:
    text = text_of("docs/scenario-format.md") + text_of("docs/sandboxes.md")
    assert [name for name in registry.builtin if f"`{name}`" not in text] == []


# -- cassettes, metrics, statuses --------------------------------------------------------------------------------------


def test_every_key_of_a_cassette_is_explained() -> None:
    text = section("docs/replay.md", "The format")
    records: list[type[BaseModel]] = [Cassette, Entry, Expects, CassetteReply]
    names = {name for record in records for name in record.model_fields}
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()


def test_every_metric_stands_there_with_its_unit() -> None:
    rows = table_in(section("docs/artifacts.md", "Unknown is null"))
    assert {row[0].strip("`"): row[1] for row in rows} == {name: kind.unit for name, kind in METRICS.items()}


def test_every_status_stands_in_the_readme() -> None:
    rows = table_in(section("README.md", "Status and exit code"))
    assert {row[0].strip("`") for row in rows} == {str(status) for status in Status}


# -- links -------------------------------------------------------------------------------------------------------------


@each_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]*(?:#[^)]*)?)\)", document.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{document.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in [anchor_of(heading) for heading in headings], f"{document.name}: {target}"


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_leads_to_every_document() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)\)", text_of("README.md")))
    assert linked == {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").glob("*.md")}


@each_document
def test_a_document_names_no_place_of_one_machine(document: Path) -> None:
    assert re.findall(r"(?:/home/|/Users/|/root/|/tmp/)\S*", document.read_text("utf-8")) == []


@each_document
def test_every_file_of_the_project_that_is_named_is_there(document: Path) -> None:
    named = re.findall(r"`((?:pytest_specbench|benchmarks|tests|docs)/[\w/.-]+)`", document.read_text("utf-8"))
    tutorial = {"benchmarks/notes.scenario.yaml", "benchmarks/requirements.txt"}  # the reader, or init, makes it
    assert [name for name in named if name not in tutorial and not (PROJECT / name).exists()] == []
