"""Jobs beside the window: each that was started ends with one signal, whatever is cancelled when."""

from __future__ import annotations

import threading

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.panel.tasks import Worker
from snapcal_workbench.progress import Progress


def ended(worker: Worker) -> list[tuple[str, object]]:
    """A list that gets the name and the outcome of each job that ends."""
    found: list[tuple[str, object]] = []
    worker.finished.connect(lambda name, result: found.append((name, result)))
    worker.failed.connect(lambda name, error: found.append((name, type(error))))
    return found


def test_a_job_that_waits_ends_as_cancelled(qtbot) -> None:
    """Also where the running one ends well all the same: it had nothing left to report."""
    worker, begun, going_on = Worker(), threading.Event(), threading.Event()
    found = ended(worker)

    def running(_: Progress) -> str:
        begun.set()
        going_on.wait(10.0)
        return "done"

    worker.start("running", running)
    worker.start("waiting", lambda progress: "was run")
    assert begun.wait(10.0)
    worker.cancel()
    going_on.set()
    qtbot.waitUntil(lambda: len(found) == 2 and not worker.busy, timeout=10_000)
    assert found == [("running", "done"), ("waiting", Cancelled)]


def test_no_job_is_lost_that_is_cancelled_as_soon_as_it_is_started(qtbot) -> None:
    """Whether or not the thread has taken it by then."""

    def looking(progress: Progress) -> str:
        for _ in range(1000):
            progress.check()
        return "done"

    worker = Worker()
    found = ended(worker)
    for number in range(200):
        worker.start(str(number), looking)
        worker.cancel()
    qtbot.waitUntil(lambda: len(found) == 200 and not worker.busy, timeout=20_000)
    assert [name for name, _ in found] == [str(number) for number in range(200)]
