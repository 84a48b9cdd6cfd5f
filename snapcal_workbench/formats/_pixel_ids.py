"""Pixels that a file names against the pixels of the instrument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import IntArray
from snapcal_workbench.formats.disk.files import damaged

_RANGE = re.compile(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", re.ASCII)


def require_same_pixels(path: Path, kind: str, found: IntArray, detid: IntArray) -> None:
    """Make sure that a file is of the instrument's pixels.

    Args:
        path: The file.
        kind: "grouping" or "mask".
        found: The file's pixels, ascending.
        detid: The instrument's pixels, ascending.

    Raises:
        FileFormatError: The pixels differ; the message says how.
    """
    if np.array_equal(found, detid):
        return
    raise damaged(path, f"a {kind} of the instrument's pixels", *_difference(kind, found, detid))


def _difference(kind: str, found: IntArray, detid: IntArray) -> tuple[str, str]:
    sizes = f"the {kind} has {len(found)} pixels, the instrument {len(detid)}"
    if are_blocks(len(detid), len(found)):
        return f"{sizes}: a native {kind} for lite data", f"Choose the lite form of the {kind}, or calibrate native."
    if are_blocks(len(found), len(detid)):
        return f"{sizes}: a lite {kind} for native data", f"Choose the native form of the {kind}, or calibrate lite."
    other = np.setdiff1d(found, detid)
    if len(found) == len(detid) and len(other):
        sizes = f"pixels that the instrument has not, the first is {other[0]}"
    return sizes, f"Choose a {kind} that was made for this instrument."


def are_blocks(fewer: int, more: int) -> bool:
    """Whether so many pixels can be square blocks of so many smaller ones."""
    ratio, rest = divmod(more, max(fewer, 1))
    return ratio > 1 and rest == 0 and isqrt(ratio) ** 2 == ratio


def slices_of_ranges(path: Path, kind: str, text: str, detid: IntArray) -> Iterator[slice]:
    """Places of the pixels that a list of ids and ranges such as "0-196607,200000" names.

    Args:
        path: The file that the list is from.
        kind: "grouping" or "mask".
        text: The list; empty items are passed over.
        detid: The instrument's pixels, ascending.

    Raises:
        FileFormatError: It is no such list, or the instrument has no such pixel.
    """
    for item in filter(str.strip, text.split(",")):
        found = _RANGE.fullmatch(item)
        if not found:
            raise damaged(path, f"a {kind} with lists of pixels like 0-99,120", f"'{item.strip():.40}'")
        first = int(found[1])
        last = int(found[2] or first)
        start, stop = np.searchsorted(detid, [first, last + 1])
        if last < first or stop - start != last - first + 1:
            what = f"the pixels {item.strip()}; the instrument has {len(detid)}, from {detid[0]} to {detid[-1]}"
            fix = f"Choose a {kind} that was made for this instrument, native or lite."
            raise damaged(path, f"a {kind} of the instrument's pixels", what, fix)
        yield slice(int(start), int(stop))
