"""What the form does, without Qt: the request that its inputs make, what is found of them, and a new beginning.

A *look* finds what is wrong with the inputs and what is known of the run. It goes on beside whatever is running.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from snapcal_workbench.errors import InputProblemError, SnapcalError
from snapcal_workbench.instrument.calibrants import find_calibrants
from snapcal_workbench.instrument.groupings import default_grouping
from snapcal_workbench.options.tree import flattened
from snapcal_workbench.panel.presenters.contract import Looked, Peak, View
from snapcal_workbench.session import CalibrantPreview, Problem, Request, RunSummary, Session
from snapcal_workbench.session.checks import problem_of
from snapcal_workbench.session.identification import CalibrantFinding, title_names


class Form:
    """The inputs of one session's next calibration.

    Attributes:
        left_out: Peaks that the next calibration leaves out.
    """

    def __init__(self, view: View, session: Session) -> None:
        self.view, self.session = view, session
        self.left_out: set[Peak] = set()
        self._emptied: tuple[Mapping[str, object], set[Peak]] | None = None
        self._suggested_for: tuple[str, ...] = ()
        self._found_of: tuple[str, ...] = ()
        self._found: CalibrantFinding | None = None
        self._summary: RunSummary | None = None

    def request(self) -> Request:
        """The request that the inputs make.

        Raises:
            InputError: An input does not fit.
        """
        return self._request(self.view.inputs)

    def _request(self, inputs: Mapping[str, object]) -> Request:
        peaks = tuple(sorted(self.left_out))
        return self.session.new_request().changed({**inputs, "excluded_peaks": peaks})

    def _fitting(self) -> tuple[Request, list[Problem]]:
        """The request that the inputs make without those that do not fit, and what is wrong with each of these."""
        inputs = dict(self.view.inputs)
        problems: list[Problem] = []
        while True:
            try:
                return self._request(inputs), problems
            except SnapcalError as error:
                field = error.field if isinstance(error, InputProblemError) else "options"
                problems.append(problem_of(field, error))
                known = field if field in inputs else field.partition(".")[0]
                if known not in inputs:
                    return self.session.new_request(), problems
                del inputs[known]

    def request_of_run(self) -> Request:
        """What the form says of the run, whether or not its other inputs fit."""
        return self._fitting()[0]

    # -- filling in ---------------------------------------------------------------------------------------------

    def fill_in(self, request: Request) -> None:
        """Show a request's inputs, and look at them."""
        self.view.set_inputs(inputs_of(request))
        self.leave_out(set(request.excluded_peaks))

    def leave_out(self, peaks: set[Peak]) -> None:
        """Leave peaks, and no others, out of the next calibration."""
        self.left_out = peaks
        self.view.show_left_out(peaks)
        self.changed()

    def begin_anew(self) -> None:
        """Empty the form; what was in it can be brought back."""
        self._emptied = dict(self.view.inputs), self.left_out
        self._suggested_for = ()
        self.fill_in(self.session.new_request())
        self.view.offer_undo(True)

    def undo(self) -> None:
        """Bring back what was in the form before it was emptied."""
        if self._emptied is not None:
            (inputs, peaks), self._emptied = self._emptied, None
            self.view.set_inputs(inputs)
            self.leave_out(peaks)
            self.view.offer_undo(False)

    def identified(self, request: Request, found: CalibrantFinding) -> str:
        """Choose the calibrant that the data of a request's run are of; returns what came out."""
        best = found.identification.best
        if run_of(request) == run_of(self.request_of_run()):
            self._found_of, self._found = run_of(request), found
            if best is not None:
                self.view.set_inputs({"calibrant": best.name})
            self.changed()
        if best is None:
            return "None of the known calibrants explains the run; the log says how near they come."
        return f"By its data the run is of {best.name}. {found.disagreement}".rstrip()

    # -- looking ------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Look at the inputs."""
        request, problems = self._fitting()
        self.view.start_look(lambda progress: self._look(request, problems))

    def _look(self, request: Request, unfit: Sequence[Problem]) -> Looked:
        calibrants = tuple(path.stem for path in find_calibrants(self.session.host.settings))
        said = {problem.field for problem in unfit}
        found = [problem for problem in self.session.check(request) if problem.field not in said]
        problems = (*unfit, *found, *self._said_by_the_data(request))
        looked = Looked(problems, request, calibrant=self._calibrant(request), calibrants=calibrants)
        try:
            summary = self.session.identify(request)
            odd = (Problem(field="runs", severity="warning", message=text) for text in summary.warnings)
            named, versions = title_names(summary.title, calibrants), self.session.saved.of_run(request)
            return replace(looked, problems=(*problems, *odd), summary=summary, named=named, versions=versions)
        except SnapcalError:
            return looked  # said beside the run

    def _said_by_the_data(self, request: Request) -> list[Problem]:
        """A warning where the data of the run, as far as they were asked, do not agree with title or calibrant."""
        found = self._found
        best = found.identification.best if found is not None and self._found_of == run_of(request) else None
        if found is None or best is None:
            return []
        texts = [found.disagreement] if found.disagreement else []
        if request.calibrant and Path(request.calibrant).stem != best.name:
            texts.append(f"The data are of {best.name}, not of {Path(request.calibrant).stem}.")
        return [Problem(field="calibrant", severity="warning", message=text) for text in texts]

    def _calibrant(self, request: Request) -> CalibrantPreview | None:
        try:
            return self.session.calibrant(request) if request.calibrant else None
        except SnapcalError:
            return None  # said beside the calibrant

    def looked(self, looked: Looked) -> None:
        """A look at the inputs has ended."""
        self._summary = looked.summary
        self.view.show_looked(looked)
        self.view.show_obstacle(obstacle(looked.problems))
        self._suggest(looked)

    def proposed_name(self) -> str:
        """A name for the state of the run that was looked at last: wavelength and arcs, as 2.1 A, -65.3/104.95."""
        summary = self._summary
        if summary is None:
            return ""
        wavelength = [] if summary.wavelength is None else [f"{summary.wavelength:g} A"]
        return ", ".join([*wavelength, *filter(None, ["/".join(f"{arc:.5g}" for arc in summary.arcs)])])

    def _suggest(self, looked: Looked) -> None:
        """Fill in calibrant and grouping of a run that was recognised, where nothing was chosen; once a run."""
        summary, request = looked.summary, looked.request
        run = run_of(request)
        if summary is None or run == self._suggested_for:
            return
        self._suggested_for = run
        last, now = self.view.last_used, self.view.inputs
        used, grouping = last.get("calibrant", ""), last.get("grouping", "")
        offered = looked.calibrants or ()
        suggested = {
            "calibrant": looked.named or (used if used in offered else ""),
            "grouping": grouping if grouping in summary.groupings else _first_choice(summary.groupings),
        }
        missing = {name: text for name, text in suggested.items() if text and not now.get(name)}
        if missing:
            self.view.set_inputs(missing)
            self.changed()


def run_of(request: Request) -> tuple[str, ...]:
    """What a request names of runs: numbers and files, and the workspace."""
    return (*request.runs, request.workspace)


def _first_choice(groupings: Sequence[str]) -> str:
    return default_grouping(dict.fromkeys(groupings)) if groupings else ""  # type: ignore[arg-type]


def inputs_of(request: Request) -> dict[str, object]:
    """A request as the form has it: inputs and options by their names; without peaks, which the spectra show."""
    flat = flattened(request.model_dump())
    return {name.removeprefix("options."): value for name, value in flat.items() if name != "excluded_peaks"}


def obstacle(problems: Sequence[Problem]) -> str:
    """Why nothing can be calibrated, in short; "" where it can."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        return ""
    told = " ".join(f"{error.message.partition('. ')[0].rstrip('.')}." for error in errors[:2])
    return told if len(errors) < 3 else f"{told} And {len(errors) - 2} more."
