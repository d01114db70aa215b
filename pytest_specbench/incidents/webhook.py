"""Incidents as signed JSON that is posted to a URL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any, ClassVar

from pytest_specbench.incidents.channel import ChannelError, Context, Delivery, Issue, NotConfiguredError
from pytest_specbench.incidents.http import Client, check_url

INLINE_LIMIT = 256_000
"""Bytes of a file that is sent along; of larger ones the place is sent."""


class WebhookChannel:
    """`webhook`, which posts to SPECBENCH_WEBHOOK_URL, or `webhook:URL`. With SPECBENCH_WEBHOOK_SECRET the header
    X-Specbench-Signature-256 holds `sha256=` and the HMAC over timestamp, a dot and the body.

    A hook cannot be asked what is open, so that it is remembered in the artifact root.
    """

    url_is_secret: ClassVar[bool] = True

    @classmethod
    def check(cls, argument: str) -> None:
        if argument:
            check_url(argument)

    def __init__(self, argument: str, context: Context) -> None:
        url = argument or context.environ.get("SPECBENCH_WEBHOOK_URL", "").strip()
        if not url:
            raise NotConfiguredError("neither webhook:URL nor SPECBENCH_WEBHOOK_URL says where to")
        self._secret = context.environ.get("SPECBENCH_WEBHOOK_SECRET", "")
        self._client = Client(url, {}, budget=context.budget, redactor=context.redactor)
        self._state = context.output / "incidents" / "webhook" / hashlib.sha256(url.encode()).hexdigest()[:12]

    def find_open(self, key: str) -> Issue | None:
        try:
            return Issue(key, None) if (self._state / key).is_file() else None
        except OSError:
            return None

    def open(self, delivery: Delivery) -> Issue:
        self._post("opened", delivery)
        key = delivery.message.key
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            (self._state / key).write_text(f"{delivery.message.scenario_id}\n", "utf-8")
        except OSError as error:
            raise ChannelError(f"it cannot be remembered that this is open: {error.strerror}") from None
        return Issue(key, None)

    def comment(self, issue: Issue, delivery: Delivery) -> Issue:
        self._post("commented", delivery)
        return issue

    def close(self, issue: Issue, delivery: Delivery) -> Issue:
        self._post("closed", delivery)
        Path(self._state / issue.ref).unlink(missing_ok=True)
        return issue

    def _post(self, event: str, delivery: Delivery) -> None:
        body = json.dumps(_payload(event, delivery), ensure_ascii=False, allow_nan=False).encode()
        now = str(int(time.time()))
        message = delivery.message
        # The same for every attempt, so that a receiver that got one twice can tell.
        named = hashlib.sha256(f"{message.run_id}:{message.key}:{message.event}".encode()).hexdigest()[:32]
        headers = {
            "Content-Type": "application/json",
            "X-Specbench-Event": event,
            "X-Specbench-Delivery": named,
            "X-Specbench-Timestamp": now,
        }
        if self._secret:
            signature = hmac.new(self._secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
            headers["X-Specbench-Signature-256"] = f"sha256={signature}"
        self._client.send("POST", "", data=body, headers=headers)


def _payload(event: str, delivery: Delivery) -> dict[str, Any]:
    message = delivery.message
    opened = event == "opened"
    return {
        "schema_version": message.schema_version,
        "event": event,
        "key": message.key,
        "scenario_id": message.scenario_id,
        "owner_rotation": message.owner_rotation,
        "status": message.status,
        "cause": message.cause,
        "run_id": message.run_id,
        "commit_sha": message.commit_sha,
        "dataset_version": message.dataset_version,
        "title": message.title,
        "text": delivery.body({}) if opened else delivery.note(),
        "attachments": _attachments(delivery) if opened else [],
    }


def _attachments(delivery: Delivery) -> list[dict[str, Any]]:
    found = []
    for item in delivery.message.attachments:
        content = delivery.read(item, INLINE_LIMIT)
        encoded = None if content is None else base64.b64encode(content).decode()
        found.append({"name": item.name, "path": item.path, "base64": encoded})
    return found
