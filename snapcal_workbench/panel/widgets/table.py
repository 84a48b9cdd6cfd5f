"""A table of rows with a key each: sorts by value, fits its columns to what they show, keeps what is selected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qtpy.QtCore import QByteArray, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
)

from snapcal_workbench.panel.widgets.text import unmarked
from snapcal_workbench.text import visible

WIDEST = 340
"""Columns are not made wider than this for their contents, px; the tooltip has the whole text."""


ROOM = 24
"""Of a button around its text, px."""


class Column(NamedTuple):
    """Title and tooltip of a column."""

    title: str
    tip: str


class Cell(NamedTuple):
    """What a cell sorts by and shows; the tooltip is the text where none is given."""

    value: object
    text: str
    tip: str = ""


def cell(value: object) -> Cell:
    """A cell of a number or a text."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, float):
        return Cell(value, "" if math.isnan(value) else f"{value:.4g}")
    return Cell(value, str(value))


class _Item(QTableWidgetItem):
    def __init__(self, shown: Cell) -> None:
        super().__init__(visible(shown.text))
        self.value = shown.value
        self.setToolTip(unmarked(shown.tip or shown.text))
        if isinstance(shown.value, int | float):
            self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, theirs = (_sort_key(getattr(item, "value", item.text())) for item in (self, other))
        return mine < theirs


def _sort_key(value: object) -> tuple[int, float, str]:
    """Nothing first, then numbers by size, then texts."""
    if isinstance(value, int | float):
        return (0, 0.0, "") if math.isnan(value) else (1, float(value), "")
    return 2, 0.0, str(value).casefold()


class Table(QTableWidget):
    """Rows with a key each.

    Args:
        columns: Title and tooltip of each.
        name: For those who cannot see it.

    Signals:
        opened: Key of the row that was double-clicked, or on which Return was pressed.
    """

    opened = Signal(object)

    def __init__(self, columns: Sequence[tuple[str, str]], name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(f"{name}; a click on a column's title sorts")
        self._own_widths: set[int] = set()
        self.set_columns(columns)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        down = self.verticalHeader()
        if down is not None:
            down.setVisible(False)
        across = self.horizontalHeader()
        assert across is not None  # every table has one
        self._across = across
        self._across.setStretchLastSection(True)
        self._across.sectionResized.connect(self._resized)
        self._fitting = False
        self.itemDoubleClicked.connect(lambda item: self.opened.emit(item.data(Qt.ItemDataRole.UserRole)))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Open the selected row with Return."""
        chosen = self.selected()
        if event is None or event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter) or len(chosen) != 1:
            super().keyPressEvent(event)
            return
        self.opened.emit(chosen[0])

    def set_columns(self, columns: Sequence[tuple[str, str]]) -> None:
        """Take other columns, title and tooltip of each; there are no rows then."""
        self.setRowCount(0)
        self.setColumnCount(len(columns))
        self._own_widths = set()
        for position, (title, tip) in enumerate(columns):
            header = QTableWidgetItem(visible(title))
            header.setToolTip(unmarked(tip))
            self.setHorizontalHeaderItem(position, header)

    def _resized(self, column: int, *_: int) -> None:
        if not self._fitting and column != self.columnCount() - 1:
            self._own_widths.add(column)

    def fill(self, rows: Sequence[tuple[object, Sequence[object]]]) -> None:
        """Show rows, each a key and its cells; the keys of the selected rows stay selected."""
        chosen = self.selected()
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        for number, (key, cells) in enumerate(rows):
            for column, value in enumerate(cells):
                item = _Item(cell(value))
                item.setData(Qt.ItemDataRole.UserRole, key)
                self.setItem(number, column, item)
        self.setSortingEnabled(True)
        self.fit()
        for key in chosen:
            self.select(key)

    def fit(self) -> None:
        """Make the columns as wide as their contents, but for those that the user has set."""
        self._fitting = True
        for column in range(self.columnCount()):
            if column not in self._own_widths:
                self.resizeColumnToContents(column)
                self.setColumnWidth(column, min(self.columnWidth(column), WIDEST))
        self._fitting = False

    def set_cell(self, key: object, column: int, shown: Cell) -> None:
        """Change one cell of the row with a key."""
        row = self.row_of(key)
        if row is not None and (old := self.item(row, column)) is not None and old.text() != visible(shown.text):
            self.setSortingEnabled(False)
            item = _Item(shown)
            item.setData(Qt.ItemDataRole.UserRole, key)
            self.setItem(row, column, item)
            self.setSortingEnabled(True)
            self.fit()

    def selected(self) -> list[Any]:
        """Keys of the selected rows."""
        rows = sorted({index.row() for index in self.selectedIndexes()})
        items = (self.item(row, 0) for row in rows)
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def keys(self) -> list[Any]:
        """Keys of all rows, as they are sorted."""
        items = (self.item(row, 0) for row in range(self.rowCount()))
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def row_of(self, key: object) -> int | None:
        """Where the row with a key is now."""
        keys = self.keys()
        return keys.index(key) if key in keys else None

    def select(self, key: object) -> None:
        """Select the row with a key."""
        row = self.row_of(key)
        if row is not None:
            self.selectRow(row)

    def layout_state(self) -> QByteArray:
        """Widths and sort order, for `restore_layout`."""
        return self._across.saveState()

    @property
    def own_widths(self) -> list[int]:
        """The columns whose widths the user has set."""
        return sorted(self._own_widths)

    def restore_layout(self, state: QByteArray | None, own_widths: Sequence[int]) -> None:
        """Take back sort order and widths; columns whose widths the user has not set go on following their contents."""
        self._fitting = True
        if state is not None and self._across.restoreState(state):
            self._own_widths = set(own_widths)
        self._fitting = False
        self.fit()


def button_row(actions: Sequence[tuple[str, str, Callable[[], object]]]) -> tuple[QHBoxLayout, dict[str, QPushButton]]:
    """A row of buttons.

    Args:
        actions: Text, tooltip and what is done, of each.

    Returns:
        The row, and the buttons by their text without "&" and "…".
    """
    row, buttons = QHBoxLayout(), {}
    row.setSpacing(4)
    for text, tip, action in actions:
        button = QPushButton(text)
        button.setToolTip(tip)
        name = text.replace("&", "").rstrip(" …")
        button.setAccessibleName(name)
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(name) + ROOM)
        button.clicked.connect(lambda *_, action=action: action())
        buttons[name] = button
        row.addWidget(button)
    row.addStretch(1)
    return row, buttons
