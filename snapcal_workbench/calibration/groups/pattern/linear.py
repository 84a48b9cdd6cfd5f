"""The linear part of the joint fit, group by group: areas and background for given shapes, and what is left.

Variable projection (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413, 1973; Kaufman's form): the areas and the
background that fit best are found for each set of shapes, so that the nonlinear fit sees the shapes alone. None of
them is negative. Weights are those of the model, 1 / (unit model), so that at the end the fit is that of the Poisson
likelihood; `loss` is where the loss of a bin's deviance turns from square to absolute (soft-l1), in standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls

from snapcal_workbench.calibration.groups.pattern.model import GroupPattern, Shapes
from snapcal_workbench.calibration.peaks.pattern_kernels import (
    column_ranges,
    normal_matrix,
    peak_columns,
    peak_slopes,
    products,
)
from snapcal_workbench.calibration.types import FloatArray

LEAST_NEUTRONS = 0.05
"""A bin's model is taken to be at least so many neutrons where weights are made of it."""
_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Best areas and background of one group.

    Attributes:
        columns: float64[c, bins], peaks of unit area, then the background's splines; ranges: int64[c, 2], the bins in
            which each is not 0.
        coefficients: float64[c], not negative; free: bool[c], whether above 0.
        model: float64[bins]; weight: float64[bins], of (y - model)^2, robust part and exclusions included.
        cost: Half of the loss.
        deviance: float64[bins], of each bin, exclusions as 0.
    """

    columns: FloatArray
    ranges: NDArray[np.int64]
    coefficients: FloatArray
    free: NDArray[np.bool_]
    model: FloatArray
    weight: FloatArray
    cost: float
    deviance: FloatArray


def design(pattern: GroupPattern, shapes: Shapes) -> FloatArray:
    """float64[c, bins]: the linear model."""
    columns = np.zeros((pattern.columns + pattern.background.shape[1], len(pattern.y)))
    peaks = columns[: pattern.columns]
    peak_columns(pattern.edges, shapes.spans, shapes.values, shapes.share, pattern.column, peaks)
    columns[pattern.columns :] = pattern.background.T
    return columns


def deviances(pattern: GroupPattern, model: FloatArray) -> FloatArray:
    """float64[bins]: Poisson deviance of each bin; a bin that is not positive counts as least squares."""
    y = pattern.y
    safe = np.maximum(model, LEAST_NEUTRONS * pattern.unit * 1e-3)
    ratio = np.where(y > 0, y, 1.0) / safe
    poisson = 2.0 * (np.where(y > 0, y * np.log(ratio), 0.0) - (y - safe))
    return np.maximum(poisson, 0.0) / pattern.unit


def fit_linear(
    pattern: GroupPattern,
    columns: FloatArray,
    *,
    loss: float | None,
    model: FloatArray | None = None,
    included: NDArray[np.bool_] | None = None,
    rounds: int = 2,
) -> LinearFit:
    """Areas and background for given columns.

    Args:
        pattern: Data of the group.
        columns: See `design`.
        loss: Where the loss turns from square to absolute; None: nowhere.
        model: A guess of the model, for the weights.
        included: Bins that count; None: those that the pattern uses.
        rounds: How often the weights follow the model.
    """
    included = pattern.used if included is None else included
    if model is None:
        model, rounds = np.maximum(_smoothed(pattern.y), 0.0), rounds + 2
    ranges = column_ranges(columns)
    for _ in range(rounds):
        weight = _weights(pattern, model, loss, included)
        coefficients = _not_negative(columns, ranges, weight, pattern.y)
        model = coefficients @ columns
    deviance = deviances(pattern, model)
    deviance = np.where(included, deviance, 0.0)
    return LinearFit(
        columns,
        ranges,
        coefficients,
        coefficients > 0,
        model,
        _weights(pattern, model, loss, included),
        0.5 * float(np.sum(_loss(deviance, loss))),
        deviance,
    )


def _smoothed(y: FloatArray) -> FloatArray:
    kernel = np.ones(5) / 5.0
    return np.convolve(np.pad(y, 2, mode="edge"), kernel, mode="valid")


def _loss(deviance: FloatArray, loss: float | None) -> FloatArray:
    if loss is None:
        return deviance
    return 2.0 * loss**2 * (np.sqrt(1.0 + deviance / loss**2) - 1.0)


def efficiencies(fits: Sequence[LinearFit], loss: float | None) -> tuple[float, float]:
    """By how much the variance that the weights imply is too large, for the fit and for one linear step.

    With psi(z) = z / sqrt(1 + z^2 / loss^2) and weight w = psi / z, the weights imply the variance 1 / <w>. That of the
    fit is <psi^2> / <psi'>^2, that of a step with the weights held <psi^2> / <w>^2 (Huber, Robust Statistics, 1981).
    Averages are over the bins; what does not follow the model enters through them.
    """
    if loss is None:
        return 1.0, 1.0
    z2 = np.concatenate([f.deviance[f.weight > 0] for f in fits]) / loss**2
    weight = (1.0 + z2) ** -0.5
    square, slope = loss**2 * np.mean(z2 / (1.0 + z2)), np.mean(weight**3)
    return float(square * weight.mean() / slope**2), float(square / weight.mean())


def _weights(pattern: GroupPattern, model: FloatArray, loss: float | None, included: NDArray[np.bool_]) -> FloatArray:
    weight = 1.0 / (pattern.unit * np.maximum(model, LEAST_NEUTRONS * pattern.unit))
    if loss is not None:
        weight = weight / np.sqrt(1.0 + deviances(pattern, model) / loss**2)
    return np.where(included, weight, 0.0)


def _not_negative(columns: FloatArray, ranges: NDArray[np.int64], weight: FloatArray, y: FloatArray) -> FloatArray:
    """Weighted least squares with coefficients >= 0."""
    square = normal_matrix(columns, ranges, weight)
    right = products(columns, ranges, (weight * y)[None])[:, 0]
    norm = np.sqrt(np.diag(square))
    norm[norm == 0] = 1.0
    square = square / np.outer(norm, norm) + _RIDGE * np.eye(len(norm))
    factor = cholesky(square, lower=False, check_finite=False)
    projected = solve_triangular(factor, right / norm, trans="T", check_finite=False)
    solution = solve_triangular(factor, projected, check_finite=False)
    if solution.min() < 0:
        solution = nnls(factor, projected, maxiter=20 * len(norm))[0]
    return solution / norm


@dataclass(frozen=True, eq=False)
class Projected:
    """Gauss-Newton system of the nonlinear parameters of one group, areas and background projected out.

    hessian: float64[k, k]; gradient: float64[k], of the cost downhill.
    """

    hessian: FloatArray
    gradient: FloatArray


def slopes_of(pattern: GroupPattern, shapes: Shapes, fit: LinearFit) -> FloatArray:
    """float64[k, bins]: how the model changes with the group's nonlinear parameters, areas fixed."""
    area = fit.coefficients[pattern.column]
    kinds = shapes.chain.shape[2]
    slopes = np.zeros((kinds, len(pattern.y)))
    row_of = np.where(area[:, None] > 0, np.arange(kinds), -1)
    chain = shapes.chain * area[:, None, None, None]
    peak_slopes(pattern.edges, shapes.spans, shapes.values, shapes.share, row_of, chain, slopes)
    return slopes


def project(pattern: GroupPattern, fit: LinearFit, slopes: FloatArray) -> Projected:
    """The system of the nonlinear parameters, with the free linear ones eliminated."""
    free, ranges = fit.columns[fit.free], fit.ranges[fit.free]
    sloped = slopes * fit.weight
    square = normal_matrix(free, ranges, fit.weight)
    scale = np.sqrt(np.maximum(np.diag(square), 1e-300))
    residual = pattern.y - fit.model
    mixed = products(free, ranges, np.concatenate([sloped, (fit.weight * residual)[None]])) / scale[:, None]
    factor = cho_factor(square / np.outer(scale, scale) + _RIDGE * np.eye(len(scale)), check_finite=False)
    solved = cho_solve(factor, mixed[:, :-1], check_finite=False)
    gradient = sloped @ residual - solved.T @ mixed[:, -1]
    return Projected(sloped @ slopes.T - mixed[:, :-1].T @ solved, gradient)
