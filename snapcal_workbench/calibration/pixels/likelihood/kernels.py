"""Compiled loops of the likelihood estimator.

Every kernel works on a list of pixels, reads each pixel's events once in memory order, and writes one row a pixel or
adds to sums of its own, so what it computes does not depend on the thread that runs it. Each has one signature and is
compiled once. Words and axes as in `template`: y, u, x = y - u, E, r, Z, lags. A pixel's events are first collected in
a short buffer as *places*: y in bins from y0, in single precision, which is finer than a thousandth of a bin.

axes: float64[3], (y0, u0, step); nu: points of u.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MAX_STEPS = 12
SUMS = {"reassoc", "contract", "nsz", "arcp"}
"""What a compiler may do with a sum to use vector instructions; values that are not finite keep their meaning."""

# Columns of the rows that `solve` writes.
SHIFT, COUNTS, SCORE, SQUARE, LOG_RATIO, ELSEWHERE, SPREAD, EDGE = range(8)


@njit(cache=True, nogil=True)
def _collect(y, weight, first, last, correction, axes, exposed, at, ws):
    """Places and weights of one pixel's exposed events; returns how many there are and their sum.

    correction: (difc, difa, tzero, scale), y being ln(TOF / scale).
    """
    n, total = 0, 0.0
    ny = np.float64(exposed.size)
    difc, difa, tzero = correction[0], correction[1], correction[2]
    plain = difa == 0.0 and tzero == 0.0
    scale = 1.0 / axes[2]
    origin = axes[0] - 0.5 * axes[2]
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
        if position >= 0.0 and position < ny and exposed[np.uint32(position)]:
            w = np.float32(1.0)
            if weight.size > 0:
                w = weight[e]
                if not (w > 0.0 and w < 1e30):
                    continue
            at[n] = min(position, ny - 0.01) - 0.5
            ws[n] = w
            total += float(w)
            n += 1
    return n, total


@njit(cache=True, nogil=True)
def _buffers(start, pixels):
    """Room for the places and weights of the pixel with most events."""
    size = 1
    for i in range(pixels.size):
        size = max(size, start[pixels[i] + 1] - start[pixels[i]])
    return np.empty(size, np.float32), np.empty(size, np.float32)


@njit(cache=True, nogil=True)
def _offset(u, axes, nu):
    """What is added to a place to make it a point of the x axis: x0 = y0 - u0 - (nu - 1) step."""
    return (axes[1] - u) / axes[2] + nu - 1


@njit(cache=True, nogil=True)
def _at(table, position):
    """Linear interpolation, constant beyond the ends."""
    k = int(position)
    if position < 0.0:
        return np.float64(table[0])
    if k >= table.size - 1:
        return np.float64(table[table.size - 1])
    low = np.float64(table[k])
    return low + (position - k) * (np.float64(table[k + 1]) - low)


@njit(cache=True, nogil=True)
def accumulate(y, weight, start, pixels, u, fold, corrections, axes, nu, exposed, by_x, by_y):
    """Add the pixels' events to the sums over x (by fold) and over y."""
    at, ws = _buffers(start, pixels)
    for i in range(pixels.size):
        p = pixels[i]
        n, _ = _collect(y, weight, start[p], start[p + 1], corrections[i], axes, exposed, at, ws)
        offset = _offset(u[i], axes, nu)
        row = by_x[fold[i]]
        last = np.float64(row.size - 1)
        for e in range(n):
            position = at[e] + offset
            if position >= 0.0 and position < last:
                k = np.uint32(position)
                part = (position - k) * ws[e]
                row[k] += ws[e] - part
                row[k + np.uint32(1)] += part
            by_y[np.uint32(at[e] + np.float32(0.5))] += ws[e]


