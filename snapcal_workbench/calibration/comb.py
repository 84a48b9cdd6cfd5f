"""How far a group's peaks lie off altogether, before they are fitted one by one.

The table that a run starts from may put a group's peaks outside their windows, which are a few sigmas wide. Shifted by
a common factor exp(s), the expected peaks are a comb that is slid over the spectrum: at each peak the counts within a
sigma, less those expected from 2 to 4 sigmas to both sides, over the square root of the latter. The sum over the peaks
is largest where the comb fits. Windows follow s only where it exceeds the resolution and the comb fits clearly better.
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
        shift = common_shift(spectra.edges_of(row), spectra.y[row], expected.d, delta_d)
        if abs(shift) > delta_d:
            warn(f"Group {group} lies off by {100 * shift:+.2f} %, more than its resolution; its peak windows follow.")
            low, high = expected.window_min * np.exp(shift), expected.window_max * np.exp(shift)
            followed[int(group)] = replace(expected, window_min=low, window_max=high)
    return followed


def common_shift(edges: FloatArray, y: FloatArray, d: FloatArray, delta_d: float) -> float:
    """ln(d_seen / d_expected) that peaks at d (A), of width delta_d d, have in common; 0 unless it is clearly larger
    than delta_d."""
    steps = int(np.ceil(SEARCH / (0.25 * delta_d)))
    shifts = np.linspace(-SEARCH, SEARCH, 2 * steps + 1)
    score = _score(edges, y, d, delta_d, shifts)
    best, near = int(np.argmax(score)), np.max(score[np.abs(shifts) <= delta_d])
    return float(shifts[best]) if score[best] > CLEARLY * max(near, 0.0) else 0.0


def _score(edges: FloatArray, y: FloatArray, d: FloatArray, delta_d: float, shifts: FloatArray) -> FloatArray:
    """float64[shifts]: how well the comb fits."""
    below = np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(y), y, 0.0))])
    centre = d * np.exp(shifts)[:, None]
    at = {k: np.interp(centre * (1.0 + k * delta_d), edges, below) for k in (-4, -2, -1, 1, 2, 4)}
    width = delta_d * centre
    inner = (at[1] - at[-1]) / (2.0 * width)
    outer = (at[-2] - at[-4] + at[4] - at[2]) / (4.0 * width)
    noise = np.sqrt(np.maximum(outer, 0.0) * width + 1.0) / width
    return np.sum((inner - outer) / noise, axis=1)
