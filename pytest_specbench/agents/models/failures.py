"""What a provider's error means: worth a repeat, ours to configure, the agent's doing, or the provider's fault."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from typing import Any

from pytest_specbench.core.errors import AgentError, BlockedError, SpecbenchError
from pytest_specbench.core.status import Cause

_POLICY = re.compile(r"content[_ ](?:policy|filter)", re.IGNORECASE)
_REPEATABLE_STATUS = frozenset({408, 409, 425, 429})
_MAX_MESSAGE = 500
_MOST_CAUSES = 50
_DEFECTS = (ArithmeticError, AttributeError, ImportError, LookupError, NameError, RuntimeError, TypeError, ValueError)
_HTTP = frozenset(
    {
        "aiohttp",
        "anthropic",
        "azure",
        "botocore",
        "google",
        "grpc",
        "http",
        "httpcore",
        "httpx",
        "openai",
        "requests",
        "urllib3",
    }
)
"""The libraries whose exceptions tell of an answer, or of a connection that broke."""


@dataclass(frozen=True)
class ProviderFault:
    """A passing fault: the request may be repeated. `retry_after` is the provider's wish in seconds."""

    message: str
    retry_after: float | None = None


def classify(error: Exception, *, model: str, key_names: tuple[str, ...]) -> SpecbenchError | ProviderFault:
    """Turn an exception of LiteLLM into ours, or into a fault that may pass. Never raises.

    LiteLLM gives a status of its own, 500, to whatever goes wrong inside it: what came of no answer and no broken
    connection would go wrong again, and a repeat of a reply that nobody can read is paid for.
    """
    kind = type(error).__name__
    message = f"{kind}: {_short(error)}"
    causes = _causes(error)
    status = getattr(error, "status_code", None)
    if kind == "ContextWindowExceededError":
        return AgentError(f"the conversation outgrew the model's context: {message}", cause=Cause.TOKEN_LIMIT)
    details = " ".join(f"{cause} {getattr(cause, 'body', None)}" for cause in causes)
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
    defect = _defect(causes) if status in (None, 500) else None
    return ProviderFault(message, retry_after(error)) if defect is None else _cannot_be_asked(defect, model)


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what it came of, down to the first."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is known for known in causes) and len(causes) < _MOST_CAUSES:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes


def _defect(causes: Sequence[BaseException]) -> BaseException | None:
    """What went wrong inside LiteLLM, or in reading its reply; null where an answer or a connection did.

    A reply that is not JSON may be a gateway's page, which passes.
    """
    if any(isinstance(cause, OSError | JSONDecodeError | UnicodeDecodeError) or _is_of_http(cause) for cause in causes):
        return None
    return next((cause for cause in reversed(causes) if isinstance(cause, _DEFECTS)), None)


def _is_of_http(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _HTTP


def _cannot_be_asked(defect: BaseException, model: str) -> BlockedError:
    if isinstance(defect, ImportError):
        return BlockedError(
            f"LiteLLM lacks a package for the model {model!r}: {_short(defect)}",
            cause=Cause.DEPENDENCY_MISSING,
            hint=f"python -m pip install {defect.name or 'litellm'}, or install another version of LiteLLM",
        )
    return BlockedError(
        f"LiteLLM cannot make the request to the model {model!r}, or read its reply: "
        f"{type(defect).__name__}: {_short(defect)}",
        cause=Cause.INTERNAL_ERROR,
        expected="parameters of the kinds that the provider takes, and replies in the form of its API",
        hint="check the model's api_base and parameters in the scenario; a repeat would end the same way",
    )


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


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}..."
