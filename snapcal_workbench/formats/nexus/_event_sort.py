"""Sorting events by pixel: a counting sort of one bank at a time, and the merging of sorted parts.

A *part* is a set of events sorted by pixel within a contiguous range of pixels. The order within a pixel is that of the
input, so results do not depend on the number of threads. The *place* of an event is its pixel counted from the part's
first one; the three places after the last pixel collect the events that are dropped.

The kernels have no branches on the data: random pixels and TOFs would make a processor guess wrong half of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import IntArray, TofWindow

UNKNOWN, BAD_TOF, OUTSIDE = range(3)
"""Dropped events: of no pixel; with a TOF that is NaN, infinite or negative; outside the window or in a gap of it."""


@dataclass(frozen=True, eq=False)
class SortedPart:
    """Events of the pixels first_pixel .. first_pixel + len(counts) - 1.

    Attributes:
        first_pixel: Index of the first pixel.
        counts: int64[pixels], events of each.
        tof: float32[events], us, those of one pixel after those of the other.
        dropped: int64[3], events that were dropped, see `UNKNOWN`, `BAD_TOF`, `OUTSIDE`.
    """

    first_pixel: int
    counts: NDArray[np.int64]
    tof: NDArray[np.float32]
    dropped: NDArray[np.int64]

    @property
    def kept(self) -> int:
        """Number of events that were kept."""
        return len(self.tof)


@njit(cache=True, nogil=True)
def _find_places(ids, tof, first_id, place_of, kept, counts):
    """Replace ids by places, and count the events of each place."""
    size = np.uint32(len(counts) - 3)
    last = np.uint32(len(place_of) - 1)
    low, high = kept[0, 0], kept[0, 1]
    for i in range(np.uint64(len(ids))):
        place = place_of[min(ids[i] - first_id, last)]
        time = tof[i]
        good = (time >= 0) & (time < np.inf)
        chosen = place if (time >= low) & (time <= high) else size + np.uint32(OUTSIDE)
        chosen = chosen if good else size + np.uint32(BAD_TOF)
        ids[i] = chosen if place < size else size + np.uint32(UNKNOWN)
    for k in range(1, kept.shape[0]):
        low, high = kept[k, 0], kept[k, 1]
        for i in range(np.uint64(len(ids))):
            cut = (tof[i] >= low) & (tof[i] <= high) & (ids[i] < size)
            ids[i] = size + np.uint32(OUTSIDE) if cut else ids[i]
    for i in range(np.uint64(len(ids))):
        counts[ids[i]] += 1


@njit(cache=True, nogil=True)
def _scatter(places, tof, cursor, out):
    """Put each TOF where the cursor of its place is; all dropped ones into the last element."""
    size = np.uint32(len(cursor) - 1)
    for i in range(np.uint64(len(places))):
        place = min(places[i], size)
        at = cursor[place]
        out[at] = tof[i]
        cursor[place] = at + (place < size)


@njit(cache=True, nogil=True)
def _append(tof, counts, cursor, out):
    """Add a part to the events of all pixels, and move their cursors on."""
    source = 0
    for pixel in range(len(counts)):
        target = cursor[pixel]
        for k in range(counts[pixel]):
            out[target + k] = tof[source + k]
        cursor[pixel] += counts[pixel]
        source += counts[pixel]


def sort_bank(ids: NDArray[np.uint32], tof: NDArray[np.float32], pixel_of: IntArray, window: TofWindow) -> SortedPart:
    """Sort the events of one bank by pixel, leaving out what is outside the window, bad, or of no pixel.

    Args:
        ids: uint32[events], at least one, detector ids; overwritten.
        tof: float32[events], us.
        pixel_of: int32[ids], pixel index of each detector id; negative for none.
        window: The TOF range to keep; its ends belong to it, those of a gap to the gap.
    """
    first_id, place_of, first_pixel, size = _places_of_ids(int(ids.min()), int(ids.max()), pixel_of)
    counts = np.zeros(size + 3, np.int64)
    _find_places(ids, tof, np.uint32(first_id), place_of, _intervals(window), counts)
    total = int(counts[:size].sum())
    cursor = np.append(np.cumsum(counts[:size]) - counts[:size], total)
    out = np.empty(total + 1, np.float32)
    _scatter(ids, tof, cursor, out)
    return SortedPart(first_pixel, counts[:size], out[:total], counts[size:])


def _places_of_ids(low: int, high: int, pixel_of: IntArray) -> tuple[int, NDArray[np.uint32], int, int]:
    """The place of each of the detector ids from `low` to `high`, with one more for ids beyond the map.

    Returns:
        The first id, the places, the first pixel, and the number of pixels, which is the place of ids without a pixel.
    """
    first_id = min(low, len(pixel_of))
    pixels = pixel_of[first_id : high + 1]
    known = pixels[pixels >= 0]
    first_pixel, size = (int(known.min()), int(known.max() - known.min() + 1)) if len(known) else (0, 0)
    places = np.where(pixels >= 0, pixels - first_pixel, size)
    return first_id, np.append(places, size).astype(np.uint32), first_pixel, size


def _intervals(window: TofWindow) -> NDArray[np.float32]:
    """The window and its gaps as float32[1 + gaps, 2]: the same TOFs lie in them as in those in double precision."""
    exact = np.array([(window.minimum, window.maximum), *window.gaps], np.float64)
    rounded = exact.astype(np.float32)
    up = np.nextafter(rounded, np.float32(np.inf))
    down = np.nextafter(rounded, np.float32(-np.inf))
    low = np.where(rounded[:, 0] < exact[:, 0], up[:, 0], rounded[:, 0])
    high = np.where(rounded[:, 1] > exact[:, 1], down[:, 1], rounded[:, 1])
    return np.stack([low, high], axis=1)


def merge_parts(parts: list[SortedPart], n_pixels: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All events of several parts, sorted by pixel; within a pixel in the order of the parts.

    The list is emptied: memory of a part is free again once its events are in their places.

    Returns:
        tof: float32[events], us.
        start: int64[n_pixels + 1]; pixel i owns tof[start[i]:start[i+1]].
    """
    start = np.zeros(n_pixels + 1, np.int64)
    for part in parts:
        start[part.first_pixel + 1 : part.first_pixel + 1 + len(part.counts)] += part.counts
    np.cumsum(start, out=start)
    tof = np.empty(int(start[-1]), np.float32)
    cursor = start[:-1].copy()
    parts.reverse()
    while parts:
        part = parts.pop()
        _append(part.tof, part.counts, cursor[part.first_pixel : part.first_pixel + len(part.counts)], tof)
    return tof, start
