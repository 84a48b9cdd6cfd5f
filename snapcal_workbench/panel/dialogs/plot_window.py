"""A window with the plot of workspaces."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QVBoxLayout, QWidget

from snapcal_workbench.panel.presenters.workspace_plots import Plot
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.layouts import button, stacked
from snapcal_workbench.text import visible


class PlotWindow(QDialog):
    """Shows one plot; it does not block, and is deleted when it is closed.

    Signals:
        ready: It was drawn for the first time, or could not be.
        exported: Path, and the function that writes the file.
    """

    ready = Signal()
    exported = Signal(str, object)

    def __init__(self, plot: Plot, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(visible(plot.title))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowFlag(Qt.WindowType.WindowMinMaxButtonsHint, True)
        self.pane = FigurePane(plot.title)
        self.export = button("&Export …", "Write the picture into a file")
        holder = QWidget()
        stacked(holder, (self.export,), self.pane)
        layout = QVBoxLayout(self)
        layout.addWidget(holder)
        self.resize(820, 520)
        self.export.clicked.connect(self._ask_where)
        self._is_ready = False
        for signal in (self.pane.drawn, self.pane.canvas.failed):
            signal.connect(self._tell_ready)
        self.pane.draw(plot.draw)

    def _tell_ready(self, *_: object) -> None:
        if not self._is_ready:
            self._is_ready = True
            self.ready.emit()

    def _ask_where(self, *_: object) -> None:
        write = self.pane.picture()
        if write is not None:
            path, _kind = QFileDialog.getSaveFileName(self, "Export", "plot.png", "*.png")
            if path:
                self.exported.emit(path, write)
