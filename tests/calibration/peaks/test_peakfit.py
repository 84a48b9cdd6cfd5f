"""Fits of all expected peaks: simulated spectra with a known truth, and a measured one against Mantid's own fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.expected import expected_peaks
from snapcal_workbench.calibration.peaks.peakfit import SHAPE_ERROR, chi2_limit, fit_peaks, fitted_curves
from snapcal_workbench.calibration.types import ExpectedPeaks, GroupParameters, Reflections, Spectra
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.options import PRESETS, GroupOptions, PeakOptions
from snapcal_workbench.progress import Progress

STANDARD = GroupOptions()


def test_centres_widths_and_areas_are_the_simulated_ones(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    spectra = simulator.spectra(np.random.default_rng(1), terms={2: {"difc": 1.001}})
    fits = fit_peaks(spectra, peaks, options=STANDARD, progress=Progress())
    assert fits.used.mean() > 0.95
    used = fits.used
    truth = np.where(fits.group == 2, 1.001, 1.0) * fits.d
    pull = (fits.centre - truth)[used] / fits.centre_error[used]
    assert abs(np.median(pull)) < 0.5
    assert 0.7 < pull.std() < 1.4
    strong = used & (fits.intensity > 5000)
    np.testing.assert_allclose(
        (fits.sigma / fits.centre)[strong], simulator.parameters.delta_d[fits.group[strong] - 1], rtol=0.1
    )
    assert fits.chi2[used].mean() == pytest.approx(1.0, abs=0.1)
    top = fits.intensity / (fits.sigma * np.sqrt(2 * np.pi)) * 2.8e-4 * fits.centre
    np.testing.assert_allclose(fits.height[used], top[used], rtol=2e-3)


def test_rows_are_in_order_of_group_and_d_with_their_windows(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    fits = fit_peaks(simulator.spectra(None), peaks, options=STANDARD, progress=Progress())
    assert len(fits) == sum(len(p) for p in peaks.values())
    assert fits.group.tolist() == sorted(fits.group.tolist())
    first = peaks[1]
    assert fits.hkl[: len(first)].tolist() == first.hkl.tolist()
    np.testing.assert_array_equal(fits.window_min[: len(first)], first.window_min)


def test_groups_are_found_by_number_not_by_place(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    """Spectra in another order, with group 4 missing, give the rows of the other groups."""
    spectra = simulator.spectra(None)
    order = np.array([5, 0, 2, 4, 1])
    shuffled = replace(
        spectra,
        y=spectra.y[order],
        e=spectra.e[order],
        detids=[spectra.detids[i] for i in order],
        number=spectra.number[order],
    )
    everything = fit_peaks(spectra, peaks, options=STANDARD, progress=Progress())
    found = fit_peaks(shuffled, peaks, options=STANDARD, progress=Progress())
    rows = everything.group != 4
    np.testing.assert_array_equal(found.group, everything.group[rows])
    np.testing.assert_array_equal(found.centre, everything.centre[rows])


def test_unfittable_peaks_keep_their_rows_with_reasons(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    """Empty, NaN and featureless spectra: NaN centres, not used, a reason each; other groups are as before."""
    spectra = simulator.spectra(np.random.default_rng(2), neutrons=1e6)
    y = spectra.y.copy()
    y[0], y[1], y[2] = 0.0, np.nan, np.random.default_rng(3).poisson(100, y.shape[1])
    fits = fit_peaks(replace(spectra, y=y), peaks, options=STANDARD, progress=Progress())
    for group, words in ((1, "no counts"), (2, "bins with data")):
        rows = fits.group == group
        assert not fits.used[rows].any()
        assert np.isnan(fits.centre[rows]).all()
        assert all(words in why for why, row in zip(fits.why_not, rows, strict=True) if row)
    assert fits.used[fits.group == 3].mean() < 0.2
    assert fits.used[fits.group == 4].all()
    assert all((why == "") == used for why, used in zip(fits.why_not, fits.used, strict=True))


def test_chi_squared_above_the_limit_is_a_reason(measured) -> None:
    """Asymmetric measured peaks fitted with Gaussians: only the limit that grows with the counts lets them pass."""
    strict = STANDARD.model_copy(update={"chi2_grows": False})
    fits = fit_peaks(measured.spectra, measured.windows, options=strict, progress=Progress())
    refused = [i for i, why in enumerate(fits.why_not) if why.startswith("chi-squared")]
    assert len(refused) > 5
    assert (fits.chi2[refused] > strict.max_chi2).all()
    assert np.isfinite(fits.centre[refused]).all()
    assert not fits.used[refused].any()
    assert fit_peaks(measured.spectra, measured.windows, options=STANDARD, progress=Progress()).used.mean() > 0.9


def test_limit_of_chi_squared_grows_as_a_shape_error_does() -> None:
    """A model wrong by the fraction q adds q^2 N for N neutrons a bin."""
    assert chi2_limit(0.0, STANDARD) == STANDARD.max_chi2
    assert chi2_limit(1e5, STANDARD) == pytest.approx(STANDARD.max_chi2 + SHAPE_ERROR**2 * 1e5)
    assert chi2_limit(1e5, STANDARD.model_copy(update={"chi2_grows": False})) == STANDARD.max_chi2


@pytest.mark.parametrize("function", ["Gaussian", "Lorentzian", "PseudoVoigt", "BackToBackExponential"])
def test_fitted_curves_are_the_fit_within_the_windows(
    simulator, peaks: dict[int, ExpectedPeaks], function: str
) -> None:
    """Sum of (data - curve)^2 / curve over a window is the chi-squared of its row; outside there is nothing."""
    spectra = simulator.spectra(np.random.default_rng(4))
    few = {1: peaks[1], 6: peaks[6]}
    fits = fit_peaks(spectra, few, options=GroupOptions(peak_function=function), progress=Progress())
    curves = fitted_curves(spectra, fits)
    assert curves.y.shape == spectra.y.shape
    x = (spectra.edges[1:] + spectra.edges[:-1]) / 2
    covered = np.zeros(len(x), bool)
    for i in np.flatnonzero(fits.group == 1):
        use = (x >= fits.window_min[i]) & (x <= fits.window_max[i])
        covered |= use & bool(np.isfinite(fits.parameters[i]).all())
        terms = (spectra.y[0, use] - curves.y[0, use]) ** 2 / curves.y[0, use]
        assert terms.sum() / (use.sum() - len(fits.parameter_names)) == pytest.approx(fits.chi2[i], rel=1e-3)
    np.testing.assert_array_equal(np.isfinite(curves.y[0]), covered)
    assert np.isnan(curves.y[2]).all()


def test_spectra_in_tof_are_refused(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    with pytest.raises(InputError, match="d-spacing"):
        fit_peaks(replace(simulator.spectra(None), unit="TOF"), peaks, options=STANDARD, progress=Progress())


def test_cancelling_stops_between_two_peaks(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    progress = Progress(is_cancelled=is_cancelled)
    with pytest.raises(Cancelled):
        fit_peaks(simulator.spectra(None), peaks, options=STANDARD, progress=progress)
    assert len(asked) == 4


def test_no_peaks_give_an_empty_table(simulator) -> None:
    fits = fit_peaks(simulator.spectra(None), {}, options=STANDARD, progress=Progress())
    assert len(fits) == 0
    assert fits.hkl.shape == (0, 3)
    assert np.isnan(fitted_curves(simulator.spectra(None), fits).y).all()


def test_mantids_recipe_gives_mantids_centres(measured, parameters: GroupParameters) -> None:
    """Gaussian fits as the real Mantid's PDCalibration made them: 10 ppm in the median, 60 ppm for 95 %."""
    fits = fit_peaks(measured.spectra, measured.windows, options=PRESETS["snapred"].groups, progress=Progress())
    tof = fits.centre * parameters.difc[fits.group - 1]
    off = 1e6 * np.abs(tof / measured.tof - 1)
    assert len(off) == 49
    assert np.median(off) < 10
    assert np.percentile(off, 95) < 60


