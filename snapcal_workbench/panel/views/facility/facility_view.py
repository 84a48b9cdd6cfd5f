"""The Facility tab: the states of the tree, the history of one, and the check of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QSplitter, QTabWidget, QVBoxLayout, QWidget

from snapcal_workbench.errors import InputError
from snapcal_workbench.facility.check import RunCheck
from snapcal_workbench.facility.history import History
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.panel.presenters import facility_exports as exports
from snapcal_workbench.panel.presenters.contract import CheckRequest
from snapcal_workbench.panel.presenters.facility import fitting_states
from snapcal_workbench.panel.views.facility.check_view import CheckView
from snapcal_workbench.panel.views.facility.history_view import HistoryView
from snapcal_workbench.panel.widgets.export_button import ExportButton, Offers
from snapcal_workbench.panel.widgets.layouts import button, combo
from snapcal_workbench.panel.widgets.table import Cell, Column, Table
from snapcal_workbench.panel.widgets.text import PlainLabel

COLUMNS = (
    Column("State", "Its folder in the calibration tree"),
    Column("Name", "As people recognise it"),
    Column("λ (Å)", "Middle of the wavelength band"),
    Column("Arcs (°)", "Angles of the detectors"),
    Column("f (Hz)", "Frequency of the source"),
    Column("Versions", "Calibrations that were saved, without those that were retired"),
    Column("Calibrated", "When the newest version was saved"),
    Column("Run", "Run that it was made from"),
    Column("Cycle", "Run cycle of its instrument parameters"),
    Column("Runs since", "Later runs of the state, where they were counted"),
    Column("Verdict", "On the newest version, as it states it"),
    Column("Damage", "What is wrong with the index, the folders or the newest version"),
)
FILTER_TIP = (
    "Words that a row contains, or conditions as wavelength>2, verdict!=good, last_calibrated<2025-06; ';' between them"
)
LITE, NATIVE = "lite", "native"


class FacilityView(QWidget):
    """States above; below, the history of the chosen one, and the check of a run. Nothing is read before it is shown.

    Signals:
        states_asked: Whether lite versions count, and whether the runs since are to be counted.
        history_asked: Id of a state, and whether lite versions count.
        check_asked: A `CheckRequest`.
        opened: Reference of a version that is to be loaded.
        exported: Path, and the function that writes the file.
    """

    states_asked = Signal(bool, bool)
    history_asked = Signal(str, bool)
    check_asked = Signal(object)
    opened = Signal(str)
    exported = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._states: Sequence[StateRow] | None = None
        self._was_shown = False
        self.refresh = button("R&efresh", "Read the states of the calibration tree again")
        self.pixels = combo("Pixels", "Versions for lite pixels (8x8 are one), or for native ones", [LITE, NATIVE])
        self.filter = QLineEdit()
        self.filter.setAccessibleName("Filter of the states")
        self.filter.setToolTip(FILTER_TIP)
        self.filter.setPlaceholderText("wavelength>2; silicon")
        self.filter.setClearButtonEnabled(True)
        self.count_runs = QCheckBox("Count &runs since")
        self.count_runs.setToolTip("Count the runs since the last calibration at a refresh; looks once at each new run")
        self.history_button = button("Show &history", "Read all versions of the selected state (Return)")
        self.export_button = ExportButton(self.offers)
        self.problem = PlainLabel("")
        self.problem.setWordWrap(True)
        self.table = Table(COLUMNS, "States")
        self.history, self.check = HistoryView(), CheckView()
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("History and check")
        for page, title, tip in (
            (self.history, "Histor&y", "The versions of a state one after the other, and what changed between them"),
            (self.check, "Check a ru&n", "Whether the calibration that applies to a run still holds"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        self._lay_out()
        self._connect()
        self._enable()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        labels = [PlainLabel("Pi&xels"), PlainLabel("&Only")]
        for label, field in zip(labels, (self.pixels, self.filter), strict=True):
            label.setBuddy(field)
        for widget in (self.refresh, labels[0], self.pixels, self.count_runs, labels[1]):
            top.addWidget(widget)
        top.addWidget(self.filter, 1)
        top.addWidget(self.history_button)
        top.addWidget(self.export_button)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(self.table)
        self.splitter.addWidget(self.tabs)
        self.splitter.setSizes([250, 500])
        self.splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.problem)
        layout.addWidget(self.splitter, 1)

    def _connect(self) -> None:
        self.refresh.clicked.connect(lambda *_: self._ask_for_states())
        self.pixels.currentTextChanged.connect(lambda _: self._ask_for_states())
        self.filter.textChanged.connect(lambda _: self._fill())
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.opened.connect(lambda _: self._ask_for_history())
        self.history_button.clicked.connect(lambda *_: self._ask_for_history())
        self.history.opened.connect(self.opened.emit)
        self.check.asked.connect(self._ask_for_check)
        self.export_button.chosen.connect(self.exported.emit)

    @property
    def lite(self) -> bool:
        """Whether versions for lite pixels are looked at."""
        return self.pixels.currentText() == LITE

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Read the states when the tab is first looked at."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            self._ask_for_states()

    # -- what was found -------------------------------------------------------------------------------------------

    def show_states(self, states: Sequence[StateRow]) -> None:
        """Fill the table of states."""
        self._states = states
        self._fill()

    def show_history(self, history: History) -> None:
        """Show the history of a state."""
        self.history.show_history(history)
        self.tabs.setCurrentWidget(self.history)

    def show_check(self, found: RunCheck) -> None:
        """Show whether a calibration holds."""
        self.check.show_check(found)
        self.tabs.setCurrentWidget(self.check)

    def _fill(self) -> None:
        try:
            shown = fitting_states(self._states or (), self.filter.text())
        except InputError as error:
            self.problem.setText(f"{error.what} Found: {error.found}. {error.fix}")
            return
        self.problem.setText("" if self._states is None else _counted(len(shown), len(self._states)))
        self.table.fill([(state.state_id, _cells(state)) for state in shown])
        self._enable()

    def _enable(self) -> None:
        self.history_button.setEnabled(len(self.table.selected()) == 1)

    # -- what is asked for ----------------------------------------------------------------------------------------

    def _ask_for_states(self) -> None:
        self.states_asked.emit(self.lite, self.count_runs.isChecked())

    def _ask_for_history(self) -> None:
        chosen = self.table.selected()
        if len(chosen) == 1:
            self.history_asked.emit(chosen[0], self.lite)

    def _ask_for_check(self, asked: CheckRequest) -> None:
        self.check_asked.emit(replace(asked, lite=self.lite))

    # -- export ---------------------------------------------------------------------------------------------------

    def offers(self) -> Offers:
        """What can be written: the states, and what the lower tab shows."""
        lower = self.history if self.tabs.currentWidget() is self.history else self.check
        if not self._states:
            return lower.offers()
        states: Offers = {
            "States (CSV)": ("states.csv", partial(exports.write_states, states=self._states)),
            "Page of the states (HTML)": ("states.html", partial(exports.write_states_page, states=self._states)),
        }
        return lower.offers() | states


def _counted(shown: int, known: int) -> str:
    if not known:
        return "There is no state in the calibration tree yet."
    states = "state" if known == 1 else "states"
    return f"{known} {states}." if shown == known else f"{shown} of {known} {states}."


def _cells(row: StateRow) -> Sequence[object]:
    unknown = float("nan")
    damage = f"{len(row.damage)} found" if row.damage else ""
    return (
        row.state_id,
        row.name,
        unknown if row.wavelength is None else row.wavelength,
        Cell(row.arcs[0] if row.arcs else unknown, ", ".join(f"{arc:g}" for arc in row.arcs)),
        unknown if row.frequency is None else row.frequency,
        Cell(row.versions, f"{row.versions}" + (f" (+{row.retired} retired)" if row.retired else "")),
        Cell(row.last_calibrated, row.last_calibrated[:10], row.last_calibrated),
        row.last_run,
        row.cycle,
        unknown if row.runs_since is None else row.runs_since,
        Cell(row.verdict, row.verdict, row.verdict_text),
        Cell(len(row.damage), damage, "\n".join(row.damage)),
    )
