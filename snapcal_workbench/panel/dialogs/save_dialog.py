"""The dialog that publishes an iteration as a version, and the box that confirms it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.panel.tasks import Worker
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.session.preview import Outlook


class SaveDialog(QDialog):
    """Asks which iteration is saved, by whom, with which comments and for which runs; previews what that does.

    Whether the place is writable, and which versions are there, is looked up beside the window as soon as the dialog
    opens; another place can be chosen.

    Args:
        presenter: Looks up what saving would meet.
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
        self.place: Path | None = None
        self._outlook: Outlook | None = None
        self._failure = ""
        self._asked = ""
        self._look = Worker(self)
        self._look.finished.connect(self._looked)
        self._look.failed.connect(self._look_failed)
        self._make_fields(numbers, chosen, author)
        self._lay_out()
        for changed in (self.author.textChanged, self.applies_to.textChanged, self.comments.textChanged):
            changed.connect(self._check)
        self.force.toggled.connect(self._check)
        self.iteration.currentIndexChanged.connect(self._start_look)
        self.elsewhere.clicked.connect(self._choose_place)
        self._start_look()

    def _make_fields(self, numbers: Sequence[int], chosen: int, author: str) -> None:
        self.iteration = QComboBox()
        for number in numbers:
            name = self._presenter.session.iteration(number).name
            self.iteration.addItem(name if str(number) in name else f"{name} (iteration {number})", number)
        self.iteration.setCurrentIndex(list(numbers).index(chosen))
        self.iteration.setToolTip("The iteration that becomes a version")
        self.author = QLineEdit(author)
        self.author.setToolTip("Who accepts the calibration")
        self.applies_to = QLineEdit()
        self.applies_to.setPlaceholderText("this run and all later ones")
        self.applies_to.setToolTip(
            "Runs as 58882-60000 or 58882, or conditions as >=58882,<60000; empty: this run and all later ones"
        )
        self.comments = QPlainTextEdit()
        self.comments.setTabChangesFocus(True)
        self.comments.setToolTip("What others should know of it")
        self.where = PlainLabel("")
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.elsewhere = QPushButton("Save to another &place …")
        self.elsewhere.setToolTip("Choose a folder of your own; the version and its index entry are written there")
        self.elsewhere.setAccessibleName("Save to another place")
        self.preview = PlainLabel("")
        self.preview.setWordWrap(True)
        self.preview.setMinimumHeight(6 * self.fontMetrics().lineSpacing())
        self.preview.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.force = QCheckBox("Save it although its verdict is: not to be used")
        self.force.setToolTip("The record keeps the verdict, and says that it was saved by force")
        self.buttons = QDialogButtonBox()
        save = self.buttons.addButton(QDialogButtonBox.StandardButton.Save)
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        for button, tip in ((save, "Publish it as a new version"), (cancel, "Save nothing")):
            if button is not None:
                button.setToolTip(tip)
                button.setAccessibleName(button.text().replace("&", ""))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

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
        form.addRow("Place", self.where)
        form.addRow("", self.elsewhere)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.preview)
        layout.addWidget(self.force)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(520)

    @property
    def number(self) -> int:
        """The chosen iteration."""
        return int(self.iteration.currentData())

    def set_place(self, place: Path) -> None:
        """Save in another folder than the calibration tree."""
        self.place = place
        self._start_look()

    def _choose_place(self) -> None:
        chooser = QFileDialog(self, "Save to another place", str(self.place or Path.home()))
        chooser.setFileMode(QFileDialog.FileMode.Directory)
        chooser.setOption(QFileDialog.Option.ShowDirsOnly, True)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.fileSelected.connect(lambda path: self.set_place(Path(path)))
        chooser.open()

    def _start_look(self, *_: object) -> None:
        self._outlook, self._failure = None, ""
        self.force.setVisible(not self._presenter.session.iteration(self.number).account.verdict.savable)
        self.force.setChecked(False)
        self._asked = f"{self.number} in {self.place}"
        self._look.start(self._asked, self._presenter.outlook(self.number, self.place))
        self._check()

    def _looked(self, name: str, outlook: object) -> None:
        if name == self._asked and isinstance(outlook, Outlook):
            self._outlook = outlook
            self.where.setText(str(outlook.home))
            self._check()

    def _look_failed(self, name: str, error: object) -> None:
        if name == self._asked:
            self._failure = str(error)
            self._check()

    def _check(self, *_: object) -> None:
        text, ready = self._standing()
        self.preview.setText(text)
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        if save is not None:
            save.setEnabled(ready)

    def _standing(self) -> tuple[str, bool]:
        """What is said below the form, and whether it can be saved."""
        if self._failure or self._outlook is None:
            return self._failure or "Looking at the place …", False
        if self._outlook.why_not:
            return f"It cannot be saved here: {self._outlook.why_not}.\nChoose another place.", False
        try:
            told = self._outlook.sentences(self.applies_to.text())
        except SnapcalError as error:
            return str(error), False
        verdict = self._presenter.session.iteration(self.number).account.verdict
        texts = (("author", self.author.text()), ("comments", self.comments.toPlainText()))
        lacking = [name for name, text in texts if not text.strip()]
        refused = not verdict.savable and not self.force.isChecked()
        told += [f"Its verdict is: {verdict.word}. {' '.join(verdict.told)}"] if refused else []
        told += [f"Still missing: {' and '.join(lacking)}."] if lacking else []
        return "\n".join(told), not lacking and not refused


class SavedBox(QDialog):
    """Confirms a saved version; its path can be copied and its folder opened. It does not block.

    Args:
        path: Folder of the version.
        version: Its number.
    """

    def __init__(self, path: str, version: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Saved")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.path = path
        self.text = PlainLabel(f"Saved as version {version} in\n{path}")
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy_path = QPushButton("&Copy path")
        self.copy_path.setToolTip("Copy the folder's path")
        self.copy_path.clicked.connect(self._copy)
        self.open_folder = QPushButton("&Open folder")
        self.open_folder.setToolTip("Open the folder of the version")
        self.open_folder.clicked.connect(self._open)
        buttons = QDialogButtonBox()
        for button in (self.copy_path, self.open_folder):
            button.setAccessibleName(button.text().replace("&", ""))
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        close = buttons.addButton(QDialogButtonBox.StandardButton.Close)
        if close is not None:
            close.setToolTip("Go on; all workspaces stay in the list")
            close.setAccessibleName("Close")
            close.setDefault(True)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.path)

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.path))
