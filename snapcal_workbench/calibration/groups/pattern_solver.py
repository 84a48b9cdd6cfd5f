"""The nonlinear part of the joint fit: Levenberg-Marquardt over the parameters of all groups, priors included.

A prior is a Gaussian: mean and inverse covariance over all parameters of the layout; 0 where nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import default_threads
from snapcal_workbench.calibration.groups.pattern_linear import (
    LinearFit,
    Projected,
    design,
    efficiencies,
    fit_linear,
    project,
    slopes_of,
)
from snapcal_workbench.calibration.groups.pattern_model import GroupPattern, Shapes, peak_shapes
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.calibration.types.pattern import Layout
from snapcal_workbench.progress import Progress

MAX_ITERATIONS = 40
TOLERANCE = 0.05
"""The fit ends when the cost, half a chi-squared, is expected to fall by less than this: by a step of at most 0.3
standard errors, in the direction that is known worst. The cost itself is known to 0.04, as weights follow the model: at
half of it every other fit goes on in vain."""
LIMITS = {
    "scale": 3e-3,
    "t0": 10.0,
    "tzero": 10.0,
    "difa": 3.0,
    "rise": 0.7,
    "decay": 0.7,
    "slow": 0.5,
    "part": 0.7,
    "width": 0.3,
    "box": 0.3,
    "phase": 3e-3,
}
"""Largest change of a parameter of each kind in one step: further out the model is not linear."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known before the fit: mean float64[k] and inverse covariance float64[k, k]."""

    mean: FloatArray
    information: FloatArray

    def cost(self, values: FloatArray) -> float:
        """Half of the prior's chi-squared."""
        off = values - self.mean
        return 0.5 * float(off @ self.information @ off)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted.

    Attributes:
        patterns: Data of the groups.
        layout: Parameters.
        prior: Of the parameters.
        loss: Where the loss turns from square to absolute; None: nowhere.
        included: Bins of each group that count; None: those that its pattern uses.
        fixed: bool[k], parameters that are not fitted.
    """

    patterns: Sequence[GroupPattern]
    layout: Layout
    prior: Prior
    loss: float | None = None
    included: Sequence[NDArray[np.bool_] | None] | None = None
    fixed: NDArray[np.bool_] | None = None

    @property
    def free(self) -> NDArray[np.intp]:
        """Places of the parameters that are fitted."""
        return np.arange(self.layout.size) if self.fixed is None else np.flatnonzero(~self.fixed)


@dataclass(frozen=True, eq=False)
class State:
    """The fit at some values of the parameters."""

    values: FloatArray
    shapes: Sequence[Shapes]
    linear: Sequence[LinearFit]
    cost: float

    @property
    def misfit(self) -> float:
        """The cost without that of the priors."""
        return sum(fit.cost for fit in self.linear)


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the fit ended: state, information float64[k, k] at it with the prior, iterations, whether it converged."""

    state: State
    information: FloatArray
    gradient: FloatArray
    iterations: int
    converged: bool


def evaluate(problem: Problem, values: FloatArray, previous: State | None = None) -> State:
    """Best areas and background at some values of the parameters."""

    def one(i: int) -> tuple[Shapes, LinearFit]:
        pattern = problem.patterns[i]
        shapes = peak_shapes(pattern, problem.layout, values, i)
        fit = fit_linear(
            pattern,
            design(pattern, shapes),
            loss=problem.loss,
            model=previous.linear[i].model if previous else None,
            included=problem.included[i] if problem.included else None,
        )
        return shapes, fit

    shapes, linear = zip(*_each(one, len(problem.patterns)), strict=True)
    return State(values, shapes, linear, sum(fit.cost for fit in linear) + problem.prior.cost(values))


def _each(work, count: int) -> list:
    """Results of `work` for 0 .. count - 1, on all cores."""
    with ThreadPoolExecutor(min(default_threads(), max(count, 1))) as pool:
        return list(pool.map(work, range(count)))


def curvature(problem: Problem, state: State) -> tuple[FloatArray, FloatArray]:
    """Information float64[k, k] and downhill gradient float64[k] of all parameters, the prior's included."""

    def one(i: int) -> Projected:
        pattern, fit = problem.patterns[i], state.linear[i]
        return project(pattern, fit, slopes_of(pattern, state.shapes[i], fit))

    information = problem.prior.information.copy()
    gradient = problem.prior.information @ (problem.prior.mean - state.values)
    for i, part in enumerate(_each(one, len(problem.patterns))):
        places = problem.layout.of_group(i)
        information[np.ix_(places, places)] += part.hessian
        gradient[places] += part.gradient
    return information, gradient


def solve(
    problem: Problem, start: FloatArray, *, iterations: int = MAX_ITERATIONS, progress: Progress | None = None
) -> Solution:
    """Fit from a start.

    Raises:
        Cancelled: If the user has cancelled.
    """
    free = problem.free
    state = evaluate(problem, start)
    information, gradient = curvature(problem, state)
    damping, converged, number = 1e-3, False, 0
    while number < iterations and not converged:
        number += 1
        if progress is not None:
            progress.check()
        block = information[np.ix_(free, free)]
        diagonal = np.maximum(np.diag(block), 1e-12 * max(np.diag(block).max(), 1e-300))
        step = np.zeros(len(start))
        step[free] = _newton(block, gradient[free], diagonal, damping)
        step = _limited(step, problem.layout)
        expected = float(gradient @ step - 0.5 * step @ information @ step)
        trial = evaluate(problem, state.values + step, state)
        gained = state.cost - trial.cost
        if gained > -1e-9 * abs(state.cost) - 1e-6 and np.isfinite(trial.cost):
            converged = expected < TOLERANCE
            damping = max(damping * (0.2 if gained > 0.25 * expected else 2.0), 1e-9)
            state = trial
            information, gradient = curvature(problem, state)
        else:
            damping = max(damping * 8.0, 1e-6)
            converged = expected < TOLERANCE or damping > 1e8
    return Solution(state, information, gradient, number, converged)


def _newton(information: FloatArray, gradient: FloatArray, diagonal: FloatArray, damping: float) -> FloatArray:
    scale = np.sqrt(diagonal)
    damped = information / np.outer(scale, scale) + damping * np.eye(len(scale))
    return np.linalg.lstsq(damped, gradient / scale, rcond=1e-14)[0] / scale


def _limited(step: FloatArray, layout: Layout) -> FloatArray:
    """The step, shortened where a parameter would change by more than is natural for its kind."""
    most = np.ones(len(step))
    for name, limit in LIMITS.items():
        block = layout.blocks.get(name)
        if block:
            most[block.place : block.place + block.size] = limit
    return step / max(1.0, float(np.max(np.abs(step) / most)))


def covariance(problem: Problem, solution: Solution) -> FloatArray:
    """float64[k, k]: of the parameters that are fitted, by the counts and the priors; 0 for the others."""
    free = problem.free
    result = np.zeros_like(solution.information)
    block = solution.information[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(block), 1e-300))
    inverse = np.linalg.pinv(block / np.outer(scale, scale), rcond=1e-13, hermitian=True) / np.outer(scale, scale)
    result[np.ix_(free, free)] = inverse * efficiencies(solution.state.linear, problem.loss)[0]
    return result
