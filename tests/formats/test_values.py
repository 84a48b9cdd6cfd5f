"""The file of an iteration's values: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FitTable,
    MaskReason,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.values import read_values, write_values


@pytest.fixture
def values(
    table: DiffCalTable, mask: PixelMask, pixel_grouping: PixelGrouping, spectra: Spectra, fits: FitTable
) -> dict[str, Any]:
    """One value of every kind."""
    n = len(table)
    shift, sigma, own_shift, own_sigma, events, chi2 = (np.linspace(i, i + 1, n) for i in range(6))
    sigma[3] = np.inf
    chi2[4] = np.nan
    logs = {**spectra.run.logs, "phase": "in", "odd": float("nan")}
    return {
        "table": table,
        "mask": mask,
        "grouping": pixel_grouping,
        "map": PixelMap(table.detid, np.arange(n, dtype=float), "change"),
        "results": PixelResults(table.detid, shift, sigma, own_shift, own_sigma, events, chi2, mask.reason),
        "output": replace(spectra, run=replace(spectra.run, logs=logs)),
        "fits": fits,
    }


@pytest.fixture
def path(tmp_path: Path, values: dict[str, Any]) -> Path:
    """A file of them."""
    write_values(tmp_path / "values.h5", values)
    return tmp_path / "values.h5"


def test_what_is_written_is_read(path: Path, values: dict[str, Any]) -> None:
    """Every array with its type, NaN and infinity too; a log that is no number is left out."""
    found = read_values(path)
    assert found.keys() == values.keys()
    for name, value in values.items():
        for field in fields(value):
            ours, theirs = getattr(value, field.name), getattr(found[name], field.name)
            if isinstance(ours, np.ndarray):
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
            elif field.name == "detids":
                assert [ids.tolist() for ids in ours] == [ids.tolist() for ids in theirs]
            elif field.name != "run":
                assert ours == theirs
    read, written = found["output"], values["output"]
    assert isinstance(read, Spectra)
    assert isinstance(written, Spectra)
    assert read.run.logs == {"det_arc1": -65.3, "phase": "in"}
    assert read.run.title == written.run.title


def _removed(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _put(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def _fields(name: str, **changes: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        kept = json.loads(file[name]["fields"][()])
        _put(f"{name}/fields", json.dumps({**kept, **changes}))(file)

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_removed("table/difc"), "difc"),
        (_removed("results/sigma"), "sigma"),
        (_removed("output/detids_lengths"), "detids_lengths"),
        (_removed("fits/fields"), "fields"),
        (_put("table/difc", np.ones(39)), "39"),
        (_put("table/difc", np.full(40, np.nan)), "NaN"),
        (_put("table/difc", "text"), "type"),
        (_put("mask/detid", np.full(40, 2**40)), "values from"),
        (_put("mask/reason", np.full(40, -1)), "values from -1"),
        (_put("mask", 3.0), "mask"),
        (_put("output/detids_lengths", np.array([1, 1])), "add up"),
        (_put("output/detids_lengths", np.array([-1, 41])), "add up"),
        (_put("output/edges", np.ones((1, 51))), "1 for 2 spectra"),
        (_put("fits/centre", np.ones(1)), "centre"),
        (_put("fits/parameters", np.ones((1, 1))), "parameters"),
        (_put("fits/fields", "["), "JSON"),
        (_put("fits/fields", "[]"), "object"),
        (_fields("output", unit="furlongs"), "furlongs"),
        (_fields("output", title=7), "title"),
        (_fields("output", run={"logs": 3, "proton_charge": "much"}), "proton_charge"),
        (lambda file: file.attrs.modify("format", "snapcal values 7"), "snapcal values 7"),
        (lambda file: file.attrs.pop("format"), "format"),
        (lambda file: file.__setitem__("more", h5py.ExternalLink("other.h5", "/")), "more"),
        (
            lambda file: (
                file["table"].create_dataset("difa2", (2**40,), "f8", chunks=(1024,))
                and _put("table/difa", h5py.SoftLink("difa2"))(file)
            ),
            "fits into the file",
        ),
    ],
)
def test_what_is_damaged_is_named(path: Path, change: Callable[[h5py.File], Any], found: str) -> None:
    """The error names the file, what was found, and what to do."""
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(FileFormatError) as caught:
        read_values(path)
    assert str(path) in caught.value.what
    assert found in str(caught.value)
    assert caught.value.fix


def test_what_a_later_release_adds_costs_nothing(path: Path, values: dict[str, Any]) -> None:
    """Another kind of value, another field, another dataset, and a mask reason that this release has no word for."""
    with h5py.File(path, "a") as file:
        file.create_group("joint").attrs["kind"] = "JointFit"
        file["table/difc_error"] = np.ones(40)
        _fields("grouping", colour="red")(file)
        reason = file["mask/reason"][()]
        reason[5] = 200
        _put("mask/reason", reason)(file)
    found = read_values(path)
    assert found.keys() == values.keys()
    mask = found["mask"]
    assert isinstance(mask, PixelMask)
    assert mask.counts()[MaskReason.OF_LATER_RELEASE] == 1
    assert all(reason.text for reason in mask.counts())


def test_no_file(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(NotFoundError, match=r"none\.h5"):
        read_values(tmp_path / "none.h5")
