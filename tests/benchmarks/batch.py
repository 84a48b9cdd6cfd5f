"""What a second worker brings: the same study by one worker and by two, and one worker with two threads.

Run with `python tests/benchmarks/batch.py [EVENTS] [TASKS]`. All figures are of one run on one machine; the ratios say
more than the seconds, and the load that others put on the machine, printed before each row, limits them: a core that is
taken cannot be used twice. The start of the workers is not counted; it is in a column of its own. The figure that shows
how well tasks go beside each other is the processor time, which should not grow with the workers.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from snapcal_workbench.batch.board import Standing
from snapcal_workbench.batch.cluster import Cluster
from snapcal_workbench.batch.plan import Plan, plan_of_runs
from snapcal_workbench.batch.running import run_batch
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree

MEMORY = 1.5


class Followed:
    """Times of the first start of a task and of the last end, and the largest memory of a worker (bytes)."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.most = 0
        self._ended = threading.Event()

    def __call__(self, standing: Standing) -> None:
        if standing.stage == "running" and not self.first:
            self.first = time.perf_counter()
        if standing.stage in ("done", "failed"):
            self.last = time.perf_counter()

    def __enter__(self) -> Followed:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(0.1):
            for child in own.children(recursive=True):
                try:
                    self.most = max(self.most, child.memory_info().rss)
                except psutil.Error:
                    continue


def measured(plan: Plan, settings: Settings, cluster: Cluster) -> tuple[float, float, float, int]:
    """Seconds of all tasks, of the start before them, of the processor, and the most memory of a worker."""
    folder = Path(tempfile.mkdtemp(prefix="batch-"))
    used = os.times()
    begin = time.perf_counter()
    with Followed() as followed:
        outcome = run_batch(plan, settings, folder, cluster, on_change=followed)
    assert not outcome.failures, outcome.failures[0].text
    processor = os.times().children_user + os.times().children_system - used.children_user - used.children_system
    shutil.rmtree(folder)
    return followed.last - followed.first, followed.first - begin, processor, followed.most


def main(events: int, tasks: int) -> None:
    """Print the table."""
    directory = Path(tempfile.mkdtemp(prefix="batch-")) / "tree"
    simulate_into_tree(
        directory,
        run=58882,
        calibrant="Silicon_NIST_640d_001",
        events=events,
        seed=7,
        time_offset=-8.0,
        peak_shape="gaussian",
        progress=Progress(),
    )
    settings = SimulatedTree(directory).settings
    thresholds = [f"{0.4 + 0.01 * number:g}" for number in range(tasks)]
    inputs = {"calibrant": "Silicon_NIST_640d_001", "grouping": "Column"}
    plan = plan_of_runs(["58882"], inputs, {"pixels.threshold": thresholds}, settings)
    one, two = (Cluster.of(settings, workers=number, memory=MEMORY) for number in (1, 2))
    console, table = Console(), Table(title=f"{tasks} tasks of {events:,} events on {os.cpu_count()} cores")
    for head in (
        "workers",
        "threads",
        "tasks (s)",
        "start (s)",
        "processor (s)",
        "memory (GiB)",
        "gain",
        "load before",
    ):
        table.add_column(head, justify="right")
    reference = 0.0
    measured(Plan("warm", plan.tasks[:1]), settings, one)  # compiles what is compiled once
    for cluster in (replace(one, threads=1), replace(two, threads=1), replace(one, threads=2)):
        load = os.getloadavg()[0]
        seconds, start, processor, most = measured(plan, settings, cluster)
        reference = reference or seconds
        row = (f"{seconds:.1f}", f"{start:.1f}", f"{processor:.1f}", f"{most / 2**30:.2f} of {MEMORY}")
        table.add_row(str(cluster.workers), str(cluster.threads), *row, f"{reference / seconds:.2f}", f"{load:.1f}")
    console.print(table)
    shutil.rmtree(directory.parent)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 6)
