"""The history of a state: its versions as a picture and as a table, and what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from snapcal_workbench.facility.history import Course, History, HistoryPoint, NamedChange
from snapcal_workbench.facility.history_plot import draw_history
from snapcal_workbench.panel.presenters import facility_exports as exports
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.export_button import Offers
from snapcal_workbench.panel.widgets.layouts import combo, row, select, stacked
from snapcal_workbench.panel.widgets.table import Cell, Column, Table, button_row
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.detectors import DetectorPicture, draw_detectors
from snapcal_workbench.report.numbers import with_error
from snapcal_workbench.report.theme import Theme

COURSES, DETECTORS = "all versions", "change on the detectors"
FIGURES = {
    "TOF of modules": ("difc", "module", "TOF against the geometry, ppm, of", 0),
    "TOF of groups": ("difc", "group", "TOF against the geometry, ppm, of", 0),
    "peak width σ/d": ("width", "group", "σ/d of the peaks, 1e-3, of", 3),
    "strain": ("strain", "group", "Strain of the peaks, ppm, of", 1),
}
"""Field of the history, part, what a column says, and decimals, by what people choose."""
VERSION = (Column("Version", "Its number"), Column("Run", "Run that it was made from"), Column("Saved", "When it was"))
CHANGES = (
    Column("Change", "A jump between two versions that follow on each other, or a drift over several"),
    Column("Of", "Module or group that changed"),
    Column("By (ppm)", "By how much, and its standard error"),
    Column("Runs", "Runs of the versions between which it happened"),
    Column("Versions", "Versions between which it happened"),
    Column("Until", "When the second of them was saved"),
)
BY = 2
HOW = "Select a state above, and press Show history."


class HistoryView(QWidget):
    """Courses of all versions, or one change on the detectors; figures of each version; named drifts and jumps.

    Signals:
        opened: Reference of a version that is to be loaded.
    """

    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history: History | None = None
        self.pane = FigurePane("History of a state")
        self.picture = combo("Picture", "All versions, or the selected change on the detectors", [COURSES, DETECTORS])
        self.figure_of = combo("Figure of the versions", "Which figures of the versions the table has", list(FIGURES))
        self.told, self.hover = PlainLabel(HOW), PlainLabel("")
        self.told.setWordWrap(True)
        self.hover.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hover.setAccessibleName("Value of the pixel under the mouse")
        self.hover.setToolTip("Move the mouse over a pixel")
        self.versions, self.changes = Table(VERSION, "Versions of the state"), Table(CHANGES, "Drifts and jumps")
        buttons, self.buttons = button_row(
            (("&Load", "Load the table, mask, spectra and fits of the selected version into the list", self._open),)
        )
        self.changes.sortByColumn(BY, Qt.SortOrder.DescendingOrder)
        self._lay_out(buttons)
        self.picture.currentTextChanged.connect(lambda _: self.redraw())
        self.figure_of.currentTextChanged.connect(lambda _: self._fill_versions())
        self.versions.itemSelectionChanged.connect(self._enable)
        self.versions.opened.connect(lambda _: self._open())
        self.changes.itemSelectionChanged.connect(self._change_chosen)
        self.pane.canvas.mpl_connect("motion_notify_event", self._hovered)
        self._enable()

    def _lay_out(self, buttons: QHBoxLayout) -> None:
        left, right = QWidget(), QSplitter(Qt.Orientation.Vertical)
        stacked(left, (PlainLabel("Picture"), self.picture), self.pane, self.hover)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(PlainLabel("Figures"), self.figure_of))
        column.addWidget(self.versions)
        column.addLayout(buttons)
        right.addWidget(upper)
        right.addWidget(self.changes)
        across = QSplitter(Qt.Orientation.Horizontal)
        across.addWidget(left)
        across.addWidget(right)
        across.setSizes([620, 480])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.told)
        layout.addWidget(across, 1)

    def show_history(self, history: History) -> None:
        """Show the history of a state."""
        self.history = history
        self.changes.clearSelection()
        self.changes.fill([(number, _change_cells(history, c)) for number, c in enumerate(history.changes)])
        self._fill_versions()
        select(self.picture, COURSES)
        self.redraw()

    def _fill_versions(self) -> None:
        history = self.history
        if history is None:
            return
        field, part, what, decimals = FIGURES[self.figure_of.currentText()]
        courses: Sequence[Course] = [course for course in getattr(history, field) if course.part == part]
        figures = [Column(c.name, f"{what} {part} {c.name}, with its standard error") for c in courses]
        self.versions.set_columns([*VERSION, *figures])
        self.versions.fill(
            [
                (point.version, (*_point_cells(point), *(_figure(course, number, decimals) for course in courses)))
                for number, point in enumerate(history.points)
            ]
        )
        self._enable()

    # -- pictures -----------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> NamedChange | None:
        """The selected change."""
        numbers = self.changes.selected()
        return self.history.changes[numbers[0]] if self.history is not None and numbers else None

    def _change_chosen(self) -> None:
        if self.chosen is not None:
            select(self.picture, DETECTORS)
            self.redraw()

    def redraw(self) -> None:
        """Draw what is chosen, and say what it is."""
        history, change = self.history, self.chosen
        self.hover.setText("")
        if history is None:
            return
        on_detectors = self.picture.currentText() == DETECTORS
        self.told.setText(" ".join(_about(history, change if on_detectors else None, on_detectors)))
        if not on_detectors:
            self.pane.draw(lambda figure, theme: draw_history(figure, history, theme=theme))
        elif change is None:
            self.pane.clear()
        else:
            self.pane.draw(partial(_draw_change, history, change))

    def _hovered(self, event: object) -> None:
        drawn, history, change = self.pane.result, self.history, self.chosen
        if not isinstance(event, MouseEvent) or not isinstance(drawn, DetectorPicture) or history is None or not change:
            return
        index = None
        if event.inaxes is not None and event.xdata is not None and event.ydata is not None:
            index = drawn.pixel_at(event.inaxes, event.xdata, event.ydata)
        self.hover.setText("" if index is None else _pixel_text(history, change, index))

    # -- versions -----------------------------------------------------------------------------------------------

    def _enable(self) -> None:
        self.buttons["Load"].setEnabled(len(self.versions.selected()) == 1)

    def _open(self) -> None:
        chosen = self.versions.selected()
        if self.history is not None and len(chosen) == 1:
            self.opened.emit(f"{self.history.mode}/{self.history.state_id}/{chosen[0]}")

    # -- export -------------------------------------------------------------------------------------------------

    def offers(self) -> Offers:
        """What can be written of the history."""
        history = self.history
        if history is None:
            return {}
        name = f"history_{history.state_id}"
        picture = self.pane.picture()
        shown: Offers = {"Picture (PNG)": (f"{name}.png", picture)} if picture is not None else {}
        return shown | {
            "History (CSV)": (f"{name}.csv", partial(exports.write_history, history=history)),
            "Drifts and jumps (CSV)": (f"{name}_changes.csv", partial(exports.write_changes, history=history)),
            "Page of the history (HTML)": (f"{name}.html", partial(exports.write_history_page, history=history)),
        }


def _about(history: History, change: NamedChange | None, on_detectors: bool) -> list[str]:
    """What is shown, in sentences."""
    name = f"State {history.state_id} {history.name}".rstrip()
    if change is not None:
        return [f"{name}:", history.sentence([change])]
    if on_detectors:
        return [f"{name}:", "select a drift or a jump in the table of changes."]
    return [f"{name}: {len(history.points)} versions, {history.mode}.", *_none(history), *history.notes]


def _none(history: History) -> list[str]:
    return [] if history.changes else history.sentences()


def _point_cells(point: HistoryPoint) -> Sequence[object]:
    version = str(point.version)
    return Cell(point.version, version, point.comments or version), point.run, _saved(point)


def _saved(point: HistoryPoint) -> Cell:
    return Cell(point.timestamp, point.timestamp[:10], point.timestamp)


def _change_cells(history: History, change: NamedChange) -> Sequence[object]:
    first, last = history.points[change.first], history.points[change.last]
    size = ("+" if change.ppm > 0 else "") + with_error(change.ppm, change.error_ppm, 0)
    return (
        change.kind,
        f"{change.part} {change.name}",
        Cell(abs(change.ppm), size),
        f"{first.run} – {last.run}",
        f"{first.version} – {last.version}",
        _saved(last),
    )


def _figure(course: Course, number: int, decimals: int) -> Cell:
    value, error = float(course.value[number]), float(course.error[number])
    return Cell(value, with_error(value, error, decimals))


def _draw_change(history: History, change: NamedChange, figure: Figure, theme: Theme) -> DetectorPicture | None:
    found = history.change_map(change)
    masked = ~np.isfinite(found.value)
    return draw_detectors(
        figure, history.geometry, found.value, label=found.label, masked=masked, symmetric=True, theme=theme
    )


def _pixel_text(history: History, change: NamedChange, index: int) -> str:
    value = history.change_map(change).value[index]
    geometry = history.geometry
    text = f"{value:+.0f} ppm" if np.isfinite(value) else "masked in one of the versions"
    return f"pixel {geometry.detid[index]}, 2θ {np.degrees(geometry.two_theta[index]):.2f}°: {text}"
