"""The likelihood estimator against injected truth, the Cramer-Rao bound, and measured spectra."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from snapcal_workbench.calibration.pixels.likelihood import kernels as likelihood_kernels
from snapcal_workbench.calibration.pixels.likelihood.estimate import LikelihoodEstimator
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    Geometry,
    GroupParameters,
    MaskReason,
    PixelGrouping,
    PixelLayout,
    TofWindow,
)
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from tests.osiris import Osiris, grouped, read_osiris, spread_events, thinned_events
from tests.synthetic_pixels import (
    DIAMOND,
    POOR,
    SILICON,
    WINDOW,
    Outcome,
    Sample,
    information_per_event,
    module_shape,
    one_group,
    panel,
    passes,
    simulate,
    spread,
)

DELTA_D = 0.0035
WITH_PRIOR = PixelOptions()
WITHOUT_PRIOR = PixelOptions(shrink=False)


def align(
    events: Events,
    true_difc: np.ndarray,
    options: PixelOptions = WITH_PRIOR,
    *,
    table: DiffCalTable | None = None,
    delta_d: float = DELTA_D,
    number: int = 3,
    threads: int | None = None,
) -> Outcome:
    grouping, parameters = one_group(events.geometry, delta_d)
    estimator = LikelihoodEstimator(events, grouping, parameters, options, threads=threads)
    return passes(estimator, table or DiffCalTable.from_geometry(events.geometry), true_difc, number)


def bound(events: Events, sample: Sample = SILICON, delta_d: float = DELTA_D) -> np.ndarray:
    """Cramer-Rao bound of each pixel with the counts it has."""
    information = information_per_event(sample, events.geometry.difc, delta_d)
    return 1.0 / np.sqrt(np.maximum(events.counts, 1.0) * information)


def silicon(
    geometry: Geometry, shift: np.ndarray, counts: float | np.ndarray, seed: int, sample: Sample = SILICON
) -> tuple[Events, np.ndarray]:
    true_difc = geometry.difc * np.exp(shift)
    rng = np.random.default_rng(seed)
    return simulate(geometry, sample, true_difc, np.full(len(geometry), DELTA_D), counts, rng), true_difc


@pytest.mark.parametrize("sample", [SILICON, DIAMOND, POOR], ids=["silicon", "diamond", "poor"])
def test_own_estimates_reach_the_bound_with_honest_errors(sample: Sample) -> None:
    """Robust error at most 1.1 bounds and pulls of width 1, whatever the strength of the peaks."""
    geometry, rng = panel(2, 24), np.random.default_rng(3)
    counts = 8000 if sample is POOR else 1500
    events, true_difc = silicon(geometry, module_shape(geometry, rng), counts, 4, sample)
    for options in (WITH_PRIOR, WITHOUT_PRIOR):
        outcome = align(events, true_difc, options, number=2)
        ratio = (outcome.own_error / bound(events, sample))[outcome.used]
        assert np.mean(outcome.used) > 0.99
        assert spread(ratio) < 1.1
        assert 0.9 < spread((outcome.own_error / outcome.last.own_sigma)[outcome.used]) < 1.1
        assert 0.85 < np.nanmedian(outcome.last.chi2) < 1.15


@pytest.mark.parametrize(("counts", "at_least", "masked"), [(300, 0.995, 0.15), (500, 0.999, 0.05)])
@pytest.mark.parametrize("options", [WITH_PRIOR, WITHOUT_PRIOR], ids=["prior", "own"])
def test_starts_up_to_2_percent_off_are_recovered(
    counts: int, at_least: float, masked: float, options: PixelOptions
) -> None:
    """Every pixel starts anywhere within +-2 %, so that the sum of the group shows no peaks at first."""
    geometry, rng = panel(2, 24), np.random.default_rng(11)
    delta_d = 0.0028
    true_difc = geometry.difc * np.exp(rng.uniform(-0.02, 0.02, len(geometry)))
    events = simulate(geometry, SILICON, true_difc, np.full(len(geometry), delta_d), counts, rng)
    outcome = align(events, true_difc, options, delta_d=delta_d, number=4)
    assert outcome.recovered_or_flagged(bound(events, delta_d=delta_d)) >= at_least
    assert np.mean(~outcome.used) < masked


def native_case(modules: int, side: int, counts: float) -> tuple[Events, np.ndarray, np.ndarray]:
    """A native detector: module steps, smooth field, 100 ppm between blocks, 200 ppm between pixels."""
    geometry, rng = panel(modules, side), np.random.default_rng(21)
    assert geometry.layout is not None
    layout = geometry.layout
    block = (layout.module * (side // 8) + layout.x // 8) * (side // 8) + layout.y // 8
    shift = module_shape(geometry, rng) + 1e-4 * rng.standard_normal(int(block.max()) + 1)[block]
    shift += 2e-4 * rng.standard_normal(len(geometry))
    events, true_difc = silicon(geometry, shift, counts, 22)
    return events, true_difc, shift


def check_native(outcome: Outcome, events: Events, shift: np.ndarray) -> None:
    used = outcome.used
    assert spread(outcome.error[used]) < 0.5 * spread(outcome.own_error[used])
    assert spread(outcome.error[used]) < spread(shift)
    assert outcome.outliers(outcome.error, bound(events)) < 0.01
    assert np.mean(used) > 0.99
    assert np.median(outcome.last.sigma[used]) < 0.5 * np.median(outcome.last.own_sigma[used])


def test_native_pixels_with_85_events_gain_from_their_module_and_block() -> None:
    """With the prior the error is under half of that without, and under the spread before."""
    events, true_difc, shift = native_case(1, 80, 85)
    check_native(align(events, true_difc), events, shift)


@pytest.mark.long
def test_native_modules_of_full_size_with_85_events() -> None:
    """As above with full modules. The noise of a pixel is 13 times the spread of pixels that the prior is learned from,
    so that spread, and with it the pulls, are known to some 25 %.
    """
    events, true_difc, shift = native_case(3, 256, 85)
    outcome = align(events, true_difc)
    check_native(outcome, events, shift)
    assert 0.75 < spread((outcome.error / outcome.last.sigma)[outcome.used]) < 1.25


def test_the_errors_of_drawn_estimates_are_honest() -> None:
    """Where the spread of the pixels can be learned the pulls with the prior have width 1, whatever share it has."""
    geometry, rng = panel(3, 24), np.random.default_rng(27)
    shift = module_shape(geometry, rng) + 4e-4 * rng.standard_normal(len(geometry))
    events, true_difc = silicon(geometry, shift, rng.choice([300.0, 1000.0, 4000.0], len(geometry)), 28)
    outcome = align(events, true_difc)
    pulls = (outcome.error / outcome.last.sigma)[outcome.used]
    assert np.mean(outcome.used) > 0.99
    assert 0.9 < spread(pulls) < 1.1
    assert spread(outcome.error[outcome.used]) < 0.8 * spread(outcome.own_error[outcome.used])


def real_shape(folder: Path, modules: slice) -> tuple[Geometry, np.ndarray]:
    """Geometry and misalignment of some modules of a real calibration, with a layout."""
    with h5py.File(folder / "snap_057514_lite_difc.h5") as file:
        part = slice(modules.start * 1024, modules.stop * 1024)
        l2, angle = file["L2"][part], np.radians(file["two_theta"][part])
        difc, l1 = file["difc"][part], float(file["L1"][()])
    module, x, y = np.unravel_index(np.arange(len(l2)), (len(l2) // 1024, 32, 32))
    layout = PixelLayout(module.astype(np.int16), x.astype(np.int16), y.astype(np.int16), 32)
    geometry = Geometry(np.arange(len(l2), dtype=np.int32), l1, l2, angle, np.zeros(len(l2)), layout)
    return geometry, np.log(difc / geometry.difc)


def check_never_worse(geometry: Geometry, shift: np.ndarray, counts: int, seed: int) -> None:
    events, true_difc = silicon(geometry, shift, counts, seed)
    outcome = align(events, true_difc)
    used = outcome.used
    limit = min(1.15 * np.median(bound(events)), spread(shift))
    assert np.mean(used) > 0.99
    assert spread(outcome.error[used]) < limit


@pytest.mark.parametrize("counts", [300, 2000])
def test_lite_pixels_are_never_worse_than_left_alone(counts: int) -> None:
    """With few events the spread before is the limit, with many the bound: the error stays below both."""
    geometry = panel(3, 16)
    check_never_worse(geometry, module_shape(geometry, np.random.default_rng(1)), counts, 2)


@pytest.mark.parametrize("counts", [300, 1000])
def test_one_column_of_a_real_calibration(reference_data: Path, counts: int) -> None:
    """The same with the measured misalignment of three modules."""
    check_never_worse(*real_shape(reference_data, slice(0, 3)), counts, 5)


@pytest.mark.long
@pytest.mark.parametrize("counts", [300, 1000, 3000, 10000])
@pytest.mark.parametrize("column", range(6))
def test_every_column_of_a_real_calibration(reference_data: Path, counts: int, column: int) -> None:
    """The same for all columns, from 300 to 10,000 events a pixel."""
    check_never_worse(*real_shape(reference_data, slice(3 * column, 3 * column + 3)), counts, 6 + column)


@pytest.mark.parametrize("counts", [50, 110])
@pytest.mark.parametrize("seed", [1, 2])
def test_more_passes_of_a_short_run_do_not_lose_what_the_first_has_found(counts: int, seed: int) -> None:
    """So few events leave a pixel's own place open: the modules hold each other, and the group as a whole drifts."""
    geometry, rng = panel(3, 32, two_theta=66.0, tilt=9.0), np.random.default_rng(seed)
    shift = module_shape(geometry, rng)
    events, true_difc = silicon(geometry, shift, counts, seed)
    first, last = (align(events, true_difc, number=number) for number in (1, 5))
    assert spread(last.error[last.used]) < min(1.1 * spread(first.error[first.used]), 0.6 * spread(shift))
    assert np.mean(~last.used) < 0.01
    assert np.median(np.abs(last.last.shift[last.used])) < 0.02 * DELTA_D


