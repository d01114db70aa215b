"""Reaching the Docker engine, and saying in words what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.errors import APIError, ContextException, DockerException, NotFound
from docker.utils import kwargs_from_env
from docker.utils.config import find_config_file

from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.records import ImageIdentity
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import Cause

RECIPE_LABEL = "org.specbench.recipe"
CONNECT_SEC = 3
"""How long an engine may take to say that it is there."""
REQUEST_SEC = 60
"""How long an engine may take to answer a request."""
ENGINE_FAULTS = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def connect() -> APIClient:
    """Return a client of the engine that DOCKER_HOST, else DOCKER_CONTEXT, else the current docker context names.

    Raises one of ENGINE_FAULTS, within a few seconds.
    """
    client = APIClient(version="auto", timeout=CONNECT_SEC, **_where())
    client.timeout = REQUEST_SEC
    return client


def address() -> str:
    """Where `connect` looks for the engine now; empty where docker-py's default is."""
    return str(_where().get("base_url", ""))


def _where() -> dict[str, Any]:
    """Arguments for a client, by the order of docker's own command line. A context that is not there is an error: any
    other engine may be another machine's.
    """
    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name() or "default"
    if os.environ.get("DOCKER_HOST") or name == "default":
        return {**kwargs_from_env()}
    try:
        # Without that file docker-py would look for contexts in the working directory.
        context = ContextAPI.get_context(name) if find_config_file() else None
    except Exception as error:  # what is wrong with its files has no class of its own
        raise ContextException(f"the docker context {name!r} cannot be read: {error}") from error
    if context is None or not context.Host:
        raise ContextException(
            f"there is no docker context {name!r}, which the environment's DOCKER_CONTEXT or docker's configuration "
            "names: docker context ls"
        )
    return {"base_url": context.Host, "tls": context.TLSConfig}


def is_podman(api: APIClient) -> bool:
    """Whether Podman answers, which speaks Docker's language and differs here and there in what it means by it."""
    components = api.version().get("Components") or []
    return any(component.get("Name") == "Podman Engine" for component in components)


def engine_hint() -> str:
    """How to get an engine on this kind of machine."""
    start = "open -a Docker" if sys.platform == "darwin" else "sudo systemctl start docker"
    return f"start the engine ({start}) and check with `docker info`, or run with --specbench-sandbox local"


def connected() -> APIClient:
    """Return a client of the engine. Raises BlockedError(ENGINE_MISSING) when none answers."""
    try:
        return connect()
    except ENGINE_FAULTS as error:
        raise BlockedError(
            f"no Docker engine answers: {explain(error)}", cause=Cause.ENGINE_MISSING, hint=engine_hint()
        ) from error


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn whatever the engine or the way to it throws into an InfrastructureError that says what was being done."""
    try:
        yield
    except ENGINE_FAULTS as error:
        raise InfrastructureError(f"cannot {doing}: {explain(error)}", hint=_hint(error)) from error


def explain(error: BaseException) -> str:
    """The engine's own words where it said something, in one line."""
    if isinstance(error, APIError) and error.explanation:
        return " ".join(str(error.explanation).split())
    return " ".join(str(error).split()) or type(error).__name__


def _hint(error: BaseException) -> str | None:
    """An answer with a status says by itself what is wrong; anything else means that the engine is not reached."""
    if isinstance(error, APIError):
        return None
    if "ermission denied" in str(error):
        return "add your user to the `docker` group, or use a rootless engine; then check with `docker info`"
    return engine_hint()


def inspect_image(api: APIClient, image: str) -> dict[str, Any]:
    """What the engine knows of an image. Raises BlockedError(IMAGE_MISSING) with the command that brings it."""
    try:
        with engine_errors(f"inspect the image {image}"):
            return dict(api.inspect_image(image))  # type: ignore[no-untyped-call]
    except InfrastructureError as error:
        if not isinstance(error.__cause__, NotFound):
            raise
    raise BlockedError(
        f"the image {image!r} is not on this machine",
        cause=Cause.IMAGE_MISSING,
        hint="specbench runner build" if image == RUNNER_IMAGE else f"docker pull {image}",
    ) from None


def identity_of(reference: str, facts: Mapping[str, Any]) -> ImageIdentity:
    """Content identity of an inspected image."""
    config = facts.get("Config") or {}
    platform = "/".join(part for part in (facts.get("Os"), facts.get("Architecture"), facts.get("Variant")) if part)
    return ImageIdentity(
        reference=reference,
        digest=_repository_digest(reference, facts.get("RepoDigests") or [])
        or _content_digest(facts, config, platform),
        platform=platform,
        recipe=(config.get("Labels") or {}).get(RECIPE_LABEL),
    )


def repository_of(reference: str) -> str:
    """The repository of an image reference, in docker's short form: no tag, no digest, no default registry."""
    name = reference.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    name = head + slash + tail.partition(":")[0]
    for default in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"):
        name = name.removeprefix(default)
    return name


def _repository_digest(reference: str, digests: list[str]) -> str | None:
    """The digest of the reference's own repository; the one that it pins when there are several."""
    wanted = reference.partition("@")[2]
    repository = repository_of(reference)
    own = sorted(digest.partition("@")[2] for digest in digests if repository_of(digest) == repository)
    if wanted in own:
        return f"{repository}@{wanted}"
    return f"{repository}@{own[0]}" if own else None


CONFIG_PARTS = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)


def _content_digest(facts: Mapping[str, Any], config: Mapping[str, Any], platform: str) -> str:
    """Hash over what a container sees of the image. The image id is no use: it changes with every import."""
    content = {
        "config": {key: config[key] for key in CONFIG_PARTS if config.get(key)},
        "layers": (facts.get("RootFS") or {}).get("Layers") or [],
        "platform": platform,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"content:sha256:{hashlib.sha256(text.encode()).hexdigest()}"
