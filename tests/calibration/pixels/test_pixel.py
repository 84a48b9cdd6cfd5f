"""The pixel calibration as a whole, with both estimators where the promise is the loop's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.pixels import pixel
from snapcal_workbench.calibration.pixels.estimator import PassEstimate
from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    MaskReason,
    PixelGrouping,
    PixelMask,
    Spectra,
)
from snapcal_workbench.errors import CalibrationError, Cancelled, InputError
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from tests.osiris import grouped, read_osiris, spread_events
from tests.synthetic_pixels import SILICON, WINDOW, information_per_event, one_group, panel, simulate

SIGMA = 0.003
COUNTS = 3000
CORRELATION = PixelOptions(estimator="correlation")
BOTH = [CORRELATION, PixelOptions(estimator="likelihood")]


def robust_sigma(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


@pytest.fixture(scope="module")
def geometry():
    return panel(2, 12)


@pytest.fixture(scope="module")
def injected(geometry):
    """A symmetric spread: half of the pixels up, half down, nothing in the median."""
    rng = np.random.default_rng(21)
    size = rng.uniform(0.8e-3, 2.0e-3, len(geometry) // 2)
    return rng.permutation(np.concatenate([size, -size]))


@pytest.fixture(scope="module")
def events(geometry, injected) -> Events:
    rng = np.random.default_rng(22)
    return simulate(geometry, SILICON, geometry.difc * np.exp(injected), np.full(len(geometry), SIGMA), COUNTS, rng)


def calibrate(events: Events, *, options=CORRELATION, table=None, reason=None, group=None, progress=None, known=None):
    grouping, parameters = one_group(events.geometry, SIGMA)
    if group is not None:
        grouping = PixelGrouping(grouping.detid, group)
    mask = PixelMask.none(grouping.detid) if reason is None else PixelMask(grouping.detid, reason)
    return calibrate_pixels(
        events,
        table or DiffCalTable.from_geometry(events.geometry),
        grouping,
        mask,
        parameters,
        options=options,
        progress=progress or Progress(),
        known=known,
    )


def test_a_repeated_step_that_knows_the_pixels_aligned_comes_out_as_near_the_truth(events, geometry, injected):
    """As one that looks for them anew: both within a fifth of a pixel's error of each other, and no further off."""
    options = PixelOptions(estimator="likelihood")
    first = calibrate(events, options=options)
    anew, going_on = (
        calibrate(events, options=options, table=first.table, known=known) for known in (None, first.results)
    )
    sigma = np.median(first.results.sigma)
    errors = [np.log(one.table.difc / geometry.difc) - injected for one in (anew, going_on)]
    assert robust_sigma(errors[1] - errors[0]) < 0.2 * sigma
    assert robust_sigma(errors[1]) < 1.02 * robust_sigma(errors[0])
    assert (going_on.stop, len(going_on.passes)) == ("converged", 1)


@pytest.mark.parametrize("options", BOTH, ids=lambda o: o.estimator)
def test_a_symmetric_spread_is_removed_and_not_called_converged_at_once(events, geometry, injected, options):
    """SNAPRed's |median of signed offsets| is near 0 here from the start, and would stop after one pass."""
    result = calibrate(events, options=options)
    bound = 1 / np.sqrt(COUNTS * np.median(information_per_event(SILICON, geometry.difc, SIGMA)))
    assert abs(np.median(injected)) < 0.1 * np.median(np.abs(injected))
    assert result.stop == "converged"
    assert len(result.passes) >= 2
    assert result.passes[0].median_ppm > 0.5e6 * np.median(np.abs(injected))
    assert robust_sigma(result.results.shift - injected) < 1.4 * bound
    assert result.passes[-1].bound_ppm == pytest.approx(1e6 * bound, rel=0.4)


