"""The report is drawn by another process: the command does not wait for it, and nothing half drawn is ever taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.reporting import written_once
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import initialise
from tests.support import copy_tree

PICTURES = {"report.html", "strain.png", "sigma.png", "mask.png", "difc_change.png"}


def snapcal(tree: SimulatedTree, *arguments: str) -> Result:
    done = CliRunner().invoke(app, ["--config", str(tree.config_path), *arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def calibrated_copy(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A tree of the test's own with iterations whose reports were left out."""
    return copy_tree(calibrated_tree, tmp_path / "calibrated")


def test_a_version_saved_at_once_has_its_report_whole(small_tree: SimulatedTree) -> None:
    tree = initialise(small_tree)
    done = snapcal(tree, "calibrate", "58882", "--calibrant", "Silicon_NIST_640d_001", "--skip-pixels")
    folder = tree.settings.session_directory / "iteration_01"
    assert f"Report: {folder / 'report' / 'report.html'}" in done.output
    saved = json.loads(snapcal(tree, "save", "1", "--comments", "c", "--json").stdout)
    assert {path.name for path in Path(saved["path"]).iterdir()} >= PICTURES
    assert not (folder / "report.asked").exists()
    assert not (folder / "report.part").exists()
    assert str(folder / "report" / "report.html") in snapcal(tree, "report").output  # is there already


def test_without_a_report_none_is_drawn_until_it_is_asked_for(calibrated_copy: SimulatedTree) -> None:
    folder = calibrated_copy.settings.session_directory / "iteration_01"
    saved = json.loads(snapcal(calibrated_copy, "save", "1", "--comments", "c", "--json").stdout)
    assert not PICTURES & {path.name for path in Path(saved["path"]).iterdir()}
    assert not (folder / "report").exists()


def write_two(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.png").write_text("a")
    time.sleep(0.3)
    (folder / "report.html").write_text("page")


def test_one_draws_and_the_other_waits(tmp_path: Path) -> None:
    drawn: list[Path] = []

    def write(folder: Path) -> None:
        drawn.append(folder)
        write_two(folder)

    drawers = [threading.Thread(target=written_once, args=(tmp_path / "report", write, Progress())) for _ in range(3)]
    for drawer in drawers:
        drawer.start()
    for drawer in drawers:
        drawer.join()
    assert len(drawn) == 1
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"a.png", "report.html"}


def test_who_waits_can_cancel(tmp_path: Path) -> None:
    begun = threading.Event()

    def write(folder: Path) -> None:
        begun.set()
        write_two(folder)

    drawer = threading.Thread(target=written_once, args=(tmp_path / "report", write, Progress()))
    drawer.start()
    begun.wait(5.0)
    with pytest.raises(Cancelled):
        written_once(tmp_path / "report", write, Progress(is_cancelled=lambda: True))
    drawer.join()
    assert (tmp_path / "report" / "report.html").is_file()


KILLED = """
import sys, time
from pathlib import Path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.reporting import written_once

def write(folder):
    folder.mkdir()
    (folder / "half.png").write_text("half")
    print("drawing", flush=True)
    time.sleep(60)

written_once(Path(sys.argv[1]), write, Progress())
"""


def test_a_drawing_that_was_killed_leaves_nothing_and_is_done_again(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "report")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "drawing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "report").exists()
    written_once(tmp_path / "report", write_two, Progress())
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"a.png", "report.html"}
