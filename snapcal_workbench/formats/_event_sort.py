"""Sorting events by pixel: a counting sort of one bank at a time, and the merging of sorted parts.

A *part* is a set of events sorted by pixel within a contiguous range of pixels. The order within a pixel is that of the
input, so results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, IntArray, TofWindow

UNKNOWN, BAD_TOF, OUTSIDE = range(3)
"""Places in a tally of dropped events: of no pixel; NaN, infinite or negative TOF; outside the window or in a gap."""

_DROPPED = np.uint32(0xFFFFFFFF)


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


@njit(cache=True, nogil=True)
def _assign_pixels(ids, tof, pixel_of, low, high, gaps, counts, dropped):
    known = len(pixel_of)
    for i in range(len(ids)):
        pixel = -1
        if ids[i] < known:
            pixel = pixel_of[ids[i]]
        time = np.float64(tof[i])
        keep = True
        if pixel < 0:
            dropped[0] += 1
            keep = False
        elif not (time >= 0.0 and time < np.inf):
            dropped[1] += 1
            keep = False
        elif time < low or time > high:
            dropped[2] += 1
            keep = False
        else:
            for k in range(gaps.shape[0]):
                if gaps[k, 0] <= time <= gaps[k, 1]:
                    keep = False
            if not keep:
                dropped[2] += 1
        if keep:
            counts[pixel] += 1
            ids[i] = np.uint32(pixel)
        else:
            ids[i] = _DROPPED


@njit(cache=True, nogil=True)
def _scatter(pixels, tof, first_pixel, cursor, out):
    for i in range(len(pixels)):
        if pixels[i] != _DROPPED:
            place = pixels[i] - first_pixel
            out[cursor[place]] = tof[i]
            cursor[place] += 1


@njit(cache=True, nogil=True)
def _append(tof, counts, cursor, out):
    source = 0
    for pixel in range(len(counts)):
        for k in range(counts[pixel]):
            out[cursor[pixel] + k] = tof[source + k]
        cursor[pixel] += counts[pixel]
        source += counts[pixel]


def sort_bank(
    ids: NDArray[np.uint32], tof: NDArray[np.float32], pixel_of: IntArray, n_pixels: int, window: TofWindow
) -> SortedPart:
    """Sort the events of one bank by pixel, leaving out what is outside the window, bad, or of no pixel.

    Args:
        ids: uint32[events], detector ids; overwritten.
        tof: float32[events], us.
        pixel_of: int32[ids], pixel index of each detector id; negative for none.
        n_pixels: Number of pixels; every entry of `pixel_of` is below it.
        window: The TOF range to keep; its ends belong to it, those of a gap to the gap.
    """
    counts = np.zeros(n_pixels, np.int64)
    dropped = np.zeros(3, np.int64)
    _assign_pixels(ids, tof, pixel_of, float(window.minimum), float(window.maximum), _gaps(window), counts, dropped)
    occupied = np.flatnonzero(counts)
    if len(occupied) == 0:
        return SortedPart(0, counts[:0].copy(), np.empty(0, np.float32), dropped)
    first, last = int(occupied[0]), int(occupied[-1])
    counts = counts[first : last + 1].copy()
    cursor = np.cumsum(counts) - counts
    out = np.empty(int(counts.sum()), np.float32)
    _scatter(ids, tof, first, cursor, out)
    return SortedPart(first, counts, out, dropped)


def _gaps(window: TofWindow) -> FloatArray:
    return np.array(window.gaps, np.float64).reshape(-1, 2)


def merge_parts(parts: Sequence[SortedPart], n_pixels: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All events of several parts, sorted by pixel; within a pixel in the order of the parts.

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
    for part in parts:
        _append(part.tof, part.counts, cursor[part.first_pixel : part.first_pixel + len(part.counts)], tof)
    return tof, start
