"""The history of a state that others wrote, with a drift and a jump that were put in."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from typer.testing import CliRunner

from snapcal_workbench.calibration.types import PixelGrouping
from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import NotFoundError
from snapcal_workbench.facility.history import History, read_history
from snapcal_workbench.facility.history_plot import draw_history
from snapcal_workbench.formats.grouping import write_grouping
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store.state_store import StateStore
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import GROUP_ERROR, SnapredState, state_at

VERSIONS = 9
NOISE = 300e-6
"""Of a pixel."""
DRIFT, DRIFTING = 60e-6, 4
"""A version, of the module with that index."""
JUMP, JUMPING, AT = 700e-6, 12, 6
"""Of the module with that index, from that version on."""


def shifts(version: int, mode: PixelMode) -> np.ndarray:
    """A misalignment that stays, noise of pixels and groups, a module that drifts, and one that jumps."""
    module = mode.layout.module
    rng = np.random.default_rng(100 + version)
    found = np.random.default_rng(1).normal(0.0, 2e-3, len(module)) + rng.normal(0.0, NOISE, len(module))
    found += rng.normal(0.0, GROUP_ERROR, 6)[columns(mode) - 1]
    found[module == DRIFTING] += DRIFT * version
    found[module == JUMPING] += JUMP * (version >= AT)
    return found


def columns(mode: PixelMode) -> np.ndarray:
    """Group of each pixel: columns of modules."""
    return (mode.layout.module // 3 + 1).astype(np.int32)


def write_groupings(state: SnapredState) -> None:
    """The facility's grouping by columns, and its map."""
    folder = state.settings.pixel_groupings
    folder.mkdir(parents=True, exist_ok=True)
    grouping = PixelGrouping(SNAP.lite.detid, columns(SNAP.lite), "Column")
    write_grouping(folder / "SNAPFocGroup_Column.lite.hdf", grouping, instrument=SNAP.lite.definition)
    listed = [{"name": "Column", "definition": "SNAPFocGroup_Column.lite.hdf"}]
    known = {"stateId": state.state.state_id, "nativeFocusGroups": [], "liteFocusGroups": listed}
    (folder / "defaultGroupingMap.json").write_text(json.dumps(known))


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> SnapredState:
    """A state with nine versions, in which a module drifts and another jumps; not to be changed."""
    state = SnapredState(settings_of(tmp_path_factory.mktemp("drifting")), state_at(), "the moving one")
    state.write(VERSIONS, shift=shifts)
    write_groupings(state)
    return state


@pytest.fixture(scope="module")
def history(drifting: SnapredState) -> History:
    """Its history."""
    return read_history(drifting.settings, drifting.state.state_id, SNAP.lite)


def test_the_drift_and_the_jump_are_named_and_nothing_else_of_modules(history: History, drifting: SnapredState) -> None:
    names = SNAP.lite.layout.arrangement.modules
    found = {change.name: change for change in history.changes if change.part == "module"}
    assert set(found) == {names[DRIFTING], names[JUMPING]}
    drift, jump = found[names[DRIFTING]], found[names[JUMPING]]
    assert (drift.kind, drift.first, drift.last) == ("drift", 0, VERSIONS - 1)
    assert abs(drift.ppm - 1e6 * DRIFT * (VERSIONS - 1)) < 4.0 * drift.error_ppm
    assert (jump.kind, history.points[jump.last].version) == ("jump", AT)
    assert abs(jump.ppm - 1e6 * JUMP) < 4.0 * jump.error_ppm
    assert (history.points[jump.first].run, history.points[jump.last].run) == (
        str(drifting.run(AT - 1)),
        str(drifting.run(AT)),
    )
    assert jump.error_ppm < 60.0


def test_the_errors_are_as_large_as_the_scatter(history: History) -> None:
    quiet = [
        course
        for course in history.difc
        if course.part == "module" and course.name not in {change.name for change in history.changes}
    ]
    pulls = np.array([(c.value - np.average(c.value, weights=c.error**-2)) / c.error for c in quiet])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25)


