"""The course of a run's logs: what was recorded when, and in which unit.

Times are in seconds after the start of the run; entries before it have negative ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.formats.disk.hdf5 import attribute, child, dataset, numbers, text, wrong
from snapcal_workbench.formats.disk.once import read_once
from snapcal_workbench.formats.nexus.run_file import open_run
from snapcal_workbench.formats.nexus.run_info import find_entry, number_of


@dataclass(frozen=True, eq=False)
class LogCourse:
    """The entries of a log of numbers, in the order of their times.

    Attributes:
        values: float64[n].
        times: float64[n], s after the start of the run; 0 where the file does not say.
        unit: As the file has it; "" if it does not say.
        last: The last value in the order of the file, by which SNAPRed goes.
    """

    values: FloatArray
    times: FloatArray
    unit: str
    last: float


@dataclass(frozen=True)
class RunLogs:
    """What a file says of the instrument and of the course of its logs.

    Attributes:
        source: Path of the file.
        instrument: Name of the instrument; "" if the file does not say.
        end: End of the run, s after its start; inf if the file does not say.
        courses: By the name of the log; without logs that the file has not, or whose last value is no number.
    """

    source: str
    instrument: str
    end: float
    courses: dict[str, LogCourse]


@read_once()
def read_run_logs(path: Path, names: frozenset[str]) -> RunLogs:
    """Read the course of some logs.

    Args:
        path: An event NeXus file.
        names: Names of the logs.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: The file is damaged or no NeXus file, or a log has times in an unknown unit.
    """
    with open_run(path) as file:
        entry = find_entry(file)
        start, end = _moment(text(entry, "start_time")), _moment(text(entry, "end_time"))
        duration = (end - start).total_seconds() if start and end else number_of(entry, "duration")
        logs = child(entry, "DASlogs")
        found = {name: _course(logs, name, start) for name in names} if isinstance(logs, h5py.Group) else {}
        return RunLogs(
            source=str(path),
            instrument=text(entry, "instrument/name").strip(),
            end=duration if duration > 0 else np.inf,
            courses={name: course for name, course in found.items() if course is not None},
        )


def _moment(stamp: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _course(logs: h5py.Group, name: str, start: datetime | None) -> LogCourse | None:
    log = child(logs, name)
    member = next((item for item in ("value", "values") if isinstance(log, h5py.Group) and child(log, item)), None)
    if member is None:
        return None
    found = dataset(log, member)
    if found.dtype.kind not in "iufb" or found.ndim > 1 or not found.size:
        return None
    values = numbers(log, member, np.float64, ndim=found.ndim, finite=False).reshape(-1)
    times = _times(log, len(values), start)
    kept = np.flatnonzero(np.isfinite(values) & np.isfinite(times))
    if not np.isfinite(values[-1]) or not len(kept):
        return None
    order = kept[np.argsort(times[kept], kind="stable")]
    return LogCourse(values[order], times[order], attribute(found, "units").strip(), float(values[-1]))


def _times(log: h5py.Group, n: int, start: datetime | None) -> FloatArray:
    """Times of n entries; all 0 where the file has no time of each."""
    found = child(log, "time")
    if not isinstance(found, h5py.Dataset) or found.shape != (n,):
        return np.zeros(n)
    times = numbers(log, "time", np.float64, finite=False)
    unit = attribute(found, "units", "second").strip().lower()
    if unit not in _SECONDS:
        raise wrong(found, "times in seconds", f"the unit '{unit:.40}'", "Correct the attribute 'units'.")
    counted_from = _moment(attribute(found, "start") or attribute(found, "offset"))
    shift = (counted_from - start).total_seconds() if start and counted_from else 0.0
    return times * _SECONDS[unit] + shift


_SECONDS = {
    **dict.fromkeys(("", "second", "seconds", "s", "sec"), 1.0),
    **dict.fromkeys(("millisecond", "milliseconds", "ms"), 1e-3),
    **dict.fromkeys(("microsecond", "microseconds", "us"), 1e-6),
    **dict.fromkeys(("nanosecond", "nanoseconds", "ns"), 1e-9),
    **dict.fromkeys(("minute", "minutes", "min"), 60.0),
    **dict.fromkeys(("hour", "hours", "h"), 3600.0),
}
