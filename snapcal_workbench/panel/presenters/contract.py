"""What presenter and window say to each other; no Qt here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapcal_workbench.calibration.types import DiffCalTable, Geometry
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.facility.check import RunCheck
from snapcal_workbench.facility.history import History
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.panel.presenters.pixel_quantities import PixelQuantities
from snapcal_workbench.panel.presenters.workspace_plots import Plot
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import (
    CalibrantPreview,
    Comparison,
    Iteration,
    Problem,
    Request,
    RunSummary,
    UnreadableIteration,
)
from snapcal_workbench.session.iterations.folders import KeptValues
from snapcal_workbench.session.iterations.ledger import Standing
from snapcal_workbench.session.versions import Described

Job = Callable[[Progress], object]
Shown = Callable[[], None]
"""Shows what came of a job, on the thread of the view."""
Peak = tuple[int, tuple[int, int, int]]
"""Group and indices of a peak."""
Write = Callable[[Path], object]
"""Writes one file."""


@dataclass(frozen=True, eq=False)
class Results:
    """What the result views show of one iteration.

    Attributes:
        iteration: The iteration.
        values: Its kept workspaces by role.
        geometry: Of its pixels.
        baselines: Tables that the change of DIFC can be shown against, by name; the first is the start.
        versions: References of saved versions that can be read as baselines too.
        report: Gives the path of the iteration's HTML report, which it makes where there is none yet.
    """

    iteration: Iteration
    values: KeptValues
    geometry: Geometry
    baselines: Mapping[str, DiffCalTable]
    versions: Sequence[str]
    report: Callable[[], Path]

    @property
    def pixels(self) -> PixelQuantities:
        """What is known of each pixel."""
        return PixelQuantities(self.geometry, self.values, self.iteration.bin_width)


@dataclass(frozen=True)
class Looked:
    """What a look at the inputs found: problems, and where they could be found run, versions and calibrants.

    `request` is what was looked at, without inputs that do not fit; `named` is the calibrant that the title names.
    """

    problems: tuple[Problem, ...]
    request: Request
    summary: RunSummary | None = None
    versions: Described | None = None
    calibrant: CalibrantPreview | None = None
    calibrants: tuple[str, ...] | None = None
    named: str = ""


@dataclass(frozen=True)
class Choices:
    """What the inputs offer: iterations to start from, runs and masks of the workspace list, and whether native pixels
    can be chosen, which an instrument of one mode does not offer."""

    starts: Sequence[str]
    runs: Sequence[str]
    masks: Sequence[str]
    native: bool = True


@dataclass(frozen=True)
class CheckRequest:
    """A run whose calibration is to be checked.

    Attributes:
        run: Run number, or NeXus file.
        lite: Whether a version for lite pixels is checked, or one for native ones.
        powder: Name of the calibrant that is in the beam; "": it is found out from the data.
        pixels: Compare the pixels with each other instead.
        version: Reference of a version; "": the one that applies to the run.
        tolerance_ppm: What a module may be off by, ppm.
    """

    run: str
    lite: bool
    powder: str
    pixels: bool
    version: str
    tolerance_ppm: float


class View(Protocol):
    """What the presenter asks of the window."""

    @property
    def inputs(self) -> dict[str, object]:
        """Inputs as plain data, as `options.Request.changed` takes them."""

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""

    @property
    def last_used(self) -> Mapping[str, str]:
        """Calibrant and grouping of the user's last calibration, as far as there was one."""

    def remember(self, request: Request) -> None: ...
    def set_inputs(self, inputs: Mapping[str, object]) -> None: ...
    def offer_undo(self, offered: bool) -> None: ...
    def show_obstacle(self, text: str) -> None: ...
    def show_outcome(self, text: str) -> None: ...
    def show_spectra_first(self) -> None: ...
    def start_reading(self, name: str, job: Job) -> None: ...
    def start_aside(self, name: str, job: Job) -> None: ...
    def show_changes(self, changes: Mapping[int, float]) -> None: ...
    def show_choices(self, choices: Choices) -> None: ...
    def show_looked(self, looked: Looked) -> None: ...
    def show_iterations(
        self,
        iterations: Sequence[Iteration],
        unreadable: Sequence[UnreadableIteration],
        standings: Mapping[int, Standing],
        selected: int | None,
    ) -> None: ...
    def show_standings(self, standings: Mapping[int, Standing]) -> None: ...
    def show_results(self, results: Results | None) -> None: ...
    def show_left_out(self, peaks: Collection[Peak]) -> None: ...
    def show_baseline(self, name: str, table: DiffCalTable) -> None: ...
    def show_comparison(self, comparison: Comparison) -> None: ...
    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None: ...
    def show_error(self, error: SnapcalError) -> None: ...
    def ask_to_clear(self, names: Sequence[str]) -> None: ...
    def show_saved(self, path: str, version: int) -> None: ...
    def show_health(self, health: Mapping[str, str]) -> None: ...
    def show_report(self, path: str) -> None: ...
    def show_plots(self, plots: Sequence[Plot]) -> None: ...
    def show_states(self, states: Sequence[StateRow]) -> None: ...
    def show_history(self, history: History) -> None: ...
    def show_check(self, check: RunCheck) -> None: ...
    def log(self, level: str, text: str) -> None: ...
    def start_job(self, name: str, job: Job) -> None: ...
    def start_look(self, job: Job) -> None: ...
    def cancel_job(self) -> None: ...
