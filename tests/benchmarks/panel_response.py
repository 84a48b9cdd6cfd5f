"""How long the panel keeps the user waiting: `python -m tests.benchmarks.panel_response [--events 2e6]`, offscreen.

For every action the table states the longest time in which the GUI thread did not answer, and the time until the new
picture was there; for a calibration the longest time without an answer, and from Cancel to the end of the run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from snapcal_workbench.panel.views.run_bar import RunBar
from snapcal_workbench.session.iterations.folders import KeptValues
from tests.panel.driving import MOUSE_AND_KEYS

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from qtpy.QtCore import QPoint, QSettings
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from snapcal_workbench.calibration.types import DiffCalTable, PixelMask, PixelResults
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.panel.dialogs.plot_window import PlotWindow
from snapcal_workbench.panel.dialogs.save_dialog import SaveDialog
from snapcal_workbench.panel.opening import show
from snapcal_workbench.panel.presenters.pixel_quantities import QUANTITIES, PixelQuantities
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import RUN, GuiBlocks, initialise

PATIENCE = 120.0
"""Seconds after which an action counts as failed."""


def tree_with_iteration(directory: Path, events: int) -> SimulatedTree:
    """A simulated facility whose session has two iterations."""
    simulate_into_tree(
        directory,
        run=int(RUN),
        calibrant="Silicon_NIST_640d_001",
        seed=7,
        time_offset=-8.0,
        events=events,
        peak_shape="gaussian",
        progress=Progress(),
    )
    tree = initialise(SimulatedTree(directory))
    session = Session(EmbeddedHost(tree.settings))
    request = session.new_request(runs=(RUN,), calibrant="Silicon_NIST_640d_001", grouping="Column")
    session.calibrate(request, Progress(), report=False)
    session.iterate({"groups.model": "DIFC"}, Progress(), report=False)
    return tree


def native_pixels(session: Session) -> PixelQuantities:
    """Made-up values of 1.2 million pixels, smooth with noise."""
    geometry = session.iteration(1).state.geometry(SNAP.native)
    rng, n = np.random.default_rng(1), len(geometry)
    shift = 1e-3 * np.sin(geometry.two_theta * 5) + rng.normal(0, 2e-4, n)
    table = DiffCalTable.from_geometry(geometry)
    moved = DiffCalTable(table.detid, table.difc * np.exp(shift), table.difa, table.tzero)
    sigma, events = np.full(n, 2e-4), rng.poisson(85, n).astype(np.float64)
    reason = (rng.random(n) < 0.01).astype(np.uint8)
    results = PixelResults(table.detid, shift, sigma, shift, sigma, events, np.ones(n), reason)
    values = {"table": moved, "start": table, "mask": PixelMask(table.detid, reason), "results": results}
    return PixelQuantities(geometry, cast(KeptValues, values), 2e-4)


class Measured:
    """Does actions in a window and prints how long they held it up."""

    def __init__(self, application: QApplication, window: CalibrationWindow) -> None:
        self.application, self.window = application, window
        print(f"{'action':44s} {'longest gap ms':>14s} {'until done ms':>14s}")

    def spin(self, until: Callable[[], bool]) -> float:
        """Let the window work until something holds; returns how long that took."""
        begin = time.monotonic()
        while not until():
            self.application.processEvents()
            time.sleep(0.002)
            if time.monotonic() - begin > PATIENCE:
                raise TimeoutError("the panel did not answer")
        return time.monotonic() - begin

    def do(self, name: str, action: Callable[[], object], until: Callable[[], bool]) -> None:
        """One line of the table."""
        self.spin(lambda: True)
        gaps, begin = GuiBlocks(self.window), time.monotonic()
        action()
        self.spin(until)
        seconds = time.monotonic() - begin
        print(f"{name:44s} {1e3 * gaps.stop():14.0f} {1e3 * seconds:14.0f}", flush=True)

    def figure(self, name: str, pane: FigurePane, action: Callable[[], object]) -> None:
        """An action that ends with a new picture."""
        pictures: list[int] = []
        pane.drawn.connect(lambda: pictures.append(1))
        self.do(name, action, lambda: bool(pictures) and not pane.busy)


def look_around(measured: Measured) -> None:
    """Every tab, at lite and at native size."""
    window = measured.window
    results, detectors = window.results, window.results.detectors
    window.presenter.select(1)
    measured.spin(lambda: results.spectra.group.count() > 0 and not results.panes[0].busy)
    for tab in range(1, results.count()):
        measured.figure(f"tab {results.tabText(tab)}", results.panes[tab], partial(results.setCurrentIndex, tab))
    measured.figure("compare two iterations", results.compare.pane, lambda: window.presenter.compare(["1", "2"]))
    results.setCurrentWidget(detectors)
    for quantity in QUANTITIES[1:]:
        measured.figure(
            f"{quantity}, 18,432 pixels", detectors.pane, partial(detectors.quantity.setCurrentText, quantity)
        )
    pixels = native_pixels(window.presenter.session)
    detectors.pixels, detectors._baselines = pixels, {"the start": pixels.values["start"]}
    detectors.quantity.setCurrentIndex(0)
    measured.spin(lambda: not detectors.pane.busy)
    for quantity in (*QUANTITIES[1:], QUANTITIES[0]):
        chosen = partial(detectors.quantity.setCurrentText, quantity)
        measured.figure(f"{quantity}, {len(pixels.geometry):,} pixels", detectors.pane, chosen)
    canvas, middle = detectors.pane.canvas, detectors.pane.canvas.height() // 2

    def hover() -> None:
        for x in range(100, 500, 4):
            QTest.mouseMove(canvas, QPoint(x, middle))

    measured.do("hover over 100 places, 1,179,648 pixels", hover, lambda: True)
    measured.do("resize, 1,179,648 pixels", lambda: window.resize(1500, 950), lambda: not detectors.pane.busy)


def top_windows(kind: type) -> list[Any]:
    """All windows of a class."""
    return [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, kind)]


def work_with_it(measured: Measured) -> None:
    """The form, the workspace list, and the dialogs."""
    window = measured.window
    form = window.inputs_view
    form.runs.clear()
    window.presenter.inputs_changed()
    measured.spin(lambda: "µAh" not in form.run_view.text())
    done = lambda: "µAh" in form.run_view.text()  # noqa: E731
    measured.do("type a run number", lambda: MOUSE_AND_KEYS.keyClicks(form.runs, RUN), done)
    measured.do("unfold all options", lambda: form.more.setChecked(True), form.more.isChecked)
    restored = lambda: not window.busy and "diffract_consts_058882_01" in window.workspaces_shown()  # noqa: E731
    measured.do("restore an iteration's workspaces", lambda: window.presenter.restore(1), restored)
    names = ["dsp_column_058882_01", "diffract_consts_058882_01"]
    plots = partial(top_windows, PlotWindow)
    drawn = lambda: len(plots()) == 2 and not any(plot.pane.busy for plot in plots())  # noqa: E731
    measured.do("plot spectra and a calibration table", lambda: window.presenter.plot(names), drawn)
    for plot in plots():
        plot.close()
    dialogs = partial(top_windows, SaveDialog)
    looked = lambda: bool(dialogs()) and dialogs()[0]._outlook is not None  # noqa: E731
    measured.do("open the dialog that saves", lambda: window.dialogs.save(1), looked)
    dialogs()[0].reject()


def _is_at(bar: RunBar, fraction: int) -> bool:
    return bar.bar.value() >= fraction or not bar.cancel.isEnabled()


def calibrate(measured: Measured) -> None:
    """A calibration to its end, and one that is cancelled at a quarter, half and three quarters."""
    window = measured.window
    for fraction in (250, 500, 750):
        window.presenter.calibrate()
        measured.spin(partial(_is_at, window.run_bar, fraction))
        done = lambda: "Cancelled" in window.messages.toPlainText().splitlines()[-1]  # noqa: E731
        measured.do(f"cancel a calibration at {fraction / 10:.0f} %", window.run_bar.cancel.click, done)
    window.presenter.calibrate()
    gaps = GuiBlocks(window)
    seconds = measured.spin(lambda: window.iterations.table.rowCount() == 3 and window.run_bar.calibrate.isEnabled())
    print(f"{'a calibration, with its report':44s} {1e3 * gaps.stop():14.0f} {1e3 * seconds:14.0f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=2e6)
    arguments = parser.parse_args()
    application = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        tree = tree_with_iteration(Path(folder) / "tree", int(arguments.events))
        window = show(EmbeddedHost(tree.settings))
        window.resize(1360, 820)
        window.show()
        measured = Measured(application, window)
        look_around(measured)
        work_with_it(measured)
        calibrate(measured)
        window.close()


if __name__ == "__main__":
    main()
