"""Files that would take endless memory or time: refused before the work, with the number in the message."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, TofWindow
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.disk.files import read_bytes
from snapcal_workbench.formats.disk.hdf5 import all_values, dataset, open_hdf5, text
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.index import parse_entry
from snapcal_workbench.formats.nexus.events import read_events, read_run_info
from snapcal_workbench.paths import user_path


def _bomb(file: h5py.File, name: str, dtype: str, length: int = 1000, **packing: Any) -> None:
    """A dataset whose only chunk is of `length` values and inflates to 200 MB."""
    made = file.create_dataset(name, shape=(length,), dtype=dtype, chunks=(length,), compression="gzip", **packing)
    made.id.write_direct_chunk((0,), zlib.compress(bytes(200 << 20)))


@pytest.mark.parametrize("packing", [{}, {"shuffle": True}, {"fletcher32": True}])
def test_a_chunk_is_not_inflated_beyond_its_size(tmp_path: Path, packing: dict[str, bool]) -> None:
    """200 kB of a file that would become 200 MB of memory."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        _bomb(file, "calibration/detid", "i4", **packing)
    with pytest.raises(FileFormatError, match="a chunk ") as caught:
        read_diffcal(path)
    assert str(path) in caught.value.what


@pytest.mark.parametrize("name", ["event_id", "event_time_offset"])
def test_a_chunk_of_events_is_not_inflated_beyond_its_size(event_file: Path, name: str) -> None:
    """The events have a reader of their own."""
    with h5py.File(event_file, "a") as file:
        bank = file["entry/bank0_events"]
        kind, units = bank[name].dtype.str, dict(bank[name].attrs)
        del bank[name]
        _bomb(bank, name, kind, 5000)
        bank[name].attrs.update(units)
    with pytest.raises(FileFormatError, match=name):
        read_events(event_file, pixel_of=None, n_pixels=40, window=TofWindow(1000.0, 12_000.0))


@pytest.mark.parametrize("packing", [{"shuffle": a, "fletcher32": b} for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">f8", "?", "S7"])
def test_values_are_those_that_the_library_reads(tmp_path: Path, packing: dict[str, bool], dtype: str) -> None:
    """Two dimensions, a last chunk that is not full, and one that was never written."""
    path = tmp_path / "a.h5"
    content = np.random.default_rng(1).integers(0, 100, (7, 50)).astype(dtype)
    with h5py.File(path, "w") as file:
        made = file.create_dataset("a", shape=(7, 50), dtype=dtype, chunks=(3, 16), compression="gzip", **packing)
        made[:3, :] = content[:3]
        made[3:, :32] = content[3:, :32]
    with open_hdf5(path, "a test") as file:
        found = all_values(dataset(file, "a"))
        assert found.tolist() == file["a"][()].tolist()
    assert found[:3].tolist() == content[:3].tolist()


def test_a_long_dataset_is_refused_with_its_size(tmp_path: Path) -> None:
    """4 GB of zeros deflate to 4 MB, so that the file can hold them."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["padding"] = np.zeros(4 << 20, np.uint8)
        file.create_dataset("calibration/detid", shape=(2**30,), dtype="i4", chunks=(2**20,), compression="gzip")
    with pytest.raises(FileFormatError, match="4294967296 bytes"):
        read_diffcal(path)


def test_many_small_chunks_are_refused_with_their_number(tmp_path: Path) -> None:
    """The library's index of them would be searched for hours."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["padding"] = np.zeros(1 << 20, np.uint8)
        file.create_dataset("calibration/detid", shape=(2**25,), dtype="i4", chunks=(1,), compression="gzip")
    with pytest.raises(FileFormatError, match="33554432 chunks"):
        read_diffcal(path)


