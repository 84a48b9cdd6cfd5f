"""The panel's entry in Workbench's menu Interfaces.

Workbench fills that menu from its settings, clears it and fills it again. So the entry is added whenever the menu is
about to be shown and the entry is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QMetaObject, QObject, Qt, QTimer, Slot
from qtpy.QtWidgets import QAction, QApplication, QMenu

from snapcal_workbench.manifest import InterfaceEntry

RETRY_MS = 250
"""Time between two looks for Workbench's window while it is being made, ms."""
MAX_TRIES = 480

_entries: list[MenuEntry] = []
"""Entries live as long as the program: Qt does not keep the objects that its signals reach."""


def add_to_workbench(interface: InterfaceEntry, show: Callable[[], Any]) -> None:
    """Add the entry to Workbench's menu, now or as soon as Workbench has its window.

    Args:
        interface: Title and category.
        show: Opens the panel.
    """
    application = QApplication.instance()
    if application is not None:
        entry = MenuEntry(interface, show)
        _entries.append(entry)
        entry.start(application)


class MenuEntry(QObject):
    """One entry, which looks for the menu until it has found it, and then stays in it."""

    def __init__(self, interface: InterfaceEntry, show: Callable[[], Any]) -> None:
        super().__init__()
        self._interface, self._show = interface, show
        self._tries = 0
        self._timer: QTimer | None = None

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
            self.put_into(menu)
        if menu is not None or self._tries >= MAX_TRIES:
            self._timer.stop()

    def put_into(self, menu: QMenu) -> None:
        """Add category and entry where they are missing."""
        category = _submenu(menu, self._interface.category) or menu.addMenu(self._interface.category)
        assert category is not None
        if all(_text(action) != self._interface.title for action in category.actions()):
            action = QAction(self._interface.title, category)
            action.triggered.connect(lambda *_: self._show())
            category.addAction(action)


def _submenu(menu: QMenu, title: str) -> QMenu | None:
    for action in menu.actions():
        submenu: Any = action.menu()
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


def _text(action: Any) -> str:
    return action.text().replace("&", "")
