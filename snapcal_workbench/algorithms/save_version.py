"""SaveCalibrationVersion: publish a calibration as a new version with its index entry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from snapcal_workbench.algorithms.ingredients import StepInputs, ingredients_of, state_of, with_calibrant
from snapcal_workbench.algorithms.provenance import files_of, software
from snapcal_workbench.calibration.accounting import Assessment, account_of_steps
from snapcal_workbench.calibration.groups.metrics import group_metrics
from snapcal_workbench.calibration.ingredients import parameters_of, peaks_of
from snapcal_workbench.calibration.peaks.peakfit import fitted_curves
from snapcal_workbench.calibration.types import (
    Account,
    Calibration,
    DiffCalTable,
    Events,
    FitTable,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
    Verdict,
)
from snapcal_workbench.calibration.types.calibration import account_of, readable_account, with_account
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import mode_of_count
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import CalibrationOptions, ExcludedPeak, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.elsewhere import prepare, settings_at
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.workspaces.parameters import Parameters, reads
from snapcal_workbench.workspaces.protocol import Algorithm, Host


class Inputs(Parameters):
    """What is saved, and what is said of it."""

    table: str = reads(DiffCalTable, "The calibration table")
    mask: str = reads(PixelMask, "Pixels that are not used, with the reasons")
    output_spectra: str = reads(Spectra, "Focused spectra in d-spacing, made with this table")
    fits: str = reads(FitTable, "Fitted peaks of these spectra")
    results: str = reads(PixelResults, "What the pixel calibration found for each pixel", optional=True)
    grouping_workspace: str = reads(PixelGrouping, "Which pixels are focused together")
    account: str = Field(
        "", description="Account of the calibration, as JSON text; empty: the one that the spectra carry"
    )
    grouping_name: str = Field("", description="Name of the grouping, as 'Column'")
    grouping_definition: str = Field("", description="File of the grouping")
    calibrant: str = Field("", description="Name of the calibrant, or its JSON file; needed where there is no account")
    excluded_peaks: tuple[ExcludedPeak, ...] = Field(
        (), description="Peaks that were not fitted: group and hkl of each"
    )
    options: CalibrationOptions = Field(CalibrationOptions(), description="Options of the calibration")
    author: str = Field(min_length=1, description="Who accepts the calibration")
    comments: str = Field(min_length=1, description="What others should know of it")
    applies_to: str = Field(
        "", description="Runs it applies to, as '>=58882,<60000'; empty: this run and all later ones"
    )
    place: str = Field("", description="Folder of states to save in instead of the calibration tree")
    force: bool = Field(False, description="Save it although its verdict is 'not to be used'")
    provenance: dict[str, object] = Field({}, description="What else is to be recorded, as label and history")
    attachments: str = Field(
        "", description="Folder whose files are kept with the version: the report and its pictures"
    )


class Outputs(Parameters):
    """Where it was saved."""

    version: int = Field(description="Number of the new version")
    path: str = Field(description="Its folder")
    index_path: str = Field(description="The index that names it")
    entry: dict[str, object] = Field(description="Its index entry")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Save a version; see `Inputs`."""
    found, how = _calibration(inputs, host, progress)
    check_verdict(found.account.verdict, progress, force=inputs.force)
    provenance = {
        "software": software(host.name),
        "inputFiles": files_of(found.account.sources.run),
        "history": [entry for entry in host.history() if entry["outcome"] == "finished"],
        "account": how,
        **inputs.provenance,
    }
    attachments = Path(inputs.attachments) if inputs.attachments else None
    contents = VersionContents.of(found, provenance=provenance, attachments=attachments)
    state = contents.state
    store = StateStore(_settings(inputs, host, state, contents.run_number, progress), state.state_id, contents.mode)
    saved = store.save(
        contents,
        author=inputs.author,
        comments=inputs.comments,
        applies_to=inputs.applies_to or None,
        progress=progress,
    )
    return Outputs(
        version=saved.version,
        path=str(saved.path),
        index_path=str(store.index_path),
        entry=saved.entry.model_dump(mode="json", by_alias=True),
    )


def check_verdict(verdict: Verdict, progress: Progress, *, force: bool) -> None:
    """Refuse to save what is not to be used, unless that is forced; then say so.

    Raises:
        CalibrationError: It is not to be used.
    """
    if verdict.savable:
        return
    reasons = " ".join(verdict.reasons)
    if not force:
        raise CalibrationError(
            "The verdict on this calibration is: not to be used.",
            found=reasons,
            fix="Mend what is wrong and calibrate again. To save it all the same, force it (in a shell with --force); "
            "the record keeps the verdict.",
        )
    progress.warn(f"SAVED BY FORCE, although the verdict is: not to be used. {reasons}")


