"""How the panel is opened: inside Workbench, where it may be open already, or in an application of its own."""

from __future__ import annotations

import importlib
import signal
import sys

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.options import Settings
from snapcal_workbench.panel.binding import require_sound_binding
from snapcal_workbench.panel.favour import favour_the_gui
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.workspaces.protocol import Host

LOOK_AT_SIGNALS_MS = 200

_window: CalibrationWindow | None = None


def show(host: Host | None = None) -> CalibrationWindow:
    """Open the panel, or raise it where it is open already."""
    global _window
    if _window is None:
        parent, flags = _workbench_window()
        _window = CalibrationWindow(host or default_host(), parent, draw_aside=True)
        if flags is not None:
            _window.setWindowFlags(flags)
        _window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        _window.destroyed.connect(_forget)
        favour_the_gui()
    _window.show()
    _window.raise_()
    _window.activateWindow()
    return _window


def _forget() -> None:
    global _window
    _window = None


def _workbench_window() -> tuple[QWidget | None, Qt.WindowType | None]:
    if "workbench" not in sys.modules:
        return None, None
    try:
        return importlib.import_module("workbench.config").get_window_config()
    except (ImportError, AttributeError):
        return None, None


def run(settings: Settings) -> int:
    """Open the panel in an application of its own; returns when it is closed, also by Ctrl-C in the shell.

    Raises:
        InputError: The Qt binding would end the program after a while.
    """
    require_sound_binding()
    application = QApplication.instance() or QApplication(sys.argv[:1])
    window = show(default_host(settings))
    awake = QTimer()  # Python looks at signals only when it is called
    awake.timeout.connect(lambda: None)
    awake.start(LOOK_AT_SIGNALS_MS)
    before = signal.signal(signal.SIGINT, lambda *_: window.close())
    try:
        return int(application.exec())
    finally:
        signal.signal(signal.SIGINT, before)
