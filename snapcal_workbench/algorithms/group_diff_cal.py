"""GroupDiffCal: put each group on the absolute scale by its Bragg peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from snapcal_workbench.algorithms.assessment import (
    FocusedInputs,
    assess,
    focused,
    peak_fit_options,
    write_diagnostics,
)
from snapcal_workbench.algorithms.ingredients import PixelIngredients, parameters_of, peaks_of, pixel_ingredients
from snapcal_workbench.calibration.groups.group import calibrate_groups
from snapcal_workbench.calibration.types import DiffCalTable, GroupCalibration, GroupParameters, PixelMask, as_dict
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.algorithm import Algorithm, Parameters, makes
from snapcal_workbench.workspaces.protocol import Host


class Inputs(FocusedInputs):
    """Workspaces and options of the group calibration."""

    output_table: str = makes(DiffCalTable, "The corrected calibration table")
    output_mask: str = makes(PixelMask, "Pixels that are not used; groups that failed are added")


class Outputs(Parameters):
    """How the group calibration went."""

    groups: dict[str, Any] = Field(description="Fitted terms of each group (GroupResults)")
    metrics: dict[str, Any] = Field(description="Quality figures of each group after the correction (GroupMetrics)")
    fits_before: dict[str, Any] = Field(description="Fitted peaks before the correction (FitTable)")
    parameters: dict[str, Any] = Field(description="Position, resolution and limits of each group (GroupParameters)")
    peaks: list[dict[str, Any]] = Field(description="Expected peaks of each group (ExpectedPeaks)")
    correction: float = Field(description="Largest relative change of TOF that the step made to a group's pixels")
    recommendation: str = Field(description="Which model the criterion recommends, and why")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Correct the groups; see `Inputs`."""
    ingredients = pixel_ingredients(host, inputs)
    parameters = parameters_of(ingredients, ingredients.mask, inputs.peaks)
    result = _correct(inputs, host, ingredients, parameters, progress.part(0.0, 0.5))
    after = assess(host, inputs, ingredients, result.table, result.mask, progress=progress.part(0.5, 1.0))
    host.workspaces.write(inputs.output_table, result.table)
    host.workspaces.write(inputs.output_mask, result.mask)
    write_diagnostics(host, inputs, after)
    return Outputs(
        groups=as_dict(result.results),
        metrics=as_dict(after.metrics),
        fits_before=as_dict(result.fits),
        parameters=as_dict(after.parameters),
        peaks=[as_dict(peaks) for peaks in after.peaks.values()],
        correction=largest_correction(ingredients, result, parameters),
        recommendation=result.results.criterion,
    )


def _correct(
    inputs: Inputs, host: Host, ingredients: PixelIngredients, parameters: GroupParameters, progress: Progress
) -> GroupCalibration:
    peaks = peaks_of(host, inputs.calibrant, parameters, inputs.peaks, inputs.excluded_peaks, progress)
    spectra = focused(ingredients, ingredients.table, ingredients.mask, parameters, progress=progress.part(0.0, 0.5))
    return calibrate_groups(
        spectra,
        ingredients.table,
        ingredients.grouping,
        ingredients.mask,
        parameters,
        peaks,
        options=peak_fit_options(host, inputs),
        progress=progress.part(0.5, 1.0),
    )


def largest_correction(ingredients: PixelIngredients, result: GroupCalibration, parameters: GroupParameters) -> float:
    """Largest over the groups of the median relative change of TOF, at the middle of the group's d range."""
    before, after, changes = ingredients.table, result.table, [0.0]
    middle = np.sqrt(parameters.d_min * parameters.d_max)
    for group, d in zip(parameters.group, middle, strict=True):
        use = (ingredients.grouping.group == group) & ~result.mask.masked
        if use.any():
            old = tof_from_d(d, difc=before.difc[use], difa=before.difa[use], tzero=before.tzero[use])
            new = tof_from_d(d, difc=after.difc[use], difa=after.difa[use], tzero=after.tzero[use])
            changes.append(abs(float(np.median(new / old - 1.0))))
    return max(changes)


GROUP_DIFF_CAL = Algorithm(
    "GroupDiffCal",
    "Fits the calibrant's Bragg peaks of each group's focused spectrum and corrects DIFC absolutely.",
    Inputs,
    Outputs,
    run,
    ("PixelDiffCal", "AssessCalibration", "PDCalibration", "CombineDiffCal"),
)
