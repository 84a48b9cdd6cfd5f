"""The pixel step: how near the bound, how long and how much memory, and how that compares with reading the events.

Run: python -m tests.benchmarks.pixel_step [--full] [--parts accuracy cost reading] [--threads 2]

Three tables, all ratios within one run:

- accuracy: robust error in Cramer-Rao bounds, outliers (error above 6 bounds, not masked) and masked pixels, on
  measured OSIRIS spectra thinned to some events a pixel (with SNAPCAL_REFERENCE_DATA) and on simulated SNAP spectra.
- cost: time and peak memory of the likelihood's pixel step against five passes of the direct method (direct_method.py).
- reading: the time that reading the same number of events from a file takes, as the lower limit.

Without --full the sizes are small; --full goes up to 1,179,648 pixels and 1e8 events. Each cost is measured in a
process of its own after a small run that compiles; compilation is stated apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.pixels.correlation.estimate import CorrelationEstimator
from snapcal_workbench.calibration.pixels.estimator import PixelEstimator
from snapcal_workbench.calibration.pixels.likelihood.estimate import LikelihoodEstimator
from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    Geometry,
    GroupParameters,
    PixelGrouping,
    PixelLayout,
    PixelMask,
    RunInfo,
)
from snapcal_workbench.formats.nexus.events import write_events
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from tests.benchmarks import event_reading
from tests.benchmarks.direct_method import direct_pass, lags_of_window, measured_rate
from tests.osiris import grouped, read_osiris, spread_events, thinned_events
from tests.synthetic_pixels import (
    DIAMOND,
    POOR,
    SILICON,
    WINDOW,
    Outcome,
    Sample,
    information_per_event,
    module_shape,
    panel,
    passes,
    simulate,
    spread,
)

RESOLUTION = [0.00277, 0.00324, 0.00402, 0.00431, 0.00541, 0.00755]
ANGLE = [118.0, 108.0, 98.0, 92.0, 76.0, 60.0]
PLACES = ("l2", "two_theta", "azimuth")
MANY_PIXELS = 100_000
"""With so many pixels one pass of the direct method is measured and counted five times."""
METHODS = {
    "likelihood": PixelOptions(),
    "likelihood, no prior": PixelOptions(shrink=False),
    "correlation, sum": PixelOptions(estimator="correlation"),
    "correlation, one pixel": PixelOptions(estimator="correlation", reference="median"),
}


def snap(side: int, groups: int = 6) -> tuple[Geometry, PixelGrouping, GroupParameters]:
    """Column groups of three modules each, with SNAP's angles and resolutions."""
    columns = [panel(3, side, two_theta=angle, tilt=9.0) for angle in ANGLE[:groups]]
    size = len(columns[0])
    layouts = [c.layout for c in columns if c.layout is not None]
    module = np.concatenate([p.module + 3 * i for i, p in enumerate(layouts)]).astype(np.int16)
    x, y = (np.concatenate([getattr(p, axis) for p in layouts]) for axis in "xy")
    layout = PixelLayout(module, x, y, side, block=layouts[0].block)
    detid = np.arange(groups * size, dtype=np.int32)
    l2, angle, azimuth = (np.concatenate([getattr(c, name) for c in columns]) for name in PLACES)
    geometry = Geometry(detid, 15.0, l2, angle, azimuth, layout, "SNAP")
    ids = np.arange(1, groups + 1, dtype=np.int32)
    l2, angle, azimuth = (np.array([getattr(c, name).mean() for c in columns]) for name in PLACES)
    low, high, width = np.full(groups, 0.5), np.full(groups, 2.6), np.array(RESOLUTION[:groups])
    parameters = GroupParameters(ids, l2, angle, azimuth, low, high, width, 15.0, WINDOW.minimum, WINDOW.maximum)
    return geometry, PixelGrouping(detid, np.repeat(ids, size)), parameters


def snap_events(
    geometry: Geometry, grouping: PixelGrouping, sample: Sample, counts: float, seed: int
) -> tuple[Events, np.ndarray]:
    """Events and true DIFC: module steps, a smooth field, and 200 ppm for each pixel."""
    rng = np.random.default_rng(seed)
    true_difc = geometry.difc * np.exp(module_shape(geometry, rng) + 2e-4 * rng.standard_normal(len(geometry)))
    sigma = np.array(RESOLUTION)[grouping.group - 1]
    parts = []
    for g in grouping.ids:
        members = grouping.group == g
        some = Geometry(
            geometry.detid[members],
            geometry.l1,
            geometry.l2[members],
            geometry.two_theta[members],
            geometry.azimuth[members],
        )
        parts.append(simulate(some, sample, true_difc[members], sigma[members], counts, rng))
    start = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(p.start) for p in parts]))])
    return Events(np.concatenate([p.tof for p in parts]), start, geometry, WINDOW), true_difc


