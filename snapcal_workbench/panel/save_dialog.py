"""The dialog that publishes an iteration as a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.panel.presenter import Presenter


class SaveDialog(QDialog):
    """Asks which iteration is saved, by whom, with which comments and for which runs; previews what that does.

    Args:
        presenter: Answers what a condition selects and whether the place is writable.
        numbers: Iterations to choose from.
        chosen: The one that is offered.
        author: The last author.
    """

    def __init__(
        self, presenter: Presenter, numbers: Sequence[int], chosen: int, author: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save a calibration")
        self._presenter = presenter
        self.iteration = QComboBox()
        for number in numbers:
            self.iteration.addItem(f"iteration {number}", number)
        self.iteration.setCurrentIndex(list(numbers).index(chosen))
        self.author = QLineEdit(author)
        self.applies_to = QLineEdit()
        self.applies_to.setPlaceholderText("this run and all later ones")
        self.applies_to.setToolTip("Conditions with >=, <=, > or <, separated by commas, as >=58882,<60000")
        self.comments = QPlainTextEdit()
        self.comments.setTabChangesFocus(True)
        self.preview = QLabel("")
        self.preview.setWordWrap(True)
        self.buttons = QDialogButtonBox()
        self.buttons.addButton(QDialogButtonBox.StandardButton.Save)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        for changed in (self.author.textChanged, self.applies_to.textChanged, self.comments.textChanged):
            changed.connect(self._check)
        self.iteration.currentIndexChanged.connect(self._check)
        self._check()

    def _lay_out(self) -> None:
        form = QFormLayout()
        for label, field in (
            ("&Iteration", self.iteration),
            ("&Author", self.author),
            ("Applies to &runs", self.applies_to),
            ("&Comments", self.comments),
        ):
            field.setAccessibleName(label.replace("&", ""))
            form.addRow(label, field)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.preview)
        layout.addWidget(self.buttons)

    @property
    def number(self) -> int:
        """The chosen iteration."""
        return int(self.iteration.currentData())

    def _check(self, *_: object) -> None:
        problem = self._problem()
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        if save is not None:
            save.setEnabled(not problem)
        if problem:
            self.preview.setText(problem)

    def _problem(self) -> str:
        try:
            found = self._presenter.preview(self.number, self.applies_to.text())
            self.preview.setText(found.text)
            reason = self._presenter.not_writable(self.number)
        except SnapcalError as error:
            return str(error)
        missing: list[tuple[str, Callable[[], str]]] = [
            ("author", self.author.text),
            ("comments", self.comments.toPlainText),
        ]
        if reason:
            return f"It cannot be saved here: {reason}\nSet 'calibration_home' to a tree of your own to save it there."
        lacking = [name for name, text in missing if not text().strip()]
        return f"{found.text}\nStill missing: {' and '.join(lacking)}." if lacking else ""
