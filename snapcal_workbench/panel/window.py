"""The window: inputs, run, iterations, results, log; in the embedded host also the workspace list."""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings, Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QProgressBar,
    QShortcut,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.errors import Cancelled, SnapcalError
from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.options import Settings
from snapcal_workbench.panel.binding import require_sound_binding
from snapcal_workbench.panel.changes import WorkspaceChanges
from snapcal_workbench.panel.contract import Choices, Job, Looked, Peak, Results
from snapcal_workbench.panel.dialogs.dialogs import Dialogs
from snapcal_workbench.panel.dialogs.help_dialog import HelpDialog
from snapcal_workbench.panel.dialogs.plot_window import PlotWindow
from snapcal_workbench.panel.dialogs.save_dialog import SavedBox
from snapcal_workbench.panel.favour import favour_the_gui
from snapcal_workbench.panel.pace import Pace
from snapcal_workbench.panel.presenter import Presenter
from snapcal_workbench.panel.remembered import SETTINGS, Layout
from snapcal_workbench.panel.tasks import Worker
from snapcal_workbench.panel.views.inputs_view import InputsView
from snapcal_workbench.panel.views.iterations_view import IterationsView
from snapcal_workbench.panel.views.log_view import LogView
from snapcal_workbench.panel.views.results_view import ResultsView
from snapcal_workbench.panel.views.spectra_view import peak_text
from snapcal_workbench.panel.views.versions_view import VersionsView
from snapcal_workbench.panel.views.workspace_tree import WorkspaceTree
from snapcal_workbench.panel.widgets.layouts import FormArea, button
from snapcal_workbench.panel.widgets.questions import show_error
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.panel.workspace_plots import Plot
from snapcal_workbench.session import Comparison, Iteration, Request, Session, UnreadableIteration, build_request
from snapcal_workbench.session.ledger import Standing
from snapcal_workbench.workspaces.protocol import Host

WORKSPACES_WIDTH = 330
"""Of the workspace list at first, px: its names fit."""
LOOK_AT_SIGNALS_MS = 200
SETTLE_MS = 300
"""Changes of the workspace list are told at most this long after the first of them, ms."""
CALIBRATE, ITERATE = "&Calibrate", "&Iterate"
CANCEL_RUNNING = "End the running step; nothing of it is kept"
CANCEL_IDLE = "Reset the form to the defaults; you are asked whether the session's workspaces should go, too"

_window: CalibrationWindow | None = None


def show(host: Host | None = None) -> CalibrationWindow:
    """Open the panel, or raise it where it is open already."""
    global _window
    if _window is None:
        parent, flags = _workbench_window()
        _window = CalibrationWindow(host or default_host(), parent)
        if flags is not None:
            _window.setWindowFlags(flags)
        _window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        _window.destroyed.connect(_forget)
        favour_the_gui()
    _window.show()
    _window.raise_()
    _window.activateWindow()
    return _window


def _forget() -> None:
    global _window
    _window = None


def _workbench_window() -> tuple[QWidget | None, Any]:
    if "workbench" not in sys.modules:
        return None, None
    try:
        return importlib.import_module("workbench.config").get_window_config()
    except (ImportError, AttributeError):
        return None, None


def run(settings: Settings) -> int:
    """Open the panel in an application of its own; returns when it is closed, also by Ctrl-C in the shell.

    Raises:
        InputError: The Qt binding would end the program after a while.
    """
    require_sound_binding()
    application = QApplication.instance() or QApplication(sys.argv[:1])
    window = show(default_host(settings))
    awake = QTimer()  # Python looks at signals only when it is called
    awake.timeout.connect(lambda: None)
    awake.start(LOOK_AT_SIGNALS_MS)
    before = signal.signal(signal.SIGINT, lambda *_: window.close())
    try:
        return int(application.exec())
    finally:
        signal.signal(signal.SIGINT, before)


