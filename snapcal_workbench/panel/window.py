"""The window: inputs, run, iterations, results, log; in the embedded host also the workspace list."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QSettings, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.config import Settings
from snapcal_workbench.errors import Cancelled, SnapcalError
from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.panel.inputs_view import InputsView
from snapcal_workbench.panel.presenter import Job, Looked, Presenter, Results
from snapcal_workbench.panel.results_view import ResultsView, peak_text
from snapcal_workbench.panel.save_dialog import SaveDialog
from snapcal_workbench.panel.tables_view import IterationsView, VersionsView
from snapcal_workbench.panel.tasks import Worker
from snapcal_workbench.panel.workspace_tree import WorkspaceTree
from snapcal_workbench.session import Comparison, Iteration, Request, Session, build_request
from snapcal_workbench.workspaces.protocol import Host

SETTINGS = "CustomInterfaces/SNAPCalWorkbench"

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
    """Open the panel in an application of its own; returns when it is closed."""
    application = QApplication.instance() or QApplication(sys.argv[:1])
    show(default_host(settings))
    return int(application.exec())


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
        self._results: Results | None = None
        self._make_views()
        self._lay_out()
        self.presenter = Presenter(self, session or Session(host))
        self._connect()
        self._read_settings()
        self.presenter.begin(self._remembered())

    # -- construction -------------------------------------------------------------------------------------------

    def _make_views(self) -> None:
        self.inputs_view = InputsView()
        self.iterations = IterationsView()
        self.versions = VersionsView()
        self.results = ResultsView()
        self.messages = QPlainTextEdit()
        self.messages.setReadOnly(True)
        self.messages.setMaximumBlockCount(2000)
        self.messages.setAccessibleName("Log of steps")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.step = QLabel("Ready.")
        self.calibrate = _button("&Calibrate", "Run a calibration with these inputs; earlier iterations stay")
        self.cancel = _button("Cancel", "End the running step; nothing of it is kept")
        self.cancel.setEnabled(False)
        self.report = _button("Report", "Open the HTML report of the shown iteration in the browser")
        self.script = _button("Copy script", "Copy Python that runs the iterations again")
        self.clear = _button("Clear workspaces …", "Delete the workspaces that this calibration session made")
        self.help = _button("?", "What this panel does")

    def _lay_out(self) -> None:
        left = QScrollArea()
        left.setWidget(self.inputs_view)
        left.setWidgetResizable(True)
        left.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        bar = left.verticalScrollBar()
        left.setMinimumWidth(self.inputs_view.minimumSizeHint().width() + (bar.sizeHint().width() if bar else 20) + 4)
        tables = QTabWidget()
        tables.addTab(self.iterations, "Iterations")
        tables.addTab(self.versions, "Saved versions")
        tables.addTab(self.messages, "Log")
        right = QSplitter(Qt.Orientation.Vertical)
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
        self.resize(1400, 900)

    def _connect(self) -> None:
        presenter, iterations = self.presenter, self.iterations
        self._work.progressed.connect(self._progressed)
        self._work.said.connect(self.log)
        self._work.finished.connect(self._finished)
        self._work.failed.connect(self._failed)
        self._look.finished.connect(self._looked)
        self._look.failed.connect(self._look_failed)
        self.inputs_view.changed.connect(presenter.inputs_changed)
        self.inputs_view.reset_asked.connect(presenter.reset)
        self.inputs_view.initialise_asked.connect(self._initialise)
        self.calibrate.clicked.connect(presenter.calibrate)
        self.cancel.clicked.connect(presenter.cancel)
        self.report.clicked.connect(self._open_report)
        self.script.clicked.connect(self._copy_script)
        self.clear.clicked.connect(self._clear)
        self.help.clicked.connect(self._help)
        iterations.shown.connect(presenter.select)
        iterations.restored.connect(presenter.restore)
        iterations.start_asked.connect(presenter.use_as_start)
        iterations.inputs_asked.connect(presenter.use_inputs)
        iterations.removed.connect(presenter.remove)
        iterations.labelled.connect(presenter.label)
        iterations.compared.connect(presenter.compare)
        iterations.save_asked.connect(self.save)
        self.versions.loaded.connect(presenter.load_version)
        self.versions.compared.connect(presenter.compare)
        self.versions.retired.connect(lambda reference, reason: presenter.retire(reference, reason, self.author))
        self.versions.check_asked.connect(presenter.check_versions)
        self.versions.applied.connect(self._apply)
        self.results.peak_clicked.connect(self._peak_clicked)
        self.results.purge_asked.connect(self._purge)

    # -- what the presenter asks ----------------------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs as plain data."""
        return self.inputs_view.values

    def set_inputs(self, request: Request) -> None:
        """Fill the form."""
        self.inputs_view.set_request(request)

    def show_choices(self, calibrants: Sequence[str], starts: Sequence[str], workspaces: Sequence[str]) -> None:
        """Offer what there is to choose from."""
        self.inputs_view.set_choices(calibrants, starts, workspaces)

    def show_looked(self, looked: Looked) -> None:
        """Show what a look at the inputs found."""
        self.inputs_view.show_looked(looked.problems, looked.summary)
        self.versions.show_versions(looked.versions)

    def show_iterations(self, iterations: Sequence[Iteration], selected: int | None) -> None:
        """Fill the table of iterations."""
        self.iterations.show_iterations(iterations, selected)

    def show_results(self, results: Results | None) -> None:
        """Show results of one iteration."""
        self._results = results
        self.results.show_results(results)

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        self.results.show_comparison(comparison)

    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None:
        """Say whether a step is running; it is while jobs wait."""
        busy = busy or self._jobs > 0
        self.calibrate.setEnabled(not busy)
        self.cancel.setEnabled(busy and not cancelling)
        self.cancel.setText("Cancelling …" if cancelling else "Cancel")
        if not busy:
            self.bar.setValue(0)
            self.step.setText("Ready.")

    def show_error(self, error: SnapcalError) -> None:
        """Show an error in a box that does not block."""
        box = QMessageBox(QMessageBox.Icon.Warning, "SNAP Calibration", error.what, parent=self)
        box.setInformativeText((f"Found: {error.found}\n\n" if error.found else "") + error.fix)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setModal(False)
        box.show()

    def show_saved(self, path: str, version: int) -> None:
        """Confirm a saved version."""
        box = QMessageBox(QMessageBox.Icon.Information, "Saved", f"Saved as version {version}.", parent=self)
        box.setInformativeText(path)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setModal(False)
        box.show()

    def show_report(self, path: str) -> None:
        """Open the HTML report in the browser."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))

    def show_health(self, health: Mapping[str, str]) -> None:
        """Show what a check of the versions found."""
        self.versions.show_health(health)

    def log(self, level: str, text: str) -> None:
        """Add a line to the log."""
        self.messages.appendPlainText(text if level == "information" else f"{level.upper()}: {text}")

    def start_job(self, name: str, job: Job) -> None:
        """Run a job off the GUI thread, after those that were started before it."""
        self._jobs += 1
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

    def save(self, number: int) -> None:
        """Ask for what is needed to save an iteration, and save it."""
        numbers = self.presenter.session.folders.numbers()
        dialog = SaveDialog(self.presenter, numbers, number, self.author, self)
        if dialog.exec():
            self.author = dialog.author.text().strip()
            self.presenter.save(
                dialog.number,
                author=self.author,
                comments=dialog.comments.toPlainText().strip(),
                applies_to=dialog.applies_to.text().strip(),
            )

    def workspaces_shown(self) -> list[str]:
        """Names in the workspace list beside the panel; none inside Workbench, which shows its own."""
        return self.workspaces.shown_names() if self.workspaces is not None else []

    def _progressed(self, fraction: float, message: str) -> None:
        self.bar.setValue(int(1000 * fraction))
        self.step.setText(message)

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
        self.presenter.finished(name, result)

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

    def _initialise(self) -> None:
        name, accepted = QInputDialog.getText(self, "Initialise the state", "A name that people recognise:")
        if accepted and name.strip():
            self.presenter.initialise_state(name.strip(), self.author or "unknown")

    def _apply(self, reference: str) -> None:
        runs = self.presenter.workspaces_of_kind("Events")
        if not runs:
            self.log("warning", "There is no run in the workspace list that it could be applied to.")
            return
        name, accepted = QInputDialog.getItem(self, "Apply", f"Focus which run with {reference}?", runs, 0, False)
        if accepted:
            self.presenter.apply(reference, name)

    def _open_report(self) -> None:
        number = self.presenter.selected
        if number is not None:
            self.presenter.report(number)

    def _copy_script(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.presenter.script())
        self.log("information", "The script is in the clipboard.")

    def _clear(self) -> None:
        question = "Delete all workspaces that this calibration session made? Iterations and versions stay."
        if QMessageBox.question(self, "Clear workspaces", question) == QMessageBox.StandardButton.Yes:
            self.presenter.clear_workspaces()

    def _help(self) -> None:
        text = (
            "Give a run, a calibrant and a grouping, and press Calibrate. Every calibration is an iteration that "
            "stays; change inputs and calibrate again, compare, and save the best as a version.\n\n"
            "More in the README of SNAPCal Workbench."
        )
        QMessageBox.information(self, "SNAP Calibration", text)

    # -- settings and end -------------------------------------------------------------------------------------------

    @property
    def author(self) -> str:
        """The last author, remembered for the user."""
        return str(QSettings().value(f"{SETTINGS}/author", "") or "")

    @author.setter
    def author(self, name: str) -> None:
        QSettings().setValue(f"{SETTINGS}/author", name)

    def _remembered(self) -> str:
        return str(QSettings().value(f"{SETTINGS}/request", "") or "")

    def _read_settings(self) -> None:
        geometry = QSettings().value(f"{SETTINGS}/geometry")
        if geometry is not None:
            self.restoreGeometry(geometry)

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
        self._work.cancel()
        self._look.cancel()
        self._work.wait(5.0)
        self._look.wait(5.0)
        QSettings().setValue(f"{SETTINGS}/geometry", self.saveGeometry())
        QSettings().setValue(f"{SETTINGS}/request", json.dumps(self.get_state().get("request", {})))
        self.presenter.session.close()
        super().closeEvent(event)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
