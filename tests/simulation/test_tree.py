"""The simulated facility: what the readers find in it, and that nothing of others is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.errors import Cancelled, InputError, NotFoundError, PermissionDeniedError
from snapcal_workbench.formats.grouping import read_grouping
from snapcal_workbench.instrument.calibrants import find_calibrants, read_calibrant
from snapcal_workbench.instrument.groupings import groupings_of_state
from snapcal_workbench.instrument.merging import merge_map, merged_by_place
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.runs import find_run
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.tree import MARKER, SimulatedTree, grouping_of, make_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    return make_tree(tmp_path_factory.mktemp("facility") / "demo")


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_home_of_the_settings_lies_in_the_tree(tree: SimulatedTree) -> None:
    settings = tree.settings
    for home in (settings.calibrant_samples, settings.instrument_parameters, settings.powder_home, settings.lite_map):
        assert home.exists()
    for name, value in settings.effective().items():
        if isinstance(value, Path):
            assert value.is_relative_to(tree.directory), name


def test_instrument_parameters_apply_to_the_demonstration_run(tree: SimulatedTree) -> None:
    warnings: list[str] = []
    progress = Progress(on_message=lambda level, text: warnings.append(text))
    parameters = read_instrument_parameters(tree.settings, 58882, progress)
    assert (parameters.l1, parameters.l2, parameters.bandwidth) == (15.0, 0.5, 3.0)
    assert warnings == []


@pytest.mark.parametrize(
    ("name", "lattice", "threshold"), [("Silicon_NIST_640d", 5.43123, 0.01), ("Diamond_001", 3.5671, 0.05)]
)
def test_calibrants_have_their_lattice(tree: SimulatedTree, name: str, lattice: float, threshold: float) -> None:
    """Both have the diamond structure: d = a / sqrt(N) with N = 3, 8, 11, 16, 19 and nothing else down to 331."""
    calibrant = read_calibrant(name, tree.settings)
    found = reflections_from_cif(calibrant.cif_text, d_min=lattice / np.sqrt(19.5), d_max=100.0)
    np.testing.assert_allclose(found.d[::-1], lattice / np.sqrt([3.0, 8.0, 11.0, 16.0, 19.0]), rtol=1e-9)
    assert calibrant.intensity_fraction == threshold
    assert len(find_calibrants(tree.settings)) == 2


@pytest.mark.parametrize("mode", SNAP.modes, ids=lambda mode: mode.name)
def test_groupings_are_those_of_the_map(tree: SimulatedTree, mode: PixelMode) -> None:
    found = groupings_of_state(tree.settings, "04bd2c53f6bf6754", mode)
    assert list(found) == ["Column", "Bank", "All"]
    detid = np.arange(18432 if mode.merged else 1179648, dtype=np.int32)
    for name, path in found.items():
        np.testing.assert_array_equal(read_grouping(path, detid).group, grouping_of(SNAP_BEAMLINE, name, mode).group)


@pytest.mark.parametrize("name", ["All", "Bank", "Column"])
def test_lite_groupings_are_those_of_the_instrument(reference_data: Path, name: str) -> None:
    detid = np.arange(18432, dtype=np.int32)
    real = read_grouping(reference_data / f"SNAPFocGroup_{name}.lite.hdf", detid)
    np.testing.assert_array_equal(grouping_of(SNAP_BEAMLINE, name, SNAP.lite).group, real.group)


def test_native_column_grouping_is_that_of_the_instrument(reference_data: Path) -> None:
    real = read_grouping(reference_data / "SNAPFocGroup_Column.hdf", np.arange(1179648, dtype=np.int32))
    np.testing.assert_array_equal(grouping_of(SNAP_BEAMLINE, "Column", SNAP.native).group, real.group)


def test_native_groupings_have_the_published_id_ranges() -> None:
    group = grouping_of(SNAP_BEAMLINE, "Column", SNAP.native).group
    starts = {1: 0, 2: 196608, 3: 393216, 4: 983040, 5: 786432, 6: 589824}
    for number, start in starts.items():
        np.testing.assert_array_equal(np.flatnonzero(group == number), np.arange(start, start + 196608))


def test_lite_map_is_the_formula(tree: SimulatedTree) -> None:
    np.testing.assert_array_equal(merge_map(SNAP.lite, tree.settings), merged_by_place(SNAP.native.layout, 8))


def test_runs_are_looked_up_where_they_are_written(tree: SimulatedTree) -> None:
    with pytest.raises(NotFoundError):
        find_run(58883, tree.settings)
    tree.run_path(58883).write_bytes(b"")
    assert find_run(58883, tree.settings).path == tree.run_path(58883)
    tree.run_path(58883).unlink()
    assert tree.truth_path(58883).parent.is_dir()


def test_a_second_call_changes_nothing_and_completes_what_is_missing(tree: SimulatedTree) -> None:
    before = _content(tree.directory)
    state = tree.settings.powder_home / "0123456789abcdef"
    state.mkdir()
    (state / "kept.json").write_text("{}")
    lost = tree.settings.lite_map
    lost.unlink()
    edited = tree.settings.calibrant_samples / "Diamond_001.json"
    edited.write_text("mine")
    make_tree(tree.directory)
    after = _content(tree.directory)
    assert (state / "kept.json").read_text() == "{}"
    assert edited.read_text() == "mine"
    assert set(after) == set(before) | {str((state / "kept.json").relative_to(tree.directory))}
    edited.write_bytes(before[str(edited.relative_to(tree.directory))])
    np.testing.assert_array_equal(merge_map(SNAP.lite, tree.settings), merged_by_place(SNAP.native.layout, 8))


def test_folders_of_others_are_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "work.txt").write_text("precious")
    with pytest.raises(InputError, match="something else"):
        make_tree(tmp_path)
    assert _content(tmp_path) == {"work.txt": b"precious"}
    with pytest.raises(InputError, match="something else"):
        make_tree(tmp_path / "work.txt")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    cancelled = iter([False, True])
    with pytest.raises(Cancelled):
        make_tree(tmp_path, progress=Progress(is_cancelled=lambda: next(cancelled)))
    assert json.loads((tmp_path / MARKER).read_text())["format"].startswith("snapcal")
    assert not (tmp_path / "snapcal.toml").exists()


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionDeniedError, match="folder"):
        make_tree(tmp_path / "new")
