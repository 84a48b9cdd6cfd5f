"""What a crystal's reflections explain of a spectrum, and what they do not.

- *Explained*: the areas of the reflections in the coarse fit.
- *Unexplained*: peaks where no reflection is. They are found in the significance of what the fit leaves, strongest
  first, put into the fit, and looked for again, so that a strong one does not hide its neighbours.
- *Missing*: reflections that should be there, by the strengths of their neighbours in d, and are not at any angle.
- *Index*: explained / (explained + unexplained) * (1 - missing / (explained + missing)): 1 for the right crystal alone
  in the beam, whatever its texture; about 0.1 for a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.phases.pattern import (
    LEAST_VARIANCE,
    CoarseFit,
    Pattern,
    coarse_fit,
    comb,
    significance,
)
from snapcal_workbench.calibration.types import FloatArray

CLEAR = 5.0
"""A comb, in standard deviations of combs that fit nothing, that cannot be chance: in 18 flat modules the best of all
shifts had at most 4.0, as had silicon's in spectra of diamond; the right shift has 10 to 18, with 600 counts a module 7
or more."""
SIGNIFICANT = 6.0
"""Standard errors from which on something is a peak: with some 10^4 places in a run, 5 would find a false one in 30
runs by chance alone, and imperfect backgrounds find more; 12 overlooks a phase of 0.5 % of the demo's counts."""
ROUNDS = 4
"""How often what is left is searched."""
WINGS = (3.0, 5.0)
"""Widths below and above a reflection in which its own profile can leave something; the moderator's tail is above."""
WING_SHARE = 0.12
"""So much of a reflection's area its profile may leave in its wings; more is another peak. Exponentials of the SNAP
moderator leave up to 0.08 of the Gaussians used here; 0.25 hides an fcc metal's peak beside one of silicon."""
HOPELESS = 0.4
"""With a smaller share explained in a round a crystal is wrong, and what else it leaves is not worth the time."""
LEAST_CONTRAST = 0.05
"""Least area of a peak, as a part of what the model has under it. The smooth background follows a real beam's edges to
some 3 %: of measured silicon with 3e7 counts a group, 4 to 5 % of the counts in peaks would be called foreign."""
PRESENT = 0.15
"""A reflection with less than this part of the area that its neighbours promise, error included, is missing. Texture of
a pressed powder changes areas by a factor of 2 or 3, not of 7."""
NEIGHBOURS = 0.4
"""Half width in ln d of the neighbourhood that says how strong a reflection should be."""
PROMISED = 0.02
"""Reflections that should have a smaller part of the counts are too weak to be missed."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What reflections explain of one pattern.

    Attributes:
        fit: With the unexplained peaks in it.
        promised: float64[p], area that the neighbours' areas promise each peak of the fit; 0 for unexplained ones.
    """

    fit: CoarseFit
    promised: FloatArray

    @property
    def explained(self) -> float:
        """Counts of the reflections."""
        return float(self.fit.area[self.fit.index >= 0].sum())

    @property
    def unexplained(self) -> float:
        """Counts of the peaks that are no reflection."""
        return float(self.fit.area[self.fit.index < 0].sum())


def explain(pattern: Pattern, d: FloatArray, strength: FloatArray, shift: float) -> Explained:
    """Fit reflections at d exp(shift), find what they leave, and see which of them are not there.

    Args:
        pattern: The spectrum.
        d: float64[n], A, of the reflections; strength: float64[n], see `known.strengths`.
        shift: Of all of them.
    """
    fit = coarse_fit(pattern, d, shift)
    extra, share = np.empty(0), 1.0
    for number in range(ROUNDS):
        # First what stands alone: while it is not in the fit, the profiles beside it are bent and leave something too.
        found = _left(fit, wings=number > 0)
        if (len(found) == 0 and number > 0) or share < HOPELESS:
            break
        extra = np.concatenate([extra, found])
        fit = coarse_fit(pattern, d, shift, extra)
        share = float(fit.area[fit.index >= 0].sum() / max(fit.area.sum(), 1e-300))
    return Explained(fit, _promised(fit, strength))


