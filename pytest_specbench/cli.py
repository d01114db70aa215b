"""The command line: `specbench run | validate | init | runner build`. Commands only; the work is done in the rooms."""

from __future__ import annotations

import argparse
import io
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench import __version__
from pytest_specbench.commands import baseline, history, init, report, validate
from pytest_specbench.core.errors import RunNotFoundError, SpecbenchError, UsageError
from pytest_specbench.core.status import EXIT_BLOCKED, EXIT_NOT_FOUND

if TYPE_CHECKING:
    from pytest_specbench.option_table import Option

READER_GONE = 128 + signal.SIGPIPE
"""The exit code where nobody reads stdout any more, as of a program that the signal ends: never 0."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Errors of ours are shown as text on stderr, never as a traceback."""
    try:
        with _any_text():
            return _main(argv)
    except OSError as error:  # what the system refuses, to stdout above all
        gone = isinstance(error, BrokenPipeError) and _reader_is_gone()
        _let_go_of_stdout()
        if gone:
            return READER_GONE
        where = f"{error.filename}: " if error.filename else ""
        print(f"specbench: {where}{error.strerror or error}", file=sys.stderr)
        return EXIT_BLOCKED


@contextmanager
def _any_text() -> Iterator[None]:
    """Stdout takes any text while it lasts, whatever its encoding, and all of it is out in the end."""
    errors = getattr(sys.stdout, "errors", None)
    if isinstance(sys.stdout, io.TextIOWrapper) and errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
            if isinstance(sys.stdout, io.TextIOWrapper) and errors == "strict":
                sys.stdout.reconfigure(errors=errors)


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe or a socket that nobody reads from any more."""
    poller = select.poll()
    try:
        poller.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poller.poll(0))
    except (AttributeError, OSError, ValueError):  # there is no stdout, or none with a descriptor
        return False


def _let_go_of_stdout() -> None:
    """Throw away what stdout does not take, or Python would try it once more when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _main(argv: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    # What follows a bare `--` is pytest's, whatever it looks like: argparse would take `2` of `-n 2` for a path.
    end = given.index("--") if "--" in given else len(given)
    arguments = _parser(given).parse_args(given[:end])
    arguments.rest = given[end + 1 :]
    try:
        _refuse_empty(arguments)
        if arguments.command is not _run:  # pytest itself warns of them
            _warn_of_unknown_variables()
        ref = getattr(arguments, "trusted_ref", None)
        if ref is None and "trusted_ref" in arguments:
            ref = _trusted_ref()
        if ref is not None:
            from pytest_specbench.commands.at_ref import run_at_ref
            from pytest_specbench.store.trusted.laid_out import laid_out

            if laid_out(Path.cwd()) is None:
                return run_at_ref(ref, "pytest_specbench", given, near=Path.cwd())
        code: int = arguments.command(arguments)
    except SpecbenchError as error:
        print(f"specbench: {error}", file=sys.stderr)
        return EXIT_NOT_FOUND if isinstance(error, RunNotFoundError) else EXIT_BLOCKED
    return code


def _warn_of_unknown_variables() -> None:
    from pytest_specbench.option_table import unknown_variables

    for said in unknown_variables():
        print(f"specbench: warning: {said}", file=sys.stderr)


def _trusted_ref() -> str | None:
    """The ref that the environment names. Raises UsageError for an empty one."""
    from pytest_specbench.option_table import OPTIONS

    option = next(option for option in OPTIONS if option.field == "trusted_ref")
    try:
        found = option.in_environment()
    except ValueError as error:
        raise UsageError(str(error), hint="unset one of them") from None
    if found is not None and not found[0]:
        raise UsageError(f"{found[1]} is empty", hint="unset it, or give it a value")
    return None if found is None else found[0]


def _refuse_empty(arguments: argparse.Namespace) -> None:
    """Raises UsageError for an option or path that is empty, as a variable that is not set makes it: it would mean
    something else than what was asked for.
    """
    for name, value in vars(arguments).items():
        if value == "" or (isinstance(value, list) and "" in value and name != "rest"):
            raise UsageError(f"{name.replace('_', '-')} is empty", hint="leave it out, or give it a value")


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="specbench", description="Scenarios for terminal agents, judged by baselines."
    )
    parser.add_argument("--version", action="version", version=f"pytest-specbench {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands, with_options="run" in given)
    validate.add(commands)
    baseline.add(commands)
    report.add(commands)
    history.add(commands)
    init.add(commands)
    gc = commands.add_parser("gc", help="remove the sandboxes that dead runs left on this machine, or old runs")
    history.add_gc(gc)
    gc.add_argument("--kept", action="store_true", help="remove those too that --specbench-keep left for a look")
    gc.set_defaults(command=_gc)
    lock = commands.add_parser("lock", help="write specbench.lock beside the scenarios, or check it")
    lock.add_argument(
        "paths", nargs="*", default=[], metavar="PATH", help="scenario files or folders (default: benchmarks)"
    )
    lock.add_argument("--check", action="store_true", help="write nothing; exit 2 with a diff where it does not fit")
    lock.add_argument("--sandbox", help="backend whose entries are meant (default: docker)")
    lock.set_defaults(command=_lock)
    runner = commands.add_parser("runner", help="the runner image").add_subparsers(required=True, metavar="COMMAND")
    build = runner.add_parser("build", help="build the runner image")
    build.add_argument(
        "--base", help="base image (default: environment SPECBENCH_RUNNER_BASE, else debian:bookworm-slim)"
    )
    build.add_argument("--tag", help="name of the image (default: the one that scenarios use)")
    build.set_defaults(command=_runner_build)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser], *, with_options: bool) -> None:
    """`run` takes every option of the plugin under its short name, and hands the rest to pytest. They come with pytest,
    which no other command should wait for.
    """

    run = commands.add_parser(
        "run",
        help="run scenarios: pytest with the options below, without the prefix --specbench-",
        epilog="What follows a bare -- goes to pytest as it is, for example: specbench run benchmarks -- -n 2 -x",
    )
    run.add_argument(
        "paths", nargs="*", default=[], metavar="PATH", help="scenario files or folders (default: benchmarks)"
    )
    for option in _run_options() if with_options else ():
        if option.flag:
            run.add_argument(f"--{option.name}", action="store_true", help=option.help)
        else:
            run.add_argument(
                f"--{option.name}",
                choices=option.choices or None,
                metavar=None if option.choices else option.metavar,
                help=option.help,
            )
    run.set_defaults(command=_run)


