"""Work off the GUI thread: one job at a time in a thread of its own, reports back by queued signals.

A job is a function of a `Progress`. What it reports is passed on at most every `INTERVAL` seconds, so that a fast loop
cannot flood the GUI. Cancelling is asked for by an event that the job's progress looks at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from snapcal_workbench.progress import Progress

INTERVAL = 0.1
"""Shortest time between two progress reports, s."""

Job = Callable[[Progress], Any]


class Worker(QObject):
    """Runs jobs one after the other; its signals arrive on the thread that made it.

    Signals:
        progressed: (fraction, message).
        said: (level, message).
        finished: (name of the job, result).
        failed: (name of the job, exception); `Cancelled` when it was cancelled.
    """

    progressed = Signal(float, str)
    said = Signal(str, str)
    finished = Signal(str, object)
    failed = Signal(str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._last = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, name: str, job: Job) -> bool:
        """Run a job; False when another one is still running."""
        if self.busy:
            return False
        self._cancel, self._last = threading.Event(), 0.0
        progress = Progress(self._report, self.said.emit, self._cancel.is_set)
        self._thread = threading.Thread(target=self._run, args=(name, job, progress), daemon=True, name=f"snapcal {name}")
        self._thread.start()
        return True

    def cancel(self) -> None:
        """Ask the running job to end; it answers within its next report."""
        self._cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the running job; True when none is running any more."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy

    def _run(self, name: str, job: Job, progress: Progress) -> None:
        try:
            result = job(progress)
        except BaseException as error:
            self.failed.emit(name, error)
        else:
            self.finished.emit(name, result)

    def _report(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if now - self._last >= INTERVAL or fraction >= 1.0:
            self._last = now
            self.progressed.emit(fraction, message)
