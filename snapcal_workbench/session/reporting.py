"""The report of an iteration: what the report package is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from snapcal_workbench import __version__
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    GroupCalibration,
    PixelCalibration,
    Spectra,
    StopReason,
)
from snapcal_workbench.errors import StoreError
from snapcal_workbench.formats.processed import write_processed
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.progress import Progress
from snapcal_workbench.report.contents import ComparisonEntry, ReportContents
from snapcal_workbench.report.detectors import panels_of_groups
from snapcal_workbench.report.html import comparison_report, save_report
from snapcal_workbench.session.comparison import Comparison
from snapcal_workbench.session.iteration import Iteration


def write_iteration_report(
    folder: Path, iteration: Iteration, values: Mapping[str, Any], events: Events, mode: PixelMode, progress: Progress
) -> Path:
    """Write `report.html` and its pictures into `folder`.

    Args:
        folder: Made if it does not exist.
        iteration: The iteration.
        values: Its kept workspaces by role.
        events: The run it was made from.
        mode: How its pixels are counted.
        progress: Where to report to.

    Returns:
        Path of the HTML file.
    """
    return save_report(folder, report_contents(iteration, values, events, mode), progress)


def report_contents(iteration: Iteration, values: Mapping[str, Any], events: Events, mode: PixelMode) -> ReportContents:
    """What the report says of an iteration."""
    outcome = iteration.outcome
    return ReportContents(
        title=f"Diffraction calibration of run {iteration.run_number}, {iteration.name}",
        run_info=events.run,
        state_id=iteration.state_id,
        mode=mode,
        calibrant=iteration.request.calibrant,
        grouping=iteration.grouping_name,
        options=iteration.request.options,
        geometry=events.geometry,
        table_before=values["start"],
        table_after=values["table"],
        mask=values["mask"],
        pixel=_pixel(iteration, values["table"], values),
        groups=GroupCalibration(values["table"], values["mask"], iteration.fits_before, iteration.groups),
        spectra=values["output"],
        fitted=values["fitted"],
        peaks=iteration.peaks,
        final_fits=values["fit_table"],
        metrics=iteration.metrics,
        provenance={
            "Software": f"SNAPCal Workbench {__version__}",
            "Calibrated": iteration.started,
            "Duration": f"{iteration.seconds:.1f} s",
            "Started from": iteration.request.start_from,
            "Data": events.run.source,
        },
        warnings=outcome.warnings,
    )


def _pixel(iteration: Iteration, table: DiffCalTable, values: Mapping[str, Any]) -> PixelCalibration | None:
    pixel = iteration.outcome.pixel
    if pixel is None:
        return None
    return PixelCalibration(
        table, values["mask"], values["results"], tuple(iteration.passes), cast(StopReason, pixel.stop), pixel.message
    )


def write_comparison_report(folder: Path, comparison: Comparison, progress: Progress) -> Path:
    """Write the plots and the HTML page of a comparison into `folder`; returns the page."""
    first = comparison.entries[0]
    entries = {
        entry.label: ComparisonEntry(entry.metrics, entry.table, entry.mask)
        for entry in comparison.entries
        if entry.metrics is not None
    }
    panels = panels_of_groups(first.geometry, first.groups)
    return comparison_report(folder, entries, first.geometry, progress, panels=panels)


def export_spectra(path: Path, name: str, spectra: Spectra) -> list[Path]:
    """Write focused spectra as Mantid processed NeXus, and beside it as columns of text for a plot.

    Args:
        path: The NeXus file.
        name: Workspace name in the file.
        spectra: In d-spacing.

    Returns:
        Paths of the two files.

    Raises:
        StoreError: A file cannot be written.
    """
    text = path.with_suffix(".txt")
    try:
        write_processed(path, {name: spectra}, instrument="SNAP")
        _write_columns(text, spectra)
    except OSError as error:
        raise StoreError(
            f"The spectra cannot be written to {path}.", found=str(error), fix="Choose another place with --output."
        ) from error
    return [path, text]


def _write_columns(path: Path, spectra: Spectra) -> None:
    columns, titles = [], []
    for index, number in enumerate(spectra.number):
        edges = spectra.edges_of(index)
        columns += [0.5 * (edges[1:] + edges[:-1]), spectra.y[index], spectra.e[index]]
        titles += [f"d_{number} (A)", f"counts_{number}", f"error_{number}"]
    np.savetxt(path, np.column_stack(columns), header=", ".join(titles), fmt="%.8g")