@njit(cache=True, nogil=True)
def _curve(at, ws, n, total, u, per_lag, coarse, axes, nu, log_total, out):
    """ln L of one pixel over the lags around ln DIFC = u, relative to a spectrum without peaks.

    per_lag: bins in one lag. Bin k of the coarse table covers the fine bins from k per_lag on; lags run down the table.
    """
    lags = out.size
    first = -(lags // 2)
    out[:] = 0.0
    scale = np.float32(1.0 / per_lag)
    offset = np.float32((_offset(u, axes, nu) + 0.5) / per_lag - first - (lags - 1))
    last = coarse.size - 1
    for e in range(n):
        k = int(np.floor(at[e] * scale + offset))
        w = ws[e]
        if k >= 0 and k + lags - 1 <= last:
            for j in range(lags):
                out[j] += w * coarse[k + j]
        else:
            for j in range(lags):
                out[j] += w * coarse[min(max(k + j, 0), last)]
    for j in range(lags // 2):
        out[j], out[lags - 1 - j] = out[lags - 1 - j], out[j]
    for j in range(lags):
        out[j] -= total * _at(log_total, (u - axes[1]) / axes[2] + (first + j) * per_lag)


@njit(cache=True, nogil=True)
def unit_curves(
    y, weight, start, pixels, unit, u, fold, corrections, axes, nu, per_lag, exposed, coarse, total, curves
):
    """Add the pixels' ln L over the lags to the row of the unit that each belongs to; total: ln Z by fold."""
    at, ws = _buffers(start, pixels)
    one = np.empty(curves.shape[1], np.float32)
    for i in range(pixels.size):
        p, f = pixels[i], fold[i]
        n, counts = _collect(y, weight, start[p], start[p + 1], corrections[i], axes, exposed, at, ws)
        _curve(at, ws, n, counts, u[i], per_lag, coarse[f], axes, nu, total[f], one)
        for j in range(one.size):
            curves[unit[i], j] += one[j]


@njit(cache=True, nogil=True, fastmath=SUMS)
def _slope_sums(at, ws, n, offset, slope, drift):
    """Sums over a pixel's events of w g, w g^2 and w dg per bin, g being the slope of ln r less the drift of ln Z."""
    first, square, rises = 0.0, 0.0, 0.0
    zero, last = np.float32(0.0), np.float32(slope.size - 2)
    for e in range(n):
        position = min(max(at[e] + offset, zero), last)
        k = np.uint32(np.int32(position))
        low = slope[k]
        rise = slope[k + np.uint32(1)] - low
        g = low + (position - np.float32(np.int32(position))) * rise + drift
        first += ws[e] * g
        square += ws[e] * g * g
        rises += ws[e] * rise
    return first, square, rises


@njit(cache=True, nogil=True)
def _slope(at, ws, n, total, u, slope, axes, nu, log_total):
    """Score, sum of squares of the single scores, and observed curvature of one pixel at ln DIFC = u."""
    step = axes[2]
    position = (u - axes[1]) / step
    before, here, after = _at(log_total, position - 3), _at(log_total, position), _at(log_total, position + 3)
    drift = (after - before) / (6.0 * step)
    bend = (after - 2.0 * here + before) / (9.0 * step * step)
    first, square, rises = _slope_sums(at, ws, n, np.float32(_offset(u, axes, nu)), slope, np.float32(drift))
    return -first, square, total * bend - rises / step


@njit(cache=True, nogil=True)
def _posterior(curve, at, near):
    """Posterior probability (flat prior) further than `near` lags from lag `at`, and its second moment there (lags)."""
    best = curve.max()
    total, elsewhere, moment = 0.0, 0.0, 0.0
    for j in range(curve.size):
        p = np.exp(np.float64(curve[j] - best))
        total += p
        if abs(j - at) > near:
            elsewhere += p
            moment += p * (j - at) ** 2
    return elsewhere / total, moment / total


@njit(cache=True, nogil=True)
def _top(curve):
    """Place of the top of a curve, refined by a parabola, and whether it is at an end."""
    top = int(np.argmax(curve))
    if top == 0 or top == curve.size - 1:
        return np.float64(top), 1.0
    left, middle, right = curve[top - 1], curve[top], curve[top + 1]
    bend = np.float64(left - 2 * middle + right)
    if bend >= 0.0:
        return np.float64(top), 0.0
    return top + min(max(0.5 * np.float64(left - right) / bend, -0.5), 0.5), 0.0


@njit(cache=True, nogil=True)
def _climb(at, ws, n, total, u, s, reach, prior_mean, prior_info, slope, axes, nu, log_total, info):
    """Newton steps from the shift s to the top of ln L + ln prior, within `reach` of s.

    Returns the shift there, and score and sum of squares one last, small step before.
    """
    low, high = s - reach, s + reach
    score, square = 0.0, 0.0
    for _ in range(MAX_STEPS):
        score, square, curvature = _slope(at, ws, n, total, u + s, slope, axes, nu, log_total)
        pull = score + prior_info * (prior_mean - s)
        step = pull / (max(curvature, info) + prior_info + 1e-300)
        step = min(max(step, -0.3 * reach), 0.3 * reach)
        s = min(max(s + step, low), high)
        if abs(step) < 1e-3 * reach:
            break
    return s, score, square


@njit(cache=True, nogil=True)
def _log_ratio(at, ws, n, total, u, log_pattern, axes, nu, log_total):
    """ln L of one pixel at ln DIFC = u, relative to a spectrum without peaks."""
    ratio = -total * _at(log_total, (u - axes[1]) / axes[2])
    offset = np.float32(_offset(u, axes, nu))
    zero, last = np.float32(0.0), np.float32(log_pattern.size - 2)
    for e in range(n):
        position = min(max(at[e] + offset, zero), last)
        k = np.uint32(np.int32(position))
        low = log_pattern[k]
        ratio += ws[e] * (low + (position - k) * (log_pattern[k + np.uint32(1)] - low))
    return ratio


@njit(cache=True, nogil=True)
def solve(
    y,
    weight,
    start,
    pixels,
    u,
    known,
    lags,
    fold,
    prior,
    corrections,
    axes,
    per_lag,
    exposed,
    coarse,
    log_pattern,
    slope,
    log_total,
    information,
    out,
):
    """Rows (SHIFT ...) of the pixels, at the shift that maximises ln L + ln prior.

    u: ln DIFC, the middle of the search; known: shift of a top that is known to be the only one, NaN where it is not;
    lags: number of lags of the search, 1 for climbing from u alone, 0 for evaluating at u; prior: [n, 2], mean and
    inverse variance; corrections: [n, 4], see `_collect`; information: [nu], of one event.
    """
    at, ws = _buffers(start, pixels)
    curve = np.empty(max(lags, 1), np.float32)
    nu, lag = information.size, per_lag * axes[2]
    reach = 3.0 * lag
    for i in range(pixels.size):
        p, f = pixels[i], fold[i]
        n, total = _collect(y, weight, start[p], start[p + 1], corrections[i], axes, exposed, at, ws)
        s, score, square, found = 0.0, 0.0, 0.0, False
        if lags > 0 and (lags == 1 or np.isfinite(known[i])):
            begin = known[i] if lags > 1 else 0.0
            info = total * _at(information, (u[i] + begin - axes[1]) / axes[2])
            given = prior[i, 0], prior[i, 1], slope[f], axes, nu, log_total[f], info
            s, score, square = _climb(at, ws, n, total, u[i], begin, reach, *given)
            found = lags == 1 or abs(s - begin) < 0.99 * reach
        if lags > 1 and not found:
            _curve(at, ws, n, total, u[i], per_lag, coarse[f], axes, nu, log_total[f], curve)
            top, out[i, EDGE] = _top(curve)
            elsewhere, moment = _posterior(curve, top, 5)
            out[i, ELSEWHERE], out[i, SPREAD] = elsewhere, moment * lag * lag
            s = (top - lags // 2) * lag
            info = total * _at(information, (u[i] + s - axes[1]) / axes[2])
            given = prior[i, 0], prior[i, 1], slope[f], axes, nu, log_total[f], info
            s, score, square = _climb(at, ws, n, total, u[i], s, reach, *given)
        elif lags == 0:
            score, square, _ = _slope(at, ws, n, total, u[i], slope[f], axes, nu, log_total[f])
        ratio = _log_ratio(at, ws, n, total, u[i] + s, log_pattern[f], axes, nu, log_total[f])
        out[i, SHIFT], out[i, COUNTS], out[i, SCORE], out[i, SQUARE], out[i, LOG_RATIO] = s, total, score, square, ratio


@njit(cache=True, nogil=True)
def goodness(y, weight, start, pixels, u, corrections, axes, exposed, per_bin, u_step, fractions, out):
    """Chi-squared [n, 0] and its degrees of freedom [n, 1] of each pixel against the pattern at its u.

    per_bin: bins of y in one bin of the comparison; fractions: float32[points of u, bins], expected fraction per bin.
    Neighbouring bins are joined until 5 counts are expected. One degree of freedom is the number of counts, one u.
    """
    at, ws = _buffers(start, pixels)
    observed = np.empty(fractions.shape[1])
    scale = np.float32(1.0 / per_bin)
    half = np.float32(0.5)
    for i in range(pixels.size):
        p = pixels[i]
        n, total = _collect(y, weight, start[p], start[p + 1], corrections[i], axes, exposed, at, ws)
        observed[:] = 0.0
        for e in range(n):
            observed[np.uint32((np.floor(at[e] + half) + half) * scale)] += ws[e]
        position = min(max((u[i] - axes[1]) / u_step, 0.0), fractions.shape[0] - 1.001)
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
