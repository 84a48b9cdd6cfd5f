"""What the panel asks before it does something: names, reasons, runs. Nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QWidget

from snapcal_workbench.panel.dialogs.save_dialog import SaveDialog
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.panel.remembered import SETTINGS
from snapcal_workbench.panel.widgets.questions import TextsDialog, ask, name_button
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.store.disk.owner import user_name

DEMO = "snapcal-demo"
"""Name of the demonstration's folder, as the shell has it."""


class Dialogs:
    """The dialogs of one window.

    Args:
        window: Dialogs are shown over it.
        presenter: Does what was agreed to.
    """

    def __init__(self, window: QWidget, presenter: Presenter) -> None:
        self._window, self._presenter = window, presenter

    @property
    def author(self) -> str:
        """The last author, remembered for the user; at first who is logged in."""
        return str(QSettings().value(f"{SETTINGS}/author", "") or user_name())

    @author.setter
    def author(self, name: str) -> None:
        QSettings().setValue(f"{SETTINGS}/author", name)

    def save(self, number: int) -> None:
        """Ask for what is needed to save an iteration, and save it."""
        numbers = self._presenter.session.folders.numbers()
        dialog = SaveDialog(self._presenter, numbers, number, self.author, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self._save(dialog))
        dialog.open()

    def _save(self, dialog: SaveDialog) -> None:
        self.author = dialog.author.text().strip()
        self._presenter.save(
            dialog.number,
            author=self.author,
            comments=dialog.comments.toPlainText().strip(),
            applies_to=dialog.applies_to.text().strip(),
            place=dialog.place,
            force=dialog.force.isChecked(),
        )

    def apply(self, reference: str) -> None:
        """Ask which run is to be focused with a version or an iteration."""
        runs = self._presenter.workspaces_of_kind("Events")
        ApplyDialog(self._window, reference, runs, lambda target: self._presenter.apply(reference, target)).open()

    def retire(self, reference: str) -> None:
        """Ask why a version is retired."""
        question = f"Why should version {reference} not be used any more? It stays on disk, unchanged."
        self._reason("Retire", question, lambda reason, author: self._presenter.retire(reference, reason, author))

    def unretire(self, reference: str) -> None:
        """Ask why a version is brought back."""
        question = f"Why should version {reference} be used again?"
        self._reason(
            "Undo retirement", question, lambda reason, author: self._presenter.unretire(reference, reason, author)
        )

    def _reason(self, title: str, question: str, then: Callable[[str, str], None]) -> None:
        def agreed(reason: str, author: str) -> None:
            self.author = author
            then(reason, author)

        fields = [("&Reason", "Kept with the version", ""), ("&Author", "Who decides this", self.author)]
        TextsDialog(self._window, title, question, fields, agreed).open()

    def label(self, number: int) -> None:
        """Ask for the name of an iteration."""
        text = self._presenter.session.iteration(number).label
        fields = [("&Name", "Shown in the tables instead of the number", text)]
        question = f"Name of iteration {number}:"
        TextsDialog(self._window, "Rename", question, fields, lambda name: self._presenter.label(number, name)).open()

    def remove(self, number: int) -> None:
        """Ask whether an iteration is to be forgotten."""
        ask(
            self._window,
            "Delete",
            f"Forget iteration {number} and delete the workspaces that it made? Saved versions stay.",
            yes="&Delete",
            no="&Keep",
            then=lambda: self._presenter.remove(number),
        )

    def clear(self, names: Sequence[str]) -> None:
        """Ask whether the session's workspaces are to be deleted."""
        count = f"the {len(names)} workspaces" if len(names) != 1 else "the workspace"
        ask(
            self._window,
            "Clear workspaces",
            f"Delete {count} that this calibration session made? Iterations and saved versions stay.",
            yes="&Clear workspaces",
            no="&Keep workspaces",
            then=self._presenter.clear_workspaces,
        )

    def demo(self) -> None:
        """Ask where the demonstration is to be."""
        fields = [("&Folder", "Made where it is not there; delete it when you are done", str(Path.home() / DEMO))]
        question = "Simulate a run of silicon in this folder, and calibrate it? That takes about a minute and 200 MB."
        TextsDialog(self._window, "Demonstration", question, fields, self._presenter.make_demo).open()

    def initialise(self) -> None:
        """Ask for the name of a new state."""

        def agreed(name: str, author: str) -> None:
            self.author = author
            self._presenter.initialise_state(name, author)

        fields = [
            ("&Name", "A name that people recognise the state by", self._presenter.form.proposed_name()),
            ("&Author", "Who initialises it", self.author),
        ]
        question = "Make the folder of this instrument state, with its default calibration."
        TextsDialog(self._window, "Initialise the state", question, fields, agreed).open()


class ApplyDialog(QDialog):
    """Asks which run is focused: one of the workspace list, a run number, or a NeXus file.

    Args:
        reference: What it is focused with.
        runs: Runs of the workspace list.
        then: Called with the run.
    """

    def __init__(self, parent: QWidget, reference: str, runs: Sequence[str], then: Callable[[str], None]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Apply")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(420)
        what = f"iteration {reference}" if reference.isdigit() else f"version {reference}"
        text = PlainLabel(f"Focus which run with {what}? A run that is not in the list is loaded.")
        text.setWordWrap(True)
        self.run = QComboBox()
        self.run.setEditable(True)
        self.run.addItems(list(runs))
        self.run.setAccessibleName("Run")
        self.run.setToolTip("A run of the workspace list, a run number, or the path of a NeXus file")
        line = self.run.lineEdit()
        if line is not None:
            line.setPlaceholderText("run of the list, run number or NeXus file")
        buttons = QDialogButtonBox()
        self.agree = buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        name_button(self.agree, "Focus the run; the spectra go into the workspace list")
        name_button(buttons.addButton(QDialogButtonBox.StandardButton.Cancel), "Change nothing")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(text)
        form.addRow("&Run", self.run)
        form.addRow(buttons)
        self.run.editTextChanged.connect(self._check)
        self.accepted.connect(lambda: then(self.run.currentText().strip()))
        self._check()

    def _check(self, *_: object) -> None:
        if self.agree is not None:
            self.agree.setEnabled(bool(self.run.currentText().strip()))
