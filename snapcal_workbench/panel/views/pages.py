"""The views of the window, and where they stand: one run's calibration on one page, the whole facility on the other."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSplitter, QTabWidget, QWidget

from snapcal_workbench.panel.views.facility.facility_view import FacilityView
from snapcal_workbench.panel.views.form.inputs_view import InputsView
from snapcal_workbench.panel.views.iterations_view import IterationsView
from snapcal_workbench.panel.views.log_view import LogView
from snapcal_workbench.panel.views.results.outcome_view import OutcomeView
from snapcal_workbench.panel.views.versions_view import VersionsView
from snapcal_workbench.panel.widgets.layouts import FormArea

FORM_WIDTH = 450
"""Of the form at first, px: the title of a run fits."""

TABLES_HEIGHT = 230
"""Of the tables at first, px: four iterations fit, and the rest of a small screen is the pictures'."""


class Pages(QTabWidget):
    """The two pages.

    Attributes:
        inputs, outcome, iterations, versions, messages: The views of a calibration.
        facility: That of the facility.
        tables: Tabs of iterations, versions and messages.
        across: Parts the form from the rest.
        down: Parts the outcome from the tables.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.inputs, self.outcome, self.facility = InputsView(), OutcomeView(), FacilityView()
        self.iterations, self.versions, self.messages = IterationsView(), VersionsView(), LogView()
        self.tables = self._made_tables()
        self.down = self._made_down()
        self.across = self._made_across()
        self.setDocumentMode(True)
        self.setAccessibleName("One calibration, or the whole facility")
        for page, title, tip in (
            (self.across, "Calibration", "Calibrate a run (Ctrl+1)"),
            (self.facility, "&Facility", "All states, how their calibrations changed, and whether they hold (Ctrl+2)"),
        ):
            self.setTabToolTip(self.addTab(page, title), tip)

    def _made_tables(self) -> QTabWidget:
        tables = QTabWidget()
        tables.setAccessibleName("Iterations, saved versions and log")
        for page, title, tip in (
            (self.iterations, "Iterations", "Every calibration that was made, with what came out of it"),
            (self.versions, "Saved versions", "Accepted calibrations of the run's instrument state"),
            (self.messages, "Log", "What was done, step by step"),
        ):
            tables.setTabToolTip(tables.addTab(page, title), tip)
        return tables

    def _made_down(self) -> QSplitter:
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.outcome)
        splitter.addWidget(self.tables)
        splitter.setStretchFactor(0, 1)
        splitter.setSizes([640, TABLES_HEIGHT])
        return splitter

    def _made_across(self) -> QSplitter:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(FormArea(self.inputs))
        splitter.addWidget(self.down)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([FORM_WIDTH, 650])
        return splitter
