"""Which runs were measured in which state.

A run tells its state only in its own file, and a facility has tens of thousands of them. So each is looked at once: the
answer is kept in a file beside the session's folder, and counts as long as the run's file keeps its size and time.
Runs whose state cannot be told (aborted, without logs) are remembered too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.disk.writing import replace_file, reported
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.runs import all_runs
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress

_FORMAT = 1


@dataclass(frozen=True)
class Census:
    """The state of each run that was looked at; "" where the run does not tell it."""

    states: Mapping[int, str]

    def count(self, state_id: str, after: str) -> int:
        """Runs of a state with a number above that of a run."""
        first = int(after) if after.isdecimal() else 0
        return sum(state == state_id and run > first for run, state in self.states.items())


def census_path(settings: Settings) -> Path:
    """The file that remembers the states of an instrument's runs."""
    return settings.session_directory.parent / f"run-states-{settings.instrument}.json"


def take_census(settings: Settings, progress: Progress | None = None, *, first_run: int = 0) -> Census:
    """The states of all runs of the facility from a number on; files that are new are read.

    Args:
        settings: Where the runs are.
        progress: Reported to. What was read before a cancellation is kept.
        first_run: Lowest run number that is looked at.

    Raises:
        StoreError: What was found cannot be kept.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    path = census_path(settings)
    known = _read(path)
    files = {run: file for run, file in all_runs(settings).items() if run >= first_run}
    marks = {run: _mark(file) for run, file in files.items()}
    new = [run for run, mark in marks.items() if known.get(str(files[run]), ("", ""))[0] != mark]
    try:
        for number, run in enumerate(new):
            progress.report(number / len(new), f"Looking at run {run}")
            known[str(files[run])] = (marks[run], _state_of(files[run], settings))
    finally:
        if new:
            _write(path, known)
    return Census({run: known[str(file)][1] for run, file in files.items()})


def _mark(file: Path) -> str:
    """What changes when a file is written to."""
    try:
        status = file.stat()
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"


def _state_of(file: Path, settings: Settings) -> str:
    try:
        return identify_run(RunRequest((file,), instrument_of(settings).modes[0]), settings).state.state_id
    except SnapcalError:
        return ""


def _read(path: Path) -> dict[str, tuple[str, str]]:
    """What is remembered; nothing where the file is none of ours, since it can be found again."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["format"] != _FORMAT:
            return {}
        return {str(file): (str(mark), str(state)) for file, (mark, state) in found["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, known: Mapping[str, tuple[str, str]]) -> None:
    with reported(f"The states of the runs could not be kept in {path}."):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"format": _FORMAT, "runs": known}).encode(), "the states of the runs")
