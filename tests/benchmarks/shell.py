"""What a command costs: the start of those that only look, and what the pictures add to a calibration.

Run with `python tests/benchmarks/shell.py [EVENTS]`. All figures are of one run on one machine, each the best of
several repeats; the ratio to an empty Python, and of a calibration with its report to one without, say more than the
seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree

RUN = "58882"
SILICON = "Silicon_NIST_640d_001"
SNAPCAL = (sys.executable, "-m", "snapcal_workbench.cli")
LOOKS = (("config",), ("state", RUN), ("versions", RUN), ("show", f"{RUN}:1"), ("--help",))
INLINE = """
import sys
from pathlib import Path
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
session = Session(EmbeddedHost(SimulatedTree(Path(sys.argv[1])).settings))
request = session.new_request(runs=("58882",), calibrant="Silicon_NIST_640d_001", grouping="Column")
session.calibrate(request, Progress(), report=True)
"""


def seconds(command: tuple[str, ...], repeats: int = 1) -> tuple[float, float]:
    """Best wall time and processor time of a command, s; compiled modules are kept, as where it is installed."""
    best = (float("inf"), float("inf"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(repeats):
        before, wall = os.times(), time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.perf_counter() - wall, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best[0], wall), min(best[1], used)
    return best


def looks(tree: SimulatedTree) -> Table:
    """The commands that only look, against an empty Python."""
    table = Table("command", "wall (s)", "processor (s)", "/ empty Python", title="Start")
    empty = seconds((sys.executable, "-c", "pass"), 5)
    for look in LOOKS:
        wall, used = seconds((*SNAPCAL, "--config", str(tree.config_path), *look), 5)
        table.add_row(" ".join(look), f"{wall:.2f}", f"{used:.2f}", f"{used / empty[1]:.1f}")
    return table


def calibrations(tree: SimulatedTree) -> Table:
    """A calibration without a report, with it in a process of its own, and with it before the command ends."""
    table = Table("calibration", "wall (s)", "more than without a report (s)", title="Pictures")
    given = (RUN, "--calibrant", SILICON, "--grouping", "Column")
    calibrate = (*SNAPCAL, "--config", str(tree.config_path), "calibrate", *given)
    seconds((*calibrate, "--no-report"))  # compiled code goes into its cache
    without = seconds((*calibrate, "--no-report"), 3)[0]
    drawn_by_another = float("inf")
    for _ in range(3):
        drawn_by_another = min(drawn_by_another, seconds(calibrate)[0])
        seconds((*SNAPCAL, "--config", str(tree.config_path), "report"))  # let it end before the next
    inline = seconds((sys.executable, "-c", INLINE, str(tree.directory)), 3)[0]
    for name, wall in (
        ("without a report", without),
        ("report drawn by another process", drawn_by_another),
        ("report drawn before the end", inline),
    ):
        table.add_row(name, f"{wall:.2f}", f"{wall - without:+.2f}")
    return table


def main() -> None:
    """Print both tables."""
    events = int(float(sys.argv[1])) if len(sys.argv) > 1 else 12_000_000
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "tree"
        simulate_into_tree(
            directory,
            run=int(RUN),
            calibrant=SILICON,
            events=events,
            seed=1,
            time_offset=-8.0,
            peak_shape="gaussian",
            progress=Progress(),
        )
        tree, console = SimulatedTree(directory), Console()
        for command in (
            ("init-state", RUN, "--name", "benchmark"),
            ("calibrate", RUN, "--calibrant", SILICON, "--skip-pixels", "--no-report"),
            ("save", "1", "--comments", "benchmark"),
        ):
            seconds((*SNAPCAL, "--config", str(tree.config_path), *command))
        console.print(looks(tree))
        console.print(calibrations(tree))


if __name__ == "__main__":
    main()
