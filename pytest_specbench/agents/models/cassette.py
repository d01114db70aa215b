"""The cassette: a model's replies per stage and step, and what must have been seen before each of them."""

from __future__ import annotations

import stat
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, JsonValue, StringConstraints, ValidationError, model_validator

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.model import Record
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import one_line
from pytest_specbench.core.yaml_text import refused
from pytest_specbench.recording.files import write_bytes

MAX_BYTES = 5_000_000
"""A larger cassette is refused."""
MAX_VALUES = 400_000
"""So is one with more keys and values: each costs a kilobyte while it is read."""

type Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
type Count = Annotated[int, Field(ge=0)]


class _Strict(Record):
    """No value is converted on the way in: `step: "1"` is an error, not 1."""

    model_config = ConfigDict(strict=True)


class CassetteCall(_Strict):
    """One tool call of a reply."""

    id: Annotated[str, StringConstraints(min_length=1)]
    """Id of the call, unique within the reply."""
    name: str
    """Name of the tool, as the model gave it."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Its arguments."""


class CassetteUsage(_Strict):
    """Usage as the provider reported it when the cassette was recorded. A replay measures none of it."""

    input_tokens: Count | None = None
    """Prompt tokens, cached ones included."""
    output_tokens: Count | None = None
    """Completion tokens."""
    cached_tokens: Count | None = None
    """Prompt tokens served from the provider's cache."""
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    """Cost in USD."""


class CassetteReply(_Strict):
    """What the model answered."""

    content: str = ""
    """Text of the reply."""
    reasoning: str | None = None
    """Its reasoning, where the provider gives it."""
    tool_calls: list[CassetteCall] = Field(default_factory=list)
    """Calls in order; none ends the stage."""
    usage: CassetteUsage | None = None
    """Null where none was reported."""
    cut: bool = False
    """The reply was cut at the provider's output limit."""

    @model_validator(mode="after")
    def _unique_ids(self) -> CassetteReply:
        ids = [call.id for call in self.tool_calls]
        if len(set(ids)) != len(ids):
            raise ValueError("two tool calls of one reply have the same id")
        return self


class Expects(_Strict):
    """What must have been seen since the last reply; a null member is not checked."""

    exit_codes: list[int | None] | None = None
    """Exit codes of the commands, in order; null in the list for one killed at its time limit."""
    tail: Digest | None = None
    """Over the normalised tool results."""
    conversation: Digest | None = None
    """Over the whole normalised conversation; for `match: strict`."""
    text: str | None = None
    """The normalised tool results, shortened: never compared, only shown when the tail differs."""


class Entry(_Strict):
    """One reply and when it is due."""

    stage: Annotated[str, StringConstraints(min_length=1)]
    """Workflow stage."""
    step: Annotated[int, Field(ge=1)]
    """Number of the reply, from 1 within the stage."""
    tools: list[str]
    """Names of the offered tools, in order."""
    expects: Expects = Expects()
    """What must have been seen."""
    reply: CassetteReply
    """What is answered."""


class Cassette(_Strict):
    """A model's replies, in the order in which they were given."""

    cassette: Literal[1]
    """Version of the format."""
    provenance: Literal["recorded", "scripted"]
    """Whether a model said this or a person wrote it."""
    model: Annotated[str, StringConstraints(min_length=1)]
    """Whose replies these are; `scripted` where a person wrote them."""
    match: Literal["tail", "strict"] = "tail"
    """Whether the tool results since the last reply are compared, or the whole conversation too."""
    recorded_at: Annotated[datetime, Field(strict=False)] | None = None
    """When it was recorded."""
    replies: list[Entry] = Field(default_factory=list)
    """The replies."""

    @model_validator(mode="after")
    def _steps_in_sequence(self) -> Cassette:
        last: dict[str, int] = {}
        for number, entry in enumerate(self.replies):
            due = last.get(entry.stage, 0) + 1
            if entry.step != due:
                raise ValueError(f"replies.{number}: step {entry.step} of stage {entry.stage!r} should be {due}")
            last[entry.stage] = entry.step
        return self

    @model_validator(mode="after")
    def _recorded_is_complete(self) -> Cassette:
        needed = ["exit_codes", "tail", *(["conversation"] if self.match == "strict" else [])]
        for number, entry in enumerate(self.replies):
            missing = [name for name in needed if getattr(entry.expects, name) is None]
            if self.provenance == "recorded" and missing:
                raise ValueError(
                    f"replies.{number}.expects.{missing[0]}: may be null only where provenance is scripted"
                )
        return self


