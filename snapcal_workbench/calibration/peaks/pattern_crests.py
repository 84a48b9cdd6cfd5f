"""Compiled: where a peak of the joint fit is highest, how high and how wide it is there.

A peak is the sum of its nodes' densities, see `pattern_kernels`. Each node's is log-concave, as are the exponentials,
the Gaussian and the box that it is convolved of, and so has one top; the sum's is found from a scan of `SCAN` points,
then as the root of its slope, and the half heights as roots between two points of the scan.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from snapcal_workbench.calibration.peaks.pattern_kernels import node_density

SCAN = 48
"""Points that bracket the top and the half heights: any number does for one top, and each root then takes ten points
more. With 24 the roots of slow decays take more points than the scan saves, with 96 nothing changes but the time."""
_STEPS = 100
_PRECISION = 1e-13
"""Of a place, in spans of the peak: what is left of the digits of a slope."""


@njit(cache=True, nogil=True)
def _above(t, peaks, share, level, out):
    """Density at t less `level`; the density's slope where `level` is negative."""
    total = 0.0
    for n in range(peaks.shape[0]):
        node_density(t - peaks[n, 0], peaks[n], out)
        total += share[n] * (out[0] if level >= 0.0 else -out[1])
    return total - max(level, 0.0)


@njit(cache=True, nogil=True)
def _crossing(low, high, peaks, share, level, tolerance, out):
    """Where `_above` changes its sign between two places (regula falsi, Illinois form: Dowell and Jarratt, BIT 11, 168,
    1971)."""
    at_low, at_high = _above(low, peaks, share, level, out), _above(high, peaks, share, level, out)
    if at_low * at_high >= 0.0:
        return low if abs(at_low) < abs(at_high) else high
    for _ in range(_STEPS):
        middle = high - at_high * (high - low) / (at_high - at_low)
        if abs(middle - high) < tolerance:
            return middle
        value = _above(middle, peaks, share, level, out)
        if value * at_high < 0.0:
            low, at_low = high, at_high
        else:
            at_low *= 0.5
        high, at_high = middle, value
        if value == 0.0:
            return middle
    return high


@njit(cache=True, nogil=True)
def crests(peaks, share):
    """float64[p, 3]: where each peak is highest (TOF, us), its FWHM (us), and its largest density (1/us).

    peaks: float64[p, n, 7], of each one's nodes; share: float64[p, n], of which each peak's sum is taken for 1.
    """
    found = np.empty((peaks.shape[0], 3))
    scan, out = np.empty(SCAN), np.empty(8)
    for p in range(peaks.shape[0]):
        own, part = peaks[p], share[p] / share[p].sum()
        first = (own[:, 0] - 4.0 * own[:, 5] - own[:, 6] - 5.0 / own[:, 1]).min()
        step = ((own[:, 0] + 4.0 * own[:, 5] + own[:, 6] + 8.0 / own[:, 2]).max() - first) / (SCAN - 1)
        for i in range(SCAN):
            scan[i] = _above(first + i * step, own, part, 0.0, out)
        tolerance = _PRECISION * SCAN * step
        top = min(max(int(np.argmax(scan)), 1), SCAN - 2)
        at = _crossing(first + (top - 1) * step, first + (top + 1) * step, own, part, -1.0, tolerance, out)
        height = _above(at, own, part, 0.0, out)
        before, after = top, top
        while before > 0 and scan[before] > 0.5 * height:
            before -= 1
        while after < SCAN - 1 and scan[after] > 0.5 * height:
            after += 1
        rising = _crossing(first + before * step, at, own, part, 0.5 * height, tolerance, out)
        falling = _crossing(at, first + after * step, own, part, 0.5 * height, tolerance, out)
        found[p, 0], found[p, 1], found[p, 2] = at, falling - rising, height
    return found


@njit(cache=True, nogil=True)
def vertices(peaks, tof, spacing):
    """float64[p]: where each peak is highest, by a parabola through three points about a place near it.

    peaks: float64[p, n, 7], of nodes of equal parts; tof, spacing: float64[p], the middle point and how far the others
    are from it, us.
    """
    found, out = tof.copy(), np.empty(8)
    for p in range(peaks.shape[0]):
        part = np.full(peaks.shape[1], 1.0 / peaks.shape[1])
        low = _above(tof[p] - spacing[p], peaks[p], part, 0.0, out)
        high = _above(tof[p] + spacing[p], peaks[p], part, 0.0, out)
        curve = low - 2.0 * _above(tof[p], peaks[p], part, 0.0, out) + high
        if curve < 0.0:
            found[p] -= 0.5 * spacing[p] * (high - low) / curve
    return found
