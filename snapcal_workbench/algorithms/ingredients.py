"""What the steps of a calibration are made from: read from workspaces and files once, and handed on as values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pydantic import Field

from snapcal_workbench.calibration.ingredients import Ingredients
from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.pixels.start import without_impossible_rows
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMask,
    RunInfo,
    Sources,
    SourceText,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import grouping_hash, readable_account
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.calibrants import Calibrant, read_calibrant
from snapcal_workbench.instrument.candidates import company_of
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import PixelMode, mode_of
from snapcal_workbench.instrument.moderator import moderator_profile
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.options import (
    CalibrationOptions,
    ExcludedPeak,
    GroupOptions,
    PeakOptions,
    PixelOptions,
    Settings,
)
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters, makes, reads
from snapcal_workbench.workspaces.protocol import Host, WorkspaceList


class StepInputs(Parameters):
    """What every step on the run's pixels starts from."""

    input_workspace: str = reads(Events, "The run, in TOF")
    grouping_workspace: str = reads(PixelGrouping, "Which pixels are focused together")
    previous_table: str = reads(
        DiffCalTable, "Calibration table to start from; empty: DIFC as the geometry says", optional=True
    )
    mask_workspaces: tuple[str, ...] = Field((), description="Masks of pixels that are not to be used")
    grouping_definition: str = Field("", description="File of the grouping, for the record")
    start: str = Field("", description="What the table to start from is, for the record; empty: the workspace's name")
    peaks: PeakOptions = PeakOptions()
    delta_theta: float | None = Field(
        3.2e-3, gt=0, description="Beam divergence, rad, where the instrument file has none; empty: SNAPRed's own"
    )


class FocusedInputs(StepInputs):
    """What a step on the focused spectra starts from, and where it puts them."""

    calibrant: str = Field(min_length=1, description="Name of the calibrant, or its JSON file")
    excluded_peaks: tuple[ExcludedPeak, ...] = Field(
        (), description="Peaks that are not to be fitted: group and hkl of each"
    )
    output_workspace: str = makes(Spectra, "Focused spectra in d-spacing")
    output_fits: str = makes(FitTable, "Fitted peaks")
    output_fitted: str = makes(Spectra, "Fitted curves within the peak windows")
    output_diagnostic: str = makes(tuple, "Workspace group of the fits", optional=True)
    groups: GroupOptions = GroupOptions()


def pixel_mode(geometry: Geometry, host: Host) -> PixelMode:
    """How the pixels of a run are counted."""
    return mode_of(geometry, instrument_of(host.settings))


def state_of(run: RunInfo, host: Host) -> InstrumentState:
    """Instrument state of a run, from its logs and the instrument parameters that apply to it."""
    parameters = read_instrument_parameters(host.settings, run.run_number)
    return instrument_state(run, parameters, instrument_of(host.settings))


def pixel_ingredients(host: Host, inputs: StepInputs) -> Ingredients:
    """Ingredients of a step that needs no peaks; its workspaces must be of the same pixels.

    Impossible rows of a table are masked.

    Raises:
        NotFoundError: A workspace does not exist.
        InputError: A workspace is of another kind, or of other pixels than the run.
    """
    workspaces = host.workspaces
    events = workspaces.read(inputs.input_workspace, Events)
    grouping = workspaces.read(inputs.grouping_workspace, PixelGrouping)
    if inputs.previous_table:
        table = workspaces.read(inputs.previous_table, DiffCalTable)
    else:
        table = DiffCalTable.from_geometry(events.geometry)
    check_pixels(events, grouping=grouping, table=table)
    mask = combined_mask(events, workspaces, inputs.mask_workspaces)
    before = readable_account(mask.account, table)
    table, mask, _ = without_impossible_rows(table, mask, events.geometry)
    mode = pixel_mode(events.geometry, host)
    found = ingredients_of(events, grouping, table, mask, state_of(events.run, host), mode, inputs)
    profile = moderator_profile(host.settings, events.run.run_number)
    return replace(found, before=before, profile=profile)


def ingredients_of(
    events: Events,
    grouping: PixelGrouping,
    table: DiffCalTable,
    mask: PixelMask,
    state: InstrumentState,
    mode: PixelMode,
    inputs: StepInputs,
) -> Ingredients:
    """Ingredients from values of the same pixels; `inputs` has the options, and what is to be said of their origin."""
    return Ingredients(
        sources=sources_of(events, grouping, state.with_peak_options(inputs.peaks), mode, inputs),
        events=events,
        grouping=grouping,
        table=table,
        mask=mask,
        resolution=state.resolution(mode, delta_theta=inputs.delta_theta),
        bounds=state.bounds,
    )


