"""The help of the panel: one page, in a window beside it that does not block."""

from __future__ import annotations

from importlib import resources

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.questions import name_button

PAGE = "help.md"


class HelpDialog(QDialog):
    """Shows the packaged page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Help of the SNAP calibration")
        self.setModal(False)
        self.page = QTextBrowser()
        self.page.setOpenExternalLinks(True)
        self.page.setAccessibleName("Help")
        self.page.setMarkdown(resources.files("snapcal_workbench.panel").joinpath(PAGE).read_text(encoding="utf-8"))
        buttons = QDialogButtonBox()
        name_button(buttons.addButton(QDialogButtonBox.StandardButton.Close), "Close the help")
        buttons.rejected.connect(self.hide)
        layout = QVBoxLayout(self)
        layout.addWidget(self.page)
        layout.addWidget(buttons)
        self.resize(720, 640)
