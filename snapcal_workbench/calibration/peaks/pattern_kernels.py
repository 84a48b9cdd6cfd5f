"""Compiled loops of the joint fit: Bragg peaks of a group in TOF bins, and their derivatives.

A peak is the sum over the *nodes* of its group (see `groups.pattern_model`) of back-to-back exponentials (Von Dreele,
Jorgensen and Windsor, J. Appl. Cryst. 15, 581, 1982) convolved with a Gaussian and a box: f(t) with t = TOF - T0 is

    f(t) = (F(t + h) - F(t - h)) / 2h
    F(t) = Phi(t / sigma) + (beta R - alpha Q) / (2 (alpha + beta)),    F'(t) = N (R + Q)
    R = exp(alpha (alpha sigma^2 + 2t) / 2) erfc((alpha sigma^2 + t) / (sqrt2 sigma)),   Q likewise with beta and -t
    N = alpha beta / (2 (alpha + beta)),    dF/d ln sigma^2 = sigma^2 N (alpha R - beta Q) / 2

A fraction of the neutrons decays with a slower rate than beta. A bin holds its width times (f + width^2 f'' / 24).

edges: float64[bins + 1], TOF, us. peaks: float64[p, n, 7]: T0, alpha, beta, slow rate, slow fraction, sigma, h of each
node, us and 1/us. share: float64[p, n], of the peak's events. spans: int64[p, n, 3], first and last bin (exclusive)
that a node's peak reaches, and where its rows of values begin. values: float64[rows, 8], density and derivatives at
the middles of the bins: areas, profile and place are all made of them, so that they are worked out once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

PARAMETERS = 7
"""Of a node's peak."""
REACH = 5.5
"""The Gaussian is followed so many sigmas out: what lies beyond is 4e-8 of it."""
TAIL = 9.0
"""The exponentials are followed so many of their decay times out: what lies beyond is 1e-4 of them."""
FAR = 8.3
"""So many sigmas from T0 the Gaussian's own part is below 1e-15: what is left is an exponential."""
LEAST_BOX = 0.05
"""Least h in sigmas: f is a difference of F, which loses digits; the variance is then wrong by 8e-4."""
_SQRT_HALF = math.sqrt(0.5)
_SQRT_TWO_OVER_PI = math.sqrt(2.0 / math.pi)
_INVERSE_SQRT_PI = 1.0 / math.sqrt(math.pi)


@njit(cache=True, nogil=True)
def _scaled_erfc(y):
    """exp(y^2) erfc(y) for y >= 0; beyond 5 its continued fraction, exact to 4e-11 there."""
    if y < 5.0:
        return math.exp(y * y) * math.erfc(y)
    f = y
    for k in range(8, 0, -1):
        f = y + 0.5 * k / f
    return _INVERSE_SQRT_PI / f


@njit(cache=True, nogil=True)
def _side(t, decay, sigma, gauss):
    """R, or Q with -t: nothing overflows."""
    if t > FAR * sigma:
        return 0.0
    if t < -FAR * sigma - decay * sigma * sigma:
        return 2.0 * math.exp(0.5 * decay * (decay * sigma * sigma + 2.0 * t))
    y = (decay * sigma * sigma + t) / sigma * _SQRT_HALF
    if y > 0.0:
        return gauss * _scaled_erfc(y)
    return math.exp(0.5 * decay * (decay * sigma * sigma + 2.0 * t)) * math.erfc(y)


@njit(cache=True, nogil=True)
def _smeared(t, peak, sign, out):
    """Add sign times F and its derivatives to out[0:7], and F' to out[7].

    The derivatives are by t, ln alpha, ln beta, ln slow, slow fraction, ln sigma^2.
    """
    alpha, fraction, sigma = peak[1], peak[4], peak[5]
    gauss = math.exp(-0.5 * (t / sigma) ** 2)
    edge = sigma * _SQRT_TWO_OVER_PI * gauss
    rise = _side(t, alpha, sigma, gauss)
    out[0] += sign * 0.5 * math.erfc(-t / sigma * _SQRT_HALF)
    for i in range(2):
        part = fraction if i == 1 else 1.0 - fraction
        if part == 0.0:
            continue
        decay = peak[2 + i]
        fall = _side(-t, decay, sigma, gauss)
        half = 0.5 / (alpha + decay)
        norm = alpha * decay * half
        value = half * (decay * rise - alpha * fall)
        slope = norm * (rise + fall)
        both = (rise + fall) / (alpha + decay)
        out[0] += sign * part * value
        out[1] += sign * part * slope
        out[2] += sign * part * norm * ((alpha * sigma * sigma + t) * rise - edge - both)
        out[3 + i] -= sign * part * norm * ((decay * sigma * sigma - t) * fall - edge - both)
        out[5] += sign * value * (2 * i - 1)
        out[6] += sign * part * 0.5 * sigma * sigma * norm * (alpha * rise - decay * fall)
        out[7] += part * slope


@njit(cache=True, nogil=True)
def node_density(t, peak, out):
    """f into out[0], and its derivatives by T0, ln alpha, ln beta, ln slow, slow fraction, ln sigma^2 and ln h."""
    h = max(peak[6], LEAST_BOX * peak[5])
    out[:] = 0.0
    _smeared(t + h, peak, 0.5 / h, out)
    _smeared(t - h, peak, -0.5 / h, out)
    out[1] = -out[1]
    out[7] = 0.5 * out[7] - out[0]


