"""One person's calibration of a run: request, iterations, comparison, choice, save, cancel.

A session is a folder (see `iteration`), so that a shell command, the panel, and the panel reopened tomorrow see the
same iterations. The workspaces of the last iteration have the plain names of `workspaces.names`; those of earlier
ones have the suffix "_<nn>". The session deletes only workspaces that it made itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapcal_workbench.algorithms import apply_version, load_version, save_version
from snapcal_workbench.algorithms import calibrate as chain
from snapcal_workbench.algorithms.ingredients import pixel_mode
from snapcal_workbench.calibration.types import (
    Account,
    Calibration,
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.errors import Cancelled, InputError, SnapcalError
from snapcal_workbench.formats.run_file import opened_once
from snapcal_workbench.instrument.cycles import refusing_cycles
from snapcal_workbench.instrument.known import instrument_of, mode_called, requested_mode
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Request, build_request
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.aside import start_command
from snapcal_workbench.session.calibrant import CalibrantPreview, calibrant_preview
from snapcal_workbench.session.checks import (
    Problem,
    check_request,
    identified,
    identify,
    overruled,
    require,
)
from snapcal_workbench.session.comparison import (
    Comparison,
    Entry,
    compare_entries,
    entry_of_iteration,
    entry_of_version,
)
from snapcal_workbench.session.ingredients import RUN, Ingredients, Loaded
from snapcal_workbench.session.iteration import Iteration, IterationFolders, UnreadableIteration
from snapcal_workbench.session.ledger import Ledger, Standing
from snapcal_workbench.session.preview import Outlook
from snapcal_workbench.session.reporting import (
    export_spectra,
    write_comparison_report,
    write_iteration_report,
    written_once,
)
from snapcal_workbench.session.starting import iteration_number
from snapcal_workbench.session.trial import trial
from snapcal_workbench.session.versions import Described, checked_health, described_versions
from snapcal_workbench.store.elsewhere import settings_at
from snapcal_workbench.store.references import locate, open_version
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.summary import RunSummary
from snapcal_workbench.store.text import LONGEST_COMMENTS, clean_text
from snapcal_workbench.workspaces.names import OutputNames, run_token
from snapcal_workbench.workspaces.names import grouping as grouping_name
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
    """

    def __init__(self, host: Host, directory: Path | None = None) -> None:
        self.host = host
        self.directory = directory or host.settings.session_directory
        self.folders = IterationFolders(self.directory)
        self._ledger = Ledger(host.workspaces)
        self._ingredients = Ingredients(host, self._ledger, self.folders)

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
            iteration, calibration, geometry = self._calibrated(number, request, whole)
        except BaseException:
            self.folders.release(number)
            raise
        self.folders.write(iteration, calibration)
        if report:
            with suppress(Cancelled):
                self._report(iteration, calibration, geometry, progress.part(0.9, 1.0))
        return iteration

    def _calibrated(self, number: int, request: Request, progress: Progress) -> tuple[Iteration, Calibration, Geometry]:
        """A new iteration, all that came out, and where its pixels are; if it fails, the list is as before."""
        started, clock, before = datetime.now().astimezone(), time.monotonic(), len(self.host.history())
        warnings = [problem.message for problem in overruled(request, self.host)]
        progress = progress.remembering(warnings)
        with trial(self.host.workspaces, self._ledger) as work:
            loaded = self._ingredients.load(request, work, progress.part(0.0, 0.17))
            events = self.host.workspaces.read(loaded.run, Events)
            names = OutputNames(events.run.run_number, loaded.grouping_name)
            outputs = chain.output_names_as_inputs(names, skip_pixels=request.options.pixels.skip)
            roles = {field: role for role, field in chain.OUTPUT_FIELDS.items()}
            made = {field: name and work.name(_owner(number), roles[field], name) for field, name in outputs.items()}
            inputs = self._ingredients.chain_inputs(request, loaded, made, work, progress.part(0.17, 0.2))
            with self._ledger.writing():
                outcome = self.host.run(chain.CALIBRATE_DIFFRACTION, inputs, progress.part(0.2, 1.0))
            calibration = self._outcome(inputs, outcome.account, warnings)
            self._suffix_earlier()
        self._ingredients.kept(request)
        iteration = Iteration(
            number=number,
            request=request,
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - clock, 2),
            account=calibration.account,
            history=list(self.host.history()[before:]),
        )
        return iteration, calibration, events.geometry

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
        """Put back into the list what is missing there of an iteration's workspaces, named with its suffix.

        Returns:
            Names of its workspaces by role.
        """
        iteration = self.folders.read(number)
        owner = _owner(number)
        present = self._ledger.names(owner)
        calibration = self.folders.calibration(number)
        values = calibration.workspaces()
        values["output"] = with_account(calibration.spectra, calibration.account)
        wanted = OutputNames.of_iteration(iteration.run_number, iteration.grouping_name, number).roles()
        missing = {role: name for role, name in wanted.items() if role in values and role not in present}
        made = {role: self._ledger.free(name) for role, name in missing.items()}
        with self._ledger.writing():
            for role, name in made.items():
                self.host.workspaces.write(name, values[role])
            if {"fit_table", "fitted"} <= set(made):
                made["diagnostic"] = self._ledger.free(wanted["diagnostic"])
                self.host.workspaces.write(made["diagnostic"], (made["fit_table"], made["fitted"]))
        self._ledger.add(owner, made)
        return self._ledger.names(owner)

    def label(self, number: int, text: str) -> Iteration:
        """Give an iteration a name of its own."""
        return self.folders.label(number, text.strip())

    def remove(self, number: int) -> None:
        """Forget an iteration, with the workspaces that it made. Saved versions are not touched."""
        self.folders.remove(number)
        self._ledger.delete(_owner(number))

    def report(self, number: int, progress: Progress | None = None) -> Path:
        """The HTML report of an iteration; drawn now if it was left out, waited for if another process draws it."""
        iteration, folder = self.folders.read(number), self.folders.report(number)
        if not folder.is_dir():
            geometry = self.state_of_iteration(number).geometry(self.mode_of(iteration))
            self._report(iteration, self.folders.calibration(number), geometry, progress or Progress())
        return folder / "report.html"

    def ask_report(self, number: int) -> None:
        """Say that a report will be drawn, by another process or at the latest by `save`."""
        self.folders.asked(number).touch()

    def draw_report_aside(self, number: int, settings: Sequence[str] = ()) -> None:
        """Ask for a report, and let another process draw it: that takes as long as a third of the calibration.

        Args:
            number: Of the iteration.
            settings: Arguments of the shell tool that say where its settings are; a report itself needs none.
        """
        self.ask_report(number)
        with suppress(OSError):  # then it is drawn when it is needed
            start_command([*settings, "report", str(number), "--session", str(self.directory.absolute())])

    def remarks(self) -> list[str]:
        """What was done by hand to this calibration session's workspaces since the last call."""
        return self._ledger.remarks()

    def standing(self, number: int) -> Standing:
        """What has become of an iteration's workspaces."""
        return self._ledger.standing(_owner(number))

    # -- compare, save, apply -----------------------------------------------------------------------------------

    def entry(self, reference: str) -> Entry:
        """An iteration ("3", "iteration 3") or a version ("STATE/N", "RUN:N") for a comparison."""
        number = iteration_number(reference)
        if number is not None:
            iteration = self.folders.read(number)
            geometry = self.state_of_iteration(number).geometry(self.mode_of(iteration))
            return entry_of_iteration(iteration, self.folders.calibration(number), geometry)
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
        names["grouping"] = self._keep_grouping(iteration)
        progress = progress or Progress()
        report = self._asked_report(number, progress)
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

    def _asked_report(self, number: int, progress: Progress) -> Path:
        """Folder of an iteration's report, which is drawn or waited for where it was asked for."""
        if self.folders.asked(number).is_file():
            try:
                self.report(number, progress)
            except SnapcalError as error:
                progress.warn(f"The version is saved without its report: {error.what}")
        return self.folders.report(number)

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
        spectra = self.host.workspaces.read(self._ledger.names(_APPLIED)[name], Spectra)
        definition = instrument_of(self.host.settings).modes[0].native.definition
        files = export_spectra(output or Path(f"{name}.nxs"), name, spectra, definition)
        return {**found.model_dump(mode="json"), "files": [str(path) for path in files]}

    def comparison_report(self, comparison: Comparison, folder: Path, progress: Progress) -> Path:
        """Write the comparison's plots and HTML page; returns the page."""
        return write_comparison_report(folder, comparison, progress)

    def state_of_iteration(self, number: int) -> InstrumentState:
        """The instrument state in which an iteration's run was measured."""
        return InstrumentState.model_validate_json(self.folders.read(number).account.sources.state.text)

    def mode_of(self, iteration: Iteration) -> PixelMode:
        """How the pixels of an iteration are counted."""
        sources = iteration.account.sources
        return mode_called(sources.instrument, sources.mode)

    def mode_of_run(self, run_workspace: str) -> PixelMode:
        """How the pixels of a run in the workspace list are counted."""
        return pixel_mode(self.host.workspaces.read(run_workspace, Events).geometry, self.host)

    def store_of(self, iteration: Iteration, place: Path | None = None) -> StateStore:
        """Where an iteration would be saved, in the calibration tree or in another place."""
        settings, state_id = self.host.settings, iteration.state_id
        there = settings_at(settings, place, state_id) if place is not None else settings
        return StateStore(there, state_id, self.mode_of(iteration))

    def outlook(self, number: int, place: Path | None = None) -> Outlook:
        """What saving an iteration would meet, in the calibration tree or in another place.

        Raises:
            NotFoundError: There is no such iteration.
            StoreError: The place leads out of its folder.
        """
        iteration = self.folders.read(number)
        store = self.store_of(iteration, place)
        why_not = store.writable()
        if place is None and not (store.settings.powder_home / iteration.state_id).is_dir():
            why_not = f"state {iteration.state_id} is not initialised in {store.settings.powder_home}"
        entries, version = tuple(store.entries()), store.next_version()
        cycles = refusing_cycles(store.settings)
        return Outlook(store.home, entries, iteration.run_number, store.mode_of_entries(), cycles, version, why_not)

    def versions(self, request: Request) -> Described:
        """The versions of the state of a request's run, as `session.versions.described_versions` gives them."""
        summary = identify(request, self.host)
        return described_versions(
            self.host.settings,
            summary.state_id,
            requested_mode(self.host.settings, request.lite),
            run=int(summary.run_number.split("+")[0]),
        )

    def health(self, request: Request, progress: Progress) -> dict[str, str]:
        """What is wrong with each version of a request's state, by reference; "good" where nothing is."""
        references = [entry["reference"] for entry in self.versions(request)["versions"]]
        return checked_health(self.host.settings, references, progress)

    def retire(self, reference: str, reason: str, author: str, progress: Progress) -> None:
        """Take a saved version out of the choice; it stays on disk."""
        store, version = locate(self.host.settings, reference)
        store.retire(version, reason, author, progress)

    def unretire(self, reference: str, reason: str, author: str, progress: Progress) -> None:
        """Bring a retired version back into the choice."""
        store, version = locate(self.host.settings, reference)
        store.unretire(version, reason, author, progress)

    def initialise_state(self, request: Request, name: str, author: str, progress: Progress) -> Path:
        """Initialise the instrument state of a request's run; returns its folder.

        Raises:
            InputError: It is initialised already.
            StoreError: It cannot be written; nothing is left behind.
        """
        info, state = identified(request, self.host)
        return init_state(
            self.host.settings, state, name=name, run_number=info.run_number, author=author, progress=progress
        )

    def load(self, reference: str, progress: Progress) -> list[str]:
        """Load a saved version's workspaces into the list; returns their names."""
        stored = open_version(self.host.settings, reference)
        entry = stored.entry
        grouping_name = stored.record.own.grouping_name if stored.record.own else ""
        names = OutputNames.of_version(entry.run_number, grouping_name, entry.version)
        wanted = {
            "output_table": names.table,
            "output_mask": names.mask,
            "output_spectra": names.output,
            "output_fits": names.fit_table,
            "output_results": names.results,
        }
        own = self._ledger.names(reference)
        outputs = {role: self._ledger.free(name, mine=own.get(role, "")) for role, name in wanted.items()}
        inputs = load_version.Inputs.model_validate({"version": reference, **outputs})
        with self._ledger.writing():
            found = self.host.run(load_version.LOAD_CALIBRATION_VERSION, inputs, progress)
        self._ledger.add(reference, {role: name for role, name in outputs.items() if name in found.loaded})
        return found.loaded

    def workspaces(self) -> list[str]:
        """Names of all workspaces that the session has made and that still exist."""
        return sorted(self._ledger.names().values())

    def clear_workspaces(self) -> None:
        """Delete all workspaces that the session has made. Iterations stay on disk."""
        for owner in self._ledger.owners():
            self._ledger.delete(owner)

    # -- how an iteration is made -------------------------------------------------------------------------------

    def _loaded(self, request: Request, progress: Progress) -> Loaded:
        """The run and the grouping of a request in the workspace list, by the names that they keep."""
        with trial(self.host.workspaces, self._ledger) as work:
            loaded = self._ingredients.load(request, work, progress)
            run = "" if request.workspace else work.role_of(loaded.run)
            grouping = work.role_of(loaded.grouping)
        self._ingredients.kept(request)
        names = self._ledger.names(RUN)
        return replace(loaded, run=names.get(run, loaded.run), grouping=names[grouping])

    def _keep_grouping(self, iteration: Iteration) -> str:
        """Put an iteration's grouping into the list; returns its name."""
        wanted = grouping_name(iteration.grouping_name, iteration.run_number, self.mode_of(iteration))
        with trial(self.host.workspaces, self._ledger) as work:
            work.write(RUN, wanted, wanted, self.folders.values(iteration.number)["grouping"])
        return self._ledger.names(RUN)[wanted]

    def _suffix_earlier(self) -> None:
        """Give the workspaces of earlier iterations their suffix, so that the plain names are free."""
        owners = self._ledger.owners()
        for iteration in self.iterations:
            if _owner(iteration.number) in owners:
                names = OutputNames.of_iteration(iteration.run_number, iteration.grouping_name, iteration.number)
                self._ledger.rename(_owner(iteration.number), names.roles())

    def _outcome(self, inputs: chain.Inputs, account: str, warnings: Sequence[str]) -> Calibration:
        """What the chain has put into the list; `warnings` are what was said while it was made ready, too."""
        read = self.host.workspaces.read
        stated = Account.from_json(account)
        return Calibration(
            account=replace(stated, warnings=tuple(dict.fromkeys([*stated.warnings, *warnings]))),
            start=read(inputs.previous_table, DiffCalTable),
            grouping=read(inputs.grouping_workspace, PixelGrouping),
            table=read(inputs.output_table, DiffCalTable),
            mask=replace(read(inputs.output_mask, PixelMask), account=""),
            results=read(inputs.output_results, PixelResults) if inputs.output_results else None,
            spectra=with_account(read(inputs.output_workspace, Spectra), None),
            fits=read(inputs.output_fits, FitTable),
            fitted=read(inputs.output_fitted, Spectra),
        )

    def _report(self, iteration: Iteration, calibration: Calibration, geometry: Geometry, progress: Progress) -> None:
        mode = self.mode_of(iteration)

        def write(folder: Path) -> None:
            write_iteration_report(folder, iteration, calibration, geometry, mode, progress)

        written_once(self.folders.report(iteration.number), write, progress)
        self.folders.asked(iteration.number).unlink(missing_ok=True)


def _owner(number: int) -> str:
    return f"iteration {number}"
