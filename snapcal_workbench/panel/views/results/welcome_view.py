"""What is shown while there are no results: what to do first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.layouts import button, row
from snapcal_workbench.panel.widgets.text import PlainLabel

TITLE = "A calibration in three steps"
STEPS = (
    "1.  On the left, type the number of a run of a known powder, drop its NeXus file there, or take a recent run.",
    "2.  Look at what is found: calibrant and grouping are proposed, and what is wrong is said beside its field.",
    "3.  Press Calibrate. The verdict, the fitted spectra and the table of iterations come here.",
)
NO_RUN = "No run at hand? A simulated one shows how it goes:"
MOST = 4
"""Recent runs that have a button; all of them are in the menu beside the run."""


class WelcomeView(QWidget):
    """The first steps, a button that makes a simulated run, and one for each of the last runs.

    Signals:
        demo_asked: The user wants a simulated run.
    """

    demo_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 24)
        title = PlainLabel(TITLE)
        font = title.font()
        font.setPointSizeF(1.4 * font.pointSizeF())
        title.setFont(font)
        layout.addWidget(title)
        for text in STEPS:
            label = PlainLabel(text)
            label.setWordWrap(True)
            layout.addWidget(label)
        self._recent = QVBoxLayout()
        layout.addLayout(self._recent)
        self.demo = button(
            "Make the demonstration …",
            "Simulate a run of silicon with a known misalignment, calibrate it, and open it in a window of its own",
        )
        self.demo.clicked.connect(self.demo_asked.emit)
        layout.addLayout(row(PlainLabel(NO_RUN), self.demo))
        layout.addStretch(1)

    def show_recent(self, runs: Sequence[str], ask: Callable[[str], object]) -> None:
        """Offer the last runs; `ask` gets the one that is taken."""
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for run in runs[:MOST]:
            again = button(f"Run {run} again".replace("&", "&&"), "Fill in this run, as it was calibrated last")
            again.clicked.connect(partial(_without_checked, ask, run))
            self._recent.addWidget(again)


def _without_checked(ask: Callable[[str], object], run: str, *_: object) -> None:
    ask(run)
