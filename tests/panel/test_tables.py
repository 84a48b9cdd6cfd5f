"""Tables, workspace list, cancelling and layout of the real window."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

import snapcal_workbench
from snapcal_workbench.calibration.types import DiffCalTable, PixelMask, Spectra
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.dialogs.dialogs import ApplyDialog
from snapcal_workbench.panel.views.iterations_view import IterationsView
from snapcal_workbench.panel.views.versions_view import VersionsView
from snapcal_workbench.panel.widgets.questions import TextsDialog
from snapcal_workbench.panel.widgets.table import Table
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.disk.owner import user_name
from tests.panel.driving import MOUSE_AND_KEYS, RUN, Open, item_of, log, text_of, titles_of

STATE = "04bd2c53f6bf6754"


def press(qtbot, window: CalibrationWindow, text: str) -> None:
    """Press a button of the one open message box."""
    box = open_box(window)
    (button,) = [button for button in box.buttons() if button.text() == text]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def open_box(window: CalibrationWindow) -> QMessageBox:
    """The one message box that is open."""
    (box,) = [box for box in window.findChildren(QMessageBox) if box.isVisible()]
    return box


def restored(qtbot, window: CalibrationWindow, number: int) -> None:
    """Put an iteration's workspaces into the list."""
    window.presenter.restore(number)
    name = f"diffract_consts_058882_{number:02d}"
    qtbot.waitUntil(lambda: name in window.workspaces_shown() and not window.busy, timeout=20_000)


@pytest.mark.parametrize("answer", ["&Clear workspaces", "&Keep workspaces"])
def test_a_new_calibration_offers_to_clear_the_workspaces_and_can_be_undone(
    qtbot, open_worked: Open, answer: str
) -> None:
    window = open_worked()
    restored(qtbot, window, 1)
    workspaces = window.presenter.session.host.workspaces
    workspaces.write("mine", workspaces.read("diffract_consts_058882_01", DiffCalTable))
    before, form = set(workspaces.names()), window.inputs_view
    form.options["groups.max_chi2"].widget.setText("many")
    inputs = window.inputs
    assert inputs["runs"] == (RUN,)
    assert not form.undo.isVisible()
    qtbot.mouseClick(form.new, Qt.MouseButton.LeftButton)
    assert window.inputs["runs"] == ()
    assert set(workspaces.names()) == before  # nothing without an answer
    assert f"{len(before) - 1} workspaces" in open_box(window).text()
    press(qtbot, window, answer)
    if answer == "&Clear workspaces":
        qtbot.waitUntil(lambda: window.workspaces_shown() == ["mine"], timeout=10_000)
    else:
        qtbot.wait(200)
        assert set(workspaces.names()) == before
    assert window.iterations.table.rowCount() == 3
    qtbot.mouseClick(form.undo, Qt.MouseButton.LeftButton)
    assert window.inputs == inputs  # also what did not fit
    assert not form.undo.isVisible()


def test_cancel_ends_what_runs_and_does_nothing_else(qtbot, open_worked: Open) -> None:
    window = open_worked()
    inputs = window.inputs
    assert not window.run_bar.cancel.isEnabled()
    window.presenter.cancel()
    assert window.inputs == inputs
    assert "Cancelled" not in log(window)
    qtbot.mouseClick(window.inputs_view.new, Qt.MouseButton.LeftButton)
    assert not window.findChildren(QMessageBox)  # there are no workspaces to clear


def cell(table: Table, key: object, title: str) -> str:
    """Text of a cell by the key of its row and the title of its column."""
    titles = titles_of(table)
    return text_of(table, table.row_of(key), titles.index(title))


def saved_twice(tree: SimulatedTree) -> None:
    """Save the first and the third iteration; both apply to the run, so the second hides the first."""
    session = Session(EmbeddedHost(tree.settings))
    session.save(1, author="somebody", comments="the first")
    session.save(3, author="tester", comments="the better")
    session.close()


def versions_shown(qtbot, window: CalibrationWindow, count: int) -> Table:
    """The table of versions once it has that many rows."""
    table = window.versions.table
    qtbot.waitUntil(lambda: table.rowCount() == count, timeout=20_000)
    return table


def answer(qtbot, window: CalibrationWindow, *texts: str) -> None:
    """Fill in the open dialog and agree."""
    (dialog,) = [dialog for dialog in window.findChildren(TextsDialog) if dialog.isVisible()]
    for line, text in zip(dialog.lines, texts, strict=True):
        line.setText(text)
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)


