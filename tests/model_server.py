"""An OpenAI-compatible chat server on loopback that gives scripted answers: the provider of the model tests."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `body` is sent as it is when it is bytes, else as JSON; `hold` waits until the server closes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hold: bool = False
    trickle: bool = False
    """Send blanks, one after the other, until the server closes."""
    drop: bool = False
    """Close the connection without an answer."""


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def call(arguments: dict[str, Any] | str, *, name: str = "shell", call_id: str = "call_1") -> dict[str, Any]:
    """A tool call as the API gives it; arguments that are text are sent unchanged, valid or not."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def usage(prompt: int, completion: int, cached: int | None = None) -> dict[str, Any]:
    """A usage block; without `cached` it says nothing about the cache."""
    block: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if cached is not None:
        block["prompt_tokens_details"] = {"cached_tokens": cached}
    return block


def reply(
    content: str | None = None,
    *,
    calls: list[dict[str, Any]] | None = None,
    usage: dict[str, Any] | None = None,
    finish: str | None = None,
    model: str = "served-model",
    message: dict[str, Any] | None = None,
) -> Answer:
    """A chat completion with one choice."""
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish or ("tool_calls" if calls else "stop"),
                "message": {
                    "role": "assistant",
                    "content": content,
                    **({"tool_calls": calls} if calls else {}),
                    **(message or {}),
                },
            }
        ],
    }
    if usage is not None:
        body["usage"] = usage
    return Answer(body=body)


def shell(command: str, *, content: str = "", usage: dict[str, Any] | None = None) -> Answer:
    """A reply that asks for one shell command."""
    return reply(content, calls=[call({"command": command})], usage=usage)


def error(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Answer:
    """An error as the API gives it; header names are written with underscores."""
    body = {"error": {"message": message, "type": "error", "code": code}}
    return Answer(status=status, body=body, headers={key.replace("_", "-"): value for key, value in headers.items()})


class ModelServer:
    """Serves `answers` in order on a free port of loopback; what is asked beyond them gets a 418. A context manager."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = json.loads(self.rfile.read(length))
                owner._answer(self, Request(self.path, dict(self.headers), body))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """The `api_base`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def _answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            answer = self.answers.pop(0) if self.answers else error(418, "the script has no more answers")
        if answer.hold:
            self._closing.wait()
        if answer.trickle:
            self._trickle(handler)
        if answer.drop or answer.hold or answer.trickle:
            handler.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for key, value in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _trickle(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        try:
            while not self._closing.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        except OSError:
            return  # the client gave up, which is the point

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
