"""Records what a model says, and what it saw, into a cassette. Wraps any other client, a replay too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.agents.models.base import ModelClient, ModelReply, ModelRequest
from pytest_specbench.agents.models.cassette import (
    Cassette,
    CassetteCall,
    CassetteReply,
    CassetteUsage,
    Entry,
    Expects,
    save_cassette,
)
from pytest_specbench.agents.models.match import conversation_digest, shown_tail, tail_digest
from pytest_specbench.agents.models.replay import ReplayModel
from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.store.placing import place


def cassette_path(target: str, scenario_id: str) -> Path:
    """Where a scenario's cassette goes: `{scenario}` is replaced; a folder gets `<scenario>.cassette.yaml`."""
    path = Path(target.replace("{scenario}", scenario_id))
    if target.endswith("/") or path.is_dir():
        return path / f"{scenario_id}.cassette.yaml"
    return path


class RecordingModel:
    """A `ModelClient` that passes everything on, and writes the cassette after every reply.

    While the conversation goes on it lies beside its place as `.partial`; `finish` gives it its name. An existing
    cassette is never overwritten: BlockedError(CONFIGURATION). A replay that is recorded keeps its provenance and gets
    `expects` filled. What is written has passed the `redactor`.
    """

    def __init__(self, inner: ModelClient, path: Path, *, redactor: Redactor) -> None:
        self._inner = inner
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._redactor = redactor
        self._refuse_existing()
        if isinstance(inner, ReplayModel):
            self._cassette = inner.cassette.model_copy(update={"replies": []})
        else:
            self._cassette = Cassette(
                cassette=1,
                provenance="recorded",
                model=inner.name,
                recorded_at=datetime.now(UTC).replace(microsecond=0),
            )
        with self._writing():  # found before a reply is paid for
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                os.lstat(self._partial)
            with tempfile.TemporaryFile(dir=path.parent):
                pass

    @property
    def name(self) -> str:
        """Name of the model that is recorded."""
        return self._inner.name

    @property
    def live(self) -> bool:
        """Whether the model that is recorded is live."""
        return self._inner.live

    def complete(self, request: ModelRequest) -> ModelReply:
        reply = self._inner.complete(request)
        entry = Entry(
            stage=request.stage,
            step=request.step,
            tools=request.tool_names,
            expects=Expects(
                exit_codes=list(request.exit_codes),
                tail=tail_digest(request),
                conversation=conversation_digest(request),
                text=self._redactor.text(shown_tail(request)),
            ),
            reply=self._reply(request, reply),
        )
        self._cassette = self._cassette.model_copy(update={"replies": [*self._cassette.replies, entry]})
        with self._writing():
            save_cassette(self._cassette, self._partial)
        return reply

    def finish(self, *, content: bool) -> None:
        self._inner.finish(content=content)
        if self._cassette.replies:
            self._refuse_existing()  # somebody may have put it there meanwhile
            with self._writing():
                save_cassette(self._cassette, self._partial)
                place(self._partial, self._path)

    def close(self) -> None:
        self._inner.close()

    def _reply(self, request: ModelRequest, reply: ModelReply) -> CassetteReply:
        if isinstance(self._inner, ReplayModel):
            replayed = self._inner.entry(request.stage, request.step)
            if replayed is not None:
                return replayed.reply
        usage = CassetteUsage(
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cached_tokens=reply.usage.cached_tokens,
            cost_usd=reply.usage.cost_usd,
        )
        calls = [
            CassetteCall(id=call.tool_call_id, name=call.function_name, arguments=self._redactor.json(call.arguments))
            for call in reply.tool_calls
        ]
        return CassetteReply(
            content=self._redactor.text(reply.content),
            reasoning=None if reply.reasoning is None else self._redactor.text(reply.reasoning),
            tool_calls=calls,
            usage=None if usage == CassetteUsage() else usage,
            cut=reply.finish_reason == "length",
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the host cannot write is nobody's failure but the host's."""
        try:
            yield
        except OSError as error:
            raise InfrastructureError(
                f"cannot write the cassette {self._path}: {error.strerror or error}",
                hint="name a file that can be written with --specbench-record",
            ) from error

    def _refuse_existing(self) -> None:
        if os.path.lexists(self._path):
            raise BlockedError(
                "the cassette to record is already there, and recordings are never overwritten",
                cause=Cause.CONFIGURATION,
                where=str(self._path),
                expected="a new file, a folder, or a path with {scenario}; one trial a scenario",
                hint="remove the file, or name another with --specbench-record",
            )
