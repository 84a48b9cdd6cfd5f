"""Running Mantid's own algorithms from Python, one at a time where they must be.

Two rules, which old releases enforce by a crash and all of them by an error:

- A property is a bare pointer into its algorithm, so a value is taken while the algorithm lives, and only the value is
  handed out.
- An `AlgorithmObserver` takes algorithms of `AlgorithmManager.create` alone, not those of `createUnmanaged`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from mantid.api import AlgorithmManager, AlgorithmObserver, AnalysisDataService, FrameworkManager, IAlgorithm

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress

Taken = TypeVar("Taken")

ONE_AT_A_TIME = threading.RLock()
"""Held while an algorithm runs that reads or writes files or renames: Mantid's are not safe beside each other."""

_PASSING = "__snapcal_passing_"
_numbers = itertools.count(1)


def start_framework() -> None:
    """Start Mantid's framework, where nothing has yet: `mantid.api` alone knows no algorithm of Mantid's own."""
    FrameworkManager.Instance()


def run_child(name: str, *outputs: str, **properties: object) -> Any:
    """Run an algorithm whose outputs do not appear in the workspace list.

    Returns:
        The value of the output property that is named, or a tuple of them where several are.

    Raises:
        Cancelled: The user cancelled while it ran.
        RuntimeError: The algorithm failed.
    """
    algorithm = AlgorithmManager.createUnmanaged(name)
    _prepare(algorithm, properties, child=True)
    _execute(algorithm)
    return _values(algorithm, outputs)


def run_watched(name: str, progress: Progress, *outputs: str, **properties: object) -> Any:
    """As `run_child`, with progress, and cancelled when the user cancels there."""
    algorithm = AlgorithmManager.create(name)
    _prepare(algorithm, properties, child=True)
    watcher = _Watcher(algorithm, progress)
    try:
        _execute(algorithm)
    except RuntimeError:
        progress.check()
        raise
    finally:
        watcher.stopObserving(algorithm)
        _release(algorithm)
    if not algorithm.isExecuted():
        raise Cancelled("cancelled by the user")
    return _values(algorithm, outputs)


def run_on_list(name: str, **properties: object) -> None:
    """Run an algorithm on the workspace list: workspaces by name, outputs appear there.

    Raises:
        Cancelled: The user cancelled while it ran.
        RuntimeError: The algorithm failed.
    """
    algorithm = AlgorithmManager.createUnmanaged(name)
    _prepare(algorithm, properties, child=False)
    _execute(algorithm)


def run_past_list(
    name: str, take: Callable[[Any], Taken], *, given: str, appended: str = "", **properties: object
) -> Taken:
    """What `take` makes of an output that cannot be had as the value of a property.

    Older releases have no Python class for properties of GroupingWorkspace and TableWorkspace. The output passes
    through the list under a hidden name, of which `MantidWorkspaces` tells nobody, and is taken out of it again; `take`
    is called while it is there and must not return it.

    Args:
        name: Of the algorithm.
        take: Makes a copy, or values, of the workspace.
        given: The property that takes the name.
        appended: What the algorithm appends to the name.
        properties: All others.

    Raises:
        RuntimeError: The algorithm failed.
    """
    hidden = f"{_PASSING}{next(_numbers)}"
    try:
        run_on_list(name, **{given: hidden}, **properties)
        return take(AnalysisDataService.retrieve(hidden + appended))
    finally:
        if AnalysisDataService.doesExist(hidden + appended):
            AnalysisDataService.remove(hidden + appended)


@contextmanager
def kept(workspace: object) -> Iterator[None]:
    """While this is entered, a workspace stays in memory, even when it is deleted from the list meanwhile.

    What the list hands out does not keep it: `run()`, `spectrumInfo()` and the like would then point to nothing.
    """
    holder = AlgorithmManager.createUnmanaged("CloneWorkspace")
    holder.initialize()
    holder.setProperty("InputWorkspace", workspace)
    try:
        yield
    finally:
        del holder


def is_passing(name: str) -> bool:
    """Whether a name of the workspace list is one of `run_past_list`."""
    return name.startswith(_PASSING)


def _prepare(algorithm: IAlgorithm, properties: dict[str, object], *, child: bool) -> None:
    algorithm.initialize()
    algorithm.setChild(child)
    algorithm.setLogging(False)
    algorithm.setRethrows(True)
    for key, value in properties.items():
        algorithm.setProperty(key, value)


def _execute(algorithm: IAlgorithm) -> None:
    try:
        with ONE_AT_A_TIME:
            algorithm.execute()
    except KeyboardInterrupt as error:
        raise Cancelled("cancelled by the user") from error


def _values(algorithm: IAlgorithm, outputs: tuple[str, ...]) -> Any:
    values = tuple(algorithm.getProperty(output).value for output in outputs)
    return values[0] if len(values) == 1 else values


def _release(algorithm: IAlgorithm) -> None:
    """Take an algorithm out of those that Mantid keeps: they hold on to the workspaces that they made.

    A release that cannot do it lets go of them later.
    """
    with suppress(AttributeError, TypeError, RuntimeError):
        AlgorithmManager.removeById(algorithm.getAlgorithmID())


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
