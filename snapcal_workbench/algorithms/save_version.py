"""SaveCalibrationVersion: publish a calibration as a new version with its index entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import parameters_for, peaks_of, state_of
from snapcal_workbench.algorithms.provenance import files_of, software
from snapcal_workbench.calibration.groups.metrics import group_metrics
from snapcal_workbench.calibration.types import DiffCalTable, FitTable, PixelGrouping, PixelMask, PixelResults, Spectra
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import mode_of_count
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import CalibrationOptions, ExcludedPeak, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.contents import VersionContents
from snapcal_workbench.store.elsewhere import prepare, settings_at
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.workspaces.algorithm import Algorithm, Parameters, reads
from snapcal_workbench.workspaces.protocol import Host


class Inputs(Parameters):
    """What is saved, and what is said of it."""

    table: str = reads(DiffCalTable, "The calibration table")
    mask: str = reads(PixelMask, "Pixels that are not used, with the reasons")
    output_spectra: str = reads(Spectra, "Focused spectra in d-spacing, made with this table")
    fits: str = reads(FitTable, "Fitted peaks of these spectra")
    results: str = reads(PixelResults, "What the pixel calibration found for each pixel", optional=True)
    grouping_workspace: str = reads(PixelGrouping, "Which pixels are focused together")
    grouping_name: str = Field(min_length=1, description="Name of the grouping, as 'Column'")
    grouping_definition: str = Field("", description="File of the grouping")
    calibrant: str = Field(min_length=1, description="Name of the calibrant, or its JSON file")
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
    provenance: dict[str, Any] = Field({}, description="What else is to be recorded: passes, history, input files")
    attachments: str = Field(
        "", description="Folder whose files are kept with the version: the report and its pictures"
    )


class Outputs(Parameters):
    """Where it was saved."""

    version: int = Field(description="Number of the new version")
    path: str = Field(description="Its folder")
    index_path: str = Field(description="The index that names it")
    entry: dict[str, Any] = Field(description="Its index entry")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Save a version; see `Inputs`."""
    workspaces = host.workspaces
    spectra = workspaces.read(inputs.output_spectra, Spectra)
    table = workspaces.read(inputs.table, DiffCalTable)
    mask = workspaces.read(inputs.mask, PixelMask)
    group_of = workspaces.read(inputs.grouping_workspace, PixelGrouping)
    fits = workspaces.read(inputs.fits, FitTable)
    state = state_of(spectra.run, host).with_peak_options(inputs.options.peaks)
    mode = mode_of_count(len(table), instrument_of(host.settings))
    resolution = state.resolution(mode, delta_theta=inputs.options.delta_theta)
    parameters = parameters_for(state.geometry(mode), group_of, mask, state, inputs.options.peaks, resolution)
    sample = read_calibrant(inputs.calibrant, host.settings)
    contents = VersionContents(
        run_number=spectra.run.run_number,
        mode=mode,
        table=table,
        mask=mask,
        pixel_results=workspaces.read(inputs.results, PixelResults) if inputs.results else None,
        spectra=spectra,
        fits=fits,
        parameters=parameters,
        grouping=group_of,
        grouping_name=inputs.grouping_name,
        grouping_definition=inputs.grouping_definition,
        peaks=peaks_of(host, inputs.calibrant, parameters, inputs.options.peaks, inputs.excluded_peaks),
        metrics=group_metrics(spectra, fits, parameters),
        state=state,
        calibrant_path=str(sample.path),
        options=sample.apply(inputs.options),
        provenance={
            "software": software(host.name),
            "inputFiles": files_of(spectra.run),
            "history": [entry for entry in host.history() if entry["outcome"] == "finished"],
            **inputs.provenance,
        },
        attachments=Path(inputs.attachments) if inputs.attachments else None,
    )
    store = StateStore(_settings(inputs, host, state, contents.run_number, progress), state.state_id, mode)
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
