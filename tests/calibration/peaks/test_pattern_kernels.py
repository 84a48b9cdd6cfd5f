"""The joint fit's peaks against a numerical convolution, and their derivatives against differences."""

import numpy as np
import pytest
from scipy.integrate import quad

from snapcal_workbench.calibration.peaks.pattern_kernels import (
    densities,
    peak_columns,
    peak_slopes,
    peak_spans,
    peak_values,
)
from snapcal_workbench.calibration.peaks.profiles import PROFILES

PEAK = np.array([0.0, 0.3, 0.12, 0.04, 0.3, 5.0, 9.0])
"""T0, alpha, beta, slow rate, slow fraction, sigma, h."""


def at(tof: float, peak: np.ndarray) -> float:
    """Density of one peak at one TOF."""
    return float(densities(np.array([tof]), peak[None], np.ones(1))[0])


def in_bins(edges: np.ndarray, peak: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spans of `PEAK` and values of one peak there."""
    spans, rows = peak_spans(edges, PEAK[None, None])
    return spans, peak_values(edges, peak[None, None], spans, rows)


@pytest.mark.parametrize("tof", [-30.0, -8.0, 0.0, 7.0, 40.0, 150.0])
def test_a_peak_is_back_to_back_exponentials_convolved_with_a_box(tof: float) -> None:
    """The closed form agrees with the integral of the known density over the box."""
    _, alpha, beta, slow, part, sigma, h = PEAK

    def unboxed(x: float) -> float:
        shape = PROFILES["BackToBackExponential"].density
        fast, late = (shape(np.array([tof - x]), 0.0, np.array([alpha, b, sigma]))[0][0] for b in (beta, slow))
        return float((1.0 - part) * fast + part * late)

    assert at(tof, PEAK) == pytest.approx(quad(unboxed, -h, h, epsabs=1e-14)[0] / (2.0 * h), rel=1e-9)


def test_bins_hold_the_whole_peak() -> None:
    """The counts of the bins of a peak of unit area add up to 1, and their mean is T0 + 1/beta - 1/alpha."""
    edges = np.arange(-150.0, 500.0, 1.5)
    peak = np.array([3.0, 0.3, 0.12, 0.12, 0.0, 5.0, 9.0])
    column = np.zeros((1, len(edges) - 1))
    peak_columns(edges, *in_bins(edges, peak), np.ones((1, 1)), np.zeros(1, np.int64), column)
    centres = 0.5 * (edges[1:] + edges[:-1])
    assert column.sum() == pytest.approx(1.0, abs=2e-4)
    assert (column[0] * centres).sum() == pytest.approx(3.0 + 1.0 / 0.12 - 1.0 / 0.3, abs=2e-2)


@pytest.mark.parametrize("number", range(7))
def test_derivatives_are_those_of_the_counts(number: int) -> None:
    """By T0, the logarithms of the rates, the slow fraction, ln sigma^2 and ln h."""
    edges = np.arange(-80.0, 250.0, 1.5)

    def changed(step: float) -> np.ndarray:
        peak = PEAK.copy()
        if number in (0, 4):
            peak[number] += step
        else:
            peak[number] *= np.exp(step * (0.5 if number == 5 else 1.0))
        column = np.zeros((1, len(edges) - 1))
        peak_columns(edges, *in_bins(edges, peak), np.ones((1, 1)), np.zeros(1, np.int64), column)
        return column[0]

    slopes = np.zeros((1, len(edges) - 1))
    chain = np.zeros((1, 1, 1, 7))
    chain[0, 0, 0, number] = 1.0
    peak_slopes(edges, *in_bins(edges, PEAK), np.ones((1, 1)), np.zeros((1, 1), np.int64), chain, slopes)
    expected = (changed(1e-5) - changed(-1e-5)) / 2e-5
    assert slopes[0] == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())
