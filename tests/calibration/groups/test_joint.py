"""The joint fit of all groups' patterns, against patterns of known truth and a measured run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.accounting import joint_evidence, placed_peaks
from snapcal_workbench.calibration.groups.convention import convention_table, curve_terms, group_curve
from snapcal_workbench.calibration.groups.group import calibrate_groups
from snapcal_workbench.calibration.groups.joint import joint_account, joint_results
from snapcal_workbench.calibration.groups.pattern.data import background_splines
from snapcal_workbench.calibration.groups.pattern.fit import UNKNOWN_PROFILE, PatternOptions, fit_pattern
from snapcal_workbench.calibration.groups.profile import combined_profile
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FloatArray,
    GroupParameters,
    MaskReason,
    ModeratorProfile,
    PatternFit,
    PixelGrouping,
    PixelMask,
    Reflections,
    Spectra,
)
from snapcal_workbench.calibration.types.pattern import Convention, GroupFocus
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.errors import CalibrationError
from snapcal_workbench.options import GroupOptions
from snapcal_workbench.progress import Progress
from tests.back_to_back import Moderator, Truth, drawn, some
from tests.benchmarks.joint_fit import measured
from tests.benchmarks.joint_fit import silicon as whole_silicon

D = np.array([0.7, 1.2, 1.9, 3.0])
SHIFT = np.array([0.4, -1.1, 0.9]) * 1e-3


@pytest.fixture(scope="module")
def truth(parameters: GroupParameters, silicon: Reflections) -> Truth:
    """Three groups, DIFC off by about 0.1 %, and a time offset of -5 us."""
    return Truth(some(parameters, [1, 4, 6]), silicon, SHIFT)


@pytest.fixture(scope="module")
def run(truth: Truth) -> tuple[Spectra, DiffCalTable]:
    return drawn(truth, 1, 2e6)


@pytest.fixture(scope="module")
def fit(truth: Truth, run: tuple[Spectra, DiffCalTable]) -> PatternFit:
    return fit_pattern(*run, truth.parameters, truth.reflections)


def errors(fit: PatternFit, truth: Truth, index: int, convention: Convention) -> tuple[FloatArray, FloatArray]:
    """Deviation of a group's curve from the truth and its standard error, relative, at those of `D` that it sees."""
    d = D[(fit.d_min[index] < D) & (fit.d_max[index] > D)]
    curve = group_curve(fit, truth.parameters, index, convention, d)
    tof = truth.maximum(index, d) if convention == "maximum" else truth.position(index, d)
    return curve.tof / tof - 1.0, np.sqrt(np.diag(curve.covariance)) / tof


def test_nothing_is_fitted_where_the_list_of_reflections_ends(truth: Truth, run: tuple[Spectra, DiffCalTable]) -> None:
    """The crystal's other peaks are in the data, but not in the model: they are neither background nor misfit."""
    all_of_them, limit = truth.reflections, 0.8
    listed = all_of_them.d >= limit
    fields = {name: getattr(all_of_them, name)[listed] for name in ("hkl", "d", "f_squared", "multiplicity")}
    found = fit_pattern(
        *run, truth.parameters, replace(all_of_them, **fields, d_min=limit), options=PatternOptions(hold_out=False)
    )
    assert (truth.parameters.d_min < limit).any()
    assert (found.d_min > limit).all()
    assert found.chi2_whole < 1.2


@pytest.mark.parametrize("index", range(3))
def test_the_maxima_are_where_they_are(fit: PatternFit, truth: Truth, index: int) -> None:
    """Within 30 ppm or two standard errors, and known to 20 ppm."""
    off, error = errors(fit, truth, index, "maximum")
    assert (np.abs(off) < np.maximum(30e-6, 2.0 * error)).all()
    assert (error < 20e-6).all()


