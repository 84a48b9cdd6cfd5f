"""One calibration reads each of its input files once, so that it cannot see two states of a file."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.formats.disk.once import SETTLED
from snapcal_workbench.simulation.tree import SimulatedTree


class Openings:
    """Counts how often files below a folder are opened for reading by this process, in Python and by HDF5."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.counts, self.on, self._python = folder.resolve(), Counter[str](), True, ""
        sys.addaudithook(self._hear)  # cannot be taken away again: it is switched off

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            path, flags = str(arguments[0]), arguments[2] if isinstance(arguments[2], int) else 0
            again, self._python = arguments[1] is None and path == self._python, path if arguments[1] else ""
            if not again and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY):
                self.count(path)  # "again": the system's opening, by an opener, of what Python is opening

    def count(self, path: str) -> None:
        """One more opening of a file, if it is below the folder."""
        if Path(path).is_absolute() and self.folder in Path(path).resolve().parents and os.path.isfile(path):
            self.counts[str(Path(path).resolve().relative_to(self.folder))] += 1


def test_calibrating_reads_each_input_file_once(small_tree: SimulatedTree, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(SETTLED)  # the tree has just been copied
    openings = Openings(small_tree.directory)
    begin = h5py.File.__init__

    def counted(file: h5py.File, name: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(name, (str, os.PathLike)):
            openings.count(str(name))
        begin(file, name, *arguments, **options)

    monkeypatch.setattr(h5py.File, "__init__", counted)
    command = ["--config", str(small_tree.config_path), "calibrate", "58882", "--calibrant", "Silicon_NIST_640d_001"]
    done = CliRunner().invoke(app, [*command, "--grouping", "Column", "--skip-pixels", "--no-report"])
    openings.on = False
    assert done.exit_code == 0, done.output
    inputs = {path: count for path, count in openings.counts.items() if "session" not in path}
    assert len(inputs) >= 7
    assert any(path.endswith(".nxs.h5") for path in inputs)
    assert {path: count for path, count in inputs.items() if count > 1} == {}
