"""The window: inputs, run, iterations, results, log; in the embedded host also the workspace list."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QSettings, QSize, Qt, QTimer, QUrl
from qtpy.QtGui import QCloseEvent, QDesktopServices
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.calibration.types import DiffCalTable, PixelPass
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.facility.check import RunCheck
from snapcal_workbench.facility.history import History as StateHistory
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.panel.changes import WorkspaceChanges
from snapcal_workbench.panel.commands import Commands
from snapcal_workbench.panel.dialogs.dialogs import Dialogs
from snapcal_workbench.panel.dialogs.plot_window import PlotWindow
from snapcal_workbench.panel.dialogs.save_dialog import SavedBox
from snapcal_workbench.panel.presenters.contract import Choices, Job, Looked, Peak, Results, Shown
from snapcal_workbench.panel.presenters.form import run_of
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.panel.presenters.workspace_plots import Plot
from snapcal_workbench.panel.remembered import SETTINGS, History, Layout
from snapcal_workbench.panel.tasks import Newest, Worker
from snapcal_workbench.panel.views.pages import Pages
from snapcal_workbench.panel.views.run_bar import RunBar
from snapcal_workbench.panel.views.workspace_tree import WorkspaceTree
from snapcal_workbench.panel.widgets.colours import faded
from snapcal_workbench.panel.widgets.questions import show_error
from snapcal_workbench.session import Comparison, Iteration, Request, Session, UnreadableIteration, build_request
from snapcal_workbench.session.iterations.ledger import Standing
from snapcal_workbench.workspaces.protocol import Host

SIZE = QSize(1400, 900)
"""Of the window at first, px, where the screen has room for it."""
FRAME = 12
"""Room for each side of the window's frame, px; its title takes a line of text more."""
WORKSPACES_WIDTH, WORKSPACES_SHARE = 330, 6
"""Of the workspace list at first: px, so that its names fit, but no more than this part of a small window."""
SETTLE_MS = 300
"""Changes of the workspace list are told at most this long after the first of them, ms."""