def test_measured_widths_are_the_predicted_ones(measured, silicon: Reflections, parameters: GroupParameters) -> None:
    """sigma / d of the Gaussians within 10 % of the resolution of each group."""
    peaks = expected_peaks(silicon, parameters, options=PeakOptions(), intensity_fraction=0.05)
    fits = fit_peaks(measured.spectra, peaks, options=STANDARD, progress=Progress())
    for group, delta_d in zip(parameters.group, parameters.delta_d, strict=True):
        rows = (fits.group == group) & fits.used
        assert np.median(fits.sigma[rows] / fits.centre[rows]) == pytest.approx(delta_d, rel=0.1)


def test_measured_background_shifted_below_zero_is_fitted_with_its_errors(
    measured, parameters: GroupParameters
) -> None:
    """Negative values cannot be counts; the centres move by no more than a tenth of a width."""
    spectra: Spectra = measured.spectra
    lowered = replace(spectra, y=spectra.y - 0.7 * np.median(spectra.y, axis=1, keepdims=True))
    assert (lowered.y < 0).any()
    before = fit_peaks(spectra, measured.windows, options=STANDARD, progress=Progress())
    after = fit_peaks(lowered, measured.windows, options=STANDARD, progress=Progress())
    both = before.used & np.isfinite(after.centre)
    assert both.mean() > 0.9
    assert (np.abs(after.centre - before.centre)[both] < 0.1 * before.sigma[both]).all()