def estimator(name: str, events: Events, grouping: PixelGrouping, parameters: GroupParameters) -> PixelEstimator:
    """The estimator of one row of the tables."""
    kind = CorrelationEstimator if METHODS[name].estimator == "correlation" else LikelihoodEstimator
    return kind(events, grouping, parameters, METHODS[name])


def row(name: str, sample: str, counts: int, bound: np.ndarray, errors: list[np.ndarray], used: np.ndarray) -> str:
    """One line of the accuracy table; each of `errors` is against one truth."""
    figures = []
    for error in errors:
        good = used & np.isfinite(error)
        if not good.any():
            figures.append(f"{'-':>6s} {'-':>6s}  ")
            continue
        ratio = (error - np.median(error[good]))[good] / bound[good]
        figures.append(f"{spread(ratio):6.2f} {100 * np.mean(np.abs(ratio) > 6):6.2f} %")
    ppm = 1e6 * np.median(bound)
    return f"{sample:9s} {counts:6d} {ppm:7.0f}  {name:23s} {'   '.join(figures):34s} {100 * np.mean(~used):6.1f} %"


def accuracy(full: bool) -> None:
    """Print the first table."""
    print("\nAccuracy: robust sigma in bounds and outliers, against the likelihood's own full-statistics result | own")
    print(f"{'sample':9s} {'events':>6s} {'bound':>7s}  {'method':23s} {'likelihood or true':17s} {'own':16s} masked")
    folder = os.environ.get("SNAPCAL_REFERENCE_DATA", "")
    if folder:
        osiris_rows(Path(folder), (50, 100, 300, 1000, 5000, 20000) if full else (100, 1000))
    geometry, grouping, parameters = snap(32 if full else 16, 2)
    for name, sample in (("silicon", SILICON), ("diamond", DIAMOND), ("poor", POOR)):
        for counts in (85, 300, 1000, 5000) if full else (300, 1000):
            events, true_difc = snap_events(geometry, grouping, sample, counts, counts)
            bound = snap_bound(events, grouping, sample)
            for method in METHODS:
                outcome = passes(
                    estimator(method, events, grouping, parameters), DiffCalTable.from_geometry(geometry), true_difc
                )
                print(row(method, name, counts, bound, [centred(outcome.error, grouping, outcome.used)], outcome.used))


def snap_bound(events: Events, grouping: PixelGrouping, sample: Sample) -> np.ndarray:
    """Cramer-Rao bound of each pixel, from the density that the events were drawn from."""
    information = np.ones(len(events.geometry))
    for g in grouping.ids:
        members = grouping.group == g
        difc = events.geometry.difc[members]
        information[members] = information_per_event(sample, difc, RESOLUTION[g - 1])
    return 1.0 / np.sqrt(np.maximum(events.counts, 1.0) * information)


def centred(error: np.ndarray, grouping: PixelGrouping, used: np.ndarray) -> np.ndarray:
    """Errors with each group's own median taken off."""
    result = error.copy()
    for g in grouping.ids:
        members = grouping.group == g
        if np.any(members & used):
            result[members] -= np.median(error[members & used])
    return result


def osiris_rows(folder: Path, numbers: tuple[int, ...]) -> None:
    """Measured spectra, thinned; the truth is the likelihood's full-statistics result, and the method's own."""
    data = read_osiris(folder)
    everything = spread_events(data, np.arange(len(data.counts)), 2)
    groups = grouped(everything, len(data.counts), 0.003)
    table = DiffCalTable.from_geometry(data.geometry)
    truth: dict[str, Outcome] = {
        name: passes(estimator(name, everything, *groups), table, table.difc, 4) for name in METHODS
    }
    best = truth["likelihood, no prior"]
    information = np.nanmedian(1.0 / (best.last.own_sigma**2 * data.counts.sum(1))[best.used])
    for counts in numbers:
        events = thinned_events(data, np.arange(len(data.counts)), counts, counts)
        bound = np.full(len(table), 1.0 / np.sqrt(counts * information))
        for name in METHODS:
            found = passes(estimator(name, events, *groups), table, table.difc, 4)
            truths = (best, truth[name])
            errors = [np.where(known.used, found.error - known.error, np.nan) for known in truths]
            print(row(name, "OSIRIS", counts, bound, errors, found.used))


