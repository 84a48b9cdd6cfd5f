"""What a NeXus file says of its run: number, title, times, charge and logs.

A *log* is a process variable recorded during the run, a group in `/entry/DASlogs` with its values in `value`, else in
`values`. Its last value counts: older files have a spurious zero at the beginning.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.types import LogValue, RunInfo
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.disk.hdf5 import (
    all_values,
    attribute,
    child,
    dataset,
    element,
    plain_text,
    subgroup,
    text,
    wrong,
)
from snapcal_workbench.formats.disk.once import read_once
from snapcal_workbench.formats.nexus.run_file import open_run

MICROAMPERE_HOURS_PER_PICOCOULOMB = 1e-6 / 3600.0
LONGEST_NUMBER = 80

_CHARGE_UNITS = {
    "picocoulomb": MICROAMPERE_HOURS_PER_PICOCOULOMB,
    "picocoulombs": MICROAMPERE_HOURS_PER_PICOCOULOMB,
    "pc": MICROAMPERE_HOURS_PER_PICOCOULOMB,
    "uah": 1.0,
    "uamp.hour": 1.0,
    "microamp.hour": 1.0,
}


@read_once()
def read_run_info(path: Path, *, logs: Collection[str] | None = None) -> RunInfo:
    """Read what a run says of itself.

    Args:
        path: An event NeXus file.
        logs: Names of the logs to read; those that the file has not are absent from the result. None: all of them;
            those without a value are named in `unreadable_logs`.

    Returns:
        The run number is the text in the file without leading zeros; the charge is in uAh.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: The file is damaged or no NeXus file, or a log that was asked for has no value.
    """
    with open_run(path) as file:
        entry = find_entry(file)
        values, unreadable = _read_logs(entry, logs)
        return RunInfo(
            run_number=_run_number(entry),
            title=text(entry, "title").strip(),
            start_time=text(entry, "start_time").strip(),
            end_time=text(entry, "end_time").strip(),
            proton_charge=_proton_charge(entry),
            duration=number_of(entry, "duration"),
            logs=values,
            unreadable_logs=tuple(unreadable),
            source=str(path),
        )


def find_entry(file: h5py.File) -> h5py.Group:
    """The entry of a NeXus file: `entry`, else the first group of class NXentry.

    Raises:
        FileFormatError: There is none.
    """
    if isinstance(child(file, "entry"), h5py.Group):
        return subgroup(file, "entry")
    for name in file:
        group = child(file, name)
        if isinstance(group, h5py.Group) and attribute(group, "NX_class") == "NXentry":
            return group
    raise wrong(file, "a NeXus entry", f"only {', '.join(list(file)[:12])}" if len(file) else "nothing")


def _run_number(entry: h5py.Group) -> str:
    number = text(entry, "run_number").strip()
    if len(number) > LONGEST_NUMBER:
        raise wrong(entry, f"a run_number of at most {LONGEST_NUMBER} characters", f"{len(number)} characters")
    return number.lstrip("0") or number[:1]


def number_of(entry: h5py.Group, name: str) -> float:
    """The (last) number of a dataset, 0 where there is none."""
    value = last_value(entry, name) if isinstance(child(entry, name), h5py.Dataset) else None
    return float(value) if isinstance(value, (int, float)) and np.isfinite(value) else 0.0


def _proton_charge(entry: h5py.Group) -> float:
    charge = number_of(entry, "proton_charge")
    if charge == 0.0:
        return 0.0
    unit = attribute(dataset(entry, "proton_charge"), "units", "picoCoulomb").strip()
    factor = _CHARGE_UNITS.get(unit.lower())
    if factor is None:
        raise wrong(entry, "a proton charge in picoCoulomb", f"the unit '{unit:.40}'", "Correct the attribute 'units'.")
    return charge * factor


def _read_logs(entry: h5py.Group, wanted: Collection[str] | None) -> tuple[dict[str, LogValue], list[str]]:
    group = child(entry, "DASlogs")
    if not isinstance(group, h5py.Group):
        return {}, []
    values: dict[str, LogValue] = {}
    unreadable = []
    for name in group if wanted is None else wanted:
        try:
            value = _log(group, name)
        except (FileFormatError, OSError, KeyError, ValueError, TypeError, RuntimeError):
            if wanted is not None:
                raise
            unreadable.append(name)
            continue
        if value is not None:
            values[name] = value
    return values, unreadable


def _log(group: h5py.Group, name: str) -> LogValue | None:
    log = child(group, name)
    if not isinstance(log, h5py.Group):
        return None
    for member in ("value", "values"):
        if isinstance(child(log, member), h5py.Dataset):
            return last_value(log, member)
    return None


def last_value(group: h5py.Group, name: str) -> LogValue:
    """The last value of a series, or a single value.

    Raises:
        FileFormatError: The dataset is absent or empty, or of a kind that no log has.
    """
    found = dataset(group, name)
    if not found.size:
        raise wrong(found, f"a value of the log {group.name.split('/')[-1]}", "no value")
    if found.ndim > 1:
        return _plain(all_values(found)[-1])
    return _plain(element(found, (found.shape[0] - 1,) if found.ndim else ()))


def _plain(value: object) -> LogValue:
    if isinstance(value, (bytes, str)):
        return plain_text(value)
    if isinstance(value, np.ndarray):
        return plain_text(value) if value.dtype.kind in "SO" and value.size == 1 else value.tolist()
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    raise TypeError(f"values of type {type(value).__name__}")
