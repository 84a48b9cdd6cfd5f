"""Compiled loops of the likelihood estimator.

Every kernel works on a list of pixels, reads each pixel's events once in memory order, and writes one row a pixel or
adds to sums of its own, so what it computes does not depend on the thread that runs it. Each has one signature and is
compiled once. Words and axes as in `template`: y, u, x = y - u, E, r, Z, lags.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EVENTS_PER_CHUNK = 1_000_000
PIXELS_PER_CHUNK = 20_000
MAX_STEPS = 12

# Columns of the rows that `solve` writes.
SHIFT, COUNTS, SCORE, SQUARE, LOG_RATIO, ELSEWHERE, SPREAD, EDGE = range(8)


@njit(cache=True, nogil=True)
def log_tof(tof, scale, out, first, last):
    """ln(TOF / scale) of the events first..last; a TOF that is not positive becomes -1e9, which is never exposed."""
    for e in range(first, last):
        t = np.float64(tof[e])
        out[e] = np.log(t / scale) if t > 0.0 else -1e9


@njit(cache=True, nogil=True)
def _collect(y, weight, first, last, correction, y0, step, exposed, ys, ws):
    """Corrected y and weights of one pixel's exposed events; returns how many there are.

    correction: (difc, difa, tzero, scale), y being ln(TOF / scale).
    """
    n = 0
    ny = exposed.size
    difc, difa, tzero = correction[0], correction[1], correction[2]
    plain = difa == 0.0 and tzero == 0.0
    scale = 1.0 / step
    origin = y0 - 0.5 * step
    for e in range(first, last):
        value = np.float64(y[e])
        if not plain and value > -100.0:
            t = np.exp(value) * correction[3]
            root = difc * difc + 4.0 * difa * (t - tzero)
            if t <= tzero or root <= 0.0:
                continue
            d = 2.0 * (t - tzero) / (difc + np.sqrt(root))
            value = np.log(difc * d / correction[3])
        position = (value - origin) * scale
        if position >= 0.0 and position < ny and exposed[int(position)]:
            w = 1.0
            if weight.size > 0:
                w = np.float64(weight[e])
                if not (w > 0.0 and w < 1e30):
                    continue
            ys[n] = value
            ws[n] = w
            n += 1
    return n


@njit(cache=True, nogil=True)
def _buffer_size(start, pixels):
    size = 1
    for i in range(pixels.size):
        size = max(size, start[pixels[i] + 1] - start[pixels[i]])
    return size


@njit(cache=True, nogil=True)
def _at(table, position):
    """Linear interpolation, constant beyond the ends; returns value and difference to the next point."""
    k = int(position)
    if position < 0.0:
        return np.float64(table[0]), 0.0
    if k >= table.size - 1:
        return np.float64(table[table.size - 1]), 0.0
    low = np.float64(table[k])
    rise = np.float64(table[k + 1]) - low
    return low + (position - k) * rise, rise


@njit(cache=True, nogil=True)
def accumulate(y, weight, start, pixels, u, fold, corrections, axes, exposed, by_x, by_y):
    """Add the pixels' events to the sums over x (by fold) and over y. axes: (y0, x0, u0, step)."""
    y0, x0, step = axes[0], axes[1], axes[3]
    size = _buffer_size(start, pixels)
    ys, ws = np.empty(size), np.empty(size)
    for i in range(pixels.size):
        p = pixels[i]
        n = _collect(y, weight, start[p], start[p + 1], corrections[i], y0, step, exposed, ys, ws)
        for e in range(n):
            position = (ys[e] - u[i] - x0) / step
            k = int(position)
            if position >= 0.0 and k < by_x.shape[1] - 1:
                part = (position - k) * ws[e]
                by_x[fold[i], k] += ws[e] - part
                by_x[fold[i], k + 1] += part
            by_y[int((ys[e] - y0) / step + 0.5)] += ws[e]


