"""What a request looks like to a cassette: its tail and its conversation, normalised and hashed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pytest_specbench.agents.models.base import ModelRequest
from pytest_specbench.agents.models.normalise import normalise

MAX_TEXT = 4_000
"""Characters of the tail that are kept to be shown."""


def tail_texts(request: ModelRequest) -> list[str]:
    """Normalised tool results since the last reply; empty at the first step of a stage."""
    texts: list[str] = []
    for message in reversed(request.messages):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "tool":
            texts.append(normalise(str(message.get("content") or ""), workdir=request.workdir))
    return texts[::-1]


def tail_digest(request: ModelRequest) -> str:
    """Hash over the tail."""
    return _digest(tail_texts(request))


def conversation_digest(request: ModelRequest) -> str:
    """Hash over roles, texts and tool calls of the whole conversation. Ids of calls do not count."""
    return _digest([_significant(message, request.workdir) for message in request.messages])


def shown_tail(request: ModelRequest) -> str:
    """The tail for people, shortened in the middle."""
    text = "\n".join(tail_texts(request))
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _significant(message: Mapping[str, Any], workdir: str) -> dict[str, Any]:
    calls = [
        [call["function"]["name"], normalise(str(call["function"]["arguments"]), workdir=workdir)]
        for call in message.get("tool_calls") or ()
    ]
    text = normalise(str(message.get("content") or ""), workdir=workdir)
    return {"role": message.get("role"), "content": text, "tool_calls": calls}


def _digest(value: object) -> str:
    return "sha256:" + sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
