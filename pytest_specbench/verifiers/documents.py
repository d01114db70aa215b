"""Checks of common document formats: the text -> its problems, one sentence each. None of them raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MAX_CHARACTERS = 20_000_000
"""A document that is longer is not parsed."""
MAX_DEPTH = 200
"""Levels of nesting beyond which a YAML document is refused before it is parsed."""

_MERGE = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


def check_json(text: str) -> list[str]:
    """Problems of a JSON document; NaN, infinity and a repeated key are none of JSON's."""
    early = _too_strange(text)
    if early:
        return early
    try:
        json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        return [f"Line {error.lineno}: the document is no JSON: {error.msg} (column {error.colno})."]
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return [f"Line 1: the document is no JSON that can be relied on: {reason}."]
    return []


def check_yaml(text: str) -> list[str]:
    """Problems of a YAML document or stream. Nothing is constructed: no tag is run, and no alias is expanded."""
    import yaml

    early = _too_strange(text)
    if early:
        return early
    try:
        _refuse_deep(text)
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        if not any(root is not None for root in roots):
            return ["Line 1: there is no document in it."]
        return [problem for root in roots for problem in _node_problems(root)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return [f"Line {mark.line + 1 if mark else 1}: the document is no YAML: {error.problem or error.context}."]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return [f"Line 1: the document is no YAML that can be relied on: {' '.join(str(error).split())}."]


def _refuse_deep(text: str) -> None:
    """Raise ValueError where composing, which recurses, would go too deep. The events are parsed without recursion."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _node_problems(root: Any) -> Iterator[str]:
    """Tags that a safe loader refuses, and keys that are there twice; every node is visited once."""
    import yaml

    seen: set[int] = set()
    todo = [root] if root is not None else []
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.tag not in yaml.SafeLoader.yaml_constructors and node.tag not in _MERGE:
            yield f"Line {node.start_mark.line + 1}: the tag {node.tag[:80]!r} is not one of plain YAML."
        if isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            yield from _repeated(keys)
            todo.extend(part for pair in node.value for part in pair)


def _repeated(keys: list[Any]) -> Iterator[str]:
    known: set[tuple[str, str]] = set()
    for key in keys:
        if (key.tag, key.value) in known:
            yield f"Line {key.start_mark.line + 1}: the key {key.value[:60]!r} is there twice in one mapping."
        known.add((key.tag, key.value))


def _too_strange(text: str) -> list[str]:
    if len(text) > MAX_CHARACTERS:
        return [f"The document is {len(text)} characters long; more than {MAX_CHARACTERS} are not read."]
    if not text.removeprefix("\ufeff").strip():
        return ["The document is empty."]
    return []


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            raise ValueError(f"the key {key[:60]!r} is there twice in one object")
        keys[key] = value
    return keys
