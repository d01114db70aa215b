"""A small file over HTTP, in bounded time and memory, whatever the server does."""

from __future__ import annotations

from urllib.parse import urlsplit

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded

TIMEOUT_SEC = 20.0
"""Longest time for all of it: connecting, redirects, headers and content."""
SCHEMES = ("http", "https")


class TooLargeError(Exception):
    """There is more than was allowed."""


def download(url: str, most: int, *, seconds: float = TIMEOUT_SEC) -> bytes:
    """The content at an http(s) URL. Raises ValueError for what is no such URL, TooLargeError beyond `most` bytes, and
    OSError for whatever else goes wrong.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("it is no URL of http or https with a host")
    try:
        # In a thread: a time limit of HTTP bounds single reads only, not an answer that trickles in.
        return run_bounded(lambda: _fetched(url, most, seconds), seconds, phase="download")
    except DeadlineExceededError:
        raise TimeoutError(f"it was not there after {seconds:g} s") from None


def _fetched(url: str, most: int, seconds: float) -> bytes:
    # Here, since they bring much along, and most registries are files.
    import urllib.request
    from http.client import HTTPException

    # Only what speaks HTTP: the usual opener would follow a redirect to ftp.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    try:
        with opener.open(url, timeout=seconds) as reply:
            content: bytes = reply.read(most + 1)
    except (HTTPException, ValueError) as error:
        raise OSError(f"the answer is no HTTP: {type(error).__name__}: {error}") from error
    if len(content) > most:
        raise TooLargeError
    return content
