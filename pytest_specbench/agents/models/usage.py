"""Usage of a reply as the provider reported it, and its cost by a price table. The unknown is null with a reason."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

from pytest_specbench.recording.journal import StepUsage
from pytest_specbench.scenarios.model import Prices


def price_table_name(prices: Prices | None) -> str:
    """The price table that costs are reckoned with: the scenario's own, or LiteLLM's with its version."""
    if prices is None:
        return f"litellm {version('litellm')}"
    return f"scenario input={prices.input} output={prices.output} cached={prices.cached} USD/Mtoken"


def read_usage(response: Any, *, model: str, prices: Prices | None, litellm: Any) -> StepUsage:
    """The usage of a LiteLLM response. `model` is the name that was asked for, `litellm` the imported module."""
    usage = getattr(response, "usage", None)
    tokens_in, tokens_out = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    extra: dict[str, Any] = {"price_table": price_table_name(prices)}
    if not tokens_in:  # LiteLLM turns a missing block into zeros; a request without a prompt token does not exist
        reason = "the provider reported no usage"
        return StepUsage(extra={**extra, "usage_reason": reason, "cost_reason": reason})
    cached = _cached_tokens(usage)
    cost, why = _cost(response, (tokens_in, tokens_out, cached), model=model, prices=prices, litellm=litellm)
    if cached is None:
        extra["cached_reason"] = "the provider reported no cached tokens"
    if why:
        extra["cost_reason"] = why
    return StepUsage(tokens_in, tokens_out, cached, cost, extra)


def _count(block: Any, name: str) -> int | None:
    value = getattr(block, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cached_tokens(usage: Any) -> int | None:
    details = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
    return details if details is not None else _count(usage, "cache_read_input_tokens")


def _cost(
    response: Any, tokens: tuple[int, int | None, int | None], *, model: str, prices: Prices | None, litellm: Any
) -> tuple[float | None, str | None]:
    """Cost in USD, or null and why."""
    tokens_in, tokens_out, cached = tokens
    if tokens_out is None:
        return None, "the provider reported no completion tokens"
    if prices is not None:
        if prices.cached is None:
            return (tokens_in * prices.input + tokens_out * prices.output) / 1e6, None
        if cached is None:
            return None, "cached tokens have a price of their own, and the provider reported none"
        uncached = max(tokens_in - cached, 0)
        return (uncached * prices.input + cached * prices.cached + tokens_out * prices.output) / 1e6, None
    name = _priced_name(model, litellm)
    if name is None:
        return None, f"LiteLLM's price table has no price for {model!r}"
    try:
        cost = litellm.completion_cost(completion_response=response, model=name)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in there, the cost is unknown and the reply is not
        return None, f"LiteLLM could not reckon the cost: {type(error).__name__}"
    if not isinstance(cost, (int, float)) or not math.isfinite(cost) or cost < 0:
        return None, "LiteLLM gave no usable cost"
    return float(cost), None


def _priced_name(model: str, litellm: Any) -> str | None:
    """The name under which the table has prices for both prompt and completion tokens."""
    provider, _, bare = model.partition("/")
    for name in (model, bare):
        row = litellm.model_cost.get(name) if name else None
        if not row or (name == bare and row.get("litellm_provider") != provider):
            continue  # a model of the same name elsewhere has another price
        if row.get("input_cost_per_token") is not None and row.get("output_cost_per_token") is not None:
            return name
    return None
