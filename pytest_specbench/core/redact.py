"""Takes secrets out of everything that is written down: named values in any usual encoding, and known token shapes."""

from __future__ import annotations

import base64
import json
import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MIN_LENGTH = 6
"""Shorter values are left alone: they would shred everything else."""
_MIN_IMPLICIT = 8
"""The same for values that nobody named as secret."""
_SECRET_NAME = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$|_(?:KEY|TOKEN|SECRET|PASSWORD)_", re.IGNORECASE
)
type _Bytes = bytes  # inside of Redactor, `bytes` is its method
_TOKEN = rb"[A-Za-z0-9_.~+/=-]"
_TOKEN_BYTES = string.ascii_letters.encode() + string.digits.encode() + b"_.~+/=-"
_SHAPES: tuple[tuple[str, bytes], ...] = (
    (
        "private_key",
        rb"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:(?!-----BEGIN ).){0,65536}?-----END [A-Z ]{0,40}PRIVATE KEY-----",
    ),
    ("api_key", rb"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]{0,128}[0-9])[A-Za-z0-9_-]{20,}"),
    ("github_token", rb"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    ("gitlab_token", rb"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}"),
    ("aws_key_id", rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}"),
    ("google_key", rb"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}"),
    ("slack_token", rb"(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{10,}"),
    (
        "jwt",
        rb"(?<![A-Za-z0-9])eyJ(?:(?![_-]eyJ)[A-Za-z0-9_-]){8,16384}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    ("bearer_token", rb"(?<=[Bb]earer )[A-Za-z0-9_.~+/=-]{16,}"),
)
"""Whatever an agent prints is held against them, so each takes time in proportion to the text: what is begun again and
again is looked at from its last beginning only, and never further than a key is long.
"""
_BEGUN = re.compile(rb"sk-|gh[pousr]_|github_pat_|glpat-|AKIA|ASIA|AIza|xox|eyJ")
"""The beginning of a known shape, all of it of the characters of tokens."""
_BEARER = re.compile(rb"[Bb]earer \Z")
_TAIL = re.compile(_TOKEN + rb"{1,11}\Z")
"""What may be the beginning of a known shape's beginning."""
_MAX_TAIL = 4096
_MAX_PEM = 16384


class Redactor:
    """Replaces every secret by `[redacted:NAME]`.

    `secrets` maps names to values. A value is found as it is and JSON-escaped, URL-encoded, shell-quoted or in base64
    (also in the middle of a longer base64 text). `too_short` names the values that were left alone for their length.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        usable = {name: value for name, value in secrets.items() if len(value) >= MIN_LENGTH}
        self.too_short: tuple[str, ...] = tuple(sorted(name for name in secrets if name not in usable))
        self._names: dict[bytes, str] = {}
        for name, value in usable.items():
            for variant in _variants(value):
                self._names.setdefault(variant, name)
        longest_first = sorted(self._names, key=len, reverse=True)
        literals = [b"(?P<value>" + b"|".join(map(re.escape, longest_first)) + b")"] if longest_first else []
        shapes = [b"(?P<" + name.encode() + b">" + shape + b")" for name, shape in _SHAPES]
        self._pattern = re.compile(b"|".join([*literals, *shapes]), re.DOTALL)

    @classmethod
    def from_environment(cls, names: Iterable[str], environ: Mapping[str, str]) -> Redactor:
        """Redact the variables `names`, and those whose names read like a secret's (KEY, TOKEN, ...)."""
        named = {name: environ[name] for name in names if environ.get(name)}
        implied = {
            name: value
            for name, value in environ.items()
            if name not in named and _SECRET_NAME.search(name) and len(value) >= _MIN_IMPLICIT
        }
        return cls({**named, **implied})

    def text(self, text: str) -> str:
        """The text without secrets; lone surrogates, which no file can hold, become `?`."""
        return self.bytes(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def bytes(self, data: bytes) -> bytes:
        """The bytes without secrets."""
        return self._pattern.sub(self._replacement, data)

    def json(self, value: Any) -> Any:
        """A copy of plain JSON data without secrets, in keys and values, at any depth."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        return value

    def stream(self) -> RedactingStream:
        """For bytes that come in chunks, which may split a secret."""
        return RedactingStream(self)

    def _replacement(self, match: re.Match[_Bytes]) -> _Bytes:
        name = self._names[match[0]] if match.lastgroup == "value" else str(match.lastgroup)
        return f"[redacted:{name}]".encode()

    def split(self, data: _Bytes, start: int, *, last: bool = False) -> tuple[_Bytes, int]:
        """Redact `data` from `start` as far as more data cannot change it; return that, and where the rest begins.

        With `last` nothing more comes. What stands before `start` is context that was written already.
        """
        safe = len(data) if last else max(start, min(self._unfinished(data, start)))
        out: list[_Bytes] = []
        at = start
        for match in self._pattern.finditer(data, start):
            if match.start() >= safe:
                break
            out += [data[at : match.start()], self._replacement(match)]
            at = match.end()
        if at < safe:
            out.append(data[at:safe])
        return b"".join(out), max(at, safe)

    def _unfinished(self, data: _Bytes, start: int) -> Iterator[int]:
        """Positions from which a secret may go on in what comes next."""
        yield len(data)
        first = max(start, len(data) - _MAX_TAIL)
        token = first + len(data[first:].rstrip(_TOKEN_BYTES))
        begun = _BEARER.search(data, first, token) or _BEGUN.search(data, token)
        if begun:
            yield begun.start()
        tail = _TAIL.search(data, max(start, len(data) - 11))
        if tail:
            yield tail.start()
        begin = data.rfind(b"-----BEGIN ", max(start, len(data) - _MAX_PEM))
        if begin >= 0 and (b"-----END" not in data[begin:] or not data.endswith(b"\n")):
            yield begin
        for variant in self._names:
            for length in range(min(len(variant) - 1, len(data) - start), 0, -1):
                if data.endswith(variant[:length]):
                    yield len(data) - length
                    break


def without_credentials(text: str) -> str:
    """The text without user and password in its URLs, whatever they are."""
    return re.sub(r"(?<=://)[^/@\s]+(?=@)", "[redacted:url]", text)


class RedactingStream:
    """Redacts a stream: holds back what may be the beginning of a secret until the rest has come."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._context = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk; return what is safe to write now, which may be nothing."""
        data = self._context + self._held + chunk
        out, rest = self._redactor.split(data, len(self._context))
        self._held, self._context = data[rest:], data[max(0, rest - 8) : rest]
        return out

    def flush(self) -> bytes:
        """Return the rest; nothing that follows belongs to what came before."""
        out, _ = self._redactor.split(self._context + self._held, len(self._context), last=True)
        self._held = self._context = b""
        return out


def _variants(value: str) -> set[bytes]:
    """The value and its usual encodings."""
    escaped = json.dumps(value)[1:-1]
    texts = {
        value,
        value.replace("\n", "\r\n"),
        escaped,
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],
        quote(value, safe=""),
        quote(value, safe="").lower(),
        quote(value),
        quote_plus(value),
        shlex.quote(value),
    }
    raw = {text.encode("utf-8", "replace") for text in texts}
    return {variant for variant in raw | _base64(value.encode("utf-8", "replace")) if len(variant) >= MIN_LENGTH}


def _base64(value: bytes) -> set[bytes]:
    """The characters of a base64 text that depend on nothing but the value, wherever in the text it stands."""
    found: set[bytes] = set()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value)
        first = (offset * 8 + 5) // 6
        whole = (offset + len(value)) * 8 // 6
        core = encoded[first:whole]
        found |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return {each for each in found if len(each) >= _MIN_IMPLICIT}
