"""The real window, driven as a scientist drives it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QSettings, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from snapcal_workbench.calibration.types import PixelMask
from snapcal_workbench.facility.loading import identify_run
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.save_dialog import SaveDialog
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.workspaces.protocol import RunRequest

RUN = "58882"
LONG = 120_000


@pytest.fixture
def tree(small_tree: SimulatedTree) -> SimulatedTree:
    state = identify_run(RunRequest((RUN,), lite=True), small_tree.settings).state
    init_state(small_tree.settings, state, name="t", run_number=RUN, author="tester", progress=Progress())
    return small_tree


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[None]:
    """Settings of the test's own, not those of whoever runs it."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))
    QApplication.setOrganizationName("tests")
    QApplication.setApplicationName("panel")
    QSettings().clear()
    return None


Open = Callable[[], CalibrationWindow]


@pytest.fixture
def open_window(qtbot, tree: SimulatedTree, settings: None) -> Open:
    def open_one() -> CalibrationWindow:
        window = CalibrationWindow(EmbeddedHost(tree.settings))
        qtbot.addWidget(window)
        window.show()
        return window

    return open_one


def fill_in(qtbot, window: CalibrationWindow) -> None:
    form = window.inputs_view
    form.runs.clear()
    qtbot.keyClicks(form.runs, RUN)
    form.calibrant.setCurrentText("Silicon_NIST_640d_001")
    qtbot.waitUntil(lambda: "state 04bd2c53f6bf6754" in form.summary.text(), timeout=20_000)
    form.grouping.setCurrentText("Column")
    form.model.setCurrentText("DIFC")


def run(qtbot, window: CalibrationWindow, count: int) -> None:
    qtbot.mouseClick(window.calibrate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.iterations.table.rowCount() == count and window.calibrate.isEnabled(), timeout=LONG)


def log(window: CalibrationWindow) -> str:
    return window.messages.toPlainText()


def test_from_the_form_to_a_saved_version(qtbot, open_window: Open, tree: SimulatedTree) -> None:
    """Fill in, run, iterate, compare, choose the first iteration, save; then open it all again."""
    window = open_window()
    fill_in(qtbot, window)
    assert not window.inputs_view.initialise.isVisible()
    longest = GuiBlocks(window)
    run(qtbot, window, 1)
    assert longest.stop() < 2.0  # s, generous: machines are shared
    window.inputs_view.model.setCurrentText("DIFC+TZERO")
    run(qtbot, window, 2)
    cells = [window.iterations.table.item(row, 2).text() for row in range(2)]
    assert "groups.model: DIFC+TZERO" in " ".join(cells)
    assert "diffract_consts_058882_01" in window.workspaces_shown()

    window.iterations.compared.emit(["1", "2"])
    qtbot.waitUntil(lambda: bool(window.results.comparison.figure.axes), timeout=20_000)

    dialog = SaveDialog(window.presenter, [1, 2], 1, "")
    qtbot.addWidget(dialog)
    assert "Still missing: author and comments" in dialog.preview.text()
    qtbot.keyClicks(dialog.author, "tester")
    qtbot.keyClicks(dialog.comments, "the first")
    qtbot.keyClicks(dialog.applies_to, "58882-60000")
    assert "Write for example" in dialog.preview.text()
    dialog.applies_to.setText("")
    assert dialog.preview.text() == "Applies to runs >=58882."
    window.presenter.save(1, author="tester", comments="the first", applies_to="")
    qtbot.waitUntil(lambda: "Saved as version 1" in log(window), timeout=30_000)
    qtbot.waitUntil(lambda: window.versions.table.rowCount() == 2, timeout=20_000)
    assert (tree.settings.powder_home / "04bd2c53f6bf6754" / "diffraction" / "v_0001").is_dir()
    window.inputs_view.max_chi2.setValue(7.0)
    window.close()

    again = open_window()
    assert again.iterations.table.rowCount() == 2
    assert again.inputs["runs"] == (RUN,)
    assert again.inputs["groups.model"] == "DIFC+TZERO"
    assert again.inputs["groups.max_chi2"] == 7.0
    again.presenter.select(1)
    qtbot.waitUntil(lambda: again.results.group.count() == 6, timeout=20_000)
    check_results(qtbot, again, tree.directory)
    check_versions(qtbot, again, tree)


def check_versions(qtbot, window: CalibrationWindow, tree: SimulatedTree) -> None:
    """A check finds a version that was tampered with; an iteration and a version are applied to a run."""
    window.presenter.check_versions()
    health = window.versions.table.columnCount() - 1
    cells = lambda: [window.versions.table.item(row, health).text() for row in range(2)]  # noqa: E731
    qtbot.waitUntil(lambda: cells() == ["good", "good"], timeout=20_000)
    saved = tree.settings.powder_home / "04bd2c53f6bf6754" / "diffraction" / "v_0001"
    table = saved / "diffract_consts_058882_v0001.h5"
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    window.presenter.check_versions()
    qtbot.waitUntil(lambda: any("changed" in cell for cell in cells()), timeout=20_000)


