"""The scenario: the validated, frozen form of a `*.scenario.yaml` file. The JSON Schema is made from these models."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from pytest_specbench.core.metrics import DEFAULT_TRACKED, METRICS
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.scenarios.forms import (
    BRANCH,
    DATASET,
    FIXTURE_NAME,
    INSIDE,
    NOT_PARAMETERS,
    ONE_LINE,
    SCENARIO_ID,
    SHORT_METRICS,
    SOURCE,
    USER,
    VARIABLE,
    WORKDIR,
    distinct,
    distinct_metrics,
    git_branch,
    inside,
    metric,
    parameter,
    plain_workdir,
    source,
)


def _any_of_metrics(schema: dict[str, Any]) -> None:
    schema["enum"] = [*METRICS, *SHORT_METRICS]


def _text_or_mapping(schema: dict[str, Any]) -> None:
    reference = {"$ref": schema.pop("$ref")} if "$ref" in schema else schema.pop("allOf")[0]
    schema["anyOf"] = [{"type": "string", "enum": list(get_args(Network))}, reference]


RelativePath = Annotated[
    str,
    AfterValidator(inside),
    Field(json_schema_extra={"pattern": INSIDE}),
]
SourcePath = Annotated[
    str,
    AfterValidator(source),
    Field(json_schema_extra={"pattern": SOURCE}),
]
MetricName = Annotated[str, AfterValidator(metric), Field(json_schema_extra=_any_of_metrics)]
Name = Annotated[str, StringConstraints(max_length=200, pattern=ONE_LINE)]
ParameterName = Annotated[str, AfterValidator(parameter)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
FixtureName = Annotated[str, StringConstraints(pattern=FIXTURE_NAME)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Network = Literal["none", "bridge"]
Subject = Literal["agent", "model", "runner_image", "fixtures"]


class FilesFixture(Record):
    """Files or folders of the repository that are copied into the workdir."""

    type: Literal["files"]
    source: SourcePath
    """File or folder, relative to the scenario file, anywhere in its repository; a folder's content is copied, without
    `.git`.
    """
    target: RelativePath = "."
    """Folder that it goes into, relative to the workdir; made if needed."""


class SpecKitFixture(Record):
    """A project tree made by the real Spec Kit, offline (needs the `spec-kit` extra)."""

    type: Literal["spec-kit"]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+!-]+$")] | None = None
    """Exact specify-cli version that must be installed; null accepts any and records which."""
    target: RelativePath = "."
    """Where the tree goes, relative to the workdir."""


class GitFixture(Record):
    """A git repository in the workdir with one commit that holds everything there at that point."""

    type: Literal["git"]
    target: RelativePath = "."
    """Folder that becomes the repository, relative to the workdir."""
    branch: Annotated[str, StringConstraints(pattern=BRANCH), AfterValidator(git_branch)] = "main"
    """Name of its branch."""


Fixture = Annotated[FilesFixture | SpecKitFixture | GitFixture, Field(discriminator="type")]


class SuccessArtifact(Record):
    """A file that must exist in the workdir when the agent is done."""

    path: RelativePath
    """Glob relative to the workdir; `*` does not cross folders, `**` does."""
    check: Name | None = None
    """Named check that every match must pass; null: it must exist and hold something."""


class PhaseNetworks(Record):
    """The network of each phase."""

    setup: Network = "none"
    """While fixtures are put in place."""
    agent: Network = "none"
    """While the agent acts."""
    verification: Network = "none"
    """While the verifier runs."""


def _every_phase(value: object) -> object:
    return {"setup": value, "agent": value, "verification": value} if isinstance(value, str) else value


class Runner(Record):
    """The sandbox that the scenario asks for."""

    image: Name = RUNNER_IMAGE
    """Image name, with tag or digest."""
    pin: Literal["digest", "recipe"] = "digest"
    """What the lock file pins: the image's identity, or the recipe it was built from."""
    cpus: Annotated[float, Field(gt=0, le=1024)] = 1.0
    """CPUs; more than the host has blocks the run."""
    memory_mb: Annotated[int, Field(ge=16, le=64_000_000)] = 512
    """Memory limit in MB (1,000,000 bytes); swap is not added to it."""
    pids: Annotated[int, Field(ge=16, le=4_000_000)] = 512
    """Most processes and threads at a time."""
    network: Annotated[PhaseNetworks, BeforeValidator(_every_phase), Field(json_schema_extra=_text_or_mapping)] = (
        PhaseNetworks()
    )
    """`none` or `bridge` for all phases, or a mapping of phases."""
    workdir: Annotated[str, StringConstraints(pattern=WORKDIR), AfterValidator(plain_workdir)] = "/work"
    """Where the agent starts, in a sandbox that has its own file system."""
    user: Annotated[str, StringConstraints(pattern=USER)] | None = None
    """Who acts inside the container; null: the image's own user."""


