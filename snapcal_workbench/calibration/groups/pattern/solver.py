"""The nonlinear part of the joint fit: a trust region over the parameters of all groups, priors included.

A prior is a Gaussian: mean and inverse covariance over all parameters of the layout; 0 where nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from snapcal_workbench.calibration.chunks import default_threads
from snapcal_workbench.calibration.groups.pattern.linear import (
    LinearFit,
    Projected,
    design,
    efficiencies,
    fit_linear,
    project,
    slopes_of,
)
from snapcal_workbench.calibration.groups.pattern.model import GroupPattern, Shapes, peak_shapes
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.calibration.types.pattern import Layout
from snapcal_workbench.progress import Progress

MAX_ITERATIONS = 100
"""A fit of 3e6 neutrons takes 5 to 25, one of 1e9 with a profile that is not quite the truth's up to 60."""
TOLERANCE = 0.05
"""The fit ends when the cost, half a chi-squared, has less than this to fall to the minimum that the curvature
foresees: 0.3 standard errors in the direction that is known worst. The cost itself is known to 0.04, as weights follow
the model: at half of it every other fit goes on in vain."""
FOLLOWED = 0.25
"""Where a step gains less than this part of what was expected, the valley of the cost has bent away from it."""
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
"""Change of a parameter of each kind that is natural in one step: further out the model is not linear. In these units
the trust region is a sphere."""
_LEAST_CURVATURE = 1e-13
RADIUS = 1.0
"""Of the trust region, at first and at most; the fits of five kinds of runs take 12 % more steps at half of it, and
21 % at twice."""


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


def evaluate(
    problem: Problem, values: FloatArray, previous: State | None = None, *, alike: State | None = None
) -> State:
    """Best areas and background at some values of the parameters.

    Args:
        problem: What is fitted.
        values: Of the parameters.
        previous: A state near it, whose model is the first guess of the weights.
        alike: A state of the same patterns and layout at these very values, of which the peaks' shapes are taken.
    """

    def one(i: int) -> tuple[Shapes, LinearFit]:
        pattern = problem.patterns[i]
        shapes = alike.shapes[i] if alike else peak_shapes(pattern, problem.layout, values, i)
        fit = fit_linear(
            pattern,
            alike.linear[i].columns if alike else design(pattern, shapes),
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
    problem: Problem,
    start: FloatArray,
    *,
    alike: State | None = None,
    iterations: int = MAX_ITERATIONS,
    progress: Progress | None = None,
) -> Solution:
    """Fit from a start, by Gauss-Newton steps in a trust region (Conn, Gould and Toint, Trust-Region Methods, 2000).

    The region is a sphere in units of `LIMITS`, so that a parameter of which the data say nothing, whose Newton step is
    long, does not shorten the steps of the others. Rise, decay, width and t0 can change together nearly unseen, in a
    narrow valley that bends: where a step leaves it, a second one leads back before the first is given up (the watchdog
    of Chamberlain, Powell, Lemarechal and Pedersen, Math. Program. Stud. 16, 1, 1982).

    `alike` is a state of the same patterns and layout at the start, where one is known.

    Raises:
        Cancelled: If the user has cancelled.
    """
    place = _Place.at(problem, evaluate(problem, start, alike=alike))
    unit = _units(problem.layout)
    radius, converged, number = RADIUS, False, 0
    while number < iterations and not converged:
        number += 1
        if progress is not None:
            progress.check()
        step = _step(problem, place, unit, radius)
        trial = evaluate(problem, place.state.values + step.change, place.state)
        gained = place.state.cost - trial.cost
        if not gained > FOLLOWED * step.expected and step.left >= TOLERANCE and np.isfinite(trial.cost):
            off = _Place.at(problem, trial)
            back = evaluate(problem, trial.values + _step(problem, off, unit, radius).change, trial)
            if place.state.cost - back.cost > max(gained, FOLLOWED * step.expected):
                trial, gained = back, place.state.cost - back.cost
        better = gained > -1e-9 * abs(place.state.cost) - 1e-6 and np.isfinite(trial.cost)
        converged = step.left < TOLERANCE or (step.expected < TOLERANCE and not better)
        if not gained > FOLLOWED * step.expected:
            radius = 0.25 * step.length
        elif gained > 0.75 * step.expected:
            radius = min(max(radius, 2.0 * step.length), RADIUS)
        if better:
            place = _Place.at(problem, trial)
    return Solution(place.state, place.information, place.gradient, number, converged)


@dataclass(frozen=True, eq=False)
class _Place:
    """A state with its curvature."""

    state: State
    information: FloatArray
    gradient: FloatArray

    @classmethod
    def at(cls, problem: Problem, state: State) -> _Place:
        return cls(state, *curvature(problem, state))


@dataclass(frozen=True, eq=False)
class _Step:
    """A step and what it is expected to do.

    Attributes:
        change: float64[k], of all parameters; length: in units of `LIMITS`.
        expected: By how much the cost should fall; left: by how much it would to the foreseen minimum.
    """

    change: FloatArray
    length: float
    expected: float
    left: float


def _units(layout: Layout) -> FloatArray:
    """float64[k]: the limit of each parameter."""
    unit = np.ones(layout.size)
    for name, limit in LIMITS.items():
        unit[layout.places(name)] = limit
    return unit


def _step(problem: Problem, place: _Place, unit: FloatArray, radius: float) -> _Step:
    """The step to the lowest cost that the curvature foresees within a radius."""
    free = problem.free
    unit = unit[free]
    values, vectors = np.linalg.eigh(place.information[np.ix_(free, free)] * np.outer(unit, unit))
    values = np.maximum(values, _LEAST_CURVATURE * max(values.max(), 1e-300))
    downhill = vectors.T @ (place.gradient[free] * unit)
    along = downhill / (values + _damping(values, downhill, radius))
    change = np.zeros(problem.layout.size)
    change[free] = unit * (vectors @ along)
    return _Step(
        change,
        float(np.linalg.norm(along)),
        float(np.sum(along * (downhill - 0.5 * values * along))),
        0.5 * float(np.sum(downhill**2 / values)),
    )


def _damping(values: FloatArray, downhill: FloatArray, radius: float) -> float:
    """What is to be added to the eigenvalues of the curvature for a step of at most a radius."""

    def too_long(damping: float) -> float:
        return float(np.linalg.norm(downhill / (values + damping))) - radius

    return 0.0 if too_long(0.0) <= 0 else float(brentq(too_long, 0.0, np.linalg.norm(downhill) / radius, rtol=1e-3))


def covariance(problem: Problem, solution: Solution) -> FloatArray:
    """float64[k, k]: of the parameters that are fitted, by the counts and the priors; 0 for the others."""
    free = problem.free
    result = np.zeros_like(solution.information)
    block = solution.information[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(block), 1e-300))
    inverse = np.linalg.pinv(block / np.outer(scale, scale), rcond=1e-13, hermitian=True) / np.outer(scale, scale)
    result[np.ix_(free, free)] = inverse * efficiencies(solution.state.linear, problem.loss)[0]
    return result
