"""Workspaces' arrays become values, and back, without loss."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.calibration.types import (
    Geometry,
    LogValue,
    MaskReason,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.hosts import conversions
from snapcal_workbench.hosts.conversions import NOTE, note_of, run_info_of

RNG = np.random.default_rng(5)


def geometry(n: int) -> Geometry:
    return Geometry(np.arange(n, dtype=np.int32), 15.0, np.ones(n), np.linspace(1, 2, n), np.zeros(n))


def test_pixels_come_in_ascending_order_without_monitors_and_empty_spectra() -> None:
    found = conversions.pixel_spectra([(7,), (-1,), (3,), (), (5,)], "run")
    assert found.detid.tolist() == [3, 5, 7]
    assert found.spectrum.tolist() == [2, 4, 0]


@pytest.mark.parametrize(
    ("detectors", "found"),
    [([(1, 2), (3,)], "1 spectra of several"), ([(1,), (1,)], "two spectra of one"), ([(-1,), ()], "no detectors")],
)
def test_spectra_that_are_no_pixels_are_refused(detectors: list[tuple[int, ...]], found: str) -> None:
    with pytest.raises(InputError, match=found):
        conversions.pixel_spectra(detectors, "run")


def test_a_value_of_a_spectrum_is_one_of_each_of_its_detectors() -> None:
    detid, value = conversions.per_detector([(5, 6), (-2,), (1,)], np.array([10.0, 20.0, 30.0]))
    assert detid.tolist() == [1, 5, 6]
    assert value.tolist() == [30.0, 10.0, 10.0]


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("distribution", [False, True])
def test_a_histogram_becomes_weighted_events_with_the_same_counts(points: bool, distribution: bool) -> None:
    edges = np.tile(np.linspace(1000.0, 2000.0, 11), (3, 1))
    counts = RNG.poisson(2.0, (3, 10)).astype(float)
    x = 0.5 * (edges[:, 1:] + edges[:, :-1]) if points else edges
    y = counts / np.diff(edges, axis=1) if distribution else counts
    tof, weight, start = conversions.histogram_events(x, y, distribution=distribution)
    for i in range(3):
        part = slice(start[i], start[i + 1])
        found, _ = np.histogram(tof[part], edges[i], weights=weight[part])
        np.testing.assert_allclose(found, counts[i], rtol=1e-6)
    assert np.all(weight > 0)


def test_counts_that_are_not_finite_make_no_event() -> None:
    y = np.array([[1.0, np.nan, np.inf, 2.0]])
    tof, weight, _ = conversions.histogram_events(np.array([[0.0, 1, 2, 3, 4]]), y, distribution=False)
    assert tof.tolist() == [0.5, 3.5]
    assert weight.tolist() == [1.0, 2.0]


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=20))
def test_bins_of_points_have_the_points_between_them_and_meet_in_the_middle(steps: list[float]) -> None:
    x = np.cumsum(steps)[None, :]
    edges = conversions.bin_edges(x, x.shape[1])
    assert np.all(np.diff(edges) > 0)
    assert np.all((edges[:, :-1] < x) & (x < edges[:, 1:]))
    np.testing.assert_allclose(edges[:, 1:-1], 0.5 * (x[:, 1:] + x[:, :-1]))


def test_one_point_gets_a_bin_of_width_one() -> None:
    assert conversions.bin_edges(np.array([[2.0]]), 1).tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize("ragged", [False, True])
def test_spectra_survive_the_flat_arrays_of_a_workspace(ragged: bool) -> None:
    edges = np.geomspace(0.5, 2.5, 9)
    if ragged:
        edges = np.stack([edges, edges * 1.1])
    y = RNG.poisson(50.0, (2, 8)).astype(float)
    detids = [np.array([0, 1], np.int32), np.array([2], np.int32)]
    spectra = Spectra(edges, y, np.sqrt(y), "dSpacing", detids, np.array([1, 2], np.int32), "title", RunInfo("58882"))
    x, flat_y, flat_e = conversions.flat_arrays(spectra)
    found = conversions.spectra_of(
        x.reshape(2, -1),
        flat_y.reshape(2, -1),
        flat_e.reshape(2, -1),
        distribution=False,
        unit="dSpacing",
        detids=detids,
        number=spectra.number,
        title="title",
        run=spectra.run,
    )
    np.testing.assert_array_equal(found.edges, spectra.edges)
    np.testing.assert_array_equal(found.y, y)
    np.testing.assert_array_equal(found.e, np.sqrt(y))


def test_counts_a_unit_become_counts() -> None:
    x = np.array([[0.0, 1.0, 3.0]])
    found = conversions.spectra_of(
        x,
        np.array([[5.0, 5.0]]),
        np.array([[1.0, 1.0]]),
        distribution=True,
        unit="TOF",
        detids=[np.array([1], np.int32)],
        number=np.array([1], np.int32),
        title="",
        run=RunInfo(),
    )
    assert found.y.tolist() == [[5.0, 10.0]]
    assert found.e.tolist() == [[1.0, 2.0]]


def test_pixel_results_survive_their_rows_in_any_order() -> None:
    shift, sigma, own_shift, own_sigma, events, chi2 = (RNG.normal(size=5) for _ in range(6))
    sigma[2], chi2[3] = np.inf, np.nan
    detid, reason = np.arange(5, dtype=np.int32), np.array([0, 1, 2, 5, 8], np.uint8)
    results = PixelResults(detid, shift, sigma, own_shift, own_sigma, events, chi2, reason)
    order = RNG.permutation(5)
    found = conversions.results_of(results.detid[order], conversions.results_to_rows(results)[order])
    for name in ("detid", "shift", "sigma", "own_shift", "own_sigma", "events", "chi2", "reason"):
        np.testing.assert_array_equal(getattr(found, name), getattr(results, name))


def test_a_table_is_read_with_columns_and_rows_in_any_order() -> None:
    columns: dict[str, list[Any]] = {
        "tofmin": [0.0, 0.0],
        "tzero": [1.0, -8.0],
        "detid": [7, 3],
        "difc": [5000.0, 6000.0],
    }
    found = conversions.table_of(columns, "t")
    assert found.detid.tolist() == [3, 7]
    assert found.difc.tolist() == [6000.0, 5000.0]
    assert found.tzero.tolist() == [-8.0, 1.0]
    assert found.difa.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("columns", [{"detid": [1]}, {"detid": [1, 1], "difc": [1.0, 2.0]}])
def test_a_table_without_difc_or_with_a_detector_twice_is_refused(columns: dict[str, list[float]]) -> None:
    with pytest.raises(InputError, match="'t' must have"):
        conversions.table_of(columns, "t")


def test_a_mask_of_ours_keeps_its_reasons_and_one_of_others_is_the_user_s() -> None:
    detid = np.arange(len(MaskReason), dtype=np.int32)
    mask = PixelMask(detid, np.array(list(MaskReason), np.uint8))
    ours = conversions.mask_of(detid, mask.masked.astype(float), mask.reason.astype(float))
    np.testing.assert_array_equal(ours.reason, mask.reason)
    other = conversions.mask_of(detid, mask.masked.astype(float), np.zeros(len(detid)))
    assert set(other.reason[1:].tolist()) == {MaskReason.USER}
    assert other.reason[0] == MaskReason.USED


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (3, 3),
        ("text", "text"),
        (np.float64(2.5), 2.5),
        (np.array([1.0, 2.0]), 2.0),
        (["a", "b"], "b"),
        ([], None),
        (None, None),
    ],
)
def test_a_log_is_its_last_value(value: object, plain: object) -> None:
    assert conversions.plain_log(value) == plain


def test_a_run_survives_the_logs_of_a_workspace() -> None:
    info = RunInfo("58882+58883", "silicon", "2024-01-15T09:00:00", "2024-01-15T10:00:00", 1.5, {"det_arc1": -65.3})
    info = replace(info, source="/a/SNAP_58882.nxs.h5", duration=300.0)
    logs = {**conversions.logs_to_write(info), NOTE: conversions.make_note("Events", info, TofWindow(1.0, 2.0))}
    found = run_info_of(logs, title="other", name="w")
    for name in ("run_number", "title", "start_time", "end_time", "proton_charge", "source", "duration"):
        assert getattr(found, name) == getattr(info, name)
    assert found.logs["det_arc1"] == -65.3
    assert NOTE not in found.logs


def test_the_title_of_a_run_is_not_that_of_what_was_made_of_it() -> None:
    note = conversions.make_note("Spectra", RunInfo("58882", "silicon"))
    assert run_info_of({NOTE: note, "run_title": "Column focused"}, title="Column focused", name="w").title == "silicon"


def test_logs_to_write_are_of_the_types_that_mantid_knows() -> None:
    logs: dict[str, Any] = {
        "a": np.float64(1.5),
        "b": np.str_("text"),
        "c": 2**31,
        "d": -5,
        "e": True,
        "f": "text",
        "g": [1, 2],
    }
    found = conversions.logs_to_write(RunInfo(logs=logs))
    assert found == {"a": 1.5, "b": "text", "c": 2.0**31, "d": -5, "e": True, "f": "text"}
    assert [type(value) for value in found.values()] == [float, str, float, int, bool, str]


def test_the_charge_of_the_logs_counts_where_there_is_one() -> None:
    note = conversions.make_note("Events", RunInfo("58882", proton_charge=1.5, duration=300.0))
    assert run_info_of({NOTE: note, "gd_prtn_chrg": 0.0}, title="", name="w").proton_charge == 1.5
    summed = run_info_of({NOTE: note, "gd_prtn_chrg": 3.0, "duration": 600.0}, title="", name="w")
    assert (summed.proton_charge, summed.duration) == (3.0, 600.0)


def test_a_run_that_mantid_loaded_is_known_by_its_own_logs() -> None:
    logs: dict[str, LogValue] = {
        "run_number": "58882",
        "gd_prtn_chrg": 2.0,
        "start_time": "2024",
        "Filename": "/data/SNAP_58882.nxs.h5",
    }
    found = run_info_of(logs, title="silicon", name="w")
    assert (found.run_number, found.title, found.proton_charge) == ("58882", "silicon", 2.0)
    assert found.source == "/data/SNAP_58882.nxs.h5"


@pytest.mark.parametrize("text", ["", "no json", "[1]", "null"])
def test_a_note_of_others_is_none(text: str) -> None:
    assert note_of({NOTE: text}) == {}


WINDOW = TofWindow(2000.0, 12000.0, ((100.0, 200.0), (3000.0, 4000.0)))


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [(2010.0, 11990.0, (2000.0, 12000.0)), (5000.0, 11990.0, (5000.0, 12000.0)), (2010.0, 9000.0, (2000.0, 9000.0))],
)
def test_the_window_is_the_one_that_was_kept_unless_the_user_cropped_it(
    first: float, last: float, found: tuple[float, float]
) -> None:
    note = json.loads(conversions.make_note("Events", RunInfo("1"), WINDOW))
    window = conversions.window_of(np.array([first, np.nan, last], np.float32), note)
    assert (window.minimum, window.maximum) == found
    assert window.gaps == WINDOW.gaps


def test_the_window_of_a_run_of_others_is_that_of_its_events() -> None:
    assert conversions.window_of(np.array([3.0, np.nan, 7.0], np.float32), {}) == TofWindow(3.0, 7.0)


def test_a_run_without_events_keeps_its_window() -> None:
    note = json.loads(conversions.make_note("Events", RunInfo("1"), WINDOW))
    assert conversions.window_of(np.empty(0, np.float32), note) == WINDOW
    assert conversions.window_of(np.empty(0, np.float32), {}) == TofWindow(0.0, 0.0)


def test_rows_of_spectra_become_rows_of_detectors() -> None:
    rows = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    detid, value = conversions.per_detector([(5, 2), (-1,), (3,)], rows)
    assert detid.tolist() == [2, 3, 5]
    assert value.tolist() == [[1.0, 10.0], [3.0, 30.0], [1.0, 10.0]]


def test_a_geometry_that_differs_by_rounding_is_the_one_that_was_written() -> None:
    written = geometry(12)
    rounded = replace(written, l2=written.l2 * (1 + 4e-16), two_theta=written.two_theta * (1 - 4e-16))
    assert conversions.unrounded(rounded, written) is written


@pytest.mark.parametrize("name", ["l1", "l2", "two_theta", "azimuth"])
def test_a_detector_that_was_moved_is_where_it_is_now(name: str) -> None:
    written = geometry(12)
    moved = replace(written, **{name: getattr(written, name) + 1e-9})
    assert conversions.unrounded(moved, written) is moved


def test_a_run_of_other_pixels_keeps_its_geometry() -> None:
    for written in (None, geometry(11), replace(geometry(12), detid=geometry(12).detid + 1)):
        read = geometry(12)
        assert conversions.unrounded(read, written) is read
