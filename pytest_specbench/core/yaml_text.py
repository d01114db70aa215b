"""Text of a YAML file -> plain data and the line of every key. No YAML surprise gets through silently."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.scanner import ScannerError

from pytest_specbench.core.problems import MOST, KeyPath, Problem
from pytest_specbench.core.text import one_line

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MANY_BRACKETS = 1_000
"""Composing recurses in C, so that deep nesting would exhaust the stack: from here on the depth is counted first."""

_INDENTED = " " * MAX_DEPTH
"""Blocks nested by indentation alone have this in a line. So have some texts: the depth is then counted, too."""

_LOOK_AHEAD = 1_100
_DEEP = re.compile(rf"(?:[\[{{]\s*){{{MAX_DEPTH + 1}}}")
"""A run of brackets that a parser with a limit of its own refuses before it tells of the first one: it looks 1,024
characters ahead for the end of a key."""

_TAG = "tag:yaml.org,2002:"
_LONG = 100
"""Characters of a value or a key that are shown."""
_TEXT, _MAPPING, _LIST = f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{0,40}(?:[eE][-+]?[0-9]{1,2})?")
_ANCHOR = re.compile(r"(?:^|[\s\[{,:])[&*][^\s,\[\]{}]", re.MULTILINE)
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")

# PyYAML's C parser where it was built, else the same in Python, only slower.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # chosen at run time
    """Resolves tags as PyYAML does, in a third of the time: SafeLoader has no rules that depend on the path."""

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """There are no path resolvers."""

    def ascend_resolver(self) -> None:
        """There are no path resolvers."""

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that states none."""
        if kind is not ScalarNode:
            return _MAPPING if kind is MappingNode else _LIST
        if implicit[0]:
            for tag, pattern in self.yaml_implicit_resolvers.get(value[:1], ()):
                if pattern.match(value):
                    return str(tag)
        return _TEXT


@dataclass
class Parsed:
    """A document: `data` of dicts, tuples and scalars; `plain` is the source text of every scalar that is no text."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    plain: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether `data` is a mapping whose content is worth looking at."""
        return isinstance(self.data, dict)


def parse(content: bytes, *, of: str = "scenario") -> Parsed:
    """Parse the bytes of a file of the kind `of`. Never raises: what is wrong is in `problems`, each with its line."""
    parsed = Parsed()
    problem = None
    if len(content) > MAX_BYTES:
        parsed.problems.append(Problem((), "is larger than 1 MB", f"a {of} file of at most 1,000,000 bytes", 1))
        return parsed
    try:
        text = content.decode("utf-8-sig")
        problem = refused(text)
        root = None if problem else _Loader(text).get_single_node()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem((), "is not UTF-8 text", "a file saved as UTF-8", line)
    except yaml.YAMLError as error:
        problem = _syntax(error, text)
    if problem is not None:
        parsed.problems.append(problem)
    elif root is None:
        parsed.problems.append(Problem((), "is empty", f"a mapping with the keys of a {of}", 1))
    else:
        parsed.lines[()] = root.start_mark.line + 1
        parsed.data = _Builder(parsed).build(root, ())
        if not parsed.usable and not parsed.problems:
            parsed.problems.append(Problem((), f"holds {kind_of(parsed.data)}", f"a mapping with the keys of a {of}"))
    return parsed


def kind_of(value: object) -> str:
    """What a value is, in a word or two."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the value {str(value).lower()}"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, dict) else "a list"


def refused(text: str) -> Problem | None:
    """What must be refused before the text is composed: aliases (they can explode) and bottomless nesting."""
    brackets = sum(map(text.count, ("[", "{", "- ", "? ", ": : ")))
    # Where both stand, only the parser knows; elsewhere nothing can explode, and a look is enough.
    named = ("&" in text and "*" in text) or (("&" in text or "*" in text) and _ANCHOR.search(text))
    if brackets <= MANY_BRACKETS and not named and _INDENTED not in text:
        return None
    depth = 0
    loader = _Loader(text)
    while loader.check_event():
        event = loader.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return Problem(
                (), "uses a YAML anchor or alias", "the content written out, without '&' and '*' names", line
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            return _too_deep(line)
    return None


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    """Put a parser's complaint into a sentence, by its class and by what stands there: its wording may change."""
    odd = _NOT_TEXT.search(text)
    if odd is not None:
        line = text.count("\n", 0, odd.start()) + 1
        return Problem((), f"holds the control character {odd.group()!r}", "text without control characters", line)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    if isinstance(error, ComposerError):  # of a text without names: those are refused before
        return Problem((), "holds more than one document", "one document in a file, without further '---'", line)
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    there = row[mark.column : mark.column + 1] if mark else ""
    if there == "\t" or "\t" in row[: len(row) - len(row.lstrip())]:
        return Problem((), "a tab is used where YAML wants spaces", "spaces", line)
    if mark and _DEEP.search(text, max(0, mark.index - _LOOK_AHEAD), mark.index + 1):
        return _too_deep(line)
    expected = None
    if isinstance(error, ScannerError) and there == ":":
        expected = "text that holds ': ' in quotes, and keys in line with each other"
    elif isinstance(error, ScannerError) and there and there in "@`%":
        expected = "text that begins with one of @ ` % in quotes"
    said = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return Problem((), f"is not valid YAML: {said}", expected, line)


