"""The contract between a trial and the place where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import ImageIdentity, SandboxRecord


class SpoiledError(InfrastructureError):
    """The sandbox works, but what was done inside of it makes a call impossible: after an agent has acted, its doing.

    Whoever knows that an agent had the sandbox before turns it into that agent's failure.
    """


class FetchTooLargeError(SpoiledError):
    """The files to fetch hold too many bytes, or there are too many of them; the message names the limit."""


@dataclass(frozen=True)
class SandboxSpec:
    """What a trial asks of a sandbox. Times in seconds, memory in MB of 1,000,000 bytes."""

    image: str
    cpus: float
    memory_mb: int
    pids: int
    workdir: str
    user: str | None
    networks: tuple[Literal["none", "bridge"], ...]
    """The networks that the phases will ask for, so that a sandbox can be prepared for them."""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """What identifies the owner, for reaping what a dead run left behind."""
    lifetime_sec: float | None = None
    """All deadlines of the phases together: when it should be gone at the latest. For information; null: not known."""


@dataclass(frozen=True)
class ExecResult:
    """How a command in the sandbox ended. `output` is standard output and error as they came, cut to `max_output`."""

    exit_code: int | None
    """Null when it was killed at its deadline."""
    output: bytes
    truncated: bool
    """True when there was more output than was kept."""
    duration_ms: float
    """By a monotonic clock, on this side of the sandbox."""
    started: bool = True
    """False when it is known that nothing of it ran, because of what is inside: no shell, a spoiled workdir. A program
    that is not there ends as the shell says it, with 126 or 127.
    """

    @property
    def timed_out(self) -> bool:
        """The command was still running at its deadline and was killed."""
        return self.exit_code is None


@dataclass(frozen=True)
class Usage:
    """What the sandbox used between `start_measuring` and `stop_measuring`; null with the reason in `reasons`."""

    cpu_ms: float | None
    peak_memory_mb: float | None
    kernel_peak_memory_mb: float | None
    out_of_memory: bool
    """The kernel killed something in the sandbox because memory ran out."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Metric name -> why it is null."""
    notes: tuple[str, ...] = ()
    """How it was measured, for example `sampled every 20 ms from cgroup v1`."""


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be used now, and why or why not, with the command that mends it."""

    usable: bool
    reason: str
    hint: str | None = None


class Sandbox(Protocol):
    """One running sandbox. Every method raises InfrastructureError when the sandbox itself fails; a command that
    fails is no error. A path is absolute, or relative to `workdir`.

    Whatever is done inside (the workdir removed, programs replaced, every process killed, names and sizes that no file
    should have) is never a failure of the sandbox: a command that cannot be run any more ends with 126 or 127 and
    says why in its output, and `put` and `fetch` raise SpoiledError.
    """

    workdir: str
    """Absolute path, as commands inside see it."""

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout_sec: float,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        max_output: int = 1_000_000,
    ) -> ExecResult:
        """Run `command` in the workdir and wait. At `timeout_sec` it and all of its descendants are killed.

        `on_output` gets every chunk as it comes, also what exceeds `max_output`.
        """
        ...

    def put(self, archive: bytes, target: str) -> None:
        """Unpack a tar archive (made by us) into the folder `target`, which is made if needed.

        Raises SpoiledError when what is there is in the way.
        """
        ...

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> dict[str, bytes]:
        """Return the regular files that match the globs `paths`, relative to the workdir, keyed by their relative path.

        Links, devices and everything outside the workdir are left out. `**` crosses folders, `*` does not.
        Raises FetchTooLargeError when they exceed `max_bytes` or are too many, so that nothing is silently left out,
        and SpoiledError when something else about them keeps them from being read.
        """
        ...

    def set_network(self, network: Literal["none", "bridge"]) -> None:
        """Switch the network for the phase that begins."""
        ...

    def start_measuring(self) -> None:
        """Begin to measure CPU and memory."""
        ...

    def stop_measuring(self) -> Usage:
        """Stop, and return what was used since `start_measuring`."""
        ...

    def kill_all(self) -> tuple[str, ...]:
        """Kill every process that is still running in the sandbox, and return their command lines.

        When it returns, none is left; that is seen to from outside the sandbox. Raises InfrastructureError otherwise,
        and AgentError when what was done inside left nothing that could be trusted to run the sandbox further.
        """
        ...

    def close(self) -> None:
        """Kill and remove everything. Idempotent; may be called from another thread to cut a running `exec` short."""
        ...

    def record(self) -> SandboxRecord:
        """What this sandbox really is and enforces, for the record."""
        ...


@runtime_checkable
class ShellProver(Protocol):
    """A sandbox that may be able to prove that its shell is what it was before anybody acted inside."""

    def shell_is_intact(self) -> bool:
        """Whether it is proved that whoever acted until `kill_all` could change neither `sh` and `mktemp` nor what
        they are loaded from. The workdir may be anything.
        """
        ...


class SandboxBackend(Protocol):
    """Makes sandboxes of one kind."""

    name: str
    isolates: bool
    """False where an agent can reach the host: a live model is refused there unless explicitly allowed."""

    def availability(self) -> Availability:
        """Whether it can be used on this machine now. Quick, and never raises."""
        ...

    def identify(self, image: str) -> ImageIdentity | None:
        """Content identity of an image that is present, as `Sandbox.record` says it; null for a backend without images.

        Raises BlockedError(IMAGE_MISSING), with the command that brings it, when it is not there.
        """
        ...

    def start(self, spec: SandboxSpec) -> Sandbox:
        """Bring a sandbox up. Whatever was made is removed again when it fails."""
        ...
