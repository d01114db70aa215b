"""What git says of the repository that the scenarios lie in."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git, repository_of
from pytest_specbench.core.tar import LEFT_OUT

ARTIFACTS = ("runs", "progress", "latest", "index.sqlite", "incidents", ".gitignore")
"""What runs leave in the artifact folder. Nothing else in there is taken for theirs."""


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; null where there is no repository, no commit, or no git."""
    return _git(folder, "rev-parse", "--verify", "HEAD").line


def unclean(benchmarks: Path, *, ignore: Path, also: Sequence[Path] = (), named: Sequence[Path] = ()) -> list[str]:
    """Why the repository does not hold what would run, one phrase each; empty when it does.

    Tracked changes count everywhere, those of submodules too, and so do marks by which git does not look at a file.
    Untracked files count below the folder `benchmarks`, below those of `also`, and at and below the paths `named`;
    where git ignores them, they count as records (`.json`) below those of `also`, and at and below the paths `named`.
    What runs left in the artifact folder `ignore`, and what no fixture takes along, does not count.
    """
    top = repository_of(benchmarks)
    answer = _git(benchmarks, "rev-parse", "--git-dir")
    if top is None or answer.text is None:
        return [_no_repository(benchmarks, answer.error)]
    if git_commit(benchmarks) is None:
        return ["there is no commit yet"]
    status = _status(top)
    if status is None:
        return ["git status failed"]
    places = [Path(os.path.realpath(path)) for path in named]
    wanted = [*(folder.resolve() for folder in (benchmarks, *also)), *places]
    root = ignore.resolve()
    artifacts = [root / name for name in ARTIFACTS]
    hidden = [(folder.resolve(), "**/*.json") for folder in also]
    hidden += [(path, pattern) for path in places for pattern in ("", "**")]
    if any(folder.is_relative_to(root) for folder in wanted):
        # The artifact folder's own .gitignore hides all that is in there, so it must not hide what is looked for.
        artifacts.remove(root / ".gitignore")
        hidden.append((root, ".gitignore"))
    return [
        *_changes(status.split("\0"), top, wanted, artifacts),
        *_hidden(top, hidden),
        *chain.from_iterable(_hidden_in_another(top, path) for path in places),
        *_not_looked_at(top),
        *_in_submodules(top),
    ]


def _status(top: Path) -> str | None:
    # git would look into a submodule by that one's own configuration, which may name programs to run.
    return _git(
        top, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignore-submodules=all", "--no-renames"
    ).text


def _not_looked_at(top: Path) -> Iterator[str]:
    """Phrases for files that git takes for unchanged unseen; those that a sparse check-out leaves out are not there."""
    listed = _git(top, "ls-files", "-v", "-z").text
    if listed is None:
        yield "git ls-files failed"
    for entry in (listed or "").split("\0"):
        mark, name = entry[:1], entry[2:]
        if mark.islower():
            yield f"{name!r} is marked assume-unchanged, so that git does not look at it"
        elif mark == "S" and os.path.lexists(top / name):
            yield f"{name!r} is marked skip-worktree, so that git does not look at it"


def _in_submodules(top: Path) -> Iterator[str]:
    """Phrases for submodules that are checked out otherwise than the commit has them; those that are not, are fine."""
    for entry in (_git(top, "ls-files", "-s", "-z").text or "").split("\0"):
        if not entry.startswith("160000 "):
            continue
        facts, _, name = entry.partition("\t")
        if repository_of(top / name) != (top / name).resolve():
            if (top / name).is_dir() and any((top / name).iterdir()):
                yield f"the submodule {name!r} is not checked out, and its folder holds something"
            continue
        if git_commit(top / name) != facts.split()[1]:
            yield f"the submodule {name!r} is at another commit"
        elif _status(top / name) or [*_not_looked_at(top / name), *_in_submodules(top / name)]:
            yield f"the submodule {name!r} is changed"


