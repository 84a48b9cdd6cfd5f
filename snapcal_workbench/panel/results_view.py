"""Results of one iteration, and comparisons, as tabs of figures that are drawn when they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import numpy as np
from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.calibration.types import FloatArray, MaskReason
from snapcal_workbench.panel.canvas import FigurePane
from snapcal_workbench.panel.presenter import Results
from snapcal_workbench.report.detectors import DetectorPicture, difc_change_ppm, panels_of_groups
from snapcal_workbench.report.plots import (
    draw_convergence,
    draw_detectors,
    draw_group_figures,
    draw_group_spectrum,
    draw_mask_reasons,
    hkl_text,
)
from snapcal_workbench.report.theme import Theme
from snapcal_workbench.session import Comparison

Quantity = Literal["strain", "sigma", "chi2"]
QUANTITIES = ("DIFC change (ppm)", "offset (bins)", "events", "error bar (ppm)")


class ResultsView(QTabWidget):
    """Tabs: convergence, detectors, spectra, groups, mask, comparison.

    Signals:
        peak_clicked: Group, h, k, l of a peak that was clicked.
        purge_asked: Chi-squared above which peaks are to be excluded.
    """

    peak_clicked = Signal(int, int, int, int)
    purge_asked = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._results: Results | None = None
        self.convergence = FigurePane("Convergence")
        self.detectors = FigurePane("Detector panels")
        self.spectra = FigurePane("Focused spectra")
        self.groups = FigurePane("Figures of the groups")
        self.masked = FigurePane("Masked pixels by reason")
        self.comparison = FigurePane("Comparison")
        self.quantity, self.group, self.figure_of, self.baseline = (QComboBox() for _ in range(4))
        self.hover = QLabel("")
        self.limit = QDoubleSpinBox()
        self._fill_choices()
        self.addTab(self.convergence, "Convergence")
        self.addTab(
            _with_bar(self.detectors, QLabel("Show"), self.quantity, QLabel("against"), self.baseline, self.hover),
            "Detectors",
        )
        self.addTab(_with_bar(self.spectra, QLabel("Group"), self.group, *self._peak_bar()), "Spectra")
        self.addTab(_with_bar(self.groups, QLabel("Show"), self.figure_of), "Groups")
        self.addTab(self.masked, "Mask")
        self.addTab(self.comparison, "Compare")
        export = QPushButton("Export …")
        export.setToolTip("Save the picture of this tab as PNG, or the figures of the groups as CSV")
        export.clicked.connect(self._export)
        self.setCornerWidget(export)
        self.detectors.canvas.mpl_connect("motion_notify_event", self._hovered)
        self.spectra.canvas.mpl_connect("button_press_event", self._clicked)

    def _fill_choices(self) -> None:
        self.quantity.addItems(list(QUANTITIES))
        self.figure_of.addItems(["strain", "sigma", "chi2"])
        self.quantity.currentTextChanged.connect(lambda _: self._draw_detectors())
        self.baseline.setToolTip("What the change of DIFC is shown against")
        self.baseline.currentTextChanged.connect(lambda _: self._draw_detectors())
        self.group.currentTextChanged.connect(lambda _: self._draw_spectrum())
        self.figure_of.currentTextChanged.connect(lambda _: self._draw_groups())

    def _peak_bar(self) -> tuple[QWidget, ...]:
        self.limit.setRange(0.01, 1e6)
        self.limit.setValue(10.0)
        self.limit.setToolTip("Chi-squared per degree of freedom")
        purge = QPushButton("Exclude peaks above χ²")
        purge.setToolTip("Leave out, in the next calibration, all peaks whose fit is worse than this")
        purge.clicked.connect(lambda: self.purge_asked.emit(self.limit.value()))
        return purge, self.limit, QLabel("Double-click a peak to exclude or include it.")

    def show_results(self, results: Results | None) -> None:
        """Show the results of an iteration, or nothing."""
        self._results = results
        if results is None:
            for pane in (self.convergence, self.detectors, self.spectra, self.groups, self.masked):
                pane.clear()
            return
        _offer(self.group, [str(int(number)) for number in results.values["output"].number])
        _offer(self.baseline, list(results.baselines))
        iteration = results.iteration
        pixel = iteration.outcome.pixel
        threshold = 1e6 * pixel.bin_width * iteration.request.options.pixels.threshold if pixel else None
        self.convergence.draw(
            lambda figure, theme: draw_convergence(figure, iteration.passes, threshold_ppm=threshold, theme=theme)
        )
        mask, geometry = results.values["mask"], results.geometry
        self.masked.draw(lambda figure, theme: draw_mask_reasons(figure, geometry, mask, theme=theme))
        self._draw_detectors()
        self._draw_spectrum()
        self._draw_groups()

    def show_comparison(self, comparison: Comparison) -> None:
        """Show figures of several calibrations side by side."""
        first = comparison.entries[0]
        panels = panels_of_groups(first.geometry, first.groups)
        quantity = self._figure()
        self.comparison.draw(
            lambda figure, theme: draw_group_figures(
                figure,
                comparison.metrics,
                quantity=quantity,
                panels=panels,
                theme=theme,
            )
        )
        self.setCurrentIndex(self.count() - 1)

    def detector_values(self) -> FloatArray | None:
        """float64[pixels] of the chosen quantity; None where the iteration does not have it."""
        if self._results is None:
            return None
        values, quantity = self._results.values, self.quantity.currentText()
        found = values.get("results")
        if quantity == "DIFC change (ppm)":
            return difc_change_ppm(self._results.baselines[self.baseline.currentText()], values["table"])
        if found is None or self._results.iteration.outcome.pixel is None:
            return None
        if quantity == "events":
            return found.events
        if quantity == "error bar (ppm)":
            return 1e6 * found.sigma
        return -found.shift / np.log1p(self._results.iteration.outcome.pixel.bin_width)

    def _draw_detectors(self) -> None:
        results, values = self._results, self.detector_values()
        if results is None or values is None:
            self.detectors.clear()
            return
        quantity, masked = self.quantity.currentText(), results.values["mask"].masked

        def draw(figure: Figure, theme: Theme) -> object:
            return draw_detectors(
                figure,
                results.geometry,
                values,
                label=quantity,
                masked=masked,
                symmetric=quantity == "offset (bins)",
                theme=theme,
            )

        self.detectors.draw(draw)

    def _draw_spectrum(self) -> None:
        results, text = self._results, self.group.currentText()
        if results is None or not text:
            self.spectra.clear()
            return
        group, values = int(text), results.values
        self.spectra.draw(
            lambda figure, theme: draw_group_spectrum(
                figure,
                values["output"],
                values["fitted"],
                values["fit_table"],
                results.iteration.peaks.get(group),
                group,
                theme=theme,
            )
        )

    def _draw_groups(self) -> None:
        results, quantity = self._results, self._figure()
        if results is None:
            return
        spectra = results.values["output"]
        groups = {int(g): ids for g, ids in zip(spectra.number, spectra.detids, strict=True)}
        panels = panels_of_groups(results.geometry, groups)
        series = {results.iteration.name: results.iteration.metrics}
        self.groups.draw(
            lambda figure, theme: draw_group_figures(
                figure,
                series,
                quantity=quantity,
                panels=panels,
                theme=theme,
            )
        )

    def _figure(self) -> Quantity:
        return cast(Quantity, self.figure_of.currentText())

    def _hovered(self, event: object) -> None:
        picture, values = self.detectors.result, self.detector_values()
        if not isinstance(event, MouseEvent) or not isinstance(picture, DetectorPicture) or values is None:
            return
        index = None
        if event.inaxes is not None and event.xdata is not None and event.ydata is not None:
            index = picture.pixel_at(event.inaxes, event.xdata, event.ydata)
        self.hover.setText("" if index is None else self.pixel_text(index, values))

    def pixel_text(self, index: int, values: FloatArray) -> str:
        """What is known of a pixel, in one line."""
        if self._results is None:
            return ""
        geometry, reason = self._results.geometry, self._results.values["mask"].reason[index]
        module = geometry.layout.module[index] + 1 if geometry.layout is not None else 0
        text = f"pixel {geometry.detid[index]}, module {module}, 2θ {np.degrees(geometry.two_theta[index]):.2f}°: "
        return text + (f"{values[index]:.4g}" if reason == 0 else f"masked, {MaskReason(int(reason)).text}")

    def _clicked(self, event: object) -> None:
        if not isinstance(event, MouseEvent) or self._results is None or event.xdata is None or not event.dblclick:
            return
        group = int(self.group.currentText())
        peaks = self._results.iteration.peaks.get(group)
        if peaks is None or len(peaks) == 0:
            return
        inside = np.flatnonzero((peaks.window_min <= event.xdata) & (event.xdata <= peaks.window_max))
        if inside.size:
            h, k, l = (int(i) for i in peaks.hkl[inside[0]])  # noqa: E741 - Miller indices
            self.peak_clicked.emit(group, h, k, l)

    def _export(self) -> None:
        kinds = "Picture (*.png);;Figures of the groups (*.csv)"
        path, _ = QFileDialog.getSaveFileName(self, "Export", "figure.png", kinds)
        if path:
            self.export(Path(path))

    def export(self, path: Path) -> None:
        """Write the picture of the present tab (.png) or the figures of the groups (.csv)."""
        if path.suffix.lower() == ".csv" and self._results is not None:
            path.write_text(figures_as_csv(self._results), encoding="utf-8")
            return
        page = self.currentWidget()
        panes = [page] if isinstance(page, FigurePane) else page.findChildren(FigurePane) if page else []
        if panes:
            panes[0].figure.savefig(path.with_suffix(".png"), dpi=150)


def figures_as_csv(results: Results) -> str:
    """The figures of the groups, one line each; strain in ppm, angles in degrees."""
    metrics = results.iteration.metrics
    lines = ["group,two_theta_deg,peaks_used,strain_ppm,strain_std_ppm,sigma_over_d,chi2"]
    for i, group in enumerate(metrics.group):
        figures = (
            np.degrees(metrics.two_theta[i]),
            metrics.peaks_used[i],
            1e6 * metrics.strain[i],
            1e6 * metrics.strain_std[i],
            metrics.sigma[i],
            metrics.chi2[i],
        )
        lines.append(",".join([str(int(group)), *(f"{figure:.7g}" for figure in figures)]))
    return "\n".join(lines) + "\n"


def _offer(combo: QComboBox, items: list[str]) -> None:
    """Offer other items; what was chosen stays chosen where it is among them."""
    chosen = combo.currentText()
    combo.blockSignals(True)
    combo.clear()
    combo.addItems(items)
    combo.setCurrentIndex(max(combo.findText(chosen), 0))
    combo.blockSignals(False)


def peak_text(group: int, hkl: tuple[int, int, int]) -> str:
    """A peak in words."""
    return f"peak {hkl_text(hkl)} of group {group}"


def _with_bar(pane: FigurePane, *widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addLayout(row)
    layout.addWidget(pane, 1)
    return holder
