"""The tab with one value a pixel on the detector panels."""

from __future__ import annotations

from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSizePolicy, QWidget

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.panel.presenters.contract import Results
from snapcal_workbench.panel.presenters.pixel_quantities import OFFSET, QUANTITIES, REASON, PixelQuantities
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.layouts import combo, offer, stacked
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.detectors import DetectorPicture, draw_detectors, draw_mask_reasons
from snapcal_workbench.report.theme import Theme, begin, note, style


class DetectorsView(QWidget):
    """Detector panels; the mouse tells of a pixel all that is known.

    Signals:
        baseline_asked: Reference of a saved version whose table is wanted as baseline.
    """

    baseline_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pane = FigurePane("Detector panels")
        self.quantity = combo("Quantity", "What is shown of each pixel", QUANTITIES)
        self.baseline = combo("Baseline", "What the change of DIFC is shown against")
        self.hover = PlainLabel("")
        self.hover.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hover.setAccessibleName("Values of the pixel under the mouse")
        self.hover.setToolTip("Move the mouse over a pixel")
        self.pixels: PixelQuantities | None = None
        self._baselines: dict[str, DiffCalTable] = {}
        stacked(self, (PlainLabel("Show"), self.quantity, PlainLabel("against"), self.baseline), self.pane, self.hover)
        self.quantity.currentTextChanged.connect(lambda _: self.redraw())
        self.baseline.currentTextChanged.connect(self._baseline_chosen)
        self.pane.canvas.mpl_connect("motion_notify_event", self._hovered)

    def show_results(self, results: Results | None) -> None:
        """Show the pixels of an iteration, or nothing."""
        self.hover.setText("")
        if results is None:
            self.pixels = None
            self.pane.clear()
            return
        self.pixels = results.pixels
        self._baselines = dict(results.baselines)
        offer(self.baseline, [*results.baselines, *results.versions])
        self._baseline_chosen(self.baseline.currentText())

    def add_baseline(self, name: str, table: DiffCalTable) -> None:
        """Take a table as baseline that was asked for."""
        if self.pixels is not None and len(table) == len(self.pixels.geometry):
            self._baselines[name] = table
            if self.baseline.currentText() == name:
                self.redraw()

    @property
    def against(self) -> DiffCalTable:
        """The baseline; the start of the iteration until the one that was chosen is there."""
        chosen = self._baselines.get(self.baseline.currentText())
        return next(iter(self._baselines.values())) if chosen is None else chosen

    def redraw(self) -> None:
        """Draw the chosen quantity."""
        pixels, quantity = self.pixels, self.quantity.currentText()
        self.baseline.setEnabled(quantity == QUANTITIES[0])
        if pixels is None:
            self.pane.clear()
            return
        against, mask = self.against, pixels.values["mask"]

        def draw(figure: Figure, theme: Theme) -> DetectorPicture | None:
            if quantity == REASON:
                return draw_mask_reasons(figure, pixels.geometry, mask, theme=theme)
            values = pixels.of(quantity, against)
            if values is None:
                _say_none(figure, theme, quantity)
                return None
            return draw_detectors(
                figure,
                pixels.geometry,
                values,
                label=quantity,
                masked=mask.masked,
                symmetric=quantity == OFFSET,
                theme=theme,
            )

        self.pane.draw(draw)

    def _baseline_chosen(self, name: str) -> None:
        if name and name not in self._baselines:
            self.baseline_asked.emit(name)
        else:
            self.redraw()

    def _hovered(self, event: object) -> None:
        picture, pixels = self.pane.result, self.pixels
        if not isinstance(event, MouseEvent) or not isinstance(picture, DetectorPicture) or pixels is None:
            return
        index = None
        if event.inaxes is not None and event.xdata is not None and event.ydata is not None:
            index = picture.pixel_at(event.inaxes, event.xdata, event.ydata)
        self.hover.setText("" if index is None else pixels.text(index, self.against))


def _say_none(figure: Figure, theme: Theme, quantity: str) -> None:
    begin(figure, theme)
    axes = figure.subplots()
    style(axes, theme, grid=False)
    axes.set(xticks=[], yticks=[])
    note(axes, f"Without a pixel calibration there is no: {quantity}", theme)
