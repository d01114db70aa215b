"""An image is what it holds and not what it is called: identity by content, by recipe, and by a registry's digest."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from parity_support import approve, lock_content
from scenario_files import Project, command

pytestmark = pytest.mark.docker

DOCKER = "--specbench-sandbox=docker"
SMALL = "sh sleep cat mkdir rm id touch"
"""The programs of the small image: what a sandbox needs, and a little for the agent."""


@pytest.fixture(scope="session")
def small_layer(engine: Any, runner_image: str) -> bytes:
    """A tar archive of a root folder with a shell, some MB in size, so that a registry takes it at once."""
    script = (
        f"set -e; cd /; for p in {SMALL}; do f=$(command -v $p); echo $f; ldd $f | grep -o '/[^ ]*'; done | sort -u >"
        " /tmp/list; mkdir -p /tmp/root/work; tar -chf - -T /tmp/list 2>/dev/null | tar -xf - -C /tmp/root"
    )
    container = engine.containers.create(runner_image, ["sh", "-c", script], user="0")
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        return b"".join(container.get_archive("/tmp/root/.")[0])
    finally:
        container.remove(force=True)


@pytest.fixture
def tag(engine: Any, small_layer: bytes) -> Iterator[str]:
    """An image of this test's own; it and whatever else gets its name is removed."""
    name = f"specbench-test-{uuid4().hex[:12]}"
    load(engine, f"{name}:1", small_layer)
    yield f"{name}:1"
    remove(engine, name)


def load(engine: Any, name: str, layer: bytes, note: str | None = None) -> None:
    """Import an image; a note makes another one of it."""
    if note is not None:
        more = io.BytesIO()
        with tarfile.open(fileobj=more, mode="w") as archive:
            entry = tarfile.TarInfo("note")
            entry.size = len(note)
            archive.addfile(entry, io.BytesIO(note.encode()))
            with tarfile.open(fileobj=io.BytesIO(layer)) as first:
                for member in first:
                    archive.addfile(member, first.extractfile(member) if member.isreg() else None)
        layer = more.getvalue()
    repository, _, version = name.rpartition(":")
    changes = [f"LABEL org.specbench.test={repository}"]
    engine.api.import_image_from_data(layer, repository=repository, tag=version, changes=changes)


def remove(engine: Any, name: str) -> None:
    """Remove every image of a test, those without a name included; what was built on another one goes first."""
    found = engine.images.list(filters={"label": f"org.specbench.test={name}"})
    for image in sorted(found, key=lambda image: str(image.attrs["Created"]), reverse=True):
        engine.images.remove(image.id, force=True)


