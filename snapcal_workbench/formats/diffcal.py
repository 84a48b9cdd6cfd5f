"""Mantid's DiffCal file (HDF5): DIFC, DIFA, TZERO, mask and group of each pixel.

Group `/calibration` with one-dimensional datasets, a row a pixel: `detid`, `difc` (us/A), `difa` (us/A^2), `tzero`
(us), `group` (0 = in no group) and `use` (1 = good, 0 = masked), and `/calibration/instrument` with `name` and
`instrument_source`. Files of other programs have other number types and further datasets, which are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FloatArray,
    IntArray,
    MaskReason,
    PixelGrouping,
    PixelMask,
)
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.hdf5 import child, hdf5_image, numbers, open_hdf5, subgroup, text, wrong
from snapcal_workbench.formats.disk.writing import replace_file

WHAT = "a DiffCal file"

SMALLEST_DIFC, LARGEST_DIFC = 10.0, 1e6
"""What an instrument can have, us/A: 1 m of flight path at 2theta = 2.3 deg, and 2 km in backscattering."""


@dataclass(frozen=True, eq=False)
class DiffCalFile:
    """What a DiffCal file holds, in ascending order of detid.

    Attributes:
        table: DIFC, DIFA and TZERO of each pixel of the file. The DIFC of a pixel in use is one that an instrument can
            have; that of a masked one is as in the file, and 0 where that is no positive number.
        mask: INHERITED where the file says that a pixel is not to be used, IMPOSSIBLE_DIFC where its row cannot be.
        grouping: Group of each pixel.
        instrument: Name of the instrument; "" if the file does not say.
        source: Instrument definition or file that it was made from; "" if the file does not say.
    """

    table: DiffCalTable
    mask: PixelMask
    grouping: PixelGrouping
    instrument: str = ""
    source: str = ""


@dataclass(frozen=True, eq=False)
class DiffCalRows:
    """The rows of a DiffCal file in ascending order of detid, before DIFC is looked at; absent columns are None."""

    detid: IntArray
    difc: FloatArray | None
    difa: FloatArray | None
    tzero: FloatArray | None
    group: IntArray | None
    use: IntArray | None
    instrument: str
    source: str


def read_diffcal(path: Path) -> DiffCalFile:
    """Read a calibration table.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It is not a DiffCal file, or no pixel in use has a possible DIFC.
    """
    rows = read_rows(path)
    if rows.difc is None:
        raise damaged(path, WHAT, "no dataset difc in /calibration")
    n = len(rows.detid)
    used = np.ones(n, bool) if rows.use is None else rows.use > 0
    zeros = np.zeros(n)
    difa = zeros if rows.difa is None else rows.difa
    tzero = zeros if rows.tzero is None else rows.tzero
    possible = (rows.difc >= SMALLEST_DIFC) & (rows.difc <= LARGEST_DIFC) & np.isfinite(difa) & np.isfinite(tzero)
    if used.any() and not possible[used].any():
        raise _no_difc(path, rows.detid[used], rows.difc[used])
    reason = np.select([~used, ~possible], [MaskReason.INHERITED, MaskReason.IMPOSSIBLE_DIFC], MaskReason.USED)
    group = np.ones(n, np.int32) if rows.group is None else rows.group
    return DiffCalFile(
        DiffCalTable(rows.detid, _finite(np.maximum(rows.difc, 0.0)), _finite(difa), _finite(tzero)),
        PixelMask(rows.detid, reason.astype(np.uint8)),
        PixelGrouping(rows.detid, group),
        rows.instrument,
        rows.source,
    )


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, 0.0)


def _no_difc(path: Path, detid: IntArray, difc: FloatArray) -> FileFormatError:
    return damaged(
        path,
        f"a DIFC between {SMALLEST_DIFC:g} and {LARGEST_DIFC:g} us/A of the pixels in use",
        f"{len(detid)} of {len(detid)} pixels have none, the first is pixel {detid[0]} with {difc[0]:g}",
        "Choose a calibration file: this one has no DIFC at all, so it may be a grouping file.",
    )


def read_rows(path: Path, what: str = WHAT) -> DiffCalRows:
    """Read the rows of any file with the layout of a DiffCal file, such as a grouping without DIFC.

    Args:
        path: The file.
        what: What it should be; used in the messages.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It has another layout, a repeated detid, or groups or uses that are no whole numbers.
    """
    with open_hdf5(path, what) as file:
        group = subgroup(file, "calibration")
        detid = numbers(group, "detid", np.int32)
        if len(detid) == 0:
            raise wrong(group, "at least one pixel", "an empty dataset detid")
        order = np.argsort(detid, kind="stable")
        detid = detid[order]
        if np.any(detid[1:] == detid[:-1]):
            raise wrong(group, "each detid once", f"pixel {detid[:-1][detid[1:] == detid[:-1]][0]} more than once")
        return DiffCalRows(
            detid,
            _column(group, "difc", np.float64, order),
            _column(group, "difa", np.float64, order),
            _column(group, "tzero", np.float64, order),
            _column(group, "group", np.int32, order),
            _column(group, "use", np.int32, order),
            text(group, "instrument/name").strip(),
            text(group, "instrument/instrument_source").strip(),
        )


def _column(group: h5py.Group, name: str, dtype: type, order: NDArray[np.int64]) -> NDArray | None:
    if child(group, name) is None:
        return None
    return numbers(group, name, dtype, size=len(order), finite=False)[order]


def write_diffcal(
    path: Path,
    table: DiffCalTable,
    mask: PixelMask | None = None,
    grouping: PixelGrouping | None = None,
    *,
    instrument: str = "",
    source: str = "",
) -> None:
    """Write a calibration table, complete or not at all; an existing file is replaced once the new one is complete.

    Arguments and errors as for `diffcal_image`, and

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
    """
    replace_file(path, diffcal_image(table, mask, grouping, instrument=instrument, source=source), WHAT)


def diffcal_image(
    table: DiffCalTable,
    mask: PixelMask | None = None,
    grouping: PixelGrouping | None = None,
    *,
    instrument: str = "",
    source: str = "",
) -> bytes:
    """The bytes of a calibration table as Mantid's SaveDiffCal writes it; equal values make equal bytes.

    DIFA and TZERO are written even where all are 0: every LoadDiffCal accepts that, while only newer ones, which leave
    zeros out themselves, accept files without them (older ones read beyond the end of an empty column).

    Args:
        table: Of all pixels, every DIFC positive.
        mask: Of the same pixels; without it all are in use.
        grouping: Of the same pixels; without it all are in group 1.
        instrument: Name of the instrument.
        source: Instrument definition or file that it was made from.

    Raises:
        InputError: A value is not finite, a DIFC is not positive, or mask or grouping are of other pixels.
    """
    _check_table(table)
    _check_pixels(table, mask, grouping)
    use = np.ones(len(table)) if mask is None else ~mask.masked
    group = np.ones(len(table)) if grouping is None else grouping.group
    return _rows_image(
        DiffCalRows(
            table.detid,
            table.difc,
            table.difa,
            table.tzero,
            group.astype(np.int32),
            use.astype(np.int32),
            instrument,
            source,
        ),
    )


def write_rows(path: Path, rows: DiffCalRows, what: str = WHAT) -> None:
    """Write the rows of a DiffCal file; columns that are None are left out."""
    replace_file(path, _rows_image(rows), what)


def _rows_image(rows: DiffCalRows) -> bytes:
    def fill(file: h5py.File) -> None:
        group = _new_group(file, "calibration", "NXentry")
        for name in ("detid", "difc", "difa", "tzero", "group", "use"):
            values = getattr(rows, name)
            if values is not None:
                dtype = np.int32 if name in ("detid", "group", "use") else np.float64
                _write_column(group, name, values.astype(dtype))
        described = _new_group(group, "instrument", "NXinstrument")
        _write_text(described, "name", rows.instrument)
        _write_text(described, "instrument_source", rows.source)

    return hdf5_image(fill)


def _new_group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.create("NX_class", nx_class, dtype=h5py.string_dtype("ascii"))  # of variable length, as Mantid has it
    return group


def _write_column(group: h5py.Group, name: str, values: NDArray) -> None:
    group.create_dataset(name, data=values, chunks=values.shape, compression="gzip", compression_opts=6)


def _write_text(group: h5py.Group, name: str, value: str) -> None:
    if not value:
        return
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(value.encode()) + 1)  # with the closing zero byte that Mantid writes
    made = group.create_dataset(name, shape=(1,), dtype=h5py.Datatype(kind))
    made[0] = np.bytes_(value.encode())


def _check_table(table: DiffCalTable) -> None:
    finite = np.isfinite(table.difc) & np.isfinite(table.difa) & np.isfinite(table.tzero)
    bad = np.flatnonzero(~finite | ~(table.difc > 0))
    if len(table) == 0 or len(bad):
        found = f"{len(bad)} of {len(table)} are not" + (
            f", the first is pixel {table.detid[bad[0]]}" if len(bad) else ""
        )
        raise InputError(
            "Every pixel that is saved must have a positive DIFC and finite DIFA and TZERO, masked ones too.",
            found=found,
            fix="Give these pixels their geometric DIFC and mask them.",
        )


def _check_pixels(table: DiffCalTable, *others: PixelMask | PixelGrouping | None) -> None:
    for other in others:
        if other is not None and not np.array_equal(other.detid, table.detid):
            raise InputError(
                "Mask and grouping that are saved with a table must be of the same pixels.",
                found=f"{type(other).__name__} of {len(other.detid)} pixels, table of {len(table)}",
                fix="Use mask and grouping of the same instrument, native or lite.",
            )
