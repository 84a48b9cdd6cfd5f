"""Focused spectra, peak fits and quality figures of a run with any calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import (
    PixelIngredients,
    StepInputs,
    parameters_of,
    peaks_of,
)
from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.groups.group import fit_group_terms
from snapcal_workbench.calibration.groups.metrics import group_metrics
from snapcal_workbench.calibration.peaks.peakfit import fit_peaks, fitted_curves
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    GroupMetrics,
    GroupParameters,
    PixelMask,
    Spectra,
)
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.options import CalibrationOptions, ExcludedPeak, GroupOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.algorithm import makes
from snapcal_workbench.workspaces.protocol import Host


@dataclass(frozen=True, eq=False)
class Assessment:
    """How a run looks with a calibration."""

    parameters: GroupParameters
    peaks: dict[int, ExpectedPeaks]
    spectra: Spectra
    fits: FitTable
    fitted: Spectra
    metrics: GroupMetrics


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


def peak_fit_options(host: Host, inputs: FocusedInputs) -> GroupOptions:
    """Options of the peak fits, with the peak function that the calibrant fixes, if it does."""
    return read_calibrant(inputs.calibrant, host.settings).apply(CalibrationOptions(groups=inputs.groups)).groups


def assess(
    host: Host,
    inputs: FocusedInputs,
    ingredients: PixelIngredients,
    table: DiffCalTable,
    mask: PixelMask,
    *,
    progress: Progress,
) -> Assessment:
    """Focus with `table` and `mask`, fit the expected peaks, and make the quality figures."""
    parameters = parameters_of(ingredients, mask, inputs.peaks)
    peaks = peaks_of(host, inputs.calibrant, parameters, inputs.peaks, inputs.excluded_peaks)
    spectra = focused(ingredients, table, mask, parameters, progress=progress.part(0.0, 0.5))
    options = peak_fit_options(host, inputs)
    fits = fit_peaks(spectra, peaks, options=options, progress=progress.part(0.5, 1.0))
    _, judged = fit_group_terms(fits, parameters, options=options)
    metrics = group_metrics(spectra, judged, parameters)
    return Assessment(parameters, peaks, spectra, judged, fitted_curves(spectra, judged), metrics)


def focused(
    ingredients: PixelIngredients,
    table: DiffCalTable,
    mask: PixelMask,
    parameters: GroupParameters,
    *,
    progress: Progress,
    bins_per_delta_d: int = 10,
) -> Spectra:
    """The groups' spectra in d-spacing, which carry the run they come from."""
    events, grouping = ingredients.events, ingredients.grouping
    spectra = focus(events, table, grouping, mask, parameters, bins_per_delta_d=bins_per_delta_d, progress=progress)
    return replace(spectra, run=events.run, title=events.run.title)


def write_diagnostics(host: Host, inputs: FocusedInputs, assessment: Assessment) -> None:
    """Put the focused spectra and the fits into the workspace list, and group the fits where a group is named."""
    workspaces = host.workspaces
    workspaces.write(inputs.output_workspace, assessment.spectra)
    workspaces.write(inputs.output_fits, assessment.fits)
    workspaces.write(inputs.output_fitted, assessment.fitted)
    if inputs.output_diagnostic:
        workspaces.write(inputs.output_diagnostic, (inputs.output_fits, inputs.output_fitted))
