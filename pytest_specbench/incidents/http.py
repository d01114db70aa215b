"""HTTP as a channel needs it: bounded, to one origin only, and with errors that give nothing away."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from pytest_specbench.core.redact import Redactor
from pytest_specbench.incidents.channel import Budget, ChannelError
from pytest_specbench.reporting.text import cut, printable

MAX_ANSWER = 20_000_000
"""Bytes of an answer."""
_CHUNK = 65_536
_HOPS = 3
_WAITS = 3
_STEP_SEC = 10.0
"""How long one step of a request may take: connecting, or the next bytes of the answer."""
_DENIED = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
}


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ChannelError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ChannelError("it answered with something that is no JSON") from None


class Client:
    """Talks to one server. `headers`, which may hold a token, go to the origin of `base` and nowhere else."""

    def __init__(self, base: str, headers: Mapping[str, str], *, budget: Budget, redactor: Redactor) -> None:
        self._base = base
        self._headers = {"User-Agent": "pytest-specbench", **headers}
        self._budget = budget
        self._redactor = redactor
        self._origin = origin_of(self._base)

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of an answer that is a success."""
        return self.send(method, path, **request).json()

    def send(self, method: str, path: str, **request: Any) -> Answer:
        """Send a request (`params`, `json`, `data`, `files`, `headers` as in requests) and return the answer when it is
        a success. A server that asks to wait is waited for, as long as there is time. Raises ChannelError.
        """
        url, hops, waits = f"{self._base}{path}", 0, 0
        while True:
            answer = self._once(method, url, request)
            if answer.status in {429, 403} and waits < _WAITS and self._waited(answer):
                waits += 1
            elif 300 <= answer.status < 400 and hops < _HOPS:
                url, hops = self._next(method, url, answer), hops + 1
            elif 200 <= answer.status < 300:
                return answer
            else:
                raise self._refusal(answer)

    def _once(self, method: str, url: str, request: Mapping[str, Any]) -> Answer:
        import requests  # late: a green run with a folder needs none of it

        self._budget.check()
        more = dict(request)
        headers = {**self._headers, **more.pop("headers", {})}
        try:
            with requests.Session() as session:
                response = session.request(
                    method,
                    url,
                    headers=headers,
                    auth=_as_it_is,
                    allow_redirects=False,
                    stream=True,
                    timeout=max(0.05, min(_STEP_SEC, self._budget.remaining())),
                    **more,
                )
                with response:
                    body = self._read(response.iter_content(_CHUNK))
                    return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
        # The exceptions' own texts hold the URL, and a header that cannot be sent: they may be secret.
        except requests.exceptions.SSLError:
            raise ChannelError("its certificate is not accepted") from None
        except requests.exceptions.Timeout:
            raise ChannelError("it did not answer in time") from None
        except requests.exceptions.ConnectionError:
            raise ChannelError("it cannot be reached") from None
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise ChannelError(f"the request failed: {type(error).__name__}") from None

    def _read(self, chunks: Any) -> bytes:
        body = bytearray()
        for chunk in chunks:
            body += chunk
            self._budget.check()
            if len(body) > MAX_ANSWER:
                raise ChannelError(f"its answer has more than {MAX_ANSWER} bytes")
        return bytes(body)

    def _waited(self, answer: Answer) -> bool:
        """Wait as long as the server asks to; False when it does not ask, or for more time than there is."""
        seconds = _retry_after(answer.headers.get("retry-after"))
        if seconds is None or seconds >= self._budget.remaining():
            return False
        self._budget.wait(seconds)
        return True

    def _next(self, method: str, url: str, answer: Answer) -> str:
        """Where a redirection leads: on the same origin only, and what writes is not turned into something else."""
        target = urljoin(url, answer.headers.get("location", ""))
        if not answer.headers.get("location") or origin_of(target) != self._origin:
            shown = printable(cut(urlsplit(target).hostname or "nowhere", 100))
            raise ChannelError(f"it redirects to {shown}, where nothing is sent")
        if method != "GET" and answer.status not in {307, 308}:
            raise ChannelError("it redirects what is to be written")
        return target

    def _refusal(self, answer: Answer) -> ChannelError:
        said = self._said(answer)
        limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or (answer.status == HTTPStatus.FORBIDDEN and limited):
            return ChannelError(f"it is rate limited{said}")
        if answer.status in _DENIED:
            return ChannelError(f"it answered {answer.status}: is the token allowed to do this?{said}")
        refused = 400 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT
        return ChannelError(f"it answered {answer.status}{said}", refused=refused)

    def _said(self, answer: Answer) -> str:
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            return ""
        said = content.get("message") if isinstance(content, dict) else None
        return f": {cut(printable(self._redactor.text(str(said))), 200)}" if said else ""


def origin_of(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port of a URL; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port)


def check_url(url: str) -> None:
    """Raise ValueError unless it is an http(s) URL without user, password, query and fragment."""
    expected = "expected a URL such as https://hooks.example.org/specbench"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1) and url.isprintable()
    except ValueError:
        usable = None
    if not usable or any(character.isspace() for character in url):
        raise ValueError(expected)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"a URL with user, query or fragment belongs into the environment; {expected}")


def _as_it_is[T](request: T) -> T:
    # With an `auth` of ours, requests does not look for another one in ~/.netrc and put it over the token.
    return request


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which may be a date; None where there is none that can be read."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


type Fetch = Callable[[int], Any]
"""Number of a page, from 1 -> its JSON."""


def pages(fetch: Fetch, size: int) -> list[Mapping[str, Any]]:
    """The items of all pages, which are lists of at most `size` objects. Raises ChannelError for anything else."""
    found: list[Mapping[str, Any]] = []
    number = 0
    while True:
        number += 1
        page = fetch(number)
        if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
            raise ChannelError("it answered with something that is no list")
        found += page
        if len(page) < size:
            return found