def test_the_extent_of_the_pixels_is_seen(parameters: GroupParameters, silicon: Reflections) -> None:
    """A group whose pixels reach two sigmas to either side of their middle."""
    truth = Truth(some(parameters, [4]), silicon, np.zeros(1), extent=2.0)
    fit = fit_pattern(*drawn(truth, 1, 2e6), truth.parameters, silicon, options=PatternOptions(hold_out=False))
    (box,) = np.exp(fit.layout.get(fit.values, "box"))
    assert 1.5 < box < 2.7
    off, error = errors(fit, truth, 0, "maximum")
    assert (np.abs(off) < np.maximum(30e-6, 2.5 * error)).all()


def test_t0_is_known_as_well_as_its_error_says(truth: Truth, run: tuple[Spectra, DiffCalTable]) -> None:
    """T0 depends on the moderator's rise, of which a run says little: the error is large, and true."""
    fit = fit_pattern(*run, truth.parameters, truth.reflections, options=PatternOptions(hold_out=False))
    for index in range(3):
        off, error = errors(fit, truth, index, "T0")
        assert (np.abs(off) < 2.5 * error).all()
        assert (error > 50e-6).all()


def mean_decay(profile: ModeratorProfile, wavelength: float) -> float:
    """Mean time (us) that a pulse takes to decay, of its fast and its slow part."""
    decay, slow, part = profile.value.reshape(-1, 2)[1:] @ [1.0, np.log(wavelength)]
    share = 1.0 / (1.0 + np.exp(-part))
    slower = np.exp(2.0 * (1.0 - np.exp(-np.exp(slow) / 2.0)))
    return float(np.exp(-decay) * (1.0 - share + share * slower))


def test_a_learned_profile_makes_t0_better_known(truth: Truth, run: tuple[Spectra, DiffCalTable]) -> None:
    """What three runs say of the moderator is true; as the prior of a fourth T0 is known to less than 0.8 of the error.

    Of the decay it is the mean: a slow part that the truth has not is taken for a faster one.
    """
    options = PatternOptions(hold_out=False)
    runs = [drawn(truth, seed, 2e6) for seed in (2, 3, 4)]
    fits = [fit_pattern(*other, truth.parameters, truth.reflections, options=options) for other in runs]
    learned = combined_profile([fit.profile for fit in fits], UNKNOWN_PROFILE, ["2", "3", "4"])
    pulse, error = truth.moderator, np.sqrt(np.diag(learned.covariance))
    rise = np.array([np.log(pulse.rise), pulse.rise_power])
    assert (np.abs(learned.value[:2] - rise) < 3.0 * error[:2]).all()
    for wavelength in (1.0, 2.0):
        assert mean_decay(learned, wavelength) == pytest.approx(1.0 / pulse.pulse(wavelength)[1], rel=0.05)
    alone, helped = (
        fit_pattern(*run, truth.parameters, truth.reflections, profile=profile, options=options)
        for profile in (UNKNOWN_PROFILE, learned)
    )
    for index in range(3):
        before, (off, error) = errors(alone, truth, index, "T0")[1], errors(helped, truth, index, "T0")
        assert (error < 0.8 * before).all()
        assert (np.abs(off) < 3.0 * error).all()


def test_no_group_gets_terms_of_its_own_from_what_all_share(fit: PatternFit) -> None:
    """The truth is one DIFC a group and a moderator."""
    assert not fit.layout.tzero
    assert not fit.layout.difa
    assert not fit.layout.box
    assert 0.7 < fit.chi2_whole < 1.3
    assert fit.predictions[0].rms_ppm < 60.0
    assert (fit.missed < 60e-6).all()


def test_the_fit_converges_however_many_events_there_are(parameters: GroupParameters, silicon: Reflections) -> None:
    """Of 1e9 neutrons a group every error of the form is seen: rise, decay and width follow it along a narrow valley.

    The peaks are nearly Gaussians, which exponentials of any two equal lengths make.
    """
    short = Moderator(rise=3.0, rise_power=0.0, decay=3.0, decay_power=0.0, offset=-8.0)
    truth = Truth(parameters, silicon, np.random.default_rng(5).normal(0.0, 1e-3, 6), short)
    fit = fit_pattern(*drawn(truth, 1, 1e9), parameters, silicon, options=PatternOptions(hold_out=False))
    assert fit.converged
    for index in range(6):
        off, error = errors(fit, truth, index, "maximum")
        assert (np.abs(off) < 3.0 * error).all()
        assert (error < 5e-6).all()


