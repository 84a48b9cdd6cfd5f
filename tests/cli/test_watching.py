"""`snapcal watch` in a process of its own, ended as a person ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.simulation.tree import SimulatedTree


def test_ctrl_c_ends_a_watch_cleanly_and_the_history_has_what_was_done(
    small_tree: SimulatedTree, tmp_path: Path
) -> None:
    """The state has no calibration, so that the check itself is not possible: that is told and ends nothing."""
    command = [sys.executable, "-m", "snapcal_workbench.cli", "--config", str(small_tree.config_path), "watch"]
    options = ("IPTS-00001", "--existing", "--settle", "0.2", "--every", "0.2", "--history", str(tmp_path), "--json")
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            history, limit = tmp_path / "watch.jsonl", time.monotonic() + 120.0
            while not history.is_file() and running.poll() is None and time.monotonic() < limit:
                time.sleep(0.1)
            os.kill(running.pid, signal.SIGINT)
            out, err = running.communicate(timeout=60.0)
        finally:
            running.kill()
    assert running.returncode == 0, err
    (line,) = (json.loads(text) for text in history.read_text().splitlines())
    assert line["verdict"] == "failed"
    assert "No calibration applies" in line["text"]
    assert [json.loads(text) for text in out.splitlines()] == [line]
    assert "Traceback" not in err


def test_a_powder_that_is_none_is_refused_before_the_beam_time(small_tree: SimulatedTree) -> None:
    for command in (["watch", "IPTS-00001"], ["check", "58882"]):
        ended = CliRunner().invoke(app, ["--config", str(small_tree.config_path), *command, "--powder", "Nope"])
        assert ended.exit_code == 3
        assert "There is no calibrant 'Nope'." in ended.stderr
        assert "sorted by pixel" not in ended.stderr, "before the run is read"
