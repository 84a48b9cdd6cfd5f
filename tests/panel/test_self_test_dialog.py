"""The self-test in its window: the page comes, can be copied and saved, and closing ends the checks."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtWidgets")

from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QFileDialog

from snapcal_workbench.manifest import load_object, read_manifest
from snapcal_workbench.panel.dialogs.self_test_dialog import SelfTestDialog
from snapcal_workbench.self_test import page as page_module


@pytest.fixture
def dialog(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> SelfTestDialog:
    """With one check, which crashes."""
    monkeypatch.setattr(page_module, "EMBEDDED", ("workspaces",))
    monkeypatch.setattr(page_module, "_CODE", "import os; os.abort()")
    made = load_object(read_manifest().interface.self_test)()
    qtbot.addWidget(made)
    return made


def test_the_page_comes_and_can_be_taken_along(
    qtbot: QtBot, dialog: SelfTestDialog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not dialog.save.isEnabled()
    qtbot.waitUntil(dialog.save.isEnabled, timeout=60_000)
    text = dialog.page.toPlainText()
    assert "crashed (SIGABRT)" in text
    dialog.copy.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == text
    path = tmp_path / "page.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    dialog.save.click()
    assert path.read_text(encoding="utf-8") == text + "\n"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "absent" / "page.txt"), ""))
    dialog.save.click()
    assert "could not be saved" in dialog.step.text()


def test_closing_ends_the_checks(qtbot: QtBot, dialog: SelfTestDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_CODE", "import time; time.sleep(600)")
    dialog.run()
    dialog.reject()
    qtbot.waitUntil(lambda: not dialog._worker.busy, timeout=10_000)
