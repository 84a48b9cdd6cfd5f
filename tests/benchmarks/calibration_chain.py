"""Time and memory of a whole calibration by two releases of the package, in one run, and whether they agree.

    python tests/benchmarks/calibration_chain.py OLD NEW [--events 20000000] [--rounds 3]

OLD and NEW are folders that hold a `snapcal_workbench`, such as two checkouts. The same simulated run is calibrated by
each in turn, in processes of their own; the table states the fastest round in seconds and in seconds of processor time,
the largest memory, the ratio of each, and the largest relative difference of DIFC and difference of TZERO (us).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CALIBRATE = """
import json, resource, sys, time
start = time.monotonic()
from pathlib import Path
import numpy as np
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
tree = SimulatedTree(Path(sys.argv[1]))
session = Session(EmbeddedHost(tree.settings), Path(sys.argv[2]))
request = session.new_request(runs=("58882",), calibrant="Silicon_NIST_640d_001", grouping="Column")
done = session.calibrate(request, Progress(), report=False)
table = session.folders.values(done.number)["table"]
np.savez(sys.argv[3], difc=table.difc, difa=table.difa, tzero=table.tzero)
seconds, used = time.monotonic() - start, time.process_time()
print(json.dumps({"seconds": seconds, "cpu": used, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

FIGURES = {"seconds": min, "cpu": min, "mib": max}
"""The figures of the table, and which round of each counts: the fastest, and the largest memory."""


def run(package: Path, *arguments: str) -> str:
    """Run Python with a package folder; returns what it prints.

    Python looks in the folder that it starts in before all others: that is the package's too.
    """
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=package)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def measure(package: Path, tree: Path, scratch: Path, name: str) -> dict[str, float]:
    """Calibrate once; seconds and MiB."""
    session = scratch / f"session-{name}"
    shutil.rmtree(session, ignore_errors=True)
    text = run(package, "-c", CALIBRATE, str(tree), str(session), str(scratch / f"{name}.npz"))
    return json.loads(text.splitlines()[-1])


def main() -> None:
    """Measure and print the table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch, tree = Path(folder), Path(folder) / "tree"
        simulate = [
            "simulate",
            str(tree),
            "--run",
            "58882",
            "--events",
            str(given.events),
            "--seed",
            "7",
        ]
        run(given.old, "-m", "snapcal_workbench.cli", *simulate)
        found: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
        for _ in range(given.rounds):
            for name, package in (("old", given.old), ("new", given.new)):
                found[name].append(measure(package, tree, scratch, name))
        figures = {
            name: [pick(each[name] for each in found[which]) for which in found] for name, pick in FIGURES.items()
        }
        tables = {name: np.load(scratch / f"{name}.npz") for name in found}
    difc = np.max(np.abs(tables["new"]["difc"] / tables["old"]["difc"] - 1.0))
    tzero = np.max(np.abs(tables["new"]["tzero"] - tables["old"]["tzero"]))
    print(f"{'':8}{'old':>10}{'new':>10}{'new / old':>12}")
    for name, (old, new) in figures.items():
        print(f"{name:8}{old:10.2f}{new:10.2f}{new / old:12.3f}")
    print(f"largest difference: DIFC {difc:.1e} relative, TZERO {tzero:.1e} us")


if __name__ == "__main__":
    main()
