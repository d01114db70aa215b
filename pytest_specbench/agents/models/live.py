"""A live model through LiteLLM: one request at a time, repeats of our own, everything bounded by the deadline."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pytest_specbench.agents.models.base import MALFORMED_ARGUMENTS, ModelReply, ModelRequest
from pytest_specbench.agents.models.failures import ProviderFault, classify, missing_key, unknown_model
from pytest_specbench.agents.models.usage import read_usage
from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import (
    AgentError,
    AgentStoppedError,
    BlockedError,
    InfrastructureError,
    SpecbenchError,
)
from pytest_specbench.core.json_text import parse_json
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import ToolCall
from pytest_specbench.scenarios.model import ModelDefaults

FIRST_PAUSE_SEC = 1.0
LONGEST_PAUSE_SEC = 60.0
_GRACE_SEC = 5.0  # the HTTP client's own timeout should win: it closes the connection
_TIMER_SLACK_SEC = 0.1
_MAX_DEPTH = 20
_MAX_INTEGER = 10**18
"""What a tool call's arguments may hold; no tool of ours takes any such thing."""


def import_litellm() -> Any:
    """LiteLLM, quiet and off line. Raises BlockedError(DEPENDENCY_MISSING) where it cannot be imported."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or the import fetches prices from the network
    try:
        litellm: Any = importlib.import_module("litellm")
    except ImportError as error:
        raise BlockedError(
            f"LiteLLM cannot be imported: {error}",
            cause=Cause.DEPENDENCY_MISSING,
            hint="python -m pip install litellm",
        ) from error
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm


class LiveModel:
    """A `ModelClient` that asks a provider.

    The constructor imports LiteLLM and raises BlockedError for an unknown model or a missing key. `api_base` and the
    rest come from `defaults`; without a key, an `api_base` gets a dummy one.
    """

    live = True

    def __init__(self, name: str, defaults: ModelDefaults | None = None) -> None:
        self.name = name
        self._defaults = defaults or ModelDefaults(name=name)
        self._litellm = import_litellm()
        self._redactor = Redactor.from_environment((), os.environ)
        self._cancelled = threading.Event()
        self._key_names: tuple[str, ...] = ()
        self._api_key = self._find_key()

    def complete(self, request: ModelRequest) -> ModelReply:
        started = time.monotonic()
        fault: ProviderFault | None = None
        for attempt in range(self._defaults.retries + 1):
            if fault is not None:
                self._pause(_pause_sec(attempt, fault), request, fault)
            outcome = self._attempt(request)
            if not isinstance(outcome, ProviderFault):
                return replace(outcome, wait_ms=(time.monotonic() - started) * 1000)
            fault = outcome
            if attempt == 0 and time.monotonic() >= request.deadline - _TIMER_SLACK_SEC:
                raise AgentStoppedError("the phase ended while the model was answering")
        message = fault.message if fault else "no attempt was made"
        raise self._provider_failed(f"no reply after {self._defaults.retries + 1} attempts: {message}")

    def finish(self, *, content: bool) -> None:
        """Nothing is left over."""

    def close(self) -> None:
        self._cancelled.set()

    def _attempt(self, request: ModelRequest) -> ModelReply | ProviderFault:
        """One request. Raises what a repeat would not mend."""
        remaining = request.deadline - time.monotonic()
        if remaining <= 0 or self._cancelled.is_set():
            raise AgentStoppedError("the phase is over")
        timeout = min(self._defaults.request_timeout_sec, remaining)
        try:
            # In a thread: an HTTP timeout bounds single reads only, not an answer that trickles in.
            longest = timeout + min(_GRACE_SEC, remaining - timeout)
            return self._read(run_bounded(lambda: self._ask(request, timeout), longest, phase="model"))
        except SpecbenchError:
            raise
        except DeadlineExceededError:
            return ProviderFault(f"no complete reply within {timeout:.0f} s")
        except Exception as error:  # LiteLLM lets through whatever its provider modules raise
            kind = classify(error, model=self.name, key_names=self._key_names)
            if isinstance(kind, SpecbenchError):
                kind.message = self._redactor.text(kind.message)
                raise kind from error
            return replace(kind, message=self._redactor.text(kind.message))

    def _ask(self, request: ModelRequest, timeout: float) -> Any:
        options: dict[str, Any] = dict(self._defaults.parameters)
        if request.tools:
            options["tools"] = list(request.tools)
        return self._litellm.completion(
            model=self.name,
            messages=[dict(message) for message in request.messages],
            api_base=self._defaults.api_base,
            api_key=self._api_key,
            timeout=timeout,
            num_retries=0,
            max_retries=0,
            **options,
        )

    def _read(self, response: Any) -> ModelReply | ProviderFault:
        choices = getattr(response, "choices", None)
        if not choices:
            return ProviderFault("the reply has no choices")
        choice = choices[0]
        message = choice.message
        refusal = _refusal(message)
        if refusal or choice.finish_reason == "content_filter":
            raise AgentError(f"the model refused: {refusal or 'content filter'}", cause=Cause.AGENT_GAVE_UP)
        usage = read_usage(response, model=self.name, prices=self._defaults.prices, litellm=self._litellm)
        return ModelReply(
            content=_whole(message.content or ""),
            reasoning=_whole(getattr(message, "reasoning_content", None)),
            tool_calls=_tool_calls(message.tool_calls or ()),
            usage=usage,
            model_name=response.model or self.name,
            finish_reason=choice.finish_reason or "stop",
        )

    def _pause(self, seconds: float, request: ModelRequest, fault: ProviderFault) -> None:
        remaining = request.deadline - time.monotonic()
        if seconds >= remaining:
            raise self._provider_failed(
                f"{fault.message}; a repeat in {seconds:.1f} s would come after the deadline in {remaining:.1f} s"
            )
        if self._cancelled.wait(seconds):
            raise AgentStoppedError("the phase is over")

    def _provider_failed(self, message: str) -> InfrastructureError:
        where = self._defaults.api_base or "the provider"
        return InfrastructureError(
            f"model {self.name!r} at {where}: {message}",
            cause=Cause.PROVIDER_FAILED,
            hint="run again later, or raise the model's retries or request_timeout_sec in the scenario",
        )

    def _find_key(self) -> str | None:
        """The key to pass: null lets LiteLLM take its own from the environment."""
        try:
            self._litellm.get_llm_provider(self.name)
        except Exception as error:
            raise unknown_model(self.name, error) from error
        found = self._litellm.validate_environment(self.name)
        # other variables than keys may come from elsewhere, such as cloud profiles: only a request can tell
        missing = tuple(name for name in found["missing_keys"] if name.endswith("_API_KEY"))
        self._key_names = missing or self._guess_key_names()
        if not missing:
            return None
        if self._defaults.api_base:
            return "not-needed"
        raise missing_key(self.name, missing, f"no key for the model {self.name!r}")

    def _guess_key_names(self) -> tuple[str, ...]:
        _, provider, *_ = self._litellm.get_llm_provider(self.name)
        name = f"{str(provider).upper().replace('-', '_')}_API_KEY"
        return (name,)


def _pause_sec(attempt: int, fault: ProviderFault) -> float:
    """Seconds before repeat number `attempt`: what the provider asks for, else doubling with jitter."""
    if fault.retry_after is not None and math.isfinite(fault.retry_after):
        return fault.retry_after
    longest = min(LONGEST_PAUSE_SEC, FIRST_PAUSE_SEC * 2 ** (attempt - 1))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret


def _refusal(message: Any) -> str | None:
    """What the model says instead of an answer. LiteLLM keeps the API's field, or moves it to the provider's own."""
    own = getattr(message, "provider_specific_fields", None) or {}
    return getattr(message, "refusal", None) or own.get("refusal")


def _tool_calls(calls: Sequence[Any]) -> tuple[ToolCall, ...]:
    """The calls as ours. Ids are made unique; arguments that are not a JSON object stay text, for the model to see."""
    made: dict[str, ToolCall] = {}
    again: dict[str, Iterator[int]] = {}
    for number, call in enumerate(calls, 1):
        given = call_id = _whole(call.id) or f"call_{number}"
        while call_id in made:
            call_id = f"{given}-{next(again.setdefault(given, itertools.count(2)))}"
        made[call_id] = ToolCall(call_id, _whole(call.function.name or ""), _arguments(_whole(call.function.arguments)))
    return tuple(made.values())


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = parse_json(text.encode()) if text else {}
    except ValueError:
        arguments = None
    return arguments if isinstance(arguments, dict) and _can_be_kept(arguments) else {MALFORMED_ARGUMENTS: text}


def _can_be_kept(value: Any, depth: int = 0) -> bool:
    """Whether a cassette takes it and gives it back: it has limits for what it reads."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return depth < _MAX_DEPTH and all(_can_be_kept(each, depth + 1) for each in inside)
    return not isinstance(value, int) or abs(value) < _MAX_INTEGER


def _whole(text: Any) -> Any:
    """Text with each half of a character replaced, as it may come in JSON: nothing can write it down or send it on."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text
