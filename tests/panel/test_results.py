"""The tabs of the results: what they draw and how, what the mouse does, and what they export."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMessageBox

from snapcal_workbench.panel.presenters.contract import Results
from snapcal_workbench.panel.presenters.pixel_quantities import CHANGE, REASON
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.report.theme import Theme
from tests.panel.driving import MOUSE_AND_KEYS, GuiBlocks, Open, log

SPECTRA, GROUPS, DETECTORS, CONVERGENCE, COMPARE = range(5)
SLOW = 1.0
"""Seconds that the slow figure takes."""


@pytest.fixture
def shown(qtbot, open_worked: Open) -> tuple[CalibrationWindow, Results]:
    """The panel with the first of three iterations shown."""
    window = open_worked()
    window.resize(1400, 900)  # without a screen there are 600 pixels, in which pictures have no room
    window.presenter.select(1)
    qtbot.waitUntil(lambda: window.results.spectra.group.count() == 6, timeout=20_000)
    results = window.results._results
    assert results is not None
    return window, results


def drawn(qtbot, pane: FigurePane, change: Callable[[], object]) -> None:
    """Do something, and wait for the new picture."""
    with qtbot.waitSignal(pane.drawn, timeout=20_000):
        change()


def show_tab(qtbot, window: CalibrationWindow, tab: int) -> FigurePane:
    """Go to a tab whose figure has not been looked at yet."""
    pane = window.results.panes[tab]
    drawn(qtbot, pane, lambda: window.results.setCurrentIndex(tab))
    return pane


def place(pane: FigurePane, axes: int, x: float, y: float) -> QPoint:
    """Where on the canvas a point of the data is."""
    across, up = pane.figure.axes[axes].transData.transform((x, y))
    return QPoint(round(across), round(pane.canvas.height() - up))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_slow_figure_does_not_hold_up_the_window(qtbot) -> None:
    pane = FigurePane("slow")
    qtbot.addWidget(pane)
    pane.resize(500, 400)
    pane.show()

    def draw(figure: Figure, theme: Theme) -> str:
        figure.clear()
        figure.subplots().plot([0.0, 1.0], [0.0, 1.0])
        time.sleep(SLOW)
        return "done"

    gaps = GuiBlocks(pane)
    drawn(qtbot, pane, lambda: pane.draw(draw))
    assert gaps.stop() < 0.5 * SLOW
    assert pane.result == "done"
    shown = pane.grab().toImage()
    colours = {shown.pixel(x, y) for x in range(0, 500, 5) for y in range(100, 400, 5)}
    assert len(colours) > 3


def test_clicks_while_a_figure_is_drawn_are_not_lost(qtbot) -> None:
    pane = FigurePane("slow")
    qtbot.addWidget(pane)
    pane.resize(500, 400)
    pane.show()
    clicks: list[float] = []
    pane.canvas.mpl_connect("button_press_event", lambda event: clicks.append(event.x))

    def draw(figure: Figure, theme: Theme) -> None:
        time.sleep(0.5)

    pane.draw(draw)
    qtbot.waitUntil(lambda: pane.canvas.drawing, timeout=5_000)
    MOUSE_AND_KEYS.mouseClick(pane.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(120, 50))
    assert clicks == []
    qtbot.waitUntil(lambda: clicks == [120], timeout=5_000)


def test_a_figure_that_cannot_be_drawn_says_so_and_the_next_one_is_drawn(qtbot) -> None:
    pane = FigurePane("broken")
    qtbot.addWidget(pane)
    pane.show()

    def fail(figure: Figure, theme: Theme) -> None:
        raise ValueError("no data")

    with qtbot.waitSignal(pane.canvas.failed, timeout=5_000):
        pane.draw(fail)
    assert pane._trouble.text() == "The picture could not be drawn: no data"
    drawn(qtbot, pane, lambda: pane.draw(lambda figure, theme: "fine"))
    assert pane.result == "fine"


def test_closing_while_a_figure_is_drawn_is_quiet(qtbot, capfd: pytest.CaptureFixture[str]) -> None:
    pane = FigurePane("slow")
    pane.show()
    pane.draw(lambda figure, theme: time.sleep(0.3))
    qtbot.waitUntil(lambda: pane.canvas.drawing, timeout=5_000)
    pane.close()
    pane.deleteLater()
    qtbot.wait(600)
    assert "Traceback" not in capfd.readouterr().err


def test_zoom_and_home(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    pane = show_tab(qtbot, shown[0], SPECTRA)
    axes = pane.figure.axes[0]
    before = axes.get_xlim()
    pane.toolbar.zoom()
    top = axes.get_ylim()[1]
    low, high = place(pane, 0, 1.0, 0.1 * top), place(pane, 0, 1.4, 0.9 * top)
    MOUSE_AND_KEYS.mousePress(pane.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, low)
    MOUSE_AND_KEYS.mouseMove(pane.canvas, QPoint(low.x() + 20, high.y()))
    MOUSE_AND_KEYS.mouseMove(pane.canvas, high)
    MOUSE_AND_KEYS.mouseRelease(pane.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, high)
    qtbot.waitUntil(lambda: axes.get_xlim() == pytest.approx((1.0, 1.4), rel=0.01), timeout=5_000)
    qtbot.waitUntil(lambda: not pane.busy, timeout=5_000)
    pane.toolbar.home()
    qtbot.waitUntil(lambda: axes.get_xlim() == pytest.approx(before), timeout=5_000)


def test_the_mouse_tells_all_of_a_pixel(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    window, results = shown
    pane = show_tab(qtbot, window, DETECTORS)
    view, layout = window.results.detectors, results.geometry.layout
    assert layout is not None
    index = 16 * 32 + 16  # the middle of a module
    MOUSE_AND_KEYS.mouseMove(pane.canvas, place(pane, 0, float(layout.x[index]), float(layout.y[index])))
    qtbot.waitUntil(lambda: view.hover.text() != "", timeout=5_000)
    text = view.hover.text()
    assert text.startswith(f"pixel {index}, module 1 (column 1, row 1), 2θ ")
    difc = results.values["table"].difc[index]
    assert f"DIFC {difc:.2f} µs/Å" in text
    assert f"{results.values['results'].events[index]:,.0f} events" in text
    assert "bins, ± " in text
    drawn(qtbot, pane, lambda: view.quantity.setCurrentText(REASON))
    MOUSE_AND_KEYS.mouseMove(pane.canvas, place(pane, 0, float(layout.x[index]), float(layout.y[index])) + QPoint(1, 0))
    qtbot.waitUntil(lambda: "module 1 " in view.hover.text(), timeout=5_000)


def test_the_change_of_difc_is_against_any_baseline(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    """Also against a saved version, which is read when it is chosen: here the same table, so that nothing changes."""
    window, results = shown
    window.presenter.save(1, author="tester", comments="to compare with", applies_to="")
    qtbot.waitUntil(lambda: "Saved as version 1" in log(window), timeout=30_000)
    window.presenter.select(1)
    reference = "lite/04bd2c53f6bf6754/1"
    view = window.results.detectors
    qtbot.waitUntil(lambda: view.baseline.findText(reference) >= 0, timeout=20_000)
    pane = show_tab(qtbot, window, DETECTORS)
    view.baseline.setCurrentText(reference)
    qtbot.waitUntil(lambda: np.array_equal(view.against.difc, results.values["table"].difc), timeout=20_000)
    assert view.pixels is not None
    change = view.pixels.of(CHANGE, view.against)
    assert change is not None
    assert np.nanmax(np.abs(change)) == 0.0
    drawn(qtbot, pane, lambda: view.baseline.setCurrentText("iteration 2"))
    other = view.pixels.of(CHANGE, view.against)
    assert other is not None
    assert np.nanmedian(np.abs(other)) > 10.0


def test_a_click_leaves_a_peak_out_and_takes_it_in_again(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    window, results = shown
    pane, view = show_tab(qtbot, window, SPECTRA), window.results.spectra
    group = int(view.group.currentText())
    fits = results.values["fit_table"]
    first = np.flatnonzero((fits.group == group) & fits.used)[0]
    hkl = tuple(int(i) for i in fits.hkl[first])
    spot = place(pane, 0, float(fits.d[first]), 0.5 * pane.figure.axes[0].get_ylim()[1])
    MOUSE_AND_KEYS.mouseMove(pane.canvas, spot)
    qtbot.waitUntil(lambda: view.hover.text().startswith("peak "), timeout=5_000)
    assert view.hover.text().endswith(", used")
    click = lambda: MOUSE_AND_KEYS.mouseClick(pane.canvas, Qt.MouseButton.LeftButton, pos=spot)  # noqa: E731
    drawn(qtbot, pane, click)
    assert window.presenter.request().excluded_peaks == ((group, hkl),)
    assert [p.get_gid() for p in pane.figure.axes[0].patches if "left out" in str(p.get_gid())]
    assert "is left out of the next calibration" in log(window)
    assert view.hover.text().endswith(", used; left out of the next calibration")
    drawn(qtbot, pane, click)
    assert view.hover.text().endswith(", used")
    assert window.presenter.request().excluded_peaks == ()
    assert not [p for p in pane.figure.axes[0].patches if "left out" in str(p.get_gid())]


def test_a_peak_that_was_left_out_says_why_at_its_tick(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    window, results = shown
    view, fits = window.results.spectra, results.values["fit_table"]
    at = int(np.flatnonzero(fits.group == 1)[2])
    why = ["the fit did not converge" if i == at else "" for i in range(len(fits.chi2))]
    rejected = replace(fits, used=np.arange(len(why)) != at, why_not=tuple(why))
    window.show_results(replace(results, values={**results.values, "fit_table": rejected}))
    pane = show_tab(qtbot, window, SPECTRA)
    MOUSE_AND_KEYS.mouseMove(pane.canvas, place(pane, 0, float(fits.d[at]), 0.98 * pane.figure.axes[0].get_ylim()[1]))
    qtbot.waitUntil(lambda: view.hover.text().startswith("peak "), timeout=5_000)
    assert view.hover.text().endswith(", rejected: the fit did not converge")


def test_purging_by_chi_squared(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    window, results = shown
    pane, view, chi2 = show_tab(qtbot, window, SPECTRA), window.results.spectra, results.values["fit_table"].chi2
    limit = float(np.median(chi2))
    view.limit.setValue(limit)
    drawn(qtbot, pane, view.purge.click)
    assert len(window.presenter.request().excluded_peaks) == np.count_nonzero(chi2 > view.limit.value()) > 10
    drawn(qtbot, pane, view.include_all.click)
    assert window.presenter.request().excluded_peaks == ()


def test_comparison_of_figures_spectra_and_difc(qtbot, shown: tuple[CalibrationWindow, Results]) -> None:
    window, _ = shown
    view = window.results.compare
    drawn(qtbot, view.pane, lambda: window.results.setCurrentIndex(COMPARE))
    drawn(qtbot, view.pane, lambda: window.presenter.compare(["1", "2", "3"]))
    assert view.comparison is not None
    assert [label.get_text() for label in view.pane.figure.legends[0].get_texts()][-3:] == [
        "iteration 1",
        "iteration 2",
        "iteration 3",
    ]
    drawn(qtbot, view.pane, lambda: view.axis.setCurrentText("2θ"))
    angles = np.degrees(view.comparison.entries[0].metrics.two_theta)  # type: ignore[union-attr]
    low, high = view.pane.figure.axes[0].get_xlim()
    assert low < angles.min() < angles.max() < high
    drawn(qtbot, view.pane, lambda: view.quantity.setCurrentText("focused spectra"))
    assert len(view.pane.figure.axes[0].lines) == 3
    assert view.group.isVisible()
    assert not view.axis.isVisible()
    drawn(qtbot, view.pane, lambda: view.quantity.setCurrentText("DIFC difference"))
    assert [axes.get_title(loc="left") for axes in view.pane.figure.axes[:2]] == ["East panel", "West panel"]


def test_everything_is_exported(qtbot, shown: tuple[CalibrationWindow, Results], tmp_path: Path) -> None:
    window, results = shown
    drawn(qtbot, window.results.compare.pane, lambda: window.results.setCurrentIndex(COMPARE))
    drawn(qtbot, window.results.compare.pane, lambda: window.presenter.compare(["1", "3"]))
    written: list[Path] = []
    for tab in range(window.results.count()):
        window.results.setCurrentIndex(tab)
        qtbot.waitUntil(lambda tab=tab: "Picture (PNG)" in window.results.offers(), timeout=20_000)
        qtbot.waitUntil(lambda tab=tab: not window.results.panes[tab].busy, timeout=20_000)
        for file, write in window.results.offers().values():
            written.append(tmp_path / f"{tab}_{file}")
            window.results.exported.emit(str(written[-1]), write)
    qtbot.waitUntil(lambda: all(path.is_file() for path in written) or "ERROR" in log(window), timeout=60_000)
    assert "ERROR" not in log(window)
    assert len([path for path in written if path.suffix == ".png"]) == 5
    pages = [path.read_text(encoding="utf-8") for path in written if path.suffix == ".html"]
    assert len(pages) == 5
    assert all("data:image/png;base64" in page for page in pages)
    assert all(imread(path).std() > 0.02 for path in written if path.suffix == ".png")
    pixels = rows(next(tmp_path.glob("?_pixels.csv")))
    assert np.allclose([float(row["difc"]) for row in pixels], results.values["table"].difc, rtol=1e-7)
    assert {row["mask"] for row in pixels} >= {"used"}
    fits = results.values["fit_table"]
    peaks = rows(next(tmp_path.glob("?_peaks.csv")))
    assert [(int(p["group"]), int(p["h"])) for p in peaks] == list(zip(fits.group, fits.hkl[:, 0], strict=True))
    spectrum = rows(next(tmp_path.glob("?_spectrum_group_1.csv")))
    assert sum(float(row["counts"]) for row in spectrum) == pytest.approx(results.values["output"].y[0].sum(), rel=1e-6)
    assert len(rows(next(tmp_path.glob("?_passes.csv")))) == len(results.iteration.passes)
    assert [row["group"] for row in rows(next(tmp_path.glob("?_groups.csv")))] == ["1", "2", "3", "4", "5", "6"]
    assert len(rows(next(tmp_path.glob("?_comparison.csv")))) == 12


def test_an_export_that_cannot_be_written_gives_one_clear_error(
    qtbot, shown: tuple[CalibrationWindow, Results], tmp_path: Path
) -> None:
    window, _ = shown
    show_tab(qtbot, window, GROUPS)
    _, write = window.results.offers()["Groups (CSV)"]
    window.results.exported.emit(str(tmp_path / "nowhere" / "groups.csv"), write)
    qtbot.waitUntil(lambda: "ERROR: Could not write an exported file" in log(window), timeout=10_000)
    assert any("nowhere" in box.text() for box in window.findChildren(QMessageBox))


def test_the_report_of_a_comparison(
    qtbot, shown: tuple[CalibrationWindow, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    window, _ = shown
    opened: list[str] = []
    monkeypatch.setattr(window, "show_report", opened.append)
    drawn(qtbot, window.results.compare.pane, lambda: window.results.setCurrentIndex(COMPARE))
    drawn(qtbot, window.results.compare.pane, lambda: window.presenter.compare(["1", "3"]))
    window.results.compare.report.click()
    qtbot.waitUntil(lambda: bool(opened), timeout=60_000)
    page = Path(opened[0]).read_text(encoding="utf-8")
    assert "iteration 1" in page
    assert "iteration 3" in page