class TestIdentityByContent:
    def test_the_lock_holds_content_and_platform(self, project: Project, engine: Any, tag: str) -> None:
        project.scenario(runner={"image": tag})

        assert project.run(DOCKER, "--specbench-lock").code == 0

        entry = lock_content(project)["sandboxes"]["docker"]["demo"]
        assert re.fullmatch("content:sha256:[0-9a-f]{64}", entry["runner_image"])
        assert entry["platform"].startswith("linux/")
        assert project.run(DOCKER, "--specbench-lock-check").code == 0

    def test_another_image_under_the_same_name_is_drift(
        self, project: Project, engine: Any, tag: str, small_layer: bytes
    ) -> None:
        project.scenario(runner={"image": tag})
        project.run(DOCKER, "--specbench-lock")
        load(engine, f"{tag.partition(':')[0]}:2", small_layer, note="another")
        engine.images.get(f"{tag.partition(':')[0]}:2").tag(tag)

        ran = project.run(DOCKER)

        assert ran.verdict() == ("blocked", "parity", 2)
        assert "- runner_image: content:sha256:" in ran.err
        assert "+ runner_image: content:sha256:" in ran.err
        assert ran.run()["trials"] == []
        assert project.run(DOCKER, "--specbench-lock-check").code == 2

    def test_another_name_of_the_same_image_is_none(self, project: Project, engine: Any, tag: str) -> None:
        project.scenario(runner={"image": tag})
        project.run(DOCKER, "--specbench-lock")
        other = f"{tag.partition(':')[0]}:renamed"
        engine.images.get(tag).tag(other)
        project.scenario(runner={"image": other})

        assert project.run(DOCKER, "--specbench-lock-check").code == 0

    def test_an_image_under_test_is_no_drift_and_shows_as_a_change(
        self, project: Project, engine: Any, tag: str, small_layer: bytes
    ) -> None:
        changes: dict[str, Any] = {
            "metrics_tracked": ["success"],
            "subject": ["runner_image"],
            "runner": {"image": tag},
        }
        project.scenario(**changes)
        project.run(DOCKER, "--specbench-lock")
        assert "runner_image" not in lock_content(project)["sandboxes"]["docker"]["demo"]
        approve(project, project.run(DOCKER))
        load(engine, tag, small_layer, note="another")

        ran = project.run(DOCKER)

        assert ran.verdict() == ("pass", "verified", 0)
        changed = ran.run()["comparison"]["subject_changes"]
        assert [change["name"] for change in changed] == ["runner_image"]
        assert changed[0]["measured"] == ran.run()["runner_image"]

    def test_each_backend_has_its_entry(self, project: Project, tag: str) -> None:
        project.scenario(runner={"image": tag})

        for sandbox in ("local", "docker"):
            assert project.run(f"--specbench-sandbox={sandbox}", "--specbench-lock").code == 0

        entries = lock_content(project)["sandboxes"]
        assert set(entries) == {"docker", "local"}
        assert set(entries["docker"]["demo"]) - set(entries["local"]["demo"]) == {"runner_image", "platform"}

    def test_no_image_blocks_a_run_and_a_lock(self, project: Project, engine: Any) -> None:
        project.scenario(runner={"image": "specbench-nobody-has-this:1"})

        ran = project.run(DOCKER)
        assert ran.verdict() == ("blocked", "image_missing", 2)
        assert "docker pull specbench-nobody-has-this:1" in ran.scenario()["notes"]
        ran = project.run(DOCKER, "--specbench-lock")
        assert ran.code == 2
        assert "docker pull specbench-nobody-has-this:1" in ran.out


