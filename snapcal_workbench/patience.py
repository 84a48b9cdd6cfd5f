"""A time limit for a disk that does not answer: a network disk that was pulled away lets every call on it hang.

No call of the operating system on such a disk can be ended, not even by a signal. So the work of the store runs in a
thread of its own, which gives a sign of life with each of its calls. When none has come for too long, the caller gets
an error in one sentence, and the thread stops at its next sign, should the disk ever answer.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from snapcal_workbench.errors import StoreError

R = TypeVar("R")


class _Worker(threading.Thread):
    """A thread that does one piece of work. `sign` is when it last gave a sign of life."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(name="snapcal store", daemon=True)
        self._work = work
        self.done = threading.Event()
        self.sign = time.monotonic()
        self.is_abandoned = False
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work; keep what comes out."""
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


def sign_of_life() -> None:
    """Say that the disk answers.

    Raises:
        OSError: Nobody waits for this work any more.
    """
    thread = threading.current_thread()
    if isinstance(thread, _Worker):
        if thread.is_abandoned:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        thread.sign = time.monotonic()


def with_patience(limit: float, place: Path, work: Callable[[], R]) -> R:
    """Do work on a disk, and wait for it as long as it gives signs of life.

    Args:
        limit: Seconds without a sign after which waiting ends.
        place: Where the work is done; used in the message.
        work: What is done, in a thread of its own; within such work it is simply called.

    Raises:
        StoreError: The disk does not answer.
        Exception: What the work raises.
    """
    if isinstance(threading.current_thread(), _Worker):
        return work()
    worker = _Worker(work)
    worker.start()
    try:
        while not worker.done.wait(max(limit - (time.monotonic() - worker.sign), 0.01)):
            if time.monotonic() - worker.sign >= limit:
                raise _no_answer(limit, place)
    finally:
        worker.is_abandoned = not worker.done.is_set()
    if worker.error is not None:
        raise worker.error
    return worker.result  # type: ignore[return-value]


def _no_answer(limit: float, place: Path) -> StoreError:
    return StoreError(
        f"The disk of {place} has not answered for {limit:.0f} seconds.",
        found="a call on it that does not come back; whether the last step was done cannot be told",
        fix="Mount that disk anew, or ask who looks after it; then list the versions before you save again.",
    )
