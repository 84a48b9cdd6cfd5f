"""Small pieces that the views are made of."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.canvas import FigurePane


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def combo(name: str, tip: str, items: Sequence[str] = (), *, narrow: bool = False) -> QComboBox:
    """A choice with an accessible name and a tooltip, as wide as its widest item or, if narrow, as a few letters."""
    made = QComboBox()
    made.setAccessibleName(name)
    made.setToolTip(tip)
    made.addItems(list(items))
    if narrow:
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(10)
    else:
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    return made


def offer(box: QComboBox, items: Sequence[str]) -> None:
    """Offer other items, without a signal; what was chosen stays chosen where it is among them."""
    chosen = box.currentText()
    if [box.itemText(i) for i in range(box.count())] == list(items):
        return
    box.blockSignals(True)
    box.clear()
    box.addItems(list(items))
    select(box, chosen)
    box.blockSignals(False)


def select(box: QComboBox, text: str) -> None:
    """Choose an item by its text; an editable box takes any text."""
    index = box.findText(text)
    if index >= 0:
        box.setCurrentIndex(index)
    elif box.isEditable():
        box.setEditText(text)


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets beside each other, to the left."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return layout


def stacked(holder: QWidget, bar: Sequence[QWidget], pane: FigurePane, *below: QWidget) -> None:
    """Lay out a bar with the figure's buttons at its right end, the figure below it, and what is below that."""
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    top = row(*bar)
    top.addWidget(pane.toolbar)
    layout.addLayout(top)
    layout.addWidget(pane, 1)
    for widget in below:
        layout.addWidget(widget)


class FormArea(QScrollArea):
    """A form that can be scrolled up and down, and is never narrower than it must be."""

    def __init__(self, form: QWidget) -> None:
        super().__init__()
        self.setWidget(form)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        form.installEventFilter(self)
        self._fit(form)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Follow the form when what it shows needs more room."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and isinstance(watched, QWidget):
            self._fit(watched)
        return super().eventFilter(watched, event)

    def _fit(self, form: QWidget) -> None:
        bar = self.verticalScrollBar()
        self.setMinimumWidth(form.minimumSizeHint().width() + (bar.sizeHint().width() if bar else 20) + 4)
