"""The gates: a stage starts only on a sound artifact of the one before, and ends only with a sound one of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_specbench.agents.base import Shell
from pytest_specbench.agents.orchestrator.stages import IMPLEMENT, Stage
from pytest_specbench.core.errors import AgentError, BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.verifiers.spec_kit import check_plan, check_spec, check_tasks, check_tasks_done

type Check = Callable[[str], list[str]]

CHECKS: Mapping[str, Check] = {"spec.md": check_spec, "plan.md": check_plan, "tasks.md": check_tasks}
"""What a document must pass, by file name."""

FEATURE_FILE = ".specify/feature.json"
_SHOWN_PROBLEMS = 5


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
        path, text = self._find(stage.needs)
        problems = None if text is None else CHECKS[stage.needs](text)
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
        path, text = self._find(stage.makes)
        check = check_tasks_done if stage is IMPLEMENT else CHECKS[stage.makes]
        problems = None if text is None else check(text)
        if problems != []:
            raise _failure(f"stage {stage.name!r} ended", path, problems)
        return path

    def _find(self, name: str) -> tuple[str, str | None]:
        """Path and text of a file in the current feature's folder; text is null when it is not there."""
        folder = self._feature_folder()
        if folder is not None:
            path = f"{folder}/{name}"
            return path, self.shell.read(path).get(path)
        found = self.shell.read(f"specs/*/{name}")
        if not found:
            return f"specs/*/{name}", None
        path = max(found)  # folders are numbered: the highest is the newest feature, as Spec Kit reads it
        return path, found[path]

    def _feature_folder(self) -> str | None:
        """The folder that Spec Kit's own record names, relative to the workdir; null when it names none inside it."""
        text = self.shell.read(FEATURE_FILE).get(FEATURE_FILE)
        try:
            value = json.loads(text or "{}").get("feature_directory")
        except (ValueError, AttributeError, RecursionError):
            return None
        if not isinstance(value, str) or not value.strip():
            return None
        path = PurePosixPath(value.strip())
        if path.is_absolute():
            if not path.is_relative_to(self.shell.workdir):
                return None
            path = path.relative_to(self.shell.workdir)
        if ".." in path.parts or not path.parts or any(character in str(path) for character in "*?["):
            return None
        return str(path)


def _failure(what: str, path: str, problems: list[str] | None) -> AgentError:
    if problems is None:
        return AgentError(f"{what} without {path}", cause=Cause.ARTIFACT_MISSING)
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return AgentError(f"{what} with an unsound {path}: {shown}{more}", cause=Cause.ARTIFACT_INVALID)
