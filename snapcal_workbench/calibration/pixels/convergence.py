"""The convergence loop: repeat a step that improves something until its increments are small.

- A *step* takes a state and returns the improved state with an *increment* for every item that it changes; an item may
  be *in use* or not, and belongs to a labelled part of the whole.
- The *measure* of a pass is the median of |increment| over the items in use: not |median of increments|, which a
  symmetric spread would make 0. Each labelled part has its own.
- The loop stops as *converged* when the measure of the whole and of every part is below the threshold, as *diverging*
  when a measure exceeds the smallest so far by a factor of `GROWTH`, or at the largest number of passes. A user who
  cancels ends it by an exception; the start is never changed, so nothing is half done.
- The result is the state after the pass with the smallest measure: the *kept* pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, IntArray, StopReason
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress

State = TypeVar("State")

GROWTH = 1.5
"""A pass whose measure is that many times the smallest so far diverges. Half of it would end every run whose measure
does not fall by a quarter in each pass; at twice a run that diverges makes a pass or two more."""


@dataclass(frozen=True, eq=False)
class Increments:
    """What one pass changed.

    Attributes:
        value: float64[n], in the unit of the threshold.
        in_use: bool[n].
        label: int32[n], part of the whole that an item belongs to.
    """

    value: FloatArray
    in_use: NDArray[np.bool_]
    label: IntArray

    @property
    def measure(self) -> float:
        """Median of |increment| over the items in use; NaN with none."""
        return _median_size(self.value[self.in_use])

    @property
    def part_measures(self) -> dict[int, float]:
        """The same for each label that has items in use."""
        value, label = self.value[self.in_use], self.label[self.in_use]
        return {int(part): _median_size(value[label == part]) for part in np.unique(label)}


@dataclass(frozen=True, eq=False)
class Pass(Generic[State]):
    """One pass: its number from 1, the state after it, and its measures (whole and by label)."""

    number: int
    state: State
    measure: float
    part_measures: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class Convergence(Generic[State]):
    """How the loop ended: all passes, the one that is kept, why it stopped, and that in words."""

    passes: tuple[Pass[State], ...]
    kept: Pass[State]
    stop: StopReason
    message: str


def converge(
    start: State,
    step: Callable[[State, int, Progress], tuple[State, Increments]],
    *,
    threshold: float,
    max_passes: int,
    progress: Progress,
    unit: str = "",
) -> Convergence[State]:
    """Repeat a step until it converges, diverges, or has been done often enough.

    Args:
        start: State before the first pass; never changed.
        step: Called with state, number of the pass and its progress; returns a new state and what changed.
        threshold: Of the measures, in the increments' unit.
        max_passes: Largest number of passes, at least 1.
        progress: Of all passes together.
        unit: Of the increments, for the message.

    Raises:
        Cancelled: If the user has cancelled; nothing of any pass is kept.
    """
    passes: list[Pass[State]] = []
    stop: StopReason | None = None
    while stop is None:
        number = len(passes) + 1
        part = progress.part((number - 1) / max_passes, number / max_passes)
        try:
            part.report(0.0, f"Pass {number}")
            state, increments = step(passes[-1].state if passes else start, number, part)
        except Cancelled as error:
            raise Cancelled(f"cancelled in pass {number}; nothing was changed") from error
        passes.append(Pass(number, state, increments.measure, increments.part_measures))
        progress.inform(f"Pass {number}: median |offset| {increments.measure:.3g} {unit}".rstrip())
        stop = _stop_reason(passes, threshold, max_passes)
    kept = min(passes, key=lambda p: (not np.isfinite(p.measure), p.measure))
    return Convergence(tuple(passes), kept, stop, _in_words(stop, passes, kept, threshold, unit))


def _median_size(values: FloatArray) -> float:
    return float(np.median(np.abs(values))) if len(values) else float("nan")


def _stop_reason(passes: list[Pass[State]], threshold: float, max_passes: int) -> StopReason | None:
    """Why to stop after the last of these passes; None: go on."""
    last = passes[-1]
    smallest = min((p.measure for p in passes[:-1]), default=np.inf)
    if last.measure < threshold and all(m < threshold for m in last.part_measures.values()):
        return "converged"
    if not last.measure <= GROWTH * smallest:
        return "diverging"
    return "max iterations" if len(passes) >= max_passes else None


def _in_words(stop: StopReason, passes: list[Pass[State]], kept: Pass[State], threshold: float, unit: str) -> str:
    last = passes[-1]
    size = f"median |offset| {last.measure:.3g}{unit and ' ' + unit}"
    limit = f"threshold {threshold:.3g}{unit and ' ' + unit}"
    if stop == "converged":
        text = f"Converged in pass {last.number}: {size}, {limit}."
    elif stop == "diverging":
        text = f"Stopped as diverging in pass {last.number}: {size}, {kept.measure:.3g} before."
    else:
        text = f"Stopped after the largest number of passes ({last.number}) without converging: {size}, {limit}."
    return text if kept is last else f"{text} The result is that of pass {kept.number}, whose increments are smallest."
