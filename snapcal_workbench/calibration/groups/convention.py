"""What a DIFC of the joint fit refers to, and the terms of a table that say it.

Two conventions:

- "maximum": TOF = DIFC d + ... is where a peak at d is highest. It is what one sees, what Mantid's peak fits and
  SNAPRed's calibrations mean, and it is known to a few ppm whatever the profile is.
- "T0": it is where the exponentials of the moderator's pulse meet, as in GSAS-II's TOF profiles. The maximum lies later
  by an amount that depends on wavelength and width. What one run says of it depends on the moderator's rise.

The joint fit gives the *curve* TOF(d) of a group, in either convention, with the covariance of its points. A table
holds DIFC, DIFA and TZERO only; those that represent the curve over the group's d range are found by least squares
of relative deviations, with the fewest terms that leave less than `REPRESENTED`. What is left is part of the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.groups.group_terms import TERMS
from snapcal_workbench.calibration.groups.pattern.model import GroupPattern, peak_shapes
from snapcal_workbench.calibration.peaks.pattern_crests import crests, vertices
from snapcal_workbench.calibration.types import FloatArray, GroupParameters
from snapcal_workbench.calibration.types.pattern import Convention, PatternFit

POINTS = 24
"""Of a curve, evenly in ln d over the group's range."""
REPRESENTED = 15e-6
"""Relative rms deviation of the terms from the curve that is not worth another term: half of the 30 ppm that the
instrument is calibrated to. At half of it every group has three terms, at twice DIFA is hardly ever used."""
FORM = 3e-6
"""Relative error of a maximum that the profile's form leaves, whatever the counts are: a slow decay whose part does not
follow the model's function of wavelength moves simulated maxima by 3 ppm in the mean and by 12 at 3 A. Pulls are then
1.3 wide (without it 1.4, with twice 1.1), and 0.92 where the form is right (1.04, and 0.8)."""
_STEP = 1e-4
_SHAPES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "difc": lambda d: d,
    "difa": lambda d: d * d,
    "tzero": np.ones_like,
}
_PLACE = {"difc": 0, "difa": 1, "tzero": 2}


@dataclass(frozen=True, eq=False)
class Curve:
    """TOF of the peaks of a group, in its focused spectrum.

    d: float64[n], A; tof: float64[n], us; covariance: float64[n, n], us^2.
    """

    d: FloatArray
    tof: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class CurveTerms:
    """Terms of a table that represent a curve.

    Attributes:
        model: Of `group_terms.TERMS`.
        value, error: float64[3], DIFC, DIFA, TZERO; value 0 and error NaN where not used.
        left: Relative rms deviation from the curve.
    """

    model: str
    value: FloatArray
    error: FloatArray
    left: float


def group_curve(
    fit: PatternFit, parameters: GroupParameters, index: int, convention: Convention, d: FloatArray | None = None
) -> Curve:
    """The curve of group number `index` of a fit.

    Args:
        fit: Of the patterns.
        parameters: Of the groups.
        index: Number of the group in the fit.
        convention: What is meant by the place of a peak.
        d: d-spacings, A; None: `POINTS` over the range that was fitted.
    """
    if d is None:
        d = np.geomspace(fit.d_min[index], fit.d_max[index], POINTS)
    pattern = _lattice(fit, parameters, index, d)
    peaks = peak_shapes(pattern, fit.layout, fit.values, index).peaks
    tof, fwhm = peaks[:, :, 0].mean(axis=1), np.zeros(len(d))
    if convention == "maximum":
        tof, fwhm = crests(peaks, np.ones(peaks.shape[:2])).T[:2]
    places = fit.layout.of_group(index)
    slopes = np.empty((len(places), len(d)))
    for row, place in enumerate(places):
        ends = [_moved(fit, pattern, index, place, step, tof, fwhm, convention) for step in (_STEP, -_STEP)]
        slopes[row] = (ends[0] - ends[1]) / (2.0 * _STEP)
    form = FORM * tof
    return Curve(d, tof, slopes.T @ fit.covariance[np.ix_(places, places)] @ slopes + np.outer(form, form))