class CalibrationWindow(QMainWindow):
    """The panel. It is the presenter's view."""

    def __init__(self, host: Host, parent: QWidget | None = None, session: Session | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("CalibrationWindow")
        self.setWindowTitle("SNAP Calibration")
        self._host = host
        self._work, self._look = Worker(self), Worker(self)
        self._next_look: Job | None = None
        self._jobs = 0
        self._pace, self._doing, self._found = Pace(), "", ""
        self._results: Results | None = None
        self._changes = WorkspaceChanges(host.workspaces, self)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._make_views()
        self._lay_out()
        self.presenter = Presenter(self, session or Session(host))
        self.inputs_view.set_defaults(self.presenter.session.new_request().options)
        self.dialogs = Dialogs(self, self.presenter)
        self._connect()
        self.layout_of_window.restore()
        self.presenter.begin(self._remembered())

    # -- construction -------------------------------------------------------------------------------------------

    def _make_views(self) -> None:
        self.inputs_view = InputsView()
        self.iterations = IterationsView()
        self.versions = VersionsView()
        self.results = ResultsView()
        self.messages = LogView()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.step = PlainLabel("Ready.")
        self.step.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.calibrate = button(CALIBRATE, "Run a calibration with these inputs; earlier iterations stay")
        self.cancel = button("Cancel", CANCEL_IDLE)
        self.report = button("Report", "Open the HTML report of the shown iteration in the browser")
        self.script = button("Copy script", "Copy Python that runs the iterations again")
        self.clear = button("Clear workspaces …", "Delete the workspaces that this calibration session made")
        self.help = button("?", "What this panel does")

    def _lay_out(self) -> None:
        left = FormArea(self.inputs_view)
        tables = self.tables = QTabWidget()
        tables.setAccessibleName("Iterations, saved versions and log")
        for page, title, tip in (
            (self.iterations, "Iterations", "Every calibration that was made, with what came out of it"),
            (self.versions, "Saved versions", "Accepted calibrations of the run's instrument state"),
            (self.messages, "Log", "What was done, step by step"),
        ):
            tables.setTabToolTip(tables.addTab(page, title), tip)
        right = self.upright = QSplitter(Qt.Orientation.Vertical)
        right.addWidget(self.results)
        right.addWidget(tables)
        right.setStretchFactor(0, 1)
        right.setSizes([560, 300])
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(right)
        self.splitter.setStretchFactor(1, 1)
        bottom = QHBoxLayout()
        for widget in (self.help, self.calibrate, self.cancel, self.bar):
            bottom.addWidget(widget)
        bottom.addWidget(self.step, 1)
        bottom.addWidget(self.report)
        bottom.addWidget(self.script)
        bottom.addWidget(self.clear)
        central = QWidget()
        layout = QVBoxLayout(central)
        layout.addWidget(self.splitter, 1)
        layout.addLayout(bottom)
        self.setCentralWidget(central)
        self.workspaces: WorkspaceTree | None = None
        if self._host.name == "embedded":
            dock = QDockWidget("Workspaces", self)
            dock.setObjectName("Workspaces")
            self.workspaces = WorkspaceTree(self._host.workspaces)
            dock.setWidget(self.workspaces)
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            self.resizeDocks([dock], [WORKSPACES_WIDTH], Qt.Orientation.Horizontal)
        self.resize(1400, 900)
        self.layout_of_window = Layout(
            self,
            {"across": self.splitter, "down": self.upright},
            {"iterations": self.iterations.table, "versions": self.versions.table},
        )
        self.help_dialog = HelpDialog(self)
        self.help_key = QShortcut(QKeySequence(QKeySequence.StandardKey.HelpContents), self)
        self.help_key.activated.connect(self._help)

    def _connect(self) -> None:
        presenter, iterations = self.presenter, self.iterations
        self._work.progressed.connect(self._progressed)
        self._work.said.connect(self._said)
        self._work.finished.connect(self._finished)
        self._work.failed.connect(self._failed)
        self._look.finished.connect(self._looked)
        self._look.failed.connect(self._look_failed)
        self.inputs_view.changed.connect(presenter.inputs_changed)
        self.inputs_view.reset_asked.connect(presenter.reset)
        self.inputs_view.initialise_asked.connect(self.dialogs.initialise)
        self.calibrate.clicked.connect(presenter.calibrate)
        self.cancel.clicked.connect(presenter.cancel)
        self.report.clicked.connect(self._open_report)
        self.script.clicked.connect(self._copy_script)
        self.clear.clicked.connect(lambda *_: self.presenter.offer_to_clear())
        self.help.clicked.connect(self._help)
        iterations.shown.connect(presenter.select)
        iterations.restored.connect(presenter.restore)
        iterations.start_asked.connect(presenter.use_as_start)
        iterations.inputs_asked.connect(presenter.use_inputs)
        iterations.remove_asked.connect(self.dialogs.remove)
        iterations.label_asked.connect(self.dialogs.label)
        iterations.apply_asked.connect(lambda number: self.dialogs.apply(str(number)))
        iterations.compare_asked.connect(self._compare)
        iterations.save_asked.connect(self.dialogs.save)
        self.versions.loaded.connect(presenter.load_version)
        self.versions.compare_asked.connect(self._compare)
        self.versions.retire_asked.connect(self.dialogs.retire)
        self.versions.unretire_asked.connect(self.dialogs.unretire)
        self.versions.apply_asked.connect(self.dialogs.apply)
        self.versions.check_asked.connect(presenter.check_versions)
        results = self.results
        results.spectra.peak_clicked.connect(self._peak_clicked)
        results.spectra.purge_asked.connect(self._purge)
        results.spectra.include_all_asked.connect(presenter.include_all)
        results.detectors.baseline_asked.connect(presenter.load_baseline)
        results.compare.report_asked.connect(self._report_comparison)
        results.exported.connect(lambda path, write: presenter.export(Path(path), write))
        if self.workspaces is not None:
            self.workspaces.plot_asked.connect(presenter.plot)
        self._changes.changed.connect(lambda _: None if self._settle.isActive() else self._settle.start())
        self._settle.timeout.connect(presenter.workspaces_changed)

    # -- what the presenter asks ----------------------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs as plain data."""
        return self.inputs_view.values

    def set_inputs(self, request: Request) -> None:
        """Fill the form."""
        self.inputs_view.set_request(request)

    def show_choices(self, choices: Choices) -> None:
        """Offer what there is to choose from."""
        self.inputs_view.set_choices(choices)

    def show_looked(self, looked: Looked) -> None:
        """Show what a look at the inputs found."""
        self.inputs_view.show_looked(looked)
        self.versions.show_versions(looked.versions)

    def show_iterations(
        self,
        iterations: Sequence[Iteration],
        unreadable: Sequence[UnreadableIteration],
        standings: Mapping[int, Standing],
        selected: int | None,
    ) -> None:
        """Fill the table of iterations."""
        self.iterations.show_iterations(iterations, unreadable, standings, selected)
        self.calibrate.setText(ITERATE if iterations else CALIBRATE)

    def show_standings(self, standings: Mapping[int, Standing]) -> None:
        """Say what has become of the iterations' workspaces."""
        self.iterations.show_standings(standings)

    def show_results(self, results: Results | None) -> None:
        """Show results of one iteration."""
        self._results = results
        self.results.show_results(results)

    def show_left_out(self, peaks: Collection[Peak]) -> None:
        """Mark the peaks that the next calibration leaves out."""
        self.results.spectra.show_left_out(peaks)

    def show_baseline(self, name: str, table: DiffCalTable) -> None:
        """Take a table that was asked for as baseline."""
        self.results.detectors.add_baseline(name, table)

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        self.results.show_comparison(comparison)

    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None:
        """Say whether a step is running; it is while jobs wait."""
        busy = busy or self._jobs > 0
        self.calibrate.setEnabled(not busy)
        self.cancel.setEnabled(not (busy and cancelling))
        self.cancel.setToolTip(CANCEL_RUNNING if busy else CANCEL_IDLE)
        self.cancel.setText("Cancelling …" if cancelling else "Cancel")
        if not busy:
            self.bar.setValue(0)
            self.step.setText("Ready.")

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

    def log(self, level: str, text: str) -> None:
        """Add a line to the log."""
        self.messages.add(level, text)

    def start_job(self, name: str, job: Job) -> None:
        """Run a job off the GUI thread, after those that were started before it."""
        self._jobs += 1
        self._pace.restart()
        self._doing, self._found = "", ""
        self._work.start(name, job)
        self.log("information", f"Started: {name}.")

    def start_look(self, job: Job) -> None:
        """Look at the inputs; while a look runs, only the newest one waits."""
        self._next_look = job
        if not self._look.busy:
            self._start_next_look()

    def cancel_job(self) -> None:
        """Ask the running job to end."""
        self._work.cancel()

    # -- what the user does -----------------------------------------------------------------------------------------

    def workspaces_shown(self) -> list[str]:
        """Names in the workspace list beside the panel; none inside Workbench, which shows its own."""
        return self.workspaces.shown_names() if self.workspaces is not None else []

    def _progressed(self, fraction: float, message: str) -> None:
        self.bar.setValue(int(1000 * fraction))
        self._pace.add(time.monotonic(), fraction)
        self._doing = message or self._doing
        self._show_step()

    def _said(self, level: str, text: str) -> None:
        self.log(level, text)
        if level == "information":
            self._found = text
            self._show_step()

    def _show_step(self) -> None:
        """The present step, what it has found last, and how long it will take."""
        text = "; ".join(part for part in (self._doing, self._found, self._pace.text()) if part)
        self.step.setText(text)
        self.step.setToolTip(unmarked(text))

    def _looked(self, name: str, looked: object) -> None:
        if isinstance(looked, Looked):
            self.presenter.looked(looked)
        self._start_next_look()

    def _look_failed(self, name: str, error: object) -> None:
        self.log("warning", str(error))
        self._start_next_look()

    def _start_next_look(self) -> None:
        if self._next_look is not None:
            job, self._next_look = self._next_look, None
            self._look.start("look", job)

    def _finished(self, name: str, result: object) -> None:
        self._jobs -= 1
        if callable(result):
            self.presenter.finished(result)

    def _failed(self, name: str, error: BaseException) -> None:
        self._jobs = 0 if isinstance(error, Cancelled) else self._jobs - 1
        self.presenter.failed(name, error)

    def _peak_clicked(self, group: int, h: int, k: int, l: int) -> None:  # noqa: E741 - Miller indices
        excluded = self.presenter.toggle_peak(group, (h, k, l))
        doing = "is left out of" if excluded else "takes part again in"
        self.log("information", f"{peak_text(group, (h, k, l)).capitalize()} {doing} the next calibration.")

    def _purge(self, chi2: float) -> None:
        if self._results is not None:
            count = self.presenter.exclude_above(self._results, chi2)
            self.log("information", f"{count} peaks are left out of the next calibration.")

    def _compare(self) -> None:
        numbers, versions = self.iterations.table.selected(), self.versions.table.selected()
        if len(numbers) + len(versions) < 2:
            numbers = self.iterations.table.keys()
        self.presenter.compare([*map(str, sorted(numbers)), *versions])

    def _open_report(self) -> None:
        number = self.presenter.selected
        if number is not None:
            self.presenter.report(number)

    def _report_comparison(self) -> None:
        comparison = self.results.compare.comparison
        if comparison is not None:
            self.presenter.comparison_report(comparison)

    def _copy_script(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.presenter.script())
        self.log("information", "The script is in the clipboard.")

    def _help(self) -> None:
        self.help_dialog.show()
        self.help_dialog.raise_()

    # -- settings and end -------------------------------------------------------------------------------------------

    @property
    def author(self) -> str:
        """The last author, remembered for the user."""
        return self.dialogs.author

    def _remembered(self) -> str:
        return str(QSettings().value(f"{SETTINGS}/request", "") or "")

    def get_state(self) -> dict[str, Any]:
        """What was typed in, as JSON values."""
        try:
            return {"request": self.presenter.request().model_dump(mode="json")}
        except SnapcalError:
            return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Fill in what `get_state` gave."""
        if "request" in state:
            self.set_inputs(build_request(state["request"]))
            self.presenter.inputs_changed()

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """End a running step, remember the layout."""
        self.inputs_view.stop()
        self._settle.stop()
        self._work.cancel()
        self._look.cancel()
        self._work.wait(5.0)
        self._look.wait(5.0)
        self.layout_of_window.save()
        QSettings().setValue(f"{SETTINGS}/request", json.dumps(self.get_state().get("request", {})))
        self._changes.close()
        self.presenter.session.close()
        super().closeEvent(event)
