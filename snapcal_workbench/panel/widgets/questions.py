"""Boxes that tell or ask something and do not block: the panel goes on, and the answer arrives when it is given."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QMessageBox, QPushButton, QWidget

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.text import visible

TITLE = "SNAP Calibration"


def show_error(parent: QWidget, error: SnapcalError) -> None:
    """Say what is wrong, what was found and what helps."""
    box = _box(parent, QMessageBox.Icon.Warning, TITLE, error.what)
    box.setInformativeText(unmarked((f"Found: {error.found}\n\n" if error.found else "") + error.fix))
    box.show()


def ask(parent: QWidget, title: str, question: str, *, yes: str, no: str, then: Callable[[], None]) -> QMessageBox:
    """Ask whether something is to be done; it is only when `yes` is pressed.

    Args:
        parent: The box is shown over it.
        title: Of the box.
        question: What is asked.
        yes: Text of the button that does it.
        no: Text of the button that does not, which Return and Escape press.
        then: What is done.
    """
    box = _box(parent, QMessageBox.Icon.Question, title, question)
    agree = box.addButton(yes, QMessageBox.ButtonRole.DestructiveRole)
    refuse = box.addButton(no, QMessageBox.ButtonRole.RejectRole)
    for button in (agree, refuse):
        if button is not None:
            button.setAccessibleName(button.text().replace("&", ""))
            button.setToolTip(button.text().replace("&", ""))
    box.setDefaultButton(refuse)
    box.setEscapeButton(refuse)
    box.buttonClicked.connect(lambda button: then() if button is agree else None)
    box.show()
    return box


def _box(parent: QWidget, icon: QMessageBox.Icon, title: str, text: str) -> QMessageBox:
    box = QMessageBox(icon, title, unmarked(text), parent=parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setModal(False)
    return box


class TextsDialog(QDialog):
    """Asks for a few texts, none of which may be empty.

    Args:
        title: Of the window.
        question: Above the fields.
        fields: Label, tooltip and first text of each.
        then: Called with the texts when the user agrees.
    """

    def __init__(
        self,
        parent: QWidget,
        title: str,
        question: str,
        fields: list[tuple[str, str, str]],
        then: Callable[..., None],
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(visible(title))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(420)
        form = QFormLayout(self)
        heading = PlainLabel(question)
        heading.setWordWrap(True)
        form.addRow(heading)
        self.lines = [self._line(form, *field) for field in fields]
        buttons = QDialogButtonBox()
        self.lacking = PlainLabel("")
        form.addRow(self.lacking)
        self.agree = buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        for button, tip in ((self.agree, title), (cancel, "Change nothing")):
            name_button(button, tip)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)
        self.accepted.connect(lambda: then(*(line.text().strip() for line in self.lines)))
        self._check()

    def _line(self, form: QFormLayout, label: str, tip: str, text: str) -> QLineEdit:
        line = QLineEdit(text)
        line.setAccessibleName(label.replace("&", ""))
        line.setToolTip(tip)
        line.textChanged.connect(self._check)
        form.addRow(label, line)
        return line

    def _check(self, *_: object) -> None:
        lines = getattr(self, "lines", [])
        if not lines or self.agree is None:
            return
        lacking = [line.accessibleName().lower() for line in lines if not line.text().strip()]
        self.lacking.setText(f"Still missing: {' and '.join(lacking)}." if lacking else "")
        self.agree.setEnabled(not lacking)


def name_button(button: QPushButton | None, tip: str) -> None:
    """Give a button a tooltip, and a name for those who cannot see it."""
    if button is not None:
        button.setToolTip(tip)
        button.setAccessibleName(button.text().replace("&", ""))
