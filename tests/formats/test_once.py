"""A file is read once while it stays the same, and anew when it does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import h5py
import pytest

from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.disk.once import SETTLED, read_once
from snapcal_workbench.formats.nexus.run_file import open_run, opened_once


def test_a_file_is_read_anew_only_when_it_has_changed(tmp_path: Path) -> None:
    path, readings = tmp_path / "file", []

    @read_once(largest=100)
    def read(file: Path) -> str:
        readings.append(file)
        return file.read_text("utf-8")

    path.write_text("one", encoding="utf-8")
    assert [read(path), read(path)] == ["one", "one"]
    assert len(readings) == 2  # too young to be told from a later one by its times
    time.sleep(SETTLED + 0.05)
    assert [read(path), read(path), read(path)] == ["one"] * 3
    assert len(readings) == 3
    (tmp_path / "other").write_text("two", encoding="utf-8")
    os.utime(tmp_path / "other", ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    os.replace(tmp_path / "other", path)
    time.sleep(SETTLED + 0.05)
    assert read(path) == "two"  # of the same size and time, but another file
    path.write_text("x" * 101, encoding="utf-8")
    time.sleep(SETTLED + 0.05)
    assert [len(read(path)), len(read(path))] == [101, 101]
    assert len(readings) == 6  # too large to be kept
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(path)


def titled(path: Path, title: str) -> None:
    """A file with a title, old enough to be told from a later one."""
    with h5py.File(path.with_suffix(".new"), "w") as file:
        file["title"] = title
    os.replace(path.with_suffix(".new"), path)
    time.sleep(SETTLED + 0.05)


def title_of(path: Path) -> str:
    """What is written in it, by `open_run`."""
    with open_run(path) as file:
        return str(file["title"].asstr()[()])


def test_the_file_of_a_run_stays_open_for_one_piece_of_work_and_is_opened_anew_when_replaced(tmp_path: Path) -> None:
    path = tmp_path / "SNAP_1.nxs.h5"
    titled(path, "one")
    with opened_once():
        with open_run(path) as first:
            pass
        with opened_once(), open_run(path) as second:
            assert second is first
        with pytest.raises(FileFormatError, match="SNAP_1"), open_run(path) as file:
            file["nothing"]
        assert first  # neither the inner work nor a damage closes it
        titled(path, "two")
        assert title_of(path) == "two"
        assert first["title"].asstr()[()] == "one"
    assert not first
    with open_run(path) as alone:
        assert alone is not first
    assert not alone


@pytest.mark.parametrize("error", [ValueError, TypeError, OSError, MemoryError])
def test_what_fails_while_a_run_is_open_is_not_said_of_its_file(tmp_path: Path, error: type[Exception]) -> None:
    """A file stays open while the work goes on; only what is read from it can be damaged."""
    path = tmp_path / "run.nxs.h5"
    with h5py.File(path, "w") as file:
        file["entry/title"] = "silicon"
    time.sleep(SETTLED + 0.05)

    def work() -> None:
        with opened_once():
            with open_run(path) as run:
                assert "entry" in run
            raise error("of the work, not of the file")

    with pytest.raises(error, match="of the work"):
        work()
