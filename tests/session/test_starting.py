"""Tables that people start from, as they have them: whatever a row lacks concerns that row alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    Geometry,
    MaskReason,
    PixelMask,
    RunInfo,
    TofWindow,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.diffcal import write_diffcal
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.options import Request, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.starting import Start, starting_point
from tests.instrument.conftest import LOGS, write_parameters


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(ipts_root=tmp_path / "SNS")
    write_parameters(found, {0: (">=0", "2024-01-01T00:00:00.000000000+0000", {})})
    return found


def geometry(*, lite: bool = True) -> Geometry:
    return snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, l1=15.0, lite=lite)


def calibrated(geometry: Geometry) -> DiffCalTable:
    """A table 0.3 % from the geometry."""
    rng = np.random.default_rng(6)
    zeros = np.zeros(len(geometry))
    return DiffCalTable(geometry.detid, geometry.difc * (1 + rng.normal(0, 3e-3, len(geometry))), zeros, zeros)


def start(path: Path, settings: Settings, said: list[str], *, lite: bool = True) -> Start:
    """Start a run without events from a file."""
    pixels = geometry(lite=lite)
    nothing = np.empty(0, np.float32), np.zeros(len(pixels) + 1, np.int64)
    events = Events(*nothing, pixels, TofWindow(2500, 14000), RunInfo("58882", logs=LOGS))
    request = Request(runs=("58882",), calibrant="silicon", start_from=str(path), lite=lite)
    progress = Progress(on_message=lambda _, text: said.append(text))
    return starting_point(request, events, EmbeddedHost(settings), IterationFolders(path.parent / "session"), progress)


@pytest.mark.parametrize("value", [1e-12, 1.0, 250.0])
def test_one_absurd_difc_costs_one_pixel(settings: Settings, tmp_path: Path, value: float) -> None:
    """Of all other pixels of its group nothing changes."""
    table = calibrated(geometry())
    table.difc[100] = value
    write_diffcal(tmp_path / "a.h5", table)
    said: list[str] = []
    found, mask = start(tmp_path / "a.h5", settings, said)
    assert mask is not None
    assert mask.counts() == {MaskReason.IMPOSSIBLE_DIFC: 1}
    others = np.arange(len(table)) != 100
    assert found.difc[others].tolist() == table.difc[others].tolist()
    assert found.difc[100] == pytest.approx(geometry().difc[100])
    assert len(said) == 1
    assert said[0].startswith("1 pixels have an impossible DIFC in")


@pytest.mark.parametrize("kept", [slice(None, 9216), slice(3, None, 2), slice(5000, 12000)])
def test_rows_that_are_missing_are_masked_and_said(settings: Settings, tmp_path: Path, kept: slice) -> None:
    """A part of a lite table is a part of a lite table, whatever the ids of its pixels; nothing is converted."""
    table = calibrated(geometry())
    part = DiffCalTable(table.detid[kept], table.difc[kept], table.difa[kept], table.tzero[kept])
    write_diffcal(tmp_path / "a.h5", part)
    said: list[str] = []
    found, mask = start(tmp_path / "a.h5", settings, said)
    assert mask is not None
    assert mask.counts() == {MaskReason.NO_ROW: 18432 - len(part)}
    assert found.difc[kept].tolist() == part.difc.tolist()
    assert len(said) == 1
    assert said[0].startswith(f"{18432 - len(part)} of 18432 pixels have no row in")


def test_masked_rows_may_hold_anything(settings: Settings, tmp_path: Path) -> None:
    table = calibrated(geometry())
    reason = np.where(np.arange(18432) < 500, MaskReason.USER, 0).astype(np.uint8)
    write_diffcal(tmp_path / "a.h5", table, PixelMask(table.detid, reason))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["calibration/difc"][:200] = np.nan
        file["calibration/tzero"][200:300] = np.nan
        file["calibration/difc"][300:400] = 0.0
    said: list[str] = []
    found, mask = start(tmp_path / "a.h5", settings, said)
    assert mask is not None
    assert mask.counts() == {MaskReason.INHERITED: 500}
    assert np.all(found.difc > 0)
    assert not said


def test_a_part_of_a_native_table_is_told_from_a_lite_one(settings: Settings, tmp_path: Path) -> None:
    """Its ids are those of lite pixels, its DIFC is that of the native corner of the instrument."""
    native = geometry(lite=False)
    kept = slice(0, 18432)
    table = DiffCalTable(native.detid[kept], 1.002 * native.difc[kept], np.zeros(18432), np.zeros(18432))
    write_diffcal(tmp_path / "a.h5", table)
    said: list[str] = []
    found, mask = start(tmp_path / "a.h5", settings, said)
    assert mask is None
    assert any("other mode" in text for text in said)
    assert any("of 1179648 pixels have no row" in text for text in said)
    ratio = found.difc / geometry().difc
    np.testing.assert_allclose(ratio, np.where(np.arange(18432) < 288, 1.002, 1.0), rtol=1e-9)


def test_a_table_of_another_instrument_is_refused(settings: Settings, tmp_path: Path) -> None:
    table = calibrated(geometry())
    write_diffcal(tmp_path / "a.h5", DiffCalTable(table.detid + 9_000_000, table.difc, table.difa, table.tzero))
    with pytest.raises(InputError, match=r"pixel \[9000000\]"):
        start(tmp_path / "a.h5", settings, [])
