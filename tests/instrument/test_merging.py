"""The map from native to lite pixels, and calibrations carried from one to the other."""

from __future__ import annotations

from functools import partial

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, PixelGrouping
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.grouping import write_grouping
from snapcal_workbench.instrument.merging import expand_to_native, merge_map, merged_by_place, reduce_to_lite
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress

NATIVE = np.arange(SNAP.native.n_pixels, dtype=np.int32)


@pytest.fixture(scope="module")
def geometries() -> dict:
    placed = partial(snap_geometry, arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043)
    lite_of = merged_by_place(SNAP.native.layout, 8)
    return {"native": placed(), "lite": placed(lite=True), "lite_of": lite_of}


def _write_map(settings: Settings, group: np.ndarray) -> None:
    settings.lite_map.parent.mkdir(parents=True, exist_ok=True)
    detid = np.arange(len(group), dtype=np.int32)
    write_grouping(settings.lite_map, PixelGrouping(detid, group.astype(np.int32)), instrument="SNAP")


def test_the_formula_gives_the_known_pairs() -> None:
    found = merged_by_place(SNAP.native.layout, 8)
    known = {0: 0, 7: 0, 8: 1, 255: 31, 256: 0, 2048: 32, 65536: 1024, 1179647: 18431}
    assert {native: int(found[native]) for native in known} == known
    assert np.all(np.bincount(found) == 64)


def test_the_formula_maps_the_real_native_grouping_on_the_lite_one(reference_data) -> None:
    with h5py.File(reference_data / "SNAPFocGroup_Column.hdf") as native:
        with h5py.File(reference_data / "SNAPFocGroup_Column.lite.hdf") as lite:
            expected = lite["calibration/group"][:][merged_by_place(SNAP.native.layout, 8)]
        np.testing.assert_array_equal(native["calibration/group"][:], expected)


def test_a_file_counts_where_there_is_one_and_says_so_if_it_differs(settings: Settings) -> None:
    warnings: list[str] = []
    progress = Progress(on_message=lambda level, text: warnings.append(text))
    np.testing.assert_array_equal(merge_map(SNAP.lite, settings, progress), merged_by_place(SNAP.native.layout, 8))
    _write_map(settings, merged_by_place(SNAP.native.layout, 8) + 1)
    np.testing.assert_array_equal(merge_map(SNAP.lite, settings, progress), merged_by_place(SNAP.native.layout, 8))
    assert not warnings
    group = merged_by_place(SNAP.native.layout, 8) + 1
    group[0] = 2
    _write_map(settings, group)
    found = merge_map(SNAP.lite, settings, progress)
    assert found[0] == 1
    assert len(warnings) == 1
    assert "1 native pixels" in warnings[0]


@pytest.mark.parametrize("defect", ["too small", "hole", "empty", "beyond"])
def test_a_map_that_does_not_fit_is_refused(settings: Settings, defect: str) -> None:
    group = merged_by_place(SNAP.native.layout, 8) + 1
    if defect == "too small":
        group = group[: SNAP.native.n_pixels // 2]
    elif defect == "hole":
        group[5] = 0
    elif defect == "empty":
        group[group == 77] = 78
    else:
        group[5] = SNAP.lite.n_pixels + 1
    _write_map(settings, group)
    with pytest.raises(FileFormatError):
        merge_map(SNAP.lite, settings)


def test_a_lite_calibration_keeps_its_relative_correction_in_every_native_pixel(geometries: dict) -> None:
    native, lite, lite_of = geometries["native"], geometries["lite"], geometries["lite_of"]
    rng = np.random.default_rng(1)
    factor = 1 + 0.01 * rng.normal(size=len(lite))
    table = DiffCalTable(lite.detid, lite.difc * factor, rng.normal(size=len(lite)), 10 * rng.normal(size=len(lite)))
    native_table = expand_to_native(table, **geometries)
    np.testing.assert_allclose(native_table.difc / native.difc, factor[lite_of], rtol=1e-12)
    d = 1.3
    lite_tof = table.difc * d + table.difa * d**2 + table.tzero
    native_tof = native_table.difc * d + native_table.difa * d**2 + native_table.tzero
    np.testing.assert_allclose(native_tof / native.difc, (lite_tof / lite.difc)[lite_of], rtol=1e-12)
    again = reduce_to_lite(native_table, **geometries)
    for name in ("difc", "difa", "tzero"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), rtol=1e-10, atol=1e-12)


def test_only_pixels_in_use_count_unless_none_is(geometries: dict) -> None:
    native, lite = geometries["native"], geometries["lite"]
    factor, used = np.ones(len(native)), np.ones(len(native), bool)
    factor[0], used[0] = 5.0, False  # one of lite pixel 0's, not in use
    factor[8] = 1.64  # one of lite pixel 1's, in use
    of_two = geometries["lite_of"] == 2
    used[of_two], factor[of_two] = False, 1.02
    zeros = np.zeros(len(native))
    table = DiffCalTable(native.detid, native.difc * factor, zeros, zeros)
    ratio = reduce_to_lite(table, **geometries, used=used).difc / lite.difc
    np.testing.assert_allclose(ratio[:4], [1.0, 1.01, 1.02, 1.0], rtol=1e-12)
    assert reduce_to_lite(table, **geometries).difc[0] / lite.difc[0] == pytest.approx(1 + 4 / 64)


def test_tables_of_other_pixels_are_refused(geometries: dict) -> None:
    lite, native = (DiffCalTable.from_geometry(geometries[name]) for name in ("lite", "native"))
    with pytest.raises(InputError, match="18432 pixels of SNAPLite"):
        expand_to_native(native, **geometries)
    with pytest.raises(InputError, match="1179648 pixels of SNAP"):
        reduce_to_lite(lite, **geometries)
