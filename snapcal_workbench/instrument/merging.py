"""Modes of one instrument: which pixels belong together, and how a calibration of one mode becomes one of another.

A *merged* pixel sums a block of native ones of a module: it is pixel (x div b, y div b) of a module with as many times
fewer pixels, for column x and row y. A file in the calibration tree can say it, too; then the file counts, as it does
for SNAPRed. A calibration is carried over as the ratio to the geometry: TOF(native) / DIFC0(native) =
TOF(merged) / DIFC0(merged) at every d, where DIFC0 is the geometric DIFC.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, Geometry, IntArray, PixelGrouping, PixelLayout
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.grouping import read_grouping
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress


def merged_by_place(layout: PixelLayout, blocks: int) -> IntArray:
    """int32[n]: index of the block of `blocks` x `blocks` pixels that each pixel of a layout lies in."""
    columns, rows = layout.columns // blocks, layout.rows // blocks
    column, row = (layout.x // blocks).astype(np.int32), (layout.y // blocks).astype(np.int32)
    return (layout.module.astype(np.int32) * columns + column) * rows + row


def merge_map(mode: PixelMode, settings: Settings, progress: Progress | None = None) -> IntArray:
    """int32[native pixels]: index of the mode's pixel that each native pixel belongs to.

    For merged pixels `settings.lite_map` counts where it exists (groups from 1 are the pixels from 0); a warning tells
    when it differs from the pixels' places, because the positions of the merged pixels are by their places.

    Raises:
        FileFormatError: The file does not map every native pixel to one of the merged pixels, each used.
    """
    by_place = merged_by_place(mode.native.layout, mode.blocks)
    path = settings.lite_map
    if not mode.merged or not os.path.exists(path):
        return by_place
    found = _map_of(read_grouping(path, mode.native.detid), mode, str(path))
    differing = int(np.count_nonzero(found != by_place))
    if differing and progress:
        progress.warn(
            f"The {mode.name} map {path} puts {differing} native pixels into other {mode.name} pixels than their place "
            f"in the module says. The file is used; positions of these {mode.name} pixels may be wrong."
        )
    return found


def pixel_of_id(mode: PixelMode, settings: Settings, progress: Progress | None = None) -> IntArray | None:
    """int32[ids]: index of the mode's pixel for each detector id in an event file, -1 for none; None: the id itself.

    Raises:
        FileFormatError: As for `merge_map`.
    """
    detid = mode.native.detid
    if mode.native.make_detid is None:
        return merge_map(mode, settings, progress) if mode.merged else None
    index = np.full(int(detid[-1]) + 1, -1, np.int32)
    index[detid] = merge_map(mode, settings, progress)
    return index


def _map_of(grouping: PixelGrouping, mode: PixelMode, source: str) -> IntArray:
    pixels = mode.n_pixels
    counts = np.bincount(np.clip(grouping.group, 0, pixels + 1), minlength=pixels + 2)
    unmapped, empty = int(counts[0] + counts[-1]), int(np.count_nonzero(counts[1:-1] == 0))
    if unmapped or empty:
        raise FileFormatError(
            f"The {mode.name} map must put every native pixel into a group from 1 to {pixels}, none of them empty.",
            found=f"{unmapped} native pixels in no such group, {empty} empty groups ({source})",
            fix="Replace the file, or remove it: without it the map follows from the pixel ids.",
        )
    return (grouping.group - 1).astype(np.int32)


def expand_to_native(table: DiffCalTable, *, native: Geometry, lite: Geometry, lite_of: IntArray) -> DiffCalTable:
    """The native calibration that a lite one implies: every term times the ratio of the geometric DIFC.

    Args:
        table: Of the lite pixels.
        native: Geometry of the native pixels.
        lite: Geometry of the lite pixels.
        lite_of: Index of the merged pixel of each native pixel, from `merge_map`.

    Raises:
        InputError: The table is not of the lite pixels.
    """
    _check_pixels(table, lite)
    ratio = native.difc / lite.difc[lite_of]
    return DiffCalTable(
        native.detid, table.difc[lite_of] * ratio, table.difa[lite_of] * ratio, table.tzero[lite_of] * ratio
    )


def reduce_to_lite(
    table: DiffCalTable,
    *,
    native: Geometry,
    lite: Geometry,
    lite_of: IntArray,
    used: NDArray[np.bool_] | None = None,
) -> DiffCalTable:
    """The lite calibration that a native one implies: the mean ratio to the geometry of the pixels in use.

    A lite pixel none of whose native pixels is in use gets the mean of all of them.

    Args:
        table: Of the native pixels.
        native: Geometry of the native pixels.
        lite: Geometry of the lite pixels.
        lite_of: Index of the merged pixel of each native pixel, from `merge_map`.
        used: bool[native pixels], the pixels in use; None: all.

    Raises:
        InputError: The table is not of the native pixels.
    """
    _check_pixels(table, native)
    weight = np.ones(len(native)) if used is None else used.astype(np.float64)
    total = np.bincount(lite_of, weights=weight, minlength=len(lite))
    weight = np.where(total[lite_of] > 0, weight, 1.0)
    total = np.bincount(lite_of, weights=weight, minlength=len(lite))

    def mean(term: FloatArray) -> FloatArray:
        return lite.difc * np.bincount(lite_of, weights=weight * term / native.difc, minlength=len(lite)) / total

    return DiffCalTable(lite.detid, mean(table.difc), mean(table.difa), mean(table.tzero))


def _check_pixels(table: DiffCalTable, geometry: Geometry) -> None:
    if not np.array_equal(table.detid, geometry.detid):
        raise InputError(
            f"The calibration must have one row for each of the {len(geometry)} pixels of {geometry.instrument}.",
            found=f"{len(table)} rows",
            fix="Use a calibration of that instrument, native or lite.",
        )
