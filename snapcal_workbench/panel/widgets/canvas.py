"""Matplotlib figures in the window that are drawn off the GUI thread, in the window's own colours.

A figure has two users: the GUI thread, which reacts to the mouse, and the one thread that draws all figures. Only one
of them uses a figure at a time: while a figure is being drawn the canvas shows the last picture, and what the user does
with the mouse waits until the new one is there. So nothing that matplotlib does to draw a figure holds up the window.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg, NavigationToolbar2QT
from matplotlib.figure import Figure
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QIcon, QImage, QMouseEvent, QPainter, QPalette, QPen, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.plots import save_png
from snapcal_workbench.report.theme import DARK, LIGHT, Theme

Draw = Callable[[Figure, Theme], object]
Picture = tuple[bytes, int, int]
"""Bytes in the order blue, green, red, unused; width and height in pixels."""

_artist = ThreadPoolExecutor(1, "figures")
"""The thread that draws all figures."""

_MOUSE = (
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.MouseMove,
)
_DROPPED = (QEvent.Type.Enter, QEvent.Type.Leave, QEvent.Type.Wheel, QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
"""What is not worth repeating once the figure is free."""

_RUBBER_BAND = (
    (Qt.GlobalColor.white, Qt.PenStyle.SolidLine),
    (Qt.GlobalColor.black, Qt.PenStyle.DashLine),
)
ICON = 18
"""Pixels across a button of the toolbar."""
PNG_DPI = 150
"""Of exported pictures."""
_BUTTONS = ("Home", "Back", "Forward", "Pan", "Zoom")


class Canvas(FigureCanvasQTAgg):
    """A matplotlib canvas that never draws on the GUI thread.

    Signals:
        drawn: A new picture is shown; carries what the function that drew the figure returned.
        failed: The figure could not be drawn; carries the exception.
    """

    drawn = Signal(object)
    failed = Signal(object)
    _done = Signal(object, object)

    drawing = False
    """Whether the drawing thread has the figure."""
    wanted = False
    """Whether the picture that is shown is out of date."""

    def __init__(self, figure: Figure) -> None:
        super().__init__(figure)
        self._make: Callable[[Figure], object] | None = None
        self._waiting: list[Callable[[], object]] = []
        self._last_is_move = False
        self._picture: Picture | None = None
        self._rubber_band: QRectF | None = None
        self._done.connect(self._take)

    def make(self, make: Callable[[Figure], object]) -> None:
        """Have the figure made anew by a function, off the GUI thread."""
        self._make = make
        self.draw_idle()

    def when_free(self, action: Callable[[], object]) -> None:
        """Do something with the figure on the GUI thread: now, or when it has been drawn."""
        if self.drawing:
            self._waiting.append(action)
            self._last_is_move = False
        else:
            action()

    # -- drawing ------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Ask for a new picture."""
        self.draw_idle()

    def draw_idle(self) -> None:
        """Ask for a new picture; several requests before it is begun make one."""
        self.wanted = True
        if not self.drawing:
            QTimer.singleShot(0, self._begin)

    def _begin(self) -> None:
        with suppress(RuntimeError):  # deleted meanwhile
            if self.wanted and not self.drawing and self.isVisible() and self.width() > 0 and self.height() > 0:
                self.wanted, self.drawing = False, True
                make, self._make = self._make, None
                _artist.submit(self._draw_figure, make)

    def _draw_figure(self, make: Callable[[Figure], object] | None) -> None:
        """Make and draw the figure. Runs on the drawing thread."""
        found: object = None
        picture = None
        try:
            found = make(self.figure) if make is not None else None
            width, height = (int(v) for v in self.figure.bbox.size)
            renderer = RendererAgg(width, height, self.figure.dpi)
            self.figure.draw(renderer)
            picture = _as_screens_have_it(renderer), width, height
        except Exception as error:  # shown by the window; the thread must go on
            traceback.print_exc()
            found = error
        with suppress(RuntimeError):  # the window was closed and deleted meanwhile
            self._done.emit(picture, (make is not None, found))

    def _take(self, picture: Picture | None, found: tuple[bool, object]) -> None:
        self.drawing = False
        made, result = found
        if picture is None:
            self.failed.emit(result)
        else:
            self._picture = picture
            self.update()
            if made:
                self.drawn.emit(result)
        waiting, self._waiting, self._last_is_move = self._waiting, [], False
        for action in waiting:
            self.when_free(action)
        if self.wanted:
            QTimer.singleShot(0, self._begin)

    def paintEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Show the last picture."""
        painter = QPainter(self)
        if self._picture is None:
            painter.fillRect(self.rect(), self.parentWidget().palette().color(QPalette.ColorRole.Window))
        else:
            pixels, width, height = self._picture
            image = QImage(pixels, width, height, 4 * width, QImage.Format.Format_RGB32)
            painter.drawImage(QRectF(self.rect()), image)
        if self._rubber_band is not None:
            for colour, style in _RUBBER_BAND:
                painter.setPen(QPen(colour, 1, style))
                painter.drawRect(self._rubber_band)
        painter.end()

    def drawRectangle(self, rect: tuple[float, float, float, float] | None) -> None:  # noqa: N802 - matplotlib's name
        """Show the rectangle of a zoom, in physical pixels from the top left; None takes it away."""
        ratio = self.devicePixelRatioF() or 1.0
        self._rubber_band = None if rect is None else QRectF(*(value / ratio for value in rect))
        self.update()

    # -- events while the figure is drawn -------------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Keep what the user does for later while the figure is drawn."""
        if self.drawing and isinstance(event, QMouseEvent) and event.type() in _MOUSE:
            self._keep(event)
            return True
        if self.drawing and event is not None and event.type() in _DROPPED:
            return True
        return bool(super().event(event))

    def _keep(self, event: QMouseEvent) -> None:
        place = event.position() if hasattr(event, "position") else event.localPos()
        on_screen = event.globalPosition() if hasattr(event, "globalPosition") else event.screenPos()
        copy = QMouseEvent(
            event.type(), QPointF(place), QPointF(on_screen), event.button(), event.buttons(), event.modifiers()
        )
        if event.type() == QEvent.Type.MouseMove and self._last_is_move:
            self._waiting.pop()  # where the mouse was in between does not matter any more
        self._waiting.append(lambda: QApplication.sendEvent(self, copy))
        self._last_is_move = event.type() == QEvent.Type.MouseMove

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Give the figure the new size, once it is free."""
        QWidget.resizeEvent(self, event)
        self.when_free(self._fit)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw what waits."""
        self.when_free(self._fit)

    def _fit(self) -> None:
        """Give the figure the size and the pixel ratio of the widget."""
        self._set_device_pixel_ratio(self.devicePixelRatioF() or 1.0)
        super().resizeEvent(QResizeEvent(self.size(), self.size()))


