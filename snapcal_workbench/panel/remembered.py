"""The layout of the window, remembered for the user: place, docks, splitters, columns, sort order."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QMainWindow, QSplitter

from snapcal_workbench.panel.widgets.table import Table

SETTINGS = "CustomInterfaces/SNAPCalWorkbench"
LAYOUT_VERSION = 1
"""Goes up when what is laid out changes, so that an old layout is not forced on it."""


class Layout:
    """What of a window is remembered.

    Args:
        window: Its place and docks.
        splitters: By name.
        tables: By name.
    """

    def __init__(self, window: QMainWindow, splitters: Mapping[str, QSplitter], tables: Mapping[str, Table]) -> None:
        self._window, self._splitters, self._tables = window, splitters, tables

    def save(self) -> None:
        """Keep the layout as it is."""
        settings = QSettings()
        settings.setValue(f"{SETTINGS}/geometry", self._window.saveGeometry())
        settings.setValue(f"{SETTINGS}/docks", self._window.saveState(LAYOUT_VERSION))
        for name, splitter in self._splitters.items():
            settings.setValue(f"{SETTINGS}/splitter {name}", splitter.saveState())
        for name, table in self._tables.items():
            settings.setValue(f"{SETTINGS}/columns {name}", table.layout_state())

    def restore(self) -> None:
        """Take back the layout that was kept last."""
        settings = QSettings()
        geometry, docks = settings.value(f"{SETTINGS}/geometry"), settings.value(f"{SETTINGS}/docks")
        if geometry is not None:
            self._window.restoreGeometry(geometry)
        if docks is not None:
            self._window.restoreState(docks, LAYOUT_VERSION)
        for name, splitter in self._splitters.items():
            state = settings.value(f"{SETTINGS}/splitter {name}")
            if state is not None:
                splitter.restoreState(state)
        for name, table in self._tables.items():
            table.restore_layout(settings.value(f"{SETTINGS}/columns {name}"))
