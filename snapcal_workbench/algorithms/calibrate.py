"""CalibrateDiffraction: pixel and group calibration, repeated together until the groups' correction is small."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import FocusedInputs, peak_ingredients, write_focused
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.types import Calibration, DiffCalTable, PixelMap, PixelMask, PixelResults
from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host


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

    account: str = Field(description="What it was made from, every step, figures and warnings, as JSON text")
    good: bool = Field(description="Whether nothing speaks against it")
    verdict: str = Field(description="What is to be thought of it")
    repeats: int = Field(description="How often pixel and group calibration were made")
    warnings: list[str] = Field(description="What the user should look at")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Calibrate; see `Inputs`."""
    ingredients, options = peak_ingredients(host, inputs, progress, inputs.pixels)
    found = chain.calibrate(replace(ingredients, before=None), options, progress)
    write_calibration(inputs, host, found)
    account = found.account
    return Outputs(
        account=account.to_json(),
        good=account.verdict.good,
        verdict=account.verdict.text,
        repeats=len(account.group_steps),
        warnings=list(account.warnings),
    )


def write_calibration(inputs: Inputs, host: Host, found: Calibration) -> None:
    """Put all that is named into the workspace list; the account goes with the spectra and the mask."""
    workspaces = host.workspaces
    workspaces.write(inputs.output_table, found.table)
    workspaces.write(inputs.output_mask, replace(found.mask, account=found.account.to_json()))
    for name, value in (
        (inputs.output_results, found.results),
        (inputs.output_offsets, found.offsets),
        (inputs.output_mask_reason, found.mask_reason),
        (inputs.output_difc_change, found.difc_change),
    ):
        if name and value is not None:
            workspaces.write(name, value)
    write_focused(host, inputs, with_account(found.spectra, found.account), found.fits, found.fitted)


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


def output_names_as_inputs(names: OutputNames, *, skip_pixels: bool) -> dict[str, str]:
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
