"""Groupings of a state: maps, defaults, warnings and errors, with real grouping files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.types import Geometry, PixelGrouping
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.grouping import write_grouping
from snapcal_workbench.instrument.groupings import (
    default_grouping,
    grouping_map_path,
    groupings_of_state,
    name_of_file,
    read_grouping_named,
)
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from tests.instrument.conftest import write_json

STATE = "04bd2c53f6bf6754"


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)


def _write_lite(path: Path, groups: int) -> Path:
    detid = np.arange(SNAP.lite.n_pixels, dtype=np.int32)
    path.parent.mkdir(parents=True, exist_ok=True)
    grouping = PixelGrouping(detid, (1 + detid // (SNAP.lite.n_pixels // groups)).astype(np.int32))
    write_grouping(path, grouping, instrument="SNAPLite")
    return path


@pytest.fixture
def maps(settings: Settings) -> Settings:
    """A tree with the files Bank (2 groups) and Column (6), and a default map that names them and others."""
    _write_lite(settings.pixel_groupings / "SNAPFocGroup_Bank.lite.hdf", 2)
    _write_lite(settings.pixel_groupings / "SNAPFocGroup_Column.lite.hdf", 6)
    (settings.pixel_groupings / "notes.txt").touch()
    lite = {
        "Bank": "SNAPFocGroup_Bank.lite.hdf",
        "Column": str(settings.pixel_groupings / "SNAPFocGroup_Column.lite.hdf"),
        "Gone": "gone.lite.hdf",
        "Notes": "notes.txt",
        "Folder": ".",
    }
    _write_map(settings.pixel_groupings / "defaultGroupingMap.json", liteFocusGroups=lite, nativeFocusGroups={})
    return settings


def _write_map(path: Path, **lists: dict[str, str]) -> Path:
    content: dict[str, Any] = {"stateId": "aabbbcccdddeeeff"}
    for key, entries in lists.items():
        content[key] = [{"name": name, "definition": definition} for name, definition in entries.items()]
    return write_json(path, content)


def test_the_default_map_serves_a_state_without_one(maps: Settings) -> None:
    warnings: list[str] = []
    progress = Progress(on_message=lambda level, text: warnings.append(text))
    found = groupings_of_state(maps, STATE, SNAP.lite, progress)
    assert list(found) == ["Bank", "Column"]
    assert found["Bank"] == maps.pixel_groupings / "SNAPFocGroup_Bank.lite.hdf"
    assert default_grouping(found) == "Column"
    for name, reason in (("Gone", "does not exist"), ("Notes", "does not end in"), ("Folder", "is not a file")):
        assert sum(f"'{name}'" in warning and reason in warning for warning in warnings) == 1


def test_the_states_own_map_wins(maps: Settings) -> None:
    own = _write_map(
        maps.powder_home / STATE / "groupingMap.json",
        liteFocusGroups={"Two": "SNAPFocGroup_Bank.lite.hdf"},
        nativeFocusGroups={},
    )
    assert grouping_map_path(maps, STATE) == own
    assert list(groupings_of_state(maps, STATE, SNAP.lite)) == ["Two"]
    assert default_grouping(groupings_of_state(maps, STATE, SNAP.lite)) == "Two"
    assert list(groupings_of_state(maps, "0123456789abcdef", SNAP.lite)) == ["Bank", "Column"]


@pytest.mark.parametrize(
    ("given", "groups"), [(None, 6), ("column", 6), ("Bank", 2), ("SNAPFocGroup_Bank.lite.hdf", 2)]
)
def test_a_grouping_is_read_by_name(maps: Settings, geometry: Geometry, given: str | None, groups: int) -> None:
    grouping = read_grouping_named(maps, STATE, SNAP.lite, given, geometry)
    assert list(grouping.ids) == list(range(1, groups + 1))
    assert grouping.name == ("Column" if groups == 6 else "Bank")


def test_a_grouping_is_read_by_path(settings: Settings, geometry: Geometry, tmp_path: Path) -> None:
    path = _write_lite(tmp_path / "mine.h5", 3)
    grouping = read_grouping_named(settings, STATE, SNAP.lite, str(path), geometry)
    assert (grouping.name, list(grouping.ids)) == ("mine", [1, 2, 3])
    assert name_of_file(Path("/x/SNAPFocGroup_Column.lite.hdf")) == "Column"


def test_real_groupings_are_read(settings: Settings, geometry: Geometry, reference_data: Path) -> None:
    settings.pixel_groupings.mkdir(parents=True)
    for name in ("All", "Bank", "Column"):
        shutil.copy(reference_data / f"SNAPFocGroup_{name}.lite.hdf", settings.pixel_groupings)
    definitions = {name: f"SNAPFocGroup_{name}.lite.hdf" for name in ("All", "Bank", "Column")}
    path = settings.pixel_groupings / "defaultGroupingMap.json"
    _write_map(path, liteFocusGroups=definitions, nativeFocusGroups={})
    counts = {
        name: np.bincount(read_grouping_named(settings, STATE, SNAP.lite, name, geometry).group)[1:].tolist()
        for name in definitions
    }
    assert counts == {"All": [18432], "Bank": [9216, 9216], "Column": [3072] * 6}


def test_an_unknown_name_lists_the_groupings(maps: Settings, geometry: Geometry) -> None:
    with pytest.raises(NotFoundError, match="Bank, Column"):
        read_grouping_named(maps, STATE, SNAP.lite, "Row", geometry)


def test_no_usable_grouping_lists_the_folder(maps: Settings) -> None:
    with pytest.raises(NotFoundError, match=r"native[\s\S]*SNAPFocGroup_Bank\.lite\.hdf"):
        groupings_of_state(maps, STATE, SNAP.native)


def test_no_map_says_where_it_looked(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match=r"defaultGroupingMap\.json; no readable folder"):
        groupings_of_state(settings, STATE, SNAP.lite)
    settings.pixel_groupings.mkdir(parents=True)
    with pytest.raises(NotFoundError, match="has nothing"):
        groupings_of_state(settings, STATE, SNAP.lite)


def test_a_missing_list_is_a_warning(maps: Settings) -> None:
    _write_map(maps.powder_home / STATE / "groupingMap.json", liteFocusGroups={"A": "SNAPFocGroup_Bank.lite.hdf"})
    warnings: list[str] = []
    with pytest.raises(NotFoundError):
        groupings_of_state(maps, STATE, SNAP.native, Progress(on_message=lambda level, text: warnings.append(text)))
    assert any("nativeFocusGroups" in warning for warning in warnings)
    assert list(groupings_of_state(maps, STATE, SNAP.lite)) == ["A"]


@pytest.mark.parametrize(
    "content", [[], {"liteFocusGroups": "Column"}, {"liteFocusGroups": [{"name": "A"}]}, {"liteFocusGroups": ["A"]}]
)
def test_an_odd_map_is_an_error(maps: Settings, content: Any) -> None:
    write_json(maps.powder_home / STATE / "groupingMap.json", content)
    with pytest.raises(FileFormatError, match=r"groupingMap\.json"):
        groupings_of_state(maps, STATE, SNAP.lite)


def test_a_grouping_for_other_pixels_is_refused(maps: Settings, geometry: Geometry, tmp_path: Path) -> None:
    detid = np.arange(100, dtype=np.int32)
    path = tmp_path / "small.hdf"
    write_grouping(path, PixelGrouping(detid, np.ones(100, np.int32)), instrument="SNAP")
    with pytest.raises(FileFormatError, match="100"):
        read_grouping_named(maps, STATE, SNAP.lite, path, geometry)


def test_a_group_a_pixel_is_refused_with_their_number(settings: Settings, geometry: Geometry, tmp_path: Path) -> None:
    path = _write_lite(tmp_path / "pixels.hdf", SNAP.lite.n_pixels)
    with pytest.raises(InputError, match=r"18432 groups in .*pixels\.hdf"):
        read_grouping_named(settings, STATE, SNAP.lite, path, geometry)


def test_a_home_of_nobody_is_no_grouping(settings: Settings, geometry: Geometry) -> None:
    with pytest.raises(InputError, match="nosuchuser"):
        read_grouping_named(settings, STATE, SNAP.lite, "~nosuchuser/x", geometry)
