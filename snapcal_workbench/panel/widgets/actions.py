"""What can be done with the selected row of a table: a few buttons, and all of it in menus and by keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from snapcal_workbench.panel.widgets.table import button_row


class Doing(NamedTuple):
    """Text, tooltip and what is done; the key that does it while the table has the keyboard, "" for none."""

    text: str
    tip: str
    do: Callable[[], None]
    key: str = ""

    @property
    def name(self) -> str:
        """The text without "&" and "…"."""
        return self.text.replace("&", "").rstrip(" …")


class TableActions:
    """Buttons below a table for what is done most, a button with a menu for the rest, and a context menu with all.

    Attributes:
        row: The buttons.
        buttons: Those with a text of their own, by it.
        actions: All that can be done, by name.
    """

    def __init__(self, table: QWidget, foremost: Sequence[Doing], others: Sequence[Doing]) -> None:
        self.actions = {doing.name: self._action(table, doing) for doing in (*foremost, *others)}
        self.row: QHBoxLayout
        self.buttons: dict[str, QPushButton]
        self.row, self.buttons = button_row([(doing.text, doing.tip, doing.do) for doing in foremost])
        self.more = QToolButton()
        self.more.setText("More")
        self.more.setAccessibleName("More to do with the selected row")
        self.more.setToolTip("What else can be done with the selected row; a right click on it offers it, too")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.addActions([self.actions[doing.name] for doing in others])
        self.more.setMenu(menu)
        self.row.insertWidget(len(foremost), self.more)
        table.addActions(list(self.actions.values()))
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    @staticmethod
    def _action(table: QWidget, doing: Doing) -> QAction:
        action = QAction(doing.text.replace("&", ""), table)
        action.setToolTip(doing.tip)
        if doing.key:
            action.setShortcut(QKeySequence(doing.key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda *_: doing.do())
        return action

    def enable(self, name: str, enabled: bool) -> None:
        """Say whether something can be done now."""
        self.actions[name].setEnabled(enabled)
        if name in self.buttons:
            self.buttons[name].setEnabled(enabled)
