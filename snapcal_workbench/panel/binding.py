"""Whether the Qt binding can be trusted with a window that stays open for days."""

from __future__ import annotations

import sys

import qtpy
from qtpy.QtCore import QObject, Signal

from snapcal_workbench.errors import InputError

EMITTED = 100


class _Sender(QObject):
    sent = Signal(object)


def lost_references() -> int:
    """How many references to True, False and None a hundred signals lose; beyond a few, it is each signal that does.

    PySide6 6.12.0 loses one to True with every signal. Before Python 3.12 the program ends when the last one is gone.
    """
    sender = _Sender()
    sender.sent.connect(lambda _: None)
    before = [sys.getrefcount(value) for value in (True, False, None)]
    for _ in range(EMITTED):
        sender.sent.emit("")
    return max(then - sys.getrefcount(value) for then, value in zip(before, (True, False, None), strict=True))


def require_sound_binding() -> None:
    """Refuse a binding that would end the program after a while.

    Raises:
        InputError: It loses references.
    """
    lost = lost_references()
    if lost > EMITTED // 2:
        raise InputError(
            "The panel needs a Qt binding that keeps count of its references.",
            found=f"{qtpy.API_NAME} {qtpy.PYSIDE_VERSION or qtpy.PYQT_VERSION}, which loses one with every signal",
            fix="Install one that does not: pip install 'PySide6-Essentials<6.12'.",
        )
