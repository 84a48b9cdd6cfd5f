"""What the steps of a calibration are made from: the run's state, its groups' parameters and the expected peaks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import Field

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.peaks.expected import expected_peaks, group_parameters
from snapcal_workbench.calibration.pixels.start import without_impossible_rows
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    ExpectedPeaks,
    Geometry,
    GroupParameters,
    PixelGrouping,
    PixelMask,
    Resolution,
    RunInfo,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import PixelMode, mode_of
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.options import CalibrationOptions, ExcludedPeak, PeakOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.algorithm import Parameters, reads
from snapcal_workbench.workspaces.protocol import Host, WorkspaceList

"""A peak that the user took out: group id and hkl."""


class StepInputs(Parameters):
    """What every step on the run's pixels starts from."""

    input_workspace: str = reads(Events, "The run, in TOF")
    grouping_workspace: str = reads(PixelGrouping, "Which pixels are focused together")
    previous_table: str = reads(
        DiffCalTable, "Calibration table to start from; empty: DIFC as the geometry says", optional=True
    )
    mask_workspaces: tuple[str, ...] = Field((), description="Masks of pixels that are not to be used")
    peaks: PeakOptions = PeakOptions()
    delta_theta: float | None = Field(
        3.2e-3, gt=0, description="Beam divergence, rad, where the instrument file has none; empty: SNAPRed's own"
    )


@dataclass(frozen=True, eq=False)
class PixelIngredients:
    """The data of the run, what is known of its pixels, and where they start from."""

    events: Events
    grouping: PixelGrouping
    table: DiffCalTable
    mask: PixelMask
    state: InstrumentState
    mode: PixelMode
    delta_theta: float | None

    @property
    def geometry(self) -> Geometry:
        """Of the run's pixels."""
        return self.events.geometry


def pixel_mode(geometry: Geometry, host: Host) -> PixelMode:
    """How the pixels of a run are counted."""
    return mode_of(geometry, instrument_of(host.settings))


def state_of(run: RunInfo, host: Host) -> InstrumentState:
    """Instrument state of a run, from its logs and the instrument parameters that apply to it."""
    parameters = read_instrument_parameters(host.settings, run.run_number)
    return instrument_state(run, parameters, instrument_of(host.settings))


def pixel_ingredients(host: Host, inputs: StepInputs) -> PixelIngredients:
    """Read the workspaces of a step and check that they are of the same pixels; impossible rows of a table are masked.

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
    table, mask, _ = without_impossible_rows(table, mask, events.geometry)
    state, mode = state_of(events.run, host), pixel_mode(events.geometry, host)
    return PixelIngredients(events, grouping, table, mask, state, mode, inputs.delta_theta)


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


def parameters_of(ingredients: PixelIngredients, mask: PixelMask, peaks: PeakOptions) -> GroupParameters:
    """Parameters of the groups of a run over the pixels that `mask` leaves in use."""
    resolution = ingredients.state.resolution(ingredients.mode, delta_theta=ingredients.delta_theta)
    return parameters_for(ingredients.geometry, ingredients.grouping, mask, ingredients.state, peaks, resolution)


def parameters_for(
    geometry: Geometry,
    grouping: PixelGrouping,
    mask: PixelMask,
    state: InstrumentState,
    peaks: PeakOptions,
    resolution: Resolution,
) -> GroupParameters:
    """Parameters of the groups of an instrument state over the pixels that `mask` leaves in use."""
    return group_parameters(
        geometry,
        grouping,
        mask,
        resolution=resolution,
        bounds=state.bounds,
        options=peaks,
    )


def peaks_of(
    host: Host,
    calibrant: str,
    parameters: GroupParameters,
    options: PeakOptions,
    excluded: Collection[ExcludedPeak],
    progress: Progress | None = None,
) -> dict[int, ExpectedPeaks]:
    """Expected peaks of every group for a calibrant (its name or the path of its JSON file).

    `progress` is warned of what its CIF leaves open.
    """
    sample = read_calibrant(calibrant, host.settings)
    options = sample.apply(CalibrationOptions(peaks=options)).peaks
    reflections = reflections_from_cif(
        sample.cif_text,
        d_min=options.crystal_d_min,
        d_max=options.crystal_d_max,
        source=str(sample.cif_path),
        progress=progress,
    )
    return expected_peaks(
        reflections,
        parameters,
        options=options,
        intensity_fraction=options.intensity_fraction or 0.0,
        excluded=frozenset(excluded),
    )