class CalibrationWindow(QMainWindow):
    """The panel. It is the presenter's view.

    Args:
        host: Where workspaces are and algorithms run.
        parent: A window that it belongs to.
        session: Default: the user's own.
        draw_aside: Whether another process draws the report of each new iteration, see `Presenter`.
    """

    def __init__(
        self,
        host: Host,
        parent: QWidget | None = None,
        session: Session | None = None,
        *,
        draw_aside: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("CalibrationWindow")
        self.setWindowTitle("SNAP Calibration")
        self._host = host
        self._work, self._look, self._reading, self._aside = Worker(self), Newest(self), Newest(self), Newest(self)
        self._jobs = 0
        self._run: tuple[str, ...] = ()
        self._calibrated: set[tuple[str, ...]] = set()
        self.history = History()
        self._changes = WorkspaceChanges(host.workspaces, self)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._make_views()
        self._lay_out()
        self._fade_disabled()
        self.presenter = Presenter(self, session or Session(host), draw_aside=draw_aside)
        self._show_recent()
        self.inputs_view.set_defaults(self.presenter.session.new_request().options)
        self.dialogs = Dialogs(self, self.presenter)
        self.commands = Commands(self, self.pages, self.run_bar, self.presenter, self.dialogs)
        self._connect()
        self.layout_of_window.restore()
        self.presenter.begin(self._remembered())

    # -- construction -------------------------------------------------------------------------------------------

    def _make_views(self) -> None:
        pages = self.pages = Pages()
        self.inputs_view, self.outcome, self.facility = pages.inputs, pages.outcome, pages.facility
        self.iterations, self.versions, self.messages = pages.iterations, pages.versions, pages.messages
        self.results = self.outcome.results
        self.run_bar = RunBar()

    def _lay_out(self) -> None:
        central = QWidget()
        layout = QVBoxLayout(central)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.run_bar)
        self.setCentralWidget(central)
        self.workspaces: WorkspaceTree | None = None
        if self._host.name == "embedded":
            dock = QDockWidget("Workspaces", self)
            dock.setObjectName("Workspaces")
            self.workspaces = WorkspaceTree(self._host.workspaces)
            dock.setWidget(self.workspaces)
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        self._fit_screen()
        self.layout_of_window = Layout(
            self,
            {"across": self.pages.across, "down": self.pages.down, "facility": self.facility.splitter},
            {"iterations": self.iterations.table, "versions": self.versions.table, "states": self.facility.table},
        )

    def _fit_screen(self) -> None:
        """The usual size, or what the screen has room for: the buttons are in the last row."""
        screen, frame = QApplication.primaryScreen(), QSize(2 * FRAME, 2 * FRAME + self.fontMetrics().height())
        room = screen.availableSize() - frame if screen is not None else SIZE
        self.resize(SIZE.boundedTo(room))
        if self.workspaces is not None:
            width = min(WORKSPACES_WIDTH, self.width() // WORKSPACES_SHARE)
            self.resizeDocks([self.findChild(QDockWidget)], [width], Qt.Orientation.Horizontal)

    def _connect(self) -> None:
        self._work.progressed.connect(self._progressed)
        self._work.said.connect(self._said)
        self._work.interim.connect(self._show_interim)
        self._work.finished.connect(self._finished)
        self._work.failed.connect(self._failed)
        # methods of the window, which end with it: a function would be called once more after that
        self._look.finished.connect(self._looked)
        self._look.failed.connect(self._warn)
        self._reading.finished.connect(self._show)
        self._reading.failed.connect(self._reading_failed)
        self._aside.finished.connect(self._show)
        self._aside.failed.connect(self._warn)
        if self.workspaces is not None:
            self.workspaces.plot_asked.connect(self.presenter.plot)
        self._changes.changed.connect(lambda _: None if self._settle.isActive() else self._settle.start())
        self._settle.timeout.connect(self.presenter.workspaces_changed)

    # -- what the presenter asks ----------------------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, object]:
        """The inputs as plain data."""
        return self.inputs_view.values

    def set_inputs(self, inputs: Mapping[str, object]) -> None:
        """Fill the form."""
        self.inputs_view.set_values(inputs)

    @property
    def last_used(self) -> Mapping[str, str]:
        """Calibrant and grouping of the user's last calibration, as far as there was one."""
        return self.history.last

    def remember(self, request: Request) -> None:
        """Offer a run that was calibrated again later, and its inputs also where the window is never closed."""
        self.history.add(request)
        self._keep(request.model_dump(mode="json"))
        self._show_recent()

    def _show_recent(self) -> None:
        for view in (self.inputs_view, self.outcome.welcome):
            view.show_recent(self.history.runs, self._take_run)

    def _take_run(self, runs: str) -> None:
        self.inputs_view.runs.setText(runs)
        self.presenter.inputs_changed()

    def show_spectra_first(self) -> None:
        """Bring the fitted spectra to the front."""
        self.results.show_spectra_first()

    def offer_undo(self, offered: bool) -> None:
        """Offer to bring back the inputs that a new calibration has emptied."""
        self.inputs_view.offer_undo(offered)

    def show_obstacle(self, text: str) -> None:
        """Say why nothing can be calibrated; empty where it can."""
        self.run_bar.show_obstacle(text)

    def show_outcome(self, text: str) -> None:
        """Say what came of the last step."""
        self.run_bar.show_outcome(text)

    def show_choices(self, choices: Choices) -> None:
        """Offer what there is to choose from."""
        self.inputs_view.set_choices(choices)

    def show_looked(self, looked: Looked) -> None:
        """Show what a look at the inputs found."""
        self.inputs_view.show_looked(looked)
        self._run = run_of(looked.request)
        self._name_step()
        self.versions.show_versions(looked.versions)
        self.facility.check.propose(looked.request.runs)
        self.facility.check.offer_powders(looked.calibrants or ())

    def show_iterations(
        self,
        iterations: Sequence[Iteration],
        unreadable: Sequence[UnreadableIteration],
        standings: Mapping[int, Standing],
        selected: int | None,
    ) -> None:
        """Fill the table of iterations."""
        self.iterations.show_iterations(iterations, unreadable, standings, selected)
        self._calibrated = {run_of(iteration.request) for iteration in iterations}
        self._name_step()

    def _name_step(self) -> None:
        """A calibration of a run that has none yet is no iteration, whatever else the session has."""
        self.run_bar.name_step(self._run in self._calibrated)

    def show_standings(self, standings: Mapping[int, Standing]) -> None:
        """Say what has become of the iterations' workspaces."""
        self.iterations.show_standings(standings)

    def show_results(self, results: Results | None) -> None:
        """Show results of one iteration."""
        self.commands.results = results
        self.run_bar.report.setEnabled(results is not None)
        self.outcome.show_results(results)

    def show_left_out(self, peaks: Collection[Peak]) -> None:
        """Mark the peaks that the next calibration leaves out."""
        self.results.spectra.show_left_out(peaks)

    def show_baseline(self, name: str, table: DiffCalTable) -> None:
        """Take a table that was asked for as baseline."""
        self.results.detectors.add_baseline(name, table)

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        self.outcome.show_comparison(comparison)

    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None:
        """Say whether a step is running; it is while jobs wait."""
        self.run_bar.show_busy(busy or self._jobs > 0, cancelling=cancelling)

    def show_error(self, error: SnapcalError) -> None:
        """Show an error in a box that does not block."""
        show_error(self, error)

    def ask_to_clear(self, names: Sequence[str]) -> None:
        """Ask whether the session's workspaces are to be deleted."""
        self.dialogs.clear(names)

    @property
    def busy(self) -> bool:
        """Whether a step is running or waiting."""
        return self._jobs > 0

    def show_saved(self, path: str, version: int) -> None:
        """Confirm a saved version."""
        for earlier in self.findChildren(SavedBox):
            earlier.close()
        SavedBox(path, version, self).show()

    def show_report(self, path: str) -> None:
        """Open the HTML report in the browser."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))

    def show_plots(self, plots: Sequence[Plot]) -> None:
        """Open a window for each plot, each when the one before is drawn: beside a drawing Qt gets on slowly."""
        if plots:
            window = PlotWindow(plots[0], self)
            window.exported.connect(lambda path, write: self.presenter.export(Path(path), write))
            window.ready.connect(partial(self.show_plots, plots[1:]))
            window.show()

    def show_health(self, health: Mapping[str, str]) -> None:
        """Show what a check of the versions found."""
        self.versions.show_health(health)

    def show_states(self, states: Sequence[StateRow]) -> None:
        """Show the states of the calibration tree."""
        self.facility.show_states(states)

    def show_history(self, history: StateHistory) -> None:
        """Show the history of a state."""
        self.facility.show_history(history)

    def show_check(self, check: RunCheck) -> None:
        """Show whether a calibration holds for a run."""
        self.facility.show_check(check)

    def log(self, level: str, text: str) -> None:
        """Add a line to the log."""
        self.messages.add(level, text)

    def start_job(self, name: str, job: Job) -> None:
        """Run a job off the GUI thread, after those that were started before it."""
        self._jobs += 1
        self.run_bar.begin(self.history.course(name))
        self._work.start(name, job)
        self.log("information", f"Started: {name}.")

    def start_look(self, job: Job) -> None:
        """Look at the inputs; while a look runs, only the newest one waits."""
        self._look.start("look", job)

    def start_reading(self, name: str, job: Job) -> None:
        """Read something to show, also beside a job; of those that are asked for meanwhile only the newest waits."""
        self._reading.start(name, job)

    def start_aside(self, name: str, job: Job) -> None:
        """Find out something that nobody waits for, beside everything else."""
        self._aside.start(name, job)

    def show_changes(self, changes: Mapping[int, float]) -> None:
        """Say how far each iteration is from the one before, ppm by number."""
        self.iterations.show_changes(changes)

    def cancel_job(self) -> None:
        """Ask the running job to end."""
        self._work.cancel()

    # -- what the workers tell -----------------------------------------------------------------------------------------

    def _looked(self, _: str, looked: Looked) -> None:
        self.presenter.looked(looked)

    def _show(self, _: str, shown: Shown) -> None:
        shown()

    def _warn(self, _: str, error: BaseException) -> None:
        self.log("warning", str(error))

    def _progressed(self, fraction: float, message: str) -> None:
        self.run_bar.progressed(time.monotonic(), fraction, message)

    def _said(self, level: str, text: str) -> None:
        self.log(level, text)
        if level == "information":
            self.run_bar.found(text)

    def _show_interim(self, found: object) -> None:
        if isinstance(found, PixelPass):
            self.outcome.show_pass(found)

    def _reading_failed(self, name: str, error: BaseException) -> None:
        self.presenter.failed(name, error)

    def _finished(self, name: str, result: object) -> None:
        self._jobs -= 1
        self.outcome.end_passes()
        self.history.keep_course(name, self.run_bar.course)
        if callable(result):
            self.presenter.finished(result)

    def _failed(self, name: str, error: BaseException) -> None:
        self._jobs -= 1
        self.outcome.end_passes()
        self.presenter.failed(name, error)

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Tell disabled buttons from others in another theme, too."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ApplicationPaletteChange:
            self._fade_disabled()

    def _fade_disabled(self) -> None:
        self.setPalette(faded(QApplication.palette()))

    # -- settings and end -------------------------------------------------------------------------------------------

    def workspaces_shown(self) -> list[str]:
        """Names in the workspace list beside the panel; none inside Workbench, which shows its own."""
        return self.workspaces.shown_names() if self.workspaces is not None else []

    @property
    def author(self) -> str:
        """The last author, remembered for the user."""
        return self.dialogs.author

    def _remembered(self) -> str:
        return str(QSettings().value(f"{SETTINGS}/request", "") or "")

    def _keep(self, request: object) -> None:
        """Keep a request for the next window; None, for inputs that make none, leaves the one before."""
        if request is not None:
            QSettings().setValue(f"{SETTINGS}/request", json.dumps(request))

    def get_state(self) -> dict[str, object]:
        """What was typed in, as JSON values."""
        try:
            return {"request": self.presenter.request().model_dump(mode="json")}
        except SnapcalError:
            return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Fill in what `get_state` gave."""
        if "request" in state:
            self.presenter.fill_in(build_request(state["request"]))

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        """End a running step, remember the layout."""
        self.inputs_view.stop()
        self._settle.stop()
        workers: tuple[Worker, ...] = (self._work, self._look, self._reading, self._aside)
        for worker in workers:
            worker.cancel()
        for worker in workers:
            worker.wait(5.0)
        self.layout_of_window.save()
        self._keep(self.get_state().get("request"))
        self._changes.close()
        self.presenter.session.close()
        super().closeEvent(event)
