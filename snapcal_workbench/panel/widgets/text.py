"""Text of people and files in Qt, which takes any text with a tag in it for a page unless it is told not to."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from snapcal_workbench.text import visible


class PlainLabel(QLabel):
    """A label that shows its text as it is."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show another text."""
        super().setText(visible(text or ""))


def unmarked(text: str) -> str:
    """Text for a tooltip or a message box, which cannot be told that it is plain."""
    text = visible(text)
    return f'<span style="white-space: pre-wrap">{html.escape(text)}</span>' if "<" in text else text
