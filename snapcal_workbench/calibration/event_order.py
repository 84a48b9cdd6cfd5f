"""A canonical order of the events of each pixel, so that no result depends on the order in which a loader gives them.

Sums in floating point differ with the order of their terms, by 1e-8 to 1e-7 of DIFC where a search starts from them:
Mantid's LoadEventNexus gives the events of a pixel in another order than the file. Sorted events also read the tables
of a compiled loop from one end to the other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import in_order, split
from snapcal_workbench.calibration.types import Events
from snapcal_workbench.progress import Progress

EVENTS_PER_CHUNK = 1_000_000
PIXELS_PER_CHUNK = 20_000
CROWDED = 32
"""More events than that in a bucket, or in a pixel without buckets, are left to numba's own sort. Half or twice as many
take the same time within a tenth."""


def sort_within_pixels(
    values: NDArray[np.float32], start: NDArray[np.int64], *, threads: int | None = None, progress: Progress
) -> None:
    """Sort the values of each pixel, in place; NaN come last.

    Args:
        values: float32[events]; pixel i owns values[start[i]:start[i+1]].
        start: int64[pixels + 1].
        threads: Number of threads; None: the default.
        progress: Asked whether to go on.

    Raises:
        Cancelled: The user cancelled; the values are then in any order within their pixels.
    """
    quiet = Progress(is_cancelled=progress.is_cancelled)

    def work(pixels: slice) -> None:
        _sort_values(values, start[pixels.start : pixels.stop + 1])

    list(in_order(work, split(np.diff(start), EVENTS_PER_CHUNK, PIXELS_PER_CHUNK), progress=quiet, threads=threads))


def in_canonical_order(events: Events, progress: Progress) -> Events:
    """The events in order of TOF, and of weight where TOFs are equal; as given where they are in order already.

    The order of weighted events is that of the bits, which for positive numbers is that of the numbers.

    Raises:
        Cancelled: The user cancelled.
    """
    if events.weight is not None:
        return _with_sorted_weights(events, events.weight)
    start = events.start.astype(np.int64, copy=False)
    tof = np.ascontiguousarray(events.tof, np.float32)
    if _are_sorted(tof, start):
        return events
    tof = tof.copy()
    sort_within_pixels(tof, start, progress=progress)
    return replace(events, tof=tof)


def _with_sorted_weights(events: Events, weights: NDArray[np.float32]) -> Events:
    tof = np.ascontiguousarray(events.tof, np.float32).view(np.uint32)
    weight = np.ascontiguousarray(weights, np.float32).view(np.uint32)
    keys = (tof.astype(np.uint64) << np.uint64(32)) | weight
    if not _sort_keys(keys, events.start.astype(np.int64, copy=False)):
        return events
    sorted_tof = (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)
    return replace(events, tof=sorted_tof, weight=keys.astype(np.uint32).view(np.float32))


@njit(cache=True, nogil=True)
def _are_sorted(values, start):
    """Whether the values of each pixel ascend, those that are no numbers last."""
    for p in range(start.size - 1):
        for k in range(start[p] + 1, start[p + 1]):
            if values[k] < values[k - 1] or (values[k] == values[k] and values[k - 1] != values[k - 1]):
                return False
    return True


@njit(cache=True, nogil=True)
def _sort_keys(keys, start):
    """Sort the keys of each pixel in place; returns whether any was out of order."""
    changed = False
    for p in range(start.size - 1):
        part = keys[start[p] : start[p + 1]]
        for k in range(1, part.size):
            if part[k] < part[k - 1]:
                part.sort()
                changed = True
                break
    return changed


@njit(cache=True, nogil=True)
def _sort_values(values, start):
    """Sort the values of each pixel in place: as many even buckets as events, each of which is sorted by itself."""
    size = np.diff(start).max()
    ends, sorted_ = np.empty(size + 1, np.int64), np.empty(size, np.float32)
    for p in range(start.size - 1):
        part = values[start[p] : start[p + 1]]
        low, high = np.inf, -np.inf
        for k in range(part.size):
            low, high = min(low, part[k]), max(high, part[k])
            if not np.isfinite(part[k]):
                low = -np.inf
        if part.size <= CROWDED or not np.isfinite(low) or not high > low:
            part.sort()
            continue
        _into_buckets(part, low, (part.size - 1) / (high - low), ends, sorted_)
        _sort_bucket(part[: ends[0]])
        for b in range(1, part.size):
            _sort_bucket(part[ends[b - 1] : ends[b]])


@njit(cache=True, nogil=True)
def _into_buckets(part, low, per_value, ends, sorted_):
    """Put values into order of their buckets; ends[b] is then the place after the last value of bucket b."""
    n = part.size
    ends[: n + 1] = 0
    for k in range(n):
        ends[np.int64((part[k] - low) * per_value) + 1] += 1
    for b in range(n):
        ends[b + 1] += ends[b]
    for k in range(n):
        bucket = np.int64((part[k] - low) * per_value)
        sorted_[ends[bucket]] = part[k]
        ends[bucket] += 1
    part[:] = sorted_[:n]


@njit(cache=True, nogil=True)
def _sort_bucket(part):
    if part.size > CROWDED:
        part.sort()
        return
    for k in range(1, part.size):
        value = part[k]
        at = k
        while at > 0 and part[at - 1] > value:
            part[at] = part[at - 1]
            at -= 1
        part[at] = value
