"""Pixel positions against the instrument definition files, and against stored figures of real runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import (
    PIXEL_DEPTH,
    PIXEL_WIDTH,
    snap_geometry,
    snap_layout,
)

LOGS = {"arc1": -65.3, "arc2": 104.95, "lin1": 0.045, "lin2": 0.043}
IDF = "{http://www.mantidproject.org/IDF/1.0}"


def _placed(*, lite: bool) -> Geometry:
    return snap_geometry(arc1=LOGS["arc1"], arc2=LOGS["arc2"], lin1=LOGS["lin1"], lin2=LOGS["lin2"], lite=lite)


@pytest.fixture(scope="module")
def native() -> Geometry:
    return _placed(lite=False)


@pytest.fixture(scope="module")
def lite() -> Geometry:
    return _placed(lite=True)


def _cartesian(geometry: Geometry) -> np.ndarray:
    """x, y, z of each pixel, m."""
    across = geometry.l2 * np.sin(geometry.two_theta)
    x, y = across * np.cos(geometry.azimuth), across * np.sin(geometry.azimuth)
    return np.stack([x, y, geometry.l2 * np.cos(geometry.two_theta)])


def _panels(path: Path) -> list[dict[str, Any]]:
    """First id, bank name, offset and panel of every module of an instrument definition."""
    root = ElementTree.parse(path).getroot()
    types = {kind.get("name"): kind for kind in root.iter(f"{IDF}type")}
    modules = []
    for panel in ("East", "West"):
        for column in types[panel].iter(f"{IDF}component"):
            for component in types[column.get("type")].iter(f"{IDF}component"):
                place = component.find(f"{IDF}location")
                assert place is not None
                offset = place.find(f"{IDF}trans")
                assert offset is not None
                modules.append(
                    {
                        "first": int(component.attrib["idstart"]),
                        "step": int(component.attrib["idstepbyrow"]),
                        "bank": place.attrib["name"],
                        "offset": np.array([float(offset.attrib["x"]), float(offset.attrib["y"]), 0.0]),
                        "panel": panel,
                    }
                )
    return modules


@pytest.mark.parametrize("is_lite", [False, True])
def test_positions_follow_the_instrument_definition(reference_data: Path, is_lite: bool) -> None:
    path = reference_data / ("SNAPLite_Definition.xml" if is_lite else "SNAP_Definition.xml")
    grid = next(t for t in ElementTree.parse(path).getroot().iter(f"{IDF}type") if t.get("name") == "panel")
    start, step, side = float(grid.attrib["xstart"]), float(grid.attrib["xstep"]), int(grid.attrib["xpixels"])
    position = _cartesian(_placed(lite=is_lite))
    modules = _panels(path)
    assert len(modules) == 18
    for module in modules:
        suffix = "2" if module["panel"] == "East" else "1"
        r, t = 0.5 + LOGS[f"lin{suffix}"], np.deg2rad(LOGS[f"arc{suffix}"])
        angle = np.pi + t
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        centre = np.array([r * np.sin(t), 0.0, r * np.cos(t)])
        for x, y in ((0, 0), (0, side - 1), (side - 1, 5), (7, 3)):
            local = module["offset"] + [start + x * step, start + y * step, 0.0]
            pixel = module["first"] + x * module["step"] + y
            np.testing.assert_allclose(position[:, pixel], centre + turn @ local, atol=1e-12)
        assert SNAP.banks[module["first"] // side**2] == module["bank"]


def test_a_pixel_that_mantid_placed(native: Geometry) -> None:
    assert native.l2[100] == pytest.approx(0.62417, abs=5e-6)
    assert native.two_theta[100] == pytest.approx(2.22149, abs=5e-6)


def test_lite_positions_are_those_of_a_real_calibration(reference_data: Path, lite: Geometry) -> None:
    with h5py.File(reference_data / "snap_057514_lite_difc.h5") as file:
        np.testing.assert_array_equal(file["detid"][:], lite.detid)
        np.testing.assert_allclose(file["L2"][:], lite.l2, rtol=1e-12)
        np.testing.assert_allclose(np.deg2rad(file["two_theta"][:]), lite.two_theta, rtol=1e-12)
        assert float(file["L1"][()]) == lite.l1


def test_a_lite_pixel_lies_at_the_mean_of_its_native_ones(native: Geometry, lite: Geometry) -> None:
    lite_of = merged_by_place(SNAP.native.layout, 8)
    mean = [np.bincount(lite_of, weights=axis) / 64 for axis in _cartesian(native)]
    np.testing.assert_allclose(mean, _cartesian(lite), atol=1e-14)


def test_the_column_groups_have_the_known_mean_angles(reference_data: Path, native: Geometry, lite: Geometry) -> None:
    for name, geometry in (("SNAPFocGroup_Column.hdf", native), ("SNAPFocGroup_Column.lite.hdf", lite)):
        with h5py.File(reference_data / name) as file:
            group = file["calibration/group"][:]
        weight = np.sin(geometry.two_theta / 2)
        mean = np.bincount(group, weights=weight * geometry.two_theta) / np.maximum(np.bincount(group, weight), 1e-9)
        np.testing.assert_allclose(np.rad2deg(mean[1:]), [121.0, 104.6, 88.1, 82.7, 66.4, 50.2], atol=0.05)


def test_the_layout_numbers_the_pixels(native: Geometry, lite: Geometry) -> None:
    for geometry, side, pixels in ((native, 256, SNAP.native.n_pixels), (lite, 32, SNAP.lite.n_pixels)):
        layout = geometry.layout
        assert layout is not None
        assert len(geometry) == pixels
        assert layout.columns == side
        ids = layout.module.astype(np.int64) * side**2 + layout.x.astype(np.int64) * side + layout.y
        np.testing.assert_array_equal(ids, geometry.detid)
    assert (native.instrument, lite.instrument) == ("SNAP", "SNAPLite")
    assert snap_layout(lite=True).module.max() == 17


def test_moving_a_panel_moves_its_own_half_only(lite: Geometry) -> None:
    moved = snap_geometry(**{**LOGS, "arc2": 90.0, "lin2": 0.1}, lite=True)
    half = SNAP.lite.n_pixels // 2
    np.testing.assert_array_equal(moved.l2[half:], lite.l2[half:])
    assert np.all(moved.l2[:half] > lite.l2[:half])
    assert np.all(np.abs(_cartesian(moved)[2, :half]) < 0.25)  # a panel at 90 degrees lies along the beam


def test_native_solid_angles_are_those_of_the_pixel_boxes(native: Geometry) -> None:
    """Against the exact solid angle of a rectangle (Oosterom-Strackee) for the face, plus the sides' share."""
    position = _cartesian(native)
    for pixel in (0, 100, 300000, 900000):
        panel, t = (0.543, np.deg2rad(104.95)) if pixel < SNAP.native.n_pixels // 2 else (0.545, np.deg2rad(-65.3))
        across, up = np.array([-np.cos(t), 0.0, np.sin(t)]), np.array([0.0, 1.0, 0.0])
        corners = [
            position[:, pixel] + PIXEL_WIDTH / 2 * (i * across + j * up)
            for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        face = _triangle(*corners[:3]) + _triangle(corners[0], *corners[2:])
        sine = abs(position[:, pixel] @ across) + abs(position[:, pixel] @ up)
        sides = PIXEL_WIDTH * PIXEL_DEPTH * sine / native.l2[pixel] ** 3
        assert native.solid_angle is not None
        assert native.solid_angle[pixel] == pytest.approx(face + sides, rel=1e-5)
        assert native.solid_angle[pixel] <= PIXEL_WIDTH**2 / panel**2 * 1.2


def _triangle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    la, lb, lc = (float(np.linalg.norm(v)) for v in (a, b, c))
    bottom = la * lb * lc + (a @ b) * lc + (a @ c) * lb + (b @ c) * la
    return 2 * np.arctan2(abs(a @ np.cross(b, c)), bottom)


@pytest.mark.parametrize(
    ("is_lite", "stored"),
    [
        (False, [0.002774, 0.003312, 0.004041, 0.004352, 0.005616, 0.007623]),
        (True, [0.002772, 0.003235, 0.004015, 0.004310, 0.005408, 0.007549]),
    ],
)
def test_solid_angles_lead_to_the_resolutions_that_snapred_stores(
    reference_data: Path, native: Geometry, lite: Geometry, is_lite: bool, stored: list[float]
) -> None:
    geometry = lite if is_lite else native
    with h5py.File(reference_data / f"SNAPFocGroup_Column{'.lite' if is_lite else ''}.hdf") as file:
        group = file["calibration/group"][:]
    assert geometry.solid_angle is not None
    box = (0.0, 16 * PIXEL_WIDTH, PIXEL_DEPTH) if is_lite else (PIXEL_WIDTH, PIXEL_WIDTH, PIXEL_DEPTH)
    length = (np.square(box).sum() / 4 + (6.452e-5 * 15.5) ** 2) / (15.0 + geometry.l2) ** 2
    angle = (geometry.solid_angle + 3.2e-3**2) / np.tan(geometry.two_theta / 2) ** 2
    mean = np.bincount(group, length + angle)[1:] / np.bincount(group)[1:]
    np.testing.assert_allclose(np.sqrt(0.002**2 + mean), stored, rtol=5e-4)