def _as_screens_have_it(renderer: RendererAgg) -> bytes:
    """The picture in the order that Qt shows without converting it."""
    return np.asarray(renderer.buffer_rgba())[..., (2, 1, 0, 3)].tobytes()


class Toolbar(NavigationToolbar2QT):
    """The buttons above a figure: home, back, forward, pan, zoom. Saving is the business of the tab."""

    toolitems: ClassVar = [  # type: ignore[misc, assignment]
        item for item in NavigationToolbar2QT.toolitems if item[0] in _BUTTONS
    ]
    canvas: Canvas

    def __init__(self, canvas: Canvas, parent: QWidget) -> None:
        super().__init__(canvas, parent, coordinates=False)
        self.setIconSize(QSize(ICON, ICON))
        self.setMinimumWidth(self.sizeHint().width())
        self._icons = [(action, action.icon()) for action in self.actions() if not action.icon().isNull()]
        self._paint_icons()

    def _paint_icons(self) -> None:
        """Paint the icons once: matplotlib's own are read from their files and painted anew whenever they are shown."""
        for action, icon in self._icons:
            painted = QIcon()
            for size in (ICON, 2 * ICON):  # the larger ones for a screen of high resolution
                painted.addPixmap(icon.pixmap(QSize(size, size)))
            action.setIcon(painted)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint the icons in the colours of another theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange and hasattr(self, "_icons"):
            self._paint_icons()

    def home(self, *args: object) -> None:
        """Show everything again."""
        self.canvas.when_free(super().home)

    def back(self, *args: object) -> None:
        """Show what was shown before."""
        self.canvas.when_free(super().back)

    def forward(self, *args: object) -> None:
        """Undo `back`."""
        self.canvas.when_free(super().forward)

    def pan(self, *args: object) -> None:
        """Move with the left button, scale with the right one."""
        self.canvas.when_free(super().pan)

    def zoom(self, *args: object) -> None:
        """Zoom into a rectangle."""
        self.canvas.when_free(super().zoom)


class FigurePane(QWidget):
    """A figure with its toolbar. What is to be drawn is drawn when the pane is visible, and only once.

    Signals:
        drawn: The figure was made anew.
    """

    drawn = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figure = Figure()
        self.canvas = Canvas(self.figure)
        self.canvas.setAccessibleName(name)
        self.result: object = None
        self._draw: Draw = _nothing
        self._trouble = PlainLabel("")
        self._trouble.setVisible(False)
        self._trouble.setWordWrap(True)
        self.toolbar = Toolbar(self.canvas, self)
        self.canvas.drawn.connect(self._drawn)
        self.canvas.failed.connect(self._failed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.toolbar)
        layout.addWidget(self._trouble)
        layout.addWidget(self.canvas, 1)
        self.clear()

    @property
    def theme(self) -> Theme:
        """The theme that fits the window's palette."""
        return DARK if self.palette().color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT

    @property
    def busy(self) -> bool:
        """Whether a picture is being drawn, or waits to be."""
        return self.canvas.drawing or self.canvas.wanted

    def draw(self, draw: Draw) -> None:
        """Draw soon, or as soon as the pane is shown; `result` is then what `draw` returned."""
        self._draw, self.result = draw, None
        theme = self.theme
        self.canvas.make(lambda figure: draw(figure, theme))

    def picture(self) -> Callable[[Path], Path] | None:
        """Writes what is shown now, as it is zoomed, as PNG in light colours; None where nothing is shown."""
        draw = self._draw
        if draw is _nothing or self.busy:
            return None
        limits = [(axes.get_xlim(), axes.get_ylim()) for axes in self.figure.axes]

        def draw_copy(figure: Figure) -> None:
            draw(figure, LIGHT)
            for axes, (across, up) in zip(figure.axes, limits, strict=True):
                axes.set(xlim=across, ylim=up)

        width, height = self.figure.get_size_inches()
        return partial(save_png, draw=draw_copy, width=width, height=height, dpi=PNG_DPI)

    def clear(self) -> None:
        """Show nothing."""
        self.draw(_nothing)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw anew in the colours of another theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange and hasattr(self, "_draw"):
            self.draw(self._draw)

    def _drawn(self, result: object) -> None:
        self.result = result
        self.toolbar.update()
        self._trouble.setVisible(False)
        self.drawn.emit()

    def _failed(self, error: object) -> None:
        self._trouble.setText(f"The picture could not be drawn: {error}")
        self._trouble.setVisible(True)


def _nothing(figure: Figure, theme: Theme) -> None:
    figure.clear()
    figure.set_facecolor(theme.background)