class TestIdentityByRecipe:
    def build(self, engine: Any, small: str, tag: str, *, recipe: str, note: str) -> None:
        """An image with a recipe, as `specbench runner build` labels it."""
        dockerfile = f'FROM {small}\nLABEL org.specbench.recipe="{recipe}" note="{note}"\nENV NOTE="{note}"\n'
        engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)

    def test_the_same_recipe_with_other_bytes_is_no_drift(self, project: Project, engine: Any, tag: str) -> None:
        built = f"{tag.partition(':')[0]}:built"
        self.build(engine, tag, built, recipe="sha256:one", note="first")
        project.scenario(runner={"image": built, "pin": "recipe"}, metrics_tracked=["success"])
        assert project.run(DOCKER, "--specbench-lock").code == 0
        entry = lock_content(project)["sandboxes"]["docker"]["demo"]
        assert entry["runner_image"] == "sha256:one"
        assert "platform" not in entry
        self.build(engine, tag, built, recipe="sha256:one", note="second")

        ran = project.run(DOCKER)

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["runner_image"].startswith("content:sha256:"), "the identity is recorded all the same"

    def test_another_recipe_is_drift(self, project: Project, engine: Any, tag: str) -> None:
        built = f"{tag.partition(':')[0]}:built"
        self.build(engine, tag, built, recipe="sha256:one", note="first")
        project.scenario(runner={"image": built, "pin": "recipe"})
        project.run(DOCKER, "--specbench-lock")
        self.build(engine, tag, built, recipe="sha256:two", note="first")

        ran = project.run(DOCKER)

        assert ran.verdict() == ("blocked", "parity", 2)
        assert "- runner_image: sha256:one\n+ runner_image: sha256:two" in ran.err

    def test_an_image_without_a_recipe_cannot_be_pinned_by_it(self, project: Project, tag: str) -> None:
        """It would be equal to every other image that has none."""
        project.scenario(runner={"image": tag, "pin": "recipe"})

        ran = project.run(DOCKER)

        assert ran.scenario()["status"] == "blocked"
        assert ran.code == 2
        assert "pin" in ran.scenario()["notes"]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a real registry on loopback."""
    program = shutil.which("docker-registry")
    if program is None:
        message = "docker-registry is not installed (Debian's package of that name brings it)"
        if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    folder: Path = tmp_path_factory.mktemp("registry")
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: info}\nhttp: {addr: '127.0.0.1:0'}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder}/data'}}}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        while not (ports := listening(process.pid)):  # nothing tells of it but the asking
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def listening(pid: int) -> list[int]:
    """The ports that a process listens on."""
    connections = psutil.Process(pid).net_connections("tcp")
    return [each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN]


@pytest.fixture
def pushed(engine: Any, registry: str, small_layer: bytes) -> Iterator[str]:
    """An image that came to lie in the registry; its name there."""
    name = f"{registry}/team/runner-{uuid4().hex[:12]}"
    load(engine, f"{name}:1", small_layer)
    push(engine, f"{name}:1")
    yield f"{name}:1"
    remove(engine, name)


def push(engine: Any, name: str) -> str:
    """Push an image; its digest in the registry."""
    repository, _, version = name.rpartition(":")
    for event in engine.api.push(repository, tag=version, stream=True, decode=True):
        assert "error" not in event, event
        if "Digest" in (event.get("aux") or {}):
            digest = str(event["aux"]["Digest"])
    return digest


class TestIdentityByRegistry:
    def test_the_lock_holds_the_name_and_the_digest(self, project: Project, engine: Any, pushed: str) -> None:
        project.scenario(runner={"image": pushed, "pin": "digest"}, metrics_tracked=["success"])

        assert project.run(DOCKER, "--specbench-lock").code == 0

        locked = lock_content(project)["sandboxes"]["docker"]["demo"]["runner_image"]
        assert locked == engine.images.get(pushed).attrs["RepoDigests"][0]
        assert re.fullmatch(re.escape(pushed.rpartition(":")[0]) + "@sha256:[0-9a-f]{64}", locked)
        ran = project.run(DOCKER)
        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["comparison"]["lock"] == "equal"
        assert ran.run()["runner_image"] == locked
        assert ran.run()["trials"][0]["sandbox"]["image"]["digest"] == locked

    def test_it_is_the_same_after_a_fresh_pull(self, project: Project, engine: Any, pushed: str) -> None:
        project.scenario(runner={"image": pushed})
        project.run(DOCKER, "--specbench-lock")
        engine.images.remove(pushed, force=True)
        ran = project.run(DOCKER)
        assert ran.verdict() == ("blocked", "image_missing", 2)
        assert f"docker pull {pushed}" in ran.scenario()["notes"]

        engine.images.pull(*pushed.rsplit(":", 1))

        assert project.run(DOCKER, "--specbench-lock-check").code == 0

    def test_other_content_under_the_same_tag_is_drift(
        self, project: Project, engine: Any, pushed: str, small_layer: bytes
    ) -> None:
        mark = project.path / "the-agent-ran"
        project.scenario(runner={"image": pushed}, agent=command(f"touch {mark}; echo made > result.txt"))
        project.run(DOCKER, "--specbench-lock")
        locked = lock_content(project)["sandboxes"]["docker"]["demo"]["runner_image"]
        load(engine, pushed, small_layer, note="another")
        digest = push(engine, pushed)
        assert digest not in locked

        ran = project.run(DOCKER)

        assert ran.verdict() == ("blocked", "parity", 2)
        assert f"- runner_image: {locked}\n+ runner_image: {pushed.rpartition(':')[0]}@{digest}" in ran.err
        assert (ran.folder / "demo" / "parity.diff").read_text().count("runner_image") == 2
        assert ran.run()["trials"] == []

    def test_a_reference_by_digest_stays_what_it_was(
        self, project: Project, engine: Any, pushed: str, small_layer: bytes
    ) -> None:
        exact = engine.images.get(pushed).attrs["RepoDigests"][0]
        project.scenario(runner={"image": exact}, metrics_tracked=["success"])
        assert project.run(DOCKER, "--specbench-lock").code == 0
        load(engine, pushed, small_layer, note="another")
        push(engine, pushed)

        ran = project.run(DOCKER)

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.run()["runner_image"] == exact

    def test_a_changed_image_that_was_not_pushed_is_drift(
        self, project: Project, engine: Any, pushed: str, small_layer: bytes
    ) -> None:
        project.scenario(runner={"image": pushed})
        project.run(DOCKER, "--specbench-lock")
        load(engine, pushed, small_layer, note="only here")

        ran = project.run(DOCKER)

        assert ran.verdict() == ("blocked", "parity", 2)
        assert "+ runner_image: content:sha256:" in ran.err
