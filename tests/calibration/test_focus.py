"""Histograms of events against numpy's own histogram and the conversion formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.focus import LogGrid, focus, pixel_spectra, pixels_in_use, shared_grid
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    Geometry,
    GroupParameters,
    MaskReason,
    PixelGrouping,
    PixelMask,
    TofWindow,
)
from snapcal_workbench.calibration.units import d_from_tof, tof_from_d
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.progress import Progress

GROUPS = np.array([3, 7], np.int32)


@pytest.fixture
def parameters() -> GroupParameters:
    return GroupParameters(
        group=GROUPS,
        l2=np.array([0.5, 0.5]),
        two_theta=np.array([1.2, 1.8]),
        azimuth=np.zeros(2),
        d_min=np.array([0.7, 0.9]),
        d_max=np.array([2.4, 2.0]),
        delta_d=np.array([0.004, 0.003]),
        l1=15.0,
        tof_min=3000.0,
        tof_max=14000.0,
    )


@pytest.fixture
def events() -> Events:
    return make_events(np.random.default_rng(4), weighted=False)


def make_events(rng: np.random.Generator, *, weighted: bool, pixels: int = 50, per_pixel: int = 400) -> Events:
    counts = rng.poisson(per_pixel, pixels)
    counts[5] = 0
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tof = rng.uniform(3000.0, 14000.0, start[-1]).astype(np.float32)
    weight = rng.uniform(0.5, 20.0, start[-1]).astype(np.float32) if weighted else None
    geometry = Geometry(
        np.arange(pixels, dtype=np.int32) * 3,
        15.0,
        np.full(pixels, 0.5),
        np.linspace(1.0, 2.0, pixels),
        np.zeros(pixels),
    )
    return Events(tof, start, geometry, TofWindow(3000.0, 14000.0), weight=weight)


@pytest.fixture
def table(events) -> DiffCalTable:
    """A table with all three terms, of sizes that real ones have."""
    rng = np.random.default_rng(5)
    n = len(events.geometry)
    return DiffCalTable(events.geometry.detid, events.geometry.difc, rng.normal(0, 5.0, n), rng.normal(0, 10.0, n))


@pytest.fixture
def grouping(events) -> PixelGrouping:
    n = len(events.geometry)
    return PixelGrouping(events.geometry.detid, np.where(np.arange(n) < 20, 3, np.where(np.arange(n) < 45, 7, 0)))


def histogram(events: Events, table: DiffCalTable, pixel: int, edges: np.ndarray) -> np.ndarray:
    """numpy's histogram of one pixel's d-spacings."""
    part = slice(events.start[pixel], events.start[pixel + 1])
    d = d_from_tof(
        events.tof[part].astype(np.float64), difc=table.difc[pixel], difa=table.difa[pixel], tzero=table.tzero[pixel]
    )
    weight = None if events.weight is None else events.weight[part].astype(np.float64)
    return np.histogram(d, edges, weights=weight)[0]


@pytest.mark.parametrize("weighted", [False, True])
def test_pixel_spectra_agree_with_numpy(table, parameters, weighted):
    events = make_events(np.random.default_rng(8), weighted=weighted)
    grid = shared_grid(parameters, 10)
    pixels = np.array([7, 5, 40])
    spectra = pixel_spectra(events, table, pixels, grid)
    assert spectra.dtype == np.float32
    expected = [histogram(events, table, p, grid.edges) for p in pixels]
    np.testing.assert_allclose(spectra, expected, rtol=1e-5)
    assert spectra[1].sum() == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_focused_spectra_are_sums_of_the_used_pixels_within_each_range(table, grouping, parameters, weighted):
    events = make_events(np.random.default_rng(9), weighted=weighted)
    mask = PixelMask(table.detid, np.where(np.arange(50) % 7 == 0, MaskReason.USER, 0).astype(np.uint8))
    spectra = focus(events, table, grouping, mask, parameters)
    for row, group in enumerate(GROUPS):
        pixels = np.flatnonzero((grouping.group == group) & ~mask.masked)
        expected = np.sum([histogram(events, table, int(p), spectra.edges) for p in pixels], axis=0)
        inside = (spectra.edges[:-1] >= parameters.d_min[row] * (1 - 1e-6)) & (
            spectra.edges[1:] <= parameters.d_max[row] * (1 + 1e-6)
        )
        np.testing.assert_allclose(spectra.y[row], np.where(inside, expected, 0.0), rtol=1e-6)
        np.testing.assert_array_equal(spectra.detids[row], table.detid[pixels])
    np.testing.assert_allclose(spectra.e**2, spectra.y)
    np.testing.assert_array_equal(spectra.number, GROUPS)
    assert spectra.unit == "dSpacing"


def test_bins_are_logarithmic_from_the_least_to_the_largest_d(events, table, grouping, parameters):
    spectra = focus(events, table, grouping, PixelMask.none(table.detid), parameters, bins_per_delta_d=5)
    assert parameters.bin_width(5) == pytest.approx(0.003 / 5)
    np.testing.assert_allclose(spectra.edges[1:] / spectra.edges[:-1], 1 + 0.003 / 5, rtol=1e-9)
    assert spectra.edges[0] == pytest.approx(0.7)
    assert 2.4 <= spectra.edges[-1] < 2.4 * (1 + 0.003 / 5)


@pytest.mark.parametrize("weighted", [False, True])
def test_result_does_not_depend_on_the_number_of_threads(monkeypatch, table, grouping, parameters, weighted):
    monkeypatch.setattr("snapcal_workbench.calibration.focus._EVENTS_PER_CHUNK", 1500)
    events = make_events(np.random.default_rng(10), weighted=weighted)
    one, four = (
        focus(events, table, grouping, PixelMask.none(table.detid), parameters, threads=threads) for threads in (1, 4)
    )
    np.testing.assert_array_equal(one.y, four.y)


def test_a_larger_difc_moves_the_spectrum_down_by_whole_bins(events, parameters):
    grid = shared_grid(parameters, 10)
    table = DiffCalTable.from_geometry(events.geometry)
    larger = replace(table, difc=table.difc * np.exp(7.5 * grid.step))
    pixels = np.arange(50)
    before = pixel_spectra(events, replace(table, difc=table.difc * np.exp(0.5 * grid.step)), pixels, grid)
    after = pixel_spectra(events, larger, pixels, grid)
    moved = np.count_nonzero(after[:, :-7] != before[:, 7:])
    assert moved <= 4, "only an event on a bin's very edge may fall to either side"


def test_round_trip_of_events_at_known_d_spacings(parameters):
    grid = shared_grid(parameters, 10)
    centres = np.sqrt(grid.edges[1:] * grid.edges[:-1])
    difc, difa, tzero = (np.array([value]) for value in (6000.0, -40.0, 25.0))
    tof = tof_from_d(centres, difc=difc, difa=difa, tzero=tzero).astype(np.float32)
    geometry = Geometry(np.array([1], np.int32), 15.0, np.array([0.5]), np.array([1.5]), np.zeros(1))
    events = Events(tof, np.array([0, len(tof)]), geometry, TofWindow(1.0, 1e5))
    table = DiffCalTable(geometry.detid, difc, difa, tzero)
    np.testing.assert_array_equal(pixel_spectra(events, table, np.array([0]), grid)[0], 1.0)


def test_bad_events_are_not_counted(parameters):
    tof = np.array([np.nan, -5.0, 0.0, np.inf, 9000.0, 9000.0, 9000.0], np.float32)
    weight = np.array([1, 1, 1, 1, np.nan, np.inf, 2.5], np.float32)
    geometry = Geometry(np.array([1, 2], np.int32), 15.0, np.full(2, 0.5), np.full(2, 1.5), np.zeros(2))
    events = Events(tof, np.array([0, 7, 7]), geometry, TofWindow(1.0, 1e5), weight=weight)
    spectra = pixel_spectra(events, DiffCalTable.from_geometry(geometry), np.arange(2), shared_grid(parameters, 10))
    assert spectra[0].sum() == 2.5
    assert spectra[1].sum() == 0
    assert events.counts[0] == pytest.approx(1 + 1 + 1 + 1 + 2.5)


def test_a_tof_that_no_d_gives_and_a_pixel_without_difc_are_not_counted(parameters):
    geometry = Geometry(np.array([1, 2], np.int32), 15.0, np.full(2, 0.5), np.full(2, 1.5), np.zeros(2))
    events = Events(np.full(2, 9000.0, np.float32), np.array([0, 1, 2]), geometry, TofWindow(1.0, 1e5))
    table = DiffCalTable(geometry.detid, np.array([5000.0, np.nan]), np.array([-5e3, 0.0]), np.zeros(2))
    assert pixel_spectra(events, table, np.arange(2), shared_grid(parameters, 10)).sum() == 0


def test_group_without_used_pixels_is_empty(events, table, grouping, parameters):
    mask = PixelMask(table.detid, np.where(grouping.group == 3, MaskReason.USER, 0).astype(np.uint8))
    spectra = focus(events, table, grouping, mask, parameters)
    assert spectra.y[0].sum() == 0
    assert len(spectra.detids[0]) == 0
    assert spectra.y[1].sum() > 0
    used = pixels_in_use(grouping, mask.reason, parameters)
    np.testing.assert_array_equal(used, grouping.group == 7)


def test_full_bins_leave_out_a_bin_that_is_partly_outside():
    grid = LogGrid.between(1.0, 2.0, 0.01)
    part = grid.full_bins(grid.edges[10] * 1.001, grid.edges[20] * 1.001)
    assert (part.start, part.stop) == (11, 20)
    whole = grid.full_bins(0.5, 3.0)
    assert (whole.start, whole.stop) == (0, grid.bins)
    outside = grid.full_bins(3.0, 4.0)
    assert outside.start == outside.stop


def test_focus_can_be_cancelled(events, table, grouping, parameters):
    with pytest.raises(Cancelled):
        focus(
            events,
            table,
            grouping,
            PixelMask.none(table.detid),
            parameters,
            progress=Progress(is_cancelled=lambda: True),
        )


def test_empty_range_is_an_error_that_says_what_to_do():
    with pytest.raises(InputError, match="TOF window"):
        LogGrid.between(2.0, 1.0, 0.001)
