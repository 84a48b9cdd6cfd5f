"""How long the table of all states takes: `python tests/benchmarks/states.py [states versions]`.

Each state has an index of so many versions, its folders, and records and parameters as SNAPRed writes them; the record
of the newest version has the account of a whole calibration beside it. Figures are medians of several tries, each with
nothing kept in memory of the try before. 200 states of 50 versions must be below 2 s.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from snapcal_workbench.facility.states import list_states
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store import index_file
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import SnapredState, state_at

TRIES = 5
ACCOUNT = {"verdict": {"word": "good", "course": "Converged.", "reasons": []}, "figures": [0.123456789] * 15_000}
"""The account of a calibration of six groups is some 300 kB of text."""


def fill(root: Path, states: int, versions: int) -> SnapredState:
    """Write a tree; returns the last state."""
    settings = settings_of(root)
    for number, wavelength in enumerate(np.linspace(1.0, 1.0 + 0.1 * (states - 1), states)):
        state = SnapredState(settings, state_at(wavelength=float(wavelength)), f"state {number}")
        state.write(versions, data=False)
        path = state.home / f"v_{versions:04d}" / "CalibrationRecord.json"
        record = json.loads(path.read_text()) | {"snapcalWorkbench": {"format": 2, "account": ACCOUNT}}
        path.write_text(json.dumps(record, indent=4))
    return state


def main() -> None:
    """Measure and print the table."""
    sizes = [tuple(int(text) for text in sys.argv[1:3])] if len(sys.argv) > 2 else [(30, 3), (200, 50)]
    table = Table("states", "versions", "all states, s", title=f"snapcal states, median of {TRIES}")
    for states, versions in sizes:
        with tempfile.TemporaryDirectory() as root:
            settings = fill(Path(root), states, versions).settings
            times = []
            for _ in range(TRIES):
                index_file.parse_bytes.cache_clear()
                started = time.perf_counter()
                rows = list_states(settings, SNAP.lite)
                times.append(time.perf_counter() - started)
            assert len(rows) == states
        table.add_row(str(states), str(versions), f"{median(times):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
