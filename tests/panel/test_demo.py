"""The demonstration from the panel's first page: a real process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import Settings
from snapcal_workbench.panel.demo import make_demo
from snapcal_workbench.panel.widgets.questions import TextsDialog
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from tests.panel.driving import Open, log

pytestmark = pytest.mark.one_binding


def test_a_folder_that_cannot_be_used_is_said_in_a_box(qtbot, open_window: Open, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("mine")
    window = open_window()
    qtbot.mouseClick(window.outcome.welcome.demo, Qt.MouseButton.LeftButton)
    (dialog,) = [dialog for dialog in window.findChildren(TextsDialog) if dialog.isVisible()]
    assert Path(dialog.lines[0].text()).name == "snapcal-demo"
    dialog.lines[0].setText(str(occupied))
    qtbot.mouseClick(dialog.agree, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "ERROR: The demonstration failed." in log(window), timeout=60_000)
    assert "occupied" in log(window).partition("ERROR")[2]
    assert occupied.read_text() == "mine"
    assert window.outcome.welcome.isVisible()


def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    told: list[str] = []
    progress = Progress(on_report=lambda _, message: told.append(message), is_cancelled=lambda: bool(told))
    with pytest.raises(Cancelled):
        make_demo(str(tmp_path / "demo"), progress)
    assert told[0].startswith("Simulating: ")
    before = sorted(tmp_path.rglob("*"))
    time.sleep(1.0)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.long
def test_the_demonstration_is_made_with_honest_progress(tmp_path: Path) -> None:
    fractions: list[float] = []
    config = make_demo(str(tmp_path / "demo"), Progress(on_report=lambda fraction, _: fractions.append(fraction)))
    assert fractions == sorted(fractions)
    assert len(fractions) > 20
    session = Session(EmbeddedHost(Settings.load(config)))
    assert [iteration.number for iteration in session.iterations] == [1, 2]
