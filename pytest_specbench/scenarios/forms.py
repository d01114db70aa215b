"""The forms that texts in a scenario have: patterns, what they ask for in words, and rules that no pattern can say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pytest_specbench.core.metrics import METRICS

SCENARIO_ID = r"^[a-z0-9][a-z0-9._-]{0,99}$"
FIXTURE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
DATASET = r"^[^\s=@]+((==|@)[^\s=@]+)?$"
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
ONE_LINE = rf"^[^{_UNSEEN}]*[^\x20{_UNSEEN}][^{_UNSEEN}]*$"
WORKDIR = r"^/[A-Za-z0-9._/-]+$"
USER = r"^[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)?$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
BRANCH = r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9_-])?$"

FORMS: Mapping[str, str] = {
    SCENARIO_ID: "1 to 100 lower-case letters, digits, '.', '_' and '-', beginning with a letter or a digit",
    FIXTURE_NAME: "1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or a digit",
    DATASET: "NAME==VERSION",
    ONE_LINE: "one line of text that is not blank",
    WORKDIR: "an absolute path of letters, digits, '.', '_', '-' and '/'",
    USER: "a user, or user:group, of letters, digits, '.', '_' and '-'",
    VARIABLE: "a variable's name: letters, digits and '_', not beginning with a digit",
    BRANCH: "a branch name of letters, digits, '.', '_', '-' and '/'",
}
"""What each pattern asks for, in words, for the errors of the loader."""

SHORT_METRICS: Mapping[str, str] = {
    "runtime": "runtime_ms",
    "peak_memory": "peak_memory_mb",
    "memory": "peak_memory_mb",
}
"""Short forms of metric names that a scenario may use."""


INSIDE = rf"^(?!/)(?!(.*/)?\.\.(/|$))[^\\{_UNSEEN}]+$"
_inside = re.compile(INSIDE).match
SOURCE = rf"^(\.\./)*(?!/)(?!(.*/)?\.\.(/|$))[^\\{_UNSEEN}]+$"
_source = re.compile(SOURCE).match


def inside(path: str) -> str:
    """A relative path that stays in its folder; raises ValueError for any other."""
    if not _inside(path) or path[-1] == "\n":
        raise ValueError("must be a relative path that stays inside its folder (no '..', no leading '/')")
    return path


def source(path: str) -> str:
    """A relative path that may begin with '../'; raises ValueError for any other."""
    if not _source(path) or path[-1] == "\n":
        raise ValueError("must be a relative path (no leading '/'), with '..' at its beginning only, before a name")
    return path


def metric(name: str) -> str:
    """A metric's name; `runtime`, `peak_memory` and `memory` are accepted as short forms."""
    full = SHORT_METRICS.get(name, name)
    if full not in METRICS:
        raise ValueError(f"must be one of {', '.join(METRICS)}")
    return full


def git_branch(name: str) -> str:
    """A name that git takes for a branch."""
    if ".." in name or "//" in name or "/." in name or name.endswith(".lock") or ".lock/" in name:
        raise ValueError("must be a branch name that git accepts (no '..', '//', '/.' or '.lock')")
    return name


_NOT_PASSED_ON: Mapping[str, Sequence[str]] = {
    "`name` says which model": (
        *("model", "base_model", "model_list", "model_alias_map", "deployment_id", "azure", "custom_llm_provider"),
        *("fallbacks", "hf_model_name", "use_litellm_proxy"),
    ),
    "`api_base` beside it says where": ("api_base", "base_url"),
    "a key comes from the environment": ("api_key", "litellm_credential_name", "azure_ad_token", "client_secret"),
    "`request_timeout_sec` beside it says how long": ("timeout", "request_timeout", "stream_timeout"),
    "`retries` beside it says how often": ("num_retries", "max_retries", "retry_policy", "retry_strategy"),
    "`prices` beside it says what it costs": ("input_cost_per_token", "output_cost_per_token"),
    "the agent makes the request": (
        *("messages", "tools", "functions", "stream", "stream_options", "n", "litellm_system_prompt", "prompt_id"),
        *("acompletion", "atext_completion", "client", "litellm_logging_obj", "model_info", "metadata", "headers"),
        *("ssl_verify",),
    ),
    "the model must be asked": ("mock_response", "mock_tool_calls", "mock_timeout", "caching", "cache"),
}
"""What LiteLLM takes for itself, by what says it instead."""
NOT_PARAMETERS = tuple(name for names in _NOT_PASSED_ON.values() for name in names)


def parameter(name: str) -> str:
    """A parameter of the provider's, and none that says who is asked, how often, or that nobody is."""
    for instead, names in _NOT_PASSED_ON.items():
        if name in names:
            raise ValueError(f"must be what the provider takes, such as temperature; {instead}")
    return name


def plain_workdir(path: str) -> str:
    """An absolute path without detours."""
    if ".." in PurePosixPath(path).parts:
        raise ValueError("must be an absolute path without '..'")
    return path


def distinct(values: Sequence[str]) -> Sequence[str]:
    """Every value once."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"must be each name once; {value!r} is there twice")
        seen.add(value)
    return values


def distinct_metrics(thresholds: object) -> object:
    """A metric given under its name and under its short form too would silently lose one of its thresholds."""
    if isinstance(thresholds, dict):
        distinct([SHORT_METRICS.get(name, name) for name in thresholds if isinstance(name, str)])
    return thresholds
