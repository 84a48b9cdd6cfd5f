"""Text of people and files is shown as it is by the panel: Qt takes none of it for a page, and obeys none of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QComboBox, QLabel, QTableWidget, QWidget

from snapcal_workbench.errors import InputError
from snapcal_workbench.facility.check import ModuleCheck, RunCheck
from snapcal_workbench.facility.history import Course, History, HistoryPoint, NamedChange
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.panel.dialogs.plot_window import Plot, PlotWindow
from snapcal_workbench.panel.widgets.questions import TextsDialog, ask, show_error
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.text import visible
from tests.facility.snapred_tree import state_at
from tests.hostile import HOSTILE, IN_A_PATH, MARKUP, RUN, unsafe


def as_qt_shows(text: str) -> str:
    """What a tooltip or a message shows of a text: a page where Qt takes it for one."""
    if "<" not in text:  # Qt looks for a tag
        return text
    page = QTextDocument()
    page.setHtml(text)
    return page.toPlainText()


def labels(window: QWidget) -> list[QLabel]:
    """All labels of ours, not those inside Qt's own widgets."""
    return [label for label in window.findChildren(QLabel) if not label.objectName().startswith("qt_")]


def tips(window: QWidget) -> Iterator[str]:
    """All tooltips, of widgets and of the items of tables and choices."""
    for widget in window.findChildren(QWidget):
        yield widget.toolTip()
        if isinstance(widget, QTableWidget):
            cells = ((row, column) for row in range(widget.rowCount()) for column in range(widget.columnCount()))
            yield from (item.toolTip() for cell in cells if (item := widget.item(*cell)) is not None)
        if isinstance(widget, QComboBox):
            yield from (widget.itemData(i, Qt.ItemDataRole.ToolTipRole) or "" for i in range(widget.count()))


@pytest.fixture
def window(qtbot, hostile: SimulatedTree, settings: None) -> CalibrationWindow:
    """The panel over a hostile tree, after its run was recognised."""
    found = CalibrationWindow(EmbeddedHost(hostile.settings))
    qtbot.addWidget(found)
    found.show()
    assert found.inputs_view.runs.text() == RUN  # that of the last iteration
    qtbot.waitUntil(lambda: found.versions.table.rowCount() > 1, timeout=20_000)
    return found


def test_every_label_and_tooltip_of_the_window_is_plain(window: CalibrationWindow) -> None:
    window.log("warning", HOSTILE)
    shown = [label.text() for label in labels(window)]
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in labels(window))
    assert all(not unsafe(text) for text in [*shown, *tips(window), window.messages.toPlainText()])
    assert any(MARKUP[:20] in text for text in shown)  # the run's title, cut in the middle
    assert any(MARKUP in as_qt_shows(tip) for tip in tips(window))  # and whole
    assert visible(HOSTILE) in window.messages.toPlainText()


def test_tables_show_comments_and_names_as_they_are(window: CalibrationWindow) -> None:
    comments = window.versions.table.item(0, 6)
    assert comments is not None
    assert comments.text() == visible(HOSTILE)
    assert as_qt_shows(comments.toolTip()) == visible(HOSTILE)
    name = window.iterations.table.item(0, 0)
    assert name is not None
    assert visible(HOSTILE) in name.text()
    assert any(MARKUP in as_qt_shows(tip) for tip in tips(window.inputs_view))  # of the versions to start from
    assert any(visible(IN_A_PATH) in as_qt_shows(tip) for tip in tips(window.inputs_view))  # of the run's files


def test_the_facility_tab_is_plain(qtbot, window: CalibrationWindow) -> None:
    window.pages.setCurrentWidget(window.facility)
    facility = window.facility
    qtbot.waitUntil(lambda: facility.table.rowCount() > 0, timeout=20_000)
    name = facility.table.item(0, 1)
    assert name is not None
    assert MARKUP in name.text()
    assert MARKUP in as_qt_shows(name.toolTip())
    facility.filter.setText(f"{HOSTILE}=1")
    facility.show_history(hostile_history())
    facility.history.changes.selectRow(0)
    facility.show_check(
        RunCheck(
            RUN,
            HOSTILE,
            HOSTILE,
            "peaks",
            HOSTILE,
            1.0,
            "holds",
            (ModuleCheck(HOSTILE, "holds", 1.0, 1.0),),
            (HOSTILE,),
            1.0,
        )
    )
    shown = [label.text() for label in labels(facility)]
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in labels(facility))
    assert sum(visible(HOSTILE) in text for text in shown) >= 2  # above the history, and above the check
    assert all(not unsafe(text) for text in [*shown, *tips(facility)])
    for table in (facility.history.versions, facility.history.changes, facility.check.modules):
        texts = [table.item(0, column) for column in range(table.columnCount())]
        assert any(item is not None and visible(HOSTILE) in item.text() for item in texts)
    for pane in (facility.history.pane, facility.check.pane):
        facility.tabs.setCurrentWidget(facility.history if pane is facility.history.pane else facility.check)
        qtbot.waitUntil(lambda pane=pane: not pane.busy and bool(pane.figure.axes), timeout=20_000)
        assert pane._trouble.text() == ""


def hostile_history() -> History:
    """A history whose names, runs and comments are hostile, with a jump."""
    geometry = state_at().geometry(SNAP.lite)
    points = tuple(HistoryPoint(n, HOSTILE, f"2025-01-0{n}T00:00:00", n, HOSTILE) for n in (1, 2))
    course = Course("module", HOSTILE, np.array([0.0, 1.0]), np.array([0.1, 0.1]))
    jump = NamedChange("module", HOSTILE, "jump", 0, 1, 1.0, 0.1, 1e-9)
    shifts = np.zeros((2, len(geometry)))
    return History("a", HOSTILE, "lite", points, (course,), (), (), (jump,), (HOSTILE,), shifts, geometry)


def test_boxes_and_dialogs_are_plain(qtbot, window: CalibrationWindow) -> None:
    show_error(window, InputError(HOSTILE, found=HOSTILE, fix=HOSTILE))
    ask(window, "t", HOSTILE, yes="y", no="n", then=lambda: None)
    for box in window.findChildren(type(ask(window, "t", "q", yes="y", no="n", then=lambda: None))):
        for text in filter(None, (box.text(), box.informativeText())):
            assert not unsafe(text)
            assert text == "q" or visible(HOSTILE) in as_qt_shows(text)
        box.close()
    for dialog in (
        TextsDialog(window, HOSTILE, HOSTILE, [("a", "b", "c")], lambda *_: None),
        PlotWindow(Plot(HOSTILE, lambda figure, theme: None), window),
    ):
        assert not unsafe(dialog.windowTitle())
        for label in labels(dialog):
            assert not unsafe(label.text())
        dialog.close()


def test_a_label_and_a_tooltip_show_any_text(qtbot) -> None:
    label = PlainLabel(HOSTILE)
    qtbot.addWidget(label)
    assert label.text() == visible(HOSTILE)
    assert as_qt_shows(unmarked(HOSTILE)) == visible(HOSTILE)
    assert unmarked("two\nlines & more") == "two\nlines & more"