def test_an_aligned_start_is_not_spoilt() -> None:
    """Pixels that are already right to a few ppm stay so, although their own estimates scatter by hundreds."""
    geometry, rng = panel(2, 24), np.random.default_rng(5)
    events, true_difc = silicon(geometry, module_shape(geometry, rng) + 4e-4 * rng.standard_normal(1152), 300, 6)
    good = true_difc * np.exp(2e-5 * rng.standard_normal(1152))
    outcome = align(events, true_difc, table=replace(DiffCalTable.from_geometry(geometry), difc=good))
    assert spread(outcome.error) < 0.25 * np.median(bound(events))
    assert spread(outcome.own_error) > 0.9 * np.median(bound(events))


def test_the_answer_stays_when_it_is_iterated_or_started_from() -> None:
    """More passes, and a second calibration of the same events from the first one's table, change nothing."""
    geometry, rng = panel(2, 24), np.random.default_rng(7)
    shift = module_shape(geometry, rng) + 3e-4 * rng.standard_normal(1152)
    events, true_difc = silicon(geometry, shift, 800, 8)
    first, longer = align(events, true_difc), align(events, true_difc, number=5)
    again = align(events, true_difc, table=first.table)
    for other in (longer, again):
        assert np.all(other.used)
        assert spread(other.error - first.error) < 0.1 * np.median(first.last.sigma)
        np.testing.assert_allclose(np.median(other.last.sigma), np.median(first.last.sigma), rtol=0.1)