@pytest.mark.long
def test_a_shared_term_that_is_there_is_in(parameters: GroupParameters) -> None:
    """Left out, it bends the curves by several of their errors: here it improves the prediction by 0.7 of its error."""
    shift = np.random.default_rng(1007).normal(0.0, 1e-3, 6)
    sine = np.sin(parameters.two_theta / 2.0)
    wide = replace(parameters, d_min=0.68 / (2.0 * sine), d_max=3.35 / (2.0 * sine))
    truth = Truth(wide, whole_silicon(), shift, Moderator(inverse=3.0))
    fit = fit_pattern(*drawn(truth, 7, 2e6), wide, truth.reflections)
    assert "1/lambda" in fit.layout.t0
    pulls = np.concatenate([np.divide(*errors(fit, truth, index, "maximum")) for index in range(6)])
    assert np.sqrt(np.mean(pulls**2)) < 1.5


def test_peaks_are_counted_that_say_where_they_are(fit: PatternFit) -> None:
    """The significant ones of the calibrant, whatever lies beside them, as long as their own places are known."""
    own = (fit.lines.group == 4) & np.isfinite(fit.lines.deviation)
    error = np.where(own & (fit.lines.d > 1.5), 1e-3, fit.lines.deviation_error)
    blurred = replace(fit, lines=replace(fit.lines, deviation_error=error))
    far = np.count_nonzero(own & (fit.lines.d > 1.5) & (fit.lines.deviation_error < 300e-6))
    assert far >= 2
    assert placed_peaks(blurred, 4) == placed_peaks(fit, 4) - far > 3
    assert placed_peaks(fit, 2) == placed_peaks(None, 4) == 0


def test_a_table_of_few_terms_represents_the_curve(fit: PatternFit, truth: Truth) -> None:
    """DIFC, DIFA and TZERO give the curve back; DIFC alone says how far off it is."""
    for index in range(3):
        curve = group_curve(fit, truth.parameters, index, "maximum")
        terms = curve_terms(curve)
        difc, difa, tzero = terms.value
        given = tof_from_d(curve.d, difc=difc, difa=difa, tzero=tzero)
        assert np.sqrt(np.mean((given / curve.tof - 1.0) ** 2)) == pytest.approx(terms.left)
        assert terms.left < 15e-6
        alone = curve_terms(curve, ["DIFC"])
        assert alone.left > 50e-6
        assert alone.error[0] >= alone.left * alone.value[0]


def test_the_difference_of_the_conventions_is_that_of_the_profile(fit: PatternFit, truth: Truth) -> None:
    """The maximum lies later than T0 by what the true profile says, up to the common offset that a run cannot tell."""
    table = convention_table(fit, truth.parameters, D)
    assert np.isnan(table[0, 3])
    assert np.isfinite(table[2, 3])
    for index in range(3):
        seen = np.isfinite(table[index])
        later = truth.maximum(index, D[seen]) / truth.position(index, D[seen]) - 1.0
        np.testing.assert_allclose(table[index, seen], later, atol=6e-4)


def test_a_fit_goes_on_where_another_ended(fit: PatternFit, truth: Truth, run: tuple[Spectra, DiffCalTable]) -> None:
    again = fit_pattern(*run, truth.parameters, truth.reflections, start=fit, options=PatternOptions(hold_out=False))
    assert again.layout.text() == fit.layout.text()
    assert again.iterations <= 4
    np.testing.assert_array_equal(again.missed, fit.missed)
    for index in range(3):
        one, other = (group_curve(f, truth.parameters, index, "maximum", np.array([0.9, 1.8])) for f in (fit, again))
        np.testing.assert_allclose(one.tof, other.tof, rtol=5e-6)