def curve_error(fit: PatternFit, parameters: GroupParameters, index: int, convention: Convention) -> float:
    """Relative standard error of the peaks' places of group number `index`, rms over its d range."""
    curve = group_curve(fit, parameters, index, convention)
    return float(np.sqrt(np.mean(np.diag(curve.covariance) / curve.tof**2)))


def _lattice(fit: PatternFit, parameters: GroupParameters, index: int, d: FloatArray) -> GroupPattern:
    """A pattern of the group with reflections at d, and no data."""
    row = int(np.searchsorted(parameters.group, fit.group[index]))
    numbers = np.arange(len(d))
    return GroupPattern(
        group=int(fit.group[index]),
        edges=np.array([0.0, 1e-6]),
        y=np.zeros(1),
        unit=np.ones(1),
        used=np.ones(1, bool),
        difc=float(fit.difc_focused[index]),
        sine=float(np.sin(parameters.two_theta[row] / 2.0)),
        focus=fit.focus[int(fit.group[index])],
        x=fit.focus[int(fit.group[index])].nodes(d),
        d=d,
        strength=np.ones(len(d)),
        phase=np.zeros(len(d), np.int64),
        column=numbers,
        columns=len(d),
        background=np.zeros((1, 0)),
    )


def _moved(
    fit: PatternFit,
    pattern: GroupPattern,
    index: int,
    place: int,
    step: float,
    tof: FloatArray,
    fwhm: FloatArray,
    convention: Convention,
) -> FloatArray:
    """The curve with one parameter changed."""
    values = fit.values.copy()
    values[place] += step
    peaks = peak_shapes(pattern, fit.layout, values, index).peaks
    if convention == "T0":
        return peaks[:, :, 0].mean(axis=1)
    return vertices(peaks, tof, 0.1 * fwhm)


def curve_terms(curve: Curve, models: Sequence[str] = tuple(TERMS)) -> CurveTerms:
    """The terms that represent a curve: of the first of `models`, the simplest first, that leaves little enough, else
    of the last."""
    for model in models:
        terms = _represent(curve, TERMS[model])
        if terms.left < REPRESENTED:
            break
    return replace(terms, model=model)


def _represent(curve: Curve, names: Sequence[str]) -> CurveTerms:
    design = np.stack([_SHAPES[name](curve.d) for name in names], axis=1) / curve.tof[:, None]
    norm = np.linalg.norm(design, axis=0)
    inverse = np.linalg.pinv(design / norm) / norm[:, None]
    solution = inverse.sum(axis=1)
    left = float(np.sqrt(np.mean((design @ solution - 1.0) ** 2)))
    by_tof = inverse / curve.tof
    spread = np.sqrt(np.diag(by_tof @ curve.covariance @ by_tof.T))
    value, error = np.zeros(3), np.full(3, np.nan)
    for name, term, deviation in zip(names, solution, spread, strict=True):
        value[_PLACE[name]] = term
        error[_PLACE[name]] = np.hypot(deviation, left * value[0]) if name == "difc" else deviation
    return CurveTerms("", value, error, left)


def convention_table(fit: PatternFit, parameters: GroupParameters, d: FloatArray) -> FloatArray:
    """float64[groups, len(d)]: how much later than T0 a peak is highest, relative to its TOF; NaN where a group does
    not see d."""
    table = np.full((len(fit), len(d)), np.nan)
    for index in range(len(fit)):
        seen = (d >= fit.d_min[index]) & (d <= fit.d_max[index])
        if seen.any():
            pattern = _lattice(fit, parameters, index, d[seen])
            peaks = peak_shapes(pattern, fit.layout, fit.values, index).peaks
            base = peaks[:, :, 0].mean(axis=1)
            table[index, seen] = crests(peaks, np.ones(peaks.shape[:2]))[:, 0] / base - 1.0
    return table
