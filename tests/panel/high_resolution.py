"""Draws one figure and presses the mouse on it: prints the sizes of canvas and picture, and where it was hit."""

from __future__ import annotations

import sys
import time

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from snapcal_workbench.panel.widgets.canvas import FigurePane
from tests.panel.driving import MOUSE_AND_KEYS


def main() -> None:
    """Print width and height of the canvas, those of the picture, and the x of a press at 120 from the left."""
    application = QApplication(sys.argv[:1])
    pane = FigurePane("figure")
    pane.resize(500, 400)
    pane.show()
    pressed: list[float] = []
    pane.canvas.mpl_connect("button_press_event", lambda event: pressed.append(event.x))
    pane.draw(lambda figure, theme: figure.subplots())
    end = time.monotonic() + 20.0
    while (pane.busy or pane.canvas._picture is None) and time.monotonic() < end:
        application.processEvents()
    MOUSE_AND_KEYS.mouseClick(pane.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(120, 50))
    application.processEvents()
    assert pane.canvas._picture is not None
    _, width, height = pane.canvas._picture
    print(pane.canvas.width(), pane.canvas.height(), width, height, *pressed)


if __name__ == "__main__":
    main()
