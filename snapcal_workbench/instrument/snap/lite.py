"""Native and lite pixels: which belong together, and how a calibration of one becomes one of the other.

A *lite* pixel sums 8 x 8 native ones of a module: lite = 1024 m + 32 (x div 8) + (y div 8) for module m, column x and
row y. A file in the calibration tree can say it, too; then the file counts, as it does for SNAPRed. A calibration is
carried over as the ratio to the geometry: TOF(native) / DIFC0(native) = TOF(lite) / DIFC0(lite) at every d, where DIFC0
is the geometric DIFC.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, Geometry, IntArray, PixelGrouping
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.grouping import read_grouping
from snapcal_workbench.instrument.snap.geometry import LITE_FACTOR, LITE_PIXELS, LITE_SIDE, NATIVE_PIXELS, snap_layout
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress


def lite_map_by_formula() -> IntArray:
    """int32[native pixels]: id of the lite pixel that each native pixel belongs to."""
    layout = snap_layout(lite=False)
    module = layout.module.astype(np.int32)
    return module * LITE_SIDE**2 + (layout.x // LITE_FACTOR).astype(np.int32) * LITE_SIDE + layout.y // LITE_FACTOR


def lite_map(settings: Settings, progress: Progress | None = None) -> IntArray:
    """int32[native pixels]: id of the lite pixel that each native pixel belongs to.

    `settings.lite_map` counts where it exists (groups 1 to 18432 are the lite pixels 0 to 18431); a warning tells when
    it differs from the formula, because the positions of the lite pixels are those of the formula.

    Raises:
        FileFormatError: The file does not map every native pixel to one of the lite pixels, each used.
    """
    formula = lite_map_by_formula()
    path = settings.lite_map
    if not os.path.exists(path):
        return formula
    found = _map_of(read_grouping(path, np.arange(NATIVE_PIXELS, dtype=np.int32)), str(path))
    differing = int(np.count_nonzero(found != formula))
    if differing and progress:
        progress.warn(
            f"The lite map {path} puts {differing} native pixels into other lite pixels than their place in the module "
            "says. The file is used; positions of these lite pixels may be wrong."
        )
    return found


def _map_of(grouping: PixelGrouping, source: str) -> IntArray:
    counts = np.bincount(np.clip(grouping.group, 0, LITE_PIXELS + 1), minlength=LITE_PIXELS + 2)
    unmapped, empty = int(counts[0] + counts[-1]), int(np.count_nonzero(counts[1:-1] == 0))
    if unmapped or empty:
        raise FileFormatError(
            f"The lite map must put every native pixel into one of the groups 1 to {LITE_PIXELS}, none of them empty.",
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
        lite_of: Lite id of each native pixel, from `lite_map`.

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
        lite_of: Lite id of each native pixel, from `lite_map`.
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
