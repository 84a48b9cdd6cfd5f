"""What is done with an iteration of the table, the script of what ran, and what the panel remembers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from snapcal_workbench.panel.widgets.questions import TextsDialog
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import Open, log, text_of, titles_of


def click(qtbot, window: CalibrationWindow, number: int, button: str) -> None:
    """Select an iteration and do something with it, by a button below the table or by its menu."""
    window.iterations.table.clearSelection()
    window.iterations.table.select(number)
    doings = window.iterations.doings
    if button in doings.buttons:
        qtbot.mouseClick(doings.buttons[button], Qt.MouseButton.LeftButton)
    else:
        doings.actions[button].trigger()


def test_its_inputs_and_its_table_are_used_again(qtbot, open_worked: Open) -> None:
    window = open_worked()
    qtbot.waitUntil(lambda: window.run_bar.calibrate.text() == "&Iterate", timeout=20_000)
    window.inputs_view.runs.setText("58883")
    window.presenter.inputs_changed()
    qtbot.waitUntil(lambda: window.run_bar.calibrate.text() == "&Calibrate", timeout=20_000)
    click(qtbot, window, 3, "Use inputs")
    assert window.inputs["pixels.skip"] is True
    assert window.inputs["groups.model"] == "DIFC+TZERO"
    assert window.inputs["start_from"] == "default"
    click(qtbot, window, 1, "Use as start")
    assert window.inputs["start_from"] == "iteration 1"
    assert window.inputs["pixels.skip"] is False
    assert window.inputs["groups.model"] == "DIFC"


def test_what_is_selected_is_shown_with_its_verdict_and_its_change(
    qtbot, open_worked: Open, worked: SimulatedTree
) -> None:
    window = open_worked()
    shown = lambda: window.results._results.iteration.number if window.results._results else 0  # noqa: E731
    qtbot.waitUntil(lambda: shown() == 3, timeout=20_000)
    table = window.iterations.table
    table.clearSelection()
    table.select(1)
    qtbot.waitUntil(lambda: shown() == 1, timeout=20_000)
    verdict = window.presenter.session.iteration(1).account.verdict
    view = window.outcome.verdict
    assert view.word.text().startswith(f"Iteration 1 of run 58882: {verdict.word}.")
    assert all(reason in view.reasons.text() for reason in verdict.told[:2])
    assert window.results.currentWidget() is window.results.spectra
    assert window.run_bar.report.isEnabled()
    titles = titles_of(table)
    change = titles.index("Change (ppm)")
    qtbot.waitUntil(lambda: text_of(table, table.row_of(3), change) != "", timeout=20_000)
    before, after = (window.presenter.session.folders.calibration(number) for number in (2, 3))
    use = ~before.mask.masked & ~after.mask.masked & (after.grouping.group > 0)
    expected = 1e6 * np.median(np.abs(after.table.difc - before.table.difc)[use] / before.table.difc[use])
    assert abs(float(text_of(table, table.row_of(3), change)) / expected - 1) < 1e-3
    assert text_of(table, table.row_of(1), change) == ""
    assert text_of(table, table.row_of(1), titles.index("Verdict")) == verdict.word
    last = window.presenter.session.iteration(1).steps[-1].passes[-1].median_ppm
    assert abs(float(text_of(table, table.row_of(1), titles.index("Left (ppm)"))) / last - 1) < 1e-3


def test_an_empty_session_says_what_to_do_first(qtbot, open_window: Open) -> None:
    window = open_window()
    assert window.outcome.welcome.isVisible()
    assert not window.results.isVisible()
    assert not window.outcome.verdict.isVisible()
    assert not window.run_bar.report.isEnabled()


def test_a_name_of_its_own_is_shown_and_kept(qtbot, open_worked: Open) -> None:
    window = open_worked()
    click(qtbot, window, 3, "Rename")
    (dialog,) = [dialog for dialog in window.findChildren(TextsDialog) if dialog.isVisible()]
    dialog.lines[0].setText("without pixels")
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)
    table = window.iterations.table
    assert text_of(table, table.row_of(3), 0) == "without pixels"
    window.close()
    again = open_worked().iterations.table
    assert text_of(again, again.row_of(3), 0) == "without pixels"


@pytest.mark.one_binding
def test_the_copied_script_makes_the_iterations_again(qtbot, open_worked: Open, worked: SimulatedTree) -> None:
    window = open_worked()
    for number in (1, 2):  # the third is quick
        window.presenter.remove(number)
    qtbot.waitUntil(lambda: window.iterations.table.keys() == [3] and not window.busy, timeout=20_000)
    qtbot.mouseClick(window.run_bar.script, Qt.MouseButton.LeftButton)
    assert "clipboard" in log(window)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    session = window.presenter.session
    environment = {**os.environ, "SNAPCAL_CONFIG": str(worked.config_path)}
    subprocess.run([sys.executable, "-c", clipboard.text()], env=environment, check=True, timeout=120)
    (old, new) = session.folders.numbers()
    one, again = (session.folders.values(number)["table"].difc for number in (old, new))
    np.testing.assert_array_equal(one, again)


def test_the_layout_is_remembered(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.resize(1300, 760)
    qtbot.wait(50)
    window.pages.down.setSizes([300, 500])
    window.iterations.table.setColumnWidth(2, 123)
    window.iterations.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert window.workspaces is not None
    dock = window.workspaces.parentWidget()
    assert dock is not None
    dock.setVisible(False)
    qtbot.wait(50)
    sizes, order = window.pages.down.sizes(), window.iterations.table.keys()
    assert order == [3, 2, 1]
    window.close()

    again = open_worked()
    qtbot.wait(50)
    assert again.pages.down.sizes() == sizes
    assert again.iterations.table.columnWidth(2) == 123
    assert again.iterations.table.keys() == order
    assert again.workspaces is not None
    assert not again.workspaces.isVisible()


def test_the_last_calibration_with_its_left_out_peaks_outlives_a_window_that_was_not_closed(
    qtbot, open_worked: Open
) -> None:
    window, peak = open_worked(), (1, (1, 1, 1))
    window.remember(window.presenter.session.iteration(1).request.changed({"excluded_peaks": (peak,)}))
    assert open_worked().presenter.form.left_out == {peak}
    window.inputs_view.runs.setText("7000170001")
    window.close()
    assert open_worked().presenter.form.left_out == {peak}
