"""Commands of the shell tool in processes of their own, which go on beside this one and may outlive it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from snapcal_workbench.libraries import environment

_started: list[subprocess.Popen[str]] = []
"""Processes whose end nobody has looked at yet."""


def start_command(arguments: Sequence[str], *, heard: bool = False) -> subprocess.Popen[str]:
    """Start a command of `snapcal`; Ctrl-C and the end of the terminal are not for it.

    Args:
        arguments: As in a shell.
        heard: Whether what it says can be read from `stdout`, results and remarks in one; else nobody hears it.

    Raises:
        OSError: It cannot be started.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "snapcal_workbench.cli", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if heard else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if heard else subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    _started.append(process)
    return process
