"""Puts files into a container and takes files out of it, through the engine's archive calls."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.archive import Budget, Found, pack_directory, printable, read_regular, reown
from pytest_specbench.sandboxes.base import SpoiledError
from pytest_specbench.sandboxes.docker.engine import explain
from pytest_specbench.sandboxes.globs import Glob, compile_globs

GO_DIRECTORY, GO_LINK = 1 << 31, 1 << 27
"""Bits of Go's file mode, in which the engine describes a path."""
MAX_LINKS = 40
"""Links in a row that a path may lead through, as in Linux."""
OBSTACLE = re.compile("not a directory|is a directory|file exists|cannot overwrite|too many (?:links|levels)")
"""How the engine says that what is there is in the way."""
LOOP = re.compile("too many (?:links|levels)")
"""How it says that a link leads to itself."""


class ContainerFiles:
    """The file system of one container, seen from `workdir`. `owner` (uid, gid) gets what is put.

    Methods raise the engine's own errors, and InfrastructureError for what they refuse.
    """

    def __init__(self, api: APIClient, container: str, workdir: str, owner: tuple[int, int], *, podman: bool) -> None:
        self._api = api
        self._container = container
        self._workdir = PurePosixPath(workdir)
        self._owner = owner
        self._podman = podman

    def put(self, archive: bytes, target: str) -> None:
        """Unpack `archive` into the folder `target`, absolute or relative to the workdir, which is made if needed.

        Raises SpoiledError when what is there is in the way.
        """
        try:
            self._put(archive, target)
        except APIError as error:
            if not OBSTACLE.search(explain(error)):
                raise
            raise SpoiledError(f"cannot put files into {target}, for something is in the way") from error

    def _put(self, archive: bytes, target: str) -> None:
        folder = self._workdir / target
        data = reown(archive, self._owner)
        if self._podman and not self.exists(folder):  # it would make the folder, and give it to root
            self.make_folder(folder)
        try:
            self._api.put_archive(self._container, str(folder), data)
        except NotFound:
            self.make_folder(folder)
            self._api.put_archive(self._container, str(folder), data)

    def make_folder(self, folder: PurePosixPath) -> None:
        """Make `folder` and what is missing above it. One that is there gets the owner and mode 0755."""
        archive = pack_directory(folder.name, owner=self._owner)
        if self._podman and not self.exists(folder.parent):
            self.make_folder(folder.parent)
        try:
            self._api.put_archive(self._container, str(folder.parent), archive)
        except NotFound:
            if folder.parent == folder.parent.parent:
                raise
            self.make_folder(folder.parent)
            self._api.put_archive(self._container, str(folder.parent), archive)

    def folder(self, path: PurePosixPath) -> tuple[PurePosixPath, bool]:
        """Where an absolute path leads when links of the image are followed, and whether that is there.

        Raises InfrastructureError(SETUP_FAILED) for a link that leads to itself and for what is no folder.
        """
        for _ in range(MAX_LINKS):
            status, facts = describe(self._api, self._container, path)
            if facts is None or not int(facts["mode"]) & GO_LINK:
                break
            path = path.parent / str(facts["linkTarget"])
        if facts is None and status == 404:
            return path, False
        mode = self._mode_of_loop(path) if facts is None else int(facts["mode"])
        if not mode & GO_DIRECTORY:
            raise InfrastructureError(
                f"the workdir cannot be {path}, which is no folder in the image",
                cause=Cause.SETUP_FAILED,
                hint="name a folder in runner.workdir, a link to one, or a path where there is nothing",
            )
        return path, True

    def exists(self, path: PurePosixPath) -> bool:
        """Whether there is anything at an absolute path."""
        return self._mode(path) is not None

    def fetch(self, patterns: Sequence[str], max_bytes: int) -> dict[str, bytes]:
        """Regular files that match, keyed by their path relative to the workdir."""
        files: dict[str, bytes] = {}
        globs = compile_globs(patterns)
        budget = Budget(max_bytes)
        for prefix in _outermost(globs):
            if self._is_real(prefix):
                files.update(self._fetch_below(prefix, globs, budget))
        return {printable(name): files[name] for name in sorted(files)}

    def _fetch_below(self, prefix: str, globs: Sequence[Glob], budget: Budget) -> dict[str, bytes]:
        def path_of(name: str) -> str | None:
            # The engine names members from the last component of what was asked for on.
            inner = name.partition("/")[2]
            path = "/".join(part for part in (prefix, inner) if part)
            return path if any(glob.matches(path) for glob in globs) else None

        found = self._read(prefix, path_of, budget)
        for path, first in found.hardlinks.items():
            if first in found.files:
                budget.take(len(found.files[first]))
                found.files[path] = found.files[first]
                continue
            # In an archive a second name of a file is a mere reference; asked for by itself it is the file.
            for data in self._read(path, str, budget).files.values():
                found.files[path] = data
        return found.files

    def _read(self, path: str, path_of: Callable[[str], str | None], budget: Budget) -> Found:
        try:
            # As bytes, since a name in a container need not be UTF-8.
            chunks, facts = self._api.get_archive(self._container, os.fsencode(self._workdir / path))
        except NotFound:
            self._require_container()
            return Found()
        with closing(chunks):
            if int(facts["mode"]) & GO_LINK:
                return Found()
            return read_regular(chunks, path_of, budget)

    def _is_real(self, prefix: str) -> bool:
        """False when `prefix` is not there, or when a component of it is a link and may lead out of the workdir."""
        path = self._workdir
        for part in ("", *PurePosixPath(prefix).parts):
            path /= part
            mode = self._mode(path)
            if mode is None or mode & GO_LINK:
                return False
            if path != self._workdir / prefix and not mode & GO_DIRECTORY:
                return False
        return True

    def _require_container(self) -> None:
        """A file that is not there is a finding; a container that is not there must not look like one."""
        self._api.inspect_container(self._container)

    def _mode(self, path: PurePosixPath) -> int | None:
        """Go's file mode of a path, links not followed in its last component; None when it is not there."""
        status, facts = describe(self._api, self._container, path)
        if status == 404:
            self._require_container()
            return None
        return self._mode_of_loop(path) if facts is None else int(facts["mode"])

    def _mode_of_loop(self, path: PurePosixPath) -> int:
        """What the engine refuses to describe is a link that leads to itself, or the engine's fault: a GET says why."""
        try:
            chunks, facts = self._api.get_archive(self._container, str(path))
        except APIError as error:
            if LOOP.search(explain(error)):
                return GO_LINK
            raise
        chunks.close()
        return int(facts["mode"])


def describe(api: APIClient, container: str, path: PurePosixPath) -> tuple[int, dict[str, Any] | None]:
    """The HTTP status of the engine's answer, and what it says of a path (`mode` in Go's bits, `linkTarget` where it
    leads in the end), links not followed in its last component; None for anything but status 200.
    """
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
    response = api.head(url, params={"path": str(path)}, timeout=api.timeout)
    if response.status_code != 200:
        return response.status_code, None
    return 200, dict(json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"])))


def _outermost(globs: Sequence[Glob]) -> list[str]:
    """The folders (or files) to ask for, without those that lie below another."""
    chosen: list[str] = []
    for prefix in sorted({glob.prefix for glob in globs}, key=lambda text: (len(PurePosixPath(text).parts), text)):
        above = {"", *(str(parent) for parent in PurePosixPath(prefix).parents)} - {"."}
        recursive = any(not glob.exact for glob in globs if glob.prefix in above)
        if not (recursive and above & set(chosen)):
            chosen.append(prefix)
    return chosen
