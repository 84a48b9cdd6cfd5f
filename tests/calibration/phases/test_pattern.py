"""Patterns and their fits against closed forms and Poisson statistics."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.phases.pattern import (
    Pattern,
    coarse_fit,
    comb,
    pattern_of,
    significance,
    smooth_variance,
)

WIDTH = 0.004
STEP = WIDTH / 3
X = np.log(0.6) + STEP * np.arange(1200)
D = np.array([0.9, 1.1, 1.25, 1.6, 2.1])


def gaussians(area: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Counts a bin of Gaussians at `place` in x."""
    z = (X[:, None] - place) / WIDTH
    return np.exp(-0.5 * z**2) @ area * STEP / (WIDTH * np.sqrt(2 * np.pi))


def test_bins_keep_all_counts_from_half_an_angstrom_on() -> None:
    edges = np.linspace(0.2, 3.0, 4001)
    counts = np.random.default_rng(1).poisson(3.0, 4000).astype(float)
    pattern = pattern_of(edges, counts, WIDTH)
    assert pattern.total == pytest.approx(counts[edges[:-1] > 0.5].sum())
    np.testing.assert_allclose(np.diff(pattern.x), pattern.step)
    assert pattern.step == pytest.approx(WIDTH / 3, rel=0.01)


def test_significance_is_of_unit_variance_on_noise_and_as_large_as_a_peak_is() -> None:
    rng = np.random.default_rng(2)
    flat = Pattern(X, STEP, rng.poisson(50.0, len(X)).astype(float), WIDTH)
    z = significance(flat)[40:-40]
    assert np.mean(z) == pytest.approx(0.0, abs=0.2)
    assert np.std(z) == pytest.approx(1.0, abs=0.15)
    area = 1000.0
    level = np.full(len(X), 400.0)
    peak = Pattern(X, STEP, level + gaussians(np.array([area]), np.array([np.log(1.3)])), WIDTH)
    top = significance(peak, variance=level).max()
    expected = area * np.sqrt(STEP / (WIDTH * 2 * np.sqrt(np.pi) * 400.0))  # of a matched filter on a known background
    assert top == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("shift", [-0.03, 0.0, 0.013])
def test_comb_is_largest_where_the_reflections_are(shift: float) -> None:
    rng = np.random.default_rng(3)
    mean = 20.0 + gaussians(np.full(5, 400.0), np.log(D) + shift)
    pattern = Pattern(X, STEP, rng.poisson(mean).astype(float), WIDTH)
    shifts = np.linspace(-0.04, 0.04, 81)
    score = comb(pattern, D, np.ones(5), shifts)
    assert shifts[np.argmax(score)] == pytest.approx(shift, abs=0.5 * WIDTH)


def test_fit_gives_areas_with_their_errors() -> None:
    """Over 60 draws the mean is the truth, and the scatter is what the errors say."""
    rng, area = np.random.default_rng(4), np.array([300.0, 500.0, 0.0, 800.0, 200.0])
    mean = 30.0 + gaussians(area, np.log(D))
    fits = [coarse_fit(Pattern(X, STEP, rng.poisson(mean).astype(float), WIDTH), D, 0.0) for _ in range(60)]
    found = np.array([fit.area for fit in fits])
    np.testing.assert_allclose(found.mean(0)[area > 0], area[area > 0], rtol=0.12)
    assert (found >= 0).all()
    assert np.median([fit.chi2 / fit.freedom for fit in fits]) == pytest.approx(1.0, abs=0.1)


def test_variance_of_empty_bins_is_not_zero() -> None:
    assert smooth_variance(Pattern(X, STEP, np.zeros(len(X)), WIDTH)).min() > 0
