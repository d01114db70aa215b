"""The gates: a stage starts only on a sound artifact of the one before, and ends only with a sound one of its own."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_specbench.agents.base import Shell
from pytest_specbench.agents.orchestrator.stages import IMPLEMENT, SPECIFY, Stage
from pytest_specbench.core.errors import AgentError, BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.verifiers.spec_kit import check_plan, check_spec, check_tasks, check_tasks_done

type Check = Callable[[str], list[str]]

CHECKS: Mapping[str, Check] = {"spec.md": check_spec, "plan.md": check_plan, "tasks.md": check_tasks}
"""What a document must pass, by file name."""

FEATURE_FILE = ".specify/feature.json"
_SHOWN_PROBLEMS = 5
_BY_TIME = re.compile(r"\d{8}-\d{6}-")
_BY_NUMBER = re.compile(r"(\d{3,})-")
"""How Spec Kit begins the name of a feature's folder."""
_ENTRY = re.compile(r'"feature_directory"\s*:\s*"([^"]*)"')
"""What Spec Kit's scripts look for in a record that they cannot parse."""


@dataclass(frozen=True)
class Gates:
    """Checks artifacts through the shell."""

    shell: Shell

    def before(self, stage: Stage) -> None:
        """For a stage that does not follow the one that makes what it needs: the set-up should have put it there.

        Raises BlockedError(CONFIGURATION) when it is missing or unsound.
        """
        if stage.needs is None:
            return
        path, problems = self._problems(stage.needs, CHECKS[stage.needs])
        if problems == []:
            return
        raise BlockedError(
            str(_failure(f"stage {stage.name!r} cannot start", path, problems)),
            cause=Cause.CONFIGURATION,
            where=f"{self.shell.workdir}/{path}",
            expected=f"a {stage.needs} that passes its check before the agent starts",
            hint="put it in place with a fixture, or let the command path begin with an earlier stage",
        )

    def after(self, stage: Stage) -> str:
        """The path of what the stage made. Raises AgentError when it is missing or unsound."""
        check = check_tasks_done if stage is IMPLEMENT else CHECKS[stage.makes]
        path, problems = self._problems(stage.makes, check)
        if problems != []:
            raise _failure(f"stage {stage.name!r} ended", path, problems)
        return path

    def _problems(self, name: str, check: Check) -> tuple[str, list[str] | None]:
        """Path and problems of a file in the current feature's folder; null when it is not there."""
        record = self.shell.read(FEATURE_FILE).get(FEATURE_FILE)
        if record is None:
            folder = self._newest(name)
            if folder is None:
                return f"specs/*/{name}", None
        else:
            folder = self._recorded(record)
            if folder is None:  # Spec Kit's own scripts stop here, too: any other feature would be a guess
                return FEATURE_FILE, ["its 'feature_directory' names no folder in the project"]
        path = f"{folder}/{name}"
        text = self.shell.read(path).get(path)
        return path, None if text is None else check(text)

    def _newest(self, name: str) -> str | None:
        """The folder of the newest feature, as Spec Kit counts them; null where there is none."""
        found = {
            posixpath.dirname(path) for each in {SPECIFY.makes, name} for path in self.shell.read(f"specs/*/{each}")
        }
        return max(found, key=_age, default=None)

    def _recorded(self, text: str) -> str | None:
        """The folder that Spec Kit's own record names, relative to the workdir; null when it names none inside it."""
        try:
            content = json.loads(text.lstrip("\ufeff"))
            value = content.get("feature_directory") if isinstance(content, dict) else None
        except (ValueError, RecursionError):
            found = _ENTRY.search(text)
            value = found and found[1]
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return None
        path = PurePosixPath(posixpath.normpath(posixpath.join(self.shell.workdir, value.strip())))
        if not path.is_relative_to(self.shell.workdir) or str(path) == self.shell.workdir:
            return None
        return str(path.relative_to(self.shell.workdir))


def _age(folder: str) -> tuple[int, int, str]:
    """What orders features by age: a folder that is named by a time is newer than a numbered one."""
    name = posixpath.basename(folder)
    if _BY_TIME.match(name):
        return 2, 0, name
    number = _BY_NUMBER.match(name)
    return (1, int(number[1]), name) if number else (0, 0, name)


def _failure(what: str, path: str, problems: list[str] | None) -> AgentError:
    if problems is None:
        return AgentError(f"{what} without {path}", cause=Cause.ARTIFACT_MISSING)
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return AgentError(f"{what} with an unsound {path}: {shown}{more}", cause=Cause.ARTIFACT_INVALID)
