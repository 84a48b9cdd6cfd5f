"""What a worker does: one task, the same calibration as everybody's, in the folder of the task."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from snapcal_workbench import __version__
from snapcal_workbench.batch.plan import Task
from snapcal_workbench.batch.results import Failure, Result, finished, keep
from snapcal_workbench.calibration.chunks import limit_threads
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session

PACE = 0.5
"""Seconds between two reports of a task, and between two looks whether the batch was stopped. At half of it a thousand
workers would keep their scheduler busy; at twice the table moves in jerks."""
STOP = "stop"
"""File in the folder of a batch that tells the workers to leave their tasks."""

Report = Callable[[dict[str, object]], None]


def task_folder(batch: Path, task: Task) -> Path:
    """Where a task lives: the folder of a session."""
    return batch / "tasks" / task.key


def run_task(task: Task, settings: Settings, batch: Path, threads: int, version: str, topic: str) -> Result | Failure:
    """Calibrate, in a worker; a task that is done already is not repeated.

    Args:
        task: The task.
        settings: Where things are.
        batch: Folder of the batch, which all workers see.
        threads: That the worker may use.
        version: Of the software that made the plan.
        topic: Of Dask's events under which progress is told.

    Returns:
        The figures, or why there are none.

    Raises:
        Cancelled: The batch was stopped.
    """
    from distributed import get_worker

    worker = get_worker()
    if version != __version__:
        fix = "Start the workers in the environment of the batch."
        return Failure("InputError", "A worker has other software.", f"{__version__} instead of {version}", fix, 2)
    name = f"{socket.gethostname()}:{os.getpid()}"

    def report(item: dict[str, object]) -> None:
        worker.log_event(topic, {"key": task.key, "process": name, **item})

    limit_threads(threads)
    report({"fraction": 0.0, "message": "started"})
    return calibrated(task, settings, batch, report, name)


def calibrated(task: Task, settings: Settings, batch: Path, report: Report, worker: str) -> Result | Failure:
    """Calibrate in the folder of the task; arguments, result and errors as for `run_task`."""
    folder = task_folder(batch, task)
    try:
        if (found := finished(folder)) is not None:
            return found
        session = Session(EmbeddedHost(settings), folder)
        try:
            session.calibrate(task.request, _progress(batch, report), report=False)
        finally:
            session.close()
        done = finished(folder)
        assert done is not None  # it was kept just now
        result = replace(done, worker=worker)
        keep(folder, result)
    except SnapcalError as error:
        return Failure.of(error)
    except MemoryError as error:
        return Failure("MemoryError", "There is not enough memory.", str(error), "Give the workers more memory.")
    except Exception as error:
        fix = "What other tasks made is untouched. Tell whoever maintains the program."
        return Failure(type(error).__name__, "The program has a fault.", f"{type(error).__name__}: {error}", fix)
    return result


def _progress(batch: Path, report: Report) -> Progress:
    """Reports, and asks whether the batch was stopped, at a pace that costs nothing."""
    stop, told, asked = batch / STOP, [0.0], [0.0, 0.0]

    def on_report(fraction: float, message: str) -> None:
        if time.monotonic() - told[0] >= PACE:
            told[0] = time.monotonic()
            report({"fraction": fraction, "message": message})

    def is_cancelled() -> bool:
        if time.monotonic() - asked[0] >= PACE:
            asked[:] = time.monotonic(), float(stop.exists())
        return bool(asked[1])

    return Progress(on_report=on_report, is_cancelled=is_cancelled)
