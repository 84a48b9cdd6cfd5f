"""The workspace list beside the panel: what it shows, plots, renames and deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from snapcal_workbench.calibration.types import DiffCalTable, Events, FitTable, Spectra
from snapcal_workbench.instrument.identifying import run_request
from snapcal_workbench.panel.dialogs.plot_window import PlotWindow
from snapcal_workbench.panel.views.workspace_tree import WorkspaceTree
from snapcal_workbench.panel.widgets.questions import TextsDialog
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import WorkspaceList
from tests.panel.driving import MOUSE_AND_KEYS, Open, log

TABLE, FOCUSED = "diffract_consts_058882_01", "dsp_column_058882_01"


@pytest.fixture
def restored(qtbot, open_worked: Open) -> CalibrationWindow:
    """The panel, with the workspaces of its first iteration in the list."""
    window = open_worked()
    window.presenter.restore(1)
    qtbot.waitUntil(lambda: TABLE in window.workspaces_shown() and not window.busy, timeout=20_000)
    return window


def parts(window: CalibrationWindow) -> tuple[WorkspaceTree, WorkspaceList]:
    """The tree, and the list that it shows."""
    tree = window.workspaces
    assert tree is not None
    return tree, window.presenter.session.host.workspaces


def select(qtbot, tree: WorkspaceTree, *names: str) -> None:
    """Select rows by their names, and give them the keyboard."""
    tree.activateWindow()
    tree.setFocus()
    qtbot.waitUntil(tree.hasFocus, timeout=5_000)
    tree.clearSelection()
    for name in names:
        anywhere: Any = Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive
        (item,) = tree.findItems(name, anywhere)
        item.setSelected(True)
    assert sorted(tree.selected_names()) == sorted(names)


def plotted(qtbot, window: CalibrationWindow, *names: str) -> list[PlotWindow]:
    """The windows that the plot key opens, once they are drawn."""
    tree, _ = parts(window)
    before = window.findChildren(PlotWindow)
    select(qtbot, tree, *names)
    MOUSE_AND_KEYS.keyClick(tree, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    new = lambda: [w for w in window.findChildren(PlotWindow) if w not in before]  # noqa: E731
    qtbot.waitUntil(lambda: bool(new()) or "ERROR" in log(window), timeout=20_000)
    assert "ERROR" not in log(window)
    qtbot.waitUntil(lambda: all(w.pane.figure.axes and not w.pane.busy for w in new()), timeout=20_000)
    return new()


def test_spectra_are_plotted_as_they_are(qtbot, restored: CalibrationWindow) -> None:
    (shown,) = plotted(qtbot, restored, FOCUSED)
    spectra = parts(restored)[1].read(FOCUSED, Spectra)
    lines = shown.pane.figure.axes[0].lines
    assert len(lines) == 6
    assert all(np.array_equal(line.get_ydata(), y) for line, y in zip(lines, spectra.y, strict=True))
    assert shown.pane.figure.axes[0].get_xlabel() == "d-spacing (Å)"
    assert shown.windowTitle() == FOCUSED


def test_a_run_is_plotted_as_the_sum_of_its_pixels(qtbot, restored: CalibrationWindow) -> None:
    window = restored
    iteration = window.presenter.session.iteration(1)
    host = window.presenter.session.host
    host.load_run(host.resolve(run_request(iteration.request, host.settings)), "run", Progress())
    (name,) = window.presenter.workspaces_of_kind("Events")
    qtbot.waitUntil(lambda: name in window.workspaces_shown(), timeout=20_000)
    (shown,) = plotted(qtbot, window, name)
    events = parts(window)[1].read(name, Events)
    (line,) = shown.pane.figure.axes[0].lines
    assert np.sum(np.asarray(line.get_ydata())) == pytest.approx(len(events.tof), rel=1e-3)
    assert iteration.lite


def test_pixels_are_plotted_on_the_detector_panels(qtbot, restored: CalibrationWindow) -> None:
    (shown,) = plotted(qtbot, restored, TABLE)
    axes = shown.pane.figure.axes
    assert [each.get_title(loc="left") for each in axes[:2]] == ["East panel", "West panel"]
    difc = parts(restored)[1].read(TABLE, DiffCalTable).difc
    picture = np.ma.concatenate([np.ma.asarray(each.images[0].get_array()).ravel() for each in axes[:2]]).compressed()
    assert np.allclose(np.sort(picture), np.sort(difc.astype(np.float32)))


def test_a_group_is_plotted_by_its_members(qtbot, restored: CalibrationWindow) -> None:
    _, workspaces = parts(restored)
    (group,) = [name for name in workspaces.names() if workspaces.kind(name) == "Group"]
    windows = plotted(qtbot, restored, group)
    kinds = {workspaces.kind(window.windowTitle()) for window in windows}
    assert kinds == {"Spectra", "FitTable"}
    members = workspaces.read(group, tuple)
    fits = next(workspaces.read(name, FitTable) for name in members if workspaces.kind(name) == "FitTable")
    strains = next(w for w in windows if workspaces.kind(w.windowTitle()) == "FitTable")
    bars: list[Any] = list(strains.pane.figure.axes[0].containers)
    points = sum(len(bar.lines[0].get_xdata()) for bar in bars)
    assert points == np.count_nonzero(fits.used) > 0


def test_several_workspaces_of_one_kind_lie_over_each_other(qtbot, restored: CalibrationWindow) -> None:
    _, workspaces = parts(restored)
    workspaces.write("mine", workspaces.read(FOCUSED, Spectra))
    qtbot.waitUntil(lambda: "mine" in restored.workspaces_shown(), timeout=5_000)
    (shown,) = plotted(qtbot, restored, FOCUSED, "mine")
    assert len(shown.pane.figure.axes[0].lines) == 12
    labels = [text.get_text() for text in shown.pane.figure.legends[0].get_texts()]
    assert labels[0] == f"{FOCUSED}: group 1"


def test_a_plot_is_exported(
    qtbot, restored: CalibrationWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = plotted(qtbot, restored, FOCUSED)
    path = tmp_path / "spectra.png"
    monkeypatch.setattr(
        "snapcal_workbench.panel.dialogs.plot_window.QFileDialog.getSaveFileName", lambda *_: (str(path), "")
    )
    qtbot.mouseClick(shown.export, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(path.is_file, timeout=20_000)
    assert imread(path).std() > 0.02


def test_without_anything_to_plot_it_says_so(qtbot, restored: CalibrationWindow) -> None:
    restored.presenter.plot(["no_such"])
    qtbot.waitUntil(lambda: "ERROR" in log(restored), timeout=10_000)
    assert any("no_such" in box.text() + box.informativeText() for box in restored.findChildren(QMessageBox))


def test_keys_rename_and_delete_and_what_is_open_stays_open(qtbot, restored: CalibrationWindow) -> None:
    tree, workspaces = parts(restored)
    (group,) = [name for name in workspaces.names() if workspaces.kind(name) == "Group"]
    tree.findItems(group, Qt.MatchFlag.MatchExactly)[0].setExpanded(True)
    select(qtbot, tree, FOCUSED)
    MOUSE_AND_KEYS.keyClick(tree, Qt.Key.Key_F2)
    (dialog,) = restored.findChildren(TextsDialog)
    assert dialog.lines[0].text() == FOCUSED
    dialog.lines[0].setText("focused")
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "focused" in restored.workspaces_shown(), timeout=5_000)
    assert FOCUSED not in restored.workspaces_shown()
    assert tree.findItems(group, Qt.MatchFlag.MatchExactly)[0].isExpanded()
    select(qtbot, tree, TABLE, "focused")
    MOUSE_AND_KEYS.keyClick(tree, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not {TABLE, "focused"} & set(restored.workspaces_shown()), timeout=5_000)
    assert group in restored.workspaces_shown()


def test_a_name_that_exists_is_refused(qtbot, restored: CalibrationWindow) -> None:
    tree, workspaces = parts(restored)
    select(qtbot, tree, FOCUSED)
    tree.ask_name()
    (dialog,) = restored.findChildren(TextsDialog)
    dialog.lines[0].setText(TABLE)
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)
    assert any(TABLE in box.text() + box.informativeText() for box in restored.findChildren(QMessageBox))
    assert {FOCUSED, TABLE} <= set(workspaces.names())
