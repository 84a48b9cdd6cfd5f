"""What is known of the form's run, below it; always of one size, so that nothing moves when a run is recognised."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.layouts import button
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.session import RunSummary
from snapcal_workbench.session.versions import Described
from snapcal_workbench.text import visible

LINES = 4
NOTHING = "What is known of the run stands here: its title, the state of the instrument, and which calibration it uses."


class RunView(QFrame):
    """Title, state, setting, counts and the calibration that the run uses today."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.lines = PlainLabel(NOTHING)
        self.lines.setWordWrap(True)
        self.lines.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.lines.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.applies = PlainLabel("")
        self.applies.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.initialise = button("Initialise this state …", "Make the folder that its calibrations are saved in")
        for label in (self.lines, self.applies):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        bottom = QHBoxLayout()
        bottom.addWidget(self.applies, 1)
        bottom.addWidget(self.initialise)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self.lines)
        layout.addLayout(bottom)
        spacing = self.fontMetrics().lineSpacing()
        self.lines.setFixedHeight(LINES * spacing)
        self.applies.setFixedHeight(max(spacing, self.initialise.sizeHint().height()))
        self.initialise.setVisible(False)

    def text(self) -> str:
        """All that is said."""
        return "\n".join(text for text in (self.lines.text(), self.applies.text()) if text)

    def show_run(self, summary: RunSummary | None, versions: Described | None) -> None:
        """Say what is known of a run, or that none is."""
        self.initialise.setVisible(summary is not None and not summary.state_exists)
        if summary is None:
            self.lines.setText(NOTHING)
            self._say_applies("", "")
            self.lines.setToolTip("")
            return
        lines = lines_of(summary)
        room = max(self.lines.width(), 100)
        cut = self.fontMetrics().elidedText
        self.lines.setText("\n".join(cut(visible(line), Qt.TextElideMode.ElideMiddle, room) for line in lines))
        self.lines.setToolTip(unmarked("\n".join([*lines, *summary.files])))
        self._say_applies(*applying(summary, versions))

    def _say_applies(self, text: str, tip: str) -> None:
        self.applies.setText(text)
        self.applies.setToolTip(unmarked(tip or text))


def lines_of(summary: RunSummary) -> list[str]:
    """What is known of a run, in lines."""
    place = f", {summary.ipts.rpartition('/')[2]}" if summary.ipts else ""
    named = f"{summary.state_name}, " if summary.state_name else ""
    events = "" if summary.events is None else f"{summary.events:,} events, "
    return [
        summary.title or "no title",
        f"{named}state {summary.state_id}",
        setting_of(summary),
        f"{events}{summary.proton_charge:.4g} µAh, {summary.start_time[:16].replace('T', ' ')}{place}",
    ]


def setting_of(summary: RunSummary) -> str:
    """Wavelength and arcs, in words."""
    parts = [] if summary.wavelength is None else [f"λ {summary.wavelength:g} Å"]
    if summary.arcs:
        parts.append("arcs " + " and ".join(f"{arc:.5g}°" for arc in summary.arcs))
    return ", ".join(parts) or "no wavelength"


def applying(summary: RunSummary, versions: Described | None) -> tuple[str, str]:
    """Which calibration the run uses today and how good it is, short and in full."""
    if not summary.state_exists:
        return "No calibration can be saved yet.", "The state has no folder yet."
    items = versions["versions"] if versions else ()
    item = next((item for item in items if item["standing"] == "used for this run"), None)
    saved = sum(1 for item in items if item["version"] > 0 and item["retired"] is None)
    others = f"{saved} saved in this state" if saved else "none is saved in this state"
    if item is None:
        return f"No calibration applies; {others}.", ""
    if item["version"] == 0:
        return f"Only the default applies; {others}.", "The default is computed from the geometry in the logs."
    quality = f", {item['quality']}" if item.get("quality") else ""
    text = f"Uses version {item['version']} of run {item['runNumber']}{quality}."
    return text, f"{text}\n{item['comments'] or ''}\n{others}"
