"""A webhook gets signed JSON, once for each event, and is remembered by what it was told."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from incident_server import Fault, TrackerServer
from incident_support import Desk, desk, failing, loopback, passing  # noqa: F401 - a fixture

TAKEN = Fault(200, b"thanks", path="/hook", always=True)
SECRET = "shared-secret-of-the-tests"


def hook(path: Path, server: TrackerServer, **environ: str) -> Desk:
    return desk(path, incidents="webhook", environ={"SPECBENCH_WEBHOOK_URL": f"{server.url}/hook/abc123", **environ})


def told(server: TrackerServer) -> list[Any]:
    return [request.json for request in server.requests]


def test_a_life(tmp_path: Path) -> None:
    with TrackerServer(TAKEN) as server:
        here = hook(tmp_path, server)
        actions = [here.did(run) for run in (passing(), failing(), failing(), passing(), passing())]

        assert actions == [[], ["opened"], ["commented"], ["closed"], []]
        assert [each["event"] for each in told(server)] == ["opened", "commented", "closed"]
        assert len({each["key"] for each in told(server)}) == 1
        assert {request.path for request in server.requests} == {"/hook/abc123"}


def test_what_it_holds(tmp_path: Path) -> None:
    with TrackerServer(TAKEN) as server:
        hook(tmp_path, server).ends(failing())
        (content,) = told(server)
    assert (content["scenario_id"], content["owner_rotation"], content["status"]) == ("plan", "guild", "regression")
    assert "no plan.md" in content["text"]
    files = {item["name"]: base64.b64decode(item["base64"]) for item in content["attachments"]}
    assert files["agent.cast"] == b'{"version": 2}\n'
    assert set(files) == {"agent.cast", "events.jsonl", "post-test.txt"}


def test_the_signature_covers_time_and_body(tmp_path: Path) -> None:
    with TrackerServer(TAKEN) as server:
        hook(tmp_path, server, SPECBENCH_WEBHOOK_SECRET=SECRET).ends(failing())
        (request,) = server.requests
    signed = request.headers["X-Specbench-Timestamp"].encode() + b"." + request.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["X-Specbench-Signature-256"] == f"sha256={expected}"


def test_without_a_secret_there_is_no_signature(tmp_path: Path) -> None:
    with TrackerServer(TAKEN) as server:
        hook(tmp_path, server).ends(failing())
        assert "X-Specbench-Signature-256" not in server.requests[0].headers


def test_a_retry_has_the_same_name_so_that_the_receiver_can_tell(tmp_path: Path) -> None:
    with TrackerServer(Fault(500), TAKEN) as server:
        here = hook(tmp_path, server)
        assert [here.did(failing()), here.did()] == [["queued"], ["opened"]]
        first, second = server.requests
        assert first.headers["X-Specbench-Delivery"] == second.headers["X-Specbench-Delivery"]
        assert first.body == second.body


def test_neither_url_nor_secret_stands_anywhere(tmp_path: Path) -> None:
    with TrackerServer(Fault(500, always=True)) as server:
        here = hook(tmp_path, server, SPECBENCH_WEBHOOK_SECRET=SECRET)
        rows = here.ends(failing(notes=f"it printed {SECRET} and {server.url}/hook/abc123"))
        written = "".join(path.read_text("utf-8") for path in here.output.rglob("*.json"))
    assert rows[0].action == "queued"
    assert SECRET not in written + repr(rows)
    assert "abc123" not in written + repr(rows)


def test_a_configured_url_is_shown_by_its_host(tmp_path: Path) -> None:
    with TrackerServer(TAKEN) as server:
        here = desk(tmp_path, incidents=f"webhook:{server.url}/hook/abc123")
        (row,) = here.ends(failing())
    assert (row.action, row.channel) == ("opened", "webhook:127.0.0.1")


def test_a_large_file_is_named_and_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_specbench.incidents.webhook.INLINE_LIMIT", 20)
    with TrackerServer(TAKEN) as server:
        hook(tmp_path, server).ends(failing())
        sent = {item["name"]: item["base64"] for item in told(server)[0]["attachments"]}
    assert sent["post-test.txt"] is None
    assert sent["agent.cast"] is not None
