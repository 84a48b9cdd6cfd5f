"""The direct way to align pixels, as a competitor: correlation by summation, then one Gaussian fit for each pixel.

A pass makes the histograms of all pixels in logarithmic bins of d, correlates each with one reference spectrum over all
lags of the window by plain summation, and fits a Gaussian on a straight line to the top of each correlation. Compiled,
without the GIL, so two threads can share the pixels; the inner loop runs over the lags in memory order.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import njit

from snapcal_workbench.calibration.types import Events, GroupParameters

MAX_FWHM_FACTOR = 2.5
LARGEST_D = 3.1357
"""Largest d of a silicon peak, A: where the peaks are widest."""


def log_bins(parameters: GroupParameters) -> tuple[float, float, int]:
    """(ln of the lowest d, width, number) of the bins: a tenth of the smallest relative resolution over all groups."""
    step = float(parameters.delta_d.min() / 10)
    low, high = np.log(parameters.d_min.min()), np.log(parameters.d_max.max())
    return float(low), step, int((high - low) / step)


def lags_of_window(parameters: GroupParameters) -> list[int]:
    """Lags on each side that SNAPRed's window needs in each group.

    SNAPRed fits the correlation within +-2 S / b bins, where S, in A, is 2.5 times the largest FWHM of the group's
    peaks (at least 0.05 A, Mantid's least window) and b the logarithmic width of a bin.
    """
    _, step, bins = log_bins(parameters)
    fwhm = 2.3548 * parameters.delta_d * min(LARGEST_D, parameters.d_max.max())
    lags = 2 * np.maximum(MAX_FWHM_FACTOR * fwhm, 0.05) / step
    return [min(int(n), bins - 1) for n in lags]


@njit(cache=True, nogil=True)
def histogram(tof, start, difc, low, step, out, first, last):
    for i in range(first, last):
        shift = np.log(difc[i]) + low
        for e in range(start[i], start[i + 1]):
            k = int((np.log(tof[e]) - shift) / step)
            if 0 <= k < out.shape[1]:
                out[i - first, k] += 1.0


@njit(cache=True, nogil=True, fastmath=True)
def correlate(spectra, reference, out):
    """out[i, j] = sum_k spectra[i, k] reference[k + j]; `reference` has as many zeros before and behind as lags."""
    for i in range(spectra.shape[0]):
        row = out[i]
        row[:] = 0.0
        for k in range(spectra.shape[1]):
            count = spectra[i, k]
            part = reference[k : k + row.size]
            for j in range(row.size):
                row[j] += count * part[j]


@njit(cache=True, nogil=True)
def fit_tops(correlation, half_width, centre):
    """Centre of a Gaussian on a straight line around the top of each row, by Gauss-Newton steps, in bins."""
    normal, right, terms = np.zeros((5, 5)), np.zeros(5), np.zeros(5)
    for i in range(correlation.shape[0]):
        row = correlation[i]
        top = int(np.argmax(row))
        first, last = max(top - half_width, 0), min(top + half_width + 1, row.size)
        mean, sigma = float(top), half_width / 3.0
        floor = min(row[first], row[last - 1])
        height, level, slope = row[top] - floor, floor, 0.0
        for _ in range(15):
            normal[:], right[:] = 0.0, 0.0
            for k in range(first, last):
                z = (k - mean) / sigma
                g = np.exp(-0.5 * z * z)
                terms[0], terms[1], terms[2] = g, height * g * z / sigma, height * g * z * z / sigma
                terms[3], terms[4] = 1.0, k - mean
                rest = row[k] - height * g - level - slope * (k - mean)
                for a in range(5):
                    right[a] += terms[a] * rest
                    for b in range(5):
                        normal[a, b] += terms[a] * terms[b]
            for a in range(5):
                normal[a, a] = normal[a, a] * 1.001 + 1e-12
            step = np.linalg.solve(normal, right)
            height, level, slope = height + step[0], level + step[3], slope + step[4]
            mean += min(max(step[1], -2.0), 2.0)
            sigma = min(max(sigma + step[2], 1.0), 3.0 * half_width)
            if abs(step[1]) < 1e-3:
                break
        centre[i] = mean


def direct_pass(
    events: Events, parameters: GroupParameters, group: np.ndarray, difc: np.ndarray, threads: int
) -> np.ndarray:
    """Offsets in bins of all pixels after one pass, with the middle pixel of each group as reference."""
    low, step, bins = log_bins(parameters)
    offsets = np.zeros(len(difc))

    def spectra_of(first: int, last: int) -> np.ndarray:
        out = np.zeros((last - first, bins), np.float32)
        histogram(events.tof, events.start, difc, low, step, out, first, last)
        return out

    def work(task: tuple[int, int, np.ndarray, int]) -> None:
        first, last, reference, lags = task
        correlation = np.empty((last - first, 2 * lags + 1), np.float32)
        correlate(spectra_of(first, last), reference, correlation)
        fit_tops(correlation, 20, offsets[first:last])
        offsets[first:last] -= lags

    tasks = []
    for g, lags in zip(parameters.group, lags_of_window(parameters), strict=True):
        members = np.flatnonzero(group == g)
        middle = int(members[len(members) // 2])
        reference = np.pad(spectra_of(middle, middle + 1)[0], lags)
        edges = [*range(members[0], members[-1] + 1, 128), int(members[-1]) + 1]
        tasks += [(a, b, reference, lags) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, tasks))
    return offsets


def measured_rate(bins: int = 6000, lags: int = 500, pixels: int = 64) -> float:
    """Multiply-adds per second of the correlation on one core; the best of a few, compilation left out."""
    spectra = np.random.default_rng(1).random((pixels, bins)).astype(np.float32)
    reference = np.pad(spectra[0], lags)
    out = np.empty((pixels, 2 * lags + 1), np.float32)
    correlate(spectra[:1], reference, out[:1])
    best = np.inf
    for _ in range(3):
        begin = time.perf_counter()
        correlate(spectra, reference, out)
        best = min(best, time.perf_counter() - begin)
    return pixels * bins * (2 * lags + 1) / best
