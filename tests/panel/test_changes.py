"""Changes reach the GUI thread, in order, whoever made them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtWidgets")

from pytestqt.qtbot import QtBot

from snapcal_workbench.calibration.types import PixelMask
from snapcal_workbench.hosts.embedded import EmbeddedWorkspaces
from snapcal_workbench.panel.changes import WorkspaceChanges
from snapcal_workbench.workspaces.protocol import Change


def mask() -> PixelMask:
    return PixelMask.none(np.arange(3, dtype=np.int32))


@pytest.fixture
def workspaces() -> EmbeddedWorkspaces:
    return EmbeddedWorkspaces()


def test_changes_of_another_thread_arrive_in_order_on_this_one(qtbot: QtBot, workspaces: EmbeddedWorkspaces) -> None:
    changes = WorkspaceChanges(workspaces)
    heard: list[tuple[int, Change]] = []
    changes.changed.connect(lambda change: heard.append((threading.get_ident(), change)))

    def work() -> None:
        for i in range(50):
            workspaces.write(f"mask_{i}", mask())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: len(heard) == 50)
    assert [change.name for _, change in heard] == [f"mask_{i}" for i in range(50)]
    assert {ident for ident, _ in heard} == {threading.get_ident()}


def test_nothing_happens_while_the_change_is_made(qtbot: QtBot, workspaces: EmbeddedWorkspaces) -> None:
    changes = WorkspaceChanges(workspaces)
    heard: list[Change] = []
    changes.changed.connect(heard.append)
    workspaces.write("mask", mask())
    assert heard == []
    qtbot.waitUntil(lambda: heard == [Change("add", "mask")])


def test_after_closing_nothing_arrives(qtbot: QtBot, workspaces: EmbeddedWorkspaces) -> None:
    changes = WorkspaceChanges(workspaces)
    heard: list[Change] = []
    changes.changed.connect(heard.append)
    workspaces.write("mask", mask())
    changes.close()
    workspaces.write("other", mask())
    qtbot.wait(50)
    assert heard == []
