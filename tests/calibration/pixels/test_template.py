"""The template of a group: its ends, its smoothing, its information."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.likelihood.template import (
    Template,
    make_grid,
    make_template,
    point_weights,
    smooth_pattern,
)

SIGMA = 0.003


def one_template(events: float, seed: int | None = None) -> tuple[Template, np.ndarray, float]:
    """Template of pixels at u = -0.05 .. 0.05, its true pattern, and the true information of an event at u = 0."""
    grid = make_grid((0.0, 1.0), [(0.4, 0.45)], (-0.1, 0.1), delta_d=SIGMA, bins=10)
    x = grid.x0 + grid.step * np.arange(grid.nx)
    y = grid.y0 + grid.step * np.arange(grid.ny)
    pattern = 1.0 + 3.0 * sum(np.exp(-0.5 * ((x - c) / SIGMA) ** 2) for c in (0.1, 0.3, 0.62, 0.8))
    envelope = np.where(grid.exposed, np.exp(-y) * (1 + 0.3 * np.sin(5 * y)), 0.0)
    u = np.linspace(-0.05, 0.05, 41)
    counts, by_tof, weights = np.zeros((2, grid.nx)), np.zeros(grid.ny), np.zeros((2, grid.nu))
    rng = np.random.default_rng(seed)
    for i, v in enumerate(u):
        first = round((grid.y0 - v - grid.x0) / grid.step)
        rate = envelope * pattern[first : first + grid.ny]
        rate *= events / len(u) / rate.sum()
        seen = rate if seed is None else rng.poisson(rate)
        counts[i % 2, first : first + grid.ny] += seen
        by_tof += seen
        weights[i % 2] += point_weights(grid, np.array([v]), np.array([seen.sum()]))
    first = round((grid.y0 - grid.x0) / grid.step)
    p, slope = pattern[first : first + grid.ny], np.gradient(pattern, grid.step)[first : first + grid.ny]
    total = np.sum(envelope * p)
    information = np.sum(envelope * slope**2 / p) / total - (np.sum(envelope * slope) / total) ** 2
    template = make_template(grid, counts, by_tof, weights)
    return template, pattern, float(information)


def test_pattern_and_information_of_a_long_run_are_those_of_the_truth() -> None:
    """Pixels see different parts of the window, with a gap: the pattern is the same everywhere."""
    template, truth, information = one_template(1e9)
    inner = slice(600, -600)
    level = np.median(template.pattern[inner])
    np.testing.assert_allclose(template.pattern[inner] / level, truth[inner], rtol=0.15)
    middle = template.information[len(template.information) // 2]
    assert middle == pytest.approx(information, rel=0.06)


@pytest.mark.parametrize("events", [3e3, 3e4, 3e5])
def test_the_error_bar_knows_how_poor_the_template_is(events: float) -> None:
    """Inflation / information never promises more than the true information, and comes near it with statistics."""
    template, _, information = one_template(events, seed=3)
    variance = template.inflation / template.information[len(template.information) // 2]
    assert variance > 0.85 / information
    if events > 1e5:
        assert variance < 1.2 / information


def test_smoothing_flattens_noise_and_keeps_peaks() -> None:
    """In a flat spectrum the noise is averaged; a strong peak keeps its height and width."""
    step, n = SIGMA / 10, 4000
    x = step * (np.arange(n) - n / 2)
    exposure = np.full(n, 20.0)
    rng = np.random.default_rng(5)
    flat = smooth_pattern(rng.poisson(exposure).astype(float), exposure, step, SIGMA)[300:-300]
    assert np.std(flat) < 0.03
    peak = 1 + 8 * np.exp(-0.5 * (x / SIGMA) ** 2)
    kept = smooth_pattern(rng.poisson(exposure * peak).astype(float), exposure, step, SIGMA)
    assert kept[n // 2 - 5 : n // 2 + 5].mean() == pytest.approx(9.0, rel=0.1)
    assert np.sum(kept - 1) == pytest.approx(np.sum(peak - 1), rel=0.1)
