"""Progress, messages and cancellation of a long step, the same in every host.

A fraction runs from 0 to 1 within its step. `report` and `check` raise `Cancelled` once the user has cancelled, so a
long loop calls one of them at least every 0.2 s and keeps its data consistent at that point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from snapcal_workbench.errors import Cancelled


def _silent(*_: object) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Progress:
    """Where a step reports to.

    Attributes:
        on_report: Called with (fraction of the whole, message).
        on_message: Called with (level, message); level is "information" or "warning".
        is_cancelled: Asked at every report and check.
        on_interim: Called with what a step has found so far, which is shown or dropped: `calibration.types.PixelPass`.
        start: Fraction of the whole at which this part starts.
        end: Fraction of the whole at which this part ends.
    """

    on_report: Callable[[float, str], None] = _silent
    on_message: Callable[[str, str], None] = _silent
    is_cancelled: Callable[[], bool] = field(default=lambda: False)
    start: float = 0.0
    end: float = 1.0
    on_interim: Callable[[object], None] = _silent

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the step is.

        Raises:
            Cancelled: If the user has cancelled.
        """
        self.check()
        self.on_report(self.start + (self.end - self.start) * min(max(fraction, 0.0), 1.0), message)

    def check(self) -> None:
        """Give the user the chance to cancel.

        Raises:
            Cancelled: If the user has cancelled.
        """
        if self.is_cancelled():
            raise Cancelled("cancelled by the user")

    def part(self, start: float, end: float) -> Progress:
        """The progress of a part of this step, from `start` to `end` of it."""
        width = self.end - self.start
        return replace(self, start=self.start + width * start, end=self.start + width * end)

    def remembering(self, warnings: list[str]) -> Progress:
        """This progress, which also appends every new warning to `warnings`."""

        def on_message(level: str, message: str) -> None:
            if level == "warning" and message not in warnings:
                warnings.append(message)
            self.on_message(level, message)

        return replace(self, on_message=on_message)

    def inform(self, message: str) -> None:
        """Tell the user something worth knowing."""
        self.on_message("information", message)

    def show(self, interim: object) -> None:
        """Hand on what was found so far, for whoever watches; it costs nothing where nobody does."""
        self.on_interim(interim)

    def warn(self, message: str) -> None:
        """Tell the user something that may spoil the result."""
        self.on_message("warning", message)
