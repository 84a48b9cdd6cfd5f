"""Saving from the panel: where it may be written, what is said when not, and another place."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QPushButton

from snapcal_workbench.errors import SnapcalError, StoreError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.panel.dialogs.save_dialog import SavedBox, SaveDialog
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.elsewhere import settings_at
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.verify import verify_tree
from tests.panel.driving import Open, log

STATE = "04bd2c53f6bf6754"
SAVE = QDialogButtonBox.StandardButton.Save


def close_the_tree(tree: SimulatedTree) -> Path:
    """Make the folder of the versions one that nobody, not even root, can write in."""
    home = tree.settings.powder_home / STATE / "diffraction"
    shutil.rmtree(home)
    home.write_text("no folder")
    return home


def save_dialog(qtbot, window: CalibrationWindow, number: int) -> SaveDialog:
    """Select an iteration and press Save, as a user does."""
    window.resize(1400, 900)  # without a screen there are 600 pixels, and buttons lie beyond the edge
    save = window.iterations.doings.buttons["Save"]
    qtbot.waitUntil(
        lambda: not window.busy and save.isEnabled(), timeout=20_000
    )  # the newest is selected when all is read
    qtbot.wait(200)
    window.iterations.table.select(number)
    qtbot.waitUntil(lambda: not window.busy and save.isEnabled(), timeout=20_000)
    qtbot.mouseClick(save, Qt.MouseButton.LeftButton)
    (dialog,) = window.findChildren(SaveDialog)
    return dialog


def test_another_place_is_offered_where_the_tree_cannot_be_written(
    qtbot, open_worked: Open, worked: SimulatedTree, tmp_path: Path
) -> None:
    home = close_the_tree(worked)
    window = open_worked()
    dialog = save_dialog(qtbot, window, 2)
    qtbot.waitUntil(lambda: f"{home} is not a folder" in dialog.preview.text(), timeout=10_000)
    dialog.author.setText("tester")
    dialog.comments.setPlainText("kept elsewhere")
    save = dialog.buttons.button(SAVE)
    assert save is not None
    assert not save.isEnabled()
    assert dialog.elsewhere.isVisible()

    place = tmp_path / "my states"
    dialog.set_place(place)
    qtbot.waitUntil(save.isEnabled, timeout=10_000)
    assert dialog.where.text() == str(place / STATE / "diffraction")
    told = dialog.preview.text().splitlines()
    assert told[0] == "It becomes version 1 of this state."
    assert "It takes all runs from 58882 on from no version." in told
    before = window.workspaces_shown()
    qtbot.mouseClick(save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Saved as version 1" in log(window), timeout=30_000)
    folder = place / STATE / "diffraction" / "v_0001"
    (box,) = window.findChildren(SavedBox)
    assert box.text.text() == f"Saved as version 1 in\n{folder}"
    qtbot.mouseClick(box.copy_path, Qt.MouseButton.LeftButton)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == str(folder)
    assert {button.text() for button in box.findChildren(QPushButton)} >= {"&Copy path", "&Open folder"}
    assert window.author == "tester"
    assert home.is_file()  # the tree is as it was
    assert set(before) <= set(window.workspaces_shown())

    there = settings_at(worked.settings, place, STATE)
    stored = StateStore(there, STATE, SNAP.lite).read(1)
    kept = window.presenter.session.folders.values(2)
    np.testing.assert_allclose(stored.table.difc, kept["table"].difc, rtol=1e-14)
    assert not verify_tree(there)


def test_another_place_continues_its_numbers(worked: SimulatedTree, tmp_path: Path) -> None:
    session = Session(EmbeddedHost(worked.settings))
    for number in (1, 2):
        saved = session.save(number, author="tester", comments="c", place=tmp_path / "mine")
        assert saved.version == number
    entries = session.outlook(1, tmp_path / "mine").entries
    assert [entry.version for entry in entries] == [0, 1, 2]
    assert [entry.version for entry in session.outlook(1).entries] == [0]


def test_a_place_that_is_no_folder_is_refused(worked: SimulatedTree, tmp_path: Path) -> None:
    session = Session(EmbeddedHost(worked.settings))
    (tmp_path / "file").write_text("")
    assert "is not a folder" in (session.outlook(1, tmp_path / "file").why_not or "")
    with pytest.raises(SnapcalError, match="must be writable"):
        session.save(1, author="tester", comments="c", place=tmp_path / "file")


def test_a_full_place_says_so_and_keeps_nothing(
    worked: SimulatedTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(EmbeddedHost(worked.settings))
    place = tmp_path / "full"
    session.save(1, author="tester", comments="fits", place=place)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="Free space"):
            session.save(1, author="tester", comments="does not fit", place=place)
    home = place / STATE / "diffraction"
    assert sorted(path.name for path in home.glob("*v_*")) == ["v_0000", "v_0001"]
    assert session.save(1, author="tester", comments="fits again", place=place, progress=Progress()).version == 2