def check_results(qtbot, window: CalibrationWindow, folder: Path) -> None:
    """Every tab draws; hovering names the pixel; peaks can be left out; what is shown is exported."""
    window.results.export(folder / "figures.csv")
    lines = (folder / "figures.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[1].split(",")[0] == "1"
    window.results.setCurrentIndex(1)
    window.results.baseline.setCurrentText("iteration 2")
    change = window.results.detector_values()
    assert change is not None
    assert 100 < abs(float(np.median(change))) < 3000  # ppm: TZERO of iteration 2 takes part of DIFC
    window.results.baseline.setCurrentText("the start")
    window.results.export(folder / "detectors.png")
    assert (folder / "detectors.png").stat().st_size > 10_000
    for tab in range(window.results.count() - 1):
        window.results.setCurrentIndex(tab)
        qtbot.wait(50)
    assert len(window.results.convergence.figure.axes) >= 1
    values = window.results.detector_values()
    assert values is not None
    assert "pixel 1000, module 1" in window.results.pixel_text(1000, values)
    window.results.peak_clicked.emit(3, 2, 2, 0)
    assert (3, (2, 2, 0)) in window.presenter.request().excluded_peaks
    window.results.purge_asked.emit(0.01)
    assert len(window.presenter.request().excluded_peaks) > 30
    assert "session.calibrate" in window.presenter.script()


class GuiBlocks:
    """The longest time in which the GUI thread did not answer."""

    def __init__(self, window: CalibrationWindow) -> None:
        self._timer = QTimer(window)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)
        self._last, self._longest = time.monotonic(), 0.0
        self._timer.start()

    def _tick(self) -> None:
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now

    def stop(self) -> float:
        self._timer.stop()
        return self._longest


def test_cancel_answers_at_once_and_keeps_nothing(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    qtbot.mouseClick(window.calibrate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.bar.value() > 150, timeout=LONG)
    qtbot.mouseClick(window.cancel, Qt.MouseButton.LeftButton)
    assert window.cancel.text() == "Cancelling …"
    qtbot.waitUntil(lambda: "Cancelled." in log(window), timeout=10_000)
    assert window.calibrate.isEnabled()
    assert window.iterations.table.rowCount() == 0
    assert not [name for name in window.workspaces_shown() if name.startswith("dsp_")]


def test_problems_stand_beside_their_field(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    form = window.inputs_view
    form.calibrant.setCurrentText("Nickel")
    form.masks.setText("no_such_mask")
    form.masks.textEdited.emit("no_such_mask")
    qtbot.waitUntil(lambda: "Nickel" in form.problem("calibrant"), timeout=20_000)
    assert "no_such_mask" in form.problem("masks")
    qtbot.mouseClick(window.calibrate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "ERROR" in log(window), timeout=20_000)
    boxes = window.findChildren(QMessageBox)
    assert any("Nickel" in box.text() for box in boxes)
    form.runs.setText("58883")
    form.runs.textEdited.emit("58883")
    qtbot.waitUntil(lambda: "58883" in form.problem("runs"), timeout=20_000)


def test_an_unknown_state_can_be_initialised_here(qtbot, small_tree: SimulatedTree, settings: None) -> None:
    window = CalibrationWindow(EmbeddedHost(small_tree.settings))
    qtbot.addWidget(window)
    window.show()
    fill_in(qtbot, window)
    assert window.inputs_view.initialise.isVisible()
    window.presenter.initialise_state("test", "tester")
    qtbot.waitUntil(lambda: not window.inputs_view.initialise.isVisible(), timeout=60_000)
    assert (small_tree.settings.powder_home / "04bd2c53f6bf6754").is_dir()


def test_workspaces_changed_by_hand_are_told(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    window.inputs_view.skip_pixels.setChecked(True)
    run(qtbot, window, 1)
    workspaces = window.presenter.session.host.workspaces
    workspaces.write("mine", PixelMask.none(np.arange(3, dtype=np.int32)))
    workspaces.delete("diffract_consts_058882")
    workspaces.rename("dsp_column_058882", "focused")
    qtbot.waitUntil(lambda: "focused" in window.workspaces_shown(), timeout=5_000)
    run(qtbot, window, 2)
    assert "'diffract_consts_058882' was deleted by hand" in log(window)
    window.presenter.clear_workspaces()
    qtbot.waitUntil(lambda: window.workspaces_shown() == ["mine"], timeout=5_000)
    assert window.iterations.table.rowCount() == 2


def test_the_state_of_the_form_comes_back(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    window.inputs_view.d_min.setValue(0.7)
    state = window.get_state()
    window.presenter.reset()
    assert window.inputs["runs"] == ()
    window.set_state(state)
    assert window.inputs["runs"] == (RUN,)
    assert window.inputs["peaks.crystal_d_min"] == 0.7
