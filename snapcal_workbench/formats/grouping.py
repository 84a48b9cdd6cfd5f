"""Grouping files: which group each pixel belongs to.

Three kinds: the layout of a DiffCal file (`.hdf`, `.h5`, `.hd5`), Mantid's `<detector-grouping>` (`.xml`), and a
GroupingWorkspace in Mantid's processed NeXus (`.nxs`, `.nxs5`), whose single count of a spectrum is its group. Group 0
means "in no group"; group ids need not be contiguous. A file of the first or third kind lists all pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import IntArray, PixelGrouping
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats._pixel_ids import require_same_pixels, slices_of_ranges
from snapcal_workbench.formats.diffcal import DiffCalRows, read_rows, write_rows
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.xml_file import read_xml
from snapcal_workbench.formats.processed.reader import read_single_counts

WHAT = "a grouping file"
_HDF = (".hdf", ".h5", ".hd5")
_NEXUS = (".nxs", ".nxs5")


def read_grouping(path: Path, detid: IntArray) -> PixelGrouping:
    """Read a grouping for an instrument.

    Args:
        path: The file; its extension says the kind.
        detid: int32[n], ascending: the pixels of the instrument.

    Returns:
        The group of each of these pixels; the name is the file's, without extension.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It is damaged, of an unknown kind, of other pixels, or has no group.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in _HDF:
        group = _group_from_hdf(path, detid)
    elif kind in _NEXUS:
        group = _group_from_nexus(path, detid)
    elif kind == ".xml":
        group = _group_from_xml(path, detid)
    else:
        raise damaged(path, WHAT, f"the extension '{kind}'", f"Use one of {', '.join((*_HDF, '.xml', *_NEXUS))}.")
    if not np.any(group > 0):
        raise damaged(path, "a grouping with at least one group", "all pixels are in no group (0)")
    return PixelGrouping(detid, group, name=path.stem)


def _group_from_hdf(path: Path, detid: IntArray) -> IntArray:
    rows = read_rows(path, WHAT)
    if rows.group is None:
        raise damaged(path, WHAT, "no dataset group in /calibration")
    require_same_pixels(path, "grouping", rows.detid, detid)
    return _checked(path, rows.group)


def _group_from_nexus(path: Path, detid: IntArray) -> IntArray:
    found, values = read_single_counts(path, WHAT, group="workspace")
    require_same_pixels(path, "grouping", found, detid)
    if np.any(values != np.floor(values)) or np.any(np.abs(values) > np.iinfo(np.int32).max):
        raise damaged(path, WHAT, "counts that are not whole numbers, so they are no group ids")
    return _checked(path, values.astype(np.int32))


def _checked(path: Path, group: IntArray) -> IntArray:
    if np.any(group < 0):
        raise damaged(path, WHAT, f"the negative group {group.min()}")
    return group


def _group_from_xml(path: Path, detid: IntArray) -> IntArray:
    group = np.zeros(len(detid), np.int32)
    for position, element in enumerate(read_xml(path, WHAT, "detector-grouping").iter("group")):
        number = _group_id(path, element.get("ID"), position + 1)
        lists = [(item.text or "") + (item.get("val") or "") for item in element.iter("detids")]
        if not lists:
            fix = "Write the pixels of each group as <detids>0-196607,200000</detids>."
            raise damaged(path, WHAT, f"group {number} has no <detids>", fix)
        for part in slices_of_ranges(path, "grouping", ",".join(lists), detid):
            if np.any((group[part] != 0) & (group[part] != number)):
                raise damaged(path, "each pixel in one group", f"pixels of group {number} that are in another one, too")
            group[part] = number
    _refuse_lite_for_native(path, group, detid)
    return group


def _group_id(path: Path, text: str | None, default: int) -> int:
    try:
        number = default if text is None else int(text)
    except ValueError as error:
        raise damaged(path, WHAT, f"the group ID '{text:.40}'") from error
    if not 0 < number <= np.iinfo(np.int32).max:
        raise damaged(path, "group IDs from 1 upwards", str(number)[:40])
    return number


def _refuse_lite_for_native(path: Path, group: IntArray, detid: IntArray) -> None:
    """An XML file need not list all pixels; one that lists just the ids of all lite pixels is a lite grouping."""
    grouped = group > 0
    lite = len(detid) // 64
    if lite and np.count_nonzero(grouped) == lite and np.all(grouped[:lite]):
        require_same_pixels(path, "grouping", detid[:lite], detid)


def write_grouping(path: Path, grouping: PixelGrouping, *, instrument: str, source: str = "") -> None:
    """Write a grouping in the layout of a DiffCal file, with zeros for DIFC, DIFA and TZERO as SNAP's groupings have.

    Args:
        path: The file; an existing one is replaced once the new one is complete.
        grouping: Of all pixels.
        instrument: Name of the instrument, such as "SNAP" or "SNAPLite".
        source: Instrument definition or file that it was made from.

    Raises:
        InputError: The grouping has no pixel or a negative group.
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
    """
    if len(grouping.detid) == 0 or np.any(grouping.group < 0):
        raise InputError(
            "A grouping that is saved must have pixels, and groups from 0 upwards.",
            found=f"{len(grouping.detid)} pixels",
            fix="Number the groups from 1; 0 means in no group.",
        )
    zeros = np.zeros(len(grouping.detid))
    use = np.ones(len(zeros), np.int32)
    write_rows(path, DiffCalRows(grouping.detid, zeros, zeros, zeros, grouping.group, use, instrument, source), WHAT)
