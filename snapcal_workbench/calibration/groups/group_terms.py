"""DIFC, DIFA and TZERO of groups from where their peaks were seen, and which of the terms the data ask for.

In a group's spectrum, focused with an arbitrary DIFC, a peak expected at d is seen at d_obs = a d + c d^2 + beta, where
a = DIFC / DIFC_arb, c = DIFA / DIFC_arb, beta = TZERO / DIFC_arb: the models are linear. *Shared* terms are one TZERO
(us) and one DIFA (us/A^2) for all groups; DIFC is always each group's own.

Variance of a peak's place: its fitted error squared, and (kappa sigma)^2 for what the peak shape gets wrong, which
grows with the width. kappa is one number for all groups, such that the richest model has chi-squared 1 a degree of
freedom; 0 where the fitted errors explain the scatter. The terms are those of least squares with these variances.

Mantid's PDCalibration instead minimises the sum of height^2 |TOF - fitted TOF|: with DIFC alone that is a weighted
median, which mostly is the place of the strongest peak. `fit_terms` does it when it is given heights.

Criterion: Akaike's, corrected for few data, over all groups together: AICc = chi-squared + 2 k
+ 2 k (k + 1) / (n - k - 1) for n peaks and k terms (Hurvich and Tsai, Biometrika 76, 297, 1989). The lowest is best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from snapcal_workbench.calibration.types import FloatArray

TERMS: dict[str, tuple[str, ...]] = {
    "DIFC": ("difc",),
    "DIFC+TZERO": ("difc", "tzero"),
    "DIFC+DIFA": ("difc", "difa"),
    "DIFC+DIFA+TZERO": ("difc", "difa", "tzero"),
}
"""Terms of each model, the simplest first."""
RICHEST = "DIFC+DIFA+TZERO"
MAX_KAPPA = 1.0
"""Largest error of a peak's place that the shape may cause, in its sigmas."""
_MEDIAN_OF_NORMAL = 0.6745
"""Median of |x| for a standard normal x."""


@dataclass(frozen=True, eq=False)
class SeenPeaks:
    """Used peaks of all groups.

    Attributes:
        group: intp[n], index of the group from 0; groups: their number.
        d, seen: float64[n], expected and fitted d, A.
        error, sigma: float64[n], standard error of `seen` and width of the peak, A.
        height: float64[n], counts.
        difc: float64[groups], arbitrary DIFC of the focused spectra, us/A.
    """

    group: NDArray[np.intp]
    groups: int
    d: FloatArray
    seen: FloatArray
    error: FloatArray
    sigma: FloatArray
    height: FloatArray
    difc: FloatArray

    def __len__(self) -> int:
        return len(self.d)

    def select(self, which: NDArray) -> SeenPeaks:
        """Some of the peaks."""
        arrays = (self.d, self.seen, self.error, self.sigma, self.height)
        d, seen, error, sigma, height = (array[which] for array in arrays)
        return SeenPeaks(self.group[which], self.groups, d, seen, error, sigma, height, self.difc)

    def counts(self) -> NDArray[np.intp]:
        """intp[groups]: peaks of each group."""
        return np.bincount(self.group, minlength=self.groups)

    def variance(self, kappa: float) -> FloatArray:
        """float64[n], A^2."""
        return self.error**2 + (kappa * self.sigma) ** 2


@dataclass(frozen=True, eq=False)
class TermsFit:
    """Fitted terms of all groups.

    Attributes:
        models: Model of each group; "" without peaks.
        value, error: float64[groups, 3], DIFC, DIFA, TZERO in us and A; value 0 and error NaN where not fitted.
        residual: float64[n], seen - fitted, A.
        terms: Number of fitted terms.
        leverage: float64[n], diagonal of the hat matrix.
    """

    models: tuple[str, ...]
    value: FloatArray
    error: FloatArray
    residual: FloatArray
    terms: int
    leverage: FloatArray


def models_for(peaks: SeenPeaks, model: str, *, shared: bool, spare: int = 1) -> tuple[str, ...]:
    """The model of each group: `model`, or a part of it with at least `spare` fewer terms than peaks; "" without peaks.

    Shared terms need no peaks of the group itself.
    """
    return tuple(
        "" if count == 0 else model if shared else simpler(model, int(count), spare) for count in peaks.counts()
    )