class AgentDefaults(Record):
    """Who acts, unless the command line says otherwise."""

    name: Name = "spec-kit-orchestrator"
    """Registered agent or `module:Class`."""
    options: dict[str, Scalar] = Field(default_factory=dict)
    """What the agent takes; each agent refuses what it does not know. `command` takes `command`."""


class ModelDefaults(Record):
    """The downstream model, unless the command line says otherwise."""

    name: Name
    """LiteLLM model name, or `replay:CASSETTE` with a path relative to the scenario file."""
    api_base: Name | None = None
    """Endpoint of an OpenAI-compatible server; null: the provider's own."""
    parameters: dict[ParameterName, Scalar] = Field(
        default_factory=dict, json_schema_extra={"propertyNames": {"not": {"enum": [*NOT_PARAMETERS]}}}
    )
    """Passed to the provider, for example `temperature`."""
    request_timeout_sec: Seconds = 120.0
    """Longest wait for one reply; the phase's deadline cuts it shorter."""
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    """Repeats of a request after 429, 5xx or a broken connection."""
    prices: Prices | None = None
    """Prices to reckon cost with; null: those of the installed LiteLLM, whose version is recorded."""


class Prices(Record):
    """A pinned price table, in USD for a million tokens."""

    input: Annotated[float, Field(ge=0)]
    """Prompt tokens."""
    output: Annotated[float, Field(ge=0)]
    """Completion tokens."""
    cached: Annotated[float, Field(ge=0)] | None = None
    """Cached prompt tokens; null: as `input`."""


class Deadlines(Record):
    """How long each phase may take, really enforced."""

    setup_sec: Seconds = 60.0
    """Sandbox up and fixtures in place."""
    agent_sec: Seconds = 600.0
    """The agent acts."""
    verification_sec: Seconds = 120.0
    """The verifiers check."""
    teardown_sec: Seconds = 30.0
    """The sandbox is removed."""


class Limits(Record):
    """What the agent may use up; null: no limit but the deadline."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Model replies in all stages together."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Prompt and completion tokens together."""
    cost_usd: Annotated[float, Field(gt=0)] | None = None
    """Cost in USD."""
    command_sec: Seconds = 120.0
    """Longest single command."""


class Verification(Record):
    """A command that runs in the sandbox after the agent is dead; exit status 0 is yes."""

    command: Annotated[str, StringConstraints(min_length=1)]
    """Run by `sh -c` in the workdir."""
    files: RelativePath | None = None
    """File or folder beside the scenario that arrives in `target` only now."""
    target: RelativePath = ".verification"
    """Where `files` go, relative to the workdir; removed first if the agent made it."""


class SuccessCriterion(Record):
    """When a scenario that does not succeed every time passes: by the share of its trials."""

    min_rate: Annotated[float, Field(gt=0, le=1)]
    """Share of the trials that must succeed."""
    trials: Annotated[int, Field(ge=2, le=1000)]
    """How many trials make a benchmark run; takes the place of the scenario's `trials`."""


class AllowList(Record):
    """What an agent may run in the `trusted` approval mode, and what it may never run."""

    commands: tuple[str, ...] = ()
    """Globs over a command's words, with `*` and `?`."""
    deny: tuple[str, ...] = ()
    """Globs that are refused in every mode."""


RUN_FILES = (".json", ".jsonl", ".md", ".txt", ".xml", ".html")
"""What the names of files in a run folder end in."""


