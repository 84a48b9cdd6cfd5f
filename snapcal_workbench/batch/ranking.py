"""Which of several calibrations of the same runs leaves the smallest error.

The error of a calibration is the root mean square of the strain (d_obs - d_ref) / d_ref that is left in its peaks, over
the peaks that *all* compared calibrations used, so that none looks better for having left out the bad ones, and with
the freedom of its terms taken off: mean(strain^2) n / (n - p), with the n peaks that it used and the p terms that it
fitted to them. Calibrations of different groupings or pixel modes share no peaks of groups; they are compared
reflection by reflection, by the mean of strain^2 over their groups.

Whether one is better than another is told from the differences peak by peak: what is common to both, such as the
calibrant's own imperfections, cancels in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.batch.results import Result
from snapcal_workbench.calibration.types import FloatArray

FEWEST_PEAKS = 3
"""Fewer common peaks are not compared: a root mean square of two has an error of half of it."""
FEWEST_SHARE = 0.5
"""A calibration that uses a smaller share of the peaks of the one that uses most is left out of the comparison: at a
quarter one bad calibration would decide which peaks all others are judged by; at nine tenths options that drop a few
weak peaks would not be compared."""
SIGNIFICANT = 2.0
"""Standard errors by which an error must be larger than the smallest to count as larger: one in twenty by chance."""


@dataclass(frozen=True)
class Score:
    """How good a calibration is among those of the same runs and calibrant.

    Attributes:
        family: What they have in common, in words.
        error_ppm, uncertainty_ppm: The error and its standard error, ppm; NaN where it was not compared.
        peaks: Number of peaks or reflections that all have in common.
        best: Whether its error is the smallest.
        as_good: Whether it cannot be told from the best.
    """

    family: str
    error_ppm: float
    uncertainty_ppm: float
    peaks: int
    best: bool
    as_good: bool


def scores(results: Mapping[str, Result]) -> dict[str, Score]:
    """The score of each result, by the keys of the results."""
    families: dict[tuple[str, str], dict[str, Result]] = defaultdict(dict)
    for key, result in results.items():
        families[result.run_number, result.calibrant][key] = result
    return {
        key: score
        for (run, calibrant), members in families.items()
        for key, score in _scored(f"run {run}, {calibrant}", members).items()
    }


def _scored(family: str, members: Mapping[str, Result]) -> dict[str, Score]:
    squares = _squares(members)
    most = max((len(found) for found in squares.values()), default=0)
    compared = {key: found for key, found in squares.items() if len(found) >= FEWEST_SHARE * most}
    common = sorted(set.intersection(*map(set, compared.values()))) if compared else []  # type: ignore[type-var]
    none = Score(family, float("nan"), float("nan"), len(common), False, False)
    if len(common) < FEWEST_PEAKS:
        return dict.fromkeys(members, none)
    values = {key: np.array([found[peak] for peak in common]) for key, found in compared.items()}
    best = min(values, key=lambda key: float(values[key].mean()))
    return {
        key: _score(family, values[key], values[best], best=key == best) if key in values else none for key in members
    }


def _squares(members: Mapping[str, Result]) -> dict[str, dict[Hashable, float]]:
    """strain^2 n / (n - p) of each peak, or of each reflection where groups differ, ppm^2; without hopeless cases."""
    by_peak = len({(result.grouping, result.mode) for result in members.values()}) == 1
    found: dict[str, dict[Hashable, float]] = {}
    for key, result in members.items():
        used = len(result.strain)
        if used <= result.terms:
            continue
        collected: dict[Hashable, list[float]] = defaultdict(list)
        for peak, strain in result.strain.items():
            collected[peak if by_peak else peak[1:]].append((1e6 * strain) ** 2 * used / (used - result.terms))
        found[key] = {peak: float(np.mean(values)) for peak, values in collected.items()}
    return found


def _score(family: str, own: FloatArray, smallest: FloatArray, *, best: bool) -> Score:
    count, mean = len(own), float(own.mean())
    error = float(np.sqrt(mean))
    uncertainty = float(own.std(ddof=1)) / np.sqrt(count) / (2.0 * error) if error else 0.0
    difference = own - smallest
    larger = float(difference.mean()) > SIGNIFICANT * float(difference.std(ddof=1)) / np.sqrt(count)
    return Score(family, error, float(uncertainty), count, best, best or not larger)
