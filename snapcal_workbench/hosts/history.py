"""The operation history that every host keeps: which algorithm ran with which inputs, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.workspaces.protocol import Algorithm, I, O


class History:
    """Entries {"algorithm", "inputs", "started", "seconds", "outcome"}, oldest first.

    `outcome` is "running", "finished", "failed" or "cancelled"; inputs that have their default are left out.
    """

    def __init__(self) -> None:
        self._entries: list[dict[str, object]] = []
        self._lock = threading.Lock()

    def entries(self) -> Sequence[dict[str, object]]:
        """Copies of all entries."""
        with self._lock:
            return tuple(dict(entry) for entry in self._entries)

    def record(self, algorithm: Algorithm[I, O], inputs: I, work: Callable[[], O]) -> O:
        """Do the work of an algorithm and write down how it went; returns what it returns."""
        started = time.monotonic()
        entry: dict[str, object] = {
            "algorithm": algorithm.name,
            "inputs": inputs.model_dump(mode="json", exclude_defaults=True),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "outcome": "running",
        }
        with self._lock:
            self._entries.append(entry)
        outcome = "failed"
        try:
            outputs = work()
            outcome = "finished"
            return outputs
        except Cancelled:
            outcome = "cancelled"
            raise
        finally:
            with self._lock:
                entry.update(outcome=outcome, seconds=round(time.monotonic() - started, 3))
