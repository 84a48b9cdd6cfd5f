"""Grouping files."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import PixelGrouping, Spectra
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.grouping import read_grouping, write_grouping
from snapcal_workbench.formats.processed import write_processed

NATIVE = np.arange(1179648, dtype=np.int32)
LITE = np.arange(18432, dtype=np.int32)


@pytest.mark.parametrize("suffix", [".hdf", ".h5", ".hd5"])
def test_what_is_written_is_read(tmp_path: Path, pixel_grouping: PixelGrouping, suffix: str) -> None:
    """Group ids that are not contiguous, and pixels in no group."""
    path = tmp_path / f"Natural{suffix}"
    write_grouping(path, pixel_grouping, instrument="SNAP")
    found = read_grouping(path, pixel_grouping.detid)
    np.testing.assert_array_equal(found.group, pixel_grouping.group)
    np.testing.assert_array_equal(found.detid, pixel_grouping.detid)
    assert (found.name, found.ids.tolist()) == ("Natural", [2, 7, 11])


def test_layout_agrees_with_the_real_file(reference_data: Path, tmp_path: Path) -> None:
    """The real lite grouping, written by us, equals the real file in every dataset, type and attribute."""
    real = reference_data / "SNAPFocGroup_Column.lite.hdf"
    path = tmp_path / real.name
    source = "SNAPFocGroup_Column.lite.nxs"
    write_grouping(path, read_grouping(real, LITE), instrument="SNAPLite.xml", source=source)
    with h5py.File(real) as theirs, h5py.File(path) as ours:
        names: list[str] = []
        theirs.visit(names.append)
        for name in names:
            assert dict(ours[name].attrs) == dict(theirs[name].attrs)
            if isinstance(theirs[name], h5py.Dataset):
                assert ours[name].id.get_type() == theirs[name].id.get_type()
                np.testing.assert_array_equal(ours[name][()], theirs[name][()])


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("SNAPFocGroup_All.lite.hdf", {1: (0, 18432)}),
        ("SNAPFocGroup_Bank.lite.hdf", {1: (0, 9216), 2: (9216, 18432)}),
        ("SNAPFocGroup_Column.lite.hdf", {1: (0, 3072), 4: (15360, 18432), 5: (12288, 15360), 6: (9216, 12288)}),
        ("SNAPFocGroup_Column.hdf", {1: (0, 196608), 4: (983040, 1179648), 6: (589824, 786432)}),
    ],
)
def test_the_groupings_of_snap(reference_data: Path, name: str, ranges: dict[int, tuple[int, int]]) -> None:
    """Group ids and their pixels as the instrument has them."""
    detid = LITE if ".lite" in name else NATIVE
    found = read_grouping(reference_data / name, detid)
    for group, (first, last) in ranges.items():
        assert set(np.unique(found.group[first:last])) == {group}
        assert np.count_nonzero(found.group == group) == last - first


def test_a_native_grouping_for_lite_data_says_so(reference_data: Path, tmp_path: Path) -> None:
    """Both ways round; also for an XML file, which need not list all pixels."""
    with pytest.raises(FileFormatError, match="1179648 pixels, the instrument 18432: a native grouping for lite data"):
        read_grouping(reference_data / "SNAPFocGroup_Column.hdf", LITE)
    with pytest.raises(FileFormatError, match="18432 pixels, the instrument 1179648: a lite grouping for native data"):
        read_grouping(reference_data / "SNAPFocGroup_Column.lite.hdf", NATIVE)
    path = _xml(
        tmp_path, '<group ID="1"><detids>0-9215</detids></group><group ID="2"><detids>9216-18431</detids></group>'
    )
    with pytest.raises(FileFormatError, match="a lite grouping for native data"):
        read_grouping(path, NATIVE)
    path = _xml(tmp_path, '<group ID="1"><detids>0-196607</detids></group>')
    with pytest.raises(FileFormatError, match="the instrument has 18432, from 0 to 18431"):
        read_grouping(path, LITE)


def test_the_grouping_that_mantid_saved(reference_data: Path) -> None:
    """By XML and by DiffCal file: 16 pixels a bank."""
    detid = np.arange(16, 48, dtype=np.int32)
    for name in ("grouping.xml", "diffcal.h5"):
        found = read_grouping(reference_data / "mantid" / name, detid)
        assert found.group.tolist() == [1] * 16 + [2] * 16


def _xml(folder: Path, body: str, head: str = "") -> Path:
    path = folder / "grouping.xml"
    path.write_text(f'<?xml version="1.0"?>{head}<detector-grouping instrument="SNAP">{body}</detector-grouping>')
    return path


def test_lists_of_ranges(tmp_path: Path, detid: np.ndarray) -> None:
    """Ranges and single ids, as text and as attribute; pixels that are not listed are in no group."""
    body = '<group ID="5"><detids>10-14, 16,</detids></group><group ID="3"><detids val="100-119"/></group>'
    found = read_grouping(_xml(tmp_path, body), detid)
    assert found.detid[found.group == 5].tolist() == [10, 11, 12, 13, 14, 16]
    assert found.detid[found.group == 3].tolist() == list(range(100, 120))
    assert np.count_nonzero(found.group == 0) == 14


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('<group ID="1"><detids>10-99999999999999</detids></group>', "10-99999999999999"),
        ('<group ID="1"><detids>10-9999999999</detids></group>', "10-9999999999"),
        ('<group ID="1"><detids>14-10</detids></group>', "14-10"),
        ('<group ID="1"><detids>28-101</detids></group>', "28-101"),
        ('<group ID="1"><detids>-3</detids></group>', "-3"),
        ('<group ID="1"><detids>ten</detids></group>', "ten"),
        ('<group ID="x"><detids>10</detids></group>', "'x'"),
        ('<group ID="0"><detids>10</detids></group>', "0"),
        ('<group ID="1"><component>bank1</component></group>', "no <detids>"),
        ('<group ID="1"><detids>10-12</detids></group><group ID="2"><detids>12</detids></group>', "another one"),
        ("", "all pixels are in no group"),
        ("<group", "not readable as XML"),
        ('<group ID="1"><detids>&all;</detids></group>', "not readable as XML"),
    ],
)
def test_wrong_xml_is_named(tmp_path: Path, detid: np.ndarray, body: str, found: str) -> None:
    """Each message says what was found and what to do."""
    with pytest.raises(FileFormatError) as caught:
        read_grouping(_xml(tmp_path, body), detid)
    assert found in caught.value.found
    assert caught.value.fix


def test_entities_are_not_expanded(tmp_path: Path, detid: np.ndarray) -> None:
    """Neither a bomb nor another file's text gets in."""
    secret = tmp_path / "secret"
    secret.write_text("10-12")
    for head in ('<!DOCTYPE x [<!ENTITY all "10-12">]>', f'<!DOCTYPE x [<!ENTITY all SYSTEM "file://{secret}">]>'):
        path = _xml(tmp_path, '<group ID="1"><detids>&all;</detids></group>', head)
        with pytest.raises(FileFormatError, match="not readable as XML"):
            read_grouping(path, detid)


