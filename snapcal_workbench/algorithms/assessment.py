"""Focused spectra, peak fits and quality figures of a run with any calibration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from snapcal_workbench.algorithms.ingredients import ExcludedPeak, PixelIngredients, parameters_of, peaks_of
from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.group import fit_group_terms
from snapcal_workbench.calibration.metrics import group_metrics
from snapcal_workbench.calibration.peakfit import fit_peaks, fitted_curves
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    GroupMetrics,
    GroupParameters,
    PixelMask,
    Spectra,
)
from snapcal_workbench.config import GroupOptions, PeakOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.names import OutputNames
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


def assess(
    host: Host,
    ingredients: PixelIngredients,
    table: DiffCalTable,
    mask: PixelMask,
    *,
    calibrant: str,
    peak_options: PeakOptions,
    group_options: GroupOptions,
    excluded: Collection[ExcludedPeak],
    progress: Progress,
) -> Assessment:
    """Focus with `table` and `mask`, fit the expected peaks, and make the quality figures."""
    parameters = parameters_of(ingredients, mask, peak_options)
    peaks = peaks_of(host, calibrant, parameters, peak_options, excluded)
    spectra = focused(ingredients, table, mask, parameters, progress=progress.part(0.0, 0.5))
    fits = fit_peaks(spectra, peaks, options=group_options, progress=progress.part(0.5, 1.0))
    _, judged = fit_group_terms(fits, parameters, options=group_options)
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
    spectra = focus(
        events, table, grouping, mask, parameters, bins_per_delta_d=bins_per_delta_d, progress=progress
    )
    return replace(spectra, run=events.run, title=events.run.title)


def write_diagnostics(host: Host, names: OutputNames, assessment: Assessment) -> None:
    """Put the focused spectra, the fits and their workspace group into the workspace list."""
    workspaces = host.workspaces
    workspaces.write(names.output, assessment.spectra)
    workspaces.write(names.fit_table, assessment.fits)
    workspaces.write(names.fitted, assessment.fitted)
    workspaces.write(names.diagnostic, (names.fit_table, names.fitted))