def test_table_results_and_passes_belong_together(events, geometry):
    result = calibrate(events)
    np.testing.assert_allclose(result.table.difc, geometry.difc * np.exp(result.results.shift), rtol=1e-12)
    kept = [p for p in result.passes if p.kept]
    assert len(kept) == 1
    assert kept[0].median_ppm == min(p.median_ppm for p in result.passes)
    assert [p.number for p in result.passes] == list(range(1, len(result.passes) + 1))
    assert result.passes[-1].group_median_ppm[1] == pytest.approx(result.passes[-1].median_ppm)
    assert result.message.startswith("Converged in pass")


def test_another_run_from_the_result_finds_nothing_left(events):
    first = calibrate(events)
    again = calibrate(events, table=first.table)
    assert len(again.passes) == 1
    assert again.passes[0].median_ppm < 0.1 * first.passes[0].median_ppm


def test_masked_and_ungrouped_pixels_keep_their_difc(events, geometry):
    reason = np.zeros(len(geometry), np.uint8)
    reason[:10] = MaskReason.USER
    group = np.ones(len(geometry), np.int32)
    group[10:20], group[20:30] = 0, 5
    result = calibrate(events, reason=reason, group=group)
    np.testing.assert_array_equal(result.table.difc[:30], geometry.difc[:30])
    np.testing.assert_array_equal(result.mask.reason[:10], MaskReason.USER)
    np.testing.assert_array_equal(result.mask.reason[10:30], 0)
    assert np.all(result.results.shift[:30] == 0)
    assert np.all(result.table.difc[30:] != geometry.difc[30:])
    assert result.passes[-1].masked == 10
    assert result.passes[-1].newly_masked == 0


def test_difa_and_tzero_stay(events, geometry):
    table = DiffCalTable.from_geometry(geometry)
    table = replace(table, difa=table.difa + 2.0, tzero=table.tzero - 3.0)
    result = calibrate(events, table=table)
    np.testing.assert_array_equal(result.table.difa, table.difa)
    np.testing.assert_array_equal(result.table.tzero, table.tzero)


def test_empty_pixels_and_bad_weights_are_masked_with_a_reason(events, geometry):
    weight = np.ones(len(events.tof), np.float32)
    weight[events.start[4] : events.start[6]] = 0
    weight[events.start[6] : events.start[7]] = np.nan
    weight[events.start[50] : events.start[50] + 5] = np.nan
    result = calibrate(replace(events, weight=weight))
    assert result.mask.counts() == {MaskReason.NO_COUNTS: 3}
    np.testing.assert_array_equal(np.flatnonzero(result.mask.masked), [4, 5, 6])
    np.testing.assert_array_equal(result.table.difc[4:7], geometry.difc[4:7])
    assert "no counts: 3" in result.message
    assert result.results.events[50] == np.diff(events.start)[50] - 5


