"""Whether the tasks follow from the specification: every user story has tasks, and no task serves an unknown story.

Run in the project's folder. Exit status 0 when it holds, 1 when not.
"""

# ruff: noqa: T201 - what it prints is the record of the verification

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def main() -> int:
    """Print what is wrong; return 1 when anything is."""
    try:
        folder = Path(json.loads(Path(".specify/feature.json").read_text(encoding="utf-8"))["feature_directory"])
        spec = (folder / "spec.md").read_text(encoding="utf-8")
        tasks = (folder / "tasks.md").read_text(encoding="utf-8")
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"the feature's documents cannot be read: {error}")
        return 1
    stories = set(re.findall(r"^### User Story (\d+)\b", spec, flags=re.MULTILINE))
    labels = set(re.findall(r"^- \[[ xX]\] T\d{3,} (?:\[P\] )?\[US(\d+)\] ", tasks, flags=re.MULTILINE))
    for story in sorted(stories - labels, key=int):
        print(f"User Story {story} of spec.md has no task in tasks.md")
    for label in sorted(labels - stories, key=int):
        print(f"tasks.md has a task for User Story {label}, which spec.md does not have")
    print(f"{len(stories)} user stories, {len(labels)} of them with tasks" if stories else "spec.md has no user story")
    return 0 if stories and stories == labels else 1


if __name__ == "__main__":
    sys.exit(main())
