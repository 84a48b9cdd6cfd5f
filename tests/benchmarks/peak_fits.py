"""Time of the peak fits of one calibration: six groups with 20 silicon-like peaks each, for every peak function.

Run as a script: python tests/benchmarks/peak_fits.py
"""

from __future__ import annotations

import time
from typing import get_args

import numpy as np
from scipy.stats import norm

from snapcal_workbench.calibration.peaks.peakfit import fit_peaks
from snapcal_workbench.calibration.types import ExpectedPeaks, Spectra
from snapcal_workbench.options import GroupOptions, PeakFunction
from snapcal_workbench.progress import Progress

GROUPS, PEAKS, DELTA_D = 6, 20, 0.003


def expected() -> dict[int, ExpectedPeaks]:
    d = np.geomspace(0.7, 2.3, PEAKS)
    hkl, ones = np.ones((PEAKS, 3), np.int32), np.ones(PEAKS)
    low, high = d * (1 - 3 * DELTA_D), d * (1 + 4 * DELTA_D)
    return {g: ExpectedPeaks(g, hkl, d, ones, ones.astype(np.int32), low, high) for g in range(1, GROUPS + 1)}


def spectra(neutrons_per_peak: float) -> Spectra:
    edges = np.exp(np.arange(np.log(0.65), np.log(2.4), 0.1 * DELTA_D))
    mean = np.full(len(edges) - 1, 0.02 * neutrons_per_peak)
    for d in expected()[1].d:
        mean += neutrons_per_peak * np.diff(norm.cdf(edges, d, DELTA_D * d))
    y = np.random.default_rng(1).poisson(mean, (GROUPS, len(mean))).astype(float)
    detids = [np.array([g], np.int32) for g in range(GROUPS)]
    return Spectra(edges, y, np.sqrt(y), "dSpacing", detids, np.arange(1, GROUPS + 1, dtype=np.int32))


def main() -> None:
    print(f"{'peak function':24}{'neutrons a peak':>16}{'time s':>8}{'ms a peak':>11}{'used':>6}")
    for function in get_args(PeakFunction):
        for neutrons in (300.0, 3e3, 3e5):
            data = spectra(neutrons)
            start = time.perf_counter()
            fits = fit_peaks(data, expected(), options=GroupOptions(peak_function=function), progress=Progress())
            took = time.perf_counter() - start
            print(f"{function:24}{neutrons:16.0f}{took:8.2f}{1e3 * took / len(fits):11.2f}{fits.used.sum():6d}")


if __name__ == "__main__":
    main()
