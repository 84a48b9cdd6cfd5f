"""The Qt binding that the product asks for can be trusted with a window that stays open for days."""

from __future__ import annotations

import sys

from qtpy.QtCore import QObject, Signal

EMITTED = 200


class Sender(QObject):
    something = Signal(object)
    nothing = Signal()


def test_signals_keep_the_references_of_singletons(qtbot) -> None:
    """A binding that drops a reference with each signal ends the interpreter, in the end."""
    sender, heard = Sender(), []
    sender.something.connect(heard.append)
    sender.nothing.connect(lambda: heard.append(0))
    before = [sys.getrefcount(value) for value in (True, False, None)]
    for _ in range(EMITTED):
        sender.something.emit("x")
        sender.nothing.emit()
    after = [sys.getrefcount(value) for value in (True, False, None)]
    assert len(heard) == 2 * EMITTED
    assert all(abs(now - then) < EMITTED / 2 for now, then in zip(after, before, strict=True))
