"""Whatever is wrong with a file, readers raise our own errors and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Geometry,
    PixelGrouping,
    PixelMask,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.grouping import read_grouping, write_grouping
from snapcal_workbench.formats.masks import read_mask
from snapcal_workbench.formats.nexus.events import read_events, read_run_info
from snapcal_workbench.formats.processed import Table, read_processed, write_processed

Reader = Callable[[Path], Any]


@dataclass(frozen=True)
class Sample:
    """A good file and the readers that take it."""

    path: Path
    readers: tuple[Reader, ...]


@pytest.fixture
def samples(
    tmp_path: Path,
    table: DiffCalTable,
    mask: PixelMask,
    pixel_grouping: PixelGrouping,
    spectra: Spectra,
    geometry: Geometry,
    event_file: Path,
) -> list[Sample]:
    """One file of each kind, read without an error."""
    detid = table.detid
    folder = tmp_path / "good"
    folder.mkdir()

    def grouping(path: Path) -> PixelGrouping:
        return read_grouping(path, detid)

    def masked(path: Path) -> PixelMask:
        return read_mask(path, detid)

    write_diffcal(folder / "diffcal.h5", table, mask, pixel_grouping, instrument="SNAP")
    write_grouping(folder / "grouping.hdf", pixel_grouping, instrument="SNAP")
    contents: dict[str, Spectra | Table] = {
        "dsp": spectra,
        "table": Table({"n": np.arange(3), "x": np.ones(3), "why": ["", "a", "b"]}),
    }
    write_processed(folder / "processed.nxs", contents, instrument="SNAP", geometry=geometry, history=["a step"])
    single = Spectra(np.array([0.0, 1.0]), np.ones((40, 1)), np.ones((40, 1)), "TOF", list(detid.reshape(40, 1)), detid)
    write_processed(folder / "grouping.nxs", {"g": single}, instrument="SNAP")
    (folder / "grouping.xml").write_text(
        '<detector-grouping><group ID="1"><detids>10-29</detids></group></detector-grouping>'
    )
    (folder / "mask.xml").write_text("<detector-masking><group><detids>11,13</detids></group></detector-masking>")
    (folder / "data.json").write_text('{"name": "Silicon", "d": [1.5, 2.5, null]}')
    with h5py.File(event_file, "a") as file:
        file["entry/DASlogs/det_arc1/value"] = np.array([-65.3])
        file["entry/DASlogs/phase/value"] = np.array([b"in"])
    shutil.copy(event_file, folder)
    found = [
        Sample(folder / "diffcal.h5", (read_diffcal, grouping, masked)),
        Sample(folder / "grouping.hdf", (grouping,)),
        Sample(folder / "processed.nxs", (read_processed,)),
        Sample(folder / "grouping.nxs", (grouping, read_processed)),
        Sample(folder / "grouping.xml", (grouping,)),
        Sample(folder / "mask.xml", (masked,)),
        Sample(folder / "data.json", (lambda path: read_json(path, "a test"),)),
        Sample(folder / event_file.name, (read_run_info, _events)),
    ]
    for sample in found:
        for reader in sample.readers:
            reader(sample.path)
    return found


def _events(path: Path) -> Any:
    return read_events(path, pixel_of=None, n_pixels=40, window=TofWindow(1000.0, 12_000.0))


@pytest.fixture
def real_samples(reference_data: Path) -> list[Sample]:
    """Small files that a real Mantid wrote."""
    detid = np.arange(16, 48, dtype=np.int32)
    folder = reference_data / "mantid"
    files = [Sample(folder / f"{name}.nxs", (read_processed,)) for name in ("events", "histogram", "table", "group")]
    files.append(Sample(folder / "diffcal.h5", (read_diffcal, lambda path: read_grouping(path, detid))))
    return [*files, Sample(folder / "mask.nxs", (read_processed, lambda path: read_mask(path, detid)))]


def _try(sample: Sample, path: Path) -> int:
    """Let every reader read; the number of them that refused."""
    refused = 0
    for reader in sample.readers:
        try:
            reader(path)
        except FileFormatError as error:
            refused += bool(error.what and error.found and error.fix)
    return refused


def _mutated(content: bytes, rng: np.random.Generator, number: int) -> bytes:
    """Some bytes changed, half of the time near the beginning, where the structure is; at times cut off as well."""
    changed = bytearray(content)
    end = len(changed) if number % 2 else min(len(changed), 6000)
    for place in rng.integers(0, end, rng.integers(1, 8)):
        changed[place] = rng.integers(256)
    return bytes(changed[: rng.integers(len(changed))] if number % 10 == 0 else changed)


def _fuzz(samples: list[Sample], folder: Path, rng: np.random.Generator, rounds: int) -> None:
    for sample in samples:
        content = sample.path.read_bytes()
        path = folder / sample.path.name
        refused = 0
        for number in range(rounds):
            path.write_bytes(_mutated(content, rng, number))
            refused += _try(sample, path)
        assert refused > 0, sample.path.name


def test_mutated_files(samples: list[Sample], tmp_path: Path, rng: np.random.Generator) -> None:
    """Bytes changed at random: read all the same, or refused with what was found and what to do."""
    _fuzz(samples, tmp_path, rng, rounds=25)


def test_mutated_files_of_mantid(real_samples: list[Sample], tmp_path: Path, rng: np.random.Generator) -> None:
    """The same with files that a real Mantid wrote."""
    _fuzz(real_samples, tmp_path, rng, rounds=25)


@pytest.mark.long
def test_many_mutated_files(
    samples: list[Sample], real_samples: list[Sample], tmp_path: Path, rng: np.random.Generator
) -> None:
    """Thousands of them."""
    _fuzz(samples + real_samples, tmp_path, rng, rounds=1500)


_GROUP = object()
_REPLACEMENTS: dict[str, Any] = {
    "removed": None,
    "a group": _GROUP,
    "a link to nowhere": h5py.SoftLink("/nowhere"),
    "text": np.array([b"abc"]),
    "text of variable length": "abc",
    "a number": 3.5,
    "nothing": np.empty(0),
    "two dimensions": np.ones((3, 4)),
    "NaN": np.full(40, np.nan),
    "another length": np.arange(7),
    "negative": np.full(40, -1),
    "huge": np.full(40, 2**62),
    "complex": np.full(40, 1j),
    "records": np.zeros(40, dtype=[("a", "f8"), ("b", "i4")]),
    "an empty dataset": h5py.Empty("f8"),
}


def _datasets(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


def _replace(path: Path, name: str, replacement: Any) -> None:
    with h5py.File(path, "a") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        if replacement is _GROUP:
            file.create_group(name)
        elif replacement is not None:
            file[name] = replacement
        if isinstance(file.get(name), h5py.Dataset):
            file[name].attrs.update(attributes)


@pytest.mark.parametrize("share", [7, pytest.param(1, marks=pytest.mark.long)])
def test_removed_and_retyped_datasets(samples: list[Sample], tmp_path: Path, share: int) -> None:
    """Every dataset of every file removed, of another type or shape, a group, or a link to nowhere.

    The short form takes every seventh of these changes, others for each dataset.
    """
    replacements = list(_REPLACEMENTS.values())
    tried = refused = 0
    for sample in samples:
        if sample.path.suffix in (".xml", ".json"):
            continue
        for position, name in enumerate(_datasets(sample.path)):
            for replacement in replacements[position % share :: share]:
                path = tmp_path / sample.path.name
                shutil.copy(sample.path, path)
                _replace(path, name, replacement)
                refused += _try(sample, path)
                tried += 1
    assert tried > 1000 // share
    assert refused > tried // 3


def test_groups_where_datasets_are_expected_and_the_other_way_round(samples: list[Sample], tmp_path: Path) -> None:
    """Every group replaced by a number, or removed."""
    refused = 0
    for sample in samples:
        if sample.path.suffix in (".xml", ".json"):
            continue
        names: list[str] = []
        with h5py.File(sample.path) as file:
            file.visititems(
                lambda name, node, found=names: found.append(name) if isinstance(node, h5py.Group) else None
            )
        for name in names:
            for replacement in (None, 1.0):
                path = tmp_path / sample.path.name
                shutil.copy(sample.path, path)
                _replace(path, name, replacement)
                refused += _try(sample, path)
    assert refused > 10


def test_attributes_of_other_types(samples: list[Sample], tmp_path: Path) -> None:
    """Every attribute a number, an array, empty, or bytes that are no text: read all the same, or refused."""
    tried = refused = 0
    for sample in samples:
        if sample.path.suffix in (".xml", ".json"):
            continue
        for value in (7, np.arange(3.0), h5py.Empty("S1"), np.bytes_(b"\xff\xfe")):
            path = tmp_path / sample.path.name
            shutil.copy(sample.path, path)
            with h5py.File(path, "a") as file:

                def change(_: str, node: Any, value: Any = value) -> None:
                    for name in list(node.attrs):
                        node.attrs[name] = value

                file.visititems(change)
            refused += _try(sample, path)
            tried += 1
    assert 0 < refused < tried


@pytest.mark.parametrize("odd", ["a\0b", "x" * 300])
def test_names_that_no_file_can_have(odd: str, detid: np.ndarray, tmp_path: Path) -> None:
    """They are not found, and no error of the system comes out."""
    for suffix, reader in ((".h5", read_diffcal), (".nxs", read_processed), (".nxs.h5", read_run_info)):
        with pytest.raises(NotFoundError):
            reader(tmp_path / f"{odd}{suffix}")


def test_a_run_info_keeps_what_can_be_read(event_file: Path) -> None:
    """One log that cannot be read does not cost the others."""
    with h5py.File(event_file, "a") as file:
        file["entry/DASlogs/good/value"] = np.array([1.0])
        file["entry/DASlogs/odd/value"] = np.zeros(3, dtype=[("a", "f8")])
    info = read_run_info(event_file)
    assert isinstance(info, RunInfo)
    assert (info.logs, info.unreadable_logs) == ({"good": 1.0}, ("odd",))
