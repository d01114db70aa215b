"""Docker containers as sandboxes."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Literal

import requests
from docker import APIClient
from docker.errors import APIError

from pytest_specbench.core.errors import AgentError, InfrastructureError
from pytest_specbench.core.records import ImageIdentity, KeptSandbox, SandboxRecord
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import Availability, ExecResult, SandboxSpec, Usage
from pytest_specbench.sandboxes.closing import Closing
from pytest_specbench.sandboxes.docker_actor import ROOT, Actor, find_actor, numbers_of
from pytest_specbench.sandboxes.docker_container import (
    abandoned_containers,
    create_container,
    is_not_running,
    remove_container,
    require_shell,
    search_path,
)
from pytest_specbench.sandboxes.docker_engine import (
    ENGINE_FAULTS,
    connect,
    connected,
    engine_errors,
    engine_hint,
    explain,
    identity_of,
    inspect_image,
)
from pytest_specbench.sandboxes.docker_exec import CANNOT_RUN, KILLED, Command, LostError, NotStartedError, Watch, run
from pytest_specbench.sandboxes.docker_files import ContainerFiles
from pytest_specbench.sandboxes.docker_freeze import Still, look_still
from pytest_specbench.sandboxes.docker_keeper import REPLACED, Keeper, ReplacedError
from pytest_specbench.sandboxes.docker_kept import keep_container, kept_containers, remove_kept_containers
from pytest_specbench.sandboxes.docker_kill import kill_token
from pytest_specbench.sandboxes.docker_life import Life
from pytest_specbench.sandboxes.docker_usage import Meter
from pytest_specbench.sandboxes.output import Output

DYING_SEC = 3
"""How long the engine may take to notice that a container is dead."""
KILL_SEC = 15
"""How long killing one command's processes may take before the whole container is restarted."""


class DockerBackend:
    """Makes containers on a Docker engine that is reached the way the `docker` command reaches it."""

    name = "docker"
    isolates = True

    def availability(self) -> Availability:
        try:
            client = connect()
        except ENGINE_FAULTS as error:
            return Availability(False, f"no Docker engine answers: {explain(error)}", engine_hint())
        version = client.api_version
        client.close()
        return Availability(True, f"a Docker engine answers (API {version})")

    def identify(self, image: str) -> ImageIdentity:
        api = connected()
        try:
            return identity_of(image, inspect_image(api, image))
        finally:
            api.close()

    def reap(self) -> tuple[str, ...]:
        removed: list[str] = []
        try:
            api = connect()
        except ENGINE_FAULTS:
            return ()
        try:
            for name in abandoned_containers(api):
                remove_container(api, name)
                removed.append(f"container {name}")
        except ENGINE_FAULTS:
            pass  # another process may be reaping too; what is left is found the next time
        finally:
            api.close()
        return tuple(removed)

    def kept(self) -> tuple[KeptSandbox, ...]:
        return self._asked(kept_containers)

    def remove_kept(self) -> tuple[str, ...]:
        return self._asked(remove_kept_containers)

    def _asked[T](self, question: Callable[[APIClient], tuple[T, ...]]) -> tuple[T, ...]:
        """What the engine answers; nothing where there is none."""
        with contextlib.suppress(*ENGINE_FAULTS), contextlib.closing(connect()) as api:
            return question(api)
        return ()

    def start(self, spec: SandboxSpec) -> DockerSandbox:
        api = connected()
        # The name is known beforehand, so that what an interrupted request made can be removed too.
        name = f"specbench-{uuid.uuid4().hex}"
        try:
            facts = inspect_image(api, spec.image)
            with engine_errors(f"start a container of {spec.image}"):
                container = create_container(api, name, spec)
                api.start(container)
            sandbox = DockerSandbox(api, container, spec, facts)
            sandbox.prepare()
        except BaseException:
            try:
                remove_container(api, name)
            except ENGINE_FAULTS:
                # The first error says what is wrong; the labels let `specbench gc` find what is left.
                pass
            finally:
                api.close()
            raise
        return sandbox


