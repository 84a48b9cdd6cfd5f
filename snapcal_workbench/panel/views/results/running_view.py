"""The last pass of a pixel calibration while it runs."""

from __future__ import annotations

from matplotlib.figure import Figure
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.calibration.types import PixelPass
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.detectors import draw_detectors
from snapcal_workbench.report.theme import Theme

DRAWN_EVERY_MS = 1000
"""Shortest time between two pictures, ms: drawing takes the calibration's processors, and nobody sees more of them."""
LABEL = "shift of ln(DIFC) so far (ppm)"


class RunningView(QWidget):
    """The shift of each pixel after the last pass, drawn at most once a second."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pane = FigurePane("Last pass of the running calibration")
        self.caption = PlainLabel("")
        self.caption.setWordWrap(True)
        self._waiting: PixelPass | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DRAWN_EVERY_MS)
        self._timer.timeout.connect(self._draw_waiting)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 0)
        layout.addWidget(self.caption)
        layout.addWidget(self.pane, 1)

    def show_pass(self, found: PixelPass) -> None:
        """Show a pass: now, or in the next second together with those that come until then."""
        self._waiting = found
        if not self._timer.isActive():
            self._draw_waiting()

    def end(self) -> None:
        """Forget the passes: the calibration has ended."""
        self._timer.stop()
        self._waiting = None
        self.pane.clear()

    def _draw_waiting(self) -> None:
        found, self._waiting = self._waiting, None
        if found is None:
            return
        moved = f"{found.median_ppm:.0f}" if found.median_ppm >= 100.0 else f"{found.median_ppm:.3g}"
        self.caption.setText(
            f"After pass {found.number}: this pass moved the pixels by {moved} ppm (median), "
            f"{found.masked} pixels are masked. This is not the result yet."
        )

        def draw(figure: Figure, theme: Theme) -> object:
            shift = 1e6 * found.shift
            return draw_detectors(
                figure, found.geometry, shift, label=LABEL, masked=found.reason, symmetric=True, theme=theme
            )

        self.pane.draw(draw)
        self._timer.start()
