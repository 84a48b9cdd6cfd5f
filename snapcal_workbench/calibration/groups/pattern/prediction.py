"""How well the joint fit foresees peaks that it has not seen.

Of each group every third peak is *held out*: the bins around it count for nothing, the parameters are fitted anew, and
the held-out peak is then compared with where that fit puts it. Its *deviation* is a shift of the peak, in relative
units of its TOF, found with area and background free. After three turns every peak has been held out once.

The deviation's own error is that of the counts. The error of the prediction follows from the covariance of the
parameters, profile included: a peak that is wrongly shaped is shifted, too. `excess` is the mean square of deviation
over both errors: 1 when the errors are true, and more where the model is wrong. Errors are multiplied by its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.groups.pattern.linear import LinearFit, efficiencies, slopes_of
from snapcal_workbench.calibration.groups.pattern.model import GroupPattern, Shapes
from snapcal_workbench.calibration.groups.pattern.solver import Problem, Solution, State, covariance, evaluate, solve
from snapcal_workbench.calibration.peaks.pattern_kernels import PARAMETERS, peak_slopes
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.progress import Progress

TURNS = 3
"""Every so many-th peak is held out at a time."""
ITERATIONS = 2
"""Of each turn's fit: it starts from the fit to everything, from which a third of the peaks moves it little."""
SIGNIFICANT = 8.0
"""A held-out peak is compared when its area is this many of its errors: a weaker one says nothing of its place."""
FLOOR = 30e-6
"""Deviations below this are not worth weighing by their errors (relative)."""


@dataclass(frozen=True, eq=False)
class Deviations:
    """Held-out peaks and where they were found.

    Attributes:
        group: intp[n], number of the group; column: intp[n], number of the area.
        d: float64[n], A.
        deviation: float64[n], relative to where the fit to the other peaks puts it.
        error, foreseen: float64[n], standard errors of the peak's place and of the prediction.
    """

    group: NDArray[np.intp]
    column: NDArray[np.intp]
    d: FloatArray
    deviation: FloatArray
    error: FloatArray
    foreseen: FloatArray

    def __len__(self) -> int:
        return len(self.d)

    @property
    def rms(self) -> float:
        """Root mean square deviation, each peak weighed by its error and `FLOOR`; relative."""
        weight = 1.0 / (self.error**2 + FLOOR**2)
        return float(np.sqrt(np.sum(weight * self.deviation**2) / np.sum(weight))) if len(self) else np.nan

    def missed(self, index: int) -> float:
        """As `rms`, of the peaks of group number `index`, their own errors and those of the prediction taken off."""
        own = self.group == index
        noise = self.error[own] ** 2
        weight = 1.0 / (noise + FLOOR**2)
        beyond = self.deviation[own] ** 2 - noise - self.foreseen[own] ** 2
        return float(np.sqrt(max(np.sum(weight * beyond) / np.sum(weight), 0.0))) if own.any() else np.nan

    @property
    def excess(self) -> float:
        """Mean square deviation in units of its error."""
        return float(np.mean(self.deviation**2 / (self.error**2 + self.foreseen**2))) if len(self) else 1.0

    @property
    def score(self) -> FloatArray:
        """float64[n]: what each peak adds to the badness of a prediction."""
        return self.deviation**2 / (self.error**2 + FLOOR**2)


def foresee(problem: Problem, solution: Solution, *, progress: Progress | None = None) -> Deviations:
    """Hold out the calibrant's peaks in turns, and compare.

    Raises:
        Cancelled: If the user has cancelled.
    """
    parts = []
    for turn in range(TURNS):
        held = [_held(p, turn) for p in problem.patterns]
        shapes = solution.state.shapes
        included = [_included(p, s, h) for p, s, h in zip(problem.patterns, shapes, held, strict=True)]
        trained = solve(
            replace(problem, included=included),
            solution.state.values,
            alike=solution.state,
            iterations=ITERATIONS,
            progress=progress,
        )
        parts.append(_compare(problem, trained, held))
    return _joined(parts)


def deviate(problem: Problem, solution: Solution) -> Deviations:
    """Deviations of the calibrant's peaks from the fit to all of them: smaller than those of held-out peaks."""
    everything = [np.isin(np.arange(p.columns), p.column[p.phase == 0]) for p in problem.patterns]
    return _joined([_compare(problem, solution, everything)])


