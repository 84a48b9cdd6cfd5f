"""The Facility tab of the real window, over a tree of three states: ours, one that moves, and a damaged one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QTableWidget

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.facility.history import History
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.panel.presenters.facility import fitting_states
from snapcal_workbench.panel.views.facility.facility_view import FacilityView
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.report.detectors import DetectorPicture
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.facility.snapred_tree import state_at
from tests.facility.test_history import DRIFT, DRIFTING, JUMP, JUMPING, VERSIONS
from tests.panel.driving import MOUSE_AND_KEYS, RUN, Open, log, text_of, titles_of
from tests.panel.screenshots import dark_palette

OURS, MOVING, DAMAGED = (state_at(wavelength=wavelength).state_id for wavelength in (2.1, 3.0, 4.0))
MODULES = SNAP.lite.layout.arrangement.modules


@pytest.fixture
def window(qtbot, open_facility: Open) -> CalibrationWindow:
    """The panel with the states shown."""
    window = open_facility()
    window.resize(1400, 860)
    window.pages.setCurrentWidget(window.facility)
    qtbot.waitUntil(lambda: window.facility.table.rowCount() == 3 and not window.busy, timeout=20_000)
    return window


def cells(table: QTableWidget, row: int | None) -> dict[str, str]:
    """Texts of a row by the titles of the columns."""
    return {title: text_of(table, row, column) for column, title in enumerate(titles_of(table))}


def read_history(facility: FacilityView) -> History:
    """The history that is shown."""
    assert facility.history.history is not None
    return facility.history.history


def show_history(qtbot, window: CalibrationWindow, state: str) -> FacilityView:
    """Choose a state and read its history."""
    facility = window.facility
    facility.table.select(state)
    facility.table.setFocus()
    MOUSE_AND_KEYS.keyClick(facility.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: drawn(facility) and facility.history.history is not None, timeout=30_000)
    return facility


def drawn(facility: FacilityView) -> bool:
    pane = facility.history.pane
    return not pane.busy and bool(pane.figure.axes)


def test_nothing_is_read_before_the_tab_is_shown(qtbot, open_facility: Open) -> None:
    window = open_facility()
    qtbot.waitUntil(lambda: window.iterations.table.rowCount() == 3, timeout=20_000)
    assert "list the states" not in log(window)
    assert window.facility.table.rowCount() == 0
    window.pages.setCurrentWidget(window.facility)
    qtbot.waitUntil(lambda: window.facility.table.rowCount() == 3, timeout=20_000)
    window.pages.setCurrentIndex(0)
    window.pages.setCurrentWidget(window.facility)
    assert log(window).count("Started: list the states") == 1


def test_every_state_is_a_row_that_sorts_and_filters(qtbot, window: CalibrationWindow) -> None:
    facility = window.facility
    shown = {cells(facility.table, row)["State"]: cells(facility.table, row) for row in range(3)}
    assert set(shown) == {OURS, MOVING, DAMAGED}
    assert (shown[MOVING]["Name"], shown[MOVING]["λ (Å)"], shown[MOVING]["Versions"]) == ("the moving one", "3", "9")
    assert shown[OURS]["Run"] == RUN
    assert shown[OURS]["Verdict"] in ("good", "usable", "not to be used")
    assert [bool(shown[state]["Damage"]) for state in (OURS, MOVING, DAMAGED)] == [False, False, True]
    assert facility.problem.text() == "3 states."
    facility.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert facility.table.keys() == [DAMAGED, MOVING, OURS]
    qtbot.keyClicks(facility.filter, "wavelength>2.5; MOVING")
    assert facility.table.keys() == [MOVING]
    assert facility.problem.text() == "1 of 3 states."
    facility.filter.setText("colour=red")
    assert "last_calibrated" in facility.problem.text()
    assert facility.table.keys() == [MOVING], "a wrong condition changes nothing"
    facility.filter.clear()
    facility.count_runs.setChecked(True)
    facility.refresh.click()
    qtbot.waitUntil(lambda: cells(facility.table, facility.table.row_of(OURS))["Runs since"] == "0", timeout=20_000)
    facility.pixels.setCurrentText("native")
    qtbot.waitUntil(lambda: cells(facility.table, facility.table.row_of(MOVING))["Versions"] == "0", timeout=20_000)


def test_words_and_conditions_filter_states() -> None:
    rows = [StateRow("a", "silicon", wavelength=1.0), StateRow("b", "Silicon", wavelength=3.0), StateRow("c", "lead")]
    assert [row.state_id for row in fitting_states(rows, "silicon")] == ["a", "b"]
    assert [row.state_id for row in fitting_states(rows, " ; silicon; wavelength>2")] == ["b"]
    assert fitting_states(rows, "") == rows


def test_a_click_on_a_change_shows_it_on_the_detector(qtbot, window: CalibrationWindow) -> None:
    history = show_history(qtbot, window, MOVING).history
    changes = [cells(history.changes, row) for row in range(history.changes.rowCount())]
    by = {change["Of"]: change for change in changes}
    drift, jump = by[f"module {MODULES[DRIFTING]}"], by[f"module {MODULES[JUMPING]}"]
    assert (drift["Change"], jump["Change"]) == ("drift", "jump")
    for change, size in ((drift, DRIFT * (VERSIONS - 1)), (jump, JUMP)):
        ppm, error = (float(text) for text in change["By (ppm)"].split(" ± "))
        assert abs(ppm - 1e6 * size) < 4.0 * error
    assert changes[0] == jump, "the largest first"
    with qtbot.waitSignal(history.pane.drawn, timeout=20_000):
        item = history.changes.visualItemRect(history.changes.item(0, 1))
        MOUSE_AND_KEYS.mouseClick(
            history.changes.viewport(),
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            item.center(),
        )
    picture = history.pane.result
    assert isinstance(picture, DetectorPicture)
    assert history.told.text().endswith(read_history(window.facility).sentences()[0])
    pictures: list[np.ndarray] = [np.ma.asarray(image.get_array()).filled(np.nan).ravel() for image in picture.images]
    values = np.concatenate(pictures)[picture.mosaic.place]
    means = [np.nanmean(values[SNAP.lite.layout.module == module]) for module in range(18)]
    assert int(np.argmax(means)) == JUMPING
    across, up = picture.axes[1].transData.transform((40, 8))
    canvas = history.pane.canvas
    event: Any = MouseEvent("motion_notify_event", canvas, across, up)
    event._process()
    assert "ppm" in history.hover.text()
    history.picture.setCurrentText("all versions")
    qtbot.waitUntil(lambda: drawn(window.facility) and len(history.pane.figure.axes) == 4, timeout=20_000)


def test_the_table_has_the_figures_of_each_version_and_opens_it(qtbot, window: CalibrationWindow) -> None:
    history = show_history(qtbot, window, MOVING).history
    course = next(course for course in read_history(window.facility).difc if course.name == MODULES[JUMPING])
    for row in range(VERSIONS):
        shown = cells(history.versions, row)
        value, error = shown[MODULES[JUMPING]].replace("−", "-").replace(",", "").split(" ± ")
        assert abs(float(value) - course.value[row]) <= 0.5
        assert abs(float(error) - course.error[row]) <= 0.5
    history.figure_of.setCurrentText("peak width σ/d")
    assert cells(history.versions, 0)["1"] == "3.100 ± 0.058"
    history.versions.select(7)
    history.buttons["Load"].click()
    name = "diffract_consts_058880_v0007"
    qtbot.waitUntil(lambda: name in window.workspaces_shown(), timeout=30_000)
    assert isinstance(window.presenter.session.host.workspaces.read(name, DiffCalTable), DiffCalTable)


@pytest.mark.one_binding
def test_a_run_is_checked_and_each_module_has_its_verdict_with_an_error(
    qtbot, window: CalibrationWindow, tmp_path: Path
) -> None:
    facility, check = window.facility, window.facility.check
    facility.tabs.setCurrentWidget(check)
    qtbot.waitUntil(lambda: check.run.text() == RUN, timeout=20_000)
    check.tolerance.setValue(500.0)
    assert check.powder.findText("Silicon_NIST_640d_001") > 0
    check.powder.setCurrentText("Silicon_NIST_640d_001")
    qtbot.mouseClick(check.check, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: check.found is not None and not check.pane.busy, timeout=120_000)
    assert check.told.text().startswith(f"Version {OURS}/1 holds for run {RUN} within 500 ppm")
    assert check.found is not None
    assert check.found.text in log(window)
    shown = [cells(check.modules, row) for row in range(check.modules.rowCount())]
    assert [row["Module"] for row in shown] == list(MODULES)
    assert {row["Verdict"] for row in shown} == {"holds"}
    assert all(float(row["± (ppm)"]) > 0 for row in shown)
    export(window, "Modules (CSV)", tmp_path / "check.csv", qtbot)
    with (tmp_path / "check.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [float(row["error_ppm"]) for row in written] == pytest.approx([m.error_ppm for m in check.found.modules])
    export(window, "Page of the check (HTML)", tmp_path / "check.html", qtbot)
    assert check.found.text in (tmp_path / "check.html").read_text()


def export(window: CalibrationWindow, title: str, path: Path, qtbot) -> None:
    """Write one of what the tab offers."""
    window.facility.exported.emit(str(path), window.facility.offers()[title][1])
    qtbot.waitUntil(lambda: f"Written: {path}" in log(window), timeout=30_000)


def test_history_and_states_are_exported(qtbot, window: CalibrationWindow, tmp_path: Path) -> None:
    history = read_history(show_history(qtbot, window, MOVING))
    assert {Path(file).suffix for file, _ in window.facility.offers().values()} == {".png", ".csv", ".html"}
    export(window, "Picture (PNG)", tmp_path / "history.png", qtbot)
    assert imread(tmp_path / "history.png")[..., :3].std() > 0.05
    export(window, "History (CSV)", tmp_path / "history.csv", qtbot)
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    course = history.difc[3]
    own = [row for row in rows if (row["figure"], row["part"], row["name"]) == ("difc", course.part, course.name)]
    assert [float(row["value"]) for row in own] == pytest.approx(course.value)
    assert [float(row["error"]) for row in own] == pytest.approx(course.error)
    export(window, "Drifts and jumps (CSV)", tmp_path / "changes.csv", qtbot)
    assert len((tmp_path / "changes.csv").read_text().splitlines()) == len(history.changes) + 1
    export(window, "Page of the history (HTML)", tmp_path / "history.html", qtbot)
    page = (tmp_path / "history.html").read_text()
    assert history.sentences()[0] in page
    assert page.count("data:image/png;base64,") == 1
    export(window, "States (CSV)", tmp_path / "states.csv", qtbot)
    with (tmp_path / "states.csv").open(newline="") as file:
        assert {row["state_id"] for row in csv.DictReader(file)} == {OURS, MOVING, DAMAGED}
    export(window, "Page of the states (HTML)", tmp_path / "states.html", qtbot)
    assert all(state in (tmp_path / "states.html").read_text() for state in (OURS, MOVING, DAMAGED))


def test_what_cannot_be_read_is_one_clear_text_and_loses_nothing(qtbot, window: CalibrationWindow) -> None:
    facility = show_history(qtbot, window, MOVING)
    facility.table.select(DAMAGED)
    facility.history_button.click()
    qtbot.waitUntil(lambda: bool(window.findChildren(QMessageBox)), timeout=20_000)
    (box,) = window.findChildren(QMessageBox)
    assert DAMAGED in box.text()
    assert read_history(facility).state_id == MOVING
    assert facility.history.versions.rowCount() == VERSIONS


def test_a_history_is_cancelled_by_escape(qtbot, window: CalibrationWindow) -> None:
    facility = window.facility
    facility.table.select(MOVING)
    facility.history_button.click()
    qtbot.waitUntil(lambda: "Reading version" in window.run_bar.step.text(), timeout=20_000)
    MOUSE_AND_KEYS.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: "Cancelled." in log(window), timeout=20_000)
    assert not window.busy
    assert facility.history.history is None
    show_history(qtbot, window, MOVING)


def test_a_dark_theme_darkens_every_part(qtbot, window: CalibrationWindow) -> None:
    facility = show_history(qtbot, window, MOVING)
    before = window.palette()
    try:
        window.setPalette(dark_palette())
        qtbot.waitUntil(lambda: to_rgb(facility.history.pane.figure.get_facecolor())[0] < 0.5, timeout=20_000)
        qtbot.waitUntil(lambda: drawn(facility), timeout=20_000)
        light = [text for axes in facility.history.pane.figure.axes for text in axes.get_xticklabels()]
        offsets = [axes.xaxis.get_offset_text() for axes in facility.history.pane.figure.axes]
        colours = {text.get_color() for text in (*light, *offsets)}
        assert colours == {facility.history.pane.theme.text}
    finally:
        window.setPalette(before)


def test_pictures_of_nothing_have_the_colour_of_the_theme(qtbot, window: CalibrationWindow) -> None:
    history = window.facility.history
    window.pages.setCurrentWidget(window.facility)
    qtbot.waitUntil(lambda: history.pane.canvas.isVisible() and not history.pane.busy, timeout=20_000)
    before = window.palette()
    try:
        window.setPalette(dark_palette())
        qtbot.waitUntil(lambda: not history.pane.busy, timeout=20_000)
        assert to_rgb(history.pane.figure.get_facecolor()) == to_rgb(history.pane.theme.background)
        assert history.pane.canvas.grab().toImage().pixelColor(20, 20).lightness() < 128
    finally:
        window.setPalette(before)


def test_the_tree_may_be_empty(qtbot, small_tree: SimulatedTree, settings: None) -> None:
    window = CalibrationWindow(EmbeddedHost(small_tree.settings))
    qtbot.addWidget(window)
    window.show()
    window.pages.setCurrentWidget(window.facility)
    qtbot.waitUntil(lambda: "no state" in window.facility.problem.text(), timeout=20_000)
    assert window.facility.offers() == {}
    assert not window.facility.history_button.isEnabled()
