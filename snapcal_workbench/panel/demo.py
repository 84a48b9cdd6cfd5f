"""The demonstration from the panel: the shell's own, in a process of its own, and then the panel over its tree."""

from __future__ import annotations

import queue
import re
import subprocess
import threading
from pathlib import Path

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.aside import start_command

PARTS = {"Simulating": (0.0, 0.2), "Calibrating": (0.2, 0.55), "Iterating": (0.55, 0.85), "Saving": (0.85, 1.0)}
"""Part of the time that each of its steps takes, by the first word of what it reports."""
PATIENCE = 0.1
"""Seconds between two looks for what it says, in which the user can cancel."""
LAST_WORDS = 12
"""Lines that are told where it fails."""
_REPORT = re.compile(r"(\w+)[^:]*: +(\d+) % ?(.*)")


def make_demo(folder: str, progress: Progress) -> Path:
    """Run `snapcal demo` in a folder; returns the settings file of its tree.

    Raises:
        SnapcalError: It failed, with what it said last.
        Cancelled: The user cancelled; the process has ended.
    """
    directory = user_path(Path(folder)).absolute()
    said: list[str] = []
    process = start_command(["demo", "--directory", str(directory)], heard=True)
    try:
        _follow(process, said, progress)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
    if process.returncode != 0:
        raise SnapcalError(
            "The demonstration failed.",
            found="\n".join(said[-LAST_WORDS:]) or f"exit code {process.returncode}",
            fix="Choose an empty or a new folder on a disk with room for 200 MB.",
        )
    return directory / "snapcal.toml"


def open_demo(config: Path) -> None:
    """Open the panel over a demonstration's tree, in a process of its own: its session is not the user's."""
    start_command(["--config", str(config), "panel"])


def _follow(process: subprocess.Popen[str], said: list[str], progress: Progress) -> None:
    """Report what a process says until it has ended; its lines are added to `said`."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True, name="snapcal demonstration").start()
    while True:
        progress.check()
        try:
            line = lines.get(timeout=PATIENCE)
        except queue.Empty:
            continue
        if line is None:
            return
        said.append(line.rstrip())
        report = _REPORT.match(line)
        if report and report[1] in PARTS:
            progress.part(*PARTS[report[1]]).report(int(report[2]) / 100.0, f"{report[1]}: {report[3]}".rstrip(": "))


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as said:
        for line in said:
            lines.put(line)
    lines.put(None)
