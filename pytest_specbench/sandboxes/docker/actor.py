"""Who acts inside a container, and whether the kernel keeps what runs as root out of that user's reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.status import Cause

type Run = Callable[[list[str], str], tuple[int | None, bytes]]
"""Runs a command as a user; returns its exit code and output."""

PROGRAMS = ("sleep", "sh", "grep", "mktemp")
"""What is run as root in the container: the keeper, and what ends a command at its deadline; and what a verification
command is started by.
"""
CONFIGURATION = ("/etc/passwd", "/etc/group", "/etc/ld.so.preload", "/etc/ld.so.cache")
"""What decides who a named user is and what is loaded into a program."""
END = "end: reached"

SCRIPT = r"""
while read -r line; do
  case $line in Uid:*|Gid:*|Cap*:*|NoNewPrivs:*) echo "$line" ;; esac
done </proc/self/status
while read -r _ _ _ _ _ file; do
  case $file in /*) set -- "$@" "$file" ;; esac
done </proc/self/maps
seen=:
while [ $# -gt 0 ]; do
  path=$1; shift
  while [ -n "$path" ]; do
    case $seen in *":$path:"*) break ;; esac
    seen="$seen$path:"
    if [ -w "$path" ] || [ -O "$path" ]; then echo "mine: $path"; fi
    if [ -L "$path" ]; then
      to=$(readlink "$path") && [ -e "$path" ] || echo "mine: $path"
      case $to in /*) ;; *) to=${path%/*}/$to ;; esac
      set -- "$@" "$to"
    fi
    path=${path%/*}
  done
done
if [ -w / ] || [ -O / ]; then echo "mine: /"; fi
"""
"""Says who runs it, and which of the arguments, of the files it was itself made from, of the links on the way to them
and of the folders above them all it could change. A link that leads nowhere may be led somewhere.
"""


@dataclass(frozen=True)
class Actor:
    """The user who acts, by numbers.

    `confined` is True when it is proved that the user can neither signal, trace nor change what runs as root: not root
    by any of its ids, without capabilities and without a way to gain any, and no owner of what root runs.
    """

    uid: int
    gid: int
    confined: bool


ROOT = Actor(0, 0, confined=False)


def find_actor(user: str, run: Run, folders: Sequence[str], environment: Iterable[str]) -> Actor:
    """Look at a user who is given by name or numbers.

    `folders` are those that programs are looked for in, `environment` the names of the container's variables. Raises
    InfrastructureError when the image does not know the user.
    """
    if user in ("0", "root", "0:0", "root:root"):
        return ROOT
    paths = [f"{folder.rstrip('/')}/{program}" for folder in folders for program in PROGRAMS]
    code, output = run(["sh", "-c", f"{SCRIPT}\necho '{END}'", "sh", *paths, *CONFIGURATION], user)
    told = output.decode(errors="replace")
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    ids = [facts.get(name, "").split() for name in ("Uid", "Gid")]
    numbers = numbers_of(user)
    if code == 0 and all(len(each) == 4 and all(word.isdigit() for word in each) for each in ids):
        uid, gid = (int(each[1]) for each in ids)
        # Asked for by numbers, the user is the one that was asked for, or else nothing is proved.
        if numbers is None or numbers == (uid, gid):
            loaders = any(name.startswith("LD_") for name in environment)
            anywhere = not all(folder.startswith("/") for folder in folders)
            return Actor(uid, gid, confined=_is_confined(facts) and not loaders and not anywhere)
    if numbers is not None:
        return Actor(*numbers, confined=False)
    raise InfrastructureError(
        f"the image does not know the user {user!r}: {told.strip()}",
        cause=Cause.SETUP_FAILED,
        hint="name a user of the image in runner.user, or numbers as 1000:1000",
    )


def numbers_of(user: str) -> tuple[int, int] | None:
    """The numbers (uid, gid) of a user that is given by both."""
    if not re.fullmatch(r"\d+:\d+", user):
        return None
    uid, _, gid = user.partition(":")
    return int(uid), int(gid)


def _is_confined(facts: dict[str, str]) -> bool:
    """What the kernel says of the process that looked; what it does not say is not so."""
    sets = [facts.get(name, "unknown").strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]
    return (
        all(int(uid) != 0 for uid in facts["Uid"].split())
        and all(re.fullmatch("0+", capabilities) for capabilities in sets)
        and facts.get("NoNewPrivs", "").strip() == "1"
        and "mine" not in facts
        and facts.get("end", "").strip() == "reached"
    )