def _run_options() -> list[Option]:
    """What `run` has: what runs nothing has commands of its own."""
    from pytest_specbench.option_table import OPTIONS

    return [option for option in OPTIONS if option.purpose == "run"]


def _run(arguments: argparse.Namespace) -> int:
    """Drive pytest with the same options; its exit code is ours."""
    from pytest_specbench.option_table import OPTIONS

    given: list[str] = []
    for option in OPTIONS:
        value = getattr(arguments, option.name.replace("-", "_"), None)
        if value is True:
            given.append(option.option)
        elif isinstance(value, str):
            given.append(f"{option.option}={value}")
    return _pytest([*(arguments.paths or ["benchmarks"]), *given, *arguments.rest])


def _lock(arguments: argparse.Namespace) -> int:
    """Drive pytest with the options that deal with the lock file; its exit code is ours."""
    given = ["--specbench-lock-check" if arguments.check else "--specbench-lock"]
    if arguments.sandbox:
        given.append(f"--specbench-sandbox={arguments.sandbox}")
    return _pytest([*(arguments.paths or ["benchmarks"]), *given])


def _pytest(arguments: list[str]) -> int:
    import pytest

    # The plugin is imported already, by this very command: pytest cannot rewrite its asserts, and it has none.
    quiet = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
    return int(pytest.main([*arguments, "-W", quiet]))


def _gc(arguments: argparse.Namespace) -> int:
    """Remove what dead runs left, and say what it was."""
    runs_removed = history.remove_runs(arguments)
    if runs_removed is not None:
        return runs_removed
    from pytest_specbench.core.text import counted
    from pytest_specbench.sandboxes import SANDBOXES
    from pytest_specbench.sandboxes.keeping import kept_by, remove_kept_by
    from pytest_specbench.sandboxes.reaping import abandoned, reap

    names = SANDBOXES.names()
    dry = arguments.dry_run
    removed = [what for name in names for what in (abandoned(name) if dry else reap(name))]
    let_go = [what for name in names for what in remove_kept_by(name)] if arguments.kept and not dry else []
    for what in (*removed, *let_go):
        print(f"{'would remove' if dry else 'removed'} {what}")
    print(f"{counted(len(removed), 'sandbox', 'sandboxes')} of dead runs {'would be ' if dry else ''}removed")
    left = [each for name in names for each in kept_by(name)]
    if arguments.kept and dry:
        let_go, left = [each.name for each in left], []
        print("".join(f"would remove {name}\n" for name in let_go), end="")
    if arguments.kept:
        print(f"{counted(len(let_go), 'kept sandbox', 'kept sandboxes')} {'would be ' if dry else ''}removed")
    for each in left:
        print(f"kept {each.name} (run {each.run_id[:8]}, scenario {each.scenario_id}): {each.enter}")
    if left:
        print(f"there: {counted(len(left), 'kept sandbox', 'kept sandboxes')}; to remove: specbench gc --kept")
    return 0


def _runner_build(arguments: argparse.Namespace) -> int:
    """Build the runner image, showing the engine's lines as they come."""
    from pytest_specbench.core.settings import RUNNER_IMAGE
    from pytest_specbench.sandboxes.runner import build_runner

    tag = arguments.tag or RUNNER_IMAGE
    identity = build_runner(arguments.base, tag, lambda line: print(line, file=sys.stderr))
    print(f"{tag}: {identity.digest} ({identity.platform})")
    return 0
