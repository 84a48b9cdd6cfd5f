"""A batch from its plan to its page: tasks to workers, their results into a table, versions by a rule.

    <folder of the batch>/
        plan.json               the tasks: label, inputs, key
        tasks/<key>/            the session of a task, with result.json; saved.json once it is a version
        batch.html              what came of it
        lock, stop              held by the process that leads it; tells its workers to leave their tasks

A batch that was interrupted goes on when it is started again in the same folder: what is done is not repeated, what
failed is tried once more.
"""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from snapcal_workbench import __version__
from snapcal_workbench.batch.board import Board, Standing
from snapcal_workbench.batch.cluster import LOST_AT_MOST, Cluster
from snapcal_workbench.batch.plan import Plan, Task, check_calibrants
from snapcal_workbench.batch.ranking import Score, scores
from snapcal_workbench.batch.results import Failure, Result, finished
from snapcal_workbench.batch.saving import Saving, chosen, save_task
from snapcal_workbench.batch.worker import STOP, run_task, task_folder
from snapcal_workbench.errors import InputError, SnapcalError, StoreError
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.report.batch import BatchContents, BatchRow, save_batch_page

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK = 0.2
"""Seconds between two looks whether the user has cancelled."""
Event = tuple[str, str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a batch.

    Attributes:
        folder: Of the batch.
        page: Its HTML page.
        standings: Of all tasks, in the order of the plan.
        scores: Of the tasks that are done, by their keys.
        unsaved: Why calibrations that were to be saved were not, by their keys.
    """

    folder: Path
    page: Path
    standings: tuple[Standing, ...]
    scores: dict[str, Score]
    unsaved: dict[str, Failure]

    @property
    def failures(self) -> list[Failure]:
        """Of tasks, and of versions that could not be saved."""
        return [*(s.outcome for s in self.standings if isinstance(s.outcome, Failure)), *self.unsaved.values()]


def run_batch(
    plan: Plan,
    settings: Settings,
    folder: Path,
    cluster: Cluster,
    *,
    saving: Saving | None = None,
    on_change: Callable[[Standing], None] = lambda standing: None,
    progress: Progress | None = None,
) -> Outcome:
    """Do all tasks of a plan, rank and save what came out, and write the page.

    A task that fails stops no other. With workers on this machine the caller must be importable without starting a
    batch itself, as for any use of `multiprocessing` (`if __name__ == "__main__":` in a script).

    Args:
        plan: The tasks.
        settings: Where things are.
        folder: Of the batch; made where it does not exist, else the batch in it goes on. All workers must see it.
        cluster: The workers.
        saving: Which calibrations become versions; None: none does.
        on_change: Told of every change of a task.
        progress: Lets the user cancel; what is done then stays.

    Raises:
        InputError: Another process leads the batch, the workers cannot be started, a task has no calibrant, or the
            condition of what is to be saved does not fit; told before anything is begun.
        NotFoundError: There is no such calibrant; likewise.
        StoreError: The folder cannot be written.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    check_calibrants(plan, settings)
    board = Board(plan.tasks, on_change)
    with _led(folder):
        _write_plan(folder, plan)
        _take_over(board, folder)
        waiting = [standing.task for standing in board.standings if standing.stage == "waiting"]
        if waiting:
            _work(waiting, board, settings, folder, cluster.for_tasks(len(waiting)), progress)
        scored = scores(board.results())
        unsaved = _save(board, scored, settings, folder, saving, progress) if saving else {}
        page = _write_page(plan, board.standings, scored, folder, unsaved, cluster, progress)
    return Outcome(folder, page, tuple(board.standings), scored, unsaved)


@contextmanager
def _led(folder: Path) -> Iterator[None]:
    """Be the only process that leads the batch."""
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            "A batch is led by one process.", found=f"another one has {folder}", fix="Wait for it, or end it first."
        ) from error
    except OSError as error:
        raise StoreError(
            f"The folder of the batch {folder} must be writable.",
            found=str(error),
            fix="Choose another one with --directory.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _write_plan(folder: Path, plan: Plan) -> None:
    tasks = [{"key": t.key, "label": t.label, "request": t.request.model_dump(mode="json")} for t in plan.tasks]
    content = {"name": plan.name, "software": __version__, "tasks": tasks}
    replace_file(folder / "plan.json", json.dumps(content, indent=1).encode(), "the plan of a batch")


def _take_over(board: Board, folder: Path) -> None:
    """What was done before this start."""
    for standing in board.standings:
        if (found := finished(task_folder(folder, standing.task))) is not None:
            board.ended(standing.task.key, found, kept=True)


def _work(
    tasks: Sequence[Task], board: Board, settings: Settings, folder: Path, cluster: Cluster, progress: Progress
) -> None:
    """Give the tasks to the workers, and follow them until all have ended."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    stop = folder / STOP
    stop.unlink(missing_ok=True)
    progress.inform(cluster.text)
    with cluster.client(folder) as client:
        futures = _submitted(client, tasks, settings, folder, cluster.threads, events)
        try:
            _follow(futures, events, board, progress)
        except BaseException:
            stop.touch()
            with suppress(Exception):  # the workers end all the same
                client.cancel(list(futures.values()), force=True)
            raise


def _submitted(
    client: Client,
    tasks: Sequence[Task],
    settings: Settings,
    folder: Path,
    threads: int,
    events: queue.SimpleQueue[Event],
) -> dict[str, Future]:
    """The tasks at the scheduler, by their keys; what happens goes into `events`."""
    start = f"snapcal-{uuid.uuid4().hex[:12]}"  # a scheduler that others use, too, must not take it for another start
    client.subscribe_topic(start, lambda event: events.put(("told", event[1]["key"], event[1])))
    if not client.scheduler_info()["workers"]:
        events.put(("warn", "", "There are no workers yet; the tasks wait for them."))
    futures = {}
    for task in tasks:
        future = client.submit(
            run_task, task, settings, folder, threads, __version__, start, key=f"{start}-{task.key}", pure=False
        )
        futures[task.key] = future
        future.add_done_callback(lambda done, key=task.key: events.put(("done", key, done)))
    return futures


def _follow(futures: dict[str, Future], events: queue.SimpleQueue[Event], board: Board, progress: Progress) -> None:
    left = set(futures)
    while left:
        progress.report(1.0 - len(left) / len(futures), f"{len(left)} of {len(futures)} tasks to do")
        try:
            kind, key, value = events.get(timeout=_LOOK)
        except queue.Empty:
            continue
        if kind == "warn":
            progress.warn(value)
        elif kind == "told":
            board.told(key, value["process"], value["fraction"], value["message"])
        else:
            board.ended(key, _outcome(value))
            left.discard(key)


def _outcome(future: Future) -> Result | Failure:
    """What a task that has ended returned, or what became of it."""
    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        return Failure(
            "KilledWorker",
            f"The task has lost {LOST_AT_MOST + 1} workers, and was given up.",
            "they ended, or needed more memory than a worker may use",
            "Give the workers more memory (--memory), calibrate lite pixels, or fewer runs at a time.",
        )
    found = f"{type(error).__name__}: {error}" if error is not None else f"it is {future.status}"
    fix = "Start the batch again: what is done is not repeated."
    return Failure("Lost", "The scheduler or the worker did not give the task back.", found, fix)


def _save(
    board: Board, scored: dict[str, Score], settings: Settings, folder: Path, saving: Saving, progress: Progress
) -> dict[str, Failure]:
    """Publish what the rule says; why what was not saved was not."""
    results = board.results()
    tasks = {standing.task.key: standing.task for standing in board.standings}
    unsaved = {}
    for key in chosen(saving.rule, results, scored):
        place = task_folder(folder, tasks[key])
        try:
            saved = save_task(tasks[key], results[key], scored[key], place, settings, saving, progress)
            board.saved(key, saved.reference, saved.effect)
        except SnapcalError as error:
            unsaved[key] = Failure.of(error)
    return unsaved


def _write_page(
    plan: Plan,
    standings: Sequence[Standing],
    scored: dict[str, Score],
    folder: Path,
    unsaved: dict[str, Failure],
    cluster: Cluster,
    progress: Progress,
) -> Path:
    rows = [_row(standing, scored.get(standing.task.key), unsaved.get(standing.task.key)) for standing in standings]
    contents = BatchContents(plan.name, tuple(rows), {"Workers": cluster.text, "Folder": str(folder)})
    return save_batch_page(folder, contents, progress)


def _row(standing: Standing, score: Score | None, unsaved: Failure | None) -> BatchRow:
    outcome = standing.outcome
    if outcome is None or isinstance(outcome, Failure):
        return BatchRow(standing.task.label, failed=outcome.text if outcome else "It was not done.")
    assert score is not None  # every result has one
    return BatchRow(
        label=standing.task.label,
        family=score.family,
        error_ppm=score.error_ppm,
        uncertainty_ppm=score.uncertainty_ppm,
        peaks=score.peaks,
        best=score.best,
        as_good=score.as_good,
        word=outcome.word,
        reasons=outcome.reasons,
        warnings=outcome.warnings,
        pixel_error_ppm=outcome.pixel_error_ppm,
        masked=outcome.masked / max(outcome.n_pixels, 1),
        seconds=outcome.seconds,
        lost=standing.lost,
        version=standing.version,
        unsaved=unsaved.text if unsaved else "",
        folder=f"tasks/{standing.task.key}",
    )