def click(qtbot, view: IterationsView | VersionsView, key: object, button: str) -> None:
    """Select a row and press a button below the table."""
    view.table.select(key)
    buttons = view.doings.buttons if isinstance(view, IterationsView) else view.buttons
    if button in buttons:
        qtbot.mouseClick(buttons[button], Qt.MouseButton.LeftButton)
    else:
        view.doings.actions[button].trigger()


def test_versions_are_listed_retired_and_brought_back(qtbot, open_worked: Open, worked: SimulatedTree) -> None:
    saved_twice(worked)
    window = open_worked()
    window.pages.tables.setCurrentWidget(window.versions)
    table = versions_shown(qtbot, window, 3)
    default, first, second = (f"lite/{STATE}/{version}" for version in (0, 1, 2))
    assert cell(table, second, "Standing") == "used for this run"
    assert cell(table, first, "Standing") == "hidden by version 2"
    assert cell(table, first, "Author") == "somebody"
    assert cell(table, first, "Comments") == "the first"
    assert cell(table, first, "Applies to") == ">=58882"
    assert cell(table, first, "Run") == RUN
    assert cell(table, first, "Software") == f"SNAPCal Workbench {snapcal_workbench.__version__}"
    assert cell(table, first, "Saved")[:4] >= "2024"
    table.select(default)
    assert not window.versions.buttons["Retire"].isEnabled()

    click(qtbot, window.versions, second, "Retire")
    answer(qtbot, window, "wrong calibrant", "tester")
    qtbot.waitUntil(lambda: cell(table, second, "Standing") == "retired: wrong calibrant", timeout=20_000)
    assert cell(table, first, "Standing") == "used for this run"
    click(qtbot, window.versions, second, "Undo retirement")
    answer(qtbot, window, "it was right", "tester")
    qtbot.waitUntil(lambda: cell(table, second, "Standing") == "used for this run", timeout=20_000)

    click(qtbot, window.versions, second, "Load")
    qtbot.waitUntil(lambda: "diffract_consts_058882_v0002" in window.workspaces_shown(), timeout=20_000)
    click(qtbot, window.versions, second, "Load")
    qtbot.waitUntil(lambda: len(re.findall(r"Version \S+ was loaded\.", log(window))) == 2, timeout=20_000)
    assert "by hand" not in log(window)
    table.clearSelection()
    table.selectAll()
    qtbot.mouseClick(window.versions.buttons["Compare"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.results.compare.comparison is not None, timeout=20_000)


def test_iterations_and_versions_are_compared_with_each_other(qtbot, open_worked: Open, worked: SimulatedTree) -> None:
    saved_twice(worked)
    window = open_worked()
    versions_shown(qtbot, window, 3)
    window.iterations.table.clearSelection()
    window.iterations.table.select(2)
    window.pages.tables.setCurrentWidget(window.versions)
    click(qtbot, window.versions, f"lite/{STATE}/1", "Compare")
    qtbot.waitUntil(lambda: window.results.compare.comparison is not None, timeout=20_000)
    comparison = window.results.compare.comparison
    assert comparison is not None
    assert [entry.label for entry in comparison.entries] == ["iteration 2", f"version lite/{STATE}/1"]


def damage_record(folder: Path) -> None:
    (folder / "CalibrationRecord.json").write_text("{")


def remove_record(folder: Path) -> None:
    (folder / "CalibrationRecord.json").unlink()


def shorten_table(folder: Path) -> None:
    table = next(folder.glob("diffract_consts_*.h5"))
    table.write_bytes(table.read_bytes()[:3000])


def remove_files(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "CalibrationRecord.json":
            path.unlink() if path.is_file() else shutil.rmtree(path)


@pytest.mark.parametrize("damage", [damage_record, remove_record, shorten_table, remove_files])
def test_a_damaged_version_says_so_in_its_row(
    qtbot, open_worked: Open, worked: SimulatedTree, damage: Callable[[Path], None]
) -> None:
    saved_twice(worked)
    damage(worked.settings.powder_home / STATE / "diffraction" / "v_0001")
    window = open_worked()
    table = versions_shown(qtbot, window, 3)
    reference = f"lite/{STATE}/1"
    has_copy = damage in (damage_record, remove_record)
    if has_copy:
        assert "CalibrationRecord.json" in cell(table, reference, "Health")
    window.presenter.check_versions()
    qtbot.waitUntil(lambda: cell(table, f"lite/{STATE}/2", "Health") == "good", timeout=20_000)
    assert cell(table, reference, "Health") not in ("good", "not checked", "")
    click(qtbot, window.versions, reference, "Load")
    told = "what was saved is read from record_as_saved.json" if has_copy else "ERROR"
    qtbot.waitUntil(lambda: told in log(window), timeout=20_000)


@pytest.mark.parametrize("reference", ["2", f"lite/{STATE}/1"])
def test_a_run_that_is_not_in_the_list_is_loaded_and_focused(
    qtbot, open_worked: Open, worked: SimulatedTree, reference: str
) -> None:
    if "/" in reference:
        saved_twice(worked)
    window = open_worked()
    apply_to(qtbot, window, reference, RUN)
    names = ["focused_058882"]
    qtbot.waitUntil(lambda: set(names) <= set(window.workspaces_shown()), timeout=60_000)
    workspaces = window.presenter.session.host.workspaces
    spectra = workspaces.read("focused_058882", Spectra)
    if reference == "2":
        np.testing.assert_allclose(spectra.y, window.presenter.session.folders.values(2)["output"].y)
    assert spectra.unit == "dSpacing"

    workspaces.write("tof_all_lite_raw_058882_focused", spectra)  # somebody else's
    apply_to(qtbot, window, reference, "tof_all_lite_raw_058882")
    qtbot.waitUntil(lambda: "in 'tof_all_lite_raw_058882_focused_2'" in log(window), timeout=60_000)
    assert workspaces.read("tof_all_lite_raw_058882_focused", Spectra) is spectra


def apply_to(qtbot, window: CalibrationWindow, reference: str, target: str) -> None:
    """Select a version or an iteration, press Apply, and name the run."""
    is_version = "/" in reference
    view = window.versions if is_version else window.iterations
    key = reference if is_version else int(reference)
    qtbot.waitUntil(lambda: key in view.table.keys(), timeout=20_000)  # noqa: SIM118 - a table
    window.pages.tables.setCurrentWidget(view)
    click(qtbot, view, key, "Apply")
    (dialog,) = [dialog for dialog in window.findChildren(ApplyDialog) if dialog.isVisible()]
    dialog.run.setEditText(target)
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)


def test_a_run_that_cannot_be_found_is_told(qtbot, open_worked: Open) -> None:
    window = open_worked()
    apply_to(qtbot, window, "1", "99999")
    qtbot.waitUntil(lambda: bool(window.findChildren(QMessageBox)), timeout=20_000)
    assert "99999" in open_box(window).text()


def test_iterations_say_what_was_done_to_their_workspaces_by_hand(qtbot, open_worked: Open) -> None:
    window = open_worked()
    table = window.iterations.table
    assert cell(table, 1, "Workspaces") == "not in the list"
    restored(qtbot, window, 1)
    restored(qtbot, window, 3)
    qtbot.waitUntil(lambda: cell(table, 1, "Workspaces") == "all there", timeout=1_000)
    workspaces = window.presenter.session.host.workspaces
    mine = PixelMask.none(np.arange(3, dtype=np.int32))
    workspaces.delete("offsets_058882_01")
    workspaces.delete("mask_reason_058882_01")
    workspaces.rename("dsp_column_058882_01", "focused")
    workspaces.write("diffract_consts_mask_058882_01", mine)
    expected = "of 10, 2 deleted and 1 overwritten and 1 renamed by hand"
    qtbot.waitUntil(lambda: cell(table, 1, "Workspaces") == expected, timeout=1_000)
    tip = item_of(table, table.row_of(1), table.columnCount() - 1).toolTip()
    assert "offsets_058882_01 was deleted" in tip
    assert "dsp_column_058882_01 is now called focused" in tip
    assert "diffract_consts_mask_058882_01 was overwritten" in tip
    assert cell(table, 3, "Workspaces") == "all there"
    assert "'offsets_058882_01' was deleted by hand" in log(window)

    click(qtbot, window.iterations, 1, "Delete")
    press(qtbot, window, "&Delete")
    qtbot.waitUntil(lambda: table.keys() == [2, 3], timeout=10_000)
    assert workspaces.read("diffract_consts_mask_058882_01", PixelMask) is mine
    assert "focused" not in workspaces.names()
    assert cell(table, 3, "Workspaces") == "all there"


@pytest.mark.one_binding
def test_a_calibration_leaves_workspaces_of_others_alone(worked: SimulatedTree) -> None:
    """Somebody has workspaces whose names the session would take."""
    host = EmbeddedHost(worked.settings)
    session = Session(host)
    mine = PixelMask.none(np.arange(3, dtype=np.int32))
    names = ("diffract_consts_058882", "dsp_column_058882", "grouping_column_lite_058882", "mask_reason_058882")
    for name in (*names, "diffract_consts_start_058882"):
        host.workspaces.write(name, mine)
    session.iterate({"pixels.skip": True}, Progress(), report=False)
    assert session.standing(4).text == "all there"
    host.workspaces.write("diffract_consts_mask_058882", mine)
    session.iterate({}, Progress(), report=False)
    session.clear_workspaces()
    assert host.workspaces.names() == sorted((*names, "diffract_consts_mask_058882", "diffract_consts_start_058882"))
    assert all(host.workspaces.read(name, PixelMask) is mine for name in host.workspaces.names())


def test_iterations_sort_by_value_and_nothing_is_cut_off(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.resize(1360, 820)
    table = window.iterations.table
    titles = titles_of(table)
    assert titles == [
        "Iteration", "Time", "Different inputs", "Verdict", "Left (ppm)", "Change (ppm)",
        "Strain (ppm)", "σ/d (ppm)", "χ²", "Peaks", "Masked", "Stopped", "Passes", "Workspaces",
    ]  # fmt: skip
    headers = [table.horizontalHeaderItem(column) for column in range(table.columnCount())]
    assert all(header is not None and header.toolTip() for header in headers)
    for column in range(table.columnCount()):
        for row in range(table.rowCount()):
            item = item_of(table, row, column)
            needed = table.fontMetrics().horizontalAdvance(item.text())
            assert needed + 4 <= table.columnWidth(column), titles[column]
            assert item.toolTip() == item.text() or titles[column] in (
                "Time",
                "Workspaces",
                "Different inputs",
                "Verdict",
            )
    values = {n: window.presenter.session.iteration(n) for n in (1, 2, 3)}
    for title, figure in (
        ("Strain (ppm)", lambda it: np.nanmedian(it.metrics.strain_std)),
        ("χ²", lambda it: np.nanmedian(it.metrics.chi2)),
        ("Passes", lambda it: len(it.passes)),
    ):
        table.sortByColumn(titles.index(title), Qt.SortOrder.DescendingOrder)
        figures = [figure(values[key]) for key in table.keys()]  # noqa: SIM118 - a table
        assert figures == sorted(figures, reverse=True)


def test_numbers_sort_as_numbers(qtbot) -> None:
    table = Table((("Name", "Of it"), ("Value", "In ppm")), "Test")
    qtbot.addWidget(table)
    values = {"a": 9.0, "b": 10.0, "c": float("nan"), "d": 1e-5, "e": 123456.0, "f": -3.0}
    table.fill([(key, (key, value)) for key, value in values.items()])
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert table.keys() == ["c", "f", "d", "a", "b", "e"]


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_a_row_is_opened_by_return_or_a_double_click(qtbot, key: Qt.Key) -> None:
    """One row alone: of several nobody could say which is meant."""
    table = Table((("Name", "Of it"),), "Test")
    opened: list[object] = []
    qtbot.addWidget(table)
    table.show()
    table.fill([(name, (name,)) for name in "ab"])
    table.opened.connect(opened.append)
    table.select("b")
    MOUSE_AND_KEYS.keyClick(table, key)
    assert opened == ["b"]
    viewport, where = table.viewport(), table.visualItemRect(item_of(table, 0, 0)).center()
    MOUSE_AND_KEYS.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=where)
    MOUSE_AND_KEYS.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=where)
    assert opened == ["b", "a"]
    table.selectAll()
    MOUSE_AND_KEYS.keyClick(table, key)
    assert opened == ["b", "a"]


def test_a_question_says_which_answer_it_lacks(qtbot, open_window: Open) -> None:
    window = open_window()
    dialog = TextsDialog(window, "Retire", "Why?", [("&Reason", "", ""), ("&Author", "", "me")], lambda *_: None)
    qtbot.addWidget(dialog)
    assert dialog.agree is not None
    assert (dialog.lacking.text(), dialog.agree.isEnabled()) == ("Still missing: reason.", False)
    dialog.lines[0].setText("moved")
    assert (dialog.lacking.text(), dialog.agree.isEnabled()) == ("", True)
    assert window.author == user_name(), "at first who is logged in"
