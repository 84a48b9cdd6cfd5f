"""A first pattern of a group whose pixels may start anywhere in the search window.

The aligned sum of pixels that start far apart is so washed out that nothing can be aligned to it. Here a few hundred
pixels are aligned with each other on coarse bins by expectation maximisation: every pixel is placed at all lags with
their posterior probabilities, the sum is made anew, and so on. It starts from the sum as it is, from one bright pixel,
and from the sum of the modules after they were aligned as wholes; the start that explains the pixels best wins.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from snapcal_workbench.calibration.types import FloatArray

Singles = NDArray[np.float32]

PIXELS = (48, 160)
"""Least and most pixels that are aligned; between these as many as have `ENOUGH_COUNTS`. With half of them, of runs
with 200 events a pixel 75 % of the good pixels are masked, not 29 %; with twice as many 32 %, and other runs are the
same."""
ENOUGH_COUNTS = 60_000
"""At half and twice the results are the same."""
TRIALS = 5
"""Rounds after which the starts are compared; with two errors are 8 % larger in a short run, with ten as they are."""
ROUNDS = 10
"""Of the best start. With five errors are 2 % larger in a short run, with twenty 1 % smaller, for twice the time."""
SHARP = 1.0
"""Width, in coarse bins, of the average that is the pattern's numerator. At half of it, of runs with 200 events a pixel
65 % of the good pixels are masked, not 29 %; at twice the results are the same."""
LEVEL = 20.0
"""Width of the average that it is divided by. At half and twice errors are 9 and 4 % larger in a short run."""
LEAST_EXPOSURE = 0.3
"""Bins that fewer of the pixels saw tell nothing. At half errors are the same, at twice 2 % larger in a short run."""
HALVES = 2


def enough_pixels(mean_counts: float) -> int:
    """How many pixels are enough, by their mean counts."""
    return int(np.clip(ENOUGH_COUNTS / max(mean_counts, 1.0), *PIXELS))


def rough_pattern(counts: FloatArray, cells: FloatArray, exposure: FloatArray, lags: int) -> FloatArray:
    """float64[HALVES, bins]: ln r from each half of the pixels; pixel i is to be compared with half (i + 1) % 2.

    Args:
        counts: float64[pixels, bins], counts over x in coarse bins.
        cells: float64[cells, bins], the same of parts of the detector that may have moved as one.
        exposure: float64[bins], part of the pixels that measured at each x.
        lags: Largest shift in bins.
    """
    starts = [log_pattern(counts.sum(0), exposure), log_pattern(_brightest(counts), exposure)]
    if len(cells) > 1:
        first = _both_halves(log_pattern(_brightest(cells), exposure))
        starts.append(_maximise(cells, first, exposure, lags, TRIALS)[1].mean(0))
    trials = [_maximise(counts, _both_halves(start), exposure, lags, TRIALS) for start in starts]
    best = max(trials, key=lambda result: result[0])[1]
    return _maximise(counts, best, exposure, lags, ROUNDS)[1]


def _both_halves(pattern: FloatArray) -> FloatArray:
    return np.repeat(pattern[None, :], HALVES, axis=0)


def _brightest(counts: FloatArray) -> FloatArray:
    """A spectrum with more counts than 19 in 20 others; the very brightest may be a faulty pixel's."""
    return counts[int(np.argsort(counts.sum(1))[-max(len(counts) // 20, 1)])]


def _maximise(
    counts: FloatArray, pattern: FloatArray, exposure: FloatArray, lags: int, rounds: int
) -> tuple[float, FloatArray]:
    """(ln L, patterns) after some rounds from these patterns; the halves take turns."""
    pattern, fit = pattern.copy(), -np.inf
    for round_ in range(rounds):
        sharpness = min(0.6 + 0.1 * round_, 1.0)
        before, fit = fit, 0.0
        for half in range(HALVES):
            members = counts[half::HALVES]
            curves = shift_curves(members, pattern[(half + 1) % HALVES], lags)
            ratio, probability = _posterior(curves, sharpness)
            fit += ratio
            pattern[half] = _placed(members, probability, exposure)
        if sharpness == 1.0 and fit - before < 1e-2 * len(counts):
            break
    return fit, pattern


def shift_curves(counts: FloatArray | Singles, pattern: FloatArray, lags: int) -> Singles:
    """float32[pixels, 2 lags + 1]: ln L of every pixel at every lag, with the pattern ln r.

    A pixel with its peaks `lag` bins above those of the pattern has its largest ln L at that lag.
    """
    curves = np.zeros((len(counts), 2 * lags + 1), np.float32)
    _correlate(_single(counts), _single(np.pad(pattern, lags)[::-1]), curves)
    return curves


def _posterior(curves: Singles, sharpness: float) -> tuple[float, Singles]:
    """ln L of all pixels, wherever each is, and the probabilities of the lags; less `sharp` than they are at first."""
    top = curves.max(1, keepdims=True)
    weight = np.exp(curves - top)
    ratio = float(np.sum(top[:, 0] + np.log(weight.sum(1)), dtype=np.float64))
    if sharpness < 1.0:
        weight = np.exp(np.float32(sharpness) * (curves - top))
    return ratio, weight / weight.sum(1, keepdims=True)


def _placed(counts: FloatArray, probability: Singles, exposure: FloatArray) -> FloatArray:
    """The pattern of pixels that are at all lags with these probabilities."""
    typical = np.average(probability, axis=0, weights=counts.sum(1) + 1e-9)[None, :]
    return log_pattern(_at_all_lags(counts, probability), _at_all_lags(exposure[None, :], typical))


def _at_all_lags(rows: FloatArray, probability: Singles) -> FloatArray:
    """float64[bins]: the sum of the rows, each at all lags with its probabilities."""
    lags = probability.shape[1] // 2
    padded = np.zeros(rows.shape[1] + 2 * lags, np.float32)
    _scatter(_single(rows), _single(probability[:, ::-1]), padded)
    return padded[lags : lags + rows.shape[1]].astype(np.float64)


def _single(values: FloatArray | Singles) -> Singles:
    return np.ascontiguousarray(values, np.float32)


@njit(cache=True, nogil=True)
def _correlate(counts, backwards, curves):
    """Add ln L of row i at lag j - lags to curves[i, j]; `backwards` is ln r between `lags` zeros, reversed."""
    width = curves.shape[1]
    last = backwards.size - width
    for i in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            n = counts[i, k]
            if n != 0.0:
                for j in range(width):
                    curves[i, j] += n * backwards[last - k + j]


@njit(cache=True, nogil=True)
def _scatter(counts, backwards, padded):
    """Add every row at all lags to `padded`, bin 0 of which is `lags` below bin 0 of the rows; lags run backwards."""
    for i in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            n = counts[i, k]
            if n != 0.0:
                for j in range(backwards.shape[1]):
                    padded[k + j] += n * backwards[i, j]


def log_pattern(counts: FloatArray, exposure: FloatArray) -> FloatArray:
    """ln of a spectrum divided by its wide average; 0 where little was measured, and drawn to 0 where it is noise."""
    sharp, level = (_average(counts, exposure, width) for width in (SHARP, LEVEL))
    ratio = (sharp + 1e-12) / (level + 1e-12)
    known = gaussian_filter1d(counts, SHARP, mode="constant") * 2.0 * np.sqrt(np.pi) * SHARP
    power = (ratio - 1.0) ** 2
    kept = power / (power + 2.0 / np.maximum(known, 1e-3))
    measured = exposure > LEAST_EXPOSURE * exposure.max()
    return np.where(measured, np.log(np.maximum(1.0 + kept * (ratio - 1.0), 0.05)), 0.0)


def _average(counts: FloatArray, exposure: FloatArray, width: float) -> FloatArray:
    above, below = (gaussian_filter1d(v, width, mode="constant") for v in (counts, exposure))
    return above / np.maximum(below, 1e-9 * exposure.max())
