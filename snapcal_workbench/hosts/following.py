"""Whether the user has cancelled the step that this thread is in, for loops that no progress is handed to.

Reading a workspace has no progress of its own; a million spectra must be left all the same when the user cancels.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from snapcal_workbench.progress import Progress


class _Here(threading.local):
    progress: Progress = Progress()


_here = _Here()


@contextmanager
def following(progress: Progress) -> Iterator[None]:
    """While this is entered, `check_cancelled` on this thread asks `progress`."""
    before, _here.progress = _here.progress, progress
    try:
        yield
    finally:
        _here.progress = before


def check_cancelled() -> None:
    """Give the user the chance to cancel.

    Raises:
        Cancelled: If the user has cancelled.
    """
    _here.progress.check()
