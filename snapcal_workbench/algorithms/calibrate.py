"""CalibrateDiffraction: pixel and group calibration, repeated together until the groups' correction is small."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from snapcal_workbench.algorithms import group_diff_cal, pixel_diff_cal
from snapcal_workbench.algorithms.assessment import FocusedInputs
from snapcal_workbench.algorithms.ingredients import PixelIngredients, pixel_ingredients
from snapcal_workbench.calibration.types import DiffCalTable, PixelMap, PixelMask, PixelResults
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.algorithm import Algorithm, Parameters, makes
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.protocol import Host

MAP_D = 1.5
"""The d-spacing (A) at which the change of the calibration is mapped: the middle of SNAP's range."""


class Inputs(FocusedInputs):
    """Workspaces and options of the whole calibration."""

    output_table: str = makes(DiffCalTable, "The calibration table")
    output_mask: str = makes(PixelMask, "Pixels that are not used, with the reasons")
    output_results: str = makes(PixelResults, "Shift, error, events and goodness of fit of each pixel", optional=True)
    output_offsets: str = makes(PixelMap, "Offset of each pixel, in bins", optional=True)
    output_difc_change: str = makes(
        PixelMap, "Change of the calibration of each pixel against the start, ppm", optional=True
    )
    output_mask_reason: str = makes(PixelMap, "Why a pixel is masked (0: it is used)", optional=True)
    pixels: PixelOptions = PixelOptions()


class Outputs(Parameters):
    """How the calibration went."""

    pixel: pixel_diff_cal.Outputs | None = Field(description="The first pixel calibration; nothing where left out")
    group: group_diff_cal.Outputs = Field(
        description="The group calibration: terms as first fitted, figures after the last repetition"
    )
    masked: dict[str, int] = Field(description="Number of masked pixels by reason")
    n_pixels: int = Field(description="Number of pixels in the groups")
    repeats: int = Field(description="How often pixel and group calibration were made")
    warnings: list[str] = Field(description="What the user should look at")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Calibrate; see `Inputs`."""
    warnings: list[str] = []
    progress = progress.remembering(warnings)
    start = pixel_ingredients(host, inputs)
    pixel: pixel_diff_cal.Outputs | None = None
    first: group_diff_cal.Outputs | None = None
    repeats = 1 if inputs.pixels.skip else inputs.groups.repeats
    previous, masks = inputs.previous_table, inputs.mask_workspaces
    for number in range(1, repeats + 1):
        part = progress.part(_done(number - 1), _done(number) if number < repeats else 1.0)
        if number > 1:
            progress.inform("Pixels and groups once more, from the corrected table")
        if not inputs.pixels.skip:
            found = _pixel_step(inputs, host, previous, masks, first=number == 1, progress=part.part(0.0, 0.7))
            pixel = pixel or found
            previous, masks = inputs.output_table, (inputs.output_mask,)
        group = _group_step(inputs, host, previous, masks, part.part(0.7, 1.0))
        first = group if first is None else first
        previous, masks = inputs.output_table, (inputs.output_mask,)
        if group.correction < inputs.groups.tolerance:
            break
    _write_maps(inputs, host, start)
    masked, n_pixels = _mask_figures(inputs, host, start)
    if pixel is not None and pixel.stop != "converged":
        warnings.insert(0, pixel.message)
    return Outputs(
        pixel=pixel,
        group=_whole_correction(first, group),
        masked=masked,
        n_pixels=n_pixels,
        repeats=number,
        warnings=warnings,
    )


def _whole_correction(first: group_diff_cal.Outputs | None, last: group_diff_cal.Outputs) -> group_diff_cal.Outputs:
    """What the repetitions did together: the first makes the correction, later ones find what little is left."""
    if first is None:
        return last
    kept = ("groups", "fits_before", "correction", "recommendation")
    return last.model_copy(update={name: getattr(first, name) for name in kept})


def _done(number: int) -> float:
    """Fraction of the work behind us after `number` repetitions: the first is by far the longest."""
    return 1.0 - 0.35**number


def _pixel_step(
    inputs: Inputs, host: Host, previous: str, masks: tuple[str, ...], *, first: bool, progress: Progress
) -> pixel_diff_cal.Outputs:
    before = host.workspaces.read(inputs.output_results, PixelResults) if inputs.output_results and not first else None
    found = host.run(
        pixel_diff_cal.PIXEL_DIFF_CAL,
        pixel_diff_cal.Inputs(
            input_workspace=inputs.input_workspace,
            grouping_workspace=inputs.grouping_workspace,
            previous_table=previous,
            mask_workspaces=masks,
            peaks=inputs.peaks,
            delta_theta=inputs.delta_theta,
            pixels=inputs.pixels,
            output_table=inputs.output_table,
            output_mask=inputs.output_mask,
            output_results=inputs.output_results,
            output_offsets=inputs.output_offsets,
            output_mask_reason=inputs.output_mask_reason,
        ),
        progress,
    )
    if before is not None:
        _add_shifts(inputs, host, before, found.bin_width)
    return found


def _add_shifts(inputs: Inputs, host: Host, before: PixelResults, bin_width: float) -> None:
    """Make the results of a repeated pixel step count from the table that the calibration started from."""
    after = host.workspaces.read(inputs.output_results, PixelResults)
    used = after.reason == 0
    total = np.where(used, before.shift + after.shift, 0.0)
    own = np.where(used, before.shift + after.own_shift, 0.0)
    host.workspaces.write(
        inputs.output_results,
        PixelResults(after.detid, total, after.sigma, own, after.own_sigma, after.events, after.chi2, after.reason),
    )
    if inputs.output_offsets:
        host.workspaces.write(
            inputs.output_offsets, PixelMap(after.detid, -total / np.log1p(bin_width), "offset (bins)")
        )


def _group_step(
    inputs: Inputs, host: Host, previous: str, masks: tuple[str, ...], progress: Progress
) -> group_diff_cal.Outputs:
    names = set(FocusedInputs.model_fields) - {"previous_table", "mask_workspaces"}
    return host.run(
        group_diff_cal.GROUP_DIFF_CAL,
        group_diff_cal.Inputs(
            **{name: getattr(inputs, name) for name in names},
            previous_table=previous,
            mask_workspaces=masks,
            output_table=inputs.output_table,
            output_mask=inputs.output_mask,
        ),
        progress,
    )


def _write_maps(inputs: Inputs, host: Host, start: PixelIngredients) -> None:
    """Map the change of the calibration (at `MAP_D`) and the final mask."""
    mask = host.workspaces.read(inputs.output_mask, PixelMask)
    if inputs.output_mask_reason:
        host.workspaces.write(
            inputs.output_mask_reason, PixelMap(mask.detid, mask.reason.astype(np.float64), "mask reason")
        )
    if inputs.output_difc_change:
        after = host.workspaces.read(inputs.output_table, DiffCalTable)
        host.workspaces.write(inputs.output_difc_change, change_map(start.table, after))


def change_map(before: DiffCalTable, after: DiffCalTable) -> PixelMap:
    """Relative change of each pixel's TOF at `MAP_D`, in ppm: of DIFC, where the other terms did not change."""
    d = np.full(len(before), MAP_D)
    old, new = (tof_from_d(d, difc=t.difc, difa=t.difa, tzero=t.tzero) for t in (before, after))
    return PixelMap(after.detid, 1e6 * (new / old - 1.0), "DIFC change (ppm)")