@njit(cache=True, nogil=True)
def densities(tof, peaks, share):
    """float64[t]: density of one peak, peaks[n, 7] and share[n], at some TOF."""
    result = np.zeros(tof.size)
    at = np.empty(8)
    for n in range(peaks.shape[0]):
        for i in range(tof.size):
            node_density(tof[i] - peaks[n, 0], peaks[n], at)
            result[i] += share[n] * at[0]
    return result


@njit(cache=True, nogil=True)
def peak_spans(edges, peaks):
    """The spans of some peaks, and the number of rows of their values."""
    spans = np.empty((*peaks.shape[:2], 3), np.int64)
    rows = 0
    for p in range(peaks.shape[0]):
        for n in range(peaks.shape[1]):
            peak = peaks[p, n]
            tail = TAIL / peak[2]
            if peak[4] > 1e-4:
                tail = max(tail, (TAIL + math.log(peak[4])) / peak[3])
            low = peak[0] - REACH * peak[5] - peak[6] - TAIL / peak[1]
            high = peak[0] + REACH * peak[5] + peak[6] + tail
            first = min(max(np.searchsorted(edges, low) - 1, 0), edges.size - 1)
            last = max(min(np.searchsorted(edges, high), edges.size - 1), first)
            spans[p, n, 0], spans[p, n, 1], spans[p, n, 2] = first, last, rows
            rows += last - first
    return spans, rows


@njit(cache=True, nogil=True)
def peak_values(edges, peaks, spans, rows):
    """The values of some peaks."""
    values = np.empty((rows, 8))
    for p in range(peaks.shape[0]):
        for n in range(peaks.shape[1]):
            first, last, row = spans[p, n]
            for b in range(first, last):
                node_density(0.5 * (edges[b] + edges[b + 1]) - peaks[p, n, 0], peaks[p, n], values[row + b - first])
    return values


@njit(cache=True, nogil=True)
def _averaged(rows, edges):
    """Turn densities at the middles of the bins into counts of the bins, fourth order in the width.

    The error is below 2e-4 of the height for bins of a third of sigma.
    """
    for row in rows:
        before = row[0]
        for b in range(row.size):
            after = row[b + 1] if b + 1 < row.size else row[b]
            here = row[b]
            row[b] = (here + (before - 2.0 * here + after) / 24.0) * (edges[b + 1] - edges[b])
            before = here


@njit(cache=True, nogil=True)
def peak_columns(edges, spans, values, share, column, columns):
    """Peaks of unit area: every peak's counts are added to row column[p] of columns[c, bins], zero before."""
    for p in range(spans.shape[0]):
        for n in range(spans.shape[1]):
            first, last, row = spans[p, n]
            for b in range(first, last):
                columns[column[p], b] += share[p, n] * values[row + b - first, 0]
    _averaged(columns, edges)


@njit(cache=True, nogil=True)
def peak_slopes(edges, spans, values, share, row_of, chain, slopes):
    """Derivatives of the peaks' counts, added to rows of slopes[r, bins], zero before.

    chain: float64[p, n, k, 7], by what T0, ln alpha, ln beta, ln slow, slow fraction, ln sigma^2 and ln h of a node
    change with each of k quantities, times the peak's area; row_of: int64[p, k], the row of each quantity, or -1.
    """
    for p in range(spans.shape[0]):
        for n in range(spans.shape[1]):
            first, last, row = spans[p, n]
            for k in range(chain.shape[2]):
                place = row_of[p, k]
                if place < 0:
                    continue
                for i in range(PARAMETERS):
                    factor = share[p, n] * chain[p, n, k, i]
                    if factor != 0.0:
                        for b in range(first, last):
                            slopes[place, b] += factor * values[row + b - first, i + 1]
    _averaged(slopes, edges)


@njit(cache=True, nogil=True)
def column_ranges(columns):
    """int64[c, 2]: first and last bin (exclusive) in which each column is not 0."""
    ranges = np.zeros((columns.shape[0], 2), np.int64)
    for c in range(columns.shape[0]):
        first, last = 0, columns.shape[1]
        while first < last and columns[c, first] == 0.0:
            first += 1
        while last > first and columns[c, last - 1] == 0.0:
            last -= 1
        ranges[c, 0], ranges[c, 1] = first, last
    return ranges


@njit(cache=True, nogil=True)
def normal_matrix(columns, ranges, weight):
    """float64[c, c]: sum over the bins of weight times column times column; most columns do not overlap."""
    size = columns.shape[0]
    square = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            first, last = max(ranges[i, 0], ranges[j, 0]), min(ranges[i, 1], ranges[j, 1])
            total = 0.0
            for b in range(first, last):
                total += weight[b] * columns[i, b] * columns[j, b]
            square[i, j] = total
            square[j, i] = total
    return square


@njit(cache=True, nogil=True)
def products(columns, ranges, vectors):
    """float64[c, v]: sum over the bins of column times vector, vectors[v, bins]."""
    result = np.zeros((columns.shape[0], vectors.shape[0]))
    for c in range(columns.shape[0]):
        for v in range(vectors.shape[0]):
            total = 0.0
            for b in range(ranges[c, 0], ranges[c, 1]):
                total += columns[c, b] * vectors[v, b]
            result[c, v] = total
    return result
