"""Reading, cropping and sorting the events of a run against a bare h5py read of the same file.

Run: python -m tests.benchmarks.event_reading [--events 2e7] [--lite] [--repeats 3] [--directory DIR] [--copies]

The file is written once: 18 banks of native pixels, chunked and deflated as facility files are, TOFs with the 0.1 us
resolution of the clock. Each way of reading runs in a process of its own, whose peak memory is reported too: bare h5py,
ours in pieces, and ours with each bank in one piece. With --copies each bank is one chunk of 2^16 events again and
again, which takes as long to read and is written at once: 1e9 events, --repeats 1, need 5.6 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.types import RunInfo, TofWindow
from snapcal_workbench.formats.nexus import _event_banks
from snapcal_workbench.formats.nexus._event_sort import merge_parts, sort_bank
from snapcal_workbench.formats.nexus.events import BankEvents, read_events, write_events

BANKS, PIXELS, COPIED = 18, 65536, 65536
WINDOW = TofWindow(2546.0, 14105.0, ((8300.0, 8340.0),))


def make_banks(events: int) -> Iterator[BankEvents]:
    """Banks whose events have random pixels and TOFs, ordered by pulse."""
    rng = np.random.default_rng(58882)
    share, pulses = events // BANKS, 36_000
    for bank in range(BANKS):
        ids = rng.integers(bank * PIXELS, (bank + 1) * PIXELS, share, dtype=np.uint32)
        tof = np.round(rng.uniform(1000.0, 16000.0, share), 1).astype(np.float32)
        index = np.sort(rng.integers(0, share, pulses)).astype(np.uint64)
        name = f"bank{bank // 3 + 1}{bank % 3 + 1}_events"
        yield BankEvents(name, ids, tof, np.arange(pulses) / 60.0, index)


def write_copies(path: Path, events: int) -> None:
    """Banks of one chunk each, copied until there are as many events."""
    rng = np.random.default_rng(58882)
    copies = max(events // BANKS // COPIED, 1)
    with h5py.File(path, "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
        for bank in range(BANKS):
            group = file.create_group(f"entry/bank{bank // 3 + 1}{bank % 3 + 1}_events")
            group.attrs["NX_class"] = "NXevent_data"
            ids = rng.integers(bank * PIXELS, (bank + 1) * PIXELS, COPIED, dtype=np.uint32)
            tof = np.round(rng.uniform(1000.0, 16000.0, COPIED), 1).astype(np.float32)
            for name, values in (("event_id", ids), ("event_time_offset", tof)):
                packing = {"shape": (copies * COPIED,), "chunks": (COPIED,), "compression": "gzip"}
                made = group.create_dataset(name, dtype=values.dtype, **packing)
                packed = zlib.compress(values.tobytes(), 4)
                for copy in range(copies):
                    made.id.write_direct_chunk((copy * COPIED,), packed)


def bare_read(path: Path, lite: bool) -> int:
    """Read ids and TOFs of every bank with h5py, one after the other, into arrays that are reused."""
    events = 0
    with h5py.File(path) as file:
        for name, group in file["entry"].items():
            if name.endswith("_events"):
                events += len(group["event_id"][()])
                group["event_time_offset"][()]
    return events


def sorted_read(path: Path, lite: bool) -> int:
    """Read, crop and sort by pixel."""
    return len(read_events(path, pixel_of=lite_map() if lite else None, n_pixels=pixels(lite), window=WINDOW)[0])


def whole_bank_read(path: Path, lite: bool) -> int:
    """The same with each bank in one piece."""
    _event_banks.PIECE = 1 << 40
    return sorted_read(path, lite)


def pixels(lite: bool) -> int:
    """Number of pixels of SNAP."""
    return BANKS * PIXELS // 64 if lite else BANKS * PIXELS


def lite_map() -> np.ndarray:
    """Lite pixel of each native one: 8 x 8 native pixels are one lite pixel."""
    native = np.arange(BANKS * PIXELS, dtype=np.int32)
    module, rest = np.divmod(native, PIXELS)
    x, y = np.divmod(rest, 256)
    return (1024 * module + 32 * (x // 8) + y // 8).astype(np.int32)


def measure(
    work: Callable[[Path, bool], int], path: Path, lite: bool, repeats: int, queue: multiprocessing.Queue
) -> None:
    """Shortest time of several runs, compilation left out, and the peak memory."""
    one = np.zeros(1, np.uint32), np.ones(1, np.float32), np.zeros(1, np.int32)
    merge_parts([sort_bank(*one, WINDOW)], 1)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        events = work(path, lite)
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put({"seconds": min(times), "peak_mib": peak, "events": events})


def in_process(work: Callable[[Path, bool], int], path: Path, lite: bool, repeats: int) -> dict[str, float]:
    """Measure in a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measure, args=(work, path, lite, repeats, queue))
    process.start()
    result = queue.get()
    process.join()
    return result


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=2e7)
    parser.add_argument("--lite", action="store_true", help="sum 8 x 8 native pixels into lite ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=None, help="where to write the file (default: temporary)")
    parser.add_argument("--copies", action="store_true", help="write one chunk again and again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        path = Path(folder) / "SNAP_1.nxs.h5"
        started = time.perf_counter()
        if options.copies:
            write_copies(path, int(options.events))
        else:
            write_events(path, run_info=RunInfo("1", duration=600.0), banks=make_banks(int(options.events)))
        written = time.perf_counter() - started
        size = path.stat().st_size / 2**20
        ways = {"bare h5py read": bare_read, "read, crop, sort": sorted_read, "  in whole banks": whole_bank_read}
        results = {name: in_process(work, path, options.lite, options.repeats) for name, work in ways.items()}
    bare, ours, _ = (result["seconds"] for result in results.values())
    if options.json:
        print(json.dumps({"ratio": ours / bare, **results}))
        return
    print(f"{options.events:.3g} events, {size:.0f} MiB, written in {written:.1f} s; limit of the ratio: 2")
    print(f"{'':18} {'seconds':>9} {'ratio':>6} {'peak MiB':>9} {'events':>12}")
    for name, result in results.items():
        ratio = result["seconds"] / bare
        print(f"{name:18} {result['seconds']:9.2f} {ratio:6.2f} {result['peak_mib']:9.0f} {result['events']:12.0f}")


if __name__ == "__main__":
    main()
