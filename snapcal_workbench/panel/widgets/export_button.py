"""The button that offers what is shown as files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton

from snapcal_workbench.panel.presenters.contract import Write

Offers = dict[str, tuple[str, Write]]
"""File name and the function that writes the file, by title."""


class ExportButton(QToolButton):
    """Offers files in a menu, and asks where the chosen one goes.

    Args:
        offers: What can be written now.

    Signals:
        chosen: Path, and the function that writes the file.
    """

    chosen = Signal(str, object)

    def __init__(self, offers: Callable[[], Offers]) -> None:
        super().__init__()
        self._offers = offers
        self.setText("Export")
        self.setAccessibleName("Export")
        self.setToolTip("Write what this tab shows into a file")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        menu.aboutToShow.connect(partial(self._fill, menu))
        self.setMenu(menu)

    def _fill(self, menu: QMenu) -> None:
        menu.clear()
        for title, (file, write) in self._offers().items():
            action = menu.addAction(f"{title} …")
            if action is not None:
                action.triggered.connect(partial(self._ask_where, file, write))
        if menu.isEmpty():
            action = menu.addAction("Nothing is shown yet")
            if action is not None:
                action.setEnabled(False)

    def _ask_where(self, file: str, write: Write, *_: object) -> None:
        path, _kind = QFileDialog.getSaveFileName(self, "Export", file, f"*{Path(file).suffix}")
        if path:
            self.chosen.emit(path, write)
