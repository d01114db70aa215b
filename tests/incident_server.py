"""GitHub's and GitLab's issue APIs on loopback, as far as incidents use them: with state, and with faults on demand."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "t0ken-of-the-tests"


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next request that fits; once, unless `always`."""

    status: int = 500
    body: bytes = b'{"message": "no"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    path: str = ""
    always: bool = False
    hold: bool = False
    """Answer nothing until the server closes."""
    drop: bool = False
    """Do what was asked for, and close the connection without an answer."""

    def fits(self, request: Request) -> bool:
        """Whether it is meant for the request."""
        return self.method in ("", request.method) and self.path in request.path


@dataclass
class Ticket:
    """An issue, in both services' words."""

    number: int
    title: str
    body: str
    labels: list[str]
    author: str = "bot"
    state: str = "open"
    comments: list[str] = field(default_factory=list)
    pull_request: bool = False


class TrackerServer:
    """One repository, or one project, on a free port. A context manager."""

    def __init__(self, *faults: Fault, may_label: bool = True, user: str | None = "bot") -> None:
        self.faults = list(faults)
        self.may_label = may_label
        self.user = user
        """Whom the token belongs to; None: a workflow's, which belongs to nobody."""
        self.requests: list[Request] = []
        self.tickets: list[Ticket] = []
        self.uploads: list[bytes] = []
        self._lock = threading.Lock()
        self.holding = threading.Event()
        """A request waits for an answer that does not come."""
        self._closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                body = self.rfile.read(length)
                owner._serve(self, Request(self.command, parts.path, query, dict(self.headers), body))

            do_GET = do_POST = do_PATCH = do_PUT = _any  # noqa: N815 - the names that the base class calls

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def open(self) -> list[Ticket]:
        """The tickets that are open."""
        return [ticket for ticket in self.tickets if ticket.state == "open"]

    def asked(self, method: str) -> list[Request]:
        """The requests with a method."""
        return [request for request in self.requests if request.method == method]

    def _serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            fault = next((each for each in self.faults if each.fits(request)), None)
            if fault is not None and not fault.always:
                self.faults.remove(fault)
            if fault is None or fault.drop:
                status, content = self._answer(request)
        if fault is not None and fault.hold:
            self.holding.set()
            self._closing.wait()
        if fault is not None and (fault.hold or fault.drop):
            handler.close_connection = True
            return
        body = fault.body if fault is not None else json.dumps(content).encode()
        handler.send_response(fault.status if fault is not None else status)
        for name, value in {"Content-Type": "application/json", **(fault.headers if fault else {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _answer(self, request: Request) -> tuple[int, Any]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if TOKEN not in (token, request.headers.get("PRIVATE-TOKEN"), request.headers.get("JOB-TOKEN")):
            return 401, {"message": "Bad credentials"}
        if request.path == "/user":
            return (403, {"message": "no user"}) if self.user is None else (200, {"login": self.user})
        found = re.fullmatch(
            r"(?:/repos/team/tool|/projects/team%2Ftool)/(issues|uploads)(?:/(\d+))?(/\w+)?", request.path
        )
        if found is None:
            return 404, {"message": f"{unquote(request.path)} is not found"}
        kind, number, rest = found.groups()
        if kind == "uploads":
            self.uploads.append(request.body)
            return 201, {"url": f"/uploads/{len(self.uploads):032x}/agent.cast"}
        if number is None:
            return (201, self._made(request)) if request.method == "POST" else (200, self._listed(request.query))
        ticket = self.tickets[int(number) - 1]
        if rest in ("/comments", "/notes"):
            return self._comments(request, ticket)
        if request.method in ("PATCH", "PUT"):
            closed = request.json.get("state") == "closed" or request.json.get("state_event") == "close"
            ticket.state = "closed" if closed else ticket.state
        return 200, shown(ticket, self.url)

    def _made(self, request: Request) -> dict[str, Any]:
        content = request.json
        labels = content["labels"] if isinstance(content["labels"], list) else content["labels"].split(",")
        body = content.get("body") or content.get("description")
        ticket = Ticket(len(self.tickets) + 1, content["title"], body, labels if self.may_label else [])
        self.tickets.append(ticket)
        return shown(ticket, self.url)

    def _listed(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found = [
            ticket
            for ticket in self.open
            if query.get("labels", "") in ["", *ticket.labels]
            and query.get("creator", ticket.author) == ticket.author
            and (query.get("scope") != "created_by_me" or ticket.author == self.user)
        ]
        size, page = int(query["per_page"]), int(query["page"])
        return [shown(ticket, self.url) for ticket in found[(page - 1) * size : page * size]]

    def _comments(self, request: Request, ticket: Ticket) -> tuple[int, Any]:
        if request.method == "POST":
            ticket.comments.append(request.json["body"])
            return 201, {"id": len(ticket.comments)}
        return 200, [{"body": text} for text in ticket.comments]

    def __enter__(self) -> TrackerServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def shown(ticket: Ticket, url: str) -> dict[str, Any]:
    """A ticket as both APIs give it."""
    return {
        "number": ticket.number,
        "iid": ticket.number,
        "html_url": f"{url}/team/tool/issues/{ticket.number}",
        "web_url": f"{url}/team/tool/-/issues/{ticket.number}",
        "title": ticket.title,
        "body": ticket.body,
        "description": ticket.body,
        "state": ticket.state,
        **({"pull_request": {}} if ticket.pull_request else {}),
    }
