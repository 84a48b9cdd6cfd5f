"""Files of iterations that were changed: read, or refused with the number of the iteration, and never a traceback."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import h5py
import pytest

from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.formats.mutations import mutate_json


@pytest.fixture
def folders(calibrated_tree: SimulatedTree, tmp_path: Path) -> IterationFolders:
    """A copy of one finished iteration."""
    source = IterationFolders(calibrated_tree.settings.session_directory).path(1)
    shutil.copytree(source, tmp_path / "session" / source.name)
    return IterationFolders(tmp_path / "session")


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_a_record_changed_in_its_own_structure(folders: IterationFolders, count: int) -> None:
    path = folders.path(1) / "iteration.json"
    good, refused = path.read_bytes(), 0
    for seed in range(count):
        path.write_bytes(good)
        mutate_json(path, random.Random(seed))
        readable, unreadable = folders.survey()
        assert len(readable) + len(unreadable) == 1
        refused += len(unreadable)
        assert all(iteration.why and iteration.started for iteration in unreadable)
    assert refused


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"\xff", b'{"format": 1e400}', b'{"format": ' + b"9" * 5000 + b"}"]
)
def test_a_record_that_is_no_json(folders: IterationFolders, content: bytes) -> None:
    (folders.path(1) / "iteration.json").write_bytes(content)
    with pytest.raises(FileFormatError, match="Iteration 1"):
        folders.read(1)


@pytest.mark.parametrize("name", ["table", "mask", "grouping", "output", "fit_table"])
def test_results_that_are_missing_are_named(folders: IterationFolders, name: str) -> None:
    path = folders.path(1) / "values.h5"
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(FileFormatError, match=f"no {name}") as caught:
        folders.values(1)
    assert str(path) in caught.value.what