def _calibration(inputs: Inputs, host: Host, progress: Progress) -> tuple[Calibration, str]:
    """What is saved, and where its account comes from, in words."""
    read = host.workspaces.read
    spectra, table = read(inputs.output_spectra, Spectra), read(inputs.table, DiffCalTable)
    fits = read(inputs.fits, FitTable)
    account, how = _account(inputs, spectra, table), "of the calibration itself"
    if account is None:
        how = "derived at saving from the workspaces and files: the spectra carry no account that is of this table"
        progress.warn(f"The record of the version is {how}.")
        account = derived_account(inputs, host, spectra, fits, table, progress)
    found = Calibration(
        account=account,
        start=None,
        grouping=read(inputs.grouping_workspace, PixelGrouping),
        table=table,
        mask=read(inputs.mask, PixelMask),
        results=read(inputs.results, PixelResults) if inputs.results else None,
        spectra=spectra,
        fits=fits,
        fitted=fitted_curves(spectra, fits),
    )
    return found, how


def _account(inputs: Inputs, spectra: Spectra, table: DiffCalTable) -> Account | None:
    """The account that is given, else the one that the spectra carry; None where neither is of this table."""
    found = readable_account(inputs.account, table) if inputs.account else account_of(spectra, table)
    if found is None or not inputs.grouping_name:
        return found
    named = replace(
        found.sources,
        grouping_name=found.sources.grouping_name or inputs.grouping_name,
        grouping_definition=found.sources.grouping_definition or inputs.grouping_definition,
    )
    return replace(found, sources=named)


def derived_account(
    inputs: Inputs, host: Host, spectra: Spectra, fits: FitTable, table: DiffCalTable, progress: Progress
) -> Account:
    """The account of a calibration that carries none: figures from the workspaces, peaks from the files of today.

    Raises:
        InputError: No calibrant is named.
    """
    if not inputs.calibrant:
        raise InputError(
            "The calibrant must be named where the spectra do not carry the account of their calibration.",
            found="no calibrant",
            fix="Give Calibrant, or save the spectra that GroupDiffCal or CalibrateDiffraction made with this table.",
        )
    mask = host.workspaces.read(inputs.mask, PixelMask)
    grouping = host.workspaces.read(inputs.grouping_workspace, PixelGrouping)
    state = state_of(spectra.run, host)
    mode = mode_of_count(len(table), instrument_of(host.settings))
    geometry = state.geometry(mode)
    run = with_account(spectra, None).run  # an account of another table is nothing that the run says
    no_events = Events(np.empty(0, np.float32), np.zeros(len(geometry) + 1, np.int64), geometry, state.window, run)
    step = StepInputs(
        input_workspace=inputs.output_spectra,
        grouping_workspace=inputs.grouping_workspace,
        grouping_definition=inputs.grouping_definition,
        start="not known",
        peaks=inputs.options.peaks,
        delta_theta=inputs.options.delta_theta,
    )
    pixels = ingredients_of(no_events, replace(grouping, name=inputs.grouping_name), table, mask, state, mode, step)
    sample = read_calibrant(inputs.calibrant, host.settings)
    ingredients, options = with_calibrant(
        pixels, sample, inputs.options, inputs.excluded_peaks, host.settings, progress
    )
    parameters = parameters_of(ingredients, mask, options.peaks)
    peaks = peaks_of(ingredients, parameters, options.peaks)
    metrics = group_metrics(spectra, fits, parameters)
    after = Assessment(parameters, peaks, spectra, fits, spectra, metrics)
    account = account_of_steps(ingredients, options, table, mask, [], [], after, [])
    unknown = Verdict("usable", "Not known: the calibration carries no account of its steps.")
    return replace(account, verdict=unknown)


def _settings(inputs: Inputs, host: Host, state: InstrumentState, run_number: str, progress: Progress) -> Settings:
    """The settings that say where it is saved; in another place than the tree the state is made ready."""
    if not inputs.place:
        return host.settings
    there = settings_at(host.settings, Path(inputs.place), state.state_id)
    prepare(host.settings, there, state, run_number=run_number, author=inputs.author, progress=progress.part(0.0, 0.2))
    return there


SAVE_CALIBRATION_VERSION = Algorithm(
    "SaveCalibrationVersion",
    "Saves a calibration as a new numbered version of its instrument state, with an entry in the index.",
    Inputs,
    Outputs,
    run,
    ("CalibrateDiffraction", "LoadCalibrationVersion", "SaveDiffCal"),
)
