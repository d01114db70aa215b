"""Named implementations: built-in ones by a table, third parties' by entry point, one-off ones by `module:Class`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from pytest_specbench.core.errors import UsageError


@dataclass(frozen=True)
class Registry:
    """Finds the implementation for a name without importing any other.

    `kind` names what it holds in errors, `group` is the entry-point group, `builtin` maps names to `module:attribute`.
    """

    kind: str
    group: str
    builtin: Mapping[str, str]
    also: tuple[str, ...] = ()
    """Names that are accepted besides, and listed with the others in an error."""

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        return sorted({*self.builtin, *(point.name for point in entry_points(group=self.group))})

    def target(self, name: str) -> str:
        """`module:attribute` for a name, which may be that itself. Raises UsageError for one that nobody has."""
        target = self.builtin.get(name)
        if target is None:
            for point in entry_points(group=self.group, name=name):
                target = point.value
        if target is None and ":" in name:
            target = name
        if target is None:
            names = sorted({*self.names(), *self.also})
            near = get_close_matches(name, names, n=1)
            raise UsageError(
                f"no {self.kind} is called {name!r}",
                expected=f"one of {', '.join(names)}, or module:Class"
                + (f"; the nearest is {near[0]!r}" if near else ""),
            )
        return target

    def load(self, name: str) -> Any:
        """Return what `name` stands for; it may be a registered name or `module:attribute`.

        Raises UsageError naming the input, what it resolved to and the alternatives.
        """
        target = self.target(name)
        module_name, _, attribute = target.partition(":")
        try:
            found: Any = importlib.import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{self.kind} {name!r} resolved to {target!r}, which cannot be imported: "
                f"{type(error).__name__}: {error}",
                expected=f"an importable module:Class, or one of {', '.join(self.names())}",
            ) from error
        return found