def test_too_many_masked_pixels_are_an_error_with_counts_and_advice(events, geometry):
    keep = np.repeat(np.arange(len(geometry)) % 4 > 0, np.diff(events.start))
    start = np.concatenate([[0], np.cumsum(keep)])[events.start].astype(np.int64)
    quarter_dead = Events(events.tof[keep], start, geometry, WINDOW)
    with pytest.raises(CalibrationError) as error:
        calibrate(quarter_dead)
    n = len(geometry)
    assert "at most 15%" in error.value.what
    assert error.value.found == f"{n // 4} of {n} pixels newly masked (no counts: {n // 4})"
    assert "Mask the detectors that saw no neutrons" in error.value.fix
    assert "max_newly_masked" in error.value.fix
    allowed = calibrate(quarter_dead, options=CORRELATION.model_copy(update={"max_newly_masked": 0.3}))
    assert allowed.passes[-1].newly_masked in (0, n // 4)
    assert allowed.mask.counts() == {MaskReason.NO_COUNTS: n // 4}


def test_pixels_masked_before_do_not_count_as_newly_masked(events, geometry):
    reason = np.where(np.arange(len(geometry)) % 3 == 0, MaskReason.INHERITED, 0).astype(np.uint8)
    assert calibrate(events, reason=reason).stop == "converged"


def test_all_masked_no_events_and_wrong_pixels_are_errors(events, geometry):
    n = len(geometry)
    with pytest.raises(CalibrationError, match=f"{n} of {n} pixels masked"):
        calibrate(events, reason=np.full(n, MaskReason.USER, np.uint8))
    with pytest.raises(CalibrationError, match="groups 1"):
        calibrate(events, group=np.full(n, 9, np.int32))
    empty = Events(np.zeros(0, np.float32), np.zeros(n + 1, np.int64), geometry, WINDOW)
    with pytest.raises(CalibrationError, match="needs neutron events"):
        calibrate(empty)
    other = DiffCalTable.from_geometry(replace(geometry, detid=geometry.detid + 1))
    with pytest.raises(InputError, match="table must be of the same pixels"):
        calibrate(events, table=other)


def _note(seen: list[str], fraction: float, text: str) -> None:
    seen.append(text)


def test_cancel_in_any_pass_leaves_nothing_half_done(events, geometry):
    table = DiffCalTable.from_geometry(geometry)
    before = table.difc.copy()
    for message in ("Pass 1", "Pass 2"):
        seen: list[str] = []
        progress = Progress(partial(_note, seen), is_cancelled=partial(seen.__contains__, message))
        with pytest.raises(Cancelled, match=message.lower()):
            calibrate(events, table=table, progress=progress)
    np.testing.assert_array_equal(table.difc, before)


class Scripted:
    """An estimator whose passes are given: shifts by pixel, and reasons by pass and pixel."""

    def __init__(self, shifts, reasons=None):
        self._shifts, self._reasons = shifts, reasons or {}
        self.tables: list[np.ndarray] = []

    def estimate(self, table, reason, number, progress):
        self.tables.append(table.difc)
        found = PassEstimate.empty(len(table))
        found.shift[:] = np.where(reason == 0, self._shifts[number - 1], 0.0)
        for which, why in self._reasons.get(number, {}).items():
            found.reason[which], found.shift[which] = why, 0.0
        return found


def scripted(monkeypatch, events, estimator, **settings):
    monkeypatch.setattr(pixel, "make_estimator", lambda *_: estimator)
    return calibrate(events, **settings)


def test_a_diverging_loop_keeps_the_pass_with_the_smallest_increments(monkeypatch, events, geometry):
    estimator = Scripted([3e-3, 1e-3, 9e-3])
    result = scripted(monkeypatch, events, estimator)
    assert result.stop == "diverging"
    np.testing.assert_allclose(result.results.shift, 4e-3)
    assert [p.kept for p in result.passes] == [False, True, False]
    np.testing.assert_allclose(estimator.tables[2], geometry.difc * np.exp(4e-3))
    assert "pass 2" in result.message


def test_a_pixel_masked_in_a_later_pass_gets_its_first_difc_back(monkeypatch, events, geometry):
    estimator = Scripted([3e-3, 1e-3, 1e-6], {2: {8: MaskReason.AT_LIMIT}, 3: {9: MaskReason.BAD_SHAPE}})
    result = scripted(monkeypatch, events, estimator)
    assert result.stop == "converged"
    np.testing.assert_array_equal(result.table.difc[[8, 9]], geometry.difc[[8, 9]])
    np.testing.assert_array_equal(result.results.reason[[8, 9]], [MaskReason.AT_LIMIT, MaskReason.BAD_SHAPE])
    assert [p.newly_masked for p in result.passes] == [0, 1, 1]
    assert [p.masked for p in result.passes] == [0, 1, 2]


def test_the_largest_number_of_passes_is_reported_as_such(monkeypatch, events):
    options = CORRELATION.model_copy(update={"max_passes": 2})
    result = scripted(monkeypatch, events, Scripted([3e-3, 2e-3]), options=options)
    assert result.stop == "max iterations"
    assert "without converging" in result.message


def fwhm(spectra: Spectra, row: int, d: float) -> float:
    """Relative full width at half maximum of a strong peak above the line between its feet, 1.2 % either side."""
    centres = np.sqrt(spectra.edges[1:] * spectra.edges[:-1])
    near = np.abs(np.log(centres / d)) < 0.012
    x, y = np.log(centres[near]), spectra.y[row][near]
    y = y - np.interp(x, x[[0, -1]], [y[:5].mean(), y[-5:].mean()])
    top = int(np.argmax(y))
    left = np.interp(0.5 * y[top], np.maximum.accumulate(y[: top + 1]), x[: top + 1])
    right = np.interp(0.5 * y[top], np.maximum.accumulate(y[top:][::-1]), x[top:][::-1])
    return float(right - left)


def test_whoever_watches_sees_each_pass(events):
    seen: list[Any] = []
    result = calibrate(events, progress=Progress(on_interim=seen.append))
    assert [found.number for found in seen] == [record.number for record in result.passes]
    assert [found.median_ppm for found in seen] == [record.median_ppm for record in result.passes]
    assert [found.masked for found in seen] == [record.masked for record in result.passes]
    kept = next(found for found, record in zip(seen, result.passes, strict=True) if record.kept)
    np.testing.assert_array_equal(kept.shift, result.results.shift)
    np.testing.assert_array_equal(kept.reason, result.results.reason)
    assert kept.geometry is events.geometry


@pytest.mark.parametrize("options", BOTH, ids=lambda o: o.estimator)
def test_measured_spectra_of_osiris(reference_data, options):
    """960 real detectors in four banks; some 25 of them see another pattern and have to be masked."""
    data = read_osiris(reference_data)
    events = spread_events(data, np.arange(960), parts=4)
    grouping, parameters = grouped(events, 240, 0.0025)
    table = DiffCalTable.from_geometry(events.geometry)
    result = calibrate_pixels(
        events,
        table,
        grouping,
        PixelMask.none(table.detid),
        parameters,
        options=options,
        progress=Progress(),
    )
    assert result.stop == "converged"
    assert len(result.passes) <= 5
    assert np.mean(result.mask.masked) <= 0.03
    before, after = (focus(events, t, grouping, result.mask, parameters) for t in (table, result.table))
    peaks = (1.137, 1.212, 1.649, 2.312)
    ratio = np.array([[fwhm(after, row, d) / fwhm(before, row, d) for d in peaks] for row in range(4)])
    assert np.all(ratio[:, 3] < 0.95), "the strongest peak, in each bank"
    assert ratio.mean() < 0.985
    assert ratio.max() < 1.1


def shuffled(events: Events, seed: int) -> Events:
    """The same events, those of each pixel in another order."""
    pixel = np.repeat(np.arange(len(events.geometry)), np.diff(events.start))
    order = np.lexsort((np.random.default_rng(seed).random(len(pixel)), pixel))
    weight = None if events.weight is None else events.weight[order]
    return replace(events, tof=events.tof[order], weight=weight)


@pytest.mark.parametrize("options", BOTH, ids=lambda o: o.estimator)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_order_of_a_pixel_s_events_does_not_matter(events, options, weighted):
    """Loaders differ in it: LoadEventNexus, the facility's files, our own reader."""
    if weighted:
        weight = np.random.default_rng(24).uniform(0.2, 3.0, len(events.tof)).astype(np.float32)
        tof = events.tof.copy()
        tof[1::2] = tof[::2]  # as many events of one TOF and two weights
        events = replace(events, tof=tof, weight=weight)
    options = options.model_copy(update={"max_passes": 2})
    first, second = calibrate(events, options=options), calibrate(shuffled(events, 25), options=options)
    np.testing.assert_allclose(second.table.difc, first.table.difc, rtol=1e-12)
    np.testing.assert_array_equal(second.mask.reason, first.mask.reason)
    np.testing.assert_allclose(second.results.sigma, first.results.sigma, rtol=1e-9)