def test_it_is_told_in_sentences_with_module_runs_and_ppm(history: History, drifting: SnapredState) -> None:
    told = history.sentences()
    jump = next(text for text in told if f"module {SNAP.lite.layout.arrangement.modules[JUMPING]} by" in text)
    assert jump.startswith("Jump of module ")
    assert f"between runs {drifting.run(AT - 1)} and {drifting.run(AT)}" in jump
    assert " ± " in jump


def test_the_map_of_a_change_shows_the_module_that_moved(history: History) -> None:
    jump = next(change for change in history.changes if change.kind == "jump" and change.part == "module")
    picture = history.change_map(jump)
    module = SNAP.lite.layout.module
    median = [np.nanmedian(picture.value[module == index]) for index in range(18)]
    assert int(np.argmax(np.abs(np.array(median) - np.median(median)))) == JUMPING


def test_widths_and_strain_have_errors_from_the_peaks(history: History) -> None:
    assert [course.name for course in history.width] == [str(group) for group in range(1, 7)]
    assert history.width[0].value[0] == pytest.approx(3.1)
    assert history.width[0].error[0] == pytest.approx(0.2 / np.sqrt(12))
    assert history.strain[0].value[0] == pytest.approx(1e6 * 0.012 * 0.0031)


def test_retired_versions_and_native_ones_are_left_out(drifting: SnapredState, tmp_path: Path) -> None:
    moved = replace(drifting, settings=settings_of(tmp_path))
    moved.write(3)
    store = StateStore(moved.settings, moved.state.state_id, SNAP.lite)
    store.retire(2, "bad", "tester")
    found = read_history(moved.settings, moved.state.state_id, SNAP.lite)
    assert [point.version for point in found.points] == [1, 3]
    assert found.sentences() == ["No module and no group drifts or jumps by more than its errors explain."]
    with pytest.raises(NotFoundError):
        read_history(moved.settings, moved.state.state_id, SNAP.native)


def test_a_version_that_cannot_be_read_is_told(drifting: SnapredState, tmp_path: Path) -> None:
    moved = replace(drifting, settings=settings_of(tmp_path))
    moved.write(3, shift=shifts)
    next((moved.home / "v_0002").glob("*.h5")).write_bytes(b"damaged")
    found = read_history(moved.settings, moved.state.state_id, SNAP.lite)
    assert [point.version for point in found.points] == [1, 3]
    assert "version 2 cannot be read" in found.notes[0]


def test_the_shell_tells_and_draws_it(drifting: SnapredState, history: History, tmp_path: Path) -> None:
    command = ["--set", f"calibration_home={drifting.settings.calibration_home}", "history", drifting.state.state_id]
    picture = tmp_path / "history.png"
    done = CliRunner().invoke(app, [*command, "--plot", str(picture), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["sentences"] == history.sentences()
    assert found["changes"][0]["ppm"] == pytest.approx(history.changes[0].ppm)
    assert len(found["points"]) == VERSIONS
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = CliRunner().invoke(app, [*command, "--last", "3"])
    assert shown.exit_code == 0
    assert str(drifting.run(9)) in shown.stdout
    assert str(drifting.run(1)) not in shown.stdout
    wrong = CliRunner().invoke(app, [*command, "--plot", str(tmp_path / "history.gif")])
    assert wrong.exit_code == 2, wrong.output
    nowhere = CliRunner().invoke(app, [*command, "--plot", str(tmp_path / "no" / "such" / "history.png")])
    assert nowhere.exit_code == 6, nowhere.output
    assert found["sentences"][0] in nowhere.stdout.replace("\n", " "), "what was found is not lost with the picture"


def test_one_version_is_drawn_without_a_warning(history: History) -> None:
    """A range of dates without a width has no ticks of its own."""
    difc = tuple(replace(course, value=course.value[:1], error=course.error[:1]) for course in history.difc)
    one = replace(history, points=history.points[:1], changes=(), difc=difc, width=(), strain=())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_history(figure := Figure(), one)
        FigureCanvasAgg(figure).draw()
