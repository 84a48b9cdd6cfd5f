"""What is remembered for the user: the layout of the window (docks, splitters, columns, order), and the last runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QMainWindow, QSplitter

from snapcal_workbench.panel.widgets.table import Table
from snapcal_workbench.session import Request

SETTINGS = "CustomInterfaces/SNAPCalWorkbench"
LAYOUT_VERSION = 1
"""Goes up when what is laid out changes, so that an old layout is not forced on it."""

MOST_RECENT = 12
"""Runs that are offered again: as many as fit a menu that one reads at a glance."""


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
            settings.setValue(f"{SETTINGS}/own columns {name}", json.dumps(table.own_widths))

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
            own = json.loads(str(settings.value(f"{SETTINGS}/own columns {name}", "") or "[]"))
            table.restore_layout(settings.value(f"{SETTINGS}/columns {name}"), own)


class History:
    """The last calibrations of the user, newest first: runs, calibrant and grouping of each, in plain text."""

    def __init__(self) -> None:
        self._key = f"{SETTINGS}/recent"

    def add(self, request: Request) -> None:
        """Remember a calibration; that of the same runs before it is forgotten."""
        if request.runs:
            runs = ", ".join(request.runs)
            new = {"runs": runs, "calibrant": request.calibrant, "grouping": request.grouping}
            kept = [entry for entry in self.entries() if entry["runs"] != runs]
            QSettings().setValue(self._key, json.dumps([new, *kept][:MOST_RECENT]))

    def entries(self) -> list[dict[str, str]]:
        """What is remembered."""
        try:
            found: object = json.loads(str(QSettings().value(self._key, "") or "[]"))
        except ValueError:
            return []
        wanted = ("runs", "calibrant", "grouping")
        rows = found if isinstance(found, list) else []
        return [{name: str(row.get(name, "")) for name in wanted} for row in rows if isinstance(row, dict)]

    def keep_course(self, name: str, course: Sequence[float]) -> None:
        """Remember how long a step of a name took on this machine, see `pace`."""
        if course:
            QSettings().setValue(f"{SETTINGS}/course {name}", json.dumps(list(course)))

    def course(self, name: str) -> list[float]:
        """How long the last step of a name took; empty where that is not known."""
        try:
            found: list[float] = json.loads(str(QSettings().value(f"{SETTINGS}/course {name}", "") or "[]"))
            return [float(value) for value in found]
        except (ValueError, TypeError):
            return []

    @property
    def runs(self) -> list[str]:
        """The runs of each calibration."""
        return [entry["runs"] for entry in self.entries()]

    @property
    def last(self) -> dict[str, str]:
        """The newest; empty where there is none."""
        return next(iter(self.entries()), {})
