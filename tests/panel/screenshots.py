"""Takes the panel's screenshots: `python -m tests.panel.screenshots CONFIG FOLDER`, with a display or offscreen.

CONFIG is the settings file of a demonstration (`snapcal demo`), whose session has two iterations and a saved version.
With `--running` behind them a calibration is run, too, for the picture of its last pass.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QApplication

from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import Settings
from snapcal_workbench.panel.dialogs.dialogs import ApplyDialog
from snapcal_workbench.panel.dialogs.save_dialog import SaveDialog
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.questions import TextsDialog
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.session import Session

TABS = ("spectra", "groups", "detectors", "convergence", "compare")
PATIENCE = 120.0
"""Longest wait for something to be shown, s."""


def dark_palette() -> QPalette:
    """A dark theme, as Workbench has one."""
    palette = QPalette(QColor("#31363b"), QColor("#31363b"))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(role, QColor("#eff0f1"))
    palette.setColor(QPalette.ColorRole.Base, QColor("#232629"))
    return palette


def wait(application: QApplication, until: Callable[[], bool]) -> None:
    """Let the window work until something is so, and then until it has painted that."""
    end = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > end:
            raise TimeoutError("the panel did not show what was waited for")
        application.processEvents()
        time.sleep(0.01)
    for _ in range(20):
        application.processEvents()


def take_start(application: QApplication, config: Path, folder: Path) -> None:
    """Write a picture of the window over an empty session."""
    host = EmbeddedHost(Settings.load(config))
    with tempfile.TemporaryDirectory() as empty:
        window = CalibrationWindow(host, session=Session(host, Path(empty)))
        window.presenter.form.fill_in(window.presenter.session.new_request())
        window.resize(1400, 820)
        window.show()
        wait(application, lambda: "needed" in window.run_bar.step.text())
        window.grab().save(str(folder / "start.png"), quality=0)
        window.close()


def _is_identified(window: CalibrationWindow) -> bool:
    return "µAh" in window.inputs_view.run_view.text()


def _is_compared(window: CalibrationWindow) -> bool:
    return not window.busy and window.results.compare.comparison is not None


def _is_drawn(pane: FigurePane) -> bool:
    return not pane.busy and bool(pane.figure.axes)


def take_save(application: QApplication, window: CalibrationWindow, folder: Path) -> None:
    """Write a picture of the dialog that saves."""
    dialog = SaveDialog(window.presenter, [1, 2], 2, "somebody", window)
    dialog.comments.setPlainText("silicon after the panels moved")
    dialog.show()
    wait(application, lambda: "becomes version" in dialog.preview.text())
    dialog.where.setText(str(Path(*Path(dialog.where.text()).parts[-3:])))  # the picture is not of one machine
    dialog.grab().save(str(folder / "save.png"), quality=0)
    dialog.close()


def take_running(application: QApplication, config: Path, folder: Path) -> None:
    """Write a picture of the window while the first calibration of a session runs; that is then cancelled."""
    host = EmbeddedHost(Settings.load(config))
    with tempfile.TemporaryDirectory() as empty:
        window = CalibrationWindow(host, session=Session(host, Path(empty)))
        window.resize(1400, 820)
        window.show()
        request = window.presenter.session.new_request(runs=("58882",), calibrant="Silicon_NIST_640d_001")
        window.presenter.fill_in(request.changed({"grouping": "Column"}))
        wait(application, window.inputs_view.identify.isEnabled)
        wait(application, window.run_bar.calibrate.isEnabled)
        window.run_bar.calibrate.click()
        pane = window.results.running.pane
        wait(application, lambda: window.results.currentWidget() is window.results.running and bool(pane.figure.axes))
        wait(application, lambda: not pane.busy)
        window.grab().save(str(folder / "running.png"), quality=0)
        window.presenter.cancel()
        wait(application, lambda: not window.busy)
        window.close()


def take_versions(application: QApplication, window: CalibrationWindow, folder: Path) -> None:
    """Write a picture of the saved versions with the dialog that retires one, and of the dialog that applies one."""
    window.pages.tables.setCurrentWidget(window.versions)
    reference = window.versions.table.keys()[-1]
    window.versions.table.select(reference)
    window.dialogs.retire(reference)
    (dialog,) = [dialog for dialog in window.findChildren(TextsDialog) if dialog.isVisible()]
    dialog.lines[0].setText("the panels moved")
    dialog.lines[1].setText("somebody")
    wait(application, dialog.isVisible)
    window.pages.tables.grab().save(str(folder / "versions.png"), quality=0)
    dialog.grab().save(str(folder / "retire.png"), quality=0)
    dialog.close()
    apply = ApplyDialog(window, reference, ["tof_all_lite_raw_058882"], lambda run: None)
    apply.show()
    apply.run.setEditText("58883")
    wait(application, apply.isVisible)
    apply.grab().save(str(folder / "apply.png"), quality=0)
    apply.close()


def take_facility(application: QApplication, window: CalibrationWindow, path: Path) -> None:
    """Write a picture of the tab with all states."""
    window.pages.setCurrentWidget(window.facility)
    wait(application, lambda: window.facility.table.rowCount() > 0 and not window.busy)
    window.grab().save(str(path), quality=0)
    window.pages.setCurrentIndex(0)


def take(config: Path, folder: Path, *, running: bool = False) -> None:
    """Write the first steps, one picture a tab, the dialogs that save, retire and apply, and one in a dark theme."""
    application = QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    folder.mkdir(parents=True, exist_ok=True)
    take_start(application, config, folder)
    if running:
        take_running(application, config, folder)
    for theme in ("light", "dark"):
        if theme == "dark":
            application.setPalette(dark_palette())
        window = CalibrationWindow(EmbeddedHost(Settings.load(config)))
        window.resize(1400, 820)
        window.show()
        results = window.results
        window.presenter.use_inputs(2)
        wait(application, partial(_is_identified, window))
        window.presenter.restore(1)
        window.presenter.select(2)
        window.presenter.compare(["1", "2"])
        wait(application, partial(_is_compared, window))
        for index, name in enumerate(TABS):
            results.setCurrentIndex(index)
            wait(application, partial(_is_drawn, results.panes[index]))
            if theme == "light" or name == "spectra":
                window.grab().save(str(folder / f"{name}{'-dark' if theme == 'dark' else ''}.png"), quality=0)
        take_facility(application, window, folder / f"facility{'-dark' if theme == 'dark' else ''}.png")
        if theme == "light":
            take_save(application, window, folder)
            take_versions(application, window, folder)
        window.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]), running="--running" in sys.argv[3:])
