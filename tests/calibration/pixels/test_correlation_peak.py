"""Batched peak fits against injected peaks and scipy's curve_fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from snapcal_workbench.calibration.pixels.correlation.peak import fit_peaks_of_correlations

LAGS = np.arange(-40.0, 41.0)


def peak(lags, height, centre, width, level, slope):
    return height * np.exp(-0.5 * ((lags - centre) / width) ** 2) + level + slope * lags


@pytest.fixture
def truth():
    """Heights over many orders of magnitude, centres and widths well within the lags."""
    rng = np.random.default_rng(1)
    n = 200
    return np.column_stack(
        [
            10 ** rng.uniform(-3, 8, n),
            rng.uniform(-15, 15, n),
            rng.uniform(5, 14, n),
            np.zeros(n),
            np.zeros(n),
        ]
    )


def test_exact_peaks_are_found_to_numerical_precision(truth):
    truth[:, 3] = truth[:, 0] * np.linspace(-2, 2, len(truth))
    truth[:, 4] = truth[:, 0] * np.linspace(0.005, -0.005, len(truth))
    values = peak(LAGS, *truth.T[:, :, None])
    found = fit_peaks_of_correlations(values, LAGS, width=10.0)
    assert found.converged.all()
    np.testing.assert_allclose(found.centre, truth[:, 1], atol=1e-4)
    np.testing.assert_allclose(found.width, truth[:, 2], rtol=1e-4)
    np.testing.assert_allclose(found.height, truth[:, 0], rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_noisy_peaks_are_fitted_as_by_curve_fit(truth, weighted):
    rng = np.random.default_rng(2)
    truth = truth[:40]
    values = peak(LAGS, *truth.T[:, :, None]) + 0.05 * truth[:, :1] * rng.normal(size=(40, len(LAGS)))
    variance = truth[:, :1] ** 2 * (0.01 + 0.1 * np.exp(-((LAGS - 5) ** 2) / 50)) if weighted else None
    found = fit_peaks_of_correlations(values, LAGS, width=10.0, variance=variance)
    assert found.converged.all()
    for k, row in enumerate(values):
        sigma = None if variance is None else np.sqrt(variance[k])
        expected, _ = curve_fit(peak, LAGS, row / truth[k, 0], [1, truth[k, 1], 10, 0, 0], sigma=sigma)
        assert found.centre[k] == pytest.approx(expected[1], abs=2e-3)


def test_response_is_the_derivative_of_the_centre(truth):
    rng = np.random.default_rng(3)
    values = peak(LAGS, *truth[:30].T[:, :, None])
    change = 1e-4 * truth[:30, :1] * rng.normal(size=values.shape)
    up, down = (fit_peaks_of_correlations(values + s * change, LAGS, width=10.0).centre for s in (1, -1))
    predicted = np.sum(fit_peaks_of_correlations(values, LAGS, width=10.0).response * change, axis=1)
    np.testing.assert_allclose((up - down) / 2, predicted, rtol=0.02, atol=2e-5)


def test_rows_without_a_peak_do_not_converge_and_leave_the_others_alone(truth):
    values = peak(LAGS, *truth[:6].T[:, :, None])
    alone = fit_peaks_of_correlations(values, LAGS, width=10.0)
    values[0], values[1], values[2] = 0.0, np.nan, 7.0
    found = fit_peaks_of_correlations(values, LAGS, width=10.0)
    np.testing.assert_array_equal(found.converged, [False, False, False, True, True, True])
    np.testing.assert_array_equal(found.centre[3:], alone.centre[3:])


def test_a_peak_beyond_the_lags_does_not_converge():
    values = peak(LAGS, 1.0, 60.0, 10.0, 0.0, 0.0)[None, :]
    assert not fit_peaks_of_correlations(values, LAGS, width=10.0).converged[0]
