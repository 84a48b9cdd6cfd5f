"""The tab with several calibrations over each other."""

from __future__ import annotations

from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.layouts import button, combo, offer, stacked
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.detectors import draw_difc_change, panels_of_groups
from snapcal_workbench.report.series import GroupAxis, Quantity, draw_group_figures
from snapcal_workbench.report.spectra import draw_overlaid_spectra
from snapcal_workbench.report.theme import Theme, begin, note, style
from snapcal_workbench.session import Comparison, Entry

FIGURES: dict[str, Quantity] = {"strain": "strain", "peak width σ/d": "sigma", "χ²": "chi2"}
SPECTRA, DIFFERENCE = "focused spectra", "DIFC difference"
AXES: dict[str, GroupAxis] = {"group": "group", "2θ": "2theta"}


class CompareView(QWidget):
    """Figures, spectra or DIFC of the calibrations that were chosen in the tables.

    Signals:
        report_asked: The comparison is wanted as an HTML page.
    """

    report_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pane = FigurePane("Comparison")
        self.quantity = combo("Compared quantity", "What is compared", [*FIGURES, SPECTRA, DIFFERENCE])
        self.axis = combo("Horizontal axis", "Groups in their order, or at their mean scattering angle", list(AXES))
        self.group = combo("Compared group", "Group whose spectra are shown")
        self.first = combo("Difference of", "Calibration whose DIFC is shown")
        self.second = combo("Against", "Calibration that it is shown against")
        self.report = button("HTML report", "Write the comparison as a page and open it in the browser")
        self._labels = [PlainLabel(text) for text in ("over", "of group", "of", "against")]
        self.comparison: Comparison | None = None
        chosen = (self.axis, self.group, self.first, self.second)
        pairs = [widget for pair in zip(self._labels, chosen, strict=True) for widget in pair]
        stacked(self, (PlainLabel("Show"), self.quantity, *pairs, self.report), self.pane)
        for box in (self.quantity, *chosen):
            box.currentTextChanged.connect(lambda _: self.redraw())
        self.report.clicked.connect(self.report_asked.emit)
        self.redraw()

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Show a comparison, or how to make one."""
        self.comparison = comparison
        labels = [entry.label for entry in comparison.entries] if comparison is not None else []
        groups = sorted({group for entry in comparison.entries for group in entry.groups}) if comparison else []
        offer(self.group, [str(group) for group in groups])
        offer(self.first, labels[::-1])
        offer(self.second, labels)
        self.redraw()

    def redraw(self) -> None:
        """Draw what is chosen, from the comparison that is held."""
        quantity, comparison = self.quantity.currentText(), self.comparison
        self._show_choices(quantity)
        self.report.setEnabled(comparison is not None)
        if comparison is None:
            self.pane.draw(_say_how)
        elif quantity == SPECTRA:
            self._draw_spectra(comparison)
        elif quantity == DIFFERENCE:
            entries = {entry.label: entry for entry in comparison.entries}
            after, before = entries[self.first.currentText()], entries[self.second.currentText()]
            self.pane.draw(lambda figure, theme: _draw_difference(figure, theme, before, after))
        else:
            self._draw_figures(comparison, FIGURES[quantity], AXES[self.axis.currentText()])

    def _show_choices(self, quantity: str) -> None:
        shown = (quantity in FIGURES, quantity == SPECTRA, quantity == DIFFERENCE, quantity == DIFFERENCE)
        for label, box, visible in zip(
            self._labels, (self.axis, self.group, self.first, self.second), shown, strict=True
        ):
            label.setVisible(visible)
            box.setVisible(visible)

    def _draw_figures(self, comparison: Comparison, quantity: Quantity, axis: GroupAxis) -> None:
        first = comparison.entries[0]

        def draw(figure: Figure, theme: Theme) -> None:
            panels = panels_of_groups(first.geometry, first.groups)
            draw_group_figures(figure, comparison.metrics, quantity=quantity, x=axis, panels=panels, theme=theme)

        self.pane.draw(draw)

    def _draw_spectra(self, comparison: Comparison) -> None:
        group = int(self.group.currentText() or 0)
        series = {entry.label: entry.spectra for entry in comparison.entries if entry.spectra is not None}
        self.pane.draw(lambda figure, theme: draw_overlaid_spectra(figure, series, group, theme=theme))


def _draw_difference(figure: Figure, theme: Theme, before: Entry, after: Entry) -> None:
    if len(before.table) != len(after.table):
        _say(figure, theme, "One of them is of native, the other of lite pixels")
        return
    mask = before.mask.combined(after.mask)
    draw_difc_change(figure, after.geometry, before.table, after.table, mask, theme=theme)


def _say_how(figure: Figure, theme: Theme) -> None:
    _say(figure, theme, "Select iterations or saved versions in the tables below and press Compare")


def _say(figure: Figure, theme: Theme, text: str) -> None:
    begin(figure, theme)
    axes = figure.subplots()
    style(axes, theme, grid=False)
    axes.set(xticks=[], yticks=[])
    note(axes, text, theme)
