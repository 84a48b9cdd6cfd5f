"""What a calibration is made from, and what follows from it for the groups: parameters, expected peaks, spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.groups.pattern.fit import UNKNOWN_PROFILE
from snapcal_workbench.calibration.peaks.expected import expected_peaks, group_parameters
from snapcal_workbench.calibration.phases.known import AnyPhase
from snapcal_workbench.calibration.types import (
    Account,
    DiffCalTable,
    Events,
    ExpectedPeaks,
    GroupParameters,
    ModeratorProfile,
    ParticleBounds,
    PixelGrouping,
    PixelMask,
    Reflections,
    Resolution,
    Sources,
    Spectra,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.options import CalibrationOptions, PeakOptions
from snapcal_workbench.progress import Progress


@dataclass(frozen=True, eq=False)
class Ingredients:
    """What a calibration is made from.

    Attributes:
        sources: Where all of it came from, for the account.
        events: The run, in TOF.
        grouping: Group of each of its pixels.
        table: Where the first step starts.
        mask: Pixels that are not to be used.
        resolution: Terms of the instrument's resolution.
        bounds: The neutrons that the instrument's state can record.
        reflections: Of the calibrant; None where no peaks are needed.
        company: What may be in the beam beside it, besides the phases that are known everywhere.
        profile: What is known of the moderator's pulse.
        before: Account of the steps that were made before these, where `table` is their result.
        warnings: What was said while they were gathered.
    """

    sources: Sources
    events: Events
    grouping: PixelGrouping
    table: DiffCalTable
    mask: PixelMask
    resolution: Resolution
    bounds: ParticleBounds
    reflections: Reflections | None = None
    company: tuple[AnyPhase, ...] = ()
    profile: ModeratorProfile = UNKNOWN_PROFILE
    before: Account | None = None
    warnings: tuple[str, ...] = ()


def parameters_of(ingredients: Ingredients, mask: PixelMask, peaks: PeakOptions) -> GroupParameters:
    """Parameters of the groups over the pixels that `mask` leaves in use."""
    return group_parameters(
        ingredients.events.geometry,
        ingredients.grouping,
        mask,
        resolution=ingredients.resolution,
        bounds=ingredients.bounds,
        options=peaks,
    )


def peaks_of(ingredients: Ingredients, parameters: GroupParameters, options: PeakOptions) -> dict[int, ExpectedPeaks]:
    """Expected peaks of every group; errors as for `reflections_of`."""
    return expected_peaks(
        reflections_of(ingredients),
        parameters,
        options=options,
        intensity_fraction=options.intensity_fraction or 0.0,
        excluded=frozenset(ingredients.sources.excluded_peaks),
    )


def reflections_of(ingredients: Ingredients) -> Reflections:
    """Reflections of the calibrant.

    Raises:
        InputError: The ingredients have none.
    """
    if ingredients.reflections is None:
        raise InputError("A calibrant is needed.", found="none", fix="Name the calibrant whose peaks are expected.")
    return ingredients.reflections


def focused(
    ingredients: Ingredients,
    table: DiffCalTable,
    mask: PixelMask,
    parameters: GroupParameters,
    options: CalibrationOptions,
    progress: Progress,
) -> Spectra:
    """The groups' spectra in d-spacing, which carry the run they come from."""
    events = ingredients.events
    spectra = focus(
        events,
        table,
        ingredients.grouping,
        mask,
        parameters,
        bins_per_delta_d=options.pixels.bins_per_delta_d,
        progress=progress,
    )
    return replace(spectra, run=events.run, title=events.run.title)
