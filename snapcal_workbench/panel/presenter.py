"""What the panel does, without Qt: it answers what the user does with jobs on the session, and tells the view.

A *job* is work that may take long; the view runs jobs off the GUI thread, one after the other, and calls `finished` or
`failed` with the name of each. Looking at the inputs happens beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snapcal_workbench.calibration.types import DiffCalTable, Geometry
from snapcal_workbench.errors import Cancelled, SnapcalError
from snapcal_workbench.facility.calibrants import find_calibrants
from snapcal_workbench.facility.geometry import geometry_of_state
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Comparison, Iteration, Problem, Request, RunSummary, Session, build_request
from snapcal_workbench.session.preview import Preview, preview_of
from snapcal_workbench.session.script import script_of

MAX_BASELINES = 8

Job = Callable[[Progress], Any]


@dataclass(frozen=True, eq=False)
class Results:
    """What the result views show of one iteration."""

    iteration: Iteration
    values: Mapping[str, Any]
    geometry: Geometry
    baselines: Mapping[str, DiffCalTable]


@dataclass(frozen=True)
class Looked:
    """What a look at the inputs found."""

    problems: tuple[Problem, ...]
    summary: RunSummary | None
    versions: Mapping[str, Any] | None


class View(Protocol):
    """What the presenter asks of the window."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Inputs as plain data, as `session.request.Request.changed` takes them."""

    def set_inputs(self, request: Request) -> None: ...
    def show_choices(self, calibrants: Sequence[str], starts: Sequence[str], workspaces: Sequence[str]) -> None: ...
    def show_looked(self, looked: Looked) -> None: ...
    def show_iterations(self, iterations: Sequence[Iteration], selected: int | None) -> None: ...
    def show_results(self, results: Results | None) -> None: ...
    def show_comparison(self, comparison: Comparison) -> None: ...
    def show_busy(self, busy: bool, *, cancelling: bool = False) -> None: ...
    def show_error(self, error: SnapcalError) -> None: ...
    def show_saved(self, path: str, version: int) -> None: ...
    def show_health(self, health: Mapping[str, str]) -> None: ...
    def show_report(self, path: str) -> None: ...
    def log(self, level: str, text: str) -> None: ...
    def start_job(self, name: str, job: Job) -> None: ...
    def start_look(self, job: Job) -> None: ...
    def cancel_job(self) -> None: ...


