"""A lite calibration of a hundred million events stays within 4 GiB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree

GIB = 1 << 30

MEASURED = """
import json, sys
from snapcal_workbench.cli.app import app
app(sys.argv[1:], standalone_mode=False)
app([*sys.argv[1:3], "report"], standalone_mode=False)
# not getrusage: it keeps the peak of the process that started this one
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(int(peak) * 1024))
"""


def peak_memory(tree: SimulatedTree) -> int:
    """Peak resident memory (bytes) of `snapcal calibrate`, report included."""
    command = ["--config", str(tree.config_path), "calibrate", "58882", "--calibrant", "Silicon_NIST_640d_001"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], capture_output=True, text=True, check=True, timeout=1800
    )
    return int(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.long
def test_a_small_run_takes_little(small_tree: SimulatedTree) -> None:
    assert peak_memory(small_tree) < 1.5 * GIB


@pytest.mark.long
def test_a_hundred_million_events_fit_into_four_gib(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate_into_tree(
        tmp_path / "tree",
        run=58882,
        calibrant="Silicon_NIST_640d_001",
        events=100_000_000,
        seed=3,
        time_offset=-8.0,
        peak_shape="gaussian",
        progress=Progress(),
    )
    peak = peak_memory(SimulatedTree(tmp_path / "tree"))
    with capsys.disabled():
        print(f"\npeak memory of a lite calibration of 1e8 events: {peak / GIB:.2f} GiB")
    assert peak < 4 * GIB
