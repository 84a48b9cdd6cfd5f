"""The row below everything: calibrate, cancel, how far the running step is, and what came of the last one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QWidget

from snapcal_workbench.panel.presenters.pace import Pace
from snapcal_workbench.panel.widgets.layouts import button
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked

CALIBRATE, ITERATE = "&Calibrate", "&Iterate"
CALIBRATE_TIP = "Run a calibration with these inputs (Ctrl+Return); earlier iterations stay"
CANCEL, CANCELLING = "Cancel", "Cancelling …"
CANCEL_TIP = "End the running step (Esc); nothing of it is kept, everything before it stays"


class RunBar(QWidget):
    """Buttons and progress. Where Calibrate cannot be pressed, the row says why."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pace = Pace()
        self._doing, self._found = "", ""
        self._busy = False
        self._outcome, self._obstacle = "", ""
        self.help = button("?", "What this panel does (F1)")
        self.help.setAccessibleName("Help")
        self.calibrate = button(CALIBRATE, CALIBRATE_TIP)
        self.cancel = button(CANCEL, CANCEL_TIP)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress")
        self.step = PlainLabel("")
        self.step.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.step.setAccessibleName("What is being done, or came of it")
        self.report = button("Report", "Open the HTML report of the shown iteration in the browser")
        self.report.setEnabled(False)
        self.script = button("Copy script", "Copy Python that runs the iterations again")
        self.clear = button("Clear workspaces …", "Delete the workspaces that this calibration session made")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.help, self.calibrate, self.cancel, self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.step, 1)
        for widget in (self.report, self.script, self.clear):
            layout.addWidget(widget)
        self.show_busy(False)

    def begin(self, earlier: Sequence[float] = ()) -> None:
        """A new step begins; `earlier` is the course of one like it, see `pace`."""
        self._pace.restart(earlier)
        self._doing, self._found, self._outcome = "", "", ""
        self.bar.setValue(0)

    def progressed(self, seconds: float, fraction: float, message: str) -> None:
        """The step is so far at this time (a clock's seconds)."""
        self.bar.setValue(int(1000 * fraction))
        self._pace.add(seconds, fraction)
        self._doing = message or self._doing
        self._say()

    @property
    def course(self) -> list[float]:
        """How long the step took, see `pace`."""
        return self._pace.course()

    def found(self, text: str) -> None:
        """The step has found something."""
        self._found = text
        self._say()

    def show_outcome(self, text: str) -> None:
        """Say what came of the last step."""
        self._outcome = text
        self._say()

    def show_obstacle(self, text: str) -> None:
        """Say why nothing can be calibrated with the inputs as they are; empty where it can."""
        self._obstacle = text
        self.show_busy(self._busy)

    def name_step(self, again: bool) -> None:
        """Name the button by what it does: calibrate a run at first, or again."""
        self.calibrate.setText(ITERATE if again else CALIBRATE)

    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None:
        """Say whether a step is running."""
        self._busy = busy
        self.calibrate.setEnabled(not busy and not self._obstacle)
        self.calibrate.setToolTip(unmarked(self._obstacle or CALIBRATE_TIP))
        self.cancel.setEnabled(busy and not cancelling)
        self.cancel.setText(CANCELLING if cancelling else CANCEL)
        self.bar.setVisible(busy)
        self._say()

    def _say(self) -> None:
        """What the running step does, has found last and still takes; else what came of the last one, what hinders."""
        running = "; ".join(part for part in (self._doing, self._found, self._pace.text()) if part)
        text = running if self._busy else self._obstacle or self._outcome
        self.step.setText(text or "Ready.")
        self.step.setToolTip(unmarked(text))
