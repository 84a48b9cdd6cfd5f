"""How each task of a batch stands, for the one table of its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from snapcal_workbench.batch.plan import Task
from snapcal_workbench.batch.results import Failure, Result

Stage = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Standing:
    """One task.

    Attributes:
        task: The task.
        stage: Where it is.
        fraction, message: How far it is, while it runs.
        worker: Process that does it.
        since: Time at which it was started (s, of `time.monotonic`).
        lost: How many workers were lost over it.
        outcome: What came of it.
        version: Reference of the version that was saved of it, or "".
        effect: Which runs that version takes, and from which versions, one sentence each; empty where it was saved
            before this start.
        kept: Whether it was done before this start of the batch.
    """

    task: Task
    stage: Stage = "waiting"
    fraction: float = 0.0
    message: str = ""
    worker: str = ""
    since: float = 0.0
    lost: int = 0
    outcome: Result | Failure | None = None
    version: str = ""
    effect: tuple[str, ...] = ()
    kept: bool = False


class Board:
    """The standings of all tasks.

    Args:
        tasks: Of the batch.
        on_change: Told of each new standing.
    """

    def __init__(self, tasks: Sequence[Task], on_change: Callable[[Standing], None] = lambda standing: None) -> None:
        self._standings = {task.key: Standing(task) for task in tasks}
        self._on_change = on_change

    @property
    def standings(self) -> list[Standing]:
        """In the order of the plan."""
        return list(self._standings.values())

    def results(self) -> dict[str, Result]:
        """Of the tasks that are done, by their keys."""
        return {key: s.outcome for key, s in self._standings.items() if isinstance(s.outcome, Result)}

    def told(self, key: str, worker: str, fraction: float, message: str) -> None:
        """A worker has told how far a task is; another one than before has it because that one was lost."""
        known = self._standings.get(key)
        if known is None or known.outcome is not None:
            return
        if known.worker == worker:
            self._put(replace(known, fraction=fraction, message=message))
            return
        lost = known.lost + bool(known.worker)
        self._put(
            replace(
                known,
                stage="running",
                fraction=fraction,
                message=message,
                worker=worker,
                since=time.monotonic(),
                lost=lost,
            )
        )

    def ended(self, key: str, outcome: Result | Failure, *, kept: bool = False) -> None:
        """A task has come to an end."""
        known = self._standings[key]
        stage: Stage = "done" if isinstance(outcome, Result) else "failed"
        lost = max(known.lost, outcome.lost) if isinstance(outcome, Result) else known.lost
        self._put(replace(known, stage=stage, fraction=1.0, message="", outcome=outcome, lost=lost, kept=kept))

    def saved(self, key: str, version: str, effect: tuple[str, ...] = ()) -> None:
        """A task's calibration is a version, which has an effect on runs."""
        self._put(replace(self._standings[key], version=version, effect=effect))

    def _put(self, standing: Standing) -> None:
        self._standings[standing.task.key] = standing
        self._on_change(standing)
