"""One person's calibration of a run: request, iterations, comparison, choice, save, cancel.

A session is a folder (see `folders`), so that a shell command, the panel, and the panel reopened tomorrow see the
same iterations. The workspaces of the last iteration have the plain names of `workspaces.names`; those of earlier
ones have the suffix "_<nn>". The session deletes only workspaces that it made itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapcal_workbench.algorithms import apply_version, save_version
from snapcal_workbench.algorithms.ingredients import pixel_mode
from snapcal_workbench.calibration.types import Events, Spectra
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.formats.nexus.run_file import opened_once
from snapcal_workbench.instrument.known import instrument_of, requested_mode
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Request, build_request
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.calibrant import CalibrantPreview, calibrant_preview
from snapcal_workbench.session.calibrating import calibrated
from snapcal_workbench.session.checks import Problem, check_request, identify, require
from snapcal_workbench.session.comparison import (
    Comparison,
    Entry,
    compare_entries,
    entry_of_iteration,
    entry_of_version,
)
from snapcal_workbench.session.ingredients import RUN, Ingredients, Loaded
from snapcal_workbench.session.iteration_workspaces import IterationWorkspaces
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.iterations.iteration import Iteration, UnreadableIteration
from snapcal_workbench.session.iterations.ledger import Ledger, Standing
from snapcal_workbench.session.iterations.trial import trial
from snapcal_workbench.session.preview import Outlook, outlook_of, saved_as, store_of
from snapcal_workbench.session.reporting import Reports, export_spectra
from snapcal_workbench.session.saved import SavedVersions
from snapcal_workbench.session.starting import iteration_number
from snapcal_workbench.store.references import locate, open_version
from snapcal_workbench.store.summary import RunSummary
from snapcal_workbench.store.text import LONGEST_COMMENTS, clean_text
from snapcal_workbench.workspaces.names import run_token
from snapcal_workbench.workspaces.protocol import Host

if TYPE_CHECKING:
    from snapcal_workbench.session.identification import CalibrantFinding

_APPLIED = "applied"
"""Owner of the spectra that were focused with a version or an iteration."""


class Session:
    """One calibration session over a host's workspace list.

    Args:
        host: Where the workspaces are and the algorithms run.
        directory: Folder of the session; made when the first iteration is kept. Default: the user's own session.

    Attributes:
        folders: The iterations on disk.
        reports: Their HTML reports.
        saved: The saved versions of a run's state.
    """

    def __init__(self, host: Host, directory: Path | None = None) -> None:
        self.host = host
        self.directory = directory or host.settings.session_directory
        self.folders = IterationFolders(self.directory)
        self._ledger = Ledger(host.workspaces)
        self._ingredients = Ingredients(host, self._ledger, self.folders)
        self._workspaces = IterationWorkspaces(host.workspaces, self._ledger, self.folders)
        self.reports = Reports(self.folders)
        self.saved = SavedVersions(host, self._ledger)

    def close(self) -> None:
        """Stop following the workspace list; what was made stays."""
        self._ledger.close()

    # -- request ------------------------------------------------------------------------------------------------

    def new_request(self, **inputs: object) -> Request:
        """A request with the options that the settings give, and `inputs`.

        Raises:
            InputError: An input does not fit.
        """
        settings = self.host.settings
        return build_request({"preset": settings.preset, "options": settings.options().model_dump(), **inputs})

    def identify(self, request: Request) -> RunSummary:
        """What is known of the request's run and how many events it has, without reading them.

        Raises:
            SnapcalError: The run cannot be found or read.
        """
        return identify(request, self.host, count=True)

    def check(self, request: Request) -> list[Problem]:
        """Everything that speaks against a request, found without reading events; empty when it can run."""
        return check_request(request, self.host, self.folders)

    def identify_calibrant(self, request: Request, progress: Progress) -> CalibrantFinding:
        """Rank the facility's calibrants by the spectra of a request's run; see `identification.identify_calibrant`."""
        from snapcal_workbench.session.identification import identify_calibrant

        return identify_calibrant(request, self.host, progress)

    def calibrant(self, request: Request) -> CalibrantPreview:
        """The reflections of a request's calibrant.

        Raises:
            SnapcalError: There is no such calibrant, or it has no reflections in the d range.
        """
        return calibrant_preview(request, self.host)

    # -- iterations ---------------------------------------------------------------------------------------------

    @property
    def iterations(self) -> list[Iteration]:
        """Finished iterations, oldest first; without those that cannot be read."""
        return self.folders.survey()[0]

    @property
    def unreadable(self) -> list[UnreadableIteration]:
        """Iterations that this release cannot read, oldest first."""
        return self.folders.survey()[1]

    def iteration(self, number: int) -> Iteration:
        """One finished iteration. Raises NotFoundError when there is none of that number."""
        return self.folders.read(number)

    @property
    def last(self) -> Iteration | None:
        """The newest iteration that can be read."""
        return next(reversed(self.iterations), None)

    @opened_once()
    def calibrate(self, request: Request, progress: Progress, *, report: bool = True) -> Iteration:
        """Run one calibration and keep it as a new iteration. Earlier ones stay, renamed.

        Once the result is kept, cancelling leaves out the report only; `report` makes it later.

        Raises:
            SnapcalError: An input does not fit or the data do not allow it; nothing is kept or changed.
            Cancelled: The user cancelled; nothing is kept or changed.
        """
        require(request, self.host, self.folders)
        mode = requested_mode(self.host.settings, request.lite)
        request = request.changed({"lite": mode.merged})  # an instrument of one mode has no choice: keep what is used
        number = self.folders.claim()
        try:
            whole = progress.part(0.0, 0.9) if report else progress
            iteration, calibration, geometry = calibrated(
                number, request, self.host, self._ledger, self._ingredients, self._workspaces, whole
            )
        except BaseException:
            self.folders.release(number)
            raise
        self.folders.write(iteration, calibration)
        if report:
            with suppress(Cancelled):
                self.reports.draw(iteration, calibration, geometry, progress.part(0.9, 1.0))
        return iteration

    def iterate(self, changes: dict[str, object], progress: Progress, *, report: bool = True) -> Iteration:
        """Calibrate again with the last iteration's inputs but for `changes` (names as in `Request.changed`).

        Raises:
            InputError: There is no iteration yet, or a change does not fit.
        """
        request, last = self.next_request(changes), self.last
        for newer in self.unreadable:
            if last is not None and newer.number > last.number:
                progress.warn(f"{newer.text} The inputs are those of iteration {last.number}.")
        return self.calibrate(request, progress, report=report)

    def next_request(self, changes: dict[str, object]) -> Request:
        """The last iteration's inputs but for `changes`; errors as for `iterate`."""
        last = self.last
        if last is None:
            raise InputError(
                "There is no iteration yet whose inputs could be changed.",
                found=f"no iterations in {self.directory}",
                fix="Calibrate once first, or name the session's folder.",
            )
        return last.request.changed(changes)

    def restore(self, number: int) -> dict[str, str]:
        """Put back into the list what is missing there of an iteration's workspaces; returns their names by role."""
        return self._workspaces.restore(number)

    def label(self, number: int, text: str) -> Iteration:
        """Give an iteration a name of its own."""
        return self.folders.label(number, text.strip())

    def remove(self, number: int) -> None:
        """Forget an iteration, with the workspaces that it made. Saved versions are not touched."""
        self.folders.remove(number)
        self._workspaces.delete(number)

    def remarks(self) -> list[str]:
        """What was done by hand to this calibration session's workspaces since the last call."""
        return self._ledger.remarks()

    def standing(self, number: int) -> Standing:
        """What has become of an iteration's workspaces."""
        return self._workspaces.standing(number)

    # -- compare, save, apply -----------------------------------------------------------------------------------

    def entry(self, reference: str) -> Entry:
        """An iteration ("3", "iteration 3") or a version ("STATE/N", "RUN:N") for a comparison."""
        number = iteration_number(reference)
        if number is not None:
            iteration = self.folders.read(number)
            return entry_of_iteration(iteration, self.folders.calibration(number), iteration.geometry)
        settings = self.host.settings
        return entry_of_version(reference, open_version(settings, reference), instrument_of(settings))

    def compare(self, references: Sequence[str]) -> Comparison:
        """Figures of any iterations and versions side by side; differences are against the first."""
        return compare_entries([self.entry(reference) for reference in references])

    def save(
        self,
        number: int,
        *,
        author: str,
        comments: str,
        applies_to: str = "",
        place: Path | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> save_version.Outputs:
        """Publish an iteration as a new version.

        Args:
            number: The iteration.
            author: Who accepts it.
            comments: What others should know of it.
            applies_to: Condition on the run number; "" means this run and all later ones.
            place: A folder of states to save in, instead of the calibration tree.
            force: Save it although its verdict is "not to be used".
            progress: Where to report to.

        Raises:
            InputError: Author, comments or applies_to do not fit.
            CalibrationError: Its verdict is "not to be used", and that is not forced.
            StoreError: It could not be written; nothing is lost.
        """
        author, comments = clean_text(author, "author"), clean_text(comments, "comments", LONGEST_COMMENTS)
        iteration = self.folders.read(number)
        names = self.restore(number)
        names["grouping"] = self._workspaces.put_grouping(iteration)
        progress = progress or Progress()
        earlier = saved_as(iteration, store_of(iteration, self.host.settings, place))
        if earlier is not None:
            progress.warn(f"Iteration {number} is saved already, as version {earlier}; it is saved once more.")
        report = self.reports.asked(number, progress)
        return self.host.run(
            save_version.SAVE_CALIBRATION_VERSION,
            save_version.Inputs(
                table=names["table"],
                mask=names["mask"],
                output_spectra=names["output"],
                fits=names["fit_table"],
                results=names.get("results", ""),
                grouping_workspace=names["grouping"],
                account=iteration.account.to_json(),
                author=author,
                comments=comments,
                applies_to=applies_to,
                place=str(place or ""),
                force=force,
                provenance=iteration.provenance,
                attachments=str(report) if report.is_dir() else "",
            ),
            progress,
        )

    def apply(self, reference: str, request: Request, output: str, progress: Progress) -> apply_version.Outputs:
        """Focus the request's run with a version or an iteration.

        The spectra go into the workspace `output`, or one of a similar name where somebody else has that.

        Raises:
            NotFoundError: There is no such version or iteration; said before the run is read, which may take minutes.
            SnapcalError: The run cannot be read or focused.
        """
        number = iteration_number(reference)
        if number is None:
            locate(self.host.settings, reference)
        else:
            self.folders.read(number)
        loaded = self._loaded(request, progress.part(0.0, 0.7))
        name = self._ledger.free(output, mine=self._ledger.names(_APPLIED).get(output, ""))
        chosen: dict[str, object] = {"version": reference}
        if number is not None:
            names = self.restore(number)
            chosen = {"previous_table": names["table"], "mask_workspaces": (names["mask"],)}
        inputs = apply_version.Inputs(
            input_workspace=loaded.run,
            grouping_workspace=loaded.grouping,
            peaks=request.options.peaks,
            delta_theta=request.options.delta_theta,
            output_workspace=name,
            **chosen,
        )
        with self._ledger.writing():
            found = self.host.run(apply_version.APPLY_CALIBRATION_VERSION, inputs, progress.part(0.7, 1.0))
        self._ledger.add(_APPLIED, {output: name})
        progress.inform(f"The spectra focused with {reference} are in '{name}'.")
        return found

    def applied(self, output: str) -> str:
        """The workspace that has the spectra of the last `apply` with this output."""
        return self._ledger.names(_APPLIED)[output]

    def apply_to_files(
        self, reference: str, request: Request, output: Path | None, progress: Progress
    ) -> dict[str, Any]:
        """As `apply`, and write the spectra as Mantid processed NeXus and as columns of text.

        Args:
            output: The NeXus file; the text goes beside it. Default: focused_<run>.nxs in the working directory.

        Returns:
            What `apply` says, and `files`: the paths that were written.
        """
        name = f"focused_{run_token(identify(request, self.host).run_number)}"
        found = self.apply(reference, request, name, progress)
        spectra = self.host.workspaces.read(self.applied(name), Spectra)
        definition = instrument_of(self.host.settings).modes[0].native.definition
        files = export_spectra(output or Path(f"{name}.nxs"), name, spectra, definition)
        return {**found.model_dump(mode="json"), "files": [str(path) for path in files]}

    def mode_of_run(self, run_workspace: str) -> PixelMode:
        """How the pixels of a run in the workspace list are counted."""
        return pixel_mode(self.host.workspaces.read(run_workspace, Events).geometry, self.host)

    def outlook(self, number: int, place: Path | None = None) -> Outlook:
        """What saving an iteration would meet, in the calibration tree or in another place.

        Raises:
            NotFoundError: There is no such iteration.
            StoreError: The place leads out of its folder.
        """
        return outlook_of(self.folders.read(number), self.host.settings, place)

    def workspaces(self) -> list[str]:
        """Names of all workspaces that the session has made and that still exist."""
        return sorted(self._ledger.names().values())

    def clear_workspaces(self) -> None:
        """Delete all workspaces that the session has made. Iterations stay on disk."""
        for owner in self._ledger.owners():
            self._ledger.delete(owner)

    def _loaded(self, request: Request, progress: Progress) -> Loaded:
        """The run and the grouping of a request in the workspace list, by the names that they keep."""
        with trial(self.host.workspaces, self._ledger) as work:
            loaded = self._ingredients.load(request, work, progress)
            run = "" if request.workspace else work.role_of(loaded.run)
            grouping = work.role_of(loaded.grouping)
        self._ingredients.kept(request)
        names = self._ledger.names(RUN)
        return replace(loaded, run=names.get(run, loaded.run), grouping=names[grouping])
