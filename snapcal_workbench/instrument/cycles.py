"""Beam cycles: in which one a run was measured, and whether a version made in another one counts for it.

Between cycles detectors are serviced and the moderator may be changed, so that a calibration of one cycle may not hold
in the next. The cycles are a table in the settings; without one they are those that the versions of the instrument
parameters state. A cycle begins with its first run, and ends with its last run, where that is given, or before the next
one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.instrument.parameters import Cycle
from snapcal_workbench.options import BeamCycle, Settings

_VERSION = re.compile(r"v_\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Runs from `first` to `last` (infinite for all later ones) of one cycle; `cycle` is None where none is known."""

    first: int
    last: float
    cycle: BeamCycle | None

    def __contains__(self, run: int) -> bool:
        return self.first <= run <= self.last


def known_cycles(settings: Settings) -> tuple[BeamCycle, ...]:
    """The cycles by their first runs: those of the settings, else those of the instrument parameters."""
    if settings.cycles:
        return _ordered(settings.cycles)
    folder = settings.instrument_parameters
    try:
        names = sorted(name for name in os.listdir(folder) if _VERSION.fullmatch(name))
        paths = [folder / name / f"{folder.name}.json" for name in names]
        marks = tuple((path, path.stat().st_mtime_ns) for path in paths if path.is_file())
    except OSError:
        return ()
    return _of_parameters(marks)


@lru_cache(maxsize=16)
def _of_parameters(marks: tuple[tuple[Path, int], ...]) -> tuple[BeamCycle, ...]:
    """Those that files state; each is read once as long as it is not changed."""
    return _ordered(_stated(path for path, _ in marks))


def _stated(paths: Iterable[Path]) -> Iterator[BeamCycle]:
    for path in paths:
        try:
            value = read_json(path, "instrument parameters")
            found = Cycle.model_validate(value.get("cycle") if isinstance(value, dict) else None)
        except (SnapcalError, ValidationError):
            continue
        yield BeamCycle(name=found.cycle_id, first_run=found.first_run, start=found.start_date, stop=found.stop_date)


def _ordered(cycles: Iterable[BeamCycle]) -> tuple[BeamCycle, ...]:
    """By first run; of several with the same first run the last counts."""
    by_run = {cycle.first_run: cycle for cycle in cycles}
    return tuple(by_run[run] for run in sorted(by_run))


def cycle_of(cycles: Sequence[BeamCycle], run: int) -> BeamCycle | None:
    """The cycle of a run; None where it is in none that is known."""
    begun = [cycle for cycle in cycles if cycle.first_run <= run]
    if not begun or (begun[-1].last_run is not None and run > begun[-1].last_run):
        return None
    return begun[-1]


def spans_of(cycles: Sequence[BeamCycle]) -> list[Span]:
    """All runs from 1 on, by their cycles, which are given by first run."""
    begins = sorted({1, *(c.first_run for c in cycles), *(c.last_run + 1 for c in cycles if c.last_run is not None)})
    ends = [*(later - 1 for _, later in pairwise(begins)), math.inf]
    return [Span(first, last, cycle_of(cycles, first)) for first, last in zip(begins, ends, strict=True) if last >= 1]


def refusing_cycles(settings: Settings) -> tuple[BeamCycle, ...]:
    """The cycles beyond which no version counts; none where the settings do not refuse it."""
    return known_cycles(settings) if settings.beyond_cycle == "refuse" else ()


def beyond_cycle(settings: Settings, version_run: str, run: int | str) -> str:
    """What is to be said of a version that was made in another cycle than a run; "" where it was made in the same.

    Nothing is said of runs whose cycle is not known, nor where the settings allow it.

    Args:
        settings: Its cycles, and its rule `beyond_cycle`.
        version_run: The run that the version was made from.
        run: The run that it is to be used for; of summed runs the first counts.
    """
    first = str(run).split("+")[0]
    if settings.beyond_cycle == "allow" or not (version_run.isdecimal() and first.isdecimal()):
        return ""
    cycles = known_cycles(settings)
    made, used = cycle_of(cycles, int(version_run)), cycle_of(cycles, int(first))
    if made is None or used is None or made == used:
        return ""
    return f"it was made with run {version_run} of cycle {made.name}, and run {first} is of cycle {used.name}"
