"""DiffCal files."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelGrouping, PixelMask
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal

COLUMNS = {"detid": "i4", "difc": "f8", "difa": "f8", "tzero": "f8", "group": "i4", "use": "i4"}


def test_what_is_written_is_read(
    tmp_path: Path, table: DiffCalTable, mask: PixelMask, pixel_grouping: PixelGrouping
) -> None:
    """Every column survives; the reasons of the mask become INHERITED."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table, mask, pixel_grouping, instrument="SNAPLite", source="SNAPLite_Definition.xml")
    found = read_diffcal(path)
    for name in ("detid", "difc", "difa", "tzero"):
        np.testing.assert_array_equal(getattr(found.table, name), getattr(table, name))
    np.testing.assert_array_equal(found.mask.masked, mask.masked)
    assert set(found.mask.counts()) == {MaskReason.INHERITED}
    np.testing.assert_array_equal(found.grouping.group, pixel_grouping.group)
    assert (found.instrument, found.source) == ("SNAPLite", "SNAPLite_Definition.xml")


def test_the_layout_is_the_one_of_savediffcal(tmp_path: Path, table: DiffCalTable) -> None:
    """Types, one chunk, deflate 6, NeXus classes, strings of one element closed by a zero byte."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table, instrument="SNAP", source="SNAP_Definition.xml")
    with h5py.File(path) as file:
        assert list(file) == ["calibration"]
        group = file["calibration"]
        assert set(group) == {*COLUMNS, "instrument"}
        assert group.attrs["NX_class"] == "NXentry"
        assert group["instrument"].attrs["NX_class"] == "NXinstrument"
        for name, dtype in COLUMNS.items():
            column = group[name]
            assert (column.dtype, column.shape, column.chunks) == (np.dtype(dtype), (40,), (40,))
            assert (column.compression, column.compression_opts, column.shuffle) == ("gzip", 6, False)
        for name, text in (("name", b"SNAP"), ("instrument_source", b"SNAP_Definition.xml")):
            kind = group["instrument"][name].id.get_type()
            assert (kind.get_size(), kind.get_strpad()) == (len(text) + 1, h5py.h5t.STR_NULLTERM)
            assert group["instrument"][name][()].tolist() == [text]
        assert set(group["use"][()]) == set(group["group"][()]) == {1}


def test_layout_agrees_with_a_file_of_snapred(reference_data: Path, tmp_path: Path) -> None:
    """A real file, read and written again, has the same datasets, types, storage and attributes."""
    real = reference_data / "diffract_consts_058885_v0003.h5"
    content = read_diffcal(real)
    path = tmp_path / real.name
    write_diffcal(
        path, content.table, content.mask, content.grouping, instrument=content.instrument, source=content.source
    )
    with h5py.File(real) as theirs, h5py.File(path) as ours:
        names: list[str] = []
        theirs.visit(names.append)
        for name in names:
            assert dict(ours[name].attrs) == dict(theirs[name].attrs)
            if isinstance(theirs[name], h5py.Dataset):
                assert ours[name].id.get_type() == theirs[name].id.get_type()
                assert (ours[name].chunks, ours[name].compression_opts) == (
                    theirs[name].chunks,
                    theirs[name].compression_opts,
                )
                np.testing.assert_array_equal(ours[name][()], theirs[name][()])


def test_equal_values_make_equal_files(tmp_path: Path, table: DiffCalTable, mask: PixelMask) -> None:
    """Byte by byte, so that a hash identifies a calibration."""
    for name in ("a.h5", "b.h5"):
        write_diffcal(tmp_path / name, table, mask, instrument="SNAP")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_file_without_difa_tzero_use_and_group(tmp_path: Path) -> None:
    """Newer Mantid leaves out zeros; everything else has the defaults of LoadDiffCal."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["calibration/detid"] = np.array([4, 2, 9], np.uint32)
        file["calibration/difc"] = np.array([400.0, 200.0, 900.0], np.float32)
    found = read_diffcal(path)
    assert found.table.detid.tolist() == [2, 4, 9]
    assert found.table.difc.tolist() == [200.0, 400.0, 900.0]
    assert not found.table.difa.any()
    assert not found.table.tzero.any()
    assert not found.mask.masked.any()
    assert found.grouping.ids.tolist() == [1]


