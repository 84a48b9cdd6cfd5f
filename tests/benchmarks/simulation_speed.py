"""Time and promises of a simulated run: python tests/benchmarks/simulation_speed.py [events]."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.bound import group_statistics
from snapcal_workbench.simulation.run import DEFAULT_EVENTS, simulate_run, visible_reflections
from snapcal_workbench.simulation.tree import grouping_of, make_tree, sample_text


def main(events: int) -> None:
    """Simulate once and print what a lite pixel can be known to."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tree = make_tree(Path(folder))
        made = time.perf_counter()
        reflections = visible_reflections(sample_text("Silicon_NIST_640d.cif"))
        truth = simulate_run(tree.run_path(58882), reflections=reflections, n_events=events, time_offset=-8.0)
        done = time.perf_counter()
        size = tree.run_path(58882).stat().st_size / 2**20
    print(f"tree {made - start:.1f} s; {events:.3g} events {done - made:.1f} s, {size:.0f} MiB")
    geometry = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)
    print("column  lite pixels  events  bound (ppm)  injected spread (ppm)  spread / bound")
    for item in group_statistics(truth.lite(), geometry, grouping_of(SNAP_BEAMLINE, "Column", SNAP.lite)):
        print(
            f"{item.group:6d} {item.pixels:12d} {item.events:7.0f} {item.bound_ppm:12.0f} {item.spread_ppm:22.0f}"
            f" {item.spread_ppm / item.bound_ppm:15.1f}"
        )


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else DEFAULT_EVENTS)
