"""SNS event NeXus files: reading the events of a run sorted by pixel.

The events of each bank are read, cropped to the TOF window and sorted by pixel on their own, in two threads, and then
put together. Memory: 8 bytes an event that is kept, and 12 bytes an event of the two banks that are being read.
What a run says of itself is read by `run_info`; files are written by `event_writer`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import IntArray, TofWindow
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats._event_banks import Bank, find_banks
from snapcal_workbench.formats._event_sort import BAD_TOF, UNKNOWN, SortedPart, merge_parts, sort_bank
from snapcal_workbench.formats.event_writer import BankEvents, write_events
from snapcal_workbench.formats.hdf5 import open_hdf5
from snapcal_workbench.formats.run_info import WHAT, find_entry, read_run_info
from snapcal_workbench.progress import Progress

__all__ = ["BankEvents", "merge_events", "read_events", "read_run_info", "write_events"]

THREADS = 2
_REPORT_SECONDS = 0.1

SortedEvents = tuple[NDArray[np.float32], NDArray[np.int64]]
"""tof float32[events] in us and start int64[n+1]: pixel i owns tof[start[i]:start[i+1]]."""


def read_events(
    path: Path | Sequence[Path],
    *,
    pixel_of: IntArray | None,
    n_pixels: int,
    window: TofWindow,
    progress: Progress | None = None,
) -> SortedEvents:
    """Read the events of a run, or of several that are summed, sorted by pixel.

    Events of unknown detector ids, and those whose TOF is NaN, infinite or negative, are dropped with a warning.

    Args:
        path: An event NeXus file, or several.
        pixel_of: int32[ids], pixel index of each detector id, such as the lite map; negative for none. None: the
            detector id is the pixel index.
        n_pixels: Number of pixels.
        window: The TOF range to keep (us), and the gaps in it to leave out.
        progress: Where to report to.

    Returns:
        tof: float32[events], us; within a pixel in the order of banks and of the file.
        start: int64[n_pixels + 1]; pixel i owns tof[start[i]:start[i+1]].

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: A file is damaged or has no events in the form of an event NeXus file.
        InputError: `pixel_of` has a pixel index beyond n_pixels.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    pixels = _pixel_map(pixel_of, n_pixels)
    parts: list[SortedPart] = []
    for number, item in enumerate(paths):
        share = progress.part(0.95 * number / len(paths), 0.95 * (number + 1) / len(paths))
        parts.extend(_read_file(Path(item), pixels, window, share))
    tof, start = merge_parts(parts, n_pixels)
    progress.report(1.0, f"{len(tof)} events sorted by pixel")
    return tof, start


def _pixel_map(pixel_of: IntArray | None, n_pixels: int) -> IntArray:
    if pixel_of is None:
        return np.arange(n_pixels, dtype=np.int32)
    if len(pixel_of) and pixel_of.max() >= n_pixels:
        raise InputError(
            "The map from detector ids to pixels must stay within the pixels.",
            found=f"pixel {pixel_of.max()} of {n_pixels}",
            fix="Use the map that belongs to this instrument.",
        )
    return np.ascontiguousarray(pixel_of, np.int32)


def _read_file(path: Path, pixel_of: IntArray, window: TofWindow, progress: Progress) -> list[SortedPart]:
    with open_hdf5(path, WHAT) as file:
        banks, problems = find_banks(find_entry(file))
        parts = _read_banks(file, banks, pixel_of, window, progress)
    dropped = sum((part.dropped for part in parts), np.zeros(3, np.int64))
    if dropped[UNKNOWN]:
        problems.append(f"{dropped[UNKNOWN]} events of unknown detector ids were dropped")
    if dropped[BAD_TOF]:
        problems.append(f"{dropped[BAD_TOF]} events with a TOF that is negative or no number were dropped")
    if problems:
        progress.warn(f"{path.name}: {'; '.join(problems)}.")
    return parts


def _read_banks(
    file: h5py.File, banks: list[Bank], pixel_of: IntArray, window: TofWindow, progress: Progress
) -> list[SortedPart]:
    stop = threading.Event()

    def read(bank: Bank) -> SortedPart:
        ids, tofs = bank.read(stop)
        return sort_bank(ids, tofs, pixel_of, window)

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(read, bank) for bank in banks]
        try:
            _follow(futures, [len(bank) for bank in banks], f"Reading {Path(file.filename).name}", progress)
            return [future.result() for future in futures]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _follow(futures: list[Future], sizes: list[int], message: str, progress: Progress) -> None:
    """Report how far the banks are until all are read or one failed."""
    total = max(sum(sizes), 1)
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_REPORT_SECONDS)
        if any(future.exception() for future in done):
            return
        read = sum(size for future, size in zip(futures, sizes, strict=True) if future.done())
        progress.report(read / total, message)


def merge_events(parts: Sequence[SortedEvents]) -> SortedEvents:
    """The sum of several runs' events, each as `read_events` returns them, of the same pixels.

    Raises:
        InputError: There is nothing to merge, or the numbers of pixels differ.
    """
    sizes = {len(start) for _, start in parts}
    if len(sizes) != 1:
        raise InputError(
            "Only events of the same pixels can be summed.",
            found=f"runs with {', '.join(str(size - 1) for size in sorted(sizes)) or 'no'} pixels",
            fix="Sum runs of one instrument, all native or all lite.",
        )
    sorted_parts = [SortedPart(0, np.diff(start), tof, np.zeros(3, np.int64)) for tof, start in parts]
    return merge_parts(sorted_parts, sizes.pop() - 1)
