"""Mantid's processed NeXus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import Events, Geometry, MaskReason, PixelMask, Spectra
from snapcal_workbench.calibration.units import difc_from_geometry
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.processed import Table, read_processed, write_processed


def _only(path: Path) -> Any:
    (value,) = read_processed(path).values()
    return value


def test_spectra_survive(tmp_path: Path, spectra: Spectra, geometry: Geometry) -> None:
    """Counts, edges of each spectrum, detector ids, numbers, title and the run."""
    path = tmp_path / "focused.nxs"
    write_processed(path, {"dsp_column": spectra}, instrument="SNAP", geometry=geometry, history=("focused",))
    found = read_processed(path)
    assert list(found) == ["dsp_column"]
    value = found["dsp_column"]
    assert isinstance(value, Spectra)
    for name in ("edges", "y", "e", "number"):
        np.testing.assert_array_equal(getattr(value, name), getattr(spectra, name))
    for ours, theirs in zip(value.detids, spectra.detids, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (value.unit, value.title) == ("dSpacing", "focused")
    assert (value.run.run_number, value.run.title, value.run.proton_charge) == ("58882", "Silicon", 12.5)
    assert (value.run.start_time, value.run.end_time) == ("2023-05-01T10:00:00", "2023-05-01T11:00:00")
    assert value.run.logs["det_arc1"] == -65.3


def test_several_values_stay_in_order(tmp_path: Path, spectra: Spectra) -> None:
    """Twelve entries, so that entry 10 must not come before entry 2; shared edges stay shared."""
    shared = replace(spectra, edges=spectra.edges[0], unit="TOF")
    table = Table({"d": np.array([1.5, 2.5]), "n": np.array([3, -4]), "why": ["", "too weak – 3 σ"]})
    values: dict[str, Spectra | Table] = {f"spectra {i}": shared for i in range(11)}
    path = tmp_path / "several.nxs"
    write_processed(path, {**values, "table": table}, instrument="SNAP")
    found = read_processed(path)
    assert list(found) == [*values, "table"]
    last = found["spectra 10"]
    assert isinstance(last, Spectra)
    assert last.edges.ndim == 1
    read = found["table"]
    assert isinstance(read, Table)
    columns = {name: np.asarray(column) for name, column in read.columns.items()}
    assert columns["d"].tolist() == [1.5, 2.5]
    assert (columns["n"].tolist(), columns["n"].dtype) == ([3, -4], np.int32)
    assert read.columns["why"] == ["", "too weak – 3 σ"]


def test_nan_in_fitted_curves_survives(tmp_path: Path, spectra: Spectra) -> None:
    """Outside of its windows a fit has no value."""
    y = spectra.y.copy()
    y[0, :10] = np.nan
    write_processed(tmp_path / "a.nxs", {"fit": replace(spectra, y=y)}, instrument="SNAP")
    np.testing.assert_array_equal(_only(tmp_path / "a.nxs").y, y)


def test_equal_values_make_equal_files(tmp_path: Path, spectra: Spectra, geometry: Geometry) -> None:
    """Byte by byte."""
    for name in ("a.nxs", "b.nxs"):
        write_processed(tmp_path / name, {"s": spectra}, instrument="SNAP", geometry=geometry)
    assert (tmp_path / "a.nxs").read_bytes() == (tmp_path / "b.nxs").read_bytes()


def _nodes(entry: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    names: list[str] = []
    entry.visit(names.append)
    for name in names:
        if not name.startswith(("process/", "logs/")):
            yield name, entry[name]


def _described(node: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Everything about a node that the loader may look at, but the values of numbers."""
    found: dict[str, Any] = {name: (str(type(value)), value) for name, value in sorted(node.attrs.items())}
    if isinstance(node, h5py.Dataset):
        found["shape"] = node.shape
        found["type"] = node.dtype.kind if node.dtype.kind == "S" else node.dtype.str
    return found


_BLANKS = ("author", "date", "data")


@pytest.mark.parametrize("name", ["histogram", "dspacing"])
def test_a_histogram_is_written_as_mantid_writes_it(reference_data: Path, tmp_path: Path, name: str) -> None:
    """A workspace of Mantid, read and written again: the same groups, datasets, shapes, types and attributes."""
    real = reference_data / f"mantid/{name}.nxs"
    spectra = _only(real)
    geometry = _only(reference_data / "mantid/events.nxs").geometry
    write_processed(tmp_path / "a.nxs", {name: spectra}, instrument="basic_rect", geometry=geometry)
    with h5py.File(real) as theirs, h5py.File(tmp_path / "a.nxs") as ours:
        mantid, entry = theirs["mantid_workspace_1"], ours["mantid_workspace_1"]
        assert _described(entry) == _described(mantid)
        for path, node in _nodes(mantid):
            if path.startswith("instrument/physical_monitors"):
                continue
            assert _described(entry[path]) == _described(node), path
            if isinstance(node, h5py.Dataset) and path.split("/")[-1] not in _BLANKS:
                same = np.array_equal if node.dtype.kind == "S" else np.allclose
                assert same(entry[path][()], node[()]), path
        for log in ("run_title", "run_start", "det_arc1"):
            assert entry[f"logs/{log}/value"][0] == mantid[f"logs/{log}/value"][0]
            assert entry[f"logs/{log}"].attrs["NX_class"] == b"NXlog"


