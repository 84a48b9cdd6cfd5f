"""Work off the GUI thread: jobs one at a time in a thread of their own, which report back by queued signals.

A job is a function of a `Progress`. What it reports is passed on at most every `INTERVAL` seconds, so that a fast loop
cannot flood the GUI. Cancelling is asked for by an event that the job's progress looks at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QObject, Signal

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress

INTERVAL = 0.1
"""Shortest time between two progress reports, s."""

Job = Callable[[Progress], object]


class Worker(QObject):
    """Runs jobs one after the other, in the order in which they came; its signals arrive on the thread that made it.

    Signals:
        progressed: (fraction, message).
        said: (level, message).
        interim: What the job has found so far.
        finished: (name of the job, result).
        failed: (name of the job, exception); `Cancelled` when it was cancelled.
    """

    progressed = Signal(float, str)
    said = Signal(str, str)
    interim = Signal(object)
    finished = Signal(str, object)
    failed = Signal(str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None
        self._waiting: list[tuple[str, Job]] = []
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._last = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        with self._lock:
            return self._thread is not None

    def start(self, name: str, job: Job) -> None:
        """Run a job once those that were started before it have ended."""
        with self._lock:
            self._waiting.append((name, job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="snapcal panel")
                self._thread.start()

    def cancel(self) -> None:
        """Ask the running job to end, which it does at its next report; those that wait end without being run.

        Each of them says that it failed, also one that the thread has not taken yet: who started it waits for that.
        """
        with self._lock:
            self._waiting = [(name, _cancelled) for name, _ in self._waiting]
            self._cancel.set()

    def wait(self, timeout: float) -> bool:
        """Wait for all jobs; True when none is left."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.busy

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                name, job = self._waiting.pop(0)
                self._cancel, self._last = threading.Event(), 0.0
            tell = Progress(self._report, self.said.emit, self._cancel.is_set, on_interim=self.interim.emit)
            self._do(name, job, tell)

    def _do(self, name: str, job: Job, progress: Progress) -> None:
        with suppress(RuntimeError):  # the window was closed and deleted meanwhile
            try:
                outcome, signal = job(progress), self.finished
            except BaseException as error:
                outcome, signal = error, self.failed
            signal.emit(name, outcome)

    def _report(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if now - self._last >= INTERVAL or fraction >= 1.0:
            self._last = now
            self.progressed.emit(fraction, message)


def _cancelled(_: Progress) -> object:
    raise Cancelled("cancelled by the user")


class Newest(Worker):
    """Runs one job at a time; of those that come meanwhile only the newest waits."""

    def start(self, name: str, job: Job) -> None:
        """Run a job, in the place of whatever waits."""
        with self._lock:
            self._waiting.clear()
        super().start(name, job)
