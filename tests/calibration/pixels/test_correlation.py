"""The correlation estimator on simulated pixels with known shifts, and against a real Mantid."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.focus import LogGrid, pixel_spectra
from snapcal_workbench.calibration.pixels.correlation.estimate import CorrelationEstimator
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    GroupParameters,
    MaskReason,
    PixelGrouping,
    TofWindow,
)
from snapcal_workbench.errors import CalibrationError, Cancelled
from snapcal_workbench.options import PRESETS, PixelOptions
from snapcal_workbench.progress import Progress
from tests.osiris import read_osiris, rebinned_events, subset
from tests.synthetic_pixels import SILICON, WINDOW, cubic_sample, information_per_event, one_group, panel, simulate

SIGMA = 0.003
COUNTS = 3000
OPTIONS = PixelOptions(estimator="correlation")


def robust_sigma(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


@pytest.fixture(scope="module")
def geometry():
    return panel(2, 14)


@pytest.fixture(scope="module")
def injected(geometry):
    return np.random.default_rng(11).normal(0, 1.3e-3, len(geometry))


@pytest.fixture(scope="module")
def events(geometry, injected) -> Events:
    rng = np.random.default_rng(12)
    sigma = np.full(len(geometry), SIGMA)
    return simulate(geometry, SILICON, geometry.difc * np.exp(injected), sigma, COUNTS, rng)


@pytest.fixture(scope="module")
def bound(geometry) -> float:
    """Cramer-Rao bound of a pixel, from the closed form of the density."""
    return float(1 / np.sqrt(COUNTS * np.median(information_per_event(SILICON, geometry.difc, SIGMA))))


def estimate(events: Events, *, options: PixelOptions = OPTIONS, table=None, passes: int = 1, group=None, **settings):
    """The last of some passes, and the total shift."""
    grouping, parameters = one_group(events.geometry, SIGMA)
    if group is not None:
        grouping = PixelGrouping(grouping.detid, group)
    estimator = CorrelationEstimator(events, grouping, parameters, options, **settings)
    table = table or DiffCalTable.from_geometry(events.geometry)
    reason, total = np.zeros(len(table), np.uint8), np.zeros(len(table))
    for number in range(1, passes + 1):
        moved = replace(table, difc=table.difc * np.exp(total))
        found = estimator.estimate(moved, reason, number, Progress())
        reason = np.where(reason == 0, found.reason, reason).astype(np.uint8)
        total += found.shift
    return total, found, reason


def test_injected_shifts_are_recovered_near_the_bound_with_honest_errors(events, injected, bound):
    total, found, reason = estimate(events, passes=2)
    assert np.count_nonzero(reason) == 0
    error = total - injected
    assert robust_sigma(error) < 1.35 * bound
    assert robust_sigma(injected) > 3 * bound, "doing nothing must fail this test"
    assert 0.8 < robust_sigma(error / found.sigma) < 1.2
    assert np.mean(np.abs(error - np.median(error)) > 6 * bound) < 0.01


def test_the_aligned_sum_is_a_better_reference_than_one_pixel(events, injected):
    by_sum, _, _ = estimate(events, passes=2)
    by_one, found, reason = estimate(events, options=OPTIONS.model_copy(update={"reference": "median"}))
    used = reason == 0
    assert robust_sigma((by_sum - injected)[used]) < 0.8 * robust_sigma((by_one - injected)[used])
    assert found.shift[len(injected) // 2] == pytest.approx(0, abs=1e-6), "the reference itself"


def test_groups_have_no_common_shift_and_do_not_touch_each_other(events, injected):
    half = len(injected) // 2
    group = np.where(np.arange(len(injected)) < half, 1, 0).astype(np.int32)
    total, found, _ = estimate(events, group=group)
    assert np.median(total[:half]) == pytest.approx(0, abs=1e-9)
    assert np.all(total[half:] == 0)
    assert np.all(np.isinf(found.sigma[half:]))


def test_starts_up_to_the_limit_are_recovered(geometry, bound):
    rng = np.random.default_rng(13)
    far = rng.uniform(-0.013, 0.013, len(geometry))
    events = simulate(geometry, SILICON, geometry.difc * np.exp(far), np.full(len(geometry), SIGMA), COUNTS, rng)
    total, _, reason = estimate(events, passes=4)
    error = (total - far)[reason == 0]
    assert np.count_nonzero(reason) < 0.05 * len(far)
    assert np.mean(np.abs(error - np.median(error)) > 6 * bound) < 0.02


def test_a_pixel_does_not_attract_itself_in_a_group_of_two(geometry, bound):
    """With its own counts in the reference, each would correlate best with itself, at a shift of 0."""
    two = subset(geometry, np.array([100, 101]))
    shifts = np.array([0.0, 4e-3])
    rng = np.random.default_rng(14)
    events = simulate(two, SILICON, two.difc * np.exp(shifts), np.full(2, SIGMA), 10 * COUNTS, rng)
    _, found, _ = estimate(events)
    error = np.diff(found.shift)[0] - 2 * 4e-3
    assert abs(error) < 6 * 2 * np.sqrt(2 / 10) * bound, "each pixel moves by the distance to the other"


def test_reasons_of_unusable_pixels(events, geometry, injected):
    tof, start = events.tof.copy(), events.start
    rng = np.random.default_rng(15)
    flat, far, dead = 10, 20, 30
    tof[start[flat] : start[flat + 1]] = rng.uniform(WINDOW.minimum, WINDOW.maximum, start[flat + 1] - start[flat])
    tof[start[far] : start[far + 1]] *= np.float32(1.009 * np.exp(-injected[far]))
    counts = np.diff(start)
    keep = np.repeat(np.arange(len(counts)) != dead, counts)
    counts[dead] = 0
    damaged = Events(tof[keep], np.concatenate([[0], np.cumsum(counts)]), geometry, WINDOW)
    _, found, reason = estimate(damaged, options=OPTIONS.model_copy(update={"max_shift": 0.008}))
    assert reason[flat] == MaskReason.NO_PEAK
    assert reason[far] == MaskReason.AT_LIMIT
    assert reason[dead] == MaskReason.NO_COUNTS
    assert np.count_nonzero(reason) == 3
    assert np.all(found.shift[reason != 0] == 0)
    assert np.all(np.isinf(found.sigma[reason != 0]))


def test_the_limit_in_bins_counts_too(events):
    step = np.log1p(SIGMA / 10)
    _, found, reason = estimate(events, options=OPTIONS.model_copy(update={"max_offset_bins": 3.0}))
    assert np.count_nonzero(reason == MaskReason.AT_LIMIT) > 10
    assert np.max(np.abs(found.shift)) < 3.5 * step, "3 bins, and the group's median"


def test_masked_pixels_are_left_out_and_a_lonely_pixel_stays(events):
    grouping, parameters = one_group(events.geometry, SIGMA)
    estimator = CorrelationEstimator(events, grouping, parameters, OPTIONS)
    reason = np.full(len(events.geometry), MaskReason.USER, np.uint8)
    reason[7] = MaskReason.USED
    found = estimator.estimate(DiffCalTable.from_geometry(events.geometry), reason, 1, Progress())
    assert np.all(found.shift == 0)
    assert np.all(found.reason == 0)
    assert np.isinf(found.sigma[7])


def test_a_weight_is_a_number_of_events(events):
    """Each event once with weight 3 must say the same as each event three times."""
    first = events.start[60]
    geometry = subset(events.geometry, np.arange(60))
    heavy = Events(events.tof[:first], events.start[:61], geometry, WINDOW, weight=np.full(first, 3, np.float32))
    triple = Events(np.repeat(events.tof[:first], 3), events.start[:61] * 3, geometry, WINDOW)
    (_, a, _), (_, b, _) = estimate(heavy), estimate(triple)
    np.testing.assert_allclose(a.shift, b.shift, atol=1e-9)
    np.testing.assert_allclose(a.sigma, b.sigma, rtol=1e-6)


def test_weights_that_are_not_finite_count_nothing(events):
    weight = np.ones(len(events.tof), np.float32)
    weight[events.start[3] : events.start[4]] = np.nan
    _, found, reason = estimate(replace(events, weight=weight))
    assert reason[3] == MaskReason.NO_COUNTS
    assert np.count_nonzero(reason) == 1
    assert np.all(np.isfinite(found.shift))


def test_a_gap_in_tof_is_not_taken_for_a_peak():
    """Background alone, but for a removed prompt pulse: no pixel has a peak unless the gap is taken for one."""
    geometry = panel(1, 12, tilt=0.5)
    rng = np.random.default_rng(16)
    n = len(geometry)
    nothing = cubic_sample(5.43123, 0.0)
    full = simulate(geometry, nothing, geometry.difc, np.full(n, SIGMA), COUNTS, rng)
    gap = (5000.0, 5400.0)
    keep = (full.tof < gap[0]) | (full.tof > gap[1])
    start = np.concatenate([[0], np.cumsum(keep)])[full.start].astype(np.int64)
    window = TofWindow(WINDOW.minimum, WINDOW.maximum, (gap,))
    aware = Events(full.tof[keep], start, geometry, window)
    _, _, reason = estimate(aware)
    _, _, taken_in = estimate(replace(aware, window=WINDOW))
    assert np.mean(reason == MaskReason.USED) < 0.05
    assert np.mean(taken_in == MaskReason.USED) > 0.5


def test_tzero_and_difa_of_the_table_are_taken_into_account(geometry, bound):
    """With TZERO and DIFA in both the truth and the table, DIFC alone is out, and is found."""
    rng = np.random.default_rng(17)
    n = len(geometry)
    injected = rng.normal(0, 1e-3, n)
    plain = simulate(geometry, SILICON, geometry.difc * np.exp(injected), np.full(n, SIGMA), COUNTS, rng)
    owner = np.repeat(np.arange(n), np.diff(plain.start))
    table = DiffCalTable(geometry.detid, geometry.difc, rng.normal(0, 4, n), rng.normal(0, 12, n))
    scale = np.exp(injected)[owner]
    d = plain.tof / (geometry.difc[owner] * scale)
    tof = plain.tof + table.difa[owner] * (d * scale) ** 2 + table.tzero[owner]
    events = Events(tof.astype(np.float32), plain.start, geometry, WINDOW)
    total, _, _ = estimate(events, table=table, passes=2)
    ignored, _, _ = estimate(events, passes=2)
    assert robust_sigma(total - injected) < 1.35 * bound
    assert robust_sigma(ignored - injected) > 2 * bound


def test_result_does_not_depend_on_threads_or_memory(events):
    (_, one, _), (_, four, _) = estimate(events, threads=1), estimate(events, threads=4)
    small = OPTIONS.model_copy(update={"memory_mib": 16})
    _, blocks, _ = estimate(events, options=small)
    for name in ("shift", "sigma", "reason"):
        np.testing.assert_array_equal(getattr(one, name), getattr(four, name))
    np.testing.assert_allclose(one.shift, blocks.shift, atol=1e-7)


@pytest.mark.parametrize("reference", ["sum", "median"])
def test_peak_memory_stays_within_the_budget(events, reference):
    options = OPTIONS.model_copy(update={"memory_mib": 24, "reference": reference})
    estimate(events, options=options)
    grouping, parameters = one_group(events.geometry, SIGMA)
    bins = LogGrid.between(0.5, 2.6, parameters.bin_width(10)).bins
    estimator = CorrelationEstimator(events, grouping, parameters, options)
    table, reason = DiffCalTable.from_geometry(events.geometry), np.zeros(len(grouping.detid), np.uint8)
    tracemalloc.start()
    estimator.estimate(table, reason, 1, Progress())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    at_once = len(table) * bins * 4 * 5
    assert peak < 24 * 2**20
    assert at_once > 1.5 * 24 * 2**20, "all pixels at once would not fit"


def test_cancel_and_progress_within_a_pass(events):
    seen: list[float] = []
    options = OPTIONS.model_copy(update={"memory_mib": 16})
    grouping, parameters = one_group(events.geometry, SIGMA)
    estimator = CorrelationEstimator(events, grouping, parameters, options)
    start = DiffCalTable.from_geometry(events.geometry), np.zeros(len(events.geometry), np.uint8), 1
    estimator.estimate(*start, Progress(lambda fraction, _: seen.append(fraction)))
    assert seen == sorted(seen)
    assert len(seen) > 10
    calls = iter(range(1000))
    with pytest.raises(Cancelled):
        estimator.estimate(*start, Progress(is_cancelled=lambda: next(calls) > 5))


def test_an_empty_middle_pixel_is_an_error_that_names_it(events):
    weight = np.ones(len(events.tof), np.float32)
    n = len(events.geometry)
    middle = round((n - 1) / 2)
    weight[events.start[middle] : events.start[middle + 1]] = 0
    with pytest.raises(CalibrationError, match=f"pixel {middle}, .*\n.*'sum'"):
        estimate(replace(events, weight=weight), options=OPTIONS.model_copy(update={"reference": "median"}))


def test_offsets_of_a_real_mantid_with_its_recipe(reference_data):
    """CrossCorrelate and GetDetectorOffsets of Mantid 3.13 on 120 OSIRIS detectors; the file states the recipe."""
    expected = json.loads((reference_data / "mantid" / "cross_correlation_osiris.json").read_text())
    data, pixels = read_osiris(reference_data), np.array(expected["detector_index"])
    difc = subset(data.geometry, pixels).difc
    grid = LogGrid(data.edges[40] / data.geometry.difc.min(), expected["b"], expected["n_bins"])
    events = rebinned_events(data, pixels, grid.edges)
    one = np.ones(1)
    parameters = GroupParameters(
        np.array([1], np.int32), one, one, one, one * grid.d_min, one * grid.edges[-1], one * 10 * grid.width, 34, 0, 1
    )
    grouping = PixelGrouping(events.geometry.detid, np.ones(len(pixels), np.int32))
    options = PRESETS["snapred"].pixels.model_copy(update={"max_offset_bins": 40.0})
    estimator = CorrelationEstimator(events, grouping, parameters, options, fit_half_width=40)
    table = DiffCalTable(events.geometry.detid, difc, 0 * difc, 0 * difc)
    assert pixel_spectra(events, table, np.array([5]), grid).sum() == pytest.approx(events.counts[5], rel=1e-6), (
        "no count moves to another bin"
    )
    found = estimator.estimate(table, np.zeros(len(pixels), np.uint8), 1, Progress())
    np.testing.assert_array_equal(found.reason != 0, np.array(expected["masked"]) == 1)
    used = found.reason == 0
    difference = found.shift / grid.step - np.array(expected["peak_centre_bins"])
    assert used[expected["reference"]]
    assert found.shift[expected["reference"]] == pytest.approx(0, abs=1e-9)
    assert np.median(np.abs(difference[used])) < 0.01
    assert np.max(np.abs(difference[used])) < 0.05