def peak_ingredients(
    host: Host, inputs: FocusedInputs, progress: Progress, pixels: PixelOptions | None = None
) -> tuple[Ingredients, CalibrationOptions]:
    """Ingredients of a step that needs the calibrant's peaks, and the options in force with what the calibrant fixes.

    Args:
        host: Where workspaces and files are.
        inputs: Of the step.
        progress: Warned of what the CIF leaves open.
        pixels: Options of its pixel calibration; None: those of the pixel calibration that was made before it.

    Raises:
        SnapcalError: As for `pixel_ingredients`; there is no such calibrant, or it has no reflections in the range.
    """
    found = pixel_ingredients(host, inputs)
    sample = read_calibrant(inputs.calibrant, host.settings)
    if pixels is None:
        pixels = found.before.options.pixels if found.before else PixelOptions(skip=True)
    asked = CalibrationOptions(peaks=inputs.peaks, pixels=pixels, groups=inputs.groups, delta_theta=inputs.delta_theta)
    return with_calibrant(found, sample, asked, inputs.excluded_peaks, host.settings, progress)


def with_calibrant(
    ingredients: Ingredients,
    sample: Calibrant,
    asked: CalibrationOptions,
    excluded: tuple[ExcludedPeak, ...],
    settings: Settings,
    progress: Progress,
) -> tuple[Ingredients, CalibrationOptions]:
    """The ingredients with a calibrant's reflections, and the options that were asked for with what it fixes.

    The facility's other calibrants may be in the beam beside it.
    """
    options, warnings = sample.apply(asked), list[str]()
    reflections = reflections_from_cif(
        sample.cif_text,
        d_min=options.peaks.crystal_d_min,
        d_max=options.peaks.crystal_d_max,
        source=str(sample.cif_path),
        progress=progress.remembering(warnings),
    )
    sources = replace(
        ingredients.sources,
        calibrant_name=sample.name,
        calibrant=SourceText(str(sample.path), sample.text),
        crystal=SourceText(str(sample.cif_path), sample.cif_text),
        excluded_peaks=excluded,
    )
    company = company_of(sample, settings)
    found = replace(ingredients, sources=sources, reflections=reflections, company=company, warnings=tuple(warnings))
    return found, options


def sources_of(
    events: Events, grouping: PixelGrouping, state: InstrumentState, mode: PixelMode, inputs: StepInputs
) -> Sources:
    """Where the ingredients of a step come from, but for the calibrant."""
    config = state.instrument_config
    return Sources(
        run=events.run,
        instrument=mode.instrument.name,
        mode=mode.name,
        state_id=state.state_id,
        state=SourceText(text=state.model_dump_json(by_alias=True)),
        parameters=SourceText(f"version {config.version}", config.model_dump_json(by_alias=True)),
        grouping_name=grouping.name,
        grouping_definition=inputs.grouping_definition,
        grouping_sha256=grouping_hash(grouping),
        start=inputs.start or inputs.previous_table or "default",
        masks=inputs.mask_workspaces,
    )


def combined_mask(events: Events, workspaces: WorkspaceList, names: Collection[str]) -> PixelMask:
    """One mask of all the named ones; nothing masked without any."""
    masks = [workspaces.read(name, PixelMask) for name in names]
    for name, mask in zip(names, masks, strict=True):
        check_pixels(events, **{name: mask})
    return PixelMask.none(events.geometry.detid).combined(*masks)


def check_pixels(events: Events, **values: PixelGrouping | DiffCalTable | PixelMask) -> None:
    """Raise InputError unless all values are of the same pixels as the events."""
    for name, value in values.items():
        detid = events.geometry.detid
        if len(value.detid) != len(detid) or not (value.detid == detid).all():
            raise InputError(
                f"The {name} must be of the same pixels as the run.",
                found=f"{len(value.detid)} pixels in the {name}, {len(detid)} in the run",
                fix="Use native files with native data and lite files with lite data.",
            )


def write_focused(host: Host, inputs: FocusedInputs, spectra: Spectra, fits: FitTable, fitted: Spectra) -> None:
    """Put the focused spectra and the fits into the workspace list, and group the fits where a group is named."""
    workspaces = host.workspaces
    workspaces.write(inputs.output_workspace, spectra)
    workspaces.write(inputs.output_fits, fits)
    workspaces.write(inputs.output_fitted, fitted)
    if inputs.output_diagnostic:
        workspaces.write(inputs.output_diagnostic, (inputs.output_fits, inputs.output_fitted))
