"""Tops and widths of the joint fit's peaks against its densities at very many points, and against closed forms."""

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.pattern_crests import crests, vertices
from snapcal_workbench.calibration.peaks.pattern_kernels import densities

SLOW = np.array([5000.0, 0.3, 0.12, 0.04, 0.3, 5.0, 9.0])
"""T0, alpha, beta, slow rate, slow fraction, sigma, h."""
SHARP = np.array([5000.0, 2.0, 0.02, 0.004, 0.1, 1.5, 0.5])
NODES = SLOW + np.outer([-4.0, 0.0, 3.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0])


@pytest.mark.parametrize("peak", [SLOW[None], SHARP[None], NODES], ids=["slow decay", "sharp rise", "three nodes"])
def test_top_and_width_are_those_of_the_density(peak: np.ndarray) -> None:
    share = np.arange(1.0, len(peak) + 1.0)
    top, fwhm, height = crests(peak[None], share[None])[0]
    tof = np.linspace(4900.0, 5400.0, 500_001)
    density = densities(tof, peak, share / share.sum())
    assert top == pytest.approx(tof[np.argmax(density)], abs=2e-3)
    assert height == pytest.approx(density.max(), rel=1e-8)
    assert height >= density.max()
    over = tof[density > 0.5 * density.max()]
    assert fwhm == pytest.approx(over[-1] - over[0], abs=2e-3)
    beside = densities(top + np.array([-1e-3, 1e-3]), peak, share / share.sum())
    assert np.all(beside < height)


def test_a_peak_without_a_moderator_is_its_gaussian() -> None:
    gaussian = np.array([5000.0, 1e4, 1e4, 1e4, 0.0, 5.0, 0.0])
    top, fwhm, height = crests(gaussian[None, None], np.ones((1, 1)))[0]
    assert top == pytest.approx(5000.0, abs=1e-6)
    assert fwhm == pytest.approx(5.0 * np.sqrt(8.0 * np.log(2.0)), rel=1e-3)  # of the least box that is taken
    assert height == pytest.approx(1.0 / (5.0 * np.sqrt(2.0 * np.pi)), rel=1e-3)


def test_vertices_follow_a_peak_that_moves() -> None:
    peaks = np.stack([NODES, NODES + np.array([0.25, 0, 0, 0, 0, 0, 0])])
    top, fwhm, _ = crests(peaks[:1], np.ones((1, 3)))[0]
    first, second = vertices(peaks, np.full(2, top), np.full(2, 0.1 * fwhm))
    assert second - first == pytest.approx(0.25, rel=0.03)  # the parabola is not the peak
    assert first == pytest.approx(top, abs=0.01 * fwhm)
