"""A drift or a jump in a series of figures with errors, named only where chance does not explain it.

Three descriptions of a series are compared by their chi-squared: it is constant; it *drifts* along a straight line in
time; it *jumps* once and is constant before and after. The better one of the last two is named where it improves on the
constant by more than chance would in one of a thousand histories, with every place of a jump and every series that is
looked at counted as a trial. Each side of a jump is looked at again, so that several jumps are found.

Errors can be too small. Where neighbours differ by more than theirs (`_scatter`), a change has to exceed that too;
few jumps among many neighbours, and a drift, which is the same between all of them, do not count as scatter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.stats import chi2 as chi_squared

from snapcal_workbench.calibration.types import FloatArray

CHANCE = 1e-3
"""Probability that a history without a change is said to have one; 3.3 standard errors for one series of two points. At
half of it they are 3.5, at twice 3.1: no change of a size that matters depends on it."""
LEAST_STEPS = 4
"""With fewer steps between neighbours one jump is a large part of them, and would be taken for scatter."""

Kind = Literal["jump", "drift"]


@dataclass(frozen=True)
class Change:
    """A change in a series.

    Attributes:
        kind: "jump" between the points `first` and `last`, or "drift" from `first` to `last`.
        first, last: Indices of points of the series.
        size: How much it changed: the step of a jump, or the whole of a drift.
        error: Standard error of `size`.
        chance: Probability that errors alone look so in any of the series.
    """

    kind: Kind
    first: int
    last: int
    size: float
    error: float
    chance: float


@dataclass(frozen=True)
class _Fit:
    change: Change
    chi2: float
    trials: int

    @property
    def cost(self) -> float:
        """By which two descriptions are compared: a jump is free to be anywhere, and has to pay for it."""
        return self.chi2 + 2.0 * float(np.log(self.trials))


def find_changes(time: FloatArray, value: FloatArray, sigma: FloatArray, *, series: int = 1) -> list[Change]:
    """What changed in a series, in its order.

    Args:
        time: float64[n], ascending, in any unit.
        value: float64[n]; NaN where it is not known.
        sigma: float64[n], standard errors; points without a finite, positive one are left out.
        series: How many series are looked at together.
    """
    known = np.flatnonzero(np.isfinite(value) & np.isfinite(sigma) & (sigma > 0))
    wider = sigma[known] * _scatter(value[known], sigma[known])
    found = _changes(time[known], value[known], wider, max(series, 1))
    found = found and _measured(found, time[known], value[known], sigma[known])
    return [replace(change, first=int(known[change.first]), last=int(known[change.last])) for change in found]


def _measured(found: list[Change], time: FloatArray, value: FloatArray, sigma: FloatArray) -> list[Change]:
    """Size and error of each change, from the points up to the next ones, and by the errors as given.

    What is left of the whole series beyond its errors widens them.
    """
    ends = [0, *(change.last for change in found if change.kind == "jump"), len(value)]
    parts = [slice(first, last) for first, last in pairwise(ends)]
    drifting = [any(c.kind == "drift" and c.first == part.start for c in found) for part in parts]
    fits = [
        _drift(time[part], value[part], sigma[part] ** -2) if drifts else None
        for part, drifts in zip(parts, drifting, strict=True)
    ]
    left = [fit.chi2 if fit else _chi2(value[part], sigma[part] ** -2) for fit, part in zip(fits, parts, strict=True)]
    free = len(value) - len(parts) - sum(drifting)
    wider = max(1.0, sum(left) / free) ** 0.5 if free > 0 else 1.0
    measured = []
    for change in found:
        at = next(i for i, part in enumerate(parts) if part.start <= change.last < part.stop)
        fit = fits[at]
        if change.kind == "drift" and fit is not None:
            size, error = fit.change.size, fit.change.error
        else:
            size, error = _step(value, sigma, parts[at - 1], parts[at])
        measured.append(replace(change, size=size, error=error * wider))
    return measured


def _step(value: FloatArray, sigma: FloatArray, before: slice, after: slice) -> tuple[float, float]:
    """Difference of the means of two parts of a series, and its standard error."""
    weights = [sigma[part] ** -2 for part in (before, after)]
    means = [np.average(value[part], weights=w) for part, w in zip((before, after), weights, strict=True)]
    return float(means[1] - means[0]), float(sum(1.0 / w.sum() for w in weights) ** 0.5)


def _scatter(value: FloatArray, sigma: FloatArray) -> float:
    """By how much neighbours scatter beyond their errors, at least 1; widened where few of them tell it."""
    steps = np.diff(value) / np.hypot(sigma[1:], sigma[:-1])
    if len(steps) < LEAST_STEPS:
        return 1.0
    spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    return max(1.0, spread * (1.0 + 2.0 / len(steps)))


def _changes(time: FloatArray, value: FloatArray, sigma: FloatArray, series: int) -> list[Change]:
    count = len(value)
    if count < 2:
        return []
    weight = sigma**-2
    constant = _chi2(value, weight)
    fits = [_jump(value, weight), *([_drift(time, value, weight)] if count > 2 and time[-1] > time[0] else [])]
    best = min(fits, key=lambda fit: fit.cost)
    chance = float(chi_squared.sf(constant - best.chi2, 1)) * best.trials * series
    if chance >= CHANCE:
        return []
    change = replace(best.change, chance=chance)
    if change.kind == "drift":
        return [change]
    cut = change.last
    before = _changes(time[:cut], value[:cut], sigma[:cut], series)
    after = _changes(time[cut:], value[cut:], sigma[cut:], series)
    later = [replace(item, first=item.first + cut, last=item.last + cut) for item in after]
    return [*before, change, *later]


def _chi2(value: FloatArray, weight: FloatArray) -> float:
    return float(np.sum(weight * (value - np.average(value, weights=weight)) ** 2))


def _jump(value: FloatArray, weight: FloatArray) -> _Fit:
    """The best place of one jump."""
    cuts = range(1, len(value))
    chi2 = [_chi2(value[:cut], weight[:cut]) + _chi2(value[cut:], weight[cut:]) for cut in cuts]
    cut = 1 + int(np.argmin(chi2))
    size, error = _step(value, weight**-0.5, slice(0, cut), slice(cut, None))
    return _Fit(Change("jump", cut - 1, cut, size, error, 1.0), min(chi2), len(chi2))


def _drift(time: FloatArray, value: FloatArray, weight: FloatArray) -> _Fit:
    """A straight line in time."""
    span = time[-1] - time[0]
    x = (time - np.average(time, weights=weight)) / span
    level = value - np.average(value, weights=weight)
    information = float(np.sum(weight * x**2))
    slope = float(np.sum(weight * x * level)) / information
    left = float(np.sum(weight * (level - slope * x) ** 2))
    return _Fit(Change("drift", 0, len(value) - 1, slope, information**-0.5, 1.0), left, 1)