def test_a_table_is_written_as_mantid_writes_it(reference_data: Path, tmp_path: Path) -> None:
    """The same columns with the same attributes and types."""
    real = reference_data / "mantid/table.nxs"
    write_processed(tmp_path / "a.nxs", {"table": _only(real)}, instrument="basic_rect")
    with h5py.File(real) as theirs, h5py.File(tmp_path / "a.nxs") as ours:
        mantid, entry = theirs["mantid_workspace_1"], ours["mantid_workspace_1"]
        for path, node in _nodes(mantid):
            assert path == "title" or _described(entry[path]) == _described(node), path
            if isinstance(node, h5py.Dataset) and node.dtype.kind != "S":
                np.testing.assert_array_equal(entry[path][()], node[()])


def test_text_columns_are_blank_filled_arrays_of_one_width(tmp_path: Path) -> None:
    """Mantid reads a column of text as [rows, width] characters and strips the blanks."""
    write_processed(tmp_path / "a.nxs", {"t": Table({"why": ["ab", "abcd", ""]})}, instrument="SNAP")
    with h5py.File(tmp_path / "a.nxs") as file:
        column = file["mantid_workspace_1/table_workspace/column_1"]
        assert (column.shape, column.dtype) == ((3, 1), np.dtype("S4"))
        assert column[()].ravel().tolist() == [b"ab  ", b"abcd", b"    "]
        assert column.attrs["interpret_as"] == b"A string"


def test_text_columns_of_single_characters_are_read(tmp_path: Path) -> None:
    """The same column as an array of [rows, width] single characters."""
    write_processed(tmp_path / "a.nxs", {"t": Table({"why": ["ab", "abcd"]})}, instrument="SNAP")
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        del file["mantid_workspace_1/table_workspace/column_1"]
        characters = np.array([list("ab  "), list("abcd")], dtype="S1")
        file["mantid_workspace_1/table_workspace/column_1"] = characters
        file["mantid_workspace_1/table_workspace/column_1"].attrs["name"] = "why"
    assert _only(tmp_path / "a.nxs").columns["why"] == ["ab", "abcd"]


def test_files_of_mantid_agree_with_what_mantid_says(reference_data: Path) -> None:
    """Events, histograms, masks, tables and a group against Mantid's own figures."""
    folder = reference_data / "mantid"
    known = json.loads((folder / "format_samples.json").read_text())
    events = _only(folder / "events.nxs")
    assert isinstance(events, Events)
    assert (len(events.tof), len(events.geometry)) == (known["events_total"], known["n_spectra"])
    np.testing.assert_allclose(np.sort(events.tof[: events.start[1]])[:5], known["events_first"], rtol=1e-7)
    assert events.geometry.detid[0] == known["detids_spectrum_0"][0]
    np.testing.assert_allclose(events.geometry.two_theta[:4], known["two_theta"], rtol=1e-12)
    np.testing.assert_allclose(events.geometry.l2[:4], known["l2"], rtol=1e-12)
    geometric = difc_from_geometry(l1=known["l1"], l2=events.geometry.l2, two_theta=events.geometry.two_theta)
    np.testing.assert_allclose(geometric[:3], known["difc"][:3], rtol=1e-9)
    assert events.run.logs["det_arc1"] == -65.3

    histogram, dspacing = _only(folder / "histogram.nxs"), _only(folder / "dspacing.nxs")
    assert histogram.y.sum() == known["histogram_sum"]
    assert (histogram.unit, dspacing.unit) == ("TOF", "dSpacing")
    assert dspacing.edges[0, :3].tolist() == known["dspacing_x0"]
    assert dspacing.detids[0].tolist() == known["detids_spectrum_0"]

    mask = _only(folder / "mask.nxs")
    assert isinstance(mask, PixelMask)
    assert np.flatnonzero(mask.masked).tolist() == known["masked"]
    assert set(mask.counts()) == {MaskReason.USER}

    group = read_processed(folder / "group.nxs")
    assert [type(value).__name__ for value in group.values()] == ["Spectra", "Table"]
    assert group["table"].columns["difc"][:4].tolist() == known["difc"]  # type: ignore[union-attr]


