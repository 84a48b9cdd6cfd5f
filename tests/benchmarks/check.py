"""How long `snapcal check` takes: seconds, not minutes.

Run with `python tests/benchmarks/check.py [EVENTS …]`. A run is calibrated and saved as a version, and a later run of
the same alignment with so many events is checked: by a powder that is named, by one that is found out, and by pixels.
Figures are of one run on one machine; the first check in a process compiles and reads what later ones do not, and is
not counted. The last row is the command as a cron job starts it. The processor time says more than the wall time where
others use the machine, too; the load before each row is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.facility.check import RunCheck, check_run
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_init import init_state

SILICON = "Silicon_NIST_640d_001"
CALIBRATED, LATER = 58882, 58890
CALIBRATED_EVENTS = 4_000_000


def simulated(directory: Path, run: int, events: int) -> Settings:
    """Simulate a run, always with the same alignment; returns the settings of the tree."""
    simulate_into_tree(
        directory,
        run=run,
        calibrant=SILICON,
        events=events,
        seed=7,
        time_offset=-8.0,
        peak_shape="gaussian",
        progress=Progress(),
    )
    return SimulatedTree(directory).settings


def with_version(settings: Settings) -> None:
    """Calibrate the first run, and save that."""
    run = str(CALIBRATED)
    state = identify_run(RunRequest((run,), SNAP.lite), settings).state
    init_state(settings, state, name="benchmark", run_number=run, author="benchmark", progress=Progress())
    session = Session(EmbeddedHost(settings))
    request = session.new_request(runs=(run,), calibrant=SILICON, grouping="Column")
    session.calibrate(request, Progress(), report=False)
    session.save(1, author="benchmark", comments="benchmark", force=True, progress=Progress())
    session.close()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time of something and of the processes that it starts, s."""
    before, wall = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - wall, os.times()
    return wall, sum(after[:4]) - sum(before[:4])


def row(table: Table, events: int, how: str, work: Callable[[], object], verdict: str = "") -> None:
    """Measure, and add a row."""
    load = os.getloadavg()[0]
    wall, used = timed(work)
    table.add_row(f"{events:,}", how, f"{wall:.1f}", f"{used:.1f}", verdict, f"{load:.1f}")


def add_rows(table: Table, directory: Path, events: int) -> None:
    """Make a tree, and measure each way of checking."""
    with_version(simulated(directory, CALIBRATED, CALIBRATED_EVENTS))
    settings, run = simulated(directory, LATER, events), str(LATER)
    ways: dict[str, Callable[[], RunCheck]] = {
        "peaks, powder named": lambda: check_run(run, settings, SNAP.lite, powder=SILICON),
        "peaks, powder found out": lambda: check_run(run, settings, SNAP.lite),
        "pixels": lambda: check_run(run, settings, SNAP.lite, method="pixels"),
    }
    for how, work in ways.items():
        verdict = work().verdict
        row(table, events, how, work, verdict)
    config = str(SimulatedTree(directory).config_path)
    command = (sys.executable, "-m", "snapcal_workbench.cli", "--config", config, "check", run)
    row(table, events, "the command", lambda: subprocess.run(command, capture_output=True, check=False))


def main(sizes: list[int]) -> None:
    """Print the table."""
    table = Table(title=f"snapcal check, lite pixels, {os.cpu_count()} cores")
    for head in ("events", "check", "wall (s)", "processor (s)", "verdict", "load before"):
        table.add_column(head, justify="right")
    for events in sizes:
        with tempfile.TemporaryDirectory() as root:
            add_rows(table, Path(root) / "tree", events)
    Console().print(table)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [2_000_000, 12_000_000])
