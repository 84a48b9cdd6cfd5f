"""The plugin's entries in Workbench's menu Interfaces: the panel, and the self-test.

Workbench fills that menu from its settings, some time after plugins are run, and in newer releases clears it and fills
it again. So the entries are added whenever the menu is about to be shown and they are not there, and only then: a
category that is made before Workbench makes its own would stand there twice.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QMetaObject, QObject, Qt, QTimer, Signal, Slot
from qtpy.QtWidgets import QAction, QApplication, QMenu, QMessageBox

from snapcal_workbench.libraries import reason_not_to_load
from snapcal_workbench.manifest import InterfaceEntry, load_object

RETRY_MS = 250
"""Time between two looks for Workbench's window while it is being made, ms."""
MAX_TRIES = 480
SELF_TEST = "Self-Test"
"""Appended to the panel's title in the entry of the self-test."""
BEHIND_THE_PANEL = "snapcal_workbench.panel.presenters.presenter"
"""What the panel loads that needs no Qt, with numba and scipy behind it: most of a second on the GUI thread."""

_entries: list[MenuEntry] = []
"""Entries live as long as the program: Qt does not keep the objects that its signals reach."""


def add_to_workbench(interface: InterfaceEntry, show: Callable[[], object]) -> None:
    """Have the entries in Workbench's menu whenever it is shown, as soon as Workbench has its window.

    Args:
        interface: Titles and category.
        show: Opens the panel.
    """
    application = QApplication.instance()
    if application is not None:
        entry = MenuEntry(interface, show)
        _entries.append(entry)
        entry.start(application)


def explain(title: str, reason: str) -> None:
    """Say in a message box, which holds nothing up, why something cannot be done."""
    if QApplication.instance() is None:
        return
    box = QMessageBox(QMessageBox.Icon.Warning, title, reason)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setTextFormat(Qt.TextFormat.PlainText)
    _boxes[:] = [box]
    box.open()


_boxes: list[QMessageBox] = []


class MenuEntry(QObject):
    """The entries, which look for the menu until they have found it, and then are in it whenever it is shown."""

    loaded = Signal()

    def __init__(self, interface: InterfaceEntry, show: Callable[[], object]) -> None:
        super().__init__()
        self._interface, self._show = interface, show
        self._tries = 0
        self._timer: QTimer | None = None
        self._loading = False
        self.loaded.connect(self._open)

    def start(self, application: QObject) -> None:
        """Look for the menu from the application's event loop, whatever thread this is called in."""
        self.moveToThread(application.thread())
        QMetaObject.invokeMethod(self, "begin", Qt.ConnectionType.QueuedConnection)

    @Slot()
    def begin(self) -> None:
        """Look for the menu now, and again and again until it is there. Called on the GUI thread."""
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(0)

    def _look(self) -> None:
        assert self._timer is not None
        self._tries += 1
        self._timer.setInterval(RETRY_MS)
        menu = interfaces_menu()
        if menu is not None:
            menu.aboutToShow.connect(lambda: self.put_into(menu))
        if menu is not None or self._tries >= MAX_TRIES:
            self._timer.stop()

    def put_into(self, menu: QMenu) -> None:
        """Add category and entries where they are missing."""
        category = _submenu(menu, self._interface.category) or menu.addMenu(self._interface.category)
        assert category is not None
        _add(category, self._interface.title, self.open)
        if self._interface.self_test:
            _add(category, f"{self._interface.title}: {SELF_TEST}", self._test)

    def open(self) -> None:
        """Open the panel, once what it needs is loaded beside the GUI thread."""
        if not self._loading:
            self._loading = True
            threading.Thread(target=self._load, daemon=True, name="snapcal panel").start()

    def _load(self) -> None:
        with suppress(Exception):  # said by what opens the panel
            if not reason_not_to_load():
                importlib.import_module(BEHIND_THE_PANEL)
        self.loaded.emit()

    @Slot()
    def _open(self) -> None:
        self._loading = False
        self._show()

    def _test(self) -> None:
        load_object(self._interface.self_test)()


def _add(category: QMenu, title: str, chosen: Callable[[], None]) -> None:
    if all(_text(action) != title for action in category.actions()):
        action = QAction(title, category)
        action.triggered.connect(lambda *_: chosen())
        category.addAction(action)


def _submenu(menu: QMenu, title: str) -> QMenu | None:
    for action in menu.actions():
        submenu: object = action.menu()
        if isinstance(submenu, QMenu) and _text(action) == title:
            return submenu
    return None


def interfaces_menu() -> QMenu | None:
    """The menu of Workbench's main window; None while there is none."""
    for window in QApplication.topLevelWidgets():
        menu = getattr(window, "interfaces_menu", None)
        if isinstance(menu, QMenu):
            return menu
    return None


def _text(action: QAction) -> str:
    return action.text().replace("&", "")
