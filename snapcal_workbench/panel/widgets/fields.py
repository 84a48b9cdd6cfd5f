"""Fields of a form: lines that take files, choices whose long names are cut in the middle, and marks beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QStyle,
    QToolButton,
    QWidget,
)

from snapcal_workbench.panel.widgets.layouts import combo
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked

MARK = 16
"""Size of the mark of a problem, px."""
MARGIN = 3
"""Between the frame of a line and its text, px."""
_ICONS = {
    "error": QStyle.StandardPixmap.SP_MessageBoxCritical,
    "warning": QStyle.StandardPixmap.SP_MessageBoxWarning,
}


def paths_of(event: QDropEvent | None) -> list[str]:
    """The files that are dragged; none where it is something else."""
    mime = event.mimeData() if event is not None else None
    return [url.toLocalFile() for url in mime.urls() if url.isLocalFile()] if mime is not None else []


class Line(QLineEdit):
    """A line that takes files which are dropped on it, and cuts in the middle what is too long while nobody types.

    Args:
        several: Whether dropped files are added to what is there, with commas between.
    """

    def __init__(self, *, several: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._several = several

    def take(self, paths: Sequence[str]) -> None:
        """Name files, as if they were typed."""
        if paths:
            before = [self.text().strip().rstrip(",")] if self._several and self.text().strip() else []
            text = ", ".join([*before, *paths]) if self._several else paths[0]
            self.setText(text)
            self.textEdited.emit(text)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take files."""
        if event is not None and paths_of(event):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Name the files that were dropped."""
        paths = paths_of(event)
        if event is not None and paths:
            self.take(paths)
            event.acceptProposedAction()
        else:
            super().dropEvent(event)

    def elided(self) -> str:
        """What is seen of the text while nobody types."""
        room = self.contentsRect().width() - 2 * MARGIN
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Show the beginning and the end of a text that is too long."""
        if self.hasFocus() or self.hasFrame() or self.elided() == self.text():
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.Text))
        room = self.contentsRect().adjusted(MARGIN, 0, -MARGIN, 0)
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.elided())
        painter.end()


def line(name: str, tip: str, example: str, *, several: bool = False) -> Line:
    """A line of text."""
    made = Line(several=several)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    made.setPlaceholderText(example)
    made.setClearButtonEnabled(True)
    return made


def choice(name: str, tip: str, example: str = "") -> QComboBox:
    """A choice that also takes what is typed, or a file that is dropped on it."""
    box = combo(name, tip, narrow=True)
    box.setEditable(True)
    edit = Line()
    edit.setFrame(False)
    edit.setPlaceholderText(example)
    edit.setAccessibleName(name)
    edit.setToolTip(tip)
    box.setLineEdit(edit)
    edit.textChanged.connect(lambda text: edit.setToolTip(unmarked(f"{text}\n{tip}" if text else tip)))
    view = box.view()
    if view is not None:
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return box


def browse(what: str, kinds: str, take: Callable[[list[str]], None], *, several: bool = False) -> QToolButton:
    """A button that lets files be chosen.

    Args:
        what: What is chosen, as a title.
        kinds: Patterns of names, as Qt writes them.
        take: Gets the paths.
        several: Whether there may be several.
    """
    made = QToolButton()
    made.setText("…")
    made.setToolTip(f"Choose {what} from the disk")
    made.setAccessibleName(f"Choose {what}")

    def ask() -> None:
        chooser = QFileDialog(made, f"Choose {what}", "", kinds)
        chooser.setFileMode(QFileDialog.FileMode.ExistingFiles if several else QFileDialog.FileMode.ExistingFile)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.filesSelected.connect(lambda paths: take(list(paths)))
        chooser.open()

    made.clicked.connect(ask)
    return made


class Mark(PlainLabel):
    """The icon of a problem beside a field; its place is kept while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(MARK)

    def show_problem(self, severity: str, text: str) -> None:
        """Show the icon of a severity, "" for none, with a text as its tooltip."""
        style = self.style() or QApplication.style()
        if severity and style is not None:
            self.setPixmap(style.standardIcon(_ICONS[severity]).pixmap(MARK, MARK))
        else:
            self.clear()
        self.setToolTip(unmarked(text))
        self.setAccessibleName(f"{severity}: {text}" if severity else "")


class ProblemText(PlainLabel):
    """What is wrong with a field, below it."""

    def __init__(self) -> None:
        super().__init__("")
        self.setWordWrap(True)
        self.setVisible(False)
        self.setProperty("problem", True)


def beside(*widgets: QWidget) -> QWidget:
    """Widgets in one row, the first of which has the keyboard and is as wide as can be."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    height = widgets[0].sizeHint().height()
    for position, widget in enumerate(widgets):
        if position and isinstance(widget, QToolButton):
            widget.setFixedHeight(height)
        layout.addWidget(widget, 0 if position else 1)
    holder.setFocusProxy(widgets[0])
    return holder