def missing_areas(found: Iterable[Explained], reflections: int) -> FloatArray:
    """float64[reflections]: counts that each reflection should have in all patterns, 0 where it is not missing.

    Texture can hide a reflection at one angle; one that is missing is so at all.
    """
    area, error, promised = (np.zeros(reflections) for _ in range(3))
    for one in found:
        own = one.fit.index >= 0
        index, finite = one.fit.index[own], np.isfinite(one.fit.error[own])
        np.add.at(area, index, one.fit.area[own])
        np.add.at(error, index, np.where(finite, one.fit.error[own], 0.0) ** 2)
        np.add.at(promised, index, one.promised[own])
    enough = promised > PROMISED * max(float(area.sum()), 1e-300)
    return np.where(enough & (area + 3.0 * np.sqrt(error) < PRESENT * promised), promised, 0.0)


def _left(fit: CoarseFit, *, wings: bool) -> FloatArray:
    """x of the peaks in what a fit leaves; in the wings of its peaks none, or if asked for those that exceed them."""
    pattern = fit.pattern
    variance = np.maximum(fit.model, LEAST_VARIANCE)
    z = significance(pattern, pattern.counts - fit.model, variance)
    top = (z > SIGNIFICANT) & (z >= np.roll(z, 1)) & (z > np.roll(z, -1))
    places = np.flatnonzero(top)
    places = places[np.argsort(-z[places])]
    chosen: list[float] = []
    for k in places:
        x, area = float(pattern.x[k]), peak_area(pattern, z[k], variance[k])
        apart = all(abs(x - other) > 2.0 * pattern.width for other in chosen)
        beside = _wings_at(fit, x)
        floor = LEAST_CONTRAST * float(fit.model[k]) * 2.0 * np.sqrt(np.pi) * pattern.width / pattern.step
        if apart and area > floor and (beside == 0 or (wings and area > WING_SHARE * beside)):
            chosen.append(x)
    return np.array(chosen)


def peak_area(pattern: Pattern, z: float, variance: float) -> float:
    """Counts of a peak of significance z above a level of `variance` counts a bin: z sqrt(variance 2 sqrt(pi) w)."""
    return float(z * np.sqrt(variance * 2.0 * np.sqrt(np.pi) * pattern.width / pattern.step))


def _wings_at(fit: CoarseFit, x: float) -> float:
    """Counts of the fit's peaks that have their wings at x."""
    distance = (x - fit.place) / fit.pattern.width
    near = (distance > -WINGS[0]) & (distance < WINGS[1])
    return float(fit.area[near].sum())


def _promised(fit: CoarseFit, strength: FloatArray) -> FloatArray:
    """float64[p]: area that each reflection should have by the mean ratio of area to strength around it."""
    own = fit.index >= 0
    expected = np.where(own, strength[np.maximum(fit.index, 0)] * fit.share, 0.0)
    near = np.abs(fit.place[:, None] - fit.place[None, :]) < NEIGHBOURS
    np.fill_diagonal(near, False)
    area = near @ np.where(own, fit.area, 0.0)
    return expected * area / np.maximum(near @ expected, 1e-300)


@dataclass(frozen=True)
class Place:
    """A shift at which reflections fit: the comb there, in standard deviations of combs that fit nothing."""

    shift: float
    comb: float


def best_shifts(
    pattern: Pattern, d: FloatArray, strength: FloatArray, shifts: FloatArray, number: int = 1
) -> list[Place]:
    """The shifts at which reflections fit best, the best first; at least three widths apart.

    Args:
        pattern: The spectrum.
        d: A; strength: of the reflections. Their fourth roots weigh, so that texture and the beam's spectrum, which are
            unknown, do not decide.
        shifts: To try, evenly spaced, no wider than a width.
        number: How many.
    """
    weight = strength**0.25
    score = comb(pattern, d, weight, shifts)
    places: list[Place] = []
    for _ in range(number):
        best = int(np.argmax(score))
        if not np.isfinite(score[best]):
            break
        places.append(Place(_refined(pattern, d, weight, float(shifts[best])), float(score[best])))
        score = np.where(np.abs(shifts - shifts[best]) > 3.0 * pattern.width, score, -np.inf)
    return places


def _refined(pattern: Pattern, d: FloatArray, weight: FloatArray, shift: float) -> float:
    """The top of the comb near a shift: what is beside the reflections does not draw it, as it would chi-squared."""
    fine = shift + pattern.width * np.linspace(-1.0, 1.0, 21)
    score = comb(pattern, d, weight, fine)
    k = int(np.clip(np.argmax(score), 2, len(fine) - 3))
    bend, slope, _ = np.polyfit(fine[k - 2 : k + 3] - fine[k], score[k - 2 : k + 3], 2)
    reach = 0.2 * pattern.width
    return float(fine[k] + (np.clip(-slope / (2.0 * bend), -reach, reach) if bend < 0 else 0.0))
