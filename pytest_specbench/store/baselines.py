"""The baseline folder: immutable records, one file each. Which of them is active is derived."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pytest_specbench.core.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import one_line
from pytest_specbench.store.json_file import read_json

MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Baselines:
    """The baselines of one scenario."""

    folder: Path
    records: Sequence[BaselineRecord]

    @property
    def active(self) -> list[BaselineRecord]:
        """Records that no other record supersedes."""
        replaced = {record.supersedes_baseline_id for record in self.records}
        return [record for record in self.records if record.baseline_id not in replaced]

    @property
    def ever_active(self) -> bool:
        """Whether the scenario has ever had an active baseline."""
        return bool(self.records)


def read_baselines(root: Path, scenario_id: str, *, required: bool = False) -> Baselines:
    """Every record of a scenario below the baseline folder `root`, by name. One that cannot be read, or that stands in
    the wrong place, blocks, and so does something else in the place of a folder: what was approved must not get lost by
    an edit. `required`: somebody named the root, so it must be there.
    """
    folder = root / scenario_id
    records = [_read(path, scenario_id) for path in _record_files(root, folder, required=required)]
    known = {record.baseline_id for record in records}
    for record in records:
        if record.supersedes_baseline_id is not None and record.supersedes_baseline_id not in known:
            raise _invalid(
                folder / f"{record.baseline_id}.json",
                f"it supersedes {record.supersedes_baseline_id!r}, of which there is no record",
            )
    return Baselines(folder, records)


def write_baseline(root: Path, record: BaselineRecord) -> Path:
    """Write a record into the folder of its scenario, and return its path. FileExistsError: records are immutable."""
    folder = root / record.scenario_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.baseline_id}.json"
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{path.stem}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(record.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        os.link(temporary, path)  # unlike a rename, it does not replace what is there
    finally:
        Path(temporary).unlink()
    return path


def _record_files(root: Path, folder: Path, *, required: bool) -> list[Path]:
    """The files of the records, sorted; none where there is no folder."""
    try:
        if not os.path.lexists(root):
            if required:
                raise _invalid(root, "there is no such folder", "the baseline folder that was asked for")
            return []
        if not root.is_dir():
            raise _invalid(root, "it is no folder", "a folder that holds one folder a scenario")
        if not os.path.lexists(folder):
            return []
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise _invalid(folder, "it is no folder", "a folder, and no link to one")
        return sorted(path for path in folder.iterdir() if path.name.endswith(".json"))
    except OSError as error:
        raise _invalid(folder, str(error)) from None


def _read(path: Path, scenario_id: str) -> BaselineRecord:
    try:
        record = BaselineRecord.model_validate(read_json(path, MAX_BYTES))
    except OSError as error:
        raise _invalid(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(path, one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None
    except (ValueError, RecursionError) as error:
        raise _invalid(path, one_line(str(error))) from None
    except (ArithmeticError, LookupError, TypeError) as error:
        raise _invalid(path, f"{type(error).__name__}: {error}") from None
    if record.baseline_id != path.stem or record.scenario_id != scenario_id:
        raise _invalid(path, f"it calls itself {record.baseline_id!r} of {record.scenario_id!r}")
    return record


def _invalid(
    path: Path, why: str, expected: str = "a well-formed record that fits its name, its folder and its own values"
) -> BlockedError:
    kind = "record" if path.suffix == ".json" else "folder"
    return BlockedError(
        f"the baseline {kind} cannot be used: {why}",
        cause=Cause.BASELINE_INVALID,
        where=str(path),
        expected=expected,
        hint=f"git log -p -- {path.name}, and restore it",
    )
