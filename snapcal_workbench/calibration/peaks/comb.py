"""How far a group's peaks lie off altogether, before they are fitted one by one.

The table that a run starts from may put a group's peaks outside their windows, which are a few sigmas wide. Shifted by
a common factor exp(s), the expected peaks are a comb that is slid over the spectrum: at each peak the mean density
within a sigma, less that between 2 and 4 sigmas to both sides, over the latter's standard error. The sum over the peaks
is largest where the comb fits. Windows follow s only where it exceeds the resolution and the comb fits clearly better,
and better than noise ever would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from snapcal_workbench.calibration.types import ExpectedPeaks, FloatArray, GroupParameters, Spectra

SEARCH = 0.02
"""Largest |s|."""
CLEARLY = 1.3
"""The comb must fit this much better than anywhere within the resolution of s = 0."""
SIGNIFICANT = 6.0
"""The comb's sum over n peaks must exceed this many times sqrt(n)."""


def follow_shift(
    spectra: Spectra,
    peaks: Mapping[int, ExpectedPeaks],
    parameters: GroupParameters,
    *,
    warn: Callable[[str], None],
) -> dict[int, ExpectedPeaks]:
    """The expected peaks with windows that follow the common shift of their group, where there is one to follow."""
    followed = dict(peaks)
    for row, group in enumerate(spectra.number):
        expected = peaks.get(int(group))
        place = np.flatnonzero(parameters.group == group)
        if expected is None or len(expected) == 0 or len(place) == 0:
            continue
        delta_d = float(parameters.delta_d[place[0]])
        shift = common_shift(spectra.edges_of(row), spectra.y[row], spectra.e[row], expected.d, delta_d)
        if abs(shift) > delta_d:
            warn(f"Group {group} lies off by {100 * shift:+.2f} %, more than its resolution; its peak windows follow.")
            low, high = expected.window_min * np.exp(shift), expected.window_max * np.exp(shift)
            followed[int(group)] = replace(expected, window_min=low, window_max=high)
    return followed


def common_shift(edges: FloatArray, y: FloatArray, e: FloatArray, d: FloatArray, delta_d: float) -> float:
    """ln(d_seen / d_expected) that peaks at d (A), of width delta_d d, have in common.

    0 unless it is clear and larger than delta_d.
    """
    steps = int(np.ceil(SEARCH / (0.25 * delta_d)))
    shifts = np.linspace(-SEARCH, SEARCH, 2 * steps + 1)
    score = _score(edges, y, e, d, delta_d, shifts)
    best, near = int(np.argmax(score)), np.max(score[np.abs(shifts) <= delta_d])
    clear = score[best] > max(CLEARLY * near, SIGNIFICANT * np.sqrt(len(d)))
    return float(shifts[best]) if clear else 0.0


def _score(
    edges: FloatArray, y: FloatArray, e: FloatArray, d: FloatArray, delta_d: float, shifts: FloatArray
) -> FloatArray:
    """float64[shifts]: how well the comb fits, in standard errors of a peak."""
    finite = np.isfinite(y) & np.isfinite(e)
    floor = np.median(e[finite & (e > 0)]) ** 2 if np.any(finite & (e > 0)) else 1.0
    counts = np.concatenate([[0.0], np.cumsum(np.where(finite, y, 0.0))])
    variance = np.concatenate([[0.0], np.cumsum(np.where(finite, e * e, 0.0))])
    centre = d * np.exp(shifts)[:, None]
    place = {k: centre * (1.0 + k * delta_d) for k in (-4, -2, -1, 1, 2, 4)}
    width = delta_d * centre
    n, v = ({k: np.interp(x, edges, below) for k, x in place.items()} for below in (counts, variance))
    inner = (n[1] - n[-1]) / (2.0 * width)
    outer = (n[-2] - n[-4] + n[4] - n[2]) / (4.0 * width)
    noise = np.sqrt((v[-2] - v[-4] + v[4] - v[2]) / 4.0 + floor) / width
    return np.sum((inner - outer) / noise, axis=1)
