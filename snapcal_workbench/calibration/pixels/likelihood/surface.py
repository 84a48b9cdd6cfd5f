"""A polynomial in a pixel's place, fitted to one cell of the detector, and the weighted median.

A native cell has 65,536 pixels and is fitted some hundred times in a calibration. So no matrix of basis functions is
made: what the fit needs are sums of w x^a y^b and of w v x^a y^b over the pixels, w the weight and v the value. The
variance of the fitted value is a polynomial too, of twice the degree.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from snapcal_workbench.calibration.types import FloatArray

MAX_DEGREE = 4
"""Of the polynomial over a module: tilts, bows and their mixtures. With 2 and 8 bent modules come out the same, but
8 takes longer."""


def fitted_surface(
    x: FloatArray, y: FloatArray, value: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The polynomial of the degree with the best Bayesian information criterion, at every pixel, and its variance.

    Args:
        x, y: float64[n], places in -1..1.
        value: float64[n].
        weight: float64[n], inverse variances; 0 for a value that does not count. At least one does.

    Returns:
        float64[n] twice.
    """
    n = int(np.count_nonzero(weight))
    flat = np.ptp(x) == 0 and np.ptp(y) == 0
    degrees = [d for d in range(MAX_DEGREE + 1) if d == 0 or (not flat and n > 4 * (d + 1) * (d + 2) // 2)]
    powers = np.array([(d - k, k) for d in degrees for k in range(d + 1)])
    sums, right = _sums(x, y, value, weight, degrees[-1])
    gram, right = sums[tuple((powers[:, None] + powers[None, :]).T)], right[tuple(powers.T)]
    best, least = (np.zeros(0), np.zeros((0, 0))), np.inf
    for degree in degrees:
        terms = (degree + 1) * (degree + 2) // 2
        part = gram[:terms, :terms]
        inverse = np.linalg.inv(part + 1e-9 * np.trace(part) / terms * np.eye(terms))
        coefficients = inverse @ right[:terms]
        cost = -float(coefficients @ right[:terms]) + terms * float(np.log(max(n, 8)))
        if cost < least:
            best, least = (coefficients, inverse), cost
    return _evaluated(x, y, powers, *best)


def _evaluated(
    x: FloatArray, y: FloatArray, powers: FloatArray, coefficients: FloatArray, inverse: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The polynomial and its variance at every pixel."""
    powers = powers[: len(coefficients)]
    degree = int(powers.max())
    one, two = np.zeros((degree + 1, degree + 1)), np.zeros((2 * degree + 1, 2 * degree + 1))
    one[tuple(powers.T)] = coefficients
    np.add.at(two, tuple((powers[:, None] + powers[None, :]).T), inverse.T)
    return _polynomial(x, y, one), _polynomial(x, y, two)


def weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """The value that halves the weights: the least with half of the weight at or below it.

    Args:
        values: float64[n], at least one.
        weights: float64[n].
    """
    return float(_select(values.astype(np.float64), weights.astype(np.float64)))


@njit(cache=True, nogil=True)
def _sums(x, y, value, weight, degree):
    """Sums of w x^a y^b for a + b <= 2 degree, and of w v x^a y^b for a + b <= degree, as [a, b]."""
    sums, right = np.zeros((2 * degree + 1, 2 * degree + 1)), np.zeros((degree + 1, degree + 1))
    for i in range(x.size):
        one = weight[i]
        if one == 0.0:
            continue
        for a in range(2 * degree + 1):
            term = one
            for b in range(2 * degree + 1 - a):
                sums[a, b] += term
                if a + b <= degree:
                    right[a, b] += term * value[i]
                term *= y[i]
            one *= x[i]
    return sums, right


@njit(cache=True, nogil=True)
def _polynomial(x, y, coefficients):
    """Values of the polynomial with the coefficients [a, b] of x^a y^b, a + b < their number, by Horner's rule."""
    degree = coefficients.shape[0] - 1
    out = np.empty(x.size)
    for i in range(x.size):
        total = 0.0
        for a in range(degree, -1, -1):
            row = 0.0
            for b in range(degree - a, -1, -1):
                row = row * y[i] + coefficients[a, b]
            total = total * x[i] + row
        out[i] = total
    return out


@njit(cache=True, nogil=True)
def _select(values, weights):
    """Hoare's selection by weight: the values are parted at a pivot, and the part with the middle again; in place."""
    half, before = 0.5 * weights.sum(), 0.0
    low, high = 0, values.size
    while high - low > 1:
        first, middle, last = values[low], values[(low + high) // 2], values[high - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        at, below, above = low, low, high
        weight_below, weight_equal = 0.0, 0.0
        while at < above:
            if values[at] < pivot:
                weight_below += weights[at]
                values[below], values[at] = values[at], values[below]
                weights[below], weights[at] = weights[at], weights[below]
                below += 1
                at += 1
            elif values[at] > pivot:
                above -= 1
                values[above], values[at] = values[at], values[above]
                weights[above], weights[at] = weights[at], weights[above]
            else:
                weight_equal += weights[at]
                at += 1
        if below > low and before + weight_below >= half:
            high = below
        elif before + weight_below + weight_equal >= half or above == high:
            return pivot
        else:
            before += weight_below + weight_equal
            low = above
    return values[low]
