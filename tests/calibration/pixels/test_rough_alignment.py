"""The first pattern of pixels that start anywhere."""

from __future__ import annotations

import numpy as np

from snapcal_workbench.calibration.pixels.likelihood.rough_alignment import rough_pattern


def test_a_pattern_emerges_from_pixels_whose_sum_is_flat() -> None:
    """Two peaks, every pixel displaced by up to 20 bins: both halves find the same two peaks."""
    rng, lags, bins = np.random.default_rng(1), 20, 300
    k = np.arange(bins)
    shape = 1.0 + 6.0 * sum(np.exp(-0.5 * ((k - c) / 2.0) ** 2) for c in (110, 150))
    shift = rng.integers(-lags, lags + 1, 100)
    counts = np.stack([rng.poisson(np.roll(shape, s)) for s in shift]).astype(float)
    pattern = rough_pattern(counts, counts.sum(0)[None, :], np.full(bins, 100.0), lags)
    for half in pattern:
        tops = np.flatnonzero((half > 0.5) & (half >= np.roll(half, 1)) & (half >= np.roll(half, -1)))
        assert len(tops) == 2
        assert abs(tops[1] - tops[0] - 40) <= 1
    assert np.corrcoef(pattern[0], pattern[1])[0, 1] > 0.9


def test_the_ends_of_the_window_are_no_peaks() -> None:
    """Flat spectra within a window: the pattern is flat, also at the ends of what was measured."""
    rng, bins = np.random.default_rng(2), 300
    exposure = np.zeros(bins)
    exposure[40:260] = 50.0
    counts = rng.poisson(np.tile(exposure / 5, (50, 1))).astype(float)
    pattern = rough_pattern(counts, counts.sum(0)[None, :], exposure, 10)
    assert np.max(np.abs(pattern)) < 0.3
