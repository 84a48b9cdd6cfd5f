"""The log of steps: one line each with the time of day, to read, copy and keep."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from qtpy.QtGui import QAction, QColor, QContextMenuEvent, QPalette, QTextCharFormat
from qtpy.QtWidgets import QFileDialog, QPlainTextEdit, QWidget

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.panel.widgets.questions import show_error
from snapcal_workbench.report.theme import DARK, LIGHT
from snapcal_workbench.text import visible

MOST_LINES = 2000


class LogView(QPlainTextEdit):
    """What was done, with warnings and errors in colours; the context menu copies and saves it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setMaximumBlockCount(MOST_LINES)
        self.setAccessibleName("Log of steps")
        self.setToolTip("Right click to copy or save the log")

    def add(self, level: str, text: str) -> None:
        """Add a message of level "information", "warning" or "error"."""
        form = QTextCharFormat()
        form.setForeground(self._colour(level))
        self.setCurrentCharFormat(form)
        mark = "" if level == "information" else f"{level.upper()}: "
        self.appendPlainText(f"{datetime.now():%H:%M:%S}  {mark}{visible(text)}")

    def _colour(self, level: str) -> QColor:
        if level == "information":
            return self.palette().color(QPalette.ColorRole.Text)
        dark = self.palette().color(QPalette.ColorRole.Base).lightness() < 128
        theme = DARK if dark else LIGHT
        return QColor(theme.rejected if level == "error" else theme.series[0])

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802 - Qt's name
        """Copy, select, and save."""
        menu = self.createStandardContextMenu()
        if menu is not None and event is not None:
            save = QAction("Save the log …", menu)
            save.triggered.connect(self._ask_where)
            menu.addSeparator()
            menu.addAction(save)
            menu.popup(event.globalPos())

    def _ask_where(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the log", "snapcal.log", "*.log")
        if path:
            try:
                self.save(Path(path))
            except SnapcalError as error:
                show_error(self, error)

    def save(self, path: Path) -> None:
        """Write the log into a file.

        Raises:
            StoreError: It cannot be written.
        """
        replace_file(path, f"{self.toPlainText()}\n".encode(), "the log")