def test_values_in_other_files_are_not_read(tmp_path: Path, table: DiffCalTable) -> None:
    """Neither by a virtual dataset, nor by external storage, nor by links of any kind, which are not even opened."""
    path, other = tmp_path / "a.h5", tmp_path / "other.h5"
    write_diffcal(other, table)
    os.mkfifo(tmp_path / "pipe")
    layout = h5py.VirtualLayout((40,), "i4")
    layout[:] = h5py.VirtualSource(str(other), "calibration/detid", (40,))
    (tmp_path / "raw").write_bytes(bytes(160))

    def external(file: h5py.File) -> None:
        file.create_dataset("calibration/detid", (40,), "i4", external=[(str(tmp_path / "raw"), 0, 160)])

    def linked(file: h5py.File) -> None:
        file["calibration/detid"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/calibration/detid")

    def linked_twice(file: h5py.File) -> None:
        linked(file)
        file["away"] = h5py.SoftLink("/calibration/detid")
        file["calibration/difc"] = h5py.SoftLink("/away")

    ways: tuple[Callable[[h5py.File], object], ...] = (
        lambda file: file.create_virtual_dataset("calibration/detid", layout),
        external,
        linked,
        linked_twice,
    )
    for way in ways:
        with h5py.File(path, "w") as file:
            way(file)
        with pytest.raises(FileFormatError, match="detid"):
            read_diffcal(path)


def test_soft_links_within_the_file_are_followed(tmp_path: Path, table: DiffCalTable) -> None:
    """Absolute ones, relative ones, and one after the other; a circle leads nowhere."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table)
    with h5py.File(path, "a") as file:
        file.move("calibration/detid", "store/ids")
        file["calibration/again"] = h5py.SoftLink("/store/ids")
        file["calibration/detid"] = h5py.SoftLink("again")
        file["calibration/difa_copy"] = h5py.SoftLink("difa_copy")
    assert read_diffcal(path).table.detid.tolist() == table.detid.tolist()
    with open_hdf5(path, "a test") as file:
        assert text(file, "calibration/difa_copy", "absent") == "absent"


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever, reading /dev/zero would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(NotFoundError, match="not a regular file"):
            read_bytes(path, "a test")


def test_a_file_that_is_read_as_a_whole_has_a_largest_size(tmp_path: Path) -> None:
    """The message has both sizes; the file has holes only, so that the test costs nothing."""
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        file.truncate(10**11)
    with pytest.raises(FileFormatError, match="100000000000 bytes; no more than"):
        read_json(path, "a test")


@pytest.mark.parametrize("given", ["~nosuchuser/x", "a\0b", "\ud800/x"])
def test_a_path_that_cannot_exist(given: str) -> None:
    """Said as a mistake of the user's, whatever the system calls it."""
    with pytest.raises(InputError, match="not a path"):
        user_path(given)


def test_a_path_in_the_home_folder() -> None:
    """The home is filled in, everything else stays."""
    assert user_path("~/x") == Path.home() / "x"
    assert user_path("a b/c") == Path("a b/c")


@pytest.mark.parametrize("stamp", [1e305, 10**400, -1e305, float("nan")])
def test_a_time_beyond_all_times_is_unknown(stamp: float) -> None:
    """The entry stays, older than all others."""
    entry, problems = parse_entry({"version": 3, "runNumber": "5", "useLiteMode": True, "timestamp": stamp})
    assert entry is not None
    assert (entry.timestamp, len(problems)) == ("", 3)


def test_half_a_character_does_not_cost_the_text(tmp_path: Path) -> None:
    """JSON can escape half of a surrogate pair, which no text can hold; a whole pair stays what it is."""
    path = tmp_path / "a.json"
    path.write_text(r'{"comments": "see \ud800 here", "\udc00": ["\ud83d\ude00"]}')
    read = read_json(path, "a test")
    assert isinstance(read, dict)
    assert read == {"comments": "see \ufffd here", "\ufffd": ["\U0001f600"]}
    entry, _ = parse_entry({"version": 3, "runNumber": "5", "useLiteMode": True, **read})
    assert entry is not None
    assert entry.comments == "see \ufffd here"


def test_a_run_number_of_thousands_of_digits(event_file: Path) -> None:
    """Python refuses to make a number of them."""
    with h5py.File(event_file, "a") as file:
        del file["entry/run_number"]
        file["entry/run_number"] = np.array([b"7" * 5000])
    with pytest.raises(FileFormatError, match="run_number"):
        read_run_info(event_file)
