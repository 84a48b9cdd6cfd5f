"""Files are written whole or not at all, by no library, and an error of the disk is never passed over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, PixelMask, RunInfo, Spectra
from snapcal_workbench.errors import StoreError
from snapcal_workbench.formats.diffcal import write_diffcal
from snapcal_workbench.formats.disk.writing import create, replace_file
from snapcal_workbench.formats.nexus.event_writer import BankEvents, write_events
from snapcal_workbench.formats.processed import write_processed
from snapcal_workbench.formats.values import read_values, write_values

Writer = Callable[[Path], None]
N_EVENTS = 200_000


def _banks() -> Iterator[BankEvents]:
    rng = np.random.default_rng(3)
    for name in ("bank11_events", "bank12_events"):
        ids = rng.integers(0, 1000, N_EVENTS).astype(np.uint32)
        tof = rng.uniform(2000, 14000, N_EVENTS).astype(np.float32)
        yield BankEvents(name, ids, tof, np.zeros(1), np.zeros(1, np.uint64))


@pytest.fixture(params=["table", "spectra", "values", "events"])
def writer(request: pytest.FixtureRequest, table: DiffCalTable, mask: PixelMask, spectra: Spectra) -> Writer:
    """Each kind of HDF5 file that is written."""
    writers: dict[str, Writer] = {
        "table": lambda path: write_diffcal(path, table, mask),
        "spectra": lambda path: write_processed(path, {"s": spectra}, instrument="SNAP"),
        "values": lambda path: write_values(path, {"mask": mask}),
        "events": lambda path: write_events(path, run_info=RunInfo("1"), banks=_banks()),
    }
    return writers[request.param]


class FailingWrites:
    """From a call on, or in one call alone, writing fails; `calls` are those that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, code: int, *, only_once: bool) -> None:
        self.calls, write = 0, os.write

        def failing(descriptor: int, data: bytes) -> int:
            self.calls += 1
            if self.calls == number or (self.calls > number and not only_once):
                raise OSError(code, os.strerror(code))
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", failing)


@pytest.mark.parametrize("only_once", [True, False])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_every_write_that_fails_is_reported(
    tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch, code: int, only_once: bool
) -> None:
    """One error inside, or a disk that stays full: our error, the file of before, no litter."""
    path = tmp_path / "a.h5"
    writer(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        total = FailingWrites(patch, 10**9, code, only_once=True)
        writer(path)
    for number in sorted({*range(1, min(total.calls, 12) + 1), total.calls // 2, total.calls} - {0}):
        with monkeypatch.context() as patch:
            FailingWrites(patch, number, code, only_once=only_once)
            with pytest.raises(StoreError, match="Could not write"):
                writer(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_the_disk_changes_are_noticed(
    tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that keeps one other bit than was written, and reports success."""
    write, largest = os.write, [0]

    def flipping(descriptor: int, data: bytes) -> int:
        changed = bytearray(data)
        if len(changed) >= largest[0]:  # a chunk of events, or the whole of another file
            largest[0] = len(changed)
            changed[len(changed) // 2] ^= 1
        return write(descriptor, changed)

    monkeypatch.setattr(os, "write", flipping)
    with pytest.raises(StoreError, match="reads back other"):
        writer(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_no_library_opens_the_file_for_writing(tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 is given memory, or an object of ours, never the path."""
    opened: list[object] = []
    original = h5py.File.__init__

    def watched(self: h5py.File, name: object, mode: str = "r", **options: object) -> None:
        on_disk = isinstance(name, (str, Path)) and options.get("backing_store", True)
        if mode != "r" and on_disk:
            opened.append(name)
        original(self, name, mode, **options)

    monkeypatch.setattr(h5py.File, "__init__", watched)
    writer(tmp_path / "a.h5")
    assert opened == []


def test_a_run_written_in_parts_reads_as_it_was_meant(tmp_path: Path) -> None:
    """Every event, in order of its bank."""
    write_events(tmp_path / "run.nxs.h5", run_info=RunInfo("1"), banks=_banks())
    with h5py.File(tmp_path / "run.nxs.h5") as file:
        for bank in _banks():
            assert np.array_equal(file[f"entry/{bank.name}/event_id"][()], bank.event_id)
            assert np.array_equal(file[f"entry/{bank.name}/event_time_offset"][()], bank.tof)


def test_a_large_image_is_whole(tmp_path: Path) -> None:
    """Beyond the size by which an image grows."""
    detid = np.arange(2_000_000, dtype=np.int32)
    reason = np.random.default_rng(5).integers(0, 5, len(detid)).astype(np.uint8)
    write_values(tmp_path / "values.h5", {"mask": PixelMask(detid, reason)})
    mask = read_values(tmp_path / "values.h5")["mask"]
    assert isinstance(mask, PixelMask)
    assert np.array_equal(mask.reason, reason)


@pytest.mark.parametrize("mode", [0o2775, 0o700, 0o1777])
def test_permissions_are_those_of_the_folder(tmp_path: Path, mode: int) -> None:
    """Whatever the umask; in a sticky folder, where all may make files, others may not write them."""
    tmp_path.chmod(mode)
    replace_file(tmp_path / "a", b"1", "a test")
    found = stat.S_IMODE((tmp_path / "a").stat().st_mode)
    assert found == {0o2775: 0o664, 0o700: 0o600, 0o1777: 0o664}[mode]


def test_a_file_can_keep_its_permissions(tmp_path: Path) -> None:
    """One that its owner made private stays so."""
    path = tmp_path / "a"
    path.write_bytes(b"0")
    path.chmod(0o600)
    replace_file(path, b"1", "a test", keep_mode=True)
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o600, b"1")


def test_a_folder_that_cannot_be_flushed_is_no_lost_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the rename the new file is there: the error says so."""
    from snapcal_workbench.formats.disk import writing

    def refuse(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(writing, "sync_directory", refuse)
    with pytest.raises(StoreError, match="was written, but a power cut may undo it"):
        replace_file(tmp_path / "a", b"1", "a test")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_new_file_must_be_new(tmp_path: Path) -> None:
    """An existing one is not written over."""
    create(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        create(tmp_path / "a", b"2")