@njit(cache=True, nogil=True)
def _curve(ys, ws, n, u, lag, first_lag, coarse, axes, log_total, out):
    """ln L of the shifts (first_lag + j) lag of one pixel, relative to a spectrum without peaks."""
    u0, step = axes[2], axes[3]
    # Bin k of the coarse table covers the fine bins from k lag on; the lags run down the table.
    origin = axes[1] - 0.5 * step
    lags = out.size
    out[:] = 0.0
    total = 0.0
    scale = 1.0 / lag
    last = coarse.size - 1
    for e in range(n):
        k = int((ys[e] - u - origin) * scale) - first_lag - (lags - 1)
        w = np.float32(ws[e])
        total += ws[e]
        if k >= 0 and k + lags - 1 <= last:
            for j in range(lags):
                out[j] += w * coarse[k + j]
        else:
            for j in range(lags):
                out[j] += w * coarse[min(max(k + j, 0), last)]
    for j in range(lags // 2):
        out[j], out[lags - 1 - j] = out[lags - 1 - j], out[j]
    for j in range(lags):
        out[j] -= total * _at(log_total, (u + (first_lag + j) * lag - u0) / step)[0]


@njit(cache=True, nogil=True)
def unit_curves(
    y, weight, start, pixels, unit, u, first_lag, fold, corrections, axes, lag, exposed, coarse, log_total, curves
):
    """Add the pixels' ln L over the lags to the row of the unit that each belongs to."""
    size = _buffer_size(start, pixels)
    ys, ws = np.empty(size), np.empty(size)
    one = np.empty(curves.shape[1], np.float32)
    for i in range(pixels.size):
        p = pixels[i]
        n = _collect(y, weight, start[p], start[p + 1], corrections[i], axes[0], axes[3], exposed, ys, ws)
        _curve(ys, ws, n, u[i], lag, first_lag[i], coarse[fold[i]], axes, log_total[fold[i]], one)
        for j in range(one.size):
            curves[unit[i], j] += one[j]


@njit(cache=True, nogil=True)
def _slope(ys, ws, n, u, s, slope, axes, log_total):
    """Score, sum of squares of the single scores, and observed curvature of one pixel at the shift s."""
    x0, u0, step = axes[1], axes[2], axes[3]
    position = (u + s - u0) / step
    before, at, after = _at(log_total, position - 3)[0], _at(log_total, position)[0], _at(log_total, position + 3)[0]
    drift = (after - before) / (6.0 * step)
    bend = (after - 2.0 * at + before) / (9.0 * step * step)
    score, square, curvature = 0.0, 0.0, 0.0
    base = u + s + x0
    scale = 1.0 / step
    last = slope.size - 2
    for e in range(n):
        position = (ys[e] - base) * scale
        k = min(max(int(position), 0), last)
        low = np.float64(slope[k])
        rise = np.float64(slope[k + 1]) - low
        g = -(low + (position - k) * rise) - drift
        score += ws[e] * g
        square += ws[e] * g * g
        curvature -= ws[e] * (rise * scale - bend)
    return score, square, curvature


@njit(cache=True, nogil=True)
def _posterior(curve, at, near):
    """Posterior probability (flat prior) further than `near` lags from lag `at`, and its second moment there (lags)."""
    best = curve.max()
    total, elsewhere, moment = 0.0, 0.0, 0.0
    for j in range(curve.size):
        p = np.exp(curve[j] - best)
        total += p
        if abs(j - at) > near:
            elsewhere += p
            moment += p * (j - at) ** 2
    return elsewhere / total, moment / total


@njit(cache=True, nogil=True)
def _climb(ys, ws, n, u, s, reach, prior_mean, prior_info, slope, axes, log_total, info):
    """Newton steps from s to the top of ln L + ln prior, within `reach` of s."""
    low, high = s - reach, s + reach
    for _ in range(MAX_STEPS):
        score, _, curvature = _slope(ys, ws, n, u, s, slope, axes, log_total)
        score += prior_info * (prior_mean - s)
        step = score / (max(curvature, info) + prior_info + 1e-300)
        step = min(max(step, -0.3 * reach), 0.3 * reach)
        s = min(max(s + step, low), high)
        if abs(step) < 1e-3 * reach:
            break
    return s


@njit(cache=True, nogil=True)
def solve(
    y,
    weight,
    start,
    pixels,
    u,
    centre,
    lags,
    fold,
    prior,
    corrections,
    axes,
    lag,
    exposed,
    coarse,
    log_pattern,
    slope,
    log_total,
    information,
    out,
):
    """Rows (SHIFT ...) of the pixels, at the shift that maximises ln L + ln prior.

    u: ln DIFC; centre: middle of the search, as a shift; lags: number of lags of the search, 1 for climbing from
    `centre` alone, 0 for evaluating at `centre`; prior: [n, 2], mean and inverse variance;
    corrections: [n, 4], see `_collect`; axes: (y0, x0, u0, step); information: [nu], of one event.
    """
    size = _buffer_size(start, pixels)
    ys, ws, curve = np.empty(size), np.empty(size), np.empty(max(lags, 1), np.float32)
    x0, u0, step = axes[1], axes[2], axes[3]
    for i in range(pixels.size):
        p = pixels[i]
        f = fold[i]
        n = _collect(y, weight, start[p], start[p + 1], corrections[i], axes[0], step, exposed, ys, ws)
        total = 0.0
        for e in range(n):
            total += ws[e]
        scale = 1.0 / step
        s = centre[i]
        if lags > 1:
            first = int(np.round(centre[i] / lag)) - lags // 2
            _curve(ys, ws, n, u[i], lag, first, coarse[f], axes, log_total[f], curve)
            top = int(np.argmax(curve))
            elsewhere, moment = _posterior(curve, top, 5)
            out[i, ELSEWHERE], out[i, SPREAD] = elsewhere, moment * lag * lag
            out[i, EDGE] = 1.0 if top == 0 or top == lags - 1 else 0.0
            s = (first + top) * lag
        if lags > 0:
            info = total * _at(information, (u[i] + s - u0) / step)[0]
            s = _climb(ys, ws, n, u[i], s, 3.0 * lag, prior[i, 0], prior[i, 1], slope[f], axes, log_total[f], info)
        score, square, _ = _slope(ys, ws, n, u[i], s, slope[f], axes, log_total[f])
        ratio = -total * _at(log_total[f], (u[i] + s - u0) / step)[0]
        for e in range(n):
            ratio += ws[e] * _at(log_pattern[f], (ys[e] - u[i] - s - x0) * scale)[0]
        out[i, SHIFT], out[i, COUNTS], out[i, SCORE], out[i, SQUARE], out[i, LOG_RATIO] = s, total, score, square, ratio


@njit(cache=True, nogil=True)
def goodness(y, weight, start, pixels, u, corrections, axes, exposed, per_bin, u_step, fractions, out):
    """Chi-squared [n, 0] and its degrees of freedom [n, 1] of each pixel against the pattern at its u.

    per_bin: bins of y in one bin of the comparison; fractions: float32[points of u, bins], expected fraction per bin.
    Neighbouring bins are joined until 5 counts are expected. One degree of freedom is the number of counts, one u.
    """
    size = _buffer_size(start, pixels)
    ys, ws, observed = np.empty(size), np.empty(size), np.empty(fractions.shape[1])
    for i in range(pixels.size):
        p = pixels[i]
        n = _collect(y, weight, start[p], start[p + 1], corrections[i], axes[0], axes[3], exposed, ys, ws)
        observed[:] = 0.0
        total = 0.0
        for e in range(n):
            observed[int((ys[e] - axes[0]) / axes[3] + 0.5) // per_bin] += ws[e]
            total += ws[e]
        position = min(max((u[i] - axes[2]) / u_step, 0.0), fractions.shape[0] - 1.001)
        row = int(position)
        part = position - row
        chi2, bins, seen, expected = 0.0, 0, 0.0, 0.0
        for k in range(observed.size):
            seen += observed[k]
            expected += total * ((1.0 - part) * fractions[row, k] + part * fractions[row + 1, k])
            if expected >= 5.0:
                chi2 += (seen - expected) ** 2 / expected
                bins += 1
                seen, expected = 0.0, 0.0
        out[i, 0], out[i, 1] = chi2, max(bins - 2, 0)
