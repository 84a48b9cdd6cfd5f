"""The panel as the shell opens it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from snapcal_workbench.simulation.tree import SimulatedTree

TELL = """
import sys
from qtpy.QtCore import QTimer
from snapcal_workbench.cli.app import app
from snapcal_workbench.panel import opening
show = opening.show
def shown(*arguments):
    QTimer.singleShot(0, lambda: print("open", flush=True))
    return show(*arguments)
opening.show = shown
app(["--config", sys.argv[1], "panel"])
"""
"""Opens the panel, and says so once its event loop runs."""


def test_ctrl_c_closes_the_panel(worked: SimulatedTree, tmp_path: Path) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-c", TELL, str(worked.config_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as panel:
        assert panel.stdout is not None
        readable, _, _ = select.select([panel.stdout], [], [], 60.0)
        assert readable
        assert panel.stdout.readline() == "open\n"
        panel.send_signal(signal.SIGINT)
        try:
            _, said = panel.communicate(timeout=20.0)
        finally:
            panel.kill()
    assert panel.returncode == 0
    assert "Traceback" not in said
