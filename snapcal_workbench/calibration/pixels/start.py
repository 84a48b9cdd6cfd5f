"""A calibration table made fit to start from: a row for every pixel, and every DIFC a possible one.

One absurd DIFC stretches the d range of the whole group, so that the group's other pixels seem to have no counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable, Geometry, IntArray, MaskReason, PixelMask

LARGEST_RATIO = 2.0
"""How far a DIFC may be from the geometric one, relative to the median of all: a panel that is 10 deg from where the
geometry has it moves its pixels by 1.5, a typing error by 10. With 1.4 moved panels are lost; with 4 nothing but such
errors is found either, but the group's d range grows by as much."""


def with_all_rows(table: DiffCalTable, mask: PixelMask | None, geometry: Geometry) -> tuple[DiffCalTable, PixelMask]:
    """A table of some of a geometry's pixels with a row for each of them.

    Pixels without a row get their geometric DIFC, and are masked (NO_ROW).

    Args:
        table: Its pixels are among those of `geometry`.
        mask: Of the table's pixels; None: none is masked.
        geometry: Of all pixels.
    """
    place = np.searchsorted(geometry.detid, table.detid)
    reason = np.full(len(geometry), MaskReason.NO_ROW, np.uint8)
    reason[place] = MaskReason.USED if mask is None else mask.reason
    whole = DiffCalTable.from_geometry(geometry)
    columns = {}
    for name in ("difc", "difa", "tzero"):
        columns[name] = getattr(whole, name).copy()
        columns[name][place] = getattr(table, name)
    return DiffCalTable(geometry.detid, **columns), PixelMask(geometry.detid, reason)


def without_impossible_rows(
    table: DiffCalTable, mask: PixelMask, geometry: Geometry
) -> tuple[DiffCalTable, PixelMask, IntArray]:
    """A table whose impossible rows have the geometric DIFC, and are masked unless they were (IMPOSSIBLE_DIFC).

    Impossible is a DIFC, DIFA or TZERO that is no number, and a DIFC that is not positive or too far from the geometry.

    Args:
        table: Of the geometry's pixels.
        mask: Of the same pixels.
        geometry: Of the same pixels.

    Returns:
        Table, mask, and the ids of the pixels in use that were impossible.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.log(table.difc / geometry.difc)
    trusted = np.isfinite(distance) & ~mask.masked
    usual = np.median(distance[trusted]) if trusted.any() else 0.0
    possible = np.abs(distance - usual) <= np.log(LARGEST_RATIO)
    possible &= np.isfinite(table.difa) & np.isfinite(table.tzero)
    if possible.all():
        return table, mask, np.empty(0, np.int32)
    found = DiffCalTable(
        table.detid,
        np.where(possible, table.difc, geometry.difc),
        np.where(possible, table.difa, 0.0),
        np.where(possible, table.tzero, 0.0),
    )
    lost = ~possible & ~mask.masked
    reason = np.where(lost, MaskReason.IMPOSSIBLE_DIFC, mask.reason).astype(np.uint8)
    return found, replace(mask, reason=reason), table.detid[lost]


def distance_to(table: DiffCalTable, geometry: Geometry) -> float:
    """Median of |ln(DIFC / geometric DIFC)| over the table's pixels, inf unless all are among those of the geometry."""
    if not np.isin(table.detid, geometry.detid).all():
        return np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(table.difc / geometry.difc[np.searchsorted(geometry.detid, table.detid)]))
    finite = distance[np.isfinite(distance)]
    return float(np.median(finite)) if len(finite) else np.inf
