"""What a provider's error means: worth a repeat, ours to configure, the agent's doing, or the provider's fault."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from pytest_specbench.core.errors import AgentError, BlockedError, SpecbenchError
from pytest_specbench.core.status import Cause

_POLICY = re.compile(r"content[_ ](?:policy|filter)", re.IGNORECASE)
_REPEATABLE_STATUS = frozenset({408, 409, 425, 429})
_MAX_MESSAGE = 500


@dataclass(frozen=True)
class ProviderFault:
    """A passing fault: the request may be repeated. `retry_after` is the provider's wish in seconds."""

    message: str
    retry_after: float | None = None


def classify(error: Exception, *, model: str, key_names: tuple[str, ...]) -> SpecbenchError | ProviderFault:
    """Turn an exception of LiteLLM into ours, or into a fault that may pass. Never raises."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    message = f"{kind}: {_short(error)}"
    if kind == "ContextWindowExceededError":
        return AgentError(f"the conversation outgrew the model's context: {message}", cause=Cause.TOKEN_LIMIT)
    details = f"{error} {getattr(error, 'body', None)}"
    if kind == "ContentPolicyViolationError" or (status == 400 and _POLICY.search(details)):
        return AgentError(f"the provider refused the content: {message}", cause=Cause.AGENT_GAVE_UP)
    if status in {401, 403}:
        return missing_key(model, key_names, f"the provider refuses the key: {message}")
    if isinstance(status, int) and 400 <= status < 500 and status not in _REPEATABLE_STATUS:
        return BlockedError(
            f"the provider refuses the request for model {model!r} (HTTP {status}): {message}",
            cause=Cause.CONFIGURATION,
            expected="a model that the provider serves, with parameters that it takes, on an account that is in order",
            hint="check the model's name, api_base and parameters in the scenario, or --specbench-model",
        )
    return ProviderFault(message, retry_after(error))


def missing_key(model: str, key_names: tuple[str, ...], message: str) -> BlockedError:
    """The error for a key that is not there or not accepted; names the variable to set."""
    names = " or ".join(key_names) or "the provider's key"
    return BlockedError(
        message,
        cause=Cause.KEY_MISSING,
        expected=f"a valid key for {model!r} in the environment variable {names}",
        hint=f"export {key_names[0]}=..." if key_names else "set the provider's key, see LiteLLM's list of providers",
    )


def unknown_model(model: str, error: Exception) -> BlockedError:
    """The error for a name that LiteLLM cannot assign to a provider."""
    return BlockedError(
        f"LiteLLM does not know which provider serves the model {model!r}: {_short(error)}",
        cause=Cause.CONFIGURATION,
        expected="PROVIDER/MODEL, for example openai/gpt-4o, or replay:CASSETTE",
        hint="correct the model's name in the scenario, or name one with --specbench-model",
    )


def retry_after(error: Exception) -> float | None:
    """Seconds that the provider asks to wait, from its Retry-After header (seconds or a date); null without one."""
    headers: Any = getattr(error, "litellm_response_headers", None)
    if not headers:
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}..."
