"""Group calibration: combination in closed form, simulated groups with a known truth, a measured run against Mantid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.groups.group import calibrate_groups, combine, fit_group_terms
from snapcal_workbench.calibration.peaks.expected import expected_peaks
from snapcal_workbench.calibration.peaks.peakfit import fit_peaks
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    FloatArray,
    GroupCalibration,
    GroupParameters,
    GroupResults,
    MaskReason,
    PixelGrouping,
    PixelMask,
    Reflections,
    Spectra,
)
from snapcal_workbench.calibration.units import d_from_tof, tof_from_d
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.options import PRESETS, GroupOptions, PeakOptions
from snapcal_workbench.progress import Progress

STANDARD = GroupOptions()
PIXELS = 240


def results(parameters: GroupParameters, *, a: FloatArray, c: FloatArray, beta: FloatArray, model="DIFC+DIFA+TZERO"):
    """Results whose terms relative to the arbitrary DIFC are a, c and beta."""
    nan, ones = np.full(6, np.nan), np.ones(6, np.int32)
    arbitrary = parameters.difc
    models = (model,) * 6 if isinstance(model, str) else tuple(model)
    values = (a * arbitrary, c * arbitrary, beta * arbitrary)
    return GroupResults(parameters.group, models, arbitrary, *values, nan, nan, nan, ones, ones, nan)


@pytest.fixture(scope="module")
def grouping() -> PixelGrouping:
    """40 pixels in each of the six groups, 0 for a few."""
    group = np.repeat(np.arange(1, 7, dtype=np.int32), PIXELS // 6)
    group[::17] = 0
    return PixelGrouping(np.arange(PIXELS, dtype=np.int32), group)


@pytest.fixture(scope="module")
def table(parameters: GroupParameters) -> DiffCalTable:
    """Pixels that scatter about their group's mean position, with TZERO of their own."""
    rng = np.random.default_rng(11)
    difc = np.repeat(parameters.difc, PIXELS // 6) * np.exp(rng.normal(0, 0.02, PIXELS))
    return DiffCalTable(np.arange(PIXELS, dtype=np.int32), difc, np.zeros(PIXELS), rng.normal(0, 3, PIXELS))


def test_combination_inserts_the_groups_curve_into_the_pixels(
    parameters: GroupParameters, grouping: PixelGrouping, table: DiffCalTable
) -> None:
    """TOF of the new table at d = TOF of the old one at a d + c d^2 + beta, but for DIFA0 (2 a c d^3 + c^2 d^4)."""
    rng = np.random.default_rng(1)
    table = replace(table, difa=rng.normal(0, 2, PIXELS))
    a, c, beta = 1 + rng.normal(0, 5e-3, 6), rng.normal(0, 1e-4, 6), rng.normal(0, 2e-3, 6)
    new = combine(table, grouping, results(parameters, a=a, c=c, beta=beta))
    index = grouping.group - 1
    use = grouping.group > 0
    for d in rng.uniform(0.5, 4.0, 12):
        seen = a[index] * d + c[index] * d**2 + beta[index]
        expected = tof_from_d(seen, difc=table.difc, difa=table.difa, tzero=table.tzero)
        dropped = table.difa * (2 * a[index] * c[index] * d**3 + c[index] ** 2 * d**4)
        tof = tof_from_d(np.full(PIXELS, d), difc=new.difc, difa=new.difa, tzero=new.tzero)
        np.testing.assert_allclose(tof[use], (expected - dropped)[use], rtol=1e-12)


def test_difc_alone_is_combined_as_snapred_does(
    parameters: GroupParameters, grouping: PixelGrouping, table: DiffCalTable
) -> None:
    """difc_new = (difc_pd / difc_arb) difc_prev, everything else kept."""
    a = 1.0 + np.arange(6, dtype=np.float64) * 1e-3
    new = combine(table, grouping, results(parameters, a=a, c=np.zeros(6), beta=np.zeros(6), model="DIFC"))
    use = grouping.group > 0
    np.testing.assert_allclose(new.difc[use], (table.difc * a[grouping.group - 1])[use], rtol=1e-15)
    np.testing.assert_array_equal(new.difc[~use], table.difc[~use])
    np.testing.assert_array_equal(new.tzero, table.tzero)


def test_pixels_of_groups_without_results_stay_as_they_are(
    parameters: GroupParameters, grouping: PixelGrouping, table: DiffCalTable
) -> None:
    missing = results(parameters, a=np.full(6, 1.01), c=np.zeros(6), beta=np.zeros(6), model=["DIFC"] * 5 + [""])
    missing = replace(missing, difc=np.where(np.arange(6) == 5, np.nan, missing.difc))
    new = combine(table, grouping, missing)
    np.testing.assert_array_equal(new.difc[grouping.group == 6], table.difc[grouping.group == 6])
    assert np.isfinite(new.difc).all()


def test_terms_that_a_table_cannot_hold_are_an_error(
    parameters: GroupParameters, grouping: PixelGrouping, table: DiffCalTable
) -> None:
    strong = replace(table, difa=np.full(PIXELS, 30.0))
    with pytest.raises(CalibrationError, match="third order"):
        combine(strong, grouping, results(parameters, a=np.ones(6), c=np.full(6, 5e-3), beta=np.zeros(6)))


def test_table_and_grouping_must_be_of_the_same_pixels(parameters: GroupParameters, table: DiffCalTable) -> None:
    other = PixelGrouping(np.arange(3, dtype=np.int32), np.ones(3, np.int32))
    with pytest.raises(InputError, match="same pixels"):
        combine(table, other, results(parameters, a=np.ones(6), c=np.zeros(6), beta=np.zeros(6)))


def calibrate(
    spectra: Spectra,
    table: DiffCalTable,
    grouping: PixelGrouping,
    parameters: GroupParameters,
    peaks: dict[int, ExpectedPeaks],
    *,
    mask: PixelMask | None = None,
    warnings: list[str] | None = None,
    **options: object,
) -> GroupCalibration:
    heard = warnings if warnings is not None else []
    progress = Progress(on_message=lambda level, text: heard.append(text) if level == "warning" else None)
    mask = mask or PixelMask.none(table.detid)
    chosen = STANDARD.model_copy(update=options)
    return calibrate_groups(spectra, table, grouping, mask, parameters, peaks, options=chosen, progress=progress)


def errors(simulator, before: DiffCalTable, after: DiffCalTable, grouping: PixelGrouping, terms) -> FloatArray:
    """Median over the pixels of (TOF by `after` - true TOF) / TOF at the peaks, the largest of each group.

    The true TOF of a peak is where `before` puts the d at which the group's focused spectrum shows it.
    """
    worst = []
    for group in (int(g) for g in simulator.parameters.group):
        pixels = np.flatnonzero(grouping.group == group)
        seen, d = simulator.seen(group, **terms.get(group, {})), simulator.peaks[group].d
        true = tof_from_d(seen, difc=before.difc[pixels, None], tzero=before.tzero[pixels, None])
        found = tof_from_d(
            d, difc=after.difc[pixels, None], difa=after.difa[pixels, None], tzero=after.tzero[pixels, None]
        )
        worst.append(np.max(np.abs(np.median(found / true - 1, axis=0))))
    return np.array(worst)


TERMS = {g: {"difc": 1 + 1e-3 * g, "tzero": -6.0 - g} for g in range(1, 7)}


@pytest.mark.parametrize("shared", [False, True])
def test_pixels_get_the_true_tof_of_every_peak(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks], shared: bool
) -> None:
    """Injected DIFC and TZERO of each group: 60 ppm afterwards; the table that it started from is off by far more."""
    terms = {g: {"difc": t["difc"], "tzero": -9.0 if shared else t["tzero"]} for g, t in TERMS.items()}
    spectra = simulator.spectra(np.random.default_rng(5), neutrons=1e6, terms=terms)
    found = calibrate(spectra, table, grouping, simulator.parameters, peaks, shared_terms=shared)
    assert set(found.results.model) == {"DIFC+TZERO"}
    assert (errors(simulator, table, found.table, grouping, terms) < 6e-5).all()
    assert (errors(simulator, table, table, grouping, terms) > 4e-4).all()
    assert not found.mask.masked.any()