def tree_state(benchmarks: Path, *, ignore: Path) -> str | None:
    """A hash of the commit that is checked out and of all that is changed since, and not tracked, as for `unclean`: two
    that are equal say that the same ran. Null where that cannot be told, as without a repository.

    Compiled Python does not count, which follows from its source.
    """
    commit, top = git_commit(benchmarks), repository_of(benchmarks)
    if commit is None or top is None:
        return None
    status = _status(top)
    if status is None:
        return None
    found = hashlib.sha256(commit.encode())
    artifacts = [ignore.resolve() / name for name in ARTIFACTS]
    for code, name in sorted(_entries(status.split("\0"), top, [benchmarks.resolve()], artifacts)):
        if code == "??" and not LEFT_OUT.isdisjoint(Path(name).parts):
            continue
        content = _content(Path(top, name))
        if content is None:
            return None
        found.update(f"\0{name}\0{content}".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _content(path: Path) -> str | None:
    """What lies at a path, as a few words; None for what is neither a file, nor a link, nor gone: a submodule, say."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return f"link {path.readlink()}"
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                return f"file {mode & 0o111:o} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except FileNotFoundError:
        return "gone"
    except OSError:
        return None
    return None


def _no_repository(folder: Path, error: str) -> str:
    if "safe.directory" not in error:
        return "there is no git repository"
    named = error.strip().rpartition("safe.directory ")[2].strip() or str(folder)
    return (
        "git does not trust the repository, which belongs to another user (dubious ownership): "
        f"git config --global --add safe.directory {named}"
    )


def _changes(entries: list[str], top: Path, wanted: Sequence[Path], artifacts: Sequence[Path]) -> Iterator[str]:
    """Phrases for what counts of the entries of `git status -z`."""
    for code, name in _entries(entries, top, wanted, artifacts):
        yield f"{name!r} is not tracked" if code == "??" else f"{name!r} is changed"


def _entries(
    entries: list[str], top: Path, wanted: Sequence[Path], artifacts: Sequence[Path]
) -> Iterator[tuple[str, str]]:
    """Code and name of what counts."""
    for entry in entries:
        code, name = entry[:2], entry[3:]
        if not name:
            continue
        path = top / name
        below = any(map(path.is_relative_to, wanted))
        # A repository that git does not know is one entry, whatever of it is wanted.
        around = name.endswith("/") and any(one.is_relative_to(path) for one in wanted)
        if code != "??" or around or (below and not any(map(path.is_relative_to, artifacts))):
            yield code, name


def _hidden(top: Path, wanted: Sequence[tuple[Path, str]]) -> Iterator[str]:
    """Phrases for untracked files that git ignores, by pairs of a folder and a glob in it."""
    specs = [
        f":(top,glob){'/'.join(filter(None, [*map(_literal, folder.relative_to(top).parts), pattern]))}"
        for folder, pattern in wanted
        if folder.is_relative_to(top)
    ]
    if not specs:
        return
    found = _git(top, "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", *specs).text
    if found is None:
        yield "git ls-files failed"
    for name in (found or "").split("\0"):
        if name and LEFT_OUT.isdisjoint(Path(name).parts):
            yield f"{name!r} is ignored by git and not tracked"


def _hidden_in_another(top: Path, path: Path) -> Iterator[str]:
    """The same for a path that lies in another repository than the scenarios, such as a submodule."""
    inner = repository_of(path if path.is_dir() else path.parent)
    if inner is not None and inner != top:
        yield from _hidden(inner, [(path, ""), (path, "**")])


def _literal(name: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in name)


@dataclass(frozen=True)
class _Answer:
    """What a git command printed; `text` is None when it failed."""

    text: str | None
    error: str = ""

    @property
    def line(self) -> str | None:
        return None if self.text is None else self.text.strip()


def _git(folder: Path, *arguments: str) -> _Answer:
    try:
        answer = git(folder, *arguments)
    except BlockedError as error:
        return _Answer(None, error.message)
    return _Answer(None if answer.code else os.fsdecode(answer.out), answer.error)
