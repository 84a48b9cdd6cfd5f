"""What a version is made of, before it has a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    GroupMetrics,
    GroupParameters,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import CalibrationOptions


@dataclass(frozen=True, eq=False)
class VersionContents:
    """A calibration that is to be kept.

    Attributes:
        run_number: Of the calibrated run; several summed runs joined with "+".
        mode: How the pixels are counted.
        table: DIFC, DIFA, TZERO of every pixel.
        mask: Of the same pixels, with reasons.
        pixel_results: What the pixel calibration found; None where it was left out.
        spectra: Focused, in d-spacing, made with `table`; spectrum numbers are group ids.
        fits: Peaks fitted to `spectra`.
        parameters: Of the groups that have pixels in use.
        grouping: Of the same pixels.
        grouping_name: As "Column".
        grouping_definition: Path of the grouping file.
        peaks: Expected peaks by group id.
        metrics: Quality figures of the groups.
        state: State of the instrument.
        calibrant_path: Path of the calibrant's JSON file.
        options: Options of the calibration.
        provenance: What else is to be recorded; JSON values.
        attachments: Folder whose files are copied into the version.
    """

    run_number: str
    mode: PixelMode
    table: DiffCalTable
    mask: PixelMask
    pixel_results: PixelResults | None
    spectra: Spectra
    fits: FitTable
    parameters: GroupParameters
    grouping: PixelGrouping
    grouping_name: str
    grouping_definition: str
    peaks: Mapping[int, ExpectedPeaks]
    metrics: GroupMetrics
    state: InstrumentState
    calibrant_path: str
    options: CalibrationOptions
    provenance: Mapping[str, Any] = field(default_factory=dict)
    attachments: Path | None = None