def test_terms_are_within_their_errors(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    spectra = simulator.spectra(np.random.default_rng(6), neutrons=1e6, terms=TERMS)
    r = calibrate(spectra, table, grouping, simulator.parameters, peaks, model="DIFC+TZERO").results
    truth = np.array([TERMS[g]["difc"] for g in range(1, 7)]) * r.difc_focused
    assert (np.abs(r.difc - truth) < 4 * r.difc_error).all()
    assert (np.abs(r.tzero - [TERMS[g]["tzero"] for g in range(1, 7)]) < 4 * r.tzero_error).all()
    assert (r.difa == 0).all()
    assert np.isnan(r.difa_error).all()
    assert np.nanmedian(r.chi2) == pytest.approx(1.0, abs=0.6)
    assert (r.peaks_used <= r.peaks_expected).all()


def test_nothing_to_correct_is_left_alone(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    """Peaks where they belong: DIFC alone is recommended and changes by less than 40 ppm."""
    spectra = simulator.spectra(np.random.default_rng(3), neutrons=1e6)
    found = calibrate(spectra, table, grouping, simulator.parameters, peaks)
    assert set(found.results.model) == {"DIFC"}
    np.testing.assert_allclose(found.table.difc, table.difc, rtol=4e-5)


def test_groups_further_off_than_their_windows_are_found(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    """1.2 % is four widths in group 1."""
    terms = {1: {"difc": 1.012}, 2: {"difc": 0.988}}
    spectra = simulator.spectra(np.random.default_rng(7), neutrons=3e5, terms=terms)
    warnings: list[str] = []
    found = calibrate(spectra, table, grouping, simulator.parameters, peaks, warnings=warnings)
    assert (errors(simulator, table, found.table, grouping, terms)[:2] < 1e-4).all()
    assert [w.split(" lies")[0] for w in warnings if "lies off" in w] == ["Group 1", "Group 2"]


def test_a_group_with_too_few_peaks_is_masked_with_a_warning(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    """Group 2 has no counts; pixels masked before keep their reason, other groups and its table are untouched."""
    spectra = simulator.spectra(np.random.default_rng(5))
    y = spectra.y.copy()
    y[1] = 0.0
    first = np.flatnonzero(grouping.group == 2)[0]
    reason = np.zeros(PIXELS, np.uint8)
    reason[first] = MaskReason.USER
    warnings: list[str] = []
    found = calibrate(
        replace(spectra, y=y),
        table,
        grouping,
        simulator.parameters,
        peaks,
        mask=PixelMask(table.detid, reason),
        warnings=warnings,
    )
    assert found.results.model[1] == ""
    assert np.isnan(found.results.difc[1])
    assert found.mask.reason[first] == MaskReason.USER
    assert found.mask.counts()[MaskReason.GROUP_FAILED] == np.count_nonzero(grouping.group == 2) - 1
    np.testing.assert_array_equal(found.table.difc[grouping.group == 2], table.difc[grouping.group == 2])
    assert len(warnings) == 1
    assert "Group 2 is masked" in warnings[0]
    assert "no counts" in warnings[0]


def test_a_group_that_expects_no_peaks_is_masked_too(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    without = {g: p for g, p in peaks.items() if g != 3}
    warnings: list[str] = []
    spectra = simulator.spectra(np.random.default_rng(5))
    found = calibrate(spectra, table, grouping, simulator.parameters, without, warnings=warnings)
    assert found.results.model[2] == ""
    assert found.results.peaks_expected[2] == 0
    assert any("Group 3 is masked" in w and "no peaks expected" in w for w in warnings)


def test_fewer_peaks_than_preferred_warn(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    warnings: list[str] = []
    spectra = simulator.spectra(np.random.default_rng(5))
    calibrate(spectra, table, grouping, simulator.parameters, peaks, warnings=warnings, preferred_peaks=99)
    assert len(warnings) == 6
    assert all("usable peaks" in w for w in warnings)


def test_no_usable_group_at_all_is_an_error(
    simulator, table: DiffCalTable, grouping: PixelGrouping, peaks: dict[int, ExpectedPeaks]
) -> None:
    spectra = simulator.spectra(np.random.default_rng(5))
    with pytest.raises(CalibrationError, match="No group has enough Bragg peaks") as caught:
        calibrate(replace(spectra, y=np.zeros_like(spectra.y)), table, grouping, simulator.parameters, peaks)
    assert "no counts" in caught.value.found
    assert caught.value.fix


def test_an_outlier_is_rejected_with_its_reason(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    """A peak of another phase, 0.3 % off: not used, named, and the group's DIFC is as without it."""
    spectra = simulator.spectra(np.random.default_rng(5), neutrons=1e6)
    fits = fit_peaks(spectra, peaks, options=STANDARD, progress=Progress())
    centre = fits.centre.copy()
    bad = int(np.flatnonzero((fits.group == 3) & fits.used)[2])
    centre[bad] *= 1.003
    spoilt, judged = fit_group_terms(replace(fits, centre=centre), simulator.parameters, options=STANDARD)
    assert not judged.used[bad]
    assert judged.why_not[bad].startswith("outlier")
    clean, _ = fit_group_terms(fits, simulator.parameters, options=STANDARD)
    assert spoilt.difc[2] == pytest.approx(clean.difc[2], rel=3e-5)
    tolerant = STANDARD.model_copy(update={"outlier_sigmas": None})
    assert fit_group_terms(replace(fits, centre=centre), simulator.parameters, options=tolerant)[1].used[bad]


def test_rejected_peaks_take_no_part(simulator, peaks: dict[int, ExpectedPeaks]) -> None:
    fits = fit_peaks(simulator.spectra(None), peaks, options=STANDARD, progress=Progress())
    bad = int(np.flatnonzero(fits.group == 3)[2])
    wrong = replace(
        fits,
        centre=np.where(np.arange(len(fits)) == bad, 3.0, fits.centre),
        used=fits.used & (np.arange(len(fits)) != bad),
    )
    found, _ = fit_group_terms(wrong, simulator.parameters, options=STANDARD)
    assert found.difc[2] == pytest.approx(found.difc_focused[2], rel=1e-5)


def real_fits(measured, silicon: Reflections, parameters: GroupParameters) -> FitTable:
    peaks = expected_peaks(silicon, parameters, options=PeakOptions(), intensity_fraction=0.05)
    return fit_peaks(measured.spectra, peaks, options=STANDARD, progress=Progress())


def test_difc_alone_by_height_is_mantids(measured, parameters: GroupParameters) -> None:
    """PDCalibration of a real Mantid on the same data: within 50 ppm in every group."""
    options = PRESETS["snapred"].groups
    fits = fit_peaks(measured.spectra, measured.windows, options=options, progress=Progress())
    found, _ = fit_group_terms(fits, parameters, options=options)
    assert set(found.model) == {"DIFC"}
    np.testing.assert_allclose(found.difc / measured.difc, 1.0, atol=5e-5)


SHIFTS_OF_THE_PEAKS = [(0.02, 0.07), (-0.005, 0.05), (0.02, 0.08), (0.26, 0.35), (0.44, 0.56), (0.70, 0.80)]
"""Percent, from independent Gaussian fits of the measured run's peaks 220 to 511, in groups 5 and 6 also 111."""


def test_difc_alone_by_errors_lies_within_the_shifts_of_the_peaks(
    measured, silicon: Reflections, parameters: GroupParameters
) -> None:
    options = STANDARD.model_copy(update={"model": "DIFC"})
    found, _ = fit_group_terms(real_fits(measured, silicon, parameters), parameters, options=options)
    for shift, (low, high) in zip(100 * (found.difc / found.difc_focused - 1), SHIFTS_OF_THE_PEAKS, strict=True):
        assert low <= shift <= high


@pytest.mark.parametrize("fraction", [0.05, 0.01])
def test_criterion_rejects_difc_alone_for_the_measured_run(
    measured, silicon: Reflections, parameters: GroupParameters, fraction: float
) -> None:
    """The recommended model leaves a median |strain| below 1.5e-4 in groups 1 to 4, with few peaks and with many."""
    peaks = expected_peaks(silicon, parameters, options=PeakOptions(), intensity_fraction=fraction)
    fits = fit_peaks(measured.spectra, peaks, options=STANDARD, progress=Progress())
    found, judged = fit_group_terms(fits, parameters, options=STANDARD)
    assert "DIFC" not in found.model
    assert "Recommended: DIFC+" in found.criterion
    for i in range(4):
        rows = judged.used & (judged.group == found.group[i])
        tof = found.difc_focused[i] * judged.centre[rows]
        d = d_from_tof(tof, difc=found.difc[i], difa=found.difa[i], tzero=found.tzero[i])
        assert np.median(np.abs(d / judged.d[rows] - 1)) < 1.5e-4


@pytest.mark.parametrize("weights", ["errors", "height squared"])
def test_difc_alone_lies_within_the_shifts_of_the_simulated_peaks(
    simulator, peaks: dict[int, ExpectedPeaks], weights: str
) -> None:
    """With a time offset that DIFC alone cannot take up; the criterion rejects it."""
    fits = fit_peaks(
        simulator.spectra(np.random.default_rng(5), neutrons=1e6, terms=TERMS),
        peaks,
        options=STANDARD,
        progress=Progress(),
    )
    options = STANDARD.model_copy(update={"model": "DIFC", "weights": weights})
    found, judged = fit_group_terms(fits, simulator.parameters, options=options)
    assert "Recommended: DIFC+TZERO" in found.criterion
    for i, group in enumerate(found.group):
        strain = judged.strain[judged.used & (judged.group == group)]
        assert strain.min() - 1e-9 <= found.difc[i] / found.difc_focused[i] - 1 <= strain.max() + 1e-9
