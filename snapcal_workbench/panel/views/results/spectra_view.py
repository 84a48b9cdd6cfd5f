"""The tab with one group's focused spectrum, whose peaks can be left out of the next calibration."""

from __future__ import annotations

from collections.abc import Collection

from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QDoubleSpinBox, QSizePolicy, QToolTip, QWidget

from snapcal_workbench.panel.presenters.contract import Peak, Results
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.layouts import button, combo, offer, stacked
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.report.spectra import Hkl, PeakMark, draw_group_spectrum, hkl_text, peak_marks
from snapcal_workbench.report.theme import Theme

HINT = "Click a peak to leave it out of the next calibration, or to take it in again."


class SpectraView(QWidget):
    """A focused spectrum with its fits; a click on a peak leaves it out, or takes it in again.

    Signals:
        peak_clicked: Group, h, k, l of a peak that was clicked.
        purge_asked: Chi-squared above which peaks are to be left out.
        include_all_asked: All peaks are to take part again.
    """

    peak_clicked = Signal(int, int, int, int)
    purge_asked = Signal(float)
    include_all_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pane = FigurePane("Focused spectra")
        self.group = combo("Group", "Group whose spectrum is shown")
        self.limit = QDoubleSpinBox()
        self.limit.setAccessibleName("Largest chi-squared")
        self.limit.setToolTip("Chi-squared per degree of freedom")
        self.limit.setRange(0.01, 1e6)
        self.limit.setValue(10.0)
        self.purge = button(
            "Leave out above χ²", "Leave peaks of all groups whose fit is worse than this out of the next calibration"
        )
        self.include_all = button("Include all", "All peaks take part in the next calibration again")
        self.hover = PlainLabel("")
        self.hover.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hover.setAccessibleName("Peak under the mouse")
        self._results: Results | None = None
        self._left_out: set[Peak] = set()
        self._under: PeakMark | None = None
        self.hover.setToolTip(HINT)
        self.hover.setText(HINT)
        bar = PlainLabel("Group"), self.group, self.purge, self.limit, self.include_all
        stacked(self, bar, self.pane, self.hover)
        self.group.currentTextChanged.connect(lambda _: self._group_chosen())
        self.purge.clicked.connect(lambda: self.purge_asked.emit(self.limit.value()))
        self.include_all.clicked.connect(self.include_all_asked.emit)
        self.pane.canvas.mpl_connect("button_press_event", self._clicked)
        self.pane.canvas.mpl_connect("motion_notify_event", self._hovered)

    def show_results(self, results: Results | None) -> None:
        """Show the spectra of an iteration, or nothing."""
        self._results, self._under = results, None
        offer(self.group, [str(int(n)) for n in results.values["output"].number] if results is not None else [])
        self.redraw()

    def show_left_out(self, peaks: Collection[Peak]) -> None:
        """Mark the peaks that the next calibration leaves out."""
        if set(peaks) != self._left_out:
            self._left_out = set(peaks)
            self._tell_peak()
            self.redraw()

    def _group_chosen(self) -> None:
        self._under = None
        self.redraw()

    def redraw(self) -> None:
        """Draw the chosen group."""
        results, text = self._results, self.group.currentText()
        if results is None or not text:
            self.pane.clear()
            return
        group, values = int(text), results.values
        left_out = {hkl for number, hkl in self._left_out if number == group}

        def draw(figure: Figure, theme: Theme) -> object:
            pictures = values["output"], values["fitted"], values["fit_table"]
            expected = results.iteration.peaks.get(group)
            return draw_group_spectrum(figure, *pictures, expected, group, left_out=left_out, theme=theme)

        self.pane.draw(draw)

    def mark_at(self, d: float) -> PeakMark | None:
        """The peak of the shown group in whose window a d-spacing is."""
        if self._results is None or not self.group.currentText():
            return None
        group = int(self.group.currentText())
        marks = peak_marks(self._results.iteration.peaks.get(group), self._results.values["fit_table"], group)
        inside = [mark for mark in marks if mark.window_min <= d <= mark.window_max]
        return min(inside, key=lambda mark: abs(mark.d - d), default=None)

    def mark_text(self, mark: PeakMark) -> str:
        """What is known of a peak, in one line."""
        text = f"peak {hkl_text(mark.hkl)} at {mark.d:.4f} Å"
        if mark.used is not None:
            text += f", χ² {mark.chi2:.3g}, " + ("used" if mark.used else f"rejected: {mark.why_not}")
        if (int(self.group.currentText()), mark.hkl) in self._left_out:
            text += "; left out of the next calibration"
        return text

    def _tell_peak(self) -> None:
        """Say below the picture what is known of the peak under the mouse."""
        self.hover.setText(HINT if self._under is None else self.mark_text(self._under))

    def _hovered(self, event: object) -> None:
        if isinstance(event, MouseEvent):
            self._under = mark = self.mark_at(event.xdata) if event.xdata is not None else None
            self._tell_peak()
            QToolTip.showText(QCursor.pos(), "" if mark is None else unmarked(self.mark_text(mark)), self.pane.canvas)

    def _clicked(self, event: object) -> None:
        if not isinstance(event, MouseEvent) or event.xdata is None or event.button != 1 or self.pane.toolbar.mode:
            return
        mark = self.mark_at(event.xdata)
        if mark is not None:
            self._under = mark
            self.peak_clicked.emit(int(self.group.currentText()), *mark.hkl)


def peak_text(group: int, hkl: Hkl) -> str:
    """A peak in words."""
    return f"peak {hkl_text(hkl)} of group {group}"