def _mask_figures(inputs: Inputs, host: Host, start: PixelIngredients) -> tuple[dict[str, int], int]:
    grouped = start.grouping.group > 0
    mask = host.workspaces.read(inputs.output_mask, PixelMask)
    counted = PixelMask(mask.detid[grouped], mask.reason[grouped])
    return {reason.text: count for reason, count in counted.counts().items()}, int(grouped.sum())


OUTPUT_FIELDS = {
    "table": "output_table",
    "mask": "output_mask",
    "output": "output_workspace",
    "fit_table": "output_fits",
    "fitted": "output_fitted",
    "results": "output_results",
    "offsets": "output_offsets",
    "difc_change": "output_difc_change",
    "mask_reason": "output_mask_reason",
    "diagnostic": "output_diagnostic",
}
"""Output field of `Inputs` by role, see `workspaces.names.OutputNames.roles`."""


def output_names_as_inputs(names: OutputNames, *, skip_pixels: bool) -> dict[str, Any]:
    """The output fields of `Inputs`, named as `OutputNames` says; those of a pixel step that is left out are empty."""
    left_out = {"results", "offsets"} if skip_pixels else set()
    roles = names.roles()
    return {field: "" if role in left_out else roles[role] for role, field in OUTPUT_FIELDS.items()}


CALIBRATE_DIFFRACTION = Algorithm(
    "CalibrateDiffraction",
    "Calibrates a run: aligns the pixels, corrects the groups by known Bragg peaks, and assesses the result.",
    Inputs,
    Outputs,
    run,
    ("PixelDiffCal", "GroupDiffCal", "SaveCalibrationVersion"),
)