def test_the_verdict_knows_what_the_joint_fit_says(fit: PatternFit, truth: Truth) -> None:
    """Of the group that is meant, with the errors of what all groups share; of one without a joint fit nothing."""
    account = joint_account(fit, truth.parameters, UNKNOWN_PROFILE, "T0")
    told = joint_evidence(replace(fit, missed=np.array([1e-5, 4e-4, 2e-5])), truth.parameters, 4, account)
    assert told[:2] == (4e-4, fit.chi2[1])
    assert told[2] > 50e-6  # a run says little of T0, however well its peaks agree with each other
    assert joint_evidence(fit, truth.parameters, 4, replace(account, convention="maximum"))[2] < 20e-6
    assert np.isnan(joint_evidence(fit, truth.parameters, 2, account)).all()
    assert np.isnan(joint_evidence(None, truth.parameters, 4, None)).all()


def calibrated(
    truth: Truth, run: tuple[Spectra, DiffCalTable], peaks: dict[int, ExpectedPeaks], **options: object
) -> tuple[DiffCalTable, PixelMask, PatternFit | None]:
    """The run's table after the group step."""
    spectra, table = run
    group = np.repeat(truth.parameters.group, 3)
    found = calibrate_groups(
        spectra,
        table,
        PixelGrouping(table.detid, group),
        PixelMask.none(table.detid),
        truth.parameters,
        {int(g): peaks[int(g)] for g in truth.parameters.group},
        reflections=truth.reflections,
        options=GroupOptions(**options),
        progress=Progress(),
    )
    return found.table, found.mask, found.pattern


def test_the_group_step_puts_the_maxima_on_the_table(
    truth: Truth, run: tuple[Spectra, DiffCalTable], peaks: dict[int, ExpectedPeaks]
) -> None:
    """The TOF that the table gives the middle pixel of each group is where its peaks are highest."""
    table, mask, pattern = calibrated(truth, run, peaks)
    assert pattern is not None
    assert not mask.masked.any()
    for index in range(3):
        d = D[(pattern.d_min[index] < D) & (pattern.d_max[index] > D)]
        pixel = 3 * index + 1
        tof = tof_from_d(d, difc=table.difc[pixel], difa=table.difa[pixel], tzero=table.tzero[pixel])
        np.testing.assert_allclose(tof, truth.maximum(index, d), rtol=40e-6)


def test_no_more_reflections_are_fitted_than_the_pattern_has(
    fit: PatternFit, truth: Truth, peaks: dict[int, ExpectedPeaks]
) -> None:
    """The fit takes reflections that overlap as well, so there are more of them than single peaks are listed."""
    results = joint_results(fit, truth.parameters, options=GroupOptions())
    assert (results.peaks_used <= results.peaks_expected).all()
    for group, used, expected in zip(results.group.tolist(), results.peaks_used, results.peaks_expected, strict=True):
        within = fit.group.tolist().index(group)
        d = truth.reflections.d
        inside = np.count_nonzero((d > fit.d_min[within]) & (d < fit.d_max[within]))
        assert len(peaks[group]) < used
        assert inside <= expected


def test_the_fit_is_told_in_one_plain_line(fit: PatternFit, truth: Truth) -> None:
    """Which models were tried is a table of the report."""
    told = joint_results(fit, truth.parameters, options=GroupOptions()).criterion
    rms = [p.rms_ppm for p in fit.predictions if p.kept][-1]
    assert told.startswith("The 3 groups were fitted together: peaks that were held out are foreseen within")
    assert f"within {rms:.0f} ppm (rms)" in told
    assert len(told) < 180
    assert "t0" not in told


def test_a_group_without_counts_is_masked(
    truth: Truth, run: tuple[Spectra, DiffCalTable], peaks: dict[int, ExpectedPeaks]
) -> None:
    spectra, table = run
    y = spectra.y.copy()
    y[1] = 0.0
    dead = replace(spectra, y=y, e=np.sqrt(y))
    _, mask, pattern = calibrated(truth, (dead, table), peaks)
    assert pattern is not None
    assert len(pattern) == 2
    assert (mask.reason[3:6] == MaskReason.GROUP_FAILED).all()
    assert not mask.masked[[0, 1, 2, 6, 7, 8]].any()