class Presenter:
    """The panel's behaviour over one session."""

    def __init__(self, view: View, session: Session) -> None:
        self.view, self.session = view, session
        self.selected: int | None = None
        self._excluded: set[tuple[int, tuple[int, int, int]]] = set()

    def begin(self, remembered: str = "") -> None:
        """Show what the session holds already, and the inputs of the last time.

        Args:
            remembered: The request as JSON text, as it was when the panel was closed.
        """
        last = self.session.last
        request = request_from_text(remembered) or (last.request if last else None)
        if request is not None:
            self._excluded = set(request.excluded_peaks)
            self.view.set_inputs(request)
        self.refresh_choices()
        self._show_iterations(last.number if last else None)
        self.inputs_changed()

    # -- inputs -------------------------------------------------------------------------------------------------

    def request(self) -> Request:
        """The request that the inputs make.

        Raises:
            InputError: An input does not fit.
        """
        changes = dict(self.view.inputs)
        changes["excluded_peaks"] = tuple(sorted(self._excluded))
        return self.session.new_request().changed(changes)

    def refresh_choices(self) -> None:
        """Offer what there is to choose from now."""
        try:
            calibrants = [path.stem for path in find_calibrants(self.session.host.settings)]
        except SnapcalError as error:
            calibrants = []
            self.view.log("warning", str(error))
        starts = ["default", *(f"iteration {number}" for number in self.session.folders.numbers())]
        self.view.show_choices(calibrants, starts, self.workspaces_of_kind("Events"))

    def workspaces_of_kind(self, kind: str) -> list[str]:
        """Names of the workspaces of a kind."""
        workspaces = self.session.host.workspaces
        found = []
        for name in workspaces.names():
            try:
                if workspaces.kind(name) == kind:
                    found.append(name)
            except SnapcalError:
                continue  # deleted meanwhile
        return found

    def inputs_changed(self) -> None:
        """Look at the inputs, beside whatever is running."""
        try:
            request = self.request()
        except SnapcalError as error:
            problem = Problem(field="options", severity="error", message=error.what, fix=error.fix)
            self.view.show_looked(Looked((problem,), None, None))
            return
        self.view.start_look(lambda progress: self._look(request))

    def _look(self, request: Request) -> Looked:
        if not request.runs and not request.workspace:
            return Looked((Problem(field="runs", severity="error", message="Give a run number."),), None, None)
        problems = tuple(self.session.check(request))
        try:
            summary = self.session.identify(request)
            versions = self.session.versions(request)
        except SnapcalError:
            return Looked(problems, None, None)
        return Looked(problems, summary, versions)

    def looked(self, looked: Looked) -> None:
        """A look at the inputs has ended."""
        self.view.show_looked(looked)

    def reset(self) -> None:
        """Empty the form; iterations and workspaces stay."""
        self._excluded.clear()
        self.view.set_inputs(self.session.new_request())
        self.inputs_changed()

    # -- running ------------------------------------------------------------------------------------------------

    def calibrate(self) -> None:
        """Run a calibration with the inputs; earlier iterations stay."""
        try:
            request = self.request()
        except SnapcalError as error:
            self.view.show_error(error)
            return
        self._start("calibrate", lambda progress: self.session.calibrate(request, progress))

    def cancel(self) -> None:
        """Ask the running job to end."""
        self.view.show_busy(True, cancelling=True)
        self.view.cancel_job()

    def _start(self, name: str, job: Job) -> None:
        self.view.start_job(name, job)
        self.view.show_busy(True)

    def finished(self, name: str, result: Any) -> None:
        """A job has ended well."""
        self.view.show_busy(False)
        for remark in self.session.remarks():
            self.view.log("information", remark)
        if name == "calibrate":
            for warning in result.outcome.warnings:
                self.view.log("warning", warning)
            self.view.log("information", f"{result.name}: {result.stop}, {result.n_masked} pixels masked.")
            self._show_iterations(result.number)
            self.select(result.number)
        elif name == "results":
            self.view.show_results(result)
        elif name == "compare":
            self.view.show_comparison(result)
        elif name == "report":
            self.view.show_report(str(result))
        elif name == "check the versions":
            self.view.show_health(result)
        elif name == "save":
            self.view.log("information", f"Saved as version {result.version} in {result.path}.")
            self.view.show_saved(result.path, result.version)
            self.inputs_changed()
        else:
            self.view.log("information", f"Done: {name}.")
            self._show_iterations(self.selected)
            self.inputs_changed()
        self.refresh_choices()

    def failed(self, name: str, error: BaseException) -> None:
        """A job has ended with an error, or was cancelled."""
        self.view.show_busy(False)
        if isinstance(error, Cancelled):
            self.view.log("information", "Cancelled. Nothing of this step was kept; everything before it stays.")
        elif isinstance(error, SnapcalError):
            self.view.log("error", str(error))
            self.view.show_error(error)
        else:
            unexpected = SnapcalError(
                f"The step '{name}' failed unexpectedly.",
                found=f"{type(error).__name__}: {error}",
                fix="Repeat it; if it fails again, send this text to the maintainers.",
            )
            self.view.log("error", str(unexpected))
            self.view.show_error(unexpected)

    # -- iterations ---------------------------------------------------------------------------------------------

    def _show_iterations(self, selected: int | None) -> None:
        self.selected = selected
        self.view.show_iterations(self.session.iterations, selected)

    def select(self, number: int) -> None:
        """Show the results of an iteration."""
        self.selected = number
        self._start("results", lambda progress: self._results(number))

    def _results(self, number: int) -> Results:
        iteration, values = self.session.iteration(number), self.session.folders.values(number)
        state = self.session.state_of_iteration(number)
        return Results(iteration, values, geometry_of_state(state, iteration.lite), self._baselines(iteration, values))

    def _baselines(self, iteration: Iteration, values: Mapping[str, Any]) -> dict[str, DiffCalTable]:
        """Tables that the change of DIFC can be shown against: the start, and the newest other iterations."""
        found = {"the start": values["start"]}
        others = [other for other in self.session.iterations if other.lite == iteration.lite]
        for other in others[-MAX_BASELINES:]:
            if other.number != iteration.number:
                found[other.name] = self.session.folders.values(other.number)["table"]
        return found

    def report(self, number: int) -> None:
        """Open the HTML report of an iteration."""
        self._start("report", lambda progress: self.session.report(number))

    def restore(self, number: int) -> None:
        """Put an iteration's workspaces back into the list."""
        self._start("restore the workspaces", lambda progress: self.session.restore(number))

    def use_as_start(self, number: int) -> None:
        """Start the next calibration from an iteration's table."""
        self._change_inputs(self.session.iteration(number).request.changed({"start_from": f"iteration {number}"}))

    def use_inputs(self, number: int) -> None:
        """Fill the form with an iteration's inputs."""
        self._change_inputs(self.session.iteration(number).request)

    def _change_inputs(self, request: Request) -> None:
        self._excluded = {(group, hkl) for group, hkl in request.excluded_peaks}
        self.view.set_inputs(request)
        self.inputs_changed()

    def label(self, number: int, text: str) -> None:
        """Give an iteration a name."""
        self.session.label(number, text)
        self._show_iterations(self.selected)

    def remove(self, number: int) -> None:
        """Forget an iteration and delete the workspaces that it made."""
        self.session.remove(number)
        self._show_iterations(None)
        self.view.show_results(None)
        self.refresh_choices()

    def toggle_peak(self, group: int, hkl: tuple[int, int, int]) -> bool:
        """Exclude a peak from the next calibration, or include it again; True when it is now excluded."""
        self._excluded ^= {(group, hkl)}
        self.inputs_changed()
        return (group, hkl) in self._excluded

    def exclude_above(self, results: Results, chi2: float) -> int:
        """Exclude all fitted peaks above a chi-squared; returns how many."""
        fits = results.values["fit_table"]
        bad = {(int(g), tuple(h)) for g, h, c in zip(fits.group, fits.hkl.tolist(), fits.chi2, strict=True) if c > chi2}
        self._excluded |= bad
        self.inputs_changed()
        return len(bad)

    def compare(self, references: Sequence[str]) -> None:
        """Put iterations and versions side by side."""
        self._start("compare", lambda progress: self.session.compare(references))

    # -- saving -------------------------------------------------------------------------------------------------

    def preview(self, number: int, applies_to: str) -> Preview:
        """What saving an iteration for these runs would select and hide."""
        iteration = self.session.iteration(number)
        entries = self.session.store_of(iteration).entries()
        return preview_of(entries, iteration.run_number, applies_to, lite=iteration.lite)

    def not_writable(self, number: int) -> str | None:
        """Why an iteration cannot be saved, or None."""
        return self.session.store_of(self.session.iteration(number)).writable()

    def save(self, number: int, *, author: str, comments: str, applies_to: str) -> None:
        """Publish an iteration as a new version."""
        self._start(
            "save",
            lambda progress: self.session.save(
                number, author=author, comments=comments, applies_to=applies_to, progress=progress
            ),
        )

    def load_version(self, reference: str) -> None:
        """Load a version's workspaces into the list."""
        self._start(f"load version {reference}", lambda progress: self.session.load(reference, progress))

    def retire(self, reference: str, reason: str, author: str) -> None:
        """Take a version out of the choice."""
        self._start(f"retire version {reference}", lambda p: self.session.retire(reference, reason, author, p))

    def check_versions(self) -> None:
        """Check that the files of all versions are those that were saved."""
        request = self.request()
        self._start("check the versions", lambda progress: self.session.health(request, progress))

    def apply(self, reference: str, run_workspace: str) -> None:
        """Focus a run of the workspace list with a version or an iteration."""
        lite = self.session.is_lite(run_workspace)
        request = self.request().changed({"workspace": run_workspace, "runs": (), "lite": lite})
        output = f"{run_workspace}_focused"
        self._start(f"apply {reference}", lambda p: self.session.apply(reference, request, output, p))

    def initialise_state(self, name: str, author: str) -> None:
        """Initialise the state of the run that is asked for."""
        request = self.request()
        self._start("initialise the state", lambda p: self.session.initialise_state(request, name, author, p))

    def clear_workspaces(self) -> None:
        """Delete all workspaces that the session made; iterations stay on disk."""
        self.session.clear_workspaces()
        self.view.log("information", "The workspaces of this calibration session are deleted.")

    def script(self) -> str:
        """Python that runs the session's iterations again."""
        return script_of(self.session.iterations)


def request_from_text(text: str) -> Request | None:
    """A request that was kept as JSON text; None where there is none, or it does not fit any more."""
    try:
        return build_request(json.loads(text)) if text else None
    except (ValueError, SnapcalError):
        return None
