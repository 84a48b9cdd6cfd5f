"""The panel for those who use the keyboard, a screen reader, or a screen of high resolution."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QTabBar, QWidget

from snapcal_workbench.panel.dialogs.dialogs import ApplyDialog
from snapcal_workbench.panel.dialogs.save_dialog import SaveDialog
from snapcal_workbench.panel.window import CalibrationWindow
from tests.panel.driving import MOUSE_AND_KEYS, Open
from tests.panel.screenshots import dark_palette


def reached_by_tab(qtbot, window: QWidget, first: QWidget) -> list[QWidget]:
    """What the tab key visits, beginning with `first`."""
    window.activateWindow()
    first.setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is first, timeout=5_000)
    found = [first]
    for _ in range(300):
        now = QApplication.focusWidget()
        assert now is not None
        MOUSE_AND_KEYS.keyClick(now, Qt.Key.Key_Tab)
        now = QApplication.focusWidget()
        if now is None or now in found:
            return found
        found.append(now)
    raise AssertionError("the tab key never comes back to where it began")


def named(widget: QWidget) -> str:
    """What a screen reader says of a widget."""
    text = widget.accessibleName()
    return text or (widget.text().replace("&", "") if isinstance(widget, QAbstractButton) else "")


def test_the_tab_key_goes_down_the_form_and_through_the_window(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.inputs_view.more.setChecked(True)
    qtbot.waitExposed(window)
    qtbot.waitUntil(window.results.isVisible, timeout=20_000)
    form = window.inputs_view
    visited = reached_by_tab(qtbot, window, form.new)
    in_form = [widget for widget in visited if form.isAncestorOf(widget)]
    tops = [widget.mapTo(form, QPoint(0, 0)) for widget in in_form]
    assert len(in_form) > 30
    assert [p.y() // 12 for p in tops] == sorted(p.y() // 12 for p in tops)
    assert visited[: len(in_form)] == in_form
    for widget in (
        window.run_bar.calibrate,
        window.iterations.table,
        window.results.export_button,
    ):
        assert widget in visited


def unnamed(widgets: Sequence[QWidget]) -> list[str]:
    """Those that a screen reader cannot name, or that have no tooltip."""
    found = []
    for widget in widgets:
        inner = widget.objectName().startswith("qt_") and not isinstance(widget, QTabBar)
        owner = widget.parentWidget() if inner else widget
        assert owner is not None
        tips = (
            [widget.tabToolTip(i) for i in range(widget.count())] if isinstance(widget, QTabBar) else [owner.toolTip()]
        )
        if not (named(owner) or isinstance(widget, QTabBar)) or not all(tips):
            found.append(f"{type(owner).__name__} '{named(owner)}' {widget.objectName()}")
    return found


def test_everything_that_takes_the_keyboard_has_a_name_and_a_tooltip(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.inputs_view.more.setChecked(True)
    for tab in range(window.results.count()):
        window.results.setCurrentIndex(tab)
        window.pages.tables.setCurrentIndex(min(tab, window.pages.tables.count() - 1))
        assert unnamed(reached_by_tab(qtbot, window, window.inputs_view.runs)) == []


def test_the_facility_tab_is_reached_and_left_by_keys_and_everything_in_it_has_a_name(
    qtbot, open_facility: Open
) -> None:
    window = open_facility()
    window.activateWindow()
    window.inputs_view.runs.setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is window.inputs_view.runs, timeout=5_000)
    qtbot.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    facility = window.facility
    qtbot.waitUntil(lambda: facility.table.rowCount() == 3, timeout=20_000)
    facility.table.selectRow(0)
    for tab, expected in ((0, facility.history.changes), (1, facility.check.tolerance)):
        facility.tabs.setCurrentIndex(tab)
        visited = reached_by_tab(qtbot, window, facility.refresh)
        assert unnamed(visited) == []
        assert {facility.table, facility.filter, facility.export_button, expected, window.run_bar.help} <= set(visited)
    qtbot.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window.pages.currentIndex() == 0


def test_so_it_is_in_the_dialogs(qtbot, open_worked: Open) -> None:
    window = open_worked()
    save = SaveDialog(window.presenter, [1, 2], 1, "tester", window)
    apply = ApplyDialog(window, "1", ["a"], lambda _: None)
    for dialog, first in ((save, save.iteration), (apply, apply.run)):
        dialog.show()
        assert len(visited := reached_by_tab(qtbot, dialog, first)) > 2
        assert unnamed(visited) == []
        dialog.close()


def test_no_two_fields_or_buttons_that_are_seen_together_share_a_letter(qtbot, open_worked: Open) -> None:
    window = open_worked()
    for page, tabs in ((window.pages.across, window.pages.tables), (window.facility, window.facility.tabs)):
        window.pages.setCurrentWidget(page)
        for tab in range(tabs.count()):
            tabs.setCurrentIndex(tab)
            letters: dict[str, str] = {}
            for text in lettered(window):
                letter = text[text.index("&") + 1].lower()
                assert letter not in letters, f"{text} and {letters.get(letter)}"
                letters[letter] = text
            assert len(letters) > 5


def lettered(window: QWidget) -> Iterator[str]:
    """Texts with a letter for the keyboard that are seen now."""
    for widget in window.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if isinstance(widget, QTabBar):
            texts = [widget.tabText(tab) for tab in range(widget.count())]
        else:
            texts = [widget.text()] if isinstance(widget, QAbstractButton | QLabel) else []
        yield from (text for text in texts if "&" in text)


@pytest.mark.one_binding
@pytest.mark.parametrize("factor", [1, 2])
def test_a_screen_of_high_resolution_gets_figures_of_high_resolution(factor: int) -> None:
    """In a process of its own, since the scale is read when the application begins."""
    environment = {**os.environ, "QT_SCALE_FACTOR": str(factor)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.panel.high_resolution"],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    width, height, picture_width, picture_height, pressed = map(float, run.stdout.split())
    assert (picture_width, picture_height) == (factor * width, factor * height)
    assert pressed == factor * 120


@pytest.fixture
def usual_font(qapp: QApplication) -> Iterator[None]:
    """The size of text that desktops begin with, whatever the platform's default is."""
    before = QApplication.font()
    QApplication.setFont(QFont(before.family(), 9))
    yield
    QApplication.setFont(before)


def test_the_window_fits_a_small_screen(qtbot, usual_font: None, open_worked: Open) -> None:
    window: CalibrationWindow = open_worked()
    smallest = window.minimumSizeHint()
    assert smallest.width() <= 1280
    assert smallest.height() <= 720


@pytest.fixture
def dark(qapp: QApplication) -> Iterator[None]:
    """A dark theme that says nothing of disabled text."""
    before = qapp.palette()
    qapp.setPalette(dark_palette())
    yield
    qapp.setPalette(before)


def brightest(button: QAbstractButton) -> int:
    """The lightness of the text of a button on a dark ground."""
    image = button.grab().toImage()
    margin = 5  # the frame is not the text
    across, down = range(margin, image.width() - margin), range(margin, image.height() - margin)
    return max(image.pixelColor(x, y).lightness() for x in across for y in down)


def test_a_disabled_button_is_told_from_others_in_a_dark_theme(qtbot, dark: None, open_window: Open) -> None:
    window = open_window()
    enabled, disabled = window.run_bar.script, window.run_bar.cancel
    assert enabled.isEnabled()
    assert not disabled.isEnabled()
    assert brightest(disabled) < 0.75 * brightest(enabled)
    assert brightest(disabled) > 1.5 * window.palette().window().color().lightness()  # it can still be read
