"""Takes the panel's screenshots: `python -m tests.panel.screenshots CONFIG FOLDER`, with a display or offscreen.

CONFIG is the settings file of a demonstration (`snapcal demo`), whose session has two iterations.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QApplication

from snapcal_workbench.config import Settings
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.window import CalibrationWindow

TABS = ("convergence", "detectors", "spectra", "groups", "mask")


def dark_palette() -> QPalette:
    """A dark theme, as Workbench has one."""
    palette = QPalette(QColor("#31363b"), QColor("#31363b"))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(role, QColor("#eff0f1"))
    palette.setColor(QPalette.ColorRole.Base, QColor("#232629"))
    return palette


def spin(application: QApplication, seconds: float) -> None:
    """Let the window work."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.01)


def take(config: Path, folder: Path) -> None:
    """Write one picture a tab, and one in a dark theme."""
    application = QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        if theme == "dark":
            application.setPalette(dark_palette())
        window = CalibrationWindow(EmbeddedHost(Settings.load(config)))
        window.resize(1360, 820)
        window.show()
        spin(application, 2.0)
        window.presenter.restore(1)
        window.presenter.select(2)
        spin(application, 3.0)
        for index, name in enumerate(TABS):
            window.results.setCurrentIndex(index)
            spin(application, 1.0)
            if theme == "light" or name == "spectra":
                window.grab().save(str(folder / f"{name}{'-dark' if theme == 'dark' else ''}.png"), quality=0)
        window.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
