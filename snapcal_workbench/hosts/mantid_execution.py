"""Running Mantid's own algorithms from Python, one at a time where they must be."""

from __future__ import annotations

import threading
from typing import Any

from mantid.api import AlgorithmManager, AlgorithmObserver, IAlgorithm

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress

ONE_AT_A_TIME = threading.RLock()
"""Held while an algorithm runs that reads or writes files or renames: Mantid's are not safe beside each other."""


def run_child(name: str, progress: Progress | None = None, **properties: Any) -> IAlgorithm:
    """Run an algorithm whose outputs do not appear in the workspace list; take them with `getProperty(...).value`.

    Raises:
        Cancelled: The user cancelled while it ran.
        RuntimeError: The algorithm failed.
    """
    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    algorithm.setChild(True)
    return _execute(algorithm, progress, properties)


def run_on_list(name: str, **properties: Any) -> IAlgorithm:
    """Run an algorithm on the workspace list: workspaces by name, outputs appear there.

    Raises:
        RuntimeError: The algorithm failed.
    """
    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    return _execute(algorithm, None, properties)


def _execute(algorithm: IAlgorithm, progress: Progress | None, properties: dict[str, Any]) -> IAlgorithm:
    algorithm.setLogging(False)
    algorithm.setRethrows(True)
    for key, value in properties.items():
        algorithm.setProperty(key, value)
    observer = _Watcher(algorithm, progress) if progress is not None else None
    try:
        with ONE_AT_A_TIME:
            algorithm.execute()
    except (KeyboardInterrupt, RuntimeError):
        if progress is not None:
            progress.check()
        raise
    finally:
        if observer is not None:
            observer.stopObserving(algorithm)
    if progress is not None and not algorithm.isExecuted():
        raise Cancelled("cancelled by the user")
    return algorithm


class _Watcher(AlgorithmObserver):
    """Passes an algorithm's progress on, and cancels it when the user has cancelled."""

    def __init__(self, algorithm: IAlgorithm, progress: Progress) -> None:
        super().__init__()
        self._algorithm, self._progress = algorithm, progress
        self.observeProgress(algorithm)

    def progressHandle(self, fraction: float, message: str = "", *_: object) -> None:
        try:
            self._progress.report(fraction, message)
        except Cancelled:
            self._algorithm.cancel()