def simpler(model: str, peaks: int, spare: int) -> str:
    """`model`, or the richest part of it that so many peaks support; DIFC needs one peak."""
    allowed = {"DIFC": ("DIFC",), "DIFC+TZERO": ("DIFC+TZERO", "DIFC"), "DIFC+DIFA": ("DIFC+DIFA", "DIFC")}
    for candidate in allowed.get(model, (RICHEST, "DIFC+TZERO", "DIFC")):
        if len(TERMS[candidate]) <= peaks - spare:
            return candidate
    return "DIFC"


def fit_terms(
    peaks: SeenPeaks, models: Sequence[str], *, shared: bool, variance: FloatArray, by_height: bool = False
) -> TermsFit:
    """The terms of all groups.

    Args:
        peaks: Used peaks.
        models: Model of each group.
        shared: Whether TZERO and DIFA are one for all groups.
        variance: float64[n], A^2: weights, and what the errors of the terms follow from.
        by_height: Mantid's way: least sum of height^2 |deviation in TOF|. The errors are those of least squares.
    """
    columns, design = _design(peaks, models, shared=shared)
    root = 1.0 / np.sqrt(variance)
    norm = np.linalg.norm(design * root[:, None], axis=0)
    norm[norm == 0] = 1.0
    inverse = np.linalg.pinv(design * root[:, None] / norm)
    solution = inverse @ (peaks.seen * root) / norm
    if by_height:
        unit = float(np.median(np.sqrt(variance)))
        left = (peaks.seen - design @ solution) / unit
        weight = peaks.height**2 * peaks.difc[peaks.group]
        solution = solution + unit * _least_absolute(design / norm, left, weight) / norm
    value, error = _values(peaks, models, columns, solution, np.sqrt(np.sum(inverse**2, axis=1)) / norm)
    leverage = np.einsum("ij,ji->i", design * root[:, None] / norm, inverse)
    return TermsFit(tuple(models), value, error, peaks.seen - design @ solution, len(columns), leverage)