def test_real_focused_runs(reference_data: Path) -> None:
    """Six column groups of 3072 lite pixels; the wavelength log of the one that kept its logs."""
    first = _only(reference_data / "snap_058882_column_dspacing_pixel_calibrated.nxs")
    second = _only(reference_data / "snap_057514_column_dspacing_calibrated.nxs")
    for spectra in (first, second):
        assert [len(ids) for ids in spectra.detids] == [3072] * 6
        assert sorted(np.concatenate(spectra.detids)) == list(range(18432))
        assert (spectra.unit, spectra.number.tolist()) == ("dSpacing", [1, 2, 3, 4, 5, 6])
    assert second.run.logs["LambdaRequest"] == pytest.approx(2.1)


def test_events_of_unsorted_pixels_with_weights(tmp_path: Path, reference_data: Path) -> None:
    """The pixels of a real file turned round: the events move with their pixels."""
    path = tmp_path / "events.nxs"
    path.write_bytes((reference_data / "mantid/events.nxs").read_bytes())
    before = _only(path)
    with h5py.File(path, "a") as file:
        entry = file["mantid_workspace_1"]
        for name in ("detector_list", "detector_positions"):
            entry[f"instrument/detector/{name}"][()] = entry[f"instrument/detector/{name}"][()][::-1]
        entry["event_workspace/weight"] = np.arange(192, dtype=np.float32)
    after = _only(path)
    np.testing.assert_array_equal(after.geometry.detid, before.geometry.detid)
    n = len(before.geometry)
    for pixel in range(n):
        mirror = slice(before.start[n - 1 - pixel], before.start[n - pixel])
        own = slice(after.start[pixel], after.start[pixel + 1])
        np.testing.assert_array_equal(after.tof[own], before.tof[mirror])
        np.testing.assert_array_equal(after.weight[own], np.arange(192)[mirror])


def _entry_change(path: Path, name: str, values: Any, **attributes: Any) -> None:
    with h5py.File(path, "a") as file:
        entry = file["mantid_workspace_1"]
        kept = dict(entry[name].attrs)
        del entry[name]
        if values is not None:
            entry[name] = values
            entry[name].attrs.update({**kept, **attributes})


@pytest.mark.parametrize(
    ("name", "values", "attributes", "found"),
    [
        ("workspace/values", None, {}, "only axis1"),
        ("workspace/values", np.zeros((2, 51)), {}, "counts (2, 51)"),
        ("workspace/errors", np.zeros((3, 50)), {}, "shape (3, 50)"),
        ("workspace/axis1", np.zeros(50), {}, "edges (50,)"),
        ("workspace/axis1", np.zeros((2, 51)), {}, "edges that do not"),
        ("workspace/axis1", np.full((2, 51), np.nan), {}, "NaN"),
        ("workspace/axis1", np.stack([np.arange(1.0, 52)] * 2), {"units": b"Wavelength"}, "Wavelength"),
        ("workspace", None, {}, "none"),
        ("instrument/detector/detector_index", np.array([0, 30], np.int32), {}, "places outside it"),
        ("instrument/detector/detector_count", np.array([1], np.int32), {}, "shape (1,)"),
    ],
)
def test_wrong_content_is_named(
    tmp_path: Path, spectra: Spectra, name: str, values: Any, attributes: dict, found: str
) -> None:
    """Each message names the file, what was found and what to do."""
    path = tmp_path / "a.nxs"
    write_processed(path, {"s": spectra}, instrument="SNAP")
    _entry_change(path, name, values, **attributes)
    with pytest.raises(FileFormatError) as caught:
        read_processed(path)
    assert str(path) in caught.value.what
    assert found in caught.value.found
    assert caught.value.fix


def test_a_distribution_is_turned_into_counts(tmp_path: Path, spectra: Spectra) -> None:
    """Counts per A times the width of the bin."""
    path = tmp_path / "a.nxs"
    write_processed(path, {"s": spectra}, instrument="SNAP")
    _entry_change(path, "workspace/axis1", spectra.edges, distribution=b"1")
    np.testing.assert_allclose(_only(path).y, spectra.y * np.diff(spectra.edges, axis=1))


def test_files_of_another_kind(tmp_path: Path, reference_data: Path) -> None:
    """A calibration, a file that is not there, and nothing to write."""
    with pytest.raises(FileFormatError, match="only calibration"):
        read_processed(reference_data / "mantid/diffcal.h5")
    with pytest.raises(NotFoundError, match="a Mantid processed NeXus file"):
        read_processed(tmp_path / "none.nxs")
    with pytest.raises(InputError, match="at least one workspace"):
        write_processed(tmp_path / "a.nxs", {}, instrument="SNAP")


def test_positions_need_all_detectors(tmp_path: Path, spectra: Spectra, geometry: Geometry) -> None:
    """A lite geometry beside native spectra is a mistake."""
    short = Geometry(geometry.detid[:5], 15.0, geometry.l2[:5], geometry.two_theta[:5], geometry.azimuth[:5])
    with pytest.raises(InputError, match="a geometry of 5 pixels"):
        write_processed(tmp_path / "a.nxs", {"s": spectra}, instrument="SNAP", geometry=short)
    assert not list(tmp_path.iterdir())
