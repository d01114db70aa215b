"""Docker containers as sandboxes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Literal

from docker import APIClient

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import KeptSandbox, SandboxRecord
from pytest_specbench.sandboxes.base import ExecResult, SandboxSpec, Usage
from pytest_specbench.sandboxes.closing import Closing
from pytest_specbench.sandboxes.docker.actor import ROOT, Actor, find_actor, numbers_of
from pytest_specbench.sandboxes.docker.commands import KILL_SEC, Commands
from pytest_specbench.sandboxes.docker.container import remove_container, require_shell, search_path
from pytest_specbench.sandboxes.docker.engine import engine_errors, identity_of
from pytest_specbench.sandboxes.docker.exec import Command, End
from pytest_specbench.sandboxes.docker.files import ContainerFiles
from pytest_specbench.sandboxes.docker.freeze import Still, look_still
from pytest_specbench.sandboxes.docker.keeper import Keeper
from pytest_specbench.sandboxes.docker.kept import keep_container
from pytest_specbench.sandboxes.docker.known import Content, Known
from pytest_specbench.sandboxes.docker.network import Network
from pytest_specbench.sandboxes.docker.revival import Revival
from pytest_specbench.sandboxes.docker.usage import Meter
from pytest_specbench.sandboxes.output import ONE_STREAM, Output


class DockerSandbox:
    """One container whose only lasting process is a keeper; commands run beside it."""

    def __init__(
        self, api: APIClient, container: str, spec: SandboxSpec, image: Mapping[str, Any], known: Known
    ) -> None:
        self.workdir = spec.workdir
        self._api = api
        self._container = container
        self._spec = spec
        self._image = image
        self._user = spec.user or str((image.get("Config") or {}).get("User") or "") or "0:0"
        self._actor = ROOT
        self._actor_is_known = False
        """Nothing was put since it was looked at, which might have given the actor what is root's."""
        self._shell_is_intact = False
        self._known = known
        self._podman = known.podman(api)
        self._files = ContainerFiles(api, container, spec.workdir, (0, 0), podman=self._podman)
        self._path = spec.environment.get("PATH") or search_path(image)
        variables = [entry.partition("=")[0] for entry in (image.get("Config") or {}).get("Env") or []]
        self._variables = frozenset([*variables, *spec.environment])
        self._content: Content | None = Content(str(image["Id"]), self._user, self._path, self._variables, spec.workdir)
        """None once it may be like no other's."""
        self._acted = False
        self._keeper = Keeper(api, container, self._path, podman=self._podman)
        self._closing = Closing()
        self._revival = Revival(api, container, self._keeper, self._closing)
        self._commands = Commands(api, container, self._closing, self._revival)
        self._network = Network(api, container)
        self._removing = threading.Lock()
        self._removed = False

    def prepare(self) -> None:
        """Give the workdir to the user who acts, and connect the network of the first phase."""
        with ThreadPoolExecutor(1) as pool:
            shell = pool.submit(self._require_shell)
            with engine_errors("look at what was started"):
                self._revival.begin()
            shell.result()
        if (numbers := numbers_of(self._user)) is None:
            who = self._known.actor(self._content) or self._look_at_actor()
            numbers = who.uid, who.gid
        # Before anything is proved: the workdir may be, or lie above, what programs are looked for in.
        self._files = self._make_workdir(numbers)
        self._actor = self._find_actor()
        if self._spec.networks:
            self.set_network(self._spec.networks[0])

    def _require_shell(self) -> None:
        with engine_errors("look for a shell"):
            self._known.require_shell(str(self._image["Id"]), lambda: require_shell(self._image, self._files.exists))

    def _make_workdir(self, owner: tuple[int, int]) -> ContainerFiles:
        """Make the workdir; return the container's files as its owner puts them.

        Where it is a link in the image, it is the folder that the link leads to: that is where processes find
        themselves, and from where on no link is followed.
        """
        with engine_errors(f"make the workdir {self.workdir}"):
            folder, there = self._files.folder(PurePosixPath(self.workdir))
            self.workdir = str(folder)
            files = ContainerFiles(self._api, self._container, self.workdir, owner, podman=self._podman)
            if owner != (0, 0) or not there:
                files.make_folder(folder)
        return files

    def _find_actor(self) -> Actor:
        actor = self._known.actor(self._content) or self._look_at_actor()
        self._known.remember(self._content, actor)
        self._actor_is_known = True
        return actor

    def _look_at_actor(self) -> Actor:
        return find_actor(self._user, self._commands.run_briefly, self._path.split(":"), self._variables)

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout_sec: float,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        max_output: int = 1_000_000,
    ) -> ExecResult:
        started = time.monotonic()
        self._acted = True
        output = Output(max_output, on_output)
        end = End(None)
        if timeout_sec > 0:
            wanted = Command((*ONE_STREAM, *command), self._user, dict(environment or {}), self.workdir)
            end = self._commands.exec(wanted, output, started + timeout_sec)
        took = (time.monotonic() - started) * 1000
        return ExecResult(end.code, output.kept(), output.truncated, took, started=end.started)

    def put(self, archive: bytes, target: str) -> None:
        self._actor_is_known = self._shell_is_intact = False
        # Where a command ran before, it may have led the target elsewhere.
        self._content = None if self._acted or self._content is None else self._content.with_files(archive, target)
        with engine_errors(f"put files into {target}"):
            self._files.put(archive, target)

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> dict[str, bytes]:
        with engine_errors(f"fetch {', '.join(paths)}"):
            return self._files.fetch(paths, max_bytes)

    def set_network(self, network: Literal["none", "bridge"]) -> None:
        with engine_errors(f"switch the network to {network!r}"):
            self._network.switch(network)

    def start_measuring(self) -> None:
        meter = Meter(self._api, self._container)
        with engine_errors("measure the sandbox"):
            if self._actor.confined and not self._actor_is_known:
                self._actor = self._find_actor()
            if not self._actor.confined:
                self._keeper.remember_programs()
            self._revival.measure(meter)

    def stop_measuring(self) -> Usage:
        meter = self._revival.stop_measuring()
        if meter is None:
            reason = "measuring was not started"
            names = ("cpu_ms", "peak_memory_mb", "kernel_peak_memory_mb")
            return Usage(None, None, None, out_of_memory=False, reasons=dict.fromkeys(names, reason))
        return meter.finish()

    def kill_all(self) -> tuple[str, ...]:
        with engine_errors("end what runs in the sandbox"):
            left = self._revival.kill_all(self._look_still)
        self._shell_is_intact = self._actor.confined and self._actor_is_known
        if self._shell_is_intact and self._revival.ruined is not None:
            # Who acted could not do that.
            raise InfrastructureError(f"the sandbox cannot be started again: {self._revival.ruined}")
        return left

    def shell_is_intact(self) -> bool:
        """Whether it is proved that whoever acted until everything was killed could not change what `sh` runs from."""
        return self._shell_is_intact

    def _look_still(self) -> Still | None:
        """What is in the container, where that proves what else is not: nobody could reach what is ours, and no command
        is on its way.
        """
        if not (self._actor.confined and self._actor_is_known and self._closing.wait_until_unwatched(0)):
            return None
        return look_still(self._api, self._container, self._keeper, self._commands.run_briefly)

    def close(self) -> None:
        self._closing.close()
        with self._removing:
            if self._removed:
                return
            self._revival.pause_measuring()
            with engine_errors("remove the sandbox"):
                remove_container(self._api, self._container)
            self._api.close()
            self._removed = True

    def keep(self) -> KeptSandbox:
        self._closing.close()
        with self._removing:
            if self._removed or not self._closing.wait_until_unwatched(KILL_SEC):
                raise InfrastructureError("the sandbox is removed already, or a command in it does not end")
            if (meter := self._revival.stop_measuring()) is not None:
                meter.pause()
            with engine_errors("keep the sandbox"):
                self._network.cut()
                self._revival.restart()
                kept = keep_container(self._api, self._container, self._spec.labels)
            self._api.close()
            self._removed = True
        return kept

    def record(self) -> SandboxRecord:
        with engine_errors("ask the engine about itself"):
            info: dict[str, Any] = self._api.info()
        # Without root nobody can set limits in cgroup v1; Podman says that it does, and leaves them out.
        rootless = info.get("Rootless") or "name=rootless" in (info.get("SecurityOptions") or [])
        limits = not rootless or info.get("CgroupVersion") == "2"
        enforced = {
            "cpus": limits and bool(info.get("CpuCfsQuota")),
            "memory": limits and bool(info.get("MemoryLimit")),
            "pids": limits and bool(info.get("PidsLimit")),
            "network": True,
        }
        engine = f"{info.get('ServerVersion', 'unknown')} (cgroup v{info.get('CgroupVersion') or '1'})"
        return SandboxRecord(
            backend="docker", image=identity_of(self._spec.image, self._image), enforced=enforced, engine=engine
        )
