"""The entry comes into Workbench's menu, stays there, and opens the panel."""

from __future__ import annotations

import sys
import threading

import pytest
from qtpy.QtGui import QAction

pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtWidgets")

from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu, QMessageBox

from snapcal_workbench.manifest import InterfaceEntry
from snapcal_workbench.panel import menu as menu_module
from snapcal_workbench.panel.menu import MenuEntry, add_to_workbench, explain

ENTRY = InterfaceEntry(title="SNAP Calibration", category="Diffraction", object="a:b", window_class="W")


def add(menu: QMenu, category: str, entry: str) -> None:
    """Put an entry into a new submenu."""
    submenu = menu.addMenu(category)
    assert submenu is not None
    submenu.addAction(entry)


class MainWindow(QMainWindow):
    """As much of Workbench's window as the entry needs: the menu that it clears and fills."""

    def __init__(self) -> None:
        super().__init__()
        self.interfaces_menu = QMenu("&Interfaces", self)
        bar = self.menuBar()
        assert bar is not None
        bar.addMenu(self.interfaces_menu)

    def populate_interfaces_menu(self) -> None:
        self.interfaces_menu.clear()
        add(self.interfaces_menu, "Direct", "ALF View")
        add(self.interfaces_menu, "Diffraction", "Engineering Diffraction")


def entries(menu: QMenu) -> dict[str, list[str]]:
    return {action.text(): [entry.text() for entry in below(action)] for action in menu.actions()}


def below(action: QAction) -> list[QAction]:
    """The entries of a submenu."""
    submenu = action.menu()
    assert isinstance(submenu, QMenu)
    return list(submenu.actions())


@pytest.fixture
def window(qtbot: QtBot) -> MainWindow:
    window = MainWindow()
    qtbot.addWidget(window)
    return window


def shown(window: MainWindow) -> dict[str, list[str]]:
    """The menu as it is when the user opens it."""
    window.interfaces_menu.aboutToShow.emit()
    return entries(window.interfaces_menu)


def test_the_entry_appears_in_an_empty_menu_and_opens_the_panel(qtbot: QtBot, window: MainWindow) -> None:
    opened: list[bool] = []
    add_to_workbench(ENTRY, lambda: opened.append(True))
    qtbot.waitUntil(lambda: shown(window) == {"Diffraction": ["SNAP Calibration"]})
    action = below(window.interfaces_menu.actions()[0])[0]
    action.trigger()
    action.trigger()
    qtbot.waitUntil(lambda: opened == [True])
    assert "snapcal_workbench.panel.presenters.presenter" in sys.modules


def test_it_stands_in_the_category_that_workbench_makes_later(qtbot: QtBot, window: MainWindow) -> None:
    """Older releases fill the menu after the plugins have run, and do not clear it before."""
    add_to_workbench(ENTRY, lambda: None)
    qtbot.wait(50)
    assert entries(window.interfaces_menu) == {}
    add(window.interfaces_menu, "Diffraction", "Engineering Diffraction")
    assert shown(window) == {"Diffraction": ["Engineering Diffraction", "SNAP Calibration"]}
    assert len(window.interfaces_menu.actions()) == 1


def test_it_comes_back_beside_the_others_when_the_menu_was_filled_anew(qtbot: QtBot, window: MainWindow) -> None:
    add_to_workbench(ENTRY, lambda: None)
    qtbot.waitUntil(lambda: bool(shown(window)))
    for _ in range(3):
        window.populate_interfaces_menu()
        shown(window)
        assert shown(window) == {"Direct": ["ALF View"], "Diffraction": ["Engineering Diffraction", "SNAP Calibration"]}


def test_it_waits_for_the_window(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(menu_module, "RETRY_MS", 10)
    add_to_workbench(ENTRY, lambda: None)
    qtbot.wait(50)
    window = MainWindow()
    qtbot.addWidget(window)
    qtbot.waitUntil(lambda: shown(window) == {"Diffraction": ["SNAP Calibration"]})


def test_it_may_be_added_from_another_thread(qtbot: QtBot, window: MainWindow) -> None:
    thread = threading.Thread(target=add_to_workbench, args=(ENTRY, lambda: None))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: shown(window) == {"Diffraction": ["SNAP Calibration"]})


def test_the_self_test_stands_below_the_panel(window: MainWindow) -> None:
    entry = ENTRY.model_copy(update={"self_test": "os:getpid"})
    MenuEntry(entry, lambda: None).put_into(window.interfaces_menu)
    assert entries(window.interfaces_menu) == {"Diffraction": ["SNAP Calibration", "SNAP Calibration: Self-Test"]}


def test_why_there_is_no_panel_is_said_in_a_box_that_holds_nothing_up(qtbot: QtBot) -> None:
    explain("SNAP Calibration", "the panel needs qtpy 2.4 or later, and <b>1.11.3</b> is installed")
    (box,) = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, QMessageBox)]
    assert box.isVisible()
    assert box.text().endswith("<b>1.11.3</b> is installed")
    box.close()


def test_a_category_with_a_mnemonic_is_found(window: MainWindow) -> None:
    window.interfaces_menu.addMenu("&Diffraction")
    MenuEntry(ENTRY, lambda: None).put_into(window.interfaces_menu)
    assert entries(window.interfaces_menu) == {"&Diffraction": ["SNAP Calibration"]}
