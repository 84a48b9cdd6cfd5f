"""Results of one iteration, and comparisons, as tabs of figures that are drawn when they are looked at."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QTabWidget, QWidget

from snapcal_workbench.calibration.types import PixelPass
from snapcal_workbench.panel.presenters import exports
from snapcal_workbench.panel.presenters.contract import Results, Write
from snapcal_workbench.panel.views.results.compare_view import AXES, FIGURES, CompareView
from snapcal_workbench.panel.views.results.detectors_view import DetectorsView
from snapcal_workbench.panel.views.results.running_view import RunningView
from snapcal_workbench.panel.views.results.spectra_view import SpectraView
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.export_button import ExportButton, Offers
from snapcal_workbench.panel.widgets.layouts import combo, stacked
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.detectors import panels_of_groups
from snapcal_workbench.report.series import draw_convergence, draw_group_figures
from snapcal_workbench.report.theme import Theme
from snapcal_workbench.session import Comparison


class ResultsView(QTabWidget):
    """Tabs: spectra, groups, detectors, convergence, comparison; while a calibration runs also its last pass.

    Signals:
        exported: Path, and the function that writes the file.
    """

    exported = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Results")
        self._results: Results | None = None
        self.convergence, self.groups = FigurePane("Convergence"), FigurePane("Figures of the groups")
        self.detectors, self.spectra, self.compare = DetectorsView(), SpectraView(), CompareView()
        self.running = RunningView()
        self.figure_of = combo("Figure of the groups", "Which figure of the groups is shown", list(FIGURES))
        self.axis = combo("Axis of the groups", "Groups in their order, or at their mean scattering angle", list(AXES))
        groups = QWidget()
        stacked(groups, (PlainLabel("Show"), self.figure_of, PlainLabel("over"), self.axis), self.groups)
        for page, title, tip in (
            (self.spectra, "Spectra", "Focused spectrum of a group, with the fitted peaks"),
            (groups, "Groups", "Strain, width and chi-squared of the peaks of each group"),
            (self.detectors, "Detectors", "One value a pixel on the detector panels"),
            (self.convergence, "Convergence", "Offsets and masked pixels, pass by pass"),
            (self.compare, "Compare", "Iterations and saved versions over each other"),
        ):
            self.setTabToolTip(self.addTab(page, title), tip)
        self.panes = (
            self.spectra.pane,
            self.groups,
            self.detectors.pane,
            self.convergence,
            self.compare.pane,
            self.running.pane,
        )
        self.export_button = ExportButton(self.offers)
        self.export_button.chosen.connect(self.exported.emit)
        self.setCornerWidget(self.export_button)
        for box in (self.figure_of, self.axis):
            box.currentTextChanged.connect(lambda _: self._draw_groups())

    def show_results(self, results: Results | None) -> None:
        """Show the results of an iteration, or nothing."""
        self._results = results
        if results is not None:
            self._show_tabs_of_results(True)
        self.detectors.show_results(results)
        self.spectra.show_results(results)
        self._draw_groups()
        if results is None:
            self.convergence.clear()
            return
        iteration = results.iteration
        width = iteration.bin_width
        threshold = None if width is None else 1e6 * width * iteration.account.options.pixels.threshold
        self.convergence.draw(
            lambda figure, theme: draw_convergence(figure, iteration.passes, threshold_ppm=threshold, theme=theme)
        )

    def show_pass(self, found: PixelPass, *, alone: bool) -> None:
        """Show the last pass of the running calibration; `alone`: there are no results whose tabs could be shown."""
        if self.indexOf(self.running) < 0:
            tip = "What the last pass of the running calibration has found"
            self.setTabToolTip(self.addTab(self.running, "Running"), tip)
        if alone:
            self.setCurrentWidget(self.running)
            self._show_tabs_of_results(False)
        self.running.show_pass(found)

    def end_passes(self) -> None:
        """Take the passes away: no calibration runs any more."""
        self._show_tabs_of_results(True)
        self.removeTab(self.indexOf(self.running))
        self.running.end()

    def _show_tabs_of_results(self, shown: bool) -> None:
        for index in range(self.count()):
            self.setTabVisible(index, shown or self.widget(index) is self.running)

    def show_spectra_first(self) -> None:
        """Bring the fitted spectra to the front."""
        self.setCurrentWidget(self.spectra)

    def show_comparison(self, comparison: Comparison) -> None:
        """Show several calibrations over each other."""
        self.compare.show_comparison(comparison)
        self.setCurrentWidget(self.compare)

    def _draw_groups(self) -> None:
        results = self._results
        if results is None:
            self.groups.clear()
            return
        quantity, axis = FIGURES[self.figure_of.currentText()], AXES[self.axis.currentText()]

        def draw(figure: Figure, theme: Theme) -> None:
            spectra = results.values["output"]
            groups = {int(g): ids for g, ids in zip(spectra.number, spectra.detids, strict=True)}
            panels = panels_of_groups(results.geometry, groups)
            series = {results.iteration.name: results.iteration.metrics}
            draw_group_figures(figure, series, quantity=quantity, x=axis, panels=panels, theme=theme)

        self.groups.draw(draw)

    # -- export -------------------------------------------------------------------------------------------------

    def offers(self) -> Offers:
        """What can be written of the present tab: file name and the function that writes it, by title."""
        title, pane = self.tabText(self.currentIndex()).lower(), self.panes[self.currentIndex()]
        offers: Offers = {}
        picture = pane.picture()
        if picture is not None:
            offers["Picture (PNG)"] = f"{title}.png", picture
        offers |= {name: (file, write) for name, file, write in self._tables()}
        return offers

    def _tables(self) -> list[tuple[str, str, Write]]:
        """Title, file name and writer of the files that the present tab offers beside its picture."""
        page, results = self.currentWidget(), self._results
        if page is self.compare:
            comparison = self.compare.comparison
            if comparison is None:
                return []
            return [
                ("Groups (CSV)", "comparison.csv", partial(exports.write_comparison, comparison=comparison)),
                ("Page (HTML)", "comparison.html", partial(exports.write_comparison_page, comparison=comparison)),
            ]
        if results is None or page is self.running:
            return []
        report = ("Report of the iteration (HTML)", "report.html", partial(exports.write_report, results=results))
        return [*self._tables_of_iteration(results), report]

    def _tables_of_iteration(self, results: Results) -> list[tuple[str, str, Write]]:
        page = self.currentWidget()
        if page is self.detectors:
            baseline = self.detectors.against
            pixels = partial(exports.write_pixels, results=results, baseline=baseline)
            return [("Pixels (CSV)", "pixels.csv", pixels)]
        if page is self.spectra:
            group = int(self.spectra.group.currentText())
            spectrum = partial(exports.write_spectrum, results=results, group=group)
            peaks = partial(exports.write_peaks, results=results)
            return [
                ("Spectrum (CSV)", f"spectrum_group_{group}.csv", spectrum),
                ("Peaks of all groups (CSV)", "peaks.csv", peaks),
            ]
        if page is self.convergence:
            return [("Passes (CSV)", "passes.csv", partial(exports.write_passes, results=results))]
        return [("Groups (CSV)", "groups.csv", partial(exports.write_groups, results=results))]