def _too_deep(line: int | None) -> Problem:
    return Problem((), "is nested too deeply", f"at most {MAX_DEPTH} levels", line)


class _Builder:
    """Makes plain data of YAML nodes and takes down lines and problems as it goes."""

    def __init__(self, parsed: Parsed) -> None:
        self.lines, self.plain, self.problems = parsed.lines, parsed.plain, parsed.problems

    def build(self, node: Node, keys: KeyPath) -> Any:
        """The data of one node; sequences become tuples, as the frozen models have them."""
        if isinstance(node, ScalarNode):
            if node.tag != _TEXT:
                return self._scalar(node, keys)
            if "\0" in node.value:
                self._complain(node, keys, "holds a NUL character", "text without NUL")
            return node.value
        if node.tag not in (_MAPPING, _LIST):
            self._complain(node, keys, f"has the tag {_short(node.tag)}", "plain values without tags")
            return None
        if len(keys) >= MAX_DEPTH:
            self._complain(node, keys, "is nested too deeply", f"at most {MAX_DEPTH} levels")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, keys)
        items = []
        for index, item in enumerate(node.value):
            here = (*keys, index)
            self.lines[here] = item.start_mark.line + 1
            items.append(self.build(item, here))
        return tuple(items)

    def _mapping(self, node: MappingNode, keys: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines = self.lines
        for key_node, value_node in node.value:
            name = key_node.value
            if key_node.tag != _TEXT or not isinstance(name, str):
                self._bad_key(key_node, keys)
                continue
            here = (*keys, name)
            if name in result:
                self._complain(
                    key_node,
                    here,
                    f"the key {one_line(repr(name), _LONG)} is there twice",
                    f"it once; it is in line {lines[here]} already",
                )
                continue
            lines[here] = key_node.start_mark.line + 1
            result[name] = self.build(value_node, here)
        return result

    def _bad_key(self, node: Node, keys: KeyPath) -> None:
        if not isinstance(node, ScalarNode):
            self._complain(node, keys, "a list or a mapping is used as a key", "a name")
        elif node.tag == f"{_TAG}merge":
            self._complain(node, keys, "uses a YAML merge key, '<<'", "the content written out")
        else:
            self._complain(
                node,
                keys,
                f"the key {one_line(repr(node.value), _LONG)} is not read as text by YAML",
                f"a name; in quotes: '{one_line(str(node.value), _LONG)}'",
            )

    def _scalar(self, node: ScalarNode, keys: KeyPath) -> Any:
        """A plain scalar that YAML takes for something else than text; what is not what it seems is refused."""
        kind, value = node.tag.removeprefix(_TAG), node.value
        self.plain[keys] = value
        if kind == "null":
            return None
        if kind == "bool" and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if kind == "int" and _INTEGER.fullmatch(value):
            return int(value)
        if kind == "float" and _DECIMAL.fullmatch(value):
            return float(value)
        read_as = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date"}
        if kind in read_as and isinstance(value, str):
            value_shown = one_line(value, _LONG)
            instead = " or true or false" if kind == "bool" else " or a plain decimal" if kind != "timestamp" else ""
            self._complain(
                node,
                keys,
                f"{value_shown} is read as {read_as[kind]} by YAML",
                f"quotes round it, '{value_shown}',{instead}",
            )
        elif kind == "value":
            self._complain(node, keys, "= has a meaning of its own in YAML", "quotes round it, '='")
        else:
            self._complain(node, keys, f"has the tag {_short(node.tag)}", "a plain value without a tag")
        return value

    def _complain(self, node: Node, keys: KeyPath, message: str, expected: str) -> None:
        if len(self.problems) <= MOST:
            self.problems.append(Problem(keys, message, expected.removesuffix(","), node.start_mark.line + 1))


def _short(tag: str) -> str:
    return one_line(tag.replace(_TAG, "!!", 1), _LONG)
