"""Mask files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelMask
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.diffcal import write_diffcal
from snapcal_workbench.formats.masks import read_mask


@pytest.mark.parametrize("name", ["mask.xml", "mask.nxs", "diffcal.h5"])
def test_the_mask_that_mantid_saved(reference_data: Path, name: str) -> None:
    """The same two pixels in all three forms, as Mantid itself says."""
    detid = np.arange(16, 48, dtype=np.int32)
    found = read_mask(reference_data / "mantid" / name, detid)
    known = json.loads((reference_data / "mantid/format_samples.json").read_text())
    assert np.flatnonzero(found.masked).tolist() == known["masked"]
    assert set(found.counts()) == {MaskReason.USER}


def test_the_use_column_of_a_calibration(tmp_path: Path, table: DiffCalTable, mask: PixelMask) -> None:
    """What is masked in a calibration, whatever the reason, is masked by the user who names it as a mask."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table, mask)
    found = read_mask(path, table.detid)
    np.testing.assert_array_equal(found.masked, mask.masked)
    assert set(found.counts()) == {MaskReason.USER}


def test_a_mask_of_other_pixels(tmp_path: Path, reference_data: Path, table: DiffCalTable) -> None:
    """A lite mask for native data says so; other instruments are refused."""
    native = np.arange(1179648, dtype=np.int32)
    with pytest.raises(FileFormatError, match="a lite mask for native data"):
        read_mask(reference_data / "diffract_consts_058885_v0003.h5", native)
    with pytest.raises(FileFormatError, match="pixels that the instrument has not, the first is 100"):
        read_mask(_written(tmp_path, table), np.arange(40, dtype=np.int32) - 10)


def _written(folder: Path, table: DiffCalTable) -> Path:
    write_diffcal(folder / "a.h5", table)
    return folder / "a.h5"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("<group><detids>5</detids></group>", "the pixels 5"),
        ("<group><detids>a-b</detids></group>", "a-b"),
        ("<group><component>bank1</component></group>", "<component>"),
        ("<group><ids>1-3</ids></group>", "<ids>"),
        ("<group>", "not readable as XML"),
    ],
)
def test_wrong_xml_is_named(tmp_path: Path, detid: np.ndarray, body: str, found: str) -> None:
    """Only lists of detector ids that the instrument has."""
    path = tmp_path / "mask.xml"
    path.write_text(f"<detector-masking>{body}</detector-masking>")
    with pytest.raises(FileFormatError) as caught:
        read_mask(path, detid)
    assert found in caught.value.found


def test_an_empty_mask_masks_nothing(tmp_path: Path, detid: np.ndarray) -> None:
    """SaveMask writes such a file when nothing is masked."""
    path = tmp_path / "mask.xml"
    path.write_text("<detector-masking><group><detids/></group></detector-masking>")
    assert not read_mask(path, detid).masked.any()


def test_files_that_are_no_mask(tmp_path: Path, reference_data: Path, detid: np.ndarray) -> None:
    """A grouping is no mask; a missing file is named."""
    with pytest.raises(FileFormatError, match="<detector-grouping> instead of <detector-masking>"):
        read_mask(reference_data / "mantid/grouping.xml", detid)
    with pytest.raises(FileFormatError, match=r"the extension '\.txt'"):
        read_mask(tmp_path / "mask.txt", detid)
    with pytest.raises(NotFoundError, match="a mask file"):
        read_mask(tmp_path / "mask.xml", detid)