def _values(
    peaks: SeenPeaks,
    models: Sequence[str],
    columns: Sequence[tuple[int, str]],
    solution: FloatArray,
    deviation: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """float64[groups, 3] each: terms of the groups in us and A, and their errors."""
    value, error = np.zeros((peaks.groups, 3)), np.full((peaks.groups, 3), np.nan)
    for column, (group, term) in enumerate(columns):
        members = [group] if group >= 0 else [g for g in range(peaks.groups) if models[g]]
        for g in members:
            scale = peaks.difc[g] if group >= 0 else 1.0
            value[g, _PLACE[term]] = solution[column] * scale
            error[g, _PLACE[term]] = deviation[column] * scale
    return value, error


def _least_absolute(design: FloatArray, seen: FloatArray, weight: FloatArray) -> FloatArray:
    """The x that minimises sum weight |seen - design x|, as a linear programme."""
    n, k = design.shape
    share = weight / np.sum(weight)
    cost = np.concatenate([np.zeros(k), share, share])
    equal = np.hstack([design, np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * k + [(0.0, None)] * (2 * n)
    return linprog(cost, A_eq=equal, b_eq=seen, bounds=bounds, method="highs").x[:k]


_PLACE = {"difc": 0, "difa": 1, "tzero": 2}
_SHAPE: dict[str, Callable[[FloatArray], FloatArray]] = {
    "difc": lambda d: d,
    "difa": lambda d: d * d,
    "tzero": lambda d: np.ones_like(d),
}


def _design(peaks: SeenPeaks, models: Sequence[str], *, shared: bool) -> tuple[list[tuple[int, str]], FloatArray]:
    """Columns as (group, or -1 for all groups; term), and the matrix [n, columns]."""
    columns, values = [], []
    for group, model in enumerate(models):
        own = TERMS[model] if model and not shared else TERMS["DIFC"] if model else ()
        for term in own:
            columns.append((group, term))
            values.append(np.where(peaks.group == group, _SHAPE[term](peaks.d), 0.0))
    for term in _shared_terms(models) if shared else ():
        columns.append((-1, term))
        values.append(_SHAPE[term](peaks.d) / peaks.difc[peaks.group])
    return columns, np.stack(values, axis=1) if values else np.zeros((len(peaks), 0))


def _shared_terms(models: Sequence[str]) -> tuple[str, ...]:
    richest = max(models, key=lambda model: len(TERMS.get(model, ())), default="")
    return TERMS.get(richest, ())[1:]


def shape_error(peaks: SeenPeaks) -> float:
    """kappa: what is to be added to the fitted errors, in sigmas of the peaks; 0 if nothing or too few peaks."""
    models = models_for(peaks, RICHEST, shared=False)

    def excess(kappa: float) -> float:
        variance = peaks.variance(kappa)
        fit = fit_terms(peaks, models, shared=False, variance=variance)
        return float(np.sum(fit.residual**2 / variance)) - (len(peaks) - fit.terms)

    return _root(excess)


def _robust_shape_error(peaks: SeenPeaks, models: Sequence[str]) -> float:
    """kappa from the median of the studentised residuals, which a few outliers do not move."""

    def excess(kappa: float) -> float:
        variance = peaks.variance(kappa)
        fit = fit_terms(peaks, models, shared=False, variance=variance)
        free = fit.leverage < 1.0 - 1e-9
        student = np.abs(fit.residual[free]) / np.sqrt(variance[free] * (1.0 - fit.leverage[free]))
        return float(np.median(student)) - _MEDIAN_OF_NORMAL if free.any() else 0.0

    return _root(excess)


def _root(excess: Callable[[float], float]) -> float:
    """Where a falling function crosses 0, to a thousandth, between 0 and MAX_KAPPA; the nearer end if it does not."""
    if excess(0.0) <= 0:
        return 0.0
    low, high = 1e-5, MAX_KAPPA
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def find_outliers(peaks: SeenPeaks, *, limit: float, min_peaks: int) -> dict[int, str]:
    """Peaks that the others of their group contradict by more than `limit` standard errors: index -> reason.

    Each peak is compared with the fit of the richest model to the others; the worst is taken out, then all are
    compared again. A group keeps more than half of its peaks, and at least `min_peaks`.
    """
    kept, reasons = np.arange(len(peaks)), dict[int, str]()
    least = np.maximum(min_peaks, peaks.counts() // 2 + 1)
    while len(kept) > 2:
        part = peaks.select(kept)
        models = models_for(part, RICHEST, shared=False, spare=2)
        variance = part.variance(_robust_shape_error(part, models))
        fit = fit_terms(part, models, shared=False, variance=variance)
        open_ = (part.counts() > least)[part.group] & (fit.leverage < 1.0 - 1e-9)
        room = np.where(open_, 1.0 - fit.leverage, 1.0)
        student = np.where(open_, np.abs(fit.residual) / np.sqrt(variance * room), 0.0)
        worst = int(np.argmax(student))
        if student[worst] <= limit:
            break
        ppm = 1e6 * fit.residual[worst] / room[worst] / part.d[worst]
        reasons[int(kept[worst])] = (
            f"outlier: {ppm:+.0f} ppm from the other peaks, {student[worst]:.1f} standard errors"
        )
        kept = np.delete(kept, worst)
    return reasons


@dataclass(frozen=True)
class Comparison:
    """AICc of each (model, shared), and kappa; models that need more peaks than there are have infinite AICc."""

    aicc: dict[tuple[str, bool], float]
    kappa: float

    def recommended(self, *, shared: bool) -> str:
        """The model with the lowest AICc; the simplest if the data support none."""
        return min(TERMS, key=lambda model: self.aicc[model, shared and model != "DIFC"])

    def text(self, *, shared: bool) -> str:
        """Values and recommendation in words."""
        own = ", ".join(f"{model} {_number(self.aicc[model, False])}" for model in TERMS)
        common = ", ".join(f"{model} {_number(value)}" for (model, is_shared), value in self.aicc.items() if is_shared)
        best, best_shared = min(self.aicc, key=lambda key: self.aicc[key])
        lines = [
            f"AICc, lower is better, terms of each group: {own}.",
            f"TZERO and DIFA shared by all groups: {common}.",
            f"Errors include {100 * self.kappa:.2g} % of the peak width for the peak shape.",
            f"Recommended: {self.recommended(shared=shared)}{' (shared)' if shared else ''}.",
        ]
        if best_shared != shared and best != "DIFC":
            lines.append(f"Lowest of all: {best}{', shared by all groups' if best_shared else ', for each group'}.")
        return " ".join(lines)


def _number(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "(too few peaks)"


def compare(peaks: SeenPeaks) -> Comparison:
    """The criterion for all models, per group and shared."""
    kappa = shape_error(peaks)
    variance = peaks.variance(kappa)
    values = {}
    for model in TERMS:
        for shared in (False, True) if model != "DIFC" else (False,):
            models = models_for(peaks, model, shared=shared)
            fit = fit_terms(peaks, models, shared=shared, variance=variance)
            values[model, shared] = _aicc(float(np.sum(fit.residual**2 / variance)), len(peaks), fit.terms)
    return Comparison(values, kappa)


def _aicc(chi2: float, n: int, k: int) -> float:
    return chi2 + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0) if n - k > 1 else np.inf