class DockerSandbox:
    """One container whose only lasting process is a keeper; commands run beside it."""

    def __init__(self, api: APIClient, container: str, spec: SandboxSpec, image: Mapping[str, Any]) -> None:
        self.workdir = spec.workdir
        self._api = api
        self._container = container
        self._spec = spec
        self._image = image
        self._user = spec.user or str((image.get("Config") or {}).get("User") or "") or "0:0"
        self._actor = ROOT
        self._actor_is_known = False
        """Nothing was put since it was looked at, which might have given the actor what is root's."""
        self._files = ContainerFiles(api, container, spec.workdir, (0, 0))
        self._path = spec.environment.get("PATH") or search_path(image)
        self._keeper = Keeper(api, container, self._path)
        self._life = Life(api, container)
        self._reviving = threading.RLock()
        """Held while we end the container, so that nobody takes our own doing for somebody else's."""
        self._network: Literal["none", "bridge"] = "none"
        self._was_connected = False
        self._meter: Meter | None = None
        self._closing = Closing()
        self._removing = threading.Lock()
        self._removed = False
        self._ruined: str | None = None
        """Why the container cannot run any more, when what was done inside of it is to blame."""

    def prepare(self) -> None:
        """Give the workdir to the user who acts, and connect the network of the first phase."""
        numbers = numbers_of(self._user)
        with ThreadPoolExecutor(1) as pool:
            shell = pool.submit(self._require_shell)
            with engine_errors("look at what was started"):
                self._life.begin()
                self._keeper.remember_processes()
            shell.result()
            # What takes the engine long is done at the same time. It answers little else while it puts files.
            workdir = pool.submit(self._make_workdir, numbers) if numbers else None
            self._actor = self._find_actor()
            workdir = workdir or pool.submit(self._make_workdir, (self._actor.uid, self._actor.gid))
            self._files = workdir.result()
        if self._spec.networks:
            self.set_network(self._spec.networks[0])

    def _require_shell(self) -> None:
        with engine_errors("look for a shell"):
            require_shell(self._image, self._files.exists)

    def _make_workdir(self, owner: tuple[int, int]) -> ContainerFiles:
        """Make the workdir; return the container's files as its owner puts them."""
        files = ContainerFiles(self._api, self._container, self.workdir, owner)
        with engine_errors(f"make the workdir {self.workdir}"):
            if owner != (0, 0) or not files.exists(PurePosixPath(self.workdir)):
                files.make_folder(PurePosixPath(self.workdir))
        return files

    def _find_actor(self) -> Actor:
        variables = [entry.partition("=")[0] for entry in (self._image.get("Config") or {}).get("Env") or []]
        actor = find_actor(self._user, self._run_briefly, self._path.split(":"), [*variables, *self._spec.environment])
        self._actor_is_known = True
        return actor

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
        output = Output(max_output, on_output)
        code = None
        if timeout_sec > 0:
            wanted = Command(command, self._user, dict(environment or {}), self.workdir)
            code = self._exec(wanted, output, started + timeout_sec)
        return ExecResult(code, output.kept(), output.truncated, (time.monotonic() - started) * 1000)

    def _exec(self, command: Command, output: Output, deadline: float) -> int | None:
        with self._closing.watch() as closing, engine_errors("run a command in the sandbox"):
            watch = Watch(deadline, closing, lambda: self._kill(command.token))
            for _ in range(2):
                if self._ruined is not None:
                    break
                try:
                    code = run(self._api, self._container, command, output, watch)
                except LostError:
                    if not self._ended():
                        raise InfrastructureError("the engine was restarted while a command ran") from None
                    return KILLED
                except NotStartedError as error:
                    if not self._dies():
                        # Too many processes, or no memory left for one more: what a shell says when it cannot fork.
                        output(error.said)
                        return CANNOT_RUN
                except APIError as error:
                    if not (is_not_running(error) and self._dies()):
                        raise
                else:
                    if code == KILLED:
                        with self._reviving:
                            self._life.refuse_outsiders()
                    return code
                # A command may have killed the keeper, which is its own doing and not the engine's.
                with self._reviving:
                    self._life.ended()
                    self._restart()
            self._ruined = self._ruined or "the program that keeps it up ends at once"
            output(f"the sandbox cannot be started again: {self._ruined}\n".encode())
            return CANNOT_RUN

    def _dies(self) -> bool:
        """Whether the container is dead, or about to be: then the engine tells within a moment."""
        try:
            self._api.wait(self._container, timeout=DYING_SEC, condition="not-running")
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True

    def put(self, archive: bytes, target: str) -> None:
        self._actor_is_known = False
        with engine_errors(f"put files into {target}"):
            self._files.put(archive, target)

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> dict[str, bytes]:
        with engine_errors(f"fetch {', '.join(paths)}"):
            return self._files.fetch(paths, max_bytes)

    def set_network(self, network: Literal["none", "bridge"]) -> None:
        if network == self._network:
            return
        with engine_errors(f"switch the network to {network!r}"):
            if network == "none":
                # Connected to nothing: the container was made so, and a restart therefore brings no network back.
                self._api.disconnect_container_from_network(self._container, "bridge")
            else:
                if not self._was_connected:
                    self._api.disconnect_container_from_network(self._container, "none")
                self._api.connect_container_to_network(self._container, "bridge")
                self._was_connected = True
        self._network = network

    def start_measuring(self) -> None:
        meter = Meter(self._api, self._container)
        with engine_errors("measure the sandbox"):
            if self._actor.confined and not self._actor_is_known:
                self._actor = self._find_actor()
            if not self._actor.confined:
                self._keeper.remember_programs()
            meter.resume()
        self._meter = meter

    def stop_measuring(self) -> Usage:
        meter, self._meter = self._meter, None
        if meter is None:
            reason = "measuring was not started"
            names = ("cpu_ms", "peak_memory_mb", "kernel_peak_memory_mb")
            return Usage(None, None, None, out_of_memory=False, reasons=dict.fromkeys(names, reason))
        return meter.finish()

    def kill_all(self) -> tuple[str, ...]:
        with engine_errors("end what runs in the sandbox"), self._reviving:
            self._life.ended()
            still = self._look_still()
            left = self._keeper.others() if still is None else still.others
            if still is None or not still.untouched:
                # Also when nothing is seen: who forks and ends all the time, or is traced, is in no list.
                self._restart()
        if self._ruined == REPLACED:
            raise AgentError(REPLACED, cause=Cause.VERIFIER_SAID_NO)
        return left

    def _look_still(self) -> Still | None:
        """What is in the container, where that proves what else is not: nobody could reach what is ours, and no command
        is on its way.
        """
        known = self._actor.confined and self._actor_is_known and self._ruined is None
        if not known or not self._closing.wait_until_unwatched(0):
            return None
        return look_still(self._api, self._container, self._keeper)

    def close(self) -> None:
        self._closing.close()
        with self._removing:
            if self._removed:
                return
            if self._meter is not None:
                self._meter.pause()
            with engine_errors("remove the sandbox"):
                remove_container(self._api, self._container)
            self._api.close()
            self._removed = True

    def keep(self) -> KeptSandbox:
        self._closing.close()
        with self._removing:
            if self._removed or not self._closing.wait_until_unwatched(KILL_SEC):
                raise InfrastructureError("the sandbox is removed already, or a command in it does not end")
            if self._meter is not None:
                self._meter.pause()
                self._meter = None
            with engine_errors("keep the sandbox"):
                self.set_network("none")
                self._restart()
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

    def _restart(self) -> None:
        """End everything at once. What was measured until now stands, and measuring goes on.

        When it does not come up again because of what was done to its files, nothing runs in it either.
        """
        if self._meter is not None:
            self._meter.pause()
        try:
            self._ruined = self._keeper.restart() or self._ruined
        except ReplacedError:
            self._ruined = REPLACED
        self._life.begin()
        if self._meter is not None:
            self._meter.resume()

    def _kill(self, token: str) -> None:
        """Kill one command's processes; when that is not certain, everything."""
        self._ended()  # what was held up from outside did not take too long
        try:
            certain = kill_token(self._run_briefly, token)
        except ENGINE_FAULTS:
            certain = False
        if not certain:
            with self._reviving:
                self._restart()

    def _ended(self) -> bool:
        with self._reviving:
            return self._life.ended()

    def _run_briefly(self, argv: list[str], user: str) -> tuple[int | None, bytes]:
        """Run a command of ours as `user`; it has nothing to wait for."""
        output = Output(1_000_000, None)
        with self._closing.watch() as closing:
            watch = Watch(time.monotonic() + KILL_SEC, closing, lambda: None)
            try:
                code = run(self._api, self._container, Command(argv, user), output, watch)
            except NotStartedError as error:
                return CANNOT_RUN, error.said
            except LostError:
                code = KILLED
        return code, output.kept()
