"""Fit of a Gaussian on a straight background to many correlations at once.

A *correlation* is a row of values at integer *lags* (bins); all rows are fitted in step by Levenberg and Marquardt's
method, as arrays. Next to the centres come their *response*: the derivative of a fitted centre with respect to each
value of its row, which turns the covariance of the row into the variance of the centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray

_MAX_STEPS = 60
_TOLERANCE = 1e-3
"""Bins: a row is done when its centre and width move less (what is left is far less, as steps shrink fast)."""
_GAIN = 1e-6
"""A row is also done when a step lowers its sum of squares by less than this part."""
_HEIGHT, _CENTRE, _WIDTH = 0, 1, 2


@dataclass(frozen=True, eq=False)
class CorrelationPeaks:
    """Fitted peaks of n correlations.

    Attributes:
        height: float64[n], above the background, in the unit of the correlation.
        centre: float64[n], bins, on the scale of the lags given.
        width: float64[n], standard deviation of the Gaussian, bins.
        response: float64[n, lags], change of the centre per change of each value.
        converged: bool[n], False where the fit came to no end or left the lags; other values are then meaningless.
    """

    height: FloatArray
    centre: FloatArray
    width: FloatArray
    response: FloatArray
    converged: NDArray[np.bool_]


def fit_peaks_of_correlations(
    values: FloatArray, lags: FloatArray, *, width: float, variance: FloatArray | None = None
) -> CorrelationPeaks:
    """Fit each row with height exp(-(lag - centre)^2 / (2 width^2)) + level + slope lag.

    Args:
        values: float64[n, lags]. A row that is constant or not finite does not converge.
        lags: float64[lags], bins, ascending, the same for all rows.
        width: Where the width starts, bins.
        variance: float64[n, lags], variances of the values up to a factor; None: all alike.
    """
    weight = np.ones_like(values) if variance is None else _relative_weight(variance)
    floor = np.min(values, axis=1, keepdims=True)
    scale = np.max(values, axis=1, keepdims=True) - floor
    usable = np.isfinite(scale[:, 0]) & (scale[:, 0] > 0)
    scale = np.where(usable[:, None], scale, 1.0)
    y = np.where(usable[:, None], (values - floor) / scale, 0.0)
    parameters, converged = _iterate(y, lags, weight, _start(y, lags, width), usable)
    inside = (parameters[:, _CENTRE] > lags[0]) & (parameters[:, _CENTRE] < lags[-1])
    converged &= inside & (parameters[:, _HEIGHT] > 0)
    return CorrelationPeaks(
        height=parameters[:, _HEIGHT] * scale[:, 0],
        centre=parameters[:, _CENTRE],
        width=parameters[:, _WIDTH],
        response=_response(lags, weight, parameters) / scale,
        converged=converged,
    )


def _relative_weight(variance: FloatArray) -> FloatArray:
    """Inverse variances, 1 at the largest of each row; a variance that is not positive gets no weight."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(variance > 0, 1.0 / variance, 0.0)
        return np.nan_to_num(weight / np.max(weight, axis=1, keepdims=True))


def _start(y: FloatArray, lags: FloatArray, width: float) -> FloatArray:
    """float64[n, 5]: height, centre, width, level and slope, from the highest value of each row."""
    parameters = np.zeros((len(y), 5))
    parameters[:, _HEIGHT] = 1.0
    parameters[:, _CENTRE] = lags[np.argmax(y, axis=1)]
    parameters[:, _WIDTH] = width
    return parameters


def _values(lags: FloatArray, parameters: FloatArray) -> FloatArray:
    """Values of the curves, float64[n, lags]."""
    height, centre, width, level, slope = (p[:, None] for p in parameters.T)
    t = (lags - centre) / width
    return height * np.exp(-0.5 * t * t) + level + slope * lags


def _model(lags: FloatArray, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values float64[n, lags] and their derivatives float64[n, 5, lags]."""
    height, centre, width, level, slope = (p[:, None] for p in parameters.T)
    t = (lags - centre) / width
    shape = np.exp(-0.5 * t * t)
    derivatives = np.empty((len(parameters), 5, len(lags)))
    derivatives[:, _HEIGHT] = shape
    derivatives[:, _CENTRE] = height / width * shape * t
    derivatives[:, _WIDTH] = derivatives[:, _CENTRE] * t
    derivatives[:, 3] = 1.0
    derivatives[:, 4] = lags
    return height * shape + level + slope * lags, derivatives


def _normal(derivatives: FloatArray, weight: FloatArray, damping: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Damped normal matrix float64[n, 5, 5] and weighted derivatives float64[n, 5, lags]."""
    weighted = derivatives * weight[:, None, :]
    matrix = weighted @ derivatives.transpose(0, 2, 1)
    diagonal = np.einsum("nii->ni", matrix)
    diagonal *= 1.0 + damping[:, None]
    diagonal += 1e-12 * np.max(diagonal, axis=1, keepdims=True) + 1e-30
    return matrix, weighted


def _iterate(
    y: FloatArray, lags: FloatArray, weight: FloatArray, parameters: FloatArray, usable: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Parameters at the least squares of each usable row, and which rows got there."""
    converged = np.zeros(len(y), bool)
    active = np.flatnonzero(usable)
    damping = np.full(len(y), 1e-3)
    for _ in range(_MAX_STEPS):
        if len(active) == 0:
            break
        w, p = weight[active], parameters[active]
        fitted, derivatives = _model(lags, p)
        matrix, weighted = _normal(derivatives, w, damping[active])
        residual = y[active] - fitted
        step = np.linalg.solve(matrix, weighted @ residual[:, :, None])[:, :, 0]
        step[:, _WIDTH] = np.clip(step[:, _WIDTH], -0.5 * p[:, _WIDTH], p[:, _WIDTH])
        cost = np.sum(w * residual**2, axis=1)
        new_cost = np.sum(w * (y[active] - _values(lags, p + step)) ** 2, axis=1)
        better = new_cost <= cost * (1 + 1e-12)
        parameters[active[better]] += step[better]
        damping[active] *= np.where(better, 0.2, 10.0)
        small = np.max(np.abs(step[:, [_CENTRE, _WIDTH]]), axis=1) < _TOLERANCE
        small |= better & (cost - new_cost < _GAIN * cost)
        converged[active[small]] = True
        active = active[~small & np.isfinite(new_cost) & (damping[active] < 1e12)]
    return parameters, converged


def _response(lags: FloatArray, weight: FloatArray, parameters: FloatArray) -> FloatArray:
    """float64[n, lags]: row of the pseudo-inverse that belongs to the centre, for values scaled to 1."""
    matrix, weighted = _normal(_model(lags, parameters)[1], weight, np.zeros(len(parameters)))
    unit = np.zeros((len(parameters), 5, 1))
    unit[:, _CENTRE] = 1.0
    return (np.linalg.solve(matrix, unit).transpose(0, 2, 1) @ weighted)[:, 0, :]
