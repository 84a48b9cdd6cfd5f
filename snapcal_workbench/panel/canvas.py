"""Matplotlib figures in the window, in the window's own colours."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg, NavigationToolbar2QT
from matplotlib.figure import Figure
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.report.theme import DARK, LIGHT, Theme

Draw = Callable[[Figure, Theme], object]


class FigurePane(QWidget):
    """A figure with its toolbar. What is to be drawn is drawn when the pane is visible, and only once."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figure = Figure()
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.canvas.setAccessibleName(name)
        self.result: object = None
        self._pending: Draw | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(NavigationToolbar2QT(self.canvas, self))
        layout.addWidget(self.canvas, 1)

    @property
    def theme(self) -> Theme:
        """The theme that fits the window's palette."""
        return DARK if self.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT

    def draw(self, draw: Draw) -> None:
        """Draw now, or as soon as the pane is shown; `result` is then what `draw` returned."""
        self._pending = draw
        if self.isVisible():
            self._draw_pending()

    def clear(self) -> None:
        """Show nothing."""
        self._pending, self.result = None, None
        self.figure.clear()
        self.canvas.draw_idle()

    def showEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Draw what waits."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._draw_pending()

    def _draw_pending(self) -> None:
        if self._pending is not None:
            draw, self._pending = self._pending, None
            self.result = draw(self.figure, self.theme)
            self.canvas.draw_idle()
