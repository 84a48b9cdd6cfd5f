"""The self-test in a window: it runs beside the GUI thread, and its page can be copied and saved."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.panel.tasks import Worker
from snapcal_workbench.self_test.page import make_page

PERCENT = 100

_dialog: SelfTestDialog | None = None


def show() -> SelfTestDialog:
    """Run the self-test in a window of its own, or raise the one that is open."""
    global _dialog
    if _dialog is None or not _dialog.isVisible():
        _dialog = SelfTestDialog()
        _dialog.run()
    _dialog.show()
    _dialog.raise_()
    return _dialog


class SelfTestDialog(QDialog):
    """Shows how far the self-test is, and then its page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Self-test of the SNAP calibration")
        self.setModal(False)
        self._worker = Worker(self)
        self._worker.progressed.connect(self._show_progress)
        self._worker.finished.connect(self._finished)
        self._worker.failed.connect(self._failed)
        self.step = QLabel("Each check runs in a process of its own; this takes a few minutes.")
        self.bar = QProgressBar()
        self.page = QPlainTextEdit()
        self.page.setReadOnly(True)
        self.page.setAccessibleName("Page of the self-test")
        self.page.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.page.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._lay_out()

    def _lay_out(self) -> None:
        buttons = QDialogButtonBox()
        self.copy, self.save = QPushButton("Copy"), QPushButton("Save…")
        for button, clicked in ((self.copy, self._copy), (self.save, self._save)):
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
            button.clicked.connect(clicked)
        buttons.addButton(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (self.step, self.bar, self.page, buttons):
            layout.addWidget(widget)
        for button in (self.copy, self.save):
            button.setEnabled(False)
        self.resize(900, 640)

    def _finished(self, _: str, page: object) -> None:
        self._show_page(str(page))

    def _failed(self, _: str, error: BaseException) -> None:
        self._show_page(f"The self-test itself failed: {error}")

    def run(self) -> None:
        """Start the checks."""
        self._worker.start("self-test", make_page)

    def reject(self) -> None:
        """Close the window, and end the checks that run."""
        self._worker.cancel()
        super().reject()

    def _show_progress(self, fraction: float, message: str) -> None:
        self.bar.setValue(round(PERCENT * fraction))
        self.step.setText(message)

    def _show_page(self, text: str) -> None:
        self.bar.setValue(PERCENT)
        self.step.setText("Send this page to the authors where something is not well.")
        self.page.setPlainText(text)
        for button in (self.copy, self.save):
            button.setEnabled(True)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.page.toPlainText())

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the page", "snapcal-self-test.txt", "Text (*.txt)")
        if not name:
            return
        try:
            Path(name).write_text(self.page.toPlainText() + "\n", encoding="utf-8")
        except OSError as error:
            self.step.setText(f"The page could not be saved: {error}")
