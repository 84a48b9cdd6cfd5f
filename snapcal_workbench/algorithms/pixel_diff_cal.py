"""PixelDiffCal: align the pixels of each group with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from snapcal_workbench.algorithms.ingredients import StepInputs, parameters_of, pixel_ingredients
from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    GroupParameters,
    PixelCalibration,
    PixelMap,
    PixelMask,
    PixelResults,
    as_dict,
)
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.algorithm import Algorithm, Parameters, makes
from snapcal_workbench.workspaces.protocol import Host


class Inputs(StepInputs):
    """Workspaces and options of the pixel calibration."""

    output_table: str = makes(DiffCalTable, "The aligned calibration table")
    output_mask: str = makes(PixelMask, "Pixels that are not used, with the reasons")
    output_results: str = makes(PixelResults, "Shift, error, events and goodness of fit of each pixel", optional=True)
    output_offsets: str = makes(PixelMap, "Offset of each pixel, in bins", optional=True)
    output_mask_reason: str = makes(PixelMap, "Why a pixel is masked (0: it is used)", optional=True)
    pixels: PixelOptions = PixelOptions()


class Outputs(Parameters):
    """How the pixel calibration went."""

    stop: str = Field(description="Why it stopped: converged, max iterations or diverging")
    message: str = Field(description="The reason in words")
    bin_width: float = Field(description="Relative width b of the bins in which offsets are counted")
    passes: list[dict[str, Any]] = Field(description="Figures of each pass")
    masked: dict[str, int] = Field(description="Number of masked pixels by reason")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Align the pixels; see `Inputs`."""
    ingredients = pixel_ingredients(host, inputs)
    parameters = parameters_of(ingredients, ingredients.mask, inputs.peaks)
    result = calibrate_pixels(
        ingredients.events,
        ingredients.table,
        ingredients.grouping,
        ingredients.mask,
        parameters,
        options=inputs.pixels,
        progress=progress,
    )
    bin_width = offset_bin(parameters, inputs.pixels)
    _write(inputs, host, result, bin_width)
    return Outputs(
        stop=result.stop,
        message=result.message,
        bin_width=bin_width,
        passes=[as_dict(record) for record in result.passes],
        masked={reason.text: count for reason, count in result.mask.counts().items()},
    )


def offset_bin(parameters: GroupParameters, options: PixelOptions) -> float:
    """Relative bin width b in which offsets are counted: the best group's resolution over the bins across it."""
    return float(np.min(parameters.delta_d)) / options.bins_per_delta_d


def _write(inputs: Inputs, host: Host, result: PixelCalibration, bin_width: float) -> None:
    workspaces = host.workspaces
    workspaces.write(inputs.output_table, result.table)
    workspaces.write(inputs.output_mask, result.mask)
    if inputs.output_results:
        workspaces.write(inputs.output_results, result.results)
    if inputs.output_offsets:
        offset = -result.results.shift / np.log1p(bin_width)
        workspaces.write(inputs.output_offsets, PixelMap(result.table.detid, offset, "offset (bins)"))
    if inputs.output_mask_reason:
        reason = result.mask.reason.astype(np.float64)
        workspaces.write(inputs.output_mask_reason, PixelMap(result.table.detid, reason, "mask reason"))


PIXEL_DIFF_CAL = Algorithm(
    "PixelDiffCal",
    "Aligns the pixels of each group with each other, pass by pass, until the offsets have converged.",
    Inputs,
    Outputs,
    run,
    ("GroupDiffCal", "CalibrateDiffraction", "CrossCorrelate", "GetDetectorOffsets"),
)