class Scenario(Record):
    """One benchmark scenario. Keys are those of the data model, and what it takes to run and to judge it."""

    scenario_id: Annotated[str, StringConstraints(pattern=SCENARIO_ID)]
    """Unique in a session; baselines are keyed on it."""
    display_name: Name
    """Title for people."""
    command_path: Name
    """The workflow command, for example `/specify`, or a chain, `/specify -> /plan -> /tasks -> execute`."""
    prerequisites: Annotated[tuple[FixtureName, ...], AfterValidator(distinct)] = ()
    """Names of `fixtures`, put in place in this order."""
    success_artifacts: tuple[SuccessArtifact, ...] = ()
    """What must be there in the end. Without these, `verification` is required."""
    metrics_tracked: Annotated[tuple[MetricName, ...], Field(min_length=1), AfterValidator(distinct)] = DEFAULT_TRACKED
    """The metrics that the gate looks at."""
    owner_rotation: Name
    """Who is to be alerted."""
    provisional: bool = False
    """It has no baseline yet, on purpose; `specbench validate --strict` asks for either."""
    registry_version: Annotated[str, StringConstraints(max_length=200, pattern=DATASET)]
    """The dataset that the scenario belongs to, `NAME==VERSION`."""
    instruction: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
    """What the agent is told."""
    subject: Annotated[tuple[Subject, ...], Field(min_length=1), AfterValidator(distinct)] = ("agent",)
    """The fields that are under test and may differ from the baseline's: agent, model, runner_image, fixtures."""
    runner: Runner = Runner()
    """The sandbox."""
    agent: AgentDefaults = Field(default_factory=AgentDefaults)
    """Who acts."""
    model: ModelDefaults | None = None
    """The downstream model; null where the agent needs none, or the command line names it."""
    approval_mode: Literal["minimal", "trusted", "full-access"] = "minimal"
    """What the agent needs to be allowed; the run is blocked when the invocation grants less."""
    allow: AllowList = AllowList()
    """Commands allowed in `trusted` mode, and commands denied in all."""
    deadlines: Deadlines = Deadlines()
    """Deadline of each phase."""
    limits: Limits = Limits()
    """Steps, tokens, cost."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many trials make a benchmark run."""
    success: SuccessCriterion | None = None
    """For an agent that does not succeed every time; null: every trial must succeed."""
    thresholds: Annotated[dict[MetricName, Annotated[float, Field(ge=0)]], BeforeValidator(distinct_metrics)] = Field(
        default_factory=dict
    )
    """Percent over the baseline at which a metric is a regression."""
    fixtures: dict[FixtureName, Fixture] = Field(default_factory=dict)
    """Named fixtures."""
    verification: Verification | None = None
    """The verification command."""
    solution: RelativePath | None = None
    """Script beside the scenario that the `oracle` agent runs."""
    environment: dict[Variable, str] = Field(default_factory=dict)
    """Variables inside the sandbox."""
    secrets: Annotated[tuple[Variable, ...], AfterValidator(distinct)] = ()
    """Host variables passed into the agent phase; their values never reach an artifact."""
    terminal_size: tuple[Annotated[int, Field(ge=20, le=500)], Annotated[int, Field(ge=5, le=300)]] = (120, 40)
    """Columns and rows of the recording."""

    @model_validator(mode="after")
    def _own_folder(self) -> Scenario:
        if self.scenario_id.endswith(RUN_FILES):
            raise ValueError(
                f"scenario_id must not end in {', '.join(RUN_FILES)}: files of the run folder are called so"
            )
        return self

    @model_validator(mode="after")
    def _can_fail(self) -> Scenario:
        if not self.success_artifacts and self.verification is None:
            raise ValueError("needs success_artifacts or verification: a scenario that checks nothing cannot fail")
        return self

    @model_validator(mode="after")
    def _trials_are_counted_once(self) -> Scenario:
        if self.success is not None and "trials" in self.model_fields_set:
            raise ValueError("trials is given twice: leave it out, success.trials says how many there are")
        return self

    @property
    def trials_wanted(self) -> int:
        """How many trials make a benchmark run."""
        return self.trials if self.success is None else self.success.trials

    @model_validator(mode="after")
    def _secrets_are_not_written_down(self) -> Scenario:
        both = [name for name in self.secrets if name in self.environment]
        if both:
            raise ValueError(f"{both[0]} is both in secrets and in environment: a secret's value comes from the host")
        return self


SUBJECTS: tuple[str, ...] = get_args(Subject)
"""The parties to a comparison that a scenario may put under test."""

DATASET_REFERENCE = re.compile(r"^(?P<name>[^=@]+)(?:(?:==|@)(?P<version>.+))?$")
"""`NAME`, `NAME==VERSION` or `NAME@VERSION`."""

ModelDefaults.model_rebuild()