def test_pixels_with_0_1_or_10_events_get_honest_answers() -> None:
    """Without events a pixel is masked; with one or ten it stands where its module says, with that error."""
    geometry, rng = panel(2, 24), np.random.default_rng(9)
    counts = np.full(1152, 2000.0)
    few = np.arange(0, 1152, 8)
    shift = module_shape(geometry, rng) + 2e-4 * rng.standard_normal(1152)
    counts[few] = np.resize([0.0, 1.0, 10.0], len(few))
    events, true_difc = silicon(geometry, shift, counts, 10)
    outcome = align(events, true_difc)
    empty, some = events.counts == 0, (events.counts > 0) & (events.counts < 30)
    assert np.all(outcome.reason[empty] == MaskReason.NO_COUNTS)
    assert np.all(outcome.last.shift[empty] == 0)
    assert np.all(np.isinf(outcome.last.sigma[empty]))
    assert np.all(outcome.used[some])
    assert np.max(outcome.last.sigma[some]) < 4e-4
    pulls = outcome.error[some] / outcome.last.sigma[some]
    assert 0.7 < np.std(pulls) < 1.3
    assert np.median(outcome.last.own_sigma[some]) > 2e-3


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, with many small chunks."""
    monkeypatch.setattr("snapcal_workbench.calibration.pixels.likelihood.group.EVENTS_PER_CHUNK", 5000)
    geometry = panel(1, 16)
    events, true_difc = silicon(geometry, module_shape(geometry, np.random.default_rng(1)), 300, 12)
    one, three = (align(events, true_difc, threads=threads, number=2) for threads in (1, 3))
    for name in ("shift", "sigma", "own_shift", "own_sigma", "chi2", "reason"):
        np.testing.assert_array_equal(getattr(one.last, name), getattr(three.last, name))


def as_histogram(events: Events, width: float) -> Events:
    """The same counts as weights at the centres of logarithmic TOF bins."""
    pixel = np.repeat(np.arange(len(events.geometry)), np.diff(events.start))
    k = np.floor(np.log(events.tof.astype(float) / WINDOW.minimum) / width).astype(int)
    key, counts = np.unique(pixel * 100_000 + k, return_counts=True)
    tof = WINDOW.minimum * np.exp((key % 100_000 + 0.5) * width)
    start = np.searchsorted(key // 100_000, np.arange(len(events.geometry) + 1))
    return Events(tof.astype(np.float32), start, events.geometry, events.window, weight=counts.astype(np.float32))


def test_a_histogram_gives_what_its_events_give() -> None:
    """Weighted bin centres, of bins a tenth of a peak wide, instead of single events."""
    geometry = panel(1, 16)
    events, true_difc = silicon(geometry, module_shape(geometry, np.random.default_rng(1)), 2000, 13)
    plain = align(events, true_difc, WITHOUT_PRIOR)
    binned = align(as_histogram(events, DELTA_D / 10), true_difc, WITHOUT_PRIOR)
    difference = plain.error - binned.error
    assert spread(difference) < 0.15 * np.median(plain.last.own_sigma)
    np.testing.assert_allclose(np.median(binned.last.own_sigma), np.median(plain.last.own_sigma), rtol=0.05)


def test_time_offset_and_difa_of_the_table_are_taken_into_account() -> None:
    """TOF = DIFC d + DIFA d^2 + TZERO with large terms, and a gap where a prompt pulse was cut out."""
    geometry, rng = panel(1, 24), np.random.default_rng(14)
    shift = 1e-3 * rng.standard_normal(len(geometry))
    events, true_difc = silicon(geometry, shift, 2000, 15)
    difa, tzero = 20.0 + 4 * rng.random(len(geometry)), -25.0 + 5 * rng.random(len(geometry))
    pixel = np.repeat(np.arange(len(geometry)), np.diff(events.start))
    d = events.tof / true_difc[pixel]
    tof = tof_from_d(d, difc=true_difc[pixel], difa=difa[pixel], tzero=tzero[pixel])
    gap = (4300.0, 4600.0)
    kept = (tof < gap[0]) | (tof > gap[1])
    start = np.concatenate([[0], np.cumsum(np.bincount(pixel[kept], minlength=len(geometry)))])
    window = TofWindow(WINDOW.minimum, WINDOW.maximum, (gap,))
    moved = Events(tof[kept].astype(np.float32), start.astype(np.int64), geometry, window)
    table = DiffCalTable(geometry.detid, geometry.difc, difa, tzero)
    outcome = align(moved, true_difc, WITHOUT_PRIOR, table=table, number=4)
    assert np.all(outcome.used)
    assert spread(outcome.error / bound(moved)) < 1.1


def test_another_part_of_the_incident_spectrum_is_not_taken_for_a_shift() -> None:
    """Pixels 30 degrees apart see the peaks on other slopes; with high statistics their errors still agree."""
    geometry = panel(1, 16, tilt=34.0)
    events, true_difc = silicon(geometry, np.zeros(len(geometry)), 12000, 16)
    outcome = align(events, true_difc, WITHOUT_PRIOR)
    edge = np.argsort(geometry.difc)
    low, high = outcome.error[edge[:80]], outcome.error[edge[-80:]]
    limit = bound(events).mean()
    assert spread(outcome.error) < 1.1 * limit
    assert abs(np.median(low) - np.median(high)) < 0.4 * limit


def with_spectrum(events: Events, pixel: int, tof: np.ndarray) -> Events:
    first, last = events.start[pixel], events.start[pixel + 1]
    start = events.start.copy()
    start[pixel + 1 :] += len(tof) - (last - first)
    return replace(
        events, tof=np.concatenate([events.tof[:first], tof.astype(np.float32), events.tof[last:]]), start=start
    )


def test_bad_pixels_are_masked_with_their_reasons() -> None:
    """A flat pixel has no peak, a pixel that fires at one time has a bad shape, a useless DIFC cannot be fitted."""
    geometry, rng = panel(1, 20), np.random.default_rng(17)
    events, true_difc = silicon(geometry, module_shape(geometry, rng), 2000, 18)
    flat = simulate(panel(1, 1), replace(SILICON, peak_part=0.0), np.array([7000.0]), np.array([0.003]), 2000, rng)
    events = with_spectrum(events, 50, flat.tof)
    events = with_spectrum(events, 60, np.concatenate([flat.tof[:1000], rng.normal(5000.0, 20.0, 1000)]))
    table = DiffCalTable.from_geometry(geometry)
    difc = table.difc.copy()
    difc[70] = np.nan
    outcome = align(events, true_difc, table=replace(table, difc=difc))
    assert outcome.reason[50] == MaskReason.NO_PEAK
    assert outcome.reason[60] in (MaskReason.BAD_SHAPE, MaskReason.NO_PEAK, MaskReason.AT_LIMIT)
    assert outcome.reason[70] == MaskReason.FIT_FAILED
    assert np.count_nonzero(outcome.reason) == 3


def test_a_pixel_beyond_the_search_is_masked_and_one_within_it_is_found_against_its_module() -> None:
    """A single pixel 1.5 % off its module is moved there; one 3.5 % off cannot be."""
    geometry, rng = panel(1, 20), np.random.default_rng(19)
    shift = module_shape(geometry, rng)
    shift[[33, 200]] += [0.015, 0.035]
    events, true_difc = silicon(geometry, shift, 3000, 20)
    outcome = align(events, true_difc)
    assert outcome.used[33]
    assert abs(outcome.error[33]) < 6 * bound(events)[33]
    assert outcome.reason[200] != 0
    assert np.count_nonzero(outcome.reason) == 1


@pytest.mark.parametrize("pixels", [2, 3, 10])
def test_small_groups_align_with_each_other(pixels: int) -> None:
    """No pixel is compared with itself, so two pixels find their true distance."""
    geometry = panel(1, 4)
    events, true_difc = silicon(geometry, np.resize([4e-3, -4e-3, 1e-3], 16), 20000, 23)
    _, parameters = one_group(geometry, DELTA_D)
    grouping = PixelGrouping(geometry.detid, (np.arange(16) < pixels).astype(np.int32))
    estimator = LikelihoodEstimator(events, grouping, parameters, WITH_PRIOR)
    outcome = passes(estimator, DiffCalTable.from_geometry(geometry), true_difc, 4)
    error = np.log(outcome.table.difc / true_difc)[:pixels]
    assert np.all(outcome.reason == 0)
    assert np.ptp(error) < 6 * np.sqrt(2) * bound(events)[0]
    assert np.all(outcome.last.shift[pixels:] == 0)


def test_a_group_of_one_pixel_stays_where_it_is() -> None:
    """Its mean is free, so the shift is 0, and the data say nothing about it."""
    geometry = panel(1, 4)
    events, true_difc = silicon(geometry, np.zeros(16), 1000, 24)
    grouping, parameters = (
        PixelGrouping(geometry.detid, (np.arange(16) == 5).astype(np.int32)),
        one_group(geometry, 0.003)[1],
    )
    outcome = passes(
        LikelihoodEstimator(events, grouping, parameters, WITH_PRIOR), DiffCalTable.from_geometry(geometry), true_difc
    )
    assert np.all(outcome.last.shift == 0)
    assert np.isinf(outcome.last.sigma[5])


def test_cancel_ends_a_pass_at_once() -> None:
    """However early or late the user cancels, the pass ends with Cancelled."""
    geometry = panel(1, 16)
    events, _ = silicon(geometry, np.zeros(256), 300, 25)
    grouping, parameters = one_group(geometry, DELTA_D)
    for allowed in (0, 3, 12):
        answers = iter([False] * allowed)
        progress = Progress(is_cancelled=partial(next, answers, True))
        estimator = LikelihoodEstimator(events, grouping, parameters, WITH_PRIOR)
        with pytest.raises(Cancelled):
            estimator.estimate(DiffCalTable.from_geometry(geometry), np.zeros(256, np.uint8), 1, progress)


def test_kernels_are_compiled_once_for_all_inputs() -> None:
    """Other dtypes and sizes of the events lead to no new signature."""
    geometry = panel(1, 6)
    events, true_difc = silicon(geometry, np.zeros(36), 400, 26)
    weighted = replace(events, weight=np.ones(len(events.tof), np.float64))
    wide = replace(events, tof=events.tof.astype(np.float64), start=events.start.astype(np.int32))
    for variant in (events, weighted, wide):
        align(variant, true_difc, number=1)
    for name in ("accumulate", "solve", "unit_curves", "goodness"):
        assert len(getattr(likelihood_kernels, name).signatures) == 1


def osiris_group(data: Osiris, events: Events) -> tuple[PixelGrouping, GroupParameters]:
    return grouped(events, len(data.counts), 0.003)


def osiris_truth(data: Osiris) -> tuple[Outcome, float]:
    """Full-statistics outcome, and the information per event of the aligned sum, independently of the estimator."""
    events = spread_events(data, np.arange(len(data.counts)), 1)
    estimator = LikelihoodEstimator(events, *osiris_group(data, events), WITHOUT_PRIOR)
    table = DiffCalTable.from_geometry(data.geometry)
    outcome = passes(estimator, table, table.difc)
    width = 2e-4
    log_tof = np.log(0.5 * (data.edges[1:] + data.edges[:-1]))
    origin = log_tof[0] - np.log(outcome.table.difc.max()) - width
    total = np.zeros(int((log_tof[-1] - np.log(outcome.table.difc.min()) - origin) / width) + 2)
    for difc, counts in zip(outcome.table.difc[outcome.used], data.counts[outcome.used], strict=True):
        np.add.at(total, ((log_tof - np.log(difc) - origin) / width).astype(int), counts)
    shape = gaussian_filter1d(total / total.sum(), 3) + 1e-12
    return outcome, float(np.sum(np.gradient(shape, width) ** 2 / shape))


def check_osiris(data: Osiris, truth: Outcome, information: float, counts: int) -> None:
    events = thinned_events(data, np.arange(len(data.counts)), counts, 1)
    limit = np.full(len(data.counts), 1.0 / np.sqrt(counts * information))
    for options in (WITH_PRIOR, WITHOUT_PRIOR):
        estimator = LikelihoodEstimator(events, *osiris_group(data, events), options)
        outcome = passes(estimator, DiffCalTable.from_geometry(data.geometry), truth.table.difc)
        both = outcome.used & truth.used
        error = (outcome.error - np.median(outcome.error[both]))[both]
        assert spread(error) < (1.25 if counts < 300 else 1.10) * limit[0]
        assert np.mean(np.abs(error) > 6 * limit[0]) < 0.005
        assert np.mean(~outcome.used & truth.used) < 0.05


def test_osiris_thinned_reaches_the_bound(reference_data: Path) -> None:
    """Measured spectra of 960 detectors, thinned; the truth is the outcome at full statistics."""
    data = read_osiris(reference_data)
    truth, information = osiris_truth(data)
    assert np.mean(~truth.used) <= 0.03
    for counts in (50, 300):
        check_osiris(data, truth, information, counts)


@pytest.mark.long
def test_osiris_thinned_reaches_the_bound_everywhere(reference_data: Path) -> None:
    """The same from 50 to 20,000 events a pixel."""
    data = read_osiris(reference_data)
    truth, information = osiris_truth(data)
    for counts in (50, 100, 300, 1000, 5000, 20000):
        check_osiris(data, truth, information, counts)
