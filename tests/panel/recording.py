"""A view without Qt that records what the presenter shows, and runs its jobs at once or keeps them waiting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.facility.check import RunCheck
from snapcal_workbench.facility.history import History
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.panel.presenters.contract import Choices, Job, Looked, Peak, Results, Shown
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.panel.presenters.workspace_plots import Plot
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Comparison, Iteration, Request, Session, UnreadableIteration
from snapcal_workbench.session.iterations.ledger import Standing


class RecordingView:
    """Keeps everything that it is shown, newest last.

    Attributes:
        inputs: What stands in the form.
        waits: Whether jobs wait, by name in `waiting`; else each is run as it is started.
        look: The newest look at the inputs, which `look_now` runs.
    """

    def __init__(self, session: Session) -> None:
        self.inputs: dict[str, object] = {}
        self.last_used: dict[str, str] = {}
        self.waits = False
        self.waiting: dict[str, Job] = {}
        self.look: Job | None = None
        self.cancelled = 0
        self.remembered: list[Request] = []
        self.undo_offered: list[bool] = []
        self.obstacles: list[str] = []
        self.outcomes: list[str] = []
        self.spectra_first = 0
        self.changes: list[Mapping[int, float]] = []
        self.choices: list[Choices] = []
        self.looks: list[Looked] = []
        self.iterations: list[Sequence[Iteration]] = []
        self.unreadable: list[Sequence[UnreadableIteration]] = []
        self.standings: list[Mapping[int, Standing]] = []
        self.selected: list[int | None] = []
        self.results: list[Results | None] = []
        self.left_out: list[Collection[Peak]] = []
        self.baselines: list[tuple[str, DiffCalTable]] = []
        self.comparisons: list[Comparison] = []
        self.busyness: list[tuple[bool, bool]] = []
        self.errors: list[SnapcalError] = []
        self.asked_to_clear: list[Sequence[str]] = []
        self.saved: list[tuple[str, int]] = []
        self.health: list[Mapping[str, str]] = []
        self.reports: list[str] = []
        self.plots: list[Sequence[Plot]] = []
        self.states: list[Sequence[StateRow]] = []
        self.histories: list[History] = []
        self.checks: list[RunCheck] = []
        self.lines: list[tuple[str, str]] = []
        self.presenter = Presenter(self, session)

    # -- jobs ---------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a job waits: those that do not have ended."""
        return bool(self.waiting)

    def start_job(self, name: str, job: Job) -> None:
        """Run a job as the window does: what it returns goes to `finished`, an error to `failed`."""
        if self.waits:
            self.waiting[name] = job
            return
        try:
            shown = job(Progress())
        except SnapcalError as error:
            self.presenter.failed(name, error)
        else:
            self.presenter.finished(cast(Shown, shown))

    def start_reading(self, name: str, job: Job) -> None:
        """Show what was read at once; what cannot be read is an error as that of a job."""
        try:
            shown = job(Progress())
        except SnapcalError as error:
            self.show_error(error)
        else:
            cast(Callable[[], None], shown)()

    def start_aside(self, name: str, job: Job) -> None:
        """Show at once what nobody waits for."""
        cast(Callable[[], None], job(Progress()))()

    def start_look(self, job: Job) -> None:
        """Keep the newest look."""
        self.look = job

    def look_now(self) -> Looked:
        """Run the newest look, and give the presenter what it found."""
        assert self.look is not None
        self.presenter.looked(cast(Looked, self.look(Progress())))
        return self.looks[-1]

    def cancel_job(self) -> None:
        """Count, and forget what waits."""
        self.cancelled += 1
        self.waiting.clear()

    # -- what is shown ------------------------------------------------------------------------------------------

    def remember(self, request: Request) -> None:
        """Keep what was calibrated."""
        self.remembered.append(request)

    def set_inputs(self, inputs: Mapping[str, object]) -> None:
        """Fill in the form; what is not named stays."""
        self.inputs = {**self.inputs, **inputs}

    def offer_undo(self, offered: bool) -> None:
        """Keep whether undo is offered."""
        self.undo_offered.append(offered)

    def show_obstacle(self, text: str) -> None:
        """Keep what stands in the way of a calibration."""
        self.obstacles.append(text)

    def show_outcome(self, text: str) -> None:
        """Keep what came of a job."""
        self.outcomes.append(text)

    def show_spectra_first(self) -> None:
        """Count how often the spectra come to the front."""
        self.spectra_first += 1

    def show_changes(self, changes: Mapping[int, float]) -> None:
        """Keep how far the iterations are apart."""
        self.changes.append(changes)

    def show_choices(self, choices: Choices) -> None:
        """Keep what can be chosen."""
        self.choices.append(choices)

    def show_looked(self, looked: Looked) -> None:
        """Keep what a look at the inputs has found."""
        self.looks.append(looked)

    def show_iterations(
        self,
        iterations: Sequence[Iteration],
        unreadable: Sequence[UnreadableIteration],
        standings: Mapping[int, Standing],
        selected: int | None,
    ) -> None:
        """Keep the iterations."""
        self.iterations.append(iterations)
        self.unreadable.append(unreadable)
        self.standings.append(standings)
        self.selected.append(selected)

    def show_standings(self, standings: Mapping[int, Standing]) -> None:
        """Keep what has become of the workspaces."""
        self.standings.append(standings)

    def show_results(self, results: Results | None) -> None:
        """Keep the results of an iteration."""
        self.results.append(results)

    def show_left_out(self, peaks: Collection[Peak]) -> None:
        """Keep the peaks that are left out."""
        self.left_out.append(peaks)

    def show_baseline(self, name: str, table: DiffCalTable) -> None:
        """Keep a baseline."""
        self.baselines.append((name, table))

    def show_comparison(self, comparison: Comparison) -> None:
        """Keep a comparison."""
        self.comparisons.append(comparison)

    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None:
        """Keep whether the panel is busy, and whether it is cancelling."""
        self.busyness.append((busy, cancelling))

    def show_error(self, error: SnapcalError) -> None:
        """Keep an error."""
        self.errors.append(error)

    def ask_to_clear(self, names: Sequence[str]) -> None:
        """Keep what the user is asked."""
        self.asked_to_clear.append(names)

    def show_saved(self, path: str, version: int) -> None:
        """Keep what was saved."""
        self.saved.append((path, version))

    def show_health(self, health: Mapping[str, str]) -> None:
        """Keep what a check has found."""
        self.health.append(health)

    def show_report(self, path: str) -> None:
        """Keep which report is opened."""
        self.reports.append(path)

    def show_plots(self, plots: Sequence[Plot]) -> None:
        """Keep plots."""
        self.plots.append(plots)

    def show_states(self, states: Sequence[StateRow]) -> None:
        """Keep the facility's states."""
        self.states.append(states)

    def show_history(self, history: History) -> None:
        """Keep the history of a state."""
        self.histories.append(history)

    def show_check(self, check: RunCheck) -> None:
        """Keep the check of a run."""
        self.checks.append(check)

    def log(self, level: str, text: str) -> None:
        """Keep a line of the log."""
        self.lines.append((level, text))

    def said(self, level: str) -> str:
        """Everything that was logged at a level."""
        return "\n".join(text for kind, text in self.lines if kind == level)
