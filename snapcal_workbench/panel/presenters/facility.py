"""What the Facility tab does, without Qt: the states of the tree, the history of one, and checks of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Protocol, TypeVar

from snapcal_workbench.facility.check import RunCheck, check_run
from snapcal_workbench.facility.history import read_history
from snapcal_workbench.facility.run_states import take_census
from snapcal_workbench.facility.states import StateRow, list_states
from snapcal_workbench.facility.table import filtered_rows
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.panel.presenters.contract import CheckRequest, View
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session

T = TypeVar("T")

OPERATORS = "=<>~"


class Start(Protocol):
    """Starts a job under a name; `show` shows what came of it."""

    def __call__(self, name: str, job: Callable[[Progress], T], show: Callable[[T], None]) -> None: ...


class Facility:
    """Looks at the whole tree of a session's settings."""

    def __init__(self, view: View, session: Session, start: Start) -> None:
        self.view, self.session, self._start = view, session, start

    def list_states(self, lite: bool, count_runs: bool) -> None:
        """List the states.

        Args:
            lite: Which versions count: those for lite or for native pixels.
            count_runs: Count the runs since the last calibration of each; looks once at each run that is new.
        """
        self._start("list the states", lambda progress: self._states(lite, count_runs, progress), self.view.show_states)

    def _states(self, lite: bool, count_runs: bool, progress: Progress) -> list[StateRow]:
        settings = self.session.host.settings
        census = take_census(settings, progress.part(0.0, 0.9)) if count_runs else None
        step = progress.part(0.9, 1.0) if count_runs else progress
        return list_states(settings, requested_mode(settings, lite), census=census, progress=step)

    def read_history(self, state_id: str, lite: bool) -> None:
        """Read the versions of a state, and find what changed."""
        settings = self.session.host.settings
        mode = requested_mode(settings, lite)
        self._start(
            "read the history",
            lambda progress: read_history(settings, state_id, mode, progress=progress),
            self.view.show_history,
        )

    def check(self, asked: CheckRequest) -> None:
        """Check whether the calibration holds for a run."""
        settings = self.session.host.settings
        mode = requested_mode(settings, asked.lite)
        self._start(
            f"check run {asked.run}",
            lambda progress: check_run(
                asked.run,
                settings,
                mode,
                powder=asked.powder,
                method="pixels" if asked.pixels else None,
                version=asked.version,
                tolerance_ppm=asked.tolerance_ppm,
                progress=progress,
            ),
            self._show_check,
        )

    def _show_check(self, found: RunCheck) -> None:
        self.view.log("information" if found.verdict == "holds" else "warning", found.text)
        self.view.show_outcome(found.text)
        self.view.show_check(found)


def fitting_states(states: Sequence[StateRow], text: str) -> list[StateRow]:
    """The states that fit a text: conditions as for `facility.table`, or words that a row contains, with ; between.

    Raises:
        InputError: A condition names no column.
    """
    found = list(states)
    for part in filter(None, map(str.strip, text.split(";"))):
        if any(operator in part for operator in OPERATORS):
            found = filtered_rows(found, [part])
        else:
            found = [row for row in found if part.casefold() in _words(row)]
    return found


def _words(row: StateRow) -> str:
    return "\n".join(str(getattr(row, field.name)) for field in fields(row)).casefold()
