"""Drives the real window as a scientist does, for the panel's tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem

from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.workspaces.protocol import RunRequest

RUN = "58882"
LONG = 120_000
"""Milliseconds that a calibration may take."""

Open = Callable[[], CalibrationWindow]
MOUSE_AND_KEYS: Any = QTest  # PyQt's annotations do not know that its functions are static


def text_of(table: QTableWidget, row: int | None, column: int) -> str:
    """What a cell shows."""
    return item_of(table, row, column).text()


def item_of(table: QTableWidget, row: int | None, column: int) -> QTableWidgetItem:
    """A cell that is there."""
    item = table.item(row, column) if row is not None else None
    assert item is not None
    return item


def titles_of(table: QTableWidget) -> list[str]:
    """The titles of the columns, in one line each."""
    titles = [table.horizontalHeaderItem(column) for column in range(table.columnCount())]
    return [title.text().replace("\n", " ") for title in titles if title is not None]


def initialise(tree: SimulatedTree) -> SimulatedTree:
    """The tree with the state of its run initialised."""
    state = identify_run(RunRequest((RUN,), SNAP.lite), tree.settings).state
    init_state(tree.settings, state, name="t", run_number=RUN, author="tester", progress=Progress())
    return tree


def fill_in(qtbot, window: CalibrationWindow) -> None:
    """Give run, calibrant and grouping."""
    form = window.inputs_view
    form.runs.clear()
    qtbot.keyClicks(form.runs, RUN)
    form.calibrant.setCurrentText("Silicon_NIST_640d_001")
    qtbot.waitUntil(lambda: "state 04bd2c53f6bf6754" in form.run_view.text(), timeout=20_000)
    form.grouping.setCurrentText("Column")
    form.options["groups.model"].set_value("DIFC")


def run(qtbot, window: CalibrationWindow, count: int) -> None:
    """Calibrate; afterwards there are `count` iterations."""
    qtbot.waitUntil(window.run_bar.calibrate.isEnabled, timeout=20_000)
    qtbot.mouseClick(window.run_bar.calibrate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: window.iterations.table.rowCount() == count and window.run_bar.calibrate.isEnabled(), timeout=LONG
    )


def log(window: CalibrationWindow) -> str:
    """Text of the log."""
    return window.messages.toPlainText()


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