def test_real_files_agree_with_what_is_known_of_them(reference_data: Path) -> None:
    """Numbers of pixels and masked pixels as their sources state them."""
    real = read_diffcal(reference_data / "diffract_consts_058885_v0003.h5")
    assert len(real.table) == 18432
    assert real.mask.counts() == {MaskReason.INHERITED: 1213}
    assert set(real.mask.detid[real.mask.masked] // 1024) == {12, 13, 14}
    nomad = read_diffcal(reference_data / "nomad_diffcal.h5")
    assert len(nomad.table) == 101376
    assert nomad.table.difa.any()
    assert nomad.table.tzero.any()
    assert np.mean(~nomad.mask.masked) == pytest.approx(0.40, abs=0.005)


def test_a_file_of_mantid_agrees_with_mantid(reference_data: Path) -> None:
    """DIFC as Mantid prints it; difa = 0.1 i, tzero = -i; the DIFC of masked pixel 19 is 0, which is let through."""
    known = json.loads((reference_data / "mantid/format_samples.json").read_text())
    found = read_diffcal(reference_data / "mantid/diffcal.h5")
    assert found.table.difc[:4].tolist() == known["difc"]
    np.testing.assert_allclose(found.table.difa, 0.1 * np.arange(32))
    np.testing.assert_allclose(found.table.tzero, -np.arange(32))
    assert np.flatnonzero(found.mask.masked).tolist() == known["masked"]
    assert found.grouping.ids.tolist() == known["groups"]
    assert found.instrument == "basic_rect"


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -5.0, 1e-12, 1.0, 1e9])
@pytest.mark.parametrize("name", ["difc", "tzero"])
def test_an_impossible_row_is_masked_and_leaves_the_others_alone(
    tmp_path: Path, table: DiffCalTable, mask: PixelMask, name: str, value: float
) -> None:
    """Of a pixel in use and of a masked one: the first gets a reason of its own, the second keeps its reason."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table, mask)
    values = getattr(table, name).copy()
    values[[3, 5]] = value
    with h5py.File(path, "a") as file:
        file[f"calibration/{name}"][...] = values
    found = read_diffcal(path)
    harmless = name == "tzero" and np.isfinite(value)
    reason = np.where(mask.masked, MaskReason.INHERITED, 0)
    reason[5] = 0 if harmless else MaskReason.IMPOSSIBLE_DIFC
    assert found.mask.reason.tolist() == reason.tolist()
    others = np.delete(np.arange(40), [3, 5])
    assert found.table.difc[others].tolist() == table.difc[others].tolist()
    for column in (found.table.difc, found.table.difa, found.table.tzero):
        assert np.isfinite(column).all()


def test_numbers_of_single_precision_are_read(tmp_path: Path, table: DiffCalTable) -> None:
    """Without difa, tzero, use and group, in another order."""
    path = tmp_path / "a.h5"
    order = np.random.default_rng(1).permutation(40)
    with h5py.File(path, "w") as file:
        file["calibration/detid"] = table.detid[order]
        file["calibration/difc"] = table.difc[order].astype(np.float32)
    found = read_diffcal(path)
    assert found.table.detid.tolist() == table.detid.tolist()
    np.testing.assert_allclose(found.table.difc, table.difc, rtol=1e-7)


def test_a_grouping_file_is_no_calibration(reference_data: Path) -> None:
    """Its DIFC is 0 everywhere, and the message says what it may be."""
    with pytest.raises(FileFormatError, match="grouping file"):
        read_diffcal(reference_data / "SNAPFocGroup_Column.lite.hdf")


def _change(path: Path, name: str, values: object) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("calibration/detid", None, "only difa"),
        ("calibration/difc", None, "no dataset difc"),
        ("calibration/difc", np.full(40, np.nan), "40 of 40"),
        ("calibration/difc", np.full(40, -1.0), "40 of 40"),
        ("calibration/difc", np.ones(39), "shape"),
        ("calibration/tzero", np.full(40, np.inf), "40 of 40"),
        ("calibration/detid", np.arange(40) + 0.5, "values from 0.5"),
        ("calibration/detid", np.full(40, 7), "pixel 7 more than once"),
        ("calibration/detid", np.arange(40) + 2**31, "values from"),
        ("calibration/detid", np.array([b"x"] * 40), "type"),
        ("calibration/difa", np.ones((40, 2)), "shape"),
        ("calibration", None, "nothing"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, table: DiffCalTable, name: str, values: object, found: str) -> None:
    """Each message names the file, what was found and what to do."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table)
    _change(path, name, values)
    with pytest.raises(FileFormatError) as caught:
        read_diffcal(path)
    assert str(path) in caught.value.what
    assert found in caught.value.found
    assert caught.value.fix


def test_a_dataset_larger_than_its_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """2^40 numbers that were never stored would take 4 TiB of memory."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("calibration/detid", shape=(2**40,), dtype="i4", chunks=(1024,), compression="gzip")
    with pytest.raises(FileFormatError, match="fits into the file"):
        read_diffcal(path)


def test_a_link_into_another_file_is_not_followed(tmp_path: Path, table: DiffCalTable) -> None:
    """A file that is not trusted must not reach others."""
    write_diffcal(tmp_path / "other.h5", table)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["calibration"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "calibration")
    with pytest.raises(FileFormatError, match="the group calibration"):
        read_diffcal(tmp_path / "a.h5")


def test_no_file(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(NotFoundError, match=r"a DiffCal file at .*none\.h5"):
        read_diffcal(tmp_path / "none.h5")


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan, np.inf])
def test_writing_refuses_a_difc_that_others_cannot_use(tmp_path: Path, table: DiffCalTable, value: float) -> None:
    """The error names the first pixel, and nothing is left behind."""
    difc = table.difc.copy()
    difc[[5, 9]] = value
    with pytest.raises(InputError, match="2 of 40 are not, the first is pixel 15"):
        write_diffcal(tmp_path / "a.h5", DiffCalTable(table.detid, difc, table.difa, table.tzero))
    assert not list(tmp_path.iterdir())


def test_writing_refuses_a_mask_of_other_pixels(tmp_path: Path, table: DiffCalTable) -> None:
    """A native mask beside a lite table is a mistake."""
    with pytest.raises(InputError, match="PixelMask of 3 pixels"):
        write_diffcal(tmp_path / "a.h5", table, PixelMask.none(np.arange(3, dtype=np.int32)))
