"""`specbench init`: what a repository needs for its first scenario, and what to say of what it has already."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_specbench.core.errors import SpecbenchError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    init = commands.add_parser("init", help="write a first scenario, its registry and a CI stage")
    init.add_argument("folder", nargs="?", default=".", type=Path, help="repository to write into (default: here)")
    init.add_argument(
        "--package", metavar="REQUIREMENT", help="what CI installs, as pip takes it (default: what is installed here)"
    )
    init.set_defaults(command=_init)


def _init(arguments: argparse.Namespace) -> int:
    """Write the scaffold, say what was written and what to run next."""
    from pytest_specbench.commands.place import configured
    from pytest_specbench.core.git import repository_of
    from pytest_specbench.scenarios.scaffold import IGNORE, configuration, ignored, installed, write_scaffold

    folder = arguments.folder
    by = configured(folder)
    written = write_scaffold(folder, _email(folder), arguments.package, configured=by is not None)
    for path in written:
        print(f"wrote {path}")
    if by is not None:
        print(f"note: {folder / by} configures pytest already; what it should say, too:")
        print("".join(f"  {line}\n" for line in configuration(toml=by.endswith(".toml")).splitlines()[1:]), end="")
    if folder / IGNORE not in written and (folder / IGNORE).is_file():
        there = (folder / IGNORE).read_text("utf-8", "replace").splitlines()
        missing = [line for line in ignored(folder) if line not in there]
        if missing:
            print(f"note: what {folder / IGNORE} should say, too:")
            print("".join(f"  {line}\n" for line in missing), end="")
    top = repository_of(folder)
    if top is not None and top != folder.resolve():
        print(
            f"note: {folder} is not the top of its repository, {top}.\n"
            "  CI services look for .github there, and runs for baselines: move these files there, or set\n"
            f"  specbench_baselines in {folder / (by or 'pytest.ini')}"
        )
    requirement, only_here = installed()
    if only_here is not None and arguments.package is None:
        print(
            f"note: CI cannot install pytest-specbench from {only_here}.\n"
            f"  benchmarks/requirements.txt asks a package index for {requirement}; if that has it not, name a git\n"
            "  URL there, or give it: specbench init --package REQUIREMENT"
        )
    print("next: commit them, then pytest benchmarks (without a Docker engine: --specbench-sandbox=local)")
    return 0


def _email(folder: Path) -> str | None:
    """The e-mail address that git knows in the folder; None where it knows none that may name a maintainer, or there is
    no git or folder.
    """
    from pytest_specbench.core.git import git
    from pytest_specbench.store.baselines.maintainers import PRINCIPAL

    try:
        found = git(folder, "config", "--get", "user.email").out.decode("utf-8", "replace").strip()
    except SpecbenchError:
        return None
    return found if PRINCIPAL.fullmatch(found) else None