def test_a_run_without_peaks_is_refused_whatever_calibrant_is_allowed(
    truth: Truth, run: tuple[Spectra, DiffCalTable], peaks: dict[int, ExpectedPeaks]
) -> None:
    spectra, table = run
    y = np.random.default_rng(1).poisson(500.0, spectra.y.shape).astype(float)
    flat = replace(spectra, y=y, e=np.sqrt(y))
    with pytest.raises(CalibrationError, match="any_calibrant was given, but without peaks nothing can be fitted"):
        calibrated(truth, (flat, table), peaks, any_calibrant=True)


def test_peaks_that_the_user_leaves_out_do_not_count(
    truth: Truth, run: tuple[Spectra, DiffCalTable], peaks: dict[int, ExpectedPeaks]
) -> None:
    """The strongest peak of a group is spoiled; leaving it out gives back what it took."""
    spectra, table = run
    y = spectra.y.copy()
    centres = 0.5 * (spectra.edges[1:] + spectra.edges[:-1])
    wrong = peaks[1].d[-1] * 1.004
    y[0] += np.rint(0.8 * y[0].max() * np.exp(-0.5 * ((centres - wrong) / (0.003 * wrong)) ** 2))
    spoiled = replace(spectra, y=y, e=np.sqrt(y))
    h, k, l = (int(i) for i in peaks[1].hkl[-1])  # noqa: E741 - the field's own symbol
    dropped = (*peaks[1].dropped, ((h, k, l), float(peaks[1].d[-1]), "excluded by the user"))
    careful = {**peaks, 1: replace(peaks[1], dropped=dropped)}
    good, helped, fooled = (
        calibrated(truth, r, p)[0].difc[1]
        for r, p in ((run, peaks), ((spoiled, table), careful), ((spoiled, table), peaks))
    )
    assert abs(helped / good - 1.0) < 60e-6
    assert abs(fooled / good - 1.0) > abs(helped / good - 1.0)


def test_only_some_pixels_record_the_ends_of_a_range() -> None:
    """Pixels evenly at 0.9 to 1.1 of the group's DIFC, of which 1 to 3 A are recorded."""
    focus = GroupFocus(np.array([0.95, 1.05]), np.linspace(0.9, 1.1, 2001), (1.0, 3.0))
    d = np.array([0.95, 1.0, 2.0, 2.8, 3.0, 3.5])
    np.testing.assert_allclose(focus.part(d), [0.237, 0.5, 1.0, 0.857, 0.5, 0.0], atol=1e-3)
    np.testing.assert_allclose(focus.nodes(d[[2, 4]]), [[0.95, 1.05], [0.925, 0.975]], atol=1e-3)


def test_a_background_that_is_smooth_in_every_pixel_bends_where_the_first_of_them_ends() -> None:
    focus = GroupFocus(np.ones(1), np.linspace(0.9, 1.1, 2001), (0.5, 3.0))
    edges = np.geomspace(1.0, 3.2, 900)
    seen = (1.0 + 0.2 * edges[:-1]) * focus.part(edges[:-1]) * np.diff(np.log(edges))
    left = []
    for how in (focus, GroupFocus(np.ones(1))):
        basis = background_splines(edges, edges, 0.004, how)
        left.append(np.abs(basis @ np.linalg.lstsq(basis, seen, rcond=None)[0] - seen).max() / seen.max())
    assert left[0] < 3e-3
    assert left[1] > 5.0 * left[0]


@pytest.mark.long
@pytest.mark.parametrize(("name", "chi2", "ppm"), [("58882", 1.5, 80.0), ("57514", 4.5, 65.0)])
def test_the_measured_runs(name: str, chi2: float, ppm: float, reference_data: Path) -> None:
    """Chi-squared per degree of freedom, and by how much (rms) held-out peaks are missed."""
    spectra, table, own, shifts = measured(name, reference_data)
    fit = fit_pattern(spectra, table, own, whole_silicon(), shifts=shifts, options=PatternOptions(d_min=0.6))
    assert fit.chi2_whole < chi2
    assert [p.rms_ppm for p in fit.predictions if p.kept][-1] < ppm
    assert fit.error_factor > 1.0
    assert fit.layout.box
