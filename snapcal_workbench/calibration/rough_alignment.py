"""A first pattern of a group whose pixels may start anywhere in the search window.

The aligned sum of pixels that start far apart is so washed out that nothing can be aligned to it. Here a few hundred
pixels are aligned with each other on coarse bins by expectation maximisation: every pixel is placed at all lags with
their posterior probabilities, the sum is made anew, and so on. It starts twice, from the sum as it is and from
one bright pixel, and the start that explains the pixels better wins.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import logsumexp, softmax

from snapcal_workbench.calibration.types import FloatArray

MAX_PIXELS = 200
ROUNDS = 12
LEVEL = 20
"""Width, in coarse bins, of the average that a spectrum is divided by to give its pattern."""
HALVES = 2


def rough_pattern(counts: FloatArray, lags: int) -> FloatArray:
    """float64[HALVES, bins]: ln r from each half of the pixels; pixel i is to be compared with half (i + 1) % 2.

    Args:
        counts: float64[pixels, bins], counts over x in coarse bins.
        lags: Largest shift in bins.
    """
    counts = counts.astype(np.float32)
    brightest = int(np.argsort(counts.sum(1))[-max(len(counts) // 20, 1)])
    starts = [counts.sum(0), counts[brightest]]
    results = [_maximise(counts, start, lags) for start in starts]
    return max(results, key=lambda result: result[0])[1]


def _maximise(counts: FloatArray, start: FloatArray, lags: int) -> tuple[float, FloatArray]:
    """(ln L, patterns) of the alignment that the pattern of `start` leads to; the halves take turns."""
    pattern = np.repeat(log_pattern(start)[None, :], HALVES, axis=0)
    fit = -np.inf
    for round_ in range(ROUNDS):
        sharpness = min(0.5 + 0.1 * round_, 1.0)
        before, fit = fit, 0.0
        for half in range(HALVES):
            members = counts[half::HALVES]
            curves = _curves(members, pattern[(half + 1) % HALVES], lags)
            fit += float(logsumexp(curves, axis=1).sum())
            pattern[half] = _placed(members, softmax(sharpness * curves, axis=1), lags)
        if sharpness == 1.0 and fit - before < 1e-3 * len(counts):
            break
    return fit, pattern


def _curves(counts: FloatArray, pattern: FloatArray, lags: int) -> FloatArray:
    """float64[pixels, 2 lags + 1]: ln L of every pixel at every lag."""
    padded = np.pad(pattern, lags).astype(np.float32)
    table = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * lags + 1)[:, ::-1])
    return (counts @ table).astype(np.float64)


def _placed(counts: FloatArray, probability: FloatArray, lags: int) -> FloatArray:
    """The pattern of pixels that are at all lags with these probabilities."""
    rows = probability.T.astype(np.float32) @ counts
    padded = np.zeros(counts.shape[1] + 2 * lags)
    for lag, row in enumerate(rows):
        padded[2 * lags - lag : 2 * lags - lag + len(row)] += row
    return log_pattern(padded[lags : lags + counts.shape[1]])


def log_pattern(counts: FloatArray) -> FloatArray:
    """ln of a spectrum divided by its wide average, both with a little of a flat spectrum mixed in."""
    sharp, level = gaussian_filter1d(counts, 1.0, mode="nearest"), gaussian_filter1d(counts, LEVEL, mode="nearest")
    steady = 1.0 + 0.01 * level.mean()
    return np.log((sharp + steady) / (level + steady))