# PyYAML's C parser where it was built, else the same in Python, only slower.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # chosen at run time
    """YAML without repeated or merged keys, so that what is read is what is written."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a list or a mapping is a key", problem_mark=key.start_mark)
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="merge keys, '<<', are not allowed", problem_mark=key.start_mark)
            if key.value in seen:
                shown = one_line(repr(key.value), _LONG)
                raise yaml.MarkedYAMLError(problem=f"key {shown} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> Any:
        """A number; one to the base 60, or of more digits than any has, would take long to reckon."""
        if len(str(node.value)) > _LONG or ":" in str(node.value):
            raise yaml.MarkedYAMLError(problem="that is no number, or too long a one", problem_mark=node.start_mark)
        kind = "int" if node.tag.endswith(":int") else "float"
        return getattr(self, f"construct_yaml_{kind}")(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)

_LONG = 100
"""Characters of a key that are shown, and of a number that is read."""


class _Dumper(yaml.SafeDumper):
    """YAML for people: text of several lines in literal blocks, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _invalid(path: Path, where: str, message: str) -> BlockedError:
    return BlockedError(
        f"the cassette is invalid: {message}",
        cause=Cause.CONFIGURATION,
        where=f"{path}{where}",
        expected="a cassette of version 1: cassette, provenance, model, match, recorded_at, replies",
        hint="mend the file, or record a new one with --specbench-record",
    )


def load_cassette(path: Path) -> Cassette:
    """Read and check a cassette. Raises BlockedError(CONFIGURATION) naming file, line and key."""
    try:
        data = _content(path)
    except (OSError, ValueError) as error:  # NUL or half a character in the path
        raise BlockedError(
            f"the cassette cannot be read: {getattr(error, 'strerror', None) or error}",
            cause=Cause.CONFIGURATION,
            where=str(path),
            expected="the path of an existing cassette after 'replay:'",
            hint="record one with --specbench-record, or correct the model's name",
        ) from error
    if len(data) > MAX_BYTES:
        raise _invalid(path, "", f"it has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        unwanted = refused(text)
        if unwanted is not None:
            raise _invalid(path, f":{unwanted.line}", unwanted.message)
        if _holds_too_much(text):
            raise _invalid(path, "", f"it holds more than {MAX_VALUES} values")
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _invalid(path, f":{mark.line + 1}" if mark else "", error.problem or str(error)) from error
    except UnicodeDecodeError as error:
        raise _invalid(path, f":{data.count(NEWLINE, 0, error.start) + 1}", "it is not UTF-8 text") from error
    except (yaml.YAMLError, RecursionError, *_NONSENSE) as error:
        raise _invalid(
            path, "", f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        ) from error
    try:
        return Cassette.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = one_line(".".join(str(part) for part in first["loc"]))
        raise _invalid(path, f": {key}" if key else "", first["msg"].removeprefix("Value error, ")) from error


NEWLINE = b"\n"
_NONSENSE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What PyYAML raises besides its own errors, for example for `!!int ""` or `!!bool x`."""


def _content(path: Path) -> bytes:
    """What the file holds, of which never more than one byte over the limit is read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")  # reading a pipe would never end
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _holds_too_much(text: str) -> bool:
    """Whether there are more values than are kept in memory; they are counted only where there may be so many."""
    if sum(map(text.count, (":", ",", "- ", "\n-"))) <= MAX_VALUES:
        return False
    scalars = (event for event in yaml.parse(text, Loader=_Loader) if isinstance(event, yaml.ScalarEvent))
    return next(islice(scalars, MAX_VALUES, None), None) is not None


def save_cassette(cassette: Cassette, path: Path) -> None:
    """Write a cassette so that `path` holds the old content or the new one, never a part."""
    text = yaml.dump(_plain(cassette), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.encode())


def _plain(cassette: Cassette) -> dict[str, Any]:
    """The cassette as plain data, without what is null or empty by default inside a reply."""
    data = cassette.model_dump(mode="json")
    for entry in data["replies"]:
        if not entry["reply"]["cut"]:
            del entry["reply"]["cut"]
        if entry["expects"]["text"] is None:
            del entry["expects"]["text"]
    return data