def test_a_grouping_workspace_in_processed_nexus(tmp_path: Path, detid: np.ndarray) -> None:
    """One count a spectrum is the group of its pixels, in whatever order they are."""
    ids = [detid[20:], detid[:5], detid[10:20], detid[5:10]]
    y = np.array([[4.0], [1.0], [9.0], [0.0]])
    number = np.arange(1, 5, dtype=np.int32)
    workspace = Spectra(np.array([0.0, 1.0]), y, np.zeros((4, 1)), "TOF", ids, number)
    path = tmp_path / "Groups.nxs"
    write_processed(path, {"Groups": workspace}, instrument="SNAP")
    found = read_grouping(path, detid)
    np.testing.assert_array_equal(found.group, np.repeat([1, 0, 9, 9, 4, 4, 4, 4], 5))
    with pytest.raises(FileFormatError, match="pixels, the instrument 39"):
        read_grouping(path, detid[:-1])


def test_a_mask_or_spectra_are_no_grouping(reference_data: Path) -> None:
    """A mask workspace has one count a spectrum, too, but they are no group ids."""
    detid = np.arange(16, 48, dtype=np.int32)
    for name in ("mask.nxs", "histogram.nxs", "table.nxs"):
        with pytest.raises(FileFormatError, match="one count a spectrum"):
            read_grouping(reference_data / "mantid" / name, detid)


def test_files_that_are_no_grouping(tmp_path: Path, reference_data: Path, detid: np.ndarray) -> None:
    """Missing, of another extension, of another instrument."""
    with pytest.raises(NotFoundError, match="a grouping file"):
        read_grouping(tmp_path / "none.hdf", detid)
    shutil.copy(reference_data / "mantid/grouping.xml", tmp_path / "grouping.txt")
    with pytest.raises(FileFormatError, match=r"the extension '.txt'"):
        read_grouping(tmp_path / "grouping.txt", detid)
    with pytest.raises(FileFormatError, match="made for this instrument"):
        read_grouping(reference_data / "mantid/diffcal.h5", detid)


def test_negative_groups_are_refused_both_ways(tmp_path: Path, detid: np.ndarray) -> None:
    """Group ids start at 0."""
    group = np.full(len(detid), -1, np.int32)
    with pytest.raises(InputError, match="groups from 0 upwards"):
        write_grouping(tmp_path / "a.hdf", PixelGrouping(detid, group), instrument="SNAP")
    write_grouping(tmp_path / "a.hdf", PixelGrouping(detid, -group), instrument="SNAP")
    with h5py.File(tmp_path / "a.hdf", "a") as file:
        file["calibration/group"][3] = -2
    with pytest.raises(FileFormatError, match="negative group -2"):
        read_grouping(tmp_path / "a.hdf", detid)
