"""The verdict on the shown iteration and its reasons, above whatever is shown of it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFrame, QGridLayout, QStyle, QToolButton, QWidget

from snapcal_workbench.calibration.types import Verdict
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked

_ICONS = {
    "good": QStyle.StandardPixmap.SP_DialogApplyButton,
    "usable": QStyle.StandardPixmap.SP_MessageBoxWarning,
    "not to be used": QStyle.StandardPixmap.SP_MessageBoxCritical,
}
ICON = 20
FEW = 2
"""Reasons that are seen without asking: the gravest, so that the pictures keep their room."""


class VerdictView(QFrame):
    """One line with the word, and below it the gravest reasons; all of them and the course when they are asked for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAccessibleName("Verdict")
        self._reasons: tuple[str, ...] = ()
        self._course = ""
        self.icon = PlainLabel("")
        self.icon.setFixedWidth(ICON)
        self.word = PlainLabel("")
        font = self.word.font()
        font.setBold(True)
        self.word.setFont(font)
        self.word.setWordWrap(True)
        self.reasons = PlainLabel("")
        self.reasons.setWordWrap(True)
        for label in (self.word, self.reasons):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.all = QToolButton()
        self.all.setCheckable(True)
        self.all.setToolTip("Show every reason, or the gravest alone")
        self.all.toggled.connect(lambda _: self._say())
        layout = QGridLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self.icon, 0, 0)
        layout.addWidget(self.word, 0, 1)
        layout.addWidget(self.all, 0, 2)
        layout.addWidget(self.reasons, 1, 1, 1, 2)
        self.setVisible(False)

    def show_verdict(self, name: str, verdict: Verdict | None) -> None:
        """Say what is to be thought of an iteration; None hides it."""
        self.setVisible(verdict is not None)
        if verdict is None:
            return
        self._reasons, self._course = verdict.told, verdict.course
        style = self.style() or QApplication.style()
        if style is not None:
            self.icon.setPixmap(style.standardIcon(_ICONS[verdict.word]).pixmap(ICON, ICON))
        self.word.setText(f"{name}: {verdict.word}.")
        self.setToolTip(unmarked("\n".join([*verdict.told, verdict.course])))
        self.all.setVisible(len(self._reasons) > FEW)
        self.all.setText(f"All {len(self._reasons)} reasons")
        self.all.setChecked(False)
        self._say()

    def _say(self) -> None:
        shown = self._reasons if self.all.isChecked() else self._reasons[:FEW]
        told = [*shown, self._course] if self.all.isChecked() or not shown else shown
        self.reasons.setText("\n".join(told))
        self.reasons.setVisible(any(told))
