"""The right half: what to do first, or the verdict with the results below it."""

from __future__ import annotations

from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from snapcal_workbench.calibration.types import PixelPass
from snapcal_workbench.panel.presenters.contract import Results
from snapcal_workbench.panel.views.results.results_view import ResultsView
from snapcal_workbench.panel.views.results.verdict_view import VerdictView
from snapcal_workbench.panel.views.results.welcome_view import WelcomeView
from snapcal_workbench.session import Comparison


class OutcomeView(QWidget):
    """Verdict and results of one iteration; before there are any, the first steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict, self.results, self.welcome = VerdictView(), ResultsView(), WelcomeView()
        self._alone = False
        self.pages = QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(self.results)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.verdict)
        layout.addWidget(self.pages, 1)

    def show_results(self, results: Results | None) -> None:
        """Show an iteration, or the first steps."""
        iteration = results.iteration if results is not None else None
        name = f"{iteration.name} of run {iteration.run_number}" if iteration is not None else ""
        self.verdict.show_verdict(name[:1].upper() + name[1:], iteration.account.verdict if iteration else None)
        self.results.show_results(results)
        self._alone = False
        self.pages.setCurrentWidget(self.welcome if results is None else self.results)

    def show_pass(self, found: PixelPass) -> None:
        """Show the last pass of the running calibration: in the place of the first steps, else in a tab of its own."""
        self._alone = self._alone or self.pages.currentWidget() is self.welcome
        self.results.show_pass(found, alone=self._alone)
        self.pages.setCurrentWidget(self.results)

    def end_passes(self) -> None:
        """No calibration runs any more."""
        self.results.end_passes()
        if self._alone:
            self.pages.setCurrentWidget(self.welcome)
        self._alone = False

    def show_comparison(self, comparison: Comparison) -> None:
        """Show several calibrations over each other."""
        self.results.show_comparison(comparison)
        self.pages.setCurrentWidget(self.results)
