"""Mask files: pixels that the user does not want used.

Three kinds: the layout of a DiffCal file (`.h5`, `.hdf`, `.hd5`; `use` > 0 is in use), Mantid's `<detector-masking>`
(`.xml`, SaveMask), and a MaskWorkspace in Mantid's processed NeXus (`.nxs`, `.nxs5`). An XML file lists the masked
pixels only; a file of the other kinds lists all pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import IntArray, MaskReason, PixelMask
from snapcal_workbench.formats._pixel_ids import require_same_pixels, slices_of_ranges
from snapcal_workbench.formats.diffcal import read_rows
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.xml_file import read_xml
from snapcal_workbench.formats.processed.reader import read_single_counts

WHAT = "a mask file"
_HDF = (".h5", ".hdf", ".hd5")
_NEXUS = (".nxs", ".nxs5")


def read_mask(path: Path, detid: IntArray) -> PixelMask:
    """Read a mask for an instrument.

    Args:
        path: The file; its extension says the kind.
        detid: int32[n], ascending: the pixels of the instrument.

    Returns:
        The mask of these pixels, with the reason USER.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It is damaged, of an unknown kind, or of other pixels.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in _HDF:
        masked = _masked_in_hdf(path, detid)
    elif kind in _NEXUS:
        found, values = read_single_counts(path, WHAT, group="mask_workspace")
        require_same_pixels(path, "mask", found, detid)
        masked = values != 0
    elif kind == ".xml":
        masked = _masked_in_xml(path, detid)
    else:
        raise damaged(path, WHAT, f"the extension '{kind}'", f"Use one of {', '.join((*_HDF, '.xml', *_NEXUS))}.")
    return PixelMask(detid, np.where(masked, MaskReason.USER, MaskReason.USED).astype(np.uint8))


def _masked_in_hdf(path: Path, detid: IntArray) -> NDArray[np.bool_]:
    rows = read_rows(path, WHAT)
    if rows.use is None:
        raise damaged(path, WHAT, "no dataset use in /calibration")
    require_same_pixels(path, "mask", rows.detid, detid)
    return rows.use <= 0


def _masked_in_xml(path: Path, detid: IntArray) -> NDArray[np.bool_]:
    root = read_xml(path, WHAT, "detector-masking")
    lists = [(item.text or "") + (item.get("val") or "") for item in root.iter("detids")]
    others = sorted({item.tag for item in root.iter() if item.tag in ("component", "ids")})
    if others:
        fix = "Save the mask with SaveMask, which lists detector ids."
        raise damaged(path, "a mask with lists of <detids>", f"<{others[0]}>", fix)
    masked = np.zeros(len(detid), bool)
    for part in slices_of_ranges(path, "mask", ",".join(lists), detid):
        masked[part] = True
    return masked
