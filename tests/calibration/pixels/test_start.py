"""Tables that are made fit to start from."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.start import distance_to, with_all_rows, without_impossible_rows
from snapcal_workbench.calibration.types import DiffCalTable, Geometry, MaskReason, PixelMask
from snapcal_workbench.instrument.snap.geometry import snap_geometry


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)


@pytest.fixture
def table(geometry: Geometry) -> DiffCalTable:
    """A calibration that differs from the geometry by up to 1 %, with all terms."""
    rng = np.random.default_rng(4)
    n = len(geometry)
    return DiffCalTable(
        geometry.detid, geometry.difc * rng.uniform(0.99, 1.01, n), rng.normal(0, 1, n), rng.normal(0, 3, n)
    )


@pytest.mark.parametrize("value", [1e-12, 1.0, 0.0, -3.0, 1e7, np.nan, np.inf])
def test_one_impossible_difc_is_masked_and_no_other_pixel_changes(
    geometry: Geometry, table: DiffCalTable, value: float
) -> None:
    difc = table.difc.copy()
    difc[[7, 4000]] = value
    mask = PixelMask.none(geometry.detid)
    mask.reason[7] = MaskReason.USER
    found, masked, lost = without_impossible_rows(
        DiffCalTable(table.detid, difc, table.difa, table.tzero), mask, geometry
    )
    assert lost.tolist() == [4000]
    assert masked.counts() == {MaskReason.USER: 1, MaskReason.IMPOSSIBLE_DIFC: 1}
    np.testing.assert_array_equal(found.difc[[7, 4000]], geometry.difc[[7, 4000]])
    others = np.delete(np.arange(len(geometry)), [7, 4000])
    for name in ("difc", "difa", "tzero"):
        np.testing.assert_array_equal(getattr(found, name)[others], getattr(table, name)[others])


def test_a_moved_panel_and_another_state_are_possible(geometry: Geometry) -> None:
    """A panel 10 deg away, and a table of arcs at -50 and 90 deg, may be started from."""
    for arc1, arc2 in ((-65.3, 114.95), (-75.3, 104.95), (-50.0, 90.0)):
        other = snap_geometry(arc1=arc1, arc2=arc2, lin1=0.045, lin2=0.043, lite=True)
        _, _, lost = without_impossible_rows(
            DiffCalTable.from_geometry(other), PixelMask.none(geometry.detid), geometry
        )
        assert len(lost) == 0


def test_pixels_without_a_row_start_from_the_geometry_and_say_so(geometry: Geometry, table: DiffCalTable) -> None:
    kept = np.sort(np.random.default_rng(2).permutation(len(geometry))[:9000])
    part = DiffCalTable(table.detid[kept], table.difc[kept], table.difa[kept], table.tzero[kept])
    reason = np.where(np.arange(9000) < 5, MaskReason.INHERITED, 0).astype(np.uint8)
    found, mask = with_all_rows(part, PixelMask(part.detid, reason), geometry)
    assert mask.counts() == {MaskReason.INHERITED: 5, MaskReason.NO_ROW: len(geometry) - 9000}
    absent = np.setdiff1d(np.arange(len(geometry)), kept)
    np.testing.assert_array_equal(found.difc[kept], table.difc[kept])
    np.testing.assert_array_equal(found.tzero[kept], table.tzero[kept])
    np.testing.assert_array_equal(found.difc[absent], geometry.difc[absent])
    assert not found.tzero[absent].any()


def test_the_distance_tells_lite_from_native(geometry: Geometry, table: DiffCalTable) -> None:
    """The ids of lite pixels are native ones too, of a corner of the instrument: only DIFC tells them apart."""
    native = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=False)
    assert distance_to(table, geometry) < 0.01
    assert distance_to(table, native) > 0.05
    part = slice(0, 10_000)
    corner = DiffCalTable(native.detid[part], native.difc[part], np.zeros(10_000), np.zeros(10_000))
    assert distance_to(corner, native) == 0.0
    assert distance_to(corner, geometry) > 0.05
    strange = DiffCalTable(table.detid + 10_000_000, table.difc, table.difa, table.tzero)
    assert distance_to(strange, geometry) == np.inf
