"""The help of the panel: one page, in a window beside it that does not block."""

from __future__ import annotations

from importlib import resources

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.questions import name_button

PAGE = "help.md"
PICTURE_WIDTH = 860
"""Of the pictures in the page, px: the page without its margins."""


class _Page(QTextBrowser):
    """A page whose pictures, which are packaged beside it, are as wide as it is."""

    def loadResource(self, kind: int, name: QUrl) -> object:  # noqa: N802 - Qt's name
        """A picture of the page."""
        picture = QPixmap()
        path = resources.files("snapcal_workbench.panel").joinpath(name.path())
        if not name.path().endswith(".png") or not path.is_file() or not picture.loadFromData(path.read_bytes()):
            return super().loadResource(kind, name)
        return picture.scaledToWidth(PICTURE_WIDTH, Qt.TransformationMode.SmoothTransformation)


class HelpDialog(QDialog):
    """Shows the packaged page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Help of the SNAP calibration")
        self.setModal(False)
        self.page = _Page()
        self.page.setOpenExternalLinks(True)
        self.page.setAccessibleName("Help")
        self.page.setMarkdown(resources.files("snapcal_workbench.panel").joinpath(PAGE).read_text(encoding="utf-8"))
        buttons = QDialogButtonBox()
        name_button(buttons.addButton(QDialogButtonBox.StandardButton.Close), "Close the help")
        buttons.rejected.connect(self.hide)
        layout = QVBoxLayout(self)
        layout.addWidget(self.page)
        layout.addWidget(buttons)
        self.resize(940, 760)
