"""A watch of real files that appear, grow, stay broken and change; and of a folder that goes away."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest

from snapcal_workbench.batch.watching import PAUSES, Look, Watch, runs_folder, watch
from snapcal_workbench.errors import CalibrationError, InputError, NotFoundError, StoreError
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree


@dataclass(frozen=True)
class Found:
    """What the check of these tests finds: what the file says of itself."""

    verdict: str
    text: str
    ppm: float = float("nan")


def check(path: Path, progress: Progress) -> Found:
    """A check that reads the file."""
    with h5py.File(path) as file:
        number = file["entry/run_number"][0].decode()
    if number == "58899":
        raise CalibrationError("No calibration applies.", found=f"run {number}", fix="Calibrate.")
    return Found("holds", f"run {number}")


def write_run(path: Path, number: int) -> None:
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["run_number"] = [str(number).encode()]
        entry["title"] = [b"silicon"]
        entry["padding"] = list(range(2000))


class Folder:
    """A folder of runs, a clock that is put on by hand, and the watch of them."""

    def __init__(self, directory: Path) -> None:
        self.path, self.history = directory / "nexus", directory / "history"
        self.path.mkdir()
        self.time = 1000.0
        self.warnings: list[str] = []

    def run(self, number: int) -> Path:
        return self.path / f"SNAP_{number}.nxs.h5"

    def watch(self, **more: bool) -> Watch:
        return Watch(self.path, Settings(), self.history, check, settle=20.0, now=lambda: self.time, **more)

    def later(self, watched: Watch, seconds: float) -> list[Look]:
        self.time += seconds
        return list(watched.look(Progress().remembering(self.warnings)))

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in (self.history / "watch.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_new_run_is_looked_at_once_it_has_stayed_the_same(folder: Folder) -> None:
    write_run(folder.run(58882), 58882)
    watched = folder.watch()
    assert folder.later(watched, 100.0) == [], "it was there before"
    write_run(folder.run(58884), 58884)
    write_run(folder.run(58883), 58883)
    (folder.path / "SNAP_58885.nxs.h5.part").write_text("not a run's name")
    assert folder.later(watched, 1.0) == []
    assert folder.later(watched, 10.0) == []
    found = folder.later(watched, 10.0)
    assert [(Path(look.file).name, look.verdict, look.text) for look in found] == [
        ("SNAP_58883.nxs.h5", "holds", "run 58883"),
        ("SNAP_58884.nxs.h5", "holds", "run 58884"),
    ]
    assert folder.later(watched, 100.0) == []
    assert [line["verdict"] for line in folder.lines()] == ["not checked", "holds", "holds"]
    assert folder.lines()[1]["details"] == {"verdict": "holds", "text": "run 58883", "ppm": None}


def test_runs_that_are_there_are_looked_at_where_that_is_asked_for(folder: Folder) -> None:
    write_run(folder.run(58882), 58882)
    watched = folder.watch(existing=True)
    assert folder.later(watched, 0.0) == []
    assert [look.text for look in folder.later(watched, 30.0)] == ["run 58882"]


def test_a_file_that_grows_is_left_alone_until_it_is_whole(folder: Folder, tmp_path: Path) -> None:
    watched = folder.watch()
    write_run(tmp_path / "whole", 58882)
    data = (tmp_path / "whole").read_bytes()
    for size in range(1, len(data), len(data) // 4):
        folder.run(58882).write_bytes(data[:size])
        os.utime(folder.run(58882), ns=(size, size))
        assert folder.later(watched, 15.0) == []
    folder.run(58882).write_bytes(data)
    assert folder.later(watched, 15.0) == []
    assert [look.text for look in folder.later(watched, 25.0)] == ["run 58882"]


def test_half_a_file_that_stays_is_tried_again_and_then_told(folder: Folder, tmp_path: Path) -> None:
    watched = folder.watch()
    write_run(tmp_path / "whole", 58882)
    data = (tmp_path / "whole").read_bytes()
    folder.run(58882).write_bytes(data[: len(data) // 2])
    assert folder.later(watched, 0.0) == []
    for pause in (25.0, *PAUSES[:-1]):
        assert folder.later(watched, pause) == []
        assert watched.waiting == ["SNAP_58882.nxs.h5"]
    assert len(folder.warnings) == 1, "at once, so that nobody waits half an hour for a run that cannot be read"
    assert folder.warnings[0].startswith("SNAP_58882.nxs.h5 cannot be read yet")
    (told,) = folder.later(watched, PAUSES[-1])
    assert told.verdict == "unreadable"
    assert watched.waiting == []
    folder.run(58882).write_bytes(data)
    assert folder.later(watched, 0.0) == []
    assert [look.verdict for look in folder.later(watched, 25.0)] == ["holds"], "it changed"


def test_a_check_that_is_not_possible_is_told_and_ends_nothing(folder: Folder) -> None:
    watched = folder.watch()
    write_run(folder.run(58899), 58899)
    write_run(folder.run(58900), 58900)
    folder.later(watched, 0.0)
    found = folder.later(watched, 25.0)
    assert [look.verdict for look in found] == ["failed", "holds"]
    assert found[0].text == "No calibration applies. Found: run 58899"


def test_a_watch_goes_on_where_it_was(folder: Folder) -> None:
    watched = folder.watch()
    write_run(folder.run(58882), 58882)
    folder.later(watched, 0.0)
    assert len(folder.later(watched, 25.0)) == 1
    with open(folder.history / "watch.jsonl", "ab") as file:
        file.write(b'{"file": "/x/SNAP_58')  # a power cut while it wrote
    write_run(folder.run(58883), 58883)
    again = folder.watch()
    assert len(again.problems) == 1
    folder.later(again, 0.0)
    assert [look.text for look in folder.later(again, 25.0)] == ["run 58883"]


def test_a_history_that_cannot_be_written_ends_it(folder: Folder) -> None:
    folder.history.write_text("a file where a folder is expected")
    watched = folder.watch()
    write_run(folder.run(58882), 58882)
    folder.later(watched, 0.0)
    with pytest.raises(StoreError, match="history"):
        folder.later(watched, 25.0)


@pytest.fixture
def watching(folder: Folder) -> Iterator[Callable[[], list[str]]]:
    """A watch in a thread, with the real clock; returns what it has told so far."""
    told: list[str] = []
    end = threading.Event()
    watched = Watch(folder.path, Settings(), folder.history, check, settle=0.1)
    progress = Progress(on_message=lambda level, text: told.append(level), is_cancelled=end.is_set)
    thread = threading.Thread(target=lambda: watch(watched, lambda look: told.append(look.text), progress, every=0.05))
    thread.start()
    yield lambda: list(told)
    end.set()
    thread.join(5.0)
    assert not thread.is_alive()


def wait_for(told: Callable[[], list[str]], expected: list[str]) -> None:
    limit = time.monotonic() + 20.0
    while told() != expected and time.monotonic() < limit:
        time.sleep(0.05)
    assert told() == expected


def test_a_folder_that_goes_away_is_told_once_and_taken_up_again(
    folder: Folder, watching: Callable[[], list[str]]
) -> None:
    write_run(folder.run(58882), 58882)
    wait_for(watching, ["run 58882"])
    moved = folder.path.with_name("away")
    folder.path.rename(moved)
    wait_for(watching, ["run 58882", "warning"])
    time.sleep(0.3)
    write_run(moved / folder.run(58883).name, 58883)
    moved.rename(folder.path)
    wait_for(watching, ["run 58882", "warning", "run 58883"])


def test_once_waits_for_what_is_there_and_ends(folder: Folder) -> None:
    write_run(folder.run(58882), 58882)
    watched = Watch(folder.path, Settings(), folder.history, check, settle=0.1, existing=True)
    found: list[Look] = []
    watch(watched, found.append, Progress(), every=0.05, once=True)
    assert [look.text for look in found] == ["run 58882"]
    with pytest.raises(InputError):
        watch(watched, found.append, Progress(), every=0.0)


def test_a_proposal_is_named_by_its_number(small_tree: SimulatedTree) -> None:
    settings = small_tree.settings
    folder = small_tree.run_path("58882").parent
    assert runs_folder("IPTS-00001", settings) == folder
    assert runs_folder("00001", settings) == folder
    assert runs_folder(str(folder), settings) == folder
    with pytest.raises(NotFoundError):
        runs_folder("IPTS-99999", settings)


def test_a_run_of_the_facility_is_read(small_tree: SimulatedTree, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    watched = folder.watch()
    shutil.copy(small_tree.run_path(58882), folder.run(58882))
    folder.later(watched, 0.0)
    assert [look.text for look in folder.later(watched, 25.0)] == ["run 58882"]
