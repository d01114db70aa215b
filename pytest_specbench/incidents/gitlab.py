"""Incidents as issues of a GitLab project, through the REST API v4; the artifacts are uploaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pytest_specbench.incidents.channel import ChannelError, Context, Delivery, Issue, NotConfiguredError
from pytest_specbench.incidents.http import Client, pages
from pytest_specbench.incidents.tracker import LABEL, PAGE, Tracker, field

API = "https://gitlab.com/api/v4"
UPLOAD_LIMIT = 10_000_000
"""Bytes of a file that is uploaded; larger ones are linked."""
_PROJECT = re.compile(r"[0-9]+|[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_UPLOADED = re.compile(r"/uploads/[0-9a-f]{8,64}/[A-Za-z0-9._-]+")


class GitLabChannel(Tracker):
    """`gitlab`, for the project of CI_PROJECT_ID, or `gitlab:group/project` or `gitlab:ID`. The token is that of
    GITLAB_TOKEN, with the scope `api`; without it CI_JOB_TOKEN's, which most instances do not let near issues.
    """

    @classmethod
    def check(cls, argument: str) -> None:
        if argument and not _PROJECT.fullmatch(argument):
            raise ValueError(f"{argument!r} is no project; expected gitlab, gitlab:group/project or gitlab:ID")

    def __init__(self, argument: str, context: Context) -> None:
        super().__init__()
        environ = context.environ
        token, job = environ.get("GITLAB_TOKEN", "").strip(), environ.get("CI_JOB_TOKEN", "").strip()
        project = argument or environ.get("CI_PROJECT_ID", "")
        if not token and not job:
            raise NotConfiguredError("neither GITLAB_TOKEN nor CI_JOB_TOKEN is set")
        if not _PROJECT.fullmatch(project):
            raise NotConfiguredError("neither gitlab:group/project nor CI_PROJECT_ID names a project")
        self._project = f"/projects/{quote(project, safe='')}"
        self._client = Client(
            (environ.get("CI_API_V4_URL") or API).rstrip("/"),
            {"PRIVATE-TOKEN": token} if token else {"JOB-TOKEN": job},
            budget=context.budget,
            redactor=context.redactor,
        )

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        for query in ({"labels": LABEL, "scope": "all"}, {"scope": "created_by_me"}):
            more = {**query, "state": "opened", "order_by": "created_at", "sort": "asc"}
            yield from self._pages(f"{self._project}/issues", more)

    def _pages(self, path: str, query: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
        more = dict(query or {})
        return pages(
            lambda number: self._client.json("GET", path, params={**more, "per_page": PAGE, "page": number}), PAGE
        )

    def _issue(self, item: Any) -> Issue:
        from pytest_specbench.incidents.evidence import safe_url

        text = item.get("description") if isinstance(item, Mapping) else None
        return Issue(str(field(item, "iid", int)), safe_url(item.get("web_url")), text if isinstance(text, str) else "")

    def _create(self, title: str, body: str) -> Issue:
        content = {"title": title, "description": body, "labels": LABEL}
        return self._issue(self._client.json("POST", f"{self._project}/issues", json=content))

    def _say(self, issue: Issue, text: str) -> None:
        self._client.send("POST", f"{self._project}/issues/{issue.ref}/notes", json={"body": text})

    def _comments(self, issue: Issue) -> Iterable[str]:
        return [str(each.get("body")) for each in self._pages(f"{self._project}/issues/{issue.ref}/notes")]

    def _shut(self, issue: Issue) -> None:
        self._client.send("PUT", f"{self._project}/issues/{issue.ref}", json={"state_event": "close"})

    def _attach(self, delivery: Delivery) -> Mapping[str, str]:
        """Upload the files. One that is not taken is linked instead: the ticket matters more."""
        placed: dict[str, str] = {}
        for item in delivery.message.attachments:
            content = delivery.read(item, UPLOAD_LIMIT)
            if content is None:
                continue
            try:
                made = self._client.json("POST", f"{self._project}/uploads", files={"file": (item.name, content)})
                url = field(made, "url", str)
            except ChannelError as error:
                if not error.refused:
                    return placed  # the next one would fare no better, and time is short
                continue
            if _UPLOADED.fullmatch(url):
                placed[item.name] = url
        return placed
