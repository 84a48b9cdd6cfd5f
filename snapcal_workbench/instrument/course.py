"""What the logs of a run were while it was measured: one value of each, or the refusal of a run that has none.

A file may hold entries from before and after its run, and detectors may move while it is measured. The positions are
those of the run's own time, weighted by how long they lasted. The state's id follows SNAPRed's rule, the last entry of
all; a run that was measured in another state than that, or in two, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.types import FloatArray, LogValue
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.nexus.run_logs import LogCourse, RunLogs
from snapcal_workbench.instrument.model import Instrument
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.instrument.state_id import LARGEST_NUMBER, Rule, Schema, rounded
from snapcal_workbench.progress import Progress

SPREAD_PPM = 30.0
"""A change of DIFC (ppm) that is warned of: as much as a group's DIFC may be wrong. Readings of an encoder that stands
still make 2 ppm; at 15 they would begin to be warned of, at 60 a fault of twice what is promised would not."""

JITTER = 0.1
"""Fraction of a log's resolution by which readings of a device that stands still may differ: at the limit between two
rounded values they may be on both sides of it. With 0.05 a noisy encoder is refused; with 0.2 a move is not that
changes DIFC by 1000 ppm."""

BRIEFLY = 0.005
"""Fraction of the run's time at either end of a log's values that does not count as a change: it moves a mean by
1/200 of the change."""

UNITS: Mapping[str, Mapping[str, float]] = {
    "deg": {
        **dict.fromkeys(("", "deg", "degree", "degrees", "°"), 1.0),
        **dict.fromkeys(("rad", "radian", "radians"), 180.0 / np.pi),
        **dict.fromkeys(("mrad", "milliradian"), 0.18 / np.pi),
    },
    "m": {
        **dict.fromkeys(("", "m", "meter", "metre", "meters", "metres"), 1.0),
        **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e-2),
        **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e-3),
        **dict.fromkeys(("um", "µm", "micron", "microns", "micrometer"), 1e-6),
    },
    "A": {
        **dict.fromkeys(("", "a", "å", "ang", "angstrom", "angstroms", "ångström"), 1.0),
        **dict.fromkeys(("nm", "nanometer", "nanometre"), 10.0),
        **dict.fromkeys(("pm", "picometer", "picometre"), 0.01),
    },
    "Hz": {
        **dict.fromkeys(("", "hz", "hertz", "1/s", "s-1", "s^-1"), 1.0),
        **dict.fromkeys(("khz", "kilohertz"), 1e3),
        **dict.fromkeys(("rpm", "1/min"), 1 / 60),
    },
}
"""Factors that turn a unit, in small letters, into the one that the calibration counts in."""


def require_instrument(logs: RunLogs, instrument: Instrument) -> None:
    """Raise FileFormatError if the file says that it is of another instrument."""
    names = (instrument.name.upper(), instrument.files.prefix.upper().rstrip("_"))
    if logs.instrument and not logs.instrument.upper().startswith(names):
        raise FileFormatError(
            f"The run must be one of {instrument.name}.",
            found=f"the instrument {logs.instrument!r:.40} in {logs.source}",
            fix=f"Choose a file of {instrument.name}; other instruments have other pixels.",
        )


def in_own_units(logs: RunLogs, instrument: Instrument, progress: Progress) -> RunLogs:
    """The logs in the units that the calibration counts in; conversions are said.

    Raises:
        FileFormatError: A log is in a unit that is not known.
    """
    courses = dict(logs.courses)
    for name, wanted in instrument.logs.units.items():
        if name in courses:
            courses[name] = _converted(f"{name} in {logs.source}", courses[name], wanted, progress)
    return replace(logs, courses=courses)


def _converted(name: str, course: LogCourse, wanted: str, progress: Progress) -> LogCourse:
    factor = UNITS[wanted].get(course.unit.lower())
    if factor is None:
        raise FileFormatError(
            f"The log {name} must be in {wanted}, or in a unit that can be turned into that.",
            found=f"the unit {course.unit!r:.40}",
            fix="Correct the attribute 'units' of the log in the run's file.",
        )
    if factor == 1.0:
        return course
    converted = f"{course.last:g} {course.unit} is {course.last * factor:.6g} {wanted}"
    progress.warn(f"{name} has the unit {course.unit}: {converted}.")
    return replace(course, values=course.values * factor, last=course.last * factor, unit=wanted)


@dataclass(frozen=True, eq=False)
class _Stay:
    """The values that a log had during the run, ascending, and the share of the run's time that each lasted."""

    values: FloatArray
    shares: FloatArray

    @property
    def mean(self) -> float:
        return float(np.sum(self.values * self.shares))

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value, without those that lasted briefly at either end."""
        total = np.cumsum(self.shares)
        low = int(np.searchsorted(total, BRIEFLY))
        high = int(np.searchsorted(total, 1.0 - BRIEFLY))
        last = len(total) - 1
        return float(self.values[min(low, last)]), float(self.values[min(high, last)])


def _stay(course: LogCourse, end: float) -> _Stay:
    values, times = course.values, course.times
    if len(values) > 1 and values[0] == 0 and values[1] != 0:  # older files begin with a zero that was never measured
        values, times = values[1:], times[1:]
    first = max(int(np.searchsorted(times, 0.0, side="right")) - 1, 0)
    inside = slice(first, max(int(np.searchsorted(times, end, side="right")), first + 1))
    values, times = values[inside], np.maximum(times[inside], 0.0)
    lasted = np.diff(times, append=end if np.isfinite(end) else times[-1])
    lasted[0] += times[0]
    total = lasted.sum()
    shares = lasted / total if total > 0 else np.append(np.zeros(len(values) - 1), 1.0)
    order = np.argsort(values, kind="stable")
    return _Stay(values[order], shares[order])


def value_during_run(name: str, rule: Rule | None, course: LogCourse, end: float, *, legacy: bool) -> float:
    """The mean of a log over the run's time, or the value nearest to it that leads to the same state as its last entry.

    Args:
        name: Its name, and where it is from.
        rule: Its entry in the state's schema, type and resolution; None if the state does not depend on it.
        course: Of the log.
        end: Of the run, s.
        legacy: Whether the schema rounds as SNAPRed's first one did.

    Raises:
        InputError: During the run it led to another state than the last entry does, or to two.
    """
    stay, last = _stay(course, end), course.last
    if rule is None:
        return stay.mean
    low, high = stay.range

    def same(value: float) -> bool:
        return _rounded(value, rule, legacy) == _rounded(last, rule, legacy)

    far = JITTER * (rule.get("resolution") or 1.0)
    if any(not same(value) and abs(value - last) > far for value in (low, high)):
        raise _other_state(name, course, (low, high), end)
    if same(stay.mean):
        return stay.mean
    nearest = stay.values[np.argsort(np.abs(stay.values - stay.mean), kind="stable")]
    return next((float(value) for value in nearest if same(value)), last)


def _rounded(value: float, rule: Rule, legacy: bool) -> object:
    if not abs(value) <= LARGEST_NUMBER:
        return value
    return rounded(round(value) if rule.get("type") == "integer" else value, rule, legacy=legacy)


def _other_state(name: str, course: LogCourse, stayed: tuple[float, float], end: float) -> InputError:
    low, high = (f"{value:g}" for value in stayed)
    during = f"{name} is {low} during the run" if low == high else f"{name} has {low} to {high} during the run"
    after = f", and its last entry, {course.times[-1] - end:g} s after the end, is {course.last:g}"
    return InputError(
        "The state of the instrument must be one and the same during the whole run, and that of the last log entries.",
        found=during + (after if course.times[-1] > end else f"; its last entry is {course.last:g}"),
        fix="Calibrate a run that was measured in one state, or cut this one's file to the part with one.",
    )


_OF_POSITION: Rule = {"type": "number", "ignore": True}


def settled(
    logs: Mapping[str, LogValue], course: RunLogs, schema: Schema, instrument: Instrument
) -> dict[str, LogValue]:
    """The last value of each log, but of positions the mean over the run's time, in the calibration's units.

    Args:
        logs: Last value of each log, as the file has it.
        course: Of those that are numbers, in the calibration's units.
        schema: From `state_id.effective_schema`.
        instrument: Says which logs are positions, and which stand in for others.

    Raises:
        InputError: The state changes during the run, or was another one than the last entries say.
    """
    found = dict(logs)
    found.update({name: course.courses[name].last for name in instrument.logs.units if name in course.courses})
    legacy = bool(schema.get("use_legacy_rounding", False))
    for log in {**schema["properties"], **instrument.logs.positions}:
        rule = schema["properties"].get(log, _OF_POSITION)
        name = _name_of(log, instrument, course)
        if name is None or rule.get("type", "number") not in ("number", "integer"):
            continue
        counted = None if rule.get("ignore", False) else rule
        where = f"{name} in {course.source}"
        value = value_during_run(where, counted, course.courses[name], course.end, legacy=legacy)
        if log in instrument.logs.positions:
            found[name] = value
    return found


def _name_of(log: str, instrument: Instrument, course: RunLogs) -> str | None:
    """The log itself, or the first that stands in for it."""
    names = (log, *instrument.logs.alternatives.get(log, ()))
    return next((name for name in names if name in course.courses), None)


def warn_of_moves(state: InstrumentState, course: RunLogs, instrument: Instrument, progress: Progress) -> None:
    """Warn of detectors that moved during the run by as much as matters, with the change of DIFC."""
    mode = instrument.modes[0]
    for log in instrument.logs.positions:
        name = _name_of(log, instrument, course)
        low, high = _stay(course.courses[name], course.end).range if name else (0.0, 0.0)
        if low == high:
            continue
        low_difc, high_difc = (state.with_logs({log: value}).geometry(mode).difc for value in (low, high))
        change = 1e6 * float(np.max(np.abs(high_difc / low_difc - 1.0)))
        if change > SPREAD_PPM:
            progress.warn(
                f"{name} was between {low:.6g} and {high:.6g} during the run, which changes DIFC by up to {change:.0f} "
                f"ppm; its mean {state.detector_state.pvs[log]:.6g} is used."
            )
