"""Quality figures against plain sums over the table and the simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.groups.metrics import group_metrics
from snapcal_workbench.calibration.peaks.peakfit import fit_peaks
from snapcal_workbench.calibration.types import ExpectedPeaks, FitTable, Spectra
from snapcal_workbench.options import GroupOptions
from snapcal_workbench.progress import Progress


@pytest.fixture(scope="module")
def shifted(simulator) -> Spectra:
    """Group 4 lies high by 5e-4."""
    return simulator.spectra(np.random.default_rng(12), neutrons=1e6, terms={4: {"difc": 1.0005}})


@pytest.fixture(scope="module")
def fits(shifted: Spectra, peaks: dict[int, ExpectedPeaks]) -> FitTable:
    return fit_peaks(shifted, peaks, options=GroupOptions(), progress=Progress())


def test_figures_are_those_of_the_simulated_truth(shifted: Spectra, fits: FitTable, simulator) -> None:
    metrics = group_metrics(shifted, fits, simulator.parameters)
    truth = np.where(simulator.parameters.group == 4, 5e-4, 0.0)
    np.testing.assert_allclose(metrics.strain, truth, atol=6e-5)
    np.testing.assert_allclose(metrics.sigma, simulator.parameters.delta_d, rtol=0.05)
    assert metrics.snapred_strain[3] == pytest.approx(-5e-4 / simulator.parameters.delta_d[3], rel=0.2)
    np.testing.assert_allclose(metrics.chi2, 1.0, atol=0.3)
    np.testing.assert_allclose(metrics.residual, 1.0, atol=0.15)
    np.testing.assert_array_equal(metrics.two_theta, simulator.parameters.two_theta)


def test_statistics_are_over_the_used_peaks_only(shifted: Spectra, fits: FitTable, simulator) -> None:
    """Mean and population standard deviation of sigma / position, as SNAPRed; median and deviation of the strain."""
    used = fits.used & (np.arange(len(fits)) % 3 != 0)
    metrics = group_metrics(shifted, replace(fits, used=used), simulator.parameters)
    rows = used & (fits.group == 2)
    assert metrics.sigma[1] == pytest.approx(np.mean(fits.sigma[rows] / fits.centre[rows]))
    assert metrics.sigma_std[1] == pytest.approx(np.std(fits.sigma[rows] / fits.centre[rows], ddof=0))
    strain = (fits.centre[rows] - fits.d[rows]) / fits.d[rows]
    assert metrics.strain[1] == pytest.approx(np.median(strain))
    assert metrics.strain_std[1] == pytest.approx(np.std(strain, ddof=0))
    snapred = (fits.d[rows] - fits.centre[rows]) / fits.sigma[rows]
    assert metrics.snapred_strain[1] == pytest.approx(np.mean(snapred))
    assert metrics.snapred_strain_std[1] == pytest.approx(np.std(snapred, ddof=0))
    assert metrics.peaks_used[1] == np.count_nonzero(rows)
    assert metrics.peaks_used[1] + metrics.peaks_rejected[1] == np.count_nonzero(fits.group == 2)


def test_a_group_without_used_peaks_has_nan(shifted: Spectra, fits: FitTable, simulator) -> None:
    metrics = group_metrics(shifted, replace(fits, used=fits.used & (fits.group != 5)), simulator.parameters)
    assert np.isnan([metrics.sigma[4], metrics.strain[4], metrics.chi2[4], metrics.residual[4]]).all()
    assert metrics.peaks_used[4] == 0
    assert metrics.peaks_rejected[4] == np.count_nonzero(fits.group == 5)
    assert np.isfinite(np.delete(metrics.residual, 4)).all()


def test_residual_sees_what_the_fit_misses(shifted: Spectra, fits: FitTable, simulator) -> None:
    """Data moved by two standard errors everywhere: rms of 1 and 2 in quadrature."""
    moved = replace(shifted, y=shifted.y + 2 * shifted.e)
    np.testing.assert_allclose(group_metrics(moved, fits, simulator.parameters).residual, np.sqrt(5.0), atol=0.2)


def test_the_measured_run_has_the_known_figures(measured, parameters) -> None:
    """Widths of each group, and its peaks high by 0.03 0.02 0.04 0.28 0.47 0.69 % in the median."""
    measured_fits = fit_peaks(measured.spectra, measured.windows, options=GroupOptions(), progress=Progress())
    metrics = group_metrics(measured.spectra, measured_fits, parameters)
    np.testing.assert_allclose(metrics.sigma, parameters.delta_d, rtol=0.1)
    np.testing.assert_allclose(100 * metrics.strain, [0.03, 0.02, 0.04, 0.28, 0.47, 0.69], atol=0.03)
