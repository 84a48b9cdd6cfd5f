"""SNS event NeXus files: reading the events of a run sorted by pixel.

Pieces of each bank are read, cropped to the TOF window and sorted by pixel on their own, in two threads, and then put
together. Memory: 4 bytes an event that is kept, and 200 MB for each of the two pieces that are being read.
What a run says of itself is read by `run_info`; files are written by `event_writer`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.event_order import sort_within_pixels
from snapcal_workbench.calibration.types import IntArray, TofWindow
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.hdf5 import wrong
from snapcal_workbench.formats.nexus._event_banks import Bank, find_banks
from snapcal_workbench.formats.nexus._event_sort import BAD_TOF, OUTSIDE, UNKNOWN, SortedPart, merge_parts, sort_bank
from snapcal_workbench.formats.nexus.event_writer import BankEvents, write_events
from snapcal_workbench.formats.nexus.run_file import open_run
from snapcal_workbench.formats.nexus.run_info import find_entry, read_run_info
from snapcal_workbench.progress import Progress

__all__ = ["BankEvents", "merge_events", "read_events", "read_run_info", "write_events"]

THREADS = 2
FEWEST_INSIDE = 0.02
"""A run with a smaller fraction of its events in the TOF window was not measured with the wavelength that its log has;
the gaps of the prompt pulses leave out 10 % at most."""
MANY_OUTSIDE = 0.5
"""A larger fraction of events outside the window is worth a warning: half of the frame is of another pulse."""
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
        tof: float32[events], us, ascending within a pixel.
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
    sort_within_pixels(tof, start, progress=progress)
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


@dataclass(frozen=True)
class _Piece:
    """What was read of a piece of a bank.

    Attributes:
        bank: Index of the bank.
        part: Its events, sorted.
        sums: Sums of the ids and of the bits of the TOFs; those of a bank are those of its copy, in any order.
        lowest, highest: TOFs, us.
    """

    bank: int
    part: SortedPart
    sums: tuple[int, int]
    lowest: float
    highest: float


def _read_file(path: Path, pixel_of: IntArray, window: TofWindow, progress: Progress) -> list[SortedPart]:
    with open_run(path) as file:
        banks, problems = find_banks(find_entry(file))
        pieces = _read_banks(file, banks, pixel_of, window, progress)
        _refuse_copies(banks, pieces)
    dropped = sum((piece.part.dropped for piece in pieces), np.zeros(3, np.int64))
    if dropped[UNKNOWN]:
        problems.append(f"{dropped[UNKNOWN]} events of unknown detector ids were dropped")
    if dropped[BAD_TOF]:
        problems.append(f"{dropped[BAD_TOF]} events with a TOF that is negative or no number were dropped")
    problems.extend(_outside(path, pieces, int(dropped[OUTSIDE]), window))
    if problems:
        progress.warn(f"{path.name}: {'; '.join(problems)}.")
    return [piece.part for piece in pieces]


def _refuse_copies(banks: list[Bank], pieces: list[_Piece]) -> None:
    """Raise FileFormatError if a bank that counts is there twice: its events would be counted twice."""
    seen: dict[tuple[int, ...], Bank] = {}
    for index, bank in enumerate(banks):
        own = [piece for piece in pieces if piece.bank == index]
        sums = len(bank), *(sum(piece.sums[column] for piece in own) for column in (0, 1))
        if sums in seen and any(piece.part.kept for piece in own):
            raise wrong(
                bank.ids.parent,
                "events that no other bank has",
                f"the same {len(bank)} events as in {seen[sums].name}",
                "Remove one of the two from a copy of the file: they would be counted twice.",
            )
        seen[sums] = bank


def _outside(path: Path, pieces: list[_Piece], outside: int, window: TofWindow) -> list[str]:
    """A warning if many events are outside the window.

    Raises:
        FileFormatError: Nearly all are.
    """
    inside = sum(piece.part.kept for piece in pieces)
    share = outside / max(inside + outside, 1)
    lowest, highest = (
        (f(getattr(p, n) for p in pieces) for f, n in ((min, "lowest"), (max, "highest"))) if pieces else (0, 0)
    )
    limits = f"{window.minimum:.0f} to {window.maximum:.0f} us"
    if share > 1.0 - FEWEST_INSIDE:
        raise damaged(
            path,
            f"events in the TOF window of the run's wavelength, {limits},",
            f"{outside} of {inside + outside} events are outside; their TOFs are {lowest:.4g} to {highest:.4g} us",
            "Check the wavelength log of the run, and the unit of the TOFs in its file.",
        )
    return [f"{share:.0%} of the events are outside the TOF window, {limits}"] if share > MANY_OUTSIDE else []


def _read_banks(
    file: h5py.File, banks: list[Bank], pixel_of: IntArray, window: TofWindow, progress: Progress
) -> list[_Piece]:
    stop = threading.Event()
    tasks = [(index, piece) for index, bank in enumerate(banks) for piece in bank.pieces()]

    def read(index: int, piece: slice) -> _Piece:
        ids, tofs = banks[index].read(piece, stop)
        sums = int(ids.sum(dtype=np.uint64)), int(tofs.view(np.uint32).sum(dtype=np.uint64))
        lowest, highest = float(np.fmin.reduce(tofs)), float(np.fmax.reduce(tofs))
        return _Piece(index, sort_bank(ids, tofs, pixel_of, window), sums, lowest, highest)

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(read, *task) for task in tasks]
        try:
            sizes = [piece.stop - piece.start for _, piece in tasks]
            _follow(futures, sizes, f"Reading {Path(file.filename).name}", progress)
            return [future.result() for future in futures]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _follow(futures: list[Future], sizes: list[int], message: str, progress: Progress) -> None:
    """Report how far the pieces are until all are read or one failed."""
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
