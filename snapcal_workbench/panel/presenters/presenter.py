"""What the panel does, without Qt: it answers what the user does with jobs on the session, and tells the view.

A *job* is work that may take long; the view runs jobs off the GUI thread, one after the other, and calls `finished` or
`failed` for each. Looking at the inputs happens beside them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from snapcal_workbench.algorithms import save_version
from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.errors import Cancelled, SnapcalError
from snapcal_workbench.formats.disk.writing import naming, replace_file
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.panel.demo import make_demo, open_demo
from snapcal_workbench.panel.presenters.contract import Choices, Job, Looked, Results, Shown, View, Write
from snapcal_workbench.panel.presenters.differences import Differences
from snapcal_workbench.panel.presenters.facility import Facility
from snapcal_workbench.panel.presenters.form import Form
from snapcal_workbench.panel.presenters.workspace_plots import Plot, plots_of
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Comparison, Iteration, Request, Session, build_request
from snapcal_workbench.session.identification import CalibrantFinding
from snapcal_workbench.session.iterations.folders import KeptValues
from snapcal_workbench.session.iterations.ledger import Standing
from snapcal_workbench.session.preview import store_of
from snapcal_workbench.session.reporting import write_comparison_report
from snapcal_workbench.session.script import script_of
from snapcal_workbench.session.starting import iteration_number
from snapcal_workbench.session.versions import GOOD
from snapcal_workbench.workspaces.names import run_token

T = TypeVar("T")

MAX_BASELINES = 8


class Presenter:
    """The panel's behaviour over one session.

    Args:
        view: The window.
        session: The session.
        draw_aside: Whether another process draws the report of each new iteration; else it is drawn when it is wanted.
    """

    def __init__(self, view: View, session: Session, *, draw_aside: bool = False) -> None:
        self.view, self.session = view, session
        self._draw_aside = draw_aside
        self.selected: int | None = None
        self.form = Form(view, session)
        self.facility = Facility(view, session, self._start)
        self._differences = Differences(session)

    def begin(self, remembered: str = "") -> None:
        """Show what the session holds already, and the inputs of the last time.

        Args:
            remembered: The request as JSON text, as it was when the panel was closed.
        """
        last = self.session.last
        request = request_from_text(remembered) or (last.request if last else self.session.new_request())
        self.refresh_choices()
        self.form.fill_in(request)
        self._show_iterations(last.number if last else None)
        if last is not None:
            self.select(last.number)

    # -- inputs -------------------------------------------------------------------------------------------------

    def request(self) -> Request:
        """The request that the inputs make; errors as for `Form.request`."""
        return self.form.request()

    def fill_in(self, request: Request) -> None:
        """Show a request's inputs."""
        self.form.fill_in(request)

    def inputs_changed(self) -> None:
        """Look at the inputs, beside whatever is running."""
        self.form.changed()

    def looked(self, looked: Looked) -> None:
        """A look at the inputs has ended."""
        self.form.looked(looked)

    def identify_calibrant(self) -> None:
        """Find out by the data which of the facility's calibrants the form's run is of, and choose it."""
        request = self.form.request_of_run()
        self._start(
            "identify the calibrant",
            lambda progress: self.session.identify_calibrant(request, progress),
            lambda found: self._show_identified(request, found),
        )

    def _show_identified(self, request: Request, found: CalibrantFinding) -> None:
        for name, why in found.unreadable:
            self.view.log("warning", f"The calibrant {name} could not be tried: {why}")
        for calibrant in found.identification.ranking[:2]:
            self.view.log("information", f"{calibrant.text[:1].upper()}{calibrant.text[1:]}.")
        self._tell(self.form.identified(request, found))

    def make_demo(self, folder: str) -> None:
        """Make the demonstration in a folder, and open it in a window of its own."""
        self._start("make the demonstration", lambda progress: make_demo(folder, progress), self._show_demo)

    def _show_demo(self, config: Path) -> None:
        open_demo(config)
        self._tell(f"The demonstration opens in a window of its own; its settings are in {config}.")

    def new_calibration(self) -> None:
        """Empty the form, which can be undone, and offer to clear the session's workspaces; iterations stay."""
        self.form.begin_anew()
        self.view.log("information", "The form is that of a new calibration; Undo brings its inputs back.")
        if self.session.workspaces():
            self.offer_to_clear()

    def undo_new_calibration(self) -> None:
        """Bring back the inputs that a new calibration has emptied."""
        self.form.undo()

    def refresh_choices(self) -> None:
        """Offer what there is to choose from now."""
        starts = ["default", *(f"iteration {number}" for number in self.session.folders.numbers())]
        runs, masks = self.workspaces_of_kind("Events"), self.workspaces_of_kind("PixelMask")
        native = len(instrument_of(self.session.host.settings).modes) > 1
        self.view.show_choices(Choices(starts, runs, masks, native))

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

    # -- running ------------------------------------------------------------------------------------------------

    def calibrate(self) -> None:
        """Run a calibration with the inputs; earlier iterations stay."""
        try:
            request = self.request()
        except SnapcalError as error:
            self.view.show_error(error)
            return
        name = "calibrate" if request.lite else "calibrate native pixels"
        self._start(name, lambda progress: self._calibrated(request, progress), self._show_calibrated)

    def _calibrated(self, request: Request, progress: Progress) -> Iteration:
        """A new iteration, whose report is drawn later: its pictures would hold up the result."""
        iteration = self.session.calibrate(request, progress, report=False)
        if self._draw_aside:
            self.session.reports.draw_aside(iteration.number)
        else:
            self.session.reports.ask(iteration.number)
        return iteration

    def cancel(self) -> None:
        """Ask the running job to end, and forget those that wait; without one, nothing."""
        if self.view.busy:
            self.view.show_busy(True, cancelling=True)
            self.view.cancel_job()

    def _start(self, name: str, job: Callable[[Progress], T], show: Callable[[T], None]) -> None:
        """Start a job; `show` shows what came of it."""

        def work(progress: Progress) -> Shown:
            return partial(show, job(progress))

        self.view.start_job(name, work)
        self.view.show_busy(True)

    def _do(self, name: str, job: Callable[[Progress], object], done: str) -> None:
        """Start a job that changes something; `done` says so when it has."""
        self._start(name, job, lambda _: self._say_done(done))

    def finished(self, shown: Shown) -> None:
        """A job has ended well; `shown` is what it returned: it shows what came of it."""
        self.view.show_busy(False)
        for remark in self.session.remarks():
            self.view.log("information", remark)
        shown()
        self.refresh_choices()

    def _say_done(self, done: str) -> None:
        self._tell(done)
        self._show_iterations(self.selected)
        self.inputs_changed()

    def _show_calibrated(self, iteration: Iteration) -> None:
        for warning in iteration.warnings:
            self.view.log("warning", warning)
        verdict = iteration.account.verdict
        self._tell(f"{iteration.name.capitalize()}: {verdict.word}. {iteration.n_masked} pixels are masked.")
        self.view.remember(iteration.request)
        self._show_iterations(iteration.number)
        self.view.show_spectra_first()
        self.select(iteration.number)
        self.inputs_changed()

    def _tell(self, text: str) -> None:
        """Say what came of a job, in the log and beside the buttons."""
        self.view.log("information", text)
        self.view.show_outcome(text)

    def _show_health(self, health: Mapping[str, str]) -> None:
        self.view.show_health(health)
        bad = sum(text != GOOD for text in health.values())
        found = f"of {bad} the files are not those that were saved" if bad else "all are as they were saved"
        text = f"The files of {len(health)} versions were read: {found}."
        self.view.log("warning" if bad else "information", text)
        self.view.show_outcome(text)

    def _show_saved(self, saved: save_version.Outputs) -> None:
        self._tell(f"Saved as version {saved.version} in {saved.path}.")
        self.view.show_saved(saved.path, saved.version)
        self.inputs_changed()

    def _show_baseline(self, found: tuple[str, DiffCalTable]) -> None:
        self.view.show_baseline(*found)

    def _show_report(self, path: Path) -> None:
        self.view.show_report(str(path))

    def _show_written(self, path: Path) -> None:
        self._tell(f"Written: {path}")

    def failed(self, name: str, error: BaseException) -> None:
        """A job has ended with an error, or was cancelled."""
        self.view.show_busy(False)
        if isinstance(error, Cancelled):
            self._tell("Cancelled. Nothing of this step was kept; everything before it stays.")
        elif isinstance(error, SnapcalError):
            self.view.log("error", str(error))
            self.view.show_outcome(f"Failed: {error.what}")
            self.view.show_error(error)
        else:
            unexpected = SnapcalError(
                f"The step '{name}' failed unexpectedly.",
                found=f"{type(error).__name__}: {error}",
                fix="Repeat it; if it fails again, send this text to the maintainers.",
            )
            self.view.log("error", str(unexpected))
            self.view.show_outcome(unexpected.what)
            self.view.show_error(unexpected)

    # -- iterations ---------------------------------------------------------------------------------------------

    def _show_iterations(self, selected: int | None) -> None:
        self.selected = selected
        readable, unreadable = self.session.folders.survey()
        self.view.show_iterations(readable, unreadable, self._standings(), selected)
        find = self._differences.find
        self.view.start_aside("compare", lambda progress: partial(self.view.show_changes, find(progress)))

    def _standings(self) -> dict[int, Standing]:
        return {number: self.session.standing(number) for number in self.session.folders.numbers()}

    def workspaces_changed(self) -> None:
        """The workspace list has changed: say what was done by hand to the session's workspaces."""
        for remark in self.session.remarks():
            self.view.log("information", remark)
        self.view.show_standings(self._standings())
        self.refresh_choices()

    def plot(self, names: Sequence[str]) -> None:
        """Plot workspaces of the list."""
        self._start("plot", lambda progress: plots_of(self.session, names), self.view.show_plots)

    def select(self, number: int) -> None:
        """Show the results of an iteration."""
        self.selected = number
        self.view.start_reading("show the results", lambda progress: partial(self._show_results, self._results(number)))

    def open(self, number: int) -> None:
        """Show an iteration's fitted spectra."""
        self.view.show_spectra_first()
        self.select(number)

    def _show_results(self, results: Results) -> None:
        if results.iteration.number == self.selected:
            self.view.show_results(results)

    def _results(self, number: int) -> Results:
        iteration, values = self.session.iteration(number), self.session.folders.values(number)
        versions = store_of(iteration, self.session.host.settings).entries()
        references = [f"{iteration.mode.name}/{iteration.state_id}/{entry.version}" for entry in versions]
        baselines, report = self._baselines(iteration, values), lambda: self.session.reports.page(number)
        return Results(iteration, values, iteration.geometry, baselines, references, report)

    def _baselines(self, iteration: Iteration, values: KeptValues) -> dict[str, DiffCalTable]:
        """Tables that the change of DIFC can be shown against: the start, and the newest other iterations."""
        found = {"the start": values["start"]}
        others = [other for other in self.session.iterations if other.lite == iteration.lite]
        for other in others[-MAX_BASELINES:]:
            if other.number != iteration.number:
                found[other.name] = self.session.folders.values(other.number)["table"]
        return found

    def load_baseline(self, reference: str) -> None:
        """Read the table of a saved version, to show the change of DIFC against it."""
        self._start(
            "read the baseline", lambda progress: (reference, self.session.entry(reference).table), self._show_baseline
        )

    def report(self, number: int) -> None:
        """Open the HTML report of an iteration."""
        self._start("draw the report", lambda progress: self.session.reports.page(number, progress), self._show_report)

    def restore(self, number: int) -> None:
        """Put an iteration's workspaces back into the list."""
        done = f"The workspaces of iteration {number} are in the list again."
        self._do("restore the workspaces", lambda progress: self.session.restore(number), done)

    def use_as_start(self, number: int) -> None:
        """Start the next calibration from an iteration's table."""
        self.form.fill_in(self.session.iteration(number).request.changed({"start_from": f"iteration {number}"}))

    def use_inputs(self, number: int) -> None:
        """Fill the form with an iteration's inputs."""
        self.form.fill_in(self.session.iteration(number).request)

    def label(self, number: int, text: str) -> None:
        """Give an iteration a name."""
        self.session.label(number, text)
        self._show_iterations(self.selected)

    def remove(self, number: int) -> None:
        """Forget an iteration and delete the workspaces that it made."""
        if self.selected == number:
            self.selected = None
            self.view.show_results(None)
        done = f"Iteration {number} was deleted."
        self._do(f"delete iteration {number}", lambda _: self.session.remove(number), done)

    def toggle_peak(self, group: int, hkl: tuple[int, int, int]) -> bool:
        """Leave a peak out of the next calibration, or take it in again; True when it is now left out."""
        self.form.leave_out(self.form.left_out ^ {(group, hkl)})
        return (group, hkl) in self.form.left_out

    def exclude_above(self, results: Results, chi2: float) -> int:
        """Leave out all fitted peaks above a chi-squared; returns how many."""
        fits = results.values["fit_table"]
        bad = {(int(g), tuple(h)) for g, h, c in zip(fits.group, fits.hkl.tolist(), fits.chi2, strict=True) if c > chi2}
        self.form.leave_out(self.form.left_out | bad)
        return len(bad)

    def include_all(self) -> None:
        """All peaks take part in the next calibration again."""
        self.form.leave_out(set())

    def compare(self, references: Sequence[str]) -> None:
        """Put iterations and versions side by side."""
        self._start("compare", lambda progress: self.session.compare(references), self.view.show_comparison)

    def comparison_report(self, comparison: Comparison) -> None:
        """Write the comparison's HTML page into the session's folder, and open it."""
        folder = self.session.directory / "comparison"
        self._start(
            "write the report",
            lambda progress: write_comparison_report(folder, comparison, progress),
            self._show_report,
        )

    def export(self, path: Path, write: Write) -> None:
        """Write something that is shown into a file."""
        self._start("export", lambda progress: written(path, write), self._show_written)

    # -- saving -------------------------------------------------------------------------------------------------

    def outlook(self, number: int, place: Path | None) -> Job:
        """A job that finds out what saving an iteration would meet."""
        return lambda progress: self.session.outlook(number, place)

    def save(
        self,
        number: int,
        *,
        author: str,
        comments: str,
        applies_to: str,
        place: Path | None = None,
        force: bool = False,
    ) -> None:
        """Publish an iteration as a new version.

        Args:
            number: The iteration.
            author: Who accepts it; comments: what others should know of it.
            applies_to: Condition on the runs.
            place: Another place than the calibration tree.
            force: Save it although its verdict is that it is not to be used.
        """
        self._start(
            "save",
            lambda progress: self.session.save(
                number,
                author=author,
                comments=comments,
                applies_to=applies_to,
                place=place,
                force=force,
                progress=progress,
            ),
            self._show_saved,
        )

    def load_version(self, reference: str) -> None:
        """Load a version's workspaces into the list."""
        done = f"Version {reference} was loaded."
        self._do(f"load version {reference}", lambda progress: self.session.saved.load(reference, progress), done)

    def retire(self, reference: str, reason: str, author: str) -> None:
        """Take a version out of the choice."""
        saved, done = self.session.saved, f"Version {reference} was retired."
        self._do(f"retire version {reference}", lambda p: saved.retire(reference, reason, author, p), done)

    def check_versions(self) -> None:
        """Check that the files of all versions are those that were saved."""
        request = self.request()
        self._start(
            "check the versions", lambda progress: self.session.saved.health(request, progress), self._show_health
        )

    def unretire(self, reference: str, reason: str, author: str) -> None:
        """Bring a retired version back."""
        saved, done = self.session.saved, f"Version {reference} is no longer retired."
        self._do(f"undo the retirement of {reference}", lambda p: saved.unretire(reference, reason, author, p), done)

    def apply(self, reference: str, target: str) -> None:
        """Focus a run with a version or an iteration.

        Args:
            reference: The version or iteration.
            target: A run of the workspace list; else a run number or a NeXus file, which the job loads.
        """
        try:
            request, output = self._application(reference, target.strip())
        except SnapcalError as error:
            self.view.show_error(error)
            return
        self._start(
            f"apply {reference} to {target}",
            lambda progress: self._applied(reference, request, output, progress),
            self._show_applied,
        )

    def _applied(self, reference: str, request: Request, output: str, progress: Progress) -> tuple[str, list[Plot]]:
        self.session.apply(reference, request, output, progress)
        name = self.session.applied(output)
        return name, plots_of(self.session, [name])

    def _show_applied(self, found: tuple[str, list[Plot]]) -> None:
        name, plots = found
        self._tell(f"The focused spectra are the workspace {name}.")
        self.view.show_plots(plots)
        self._show_iterations(self.selected)
        self.inputs_changed()

    def _application(self, reference: str, target: str) -> tuple[Request, str]:
        """The request for the run that is focused, and the name of the spectra."""
        number = iteration_number(reference)
        request = self.session.iteration(number).request if number is not None else self.request()
        if not request.grouping and self.session.last is not None:
            request = request.changed({"grouping": self.session.last.request.grouping})
        if target in self.workspaces_of_kind("Events"):
            lite = self.session.mode_of_run(target).merged
            return request.changed({"workspace": target, "runs": (), "lite": lite}), f"{target}_focused"
        lite = request.lite if number is not None else not reference.startswith("native/")
        prefix = instrument_of(self.session.host.settings).files.prefix
        name = f"focused_{run_token(Path(target).stem.removeprefix(prefix))}"
        return request.changed({"workspace": "", "runs": (target,), "lite": lite}), name

    def initialise_state(self, name: str, author: str) -> None:
        """Initialise the state of the run that is asked for."""
        request = self.request()
        saved, done = self.session.saved, f"The state was initialised as {name}."
        self._do("initialise the state", lambda p: saved.initialise_state(request, name, author, p), done)

    def offer_to_clear(self) -> None:
        """Ask whether the session's workspaces are to be deleted, where there are any."""
        names = self.session.workspaces()
        if names:
            self.view.ask_to_clear(names)
        else:
            self.view.log("information", "This calibration session has no workspaces in the list.")

    def clear_workspaces(self) -> None:
        """Delete all workspaces that the session made; iterations stay on disk."""
        done = "The workspaces of this calibration session were deleted; its iterations stay."
        self._do("clear the workspaces of this calibration session", lambda _: self.session.clear_workspaces(), done)

    def script(self) -> str:
        """Python that runs the session's iterations again."""
        return script_of(self.session.iterations)


def written(path: Path, write: Write) -> Path:
    """Have a file written elsewhere and put into its place when it is complete.

    Raises:
        SnapcalError: It cannot be written; a file that was there stays as it was.
    """
    what = "an exported file"
    with tempfile.TemporaryDirectory(prefix="snapcal-") as folder, naming(path, what):
        part = Path(folder) / path.name
        write(part)
        replace_file(path, part.read_bytes(), what)
    return path


def request_from_text(text: str) -> Request | None:
    """A request that was kept as JSON text; None where there is none, or it does not fit any more."""
    try:
        return build_request(json.loads(text)) if text else None
    except (ValueError, SnapcalError):
        return None
