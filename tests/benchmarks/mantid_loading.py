"""Loading a lite run in Mantid against loading it embedded: what Python does of it, at what a call costs in Mantid.

Run: python -m tests.benchmarks.mantid_loading [--events 2e6] [--microseconds 10]

Mantid itself is not needed: a workspace in plain Python waits in each of its methods as long as the same call takes in
Mantid. Loading is the first two rows, and Mantid's LoadEventNexus on top; nothing is read back. A step that uses a run
reads it once: the third row, or the fourth where a release has no PreprocessDetectorsToMD. The last two rows are the
same for native pixels, which were read before for every lite run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import Events, Geometry, TofWindow
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.formats.instrument_xml import instrument_definition
from snapcal_workbench.formats.nexus.events import BankEvents, write_events
from snapcal_workbench.hosts.spectra_arrays import agrees, detector_table, detectors_of, event_lists
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import RunRequest
from tests.spectra_by_calls import Calls, SpectraWithTotal

PART = 20
"""The native rows are measured on one spectrum of that many."""


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def write(events: Events, path: Path) -> None:
    """The file that Mantid reads, as `mantid_writing` makes it."""
    ids = np.repeat(events.geometry.detid, np.diff(events.start)).astype(np.uint32)
    bank = BankEvents("bank1_events", ids, events.tof, np.zeros(1), np.zeros(1, np.uint64))
    write_events(
        path, run_info=events.run, banks=[bank], instrument_xml=instrument_definition(events.geometry), deflate=0
    )


def with_table(workspace: SpectraWithTotal) -> None:
    """Reading a workspace whose detectors come as columns."""
    table = detector_table(workspace.columns())
    assert agrees(table, workspace, workspace)
    event_lists(workspace, table.spectrum, ~table.masked)


def by_calls(workspace: SpectraWithTotal) -> None:
    """Reading a workspace of a release that has no such columns."""
    spectrum = np.arange(len(detectors_of(workspace)), dtype=np.int32)
    for ask in (workspace.isMasked, workspace.l2, workspace.twoTheta, workspace.position):
        for i in spectrum.tolist():
            ask(i)
    event_lists(workspace, spectrum, np.ones(len(spectrum), bool))


def native(events: Events, calls: Calls) -> SpectraWithTotal:
    """A part of a native workspace, one of `PART` spectra."""
    n = SNAP.native.n_pixels // PART
    repeats = int(np.ceil(n / len(events.geometry)))
    one = events.geometry
    l2, two_theta, azimuth = (np.tile(each, repeats)[:n] for each in (one.l2, one.two_theta, one.azimuth))
    geometry = Geometry(np.arange(n, dtype=np.int32), one.l1, l2, two_theta, azimuth)
    start = np.arange(n + 1, dtype=np.int64)
    return SpectraWithTotal(Events(np.full(n, 5000.0, np.float32), start, geometry, TofWindow(0.0, 1e5)), calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=2e6)
    parser.add_argument("--microseconds", type=float, default=10.0)
    arguments = parser.parse_args()
    calls = Calls(arguments.microseconds * 1e-6)
    with tempfile.TemporaryDirectory() as folder:
        found = simulate_into_tree(
            Path(folder) / "tree",
            run=58882,
            calibrant="Silicon_NIST_640d_001",
            events=int(arguments.events),
            seed=3,
            time_offset=-8.0,
            peak_shape="gaussian",
            progress=Progress(),
        )
        settings = Settings.load(found.config_path)
        request = RunRequest(("58882",), SNAP.lite)
        load_events(request, settings)
        embedded = seconds(lambda: load_events(request, settings))
        events = load_events(request, settings)
        path = Path(folder) / "events.nxs.h5"
        write(events, path)
        rows = {
            "embedded: read, crop, sum into lite pixels, sort": embedded,
            "the file that hands them to Mantid": seconds(lambda: write(events, path)),
            "reading the lite workspace, detectors as columns": seconds(
                lambda: with_table(SpectraWithTotal(events, calls))
            ),
            "reading the lite workspace, all by calls": seconds(lambda: by_calls(SpectraWithTotal(events, calls))),
            "reading the native workspace, detectors as columns": PART
            * seconds(lambda: with_table(native(events, calls))),
            "reading the native workspace, all by calls": PART * seconds(lambda: by_calls(native(events, calls))),
        }
    print(f"{len(events.tof)} events, {len(events.geometry)} lite pixels, {arguments.microseconds:g} us a call")
    for name, taken in rows.items():
        print(f"{name:58s} {taken:8.2f} s   {taken / embedded:6.1f} x embedded")


if __name__ == "__main__":
    main()
