"""What may differ between two runs of the same commands, and means nothing: normalised before a replay compares.

Replaced, in this order: the working folder (`<workdir>`), paths under temporary folders (`<tmp>`), UUIDs (`<uuid>`),
dates with a time and times of day (`<time>`; ISO, compact, `ls -l`, `date` and git forms), ISO dates (`<date>`),
durations (`<duration>`), memory addresses (`<address>`), and git commit ids, full or short (`<commit>`). Line ends
become `\\n`, and blanks at the ends of lines go. Everything else counts: numbers, names, other hashes.
"""

from __future__ import annotations

import re

_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:/private)?(?:/var)?/tmp/[^\s'\"`:;,()\[\]<>|]+"), "<tmp>"),
    (re.compile(r"(?:/private)?/var/folders/[^\s'\"`:;,()\[\]<>|]+"), "<tmp>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(rf"\b\d{{4}}-\d{{2}}-\d{{2}}[T ]{_CLOCK}{_ZONE}"), "<time>"),
    (re.compile(r"\b20\d{6}[T-]\d{6}Z?(?!\d)"), "<time>"),
    (re.compile(rf"\b(?:{_WEEKDAY},? )?{_MONTH} +\d{{1,2}},? +{_CLOCK}(?: \d{{4}})?{_ZONE}(?: \d{{4}})?"), "<time>"),
    (re.compile(rf"\b{_WEEKDAY},? \d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}{_ZONE}"), "<time>"),
    (re.compile(r"\b\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b\d{4}-\d{2}-\d{2}\b"), "<date>"),
    (re.compile(r"\b(?:\d+m)?\d+(?:\.\d+)?\s?(?:ns|us|\u00b5s|ms|s|secs?|seconds?)\b"), "<duration>"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "<address>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<commit>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,12}\b"), "<commit>"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def normalise(text: str, *, workdir: str = "") -> str:
    """The text without what differs from run to run; `workdir` is the working folder as the commands saw it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    root = workdir.rstrip("/")
    if root:
        text = re.sub(rf"(?<![\w.-]){re.escape(root)}(?![\w-])", "<workdir>", text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
