"""What a report is made from: the value types that the pictures and tables of one calibration, or of several, need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    Foreign,
    Geometry,
    GroupCalibration,
    GroupMetrics,
    IntArray,
    PixelCalibration,
    PixelMask,
    RunInfo,
    Spectra,
    Verdict,
)
from snapcal_workbench.calibration.types.pattern import JointAccount
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import CalibrationOptions


@dataclass(frozen=True, eq=False)
class ReportContents:
    """One calibration.

    Attributes:
        title: Heading of the report.
        run_info: The run that was calibrated.
        state_id: Id of the instrument state.
        mode: How the pixels are counted.
        calibrant: Name of the calibrant.
        grouping: Name of the grouping.
        options: All options.
        geometry: Of the pixels.
        table_before: The table that the calibration started from.
        table_after: The result.
        mask: The result's mask.
        pixel: Result of the pixel step; None when it was skipped.
        groups: Result of the group step.
        spectra: Focused spectra after the correction, in d-spacing, numbered by group.
        fitted: Their fits, NaN outside the windows.
        peaks: Expected peaks by group id.
        final_fits: Fits of the peaks after the correction.
        metrics: Quality figures after the correction.
        provenance: Where all came from, in words: label and text.
        warnings: What the user was warned of.
        joint: Of the joint fit that the correction comes from; None where peaks were fitted one by one.
        verdict: What is to be thought of it; None where nothing was said.
        foreign: What else is in the beam.
    """

    title: str
    run_info: RunInfo
    state_id: str
    mode: PixelMode
    calibrant: str
    grouping: str
    options: CalibrationOptions
    geometry: Geometry
    table_before: DiffCalTable
    table_after: DiffCalTable
    mask: PixelMask
    pixel: PixelCalibration | None
    groups: GroupCalibration
    spectra: Spectra
    fitted: Spectra
    peaks: dict[int, ExpectedPeaks]
    final_fits: FitTable
    metrics: GroupMetrics
    provenance: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    joint: JointAccount | None = None
    verdict: Verdict | None = None
    foreign: Foreign = field(default_factory=Foreign)

    @property
    def group_ids(self) -> list[int]:
        """Ids of all groups that any part knows of, ascending."""
        known = (self.groups.results.group, self.spectra.number, self.metrics.group, np.array(list(self.peaks), int))
        return sorted({int(group) for ids in known for group in ids})

    @property
    def pixels_of_groups(self) -> dict[int, IntArray]:
        """Detector ids of the pixels in use of each group."""
        return {int(g): ids for g, ids in zip(self.spectra.number, self.spectra.detids, strict=True)}


@dataclass(frozen=True, eq=False)
class ComparisonEntry:
    """One calibration of several that are compared.

    Attributes:
        metrics: Quality figures of its groups.
        table: Its table.
        mask: Its mask.
        description: Where it comes from, in a few words.
    """

    metrics: GroupMetrics
    table: DiffCalTable
    mask: PixelMask
    description: str = ""