class PeakMemory(threading.Thread):
    """Watches the resident memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.over = 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.02):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.peak = max(self.peak, pages * resource.getpagesize() / 2**20)


def one_cost(side: int, groups: int, events: float, direct: bool, threads: int) -> dict[str, float]:
    """Figures of one size, for a process of its own: seconds and MiB, compilation apart."""
    geometry, grouping, parameters = snap(side, groups)
    begin = time.perf_counter()
    small = snap(4, 1)
    few, _ = snap_events(small[0], small[1], SILICON, 300, 1)
    run_likelihood(few, small[1], small[2], PixelOptions())
    if direct:
        direct_pass(few, small[2], small[1].group, small[0].difc, 1)
    figures = {"compile": time.perf_counter() - begin}
    data, _ = snap_events(geometry, grouping, SILICON, events / len(geometry), 1)
    watch, begin = PeakMemory(), time.perf_counter()
    figures["passes"] = run_likelihood(data, grouping, parameters, METHODS["likelihood"])
    figures["seconds"], figures["memory"] = time.perf_counter() - begin, watch.peak
    watch.over.set()
    if direct:
        measured = 5 if len(geometry) < MANY_PIXELS else 1
        begin = time.perf_counter()
        for _ in range(measured):
            direct_pass(data, parameters, grouping.group, geometry.difc, threads)
        figures["direct"], figures["rate"] = 5 / measured * (time.perf_counter() - begin), measured_rate() / 1e9
    return figures


def run_likelihood(events: Events, grouping: PixelGrouping, parameters: GroupParameters, options: PixelOptions) -> int:
    """Number of passes of one whole pixel step."""
    table, mask = DiffCalTable.from_geometry(events.geometry), PixelMask.none(events.geometry.detid)
    result = calibrate_pixels(events, table, grouping, mask, parameters, options=options, progress=Progress())
    return len(result.passes)


def in_process(*arguments: object) -> dict[str, float]:
    """`one_cost` in a fresh process, so that memory and compilation are its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(one_cost, arguments)


def cost(full: bool, threads: int) -> None:
    """Print the second table."""
    sizes = [(18, 1, 1e6, True), (32, 1, 1e6, True), (32, 6, 2e6, True)]
    if full:
        sizes += [(32, 6, 2e7, True), (32, 6, 1e8, True), (128, 6, 2e7, True), (256, 6, 1e8, True)]
    print("\nCost of the pixel step; direct: five passes of summation and fits; rate: 1e9 multiply-adds/s of one core")
    print(f"lags on each side of the direct method by group: {lags_of_window(snap(4)[2])}; threads: {threads}")
    print("  pixels   events passes       s ns/event    MiB compile s  direct s   rate   ratio ratio at rate 5")
    for side, groups, events, direct in sizes:
        f = in_process(side, groups, events, direct, threads)
        line = f"{3 * groups * side * side:8d} {events:8.0e} {f['passes']:6.0f} {f['seconds']:7.2f}"
        line += f" {1e9 * f['seconds'] / events:8.0f} {f['memory']:6.0f} {f['compile']:9.1f}"
        if direct:
            line += f" {f['direct']:9.2f} {f['rate']:6.1f} {f['direct'] / f['seconds']:7.1f}"
            line += f" {f['direct'] * max(f['rate'] / 5, 1) / f['seconds']:15.1f}"
        print(line, flush=True)


def reading(full: bool, threads: int) -> None:
    """Print the third table: reading the file takes so much of reading and the pixel step together."""
    events = 2e7 if full else 2e6
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "SNAP_1.nxs.h5"
        write_events(path, run_info=RunInfo("1"), banks=event_reading.make_banks(int(events)))
        seconds = event_reading.in_process(event_reading.sorted_read, path, True, 1)["seconds"]
    figures = in_process(32, 6, events, False, threads)
    share = seconds / (seconds + figures["seconds"])
    print("\nReading, cropping and sorting the events of a native file, and the lite pixel step on as many events")
    print(f"{'events':>8s} {'reading s':>9s} {'pixel step s':>12s} {'share of reading':>16s}")
    print(f"{events:8.0e} {seconds:9.2f} {figures['seconds']:12.2f} {100 * share:14.0f} %")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parts = ["accuracy", "cost", "reading"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if "accuracy" in arguments.parts:
        accuracy(arguments.full)
    if "cost" in arguments.parts:
        cost(arguments.full, arguments.threads)
    if "reading" in arguments.parts:
        reading(arguments.full, arguments.threads)


if __name__ == "__main__":
    main()