def _joined(parts: Sequence[tuple[NDArray, ...]]) -> Deviations:
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    order = np.lexsort((joined[1], joined[0]))
    group, column, d, deviation, error, foreseen = (array[order] for array in joined)
    return Deviations(group.astype(np.intp), column.astype(np.intp), d, deviation, error, foreseen)


def _held(pattern: GroupPattern, turn: int) -> NDArray[np.bool_]:
    """bool[c]: the areas of the calibrant that are held out."""
    of_calibrant = np.zeros(pattern.columns, bool)
    of_calibrant[pattern.column[pattern.phase == 0]] = True
    return of_calibrant & ((pattern.columns - np.arange(pattern.columns)) % TURNS == turn)


def _included(pattern: GroupPattern, shapes: Shapes, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[bins]: the bins that no held-out peak matters to."""
    included = pattern.used.copy()
    centres = pattern.centres
    for peak in shapes.peaks[held[pattern.column]].reshape(-1, PARAMETERS):
        low = peak[0] - 3.5 * peak[5] - peak[6] - 2.0 / peak[1]
        high = peak[0] + 3.5 * peak[5] + peak[6] + 3.0 / peak[2]
        included &= (centres < low) | (centres > high)
    return included


def _compare(problem: Problem, trained: Solution, held: Sequence[NDArray[np.bool_]]) -> tuple[NDArray, ...]:
    state = evaluate(problem, trained.state.values, trained.state, alike=trained.state)
    cov = covariance(problem, trained)
    rows = [_compare_group(problem, state, cov, i, held[i]) for i in range(len(problem.patterns))]
    return tuple(np.concatenate(arrays) for arrays in zip(*rows, strict=True))


def _compare_group(
    problem: Problem, state: State, cov: FloatArray, index: int, chosen: NDArray[np.bool_]
) -> tuple[NDArray, ...]:
    """Group, area, d, deviation, error and error of the prediction of the held-out peaks of a group."""
    pattern, shapes, fit = problem.patterns[index], state.shapes[index], state.linear[index]
    held = np.flatnonzero(chosen & fit.free[: pattern.columns])
    shifts = _shift_columns(pattern, shapes, fit, held)
    linear = fit.columns[fit.free]
    design = np.concatenate([linear, shifts])
    weighted = design * fit.weight
    norm = np.sqrt(np.maximum(np.einsum("ij,ij->i", weighted, design), 1e-300))
    square = weighted @ design.T / np.outer(norm, norm)
    inverse = np.linalg.pinv(square, rcond=1e-12, hermitian=True) / np.outer(norm, norm)
    estimator = inverse[len(linear) :] @ weighted
    shift = estimator @ (pattern.y - fit.model)
    scale = max(1.0, float(fit.deviance.sum()) / max(len(pattern.y) - len(design), 1))
    scale *= efficiencies([fit], problem.loss)[1]
    error = np.sqrt(np.diag(inverse)[len(linear) :] * scale)
    places = problem.layout.of_group(index)
    response = estimator @ slopes_of(pattern, shapes, fit).T
    variance = np.einsum("ij,jk,ik->i", response, cov[np.ix_(places, places)], response)
    foreseen = np.sqrt(np.maximum(variance, 0.0))  # rounding, where what is fitted is hardly determined
    area_error = np.sqrt(np.diag(inverse)[np.searchsorted(np.flatnonzero(fit.free), held)] * scale)
    clear = fit.coefficients[held] > SIGNIFICANT * area_error
    place = np.array([shapes.peaks[pattern.column == c, :, 0].mean() for c in held])
    d = np.array([pattern.d[pattern.column == c].mean() for c in held])
    arrays = (np.full(len(held), index), held, d, shift / place, error / place, foreseen / place)
    return tuple(np.asarray(array)[clear] for array in arrays)


def _shift_columns(pattern: GroupPattern, shapes: Shapes, fit: LinearFit, held: NDArray[np.intp]) -> FloatArray:
    """float64[held, bins]: how the model changes with the place of each held-out peak, per us."""
    row = np.full(pattern.columns, -1)
    row[held] = np.arange(len(held))
    chain = np.zeros((*shapes.share.shape, 1, PARAMETERS))
    chain[:, :, 0, 0] = fit.coefficients[pattern.column][:, None]
    shifts = np.zeros((len(held), len(pattern.y)))
    rows = row[pattern.column][:, None]
    peak_slopes(pattern.edges, shapes.spans, shapes.values, shapes.share, rows, chain, shifts)
    return shifts
