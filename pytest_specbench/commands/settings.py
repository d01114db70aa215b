"""The settings of a command: those of a pytest session in this folder, with what the command line says on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.settings import Settings


def settings_here(given: Mapping[str, Any] | None = None) -> Settings:
    """What pytest's configuration file and the environment say for the working directory.

    `given` holds values by option name (`run`, `accept-regression`, ...); None stands for an option that was not given.
    Raises UsageError for a wrong one.
    """
    import pytest
    from _pytest.config import _prepareconfig  # no public way leads to a configuration without a session

    from pytest_specbench.option_table import OPTIONS
    from pytest_specbench.options import SETTINGS_ONLY, read_settings

    arguments: list[str] = []
    for option in OPTIONS:
        value = (given or {}).get(option.name)
        if option.flag and value:
            arguments.append(option.option)
        elif value is not None and not option.flag:
            arguments.append(f"{option.option}={value}")
    try:
        config = _prepareconfig([*arguments, "-p", "no:cacheprovider"], plugins=[SETTINGS_ONLY])
    except pytest.UsageError as error:
        raise UsageError(str(error)) from None
    try:
        settings = read_settings(config)
        return replace(settings, argv=())
    except pytest.UsageError as error:
        raise UsageError(str(error)) from None
    finally:
        config._ensure_unconfigure()  # noqa: SLF001 - the other half of _prepareconfig
