"""Finds and kills what one command started inside a container."""

from __future__ import annotations

import re
from collections.abc import Callable

_USER = re.compile(r"\d+:\d+")

SCRIPT = r"""
exec 2>/dev/null
command -v grep >/dev/null || exit 3
rounds=0
while [ "$rounds" -lt 100 ]; do
  rounds=$((rounds + 1))
  found=$(LC_ALL=C grep -lsF -- "$1" /proc/[0-9]*/task/[0-9]*/environ)
  [ -n "$found" ] || break
  for file in $found; do
    pid=${file#/proc/}
    kill -KILL "${pid%%/*}"
  done
done
[ -z "$found" ] || exit 4
for folder in /proc/[0-9]*/task/[0-9]*; do
  if { true; } <"$folder/environ"; then continue; fi
  uid= gid=
  while read -r key real effective rest; do
    case $key in Uid:) uid=$effective ;; Gid:) gid=$effective ;; esac
  done <"$folder/status"
  [ -z "$uid" ] || echo "$uid:$gid"
done
exit 0
"""
"""Kills until a search finds none, then names the users whose processes could not be looked into.
Every thread is asked: a main thread that has ended shows nothing, though the others go on.

Root in the container has no CAP_SYS_PTRACE, which reading another user's environment would take and which agents
must not have: so the search is made once as each user.
"""


def kill_token(run: Callable[[list[str], str], tuple[int | None, bytes]], token: str) -> bool:
    """Kill every process whose environment holds `token`, also those that were daemonised.

    `run` runs a command as a user (`uid:gid`) and returns its exit code and output. False when that is not certain;
    then only ending everything in the container is.
    """
    done: set[str] = set()
    left = {"0:0"}
    while left:
        user = left.pop()
        done.add(user)
        code, output = run(["sh", "-c", SCRIPT, "sh", token], user)
        if code != 0:
            return False
        left |= {word for word in output.decode(errors="replace").split() if _USER.fullmatch(word)} - done
    return True
