"""Incidents as issues of a GitHub repository, through the REST API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from pytest_specbench.incidents.channel import ChannelError, Context, Issue, NotConfiguredError
from pytest_specbench.incidents.http import Client, pages
from pytest_specbench.incidents.tracker import LABEL, PAGE, Tracker, field

API = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class GitHubChannel(Tracker):
    """`github`, for the repository of GITHUB_REPOSITORY, or `github:owner/repo`. The token is GITHUB_TOKEN's; it needs
    to write issues. GitHub takes no files through its API, so that the artifacts are linked.
    """

    @classmethod
    def check(cls, argument: str) -> None:
        if argument and not _REPOSITORY.fullmatch(argument):
            raise ValueError(f"{argument!r} is no repository; expected github or github:owner/repo")

    def __init__(self, argument: str, context: Context) -> None:
        super().__init__()
        token = context.environ.get("GITHUB_TOKEN", "").strip()
        repository = argument or context.environ.get("GITHUB_REPOSITORY", "")
        if not token:
            raise NotConfiguredError("GITHUB_TOKEN is not set")
        if not _REPOSITORY.fullmatch(repository):
            raise NotConfiguredError("neither github:owner/repo nor GITHUB_REPOSITORY names a repository")
        self._issues = f"/repos/{repository}/issues"
        self._client = Client(
            (context.environ.get("GITHUB_API_URL") or API).rstrip("/"),
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            budget=context.budget,
            redactor=context.redactor,
        )

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        queries: Iterable[dict[str, str]] = chain([{"labels": LABEL}], self._own())
        for query in queries:
            for item in self._pages(self._issues, {**query, "state": "open", "sort": "created", "direction": "asc"}):
                if "pull_request" not in item:  # for this API they are issues too
                    yield item

    def _own(self) -> Iterator[dict[str, str]]:
        """Who may open an issue and not label it finds what they opened. A workflow's token has no user, and labels."""
        try:
            user = self._client.json("GET", "/user")
        except ChannelError:
            return
        if isinstance(user, dict) and isinstance(user.get("login"), str):
            yield {"creator": user["login"]}

    def _pages(self, path: str, query: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
        more = dict(query or {})
        return pages(
            lambda number: self._client.json("GET", path, params={**more, "per_page": PAGE, "page": number}), PAGE
        )

    def _issue(self, item: Any) -> Issue:
        from pytest_specbench.incidents.evidence import safe_url

        body = item.get("body") if isinstance(item, Mapping) else None
        return Issue(
            str(field(item, "number", int)), safe_url(item.get("html_url")), body if isinstance(body, str) else ""
        )

    def _create(self, title: str, body: str) -> Issue:
        made = self._client.json("POST", self._issues, json={"title": title, "body": body, "labels": [LABEL]})
        return self._issue(made)

    def _say(self, issue: Issue, text: str) -> None:
        self._client.send("POST", f"{self._issues}/{issue.ref}/comments", json={"body": text})

    def _comments(self, issue: Issue) -> Iterable[str]:
        return [str(each.get("body")) for each in self._pages(f"{self._issues}/{issue.ref}/comments")]

    def _shut(self, issue: Issue) -> None:
        content = {"state": "closed", "state_reason": "completed"}
        self._client.send("PATCH", f"{self._issues}/{issue.ref}", json=content)
