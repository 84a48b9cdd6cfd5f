"""A file is read once while it stays the same, and anew when it does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from snapcal_workbench.formats.once import SETTLED, read_once


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
