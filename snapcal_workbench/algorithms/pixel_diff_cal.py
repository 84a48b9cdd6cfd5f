"""PixelDiffCal: align the pixels of each group with each other."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import StepInputs, pixel_ingredients
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.accounting import account_of_steps
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    PixelCalibration,
    PixelMap,
    PixelMask,
    PixelResults,
    PixelStep,
)
from snapcal_workbench.calibration.types.calibration import offset_map, reason_map
from snapcal_workbench.options import CalibrationOptions, PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host


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
    account: str = Field(description="What it was made from, every step and warning, as JSON text")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Align the pixels; see `Inputs`."""
    warnings: list[str] = []
    ingredients = pixel_ingredients(host, inputs)
    options = CalibrationOptions(peaks=inputs.peaks, pixels=inputs.pixels, delta_theta=inputs.delta_theta)
    found, step = chain.align(ingredients, ingredients.table, ingredients.mask, options, progress.remembering(warnings))
    if not step.converged:
        progress.warn(step.message)
    account = account_of_steps(ingredients, options, found.table, found.mask, [step], [], None, warnings)
    _write(inputs, host, found, step, account.to_json())
    return Outputs(stop=step.stop, message=step.message, bin_width=step.bin_width, account=account.to_json())


def _write(inputs: Inputs, host: Host, found: PixelCalibration, step: PixelStep, account: str) -> None:
    workspaces = host.workspaces
    workspaces.write(inputs.output_table, found.table)
    workspaces.write(inputs.output_mask, replace(found.mask, account=account))
    if inputs.output_results:
        workspaces.write(inputs.output_results, found.results)
    if inputs.output_offsets:
        workspaces.write(inputs.output_offsets, offset_map(found.results, step.bin_width))
    if inputs.output_mask_reason:
        workspaces.write(inputs.output_mask_reason, reason_map(found.mask))


PIXEL_DIFF_CAL = Algorithm(
    "PixelDiffCal",
    "Aligns the pixels of each group with each other, pass by pass, until the offsets have converged.",
    Inputs,
    Outputs,
    run,
    ("GroupDiffCal", "CalibrateDiffraction", "CrossCorrelate", "GetDetectorOffsets"),
)
