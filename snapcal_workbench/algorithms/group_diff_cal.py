"""GroupDiffCal: put each group on the absolute scale by its Bragg peaks."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import FocusedInputs, peak_ingredients, write_focused
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.accounting import account_of_steps, other_phases
from snapcal_workbench.calibration.types import DiffCalTable, PixelMask
from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host


class Inputs(FocusedInputs):
    """Workspaces and options of the group calibration."""

    output_table: str = makes(DiffCalTable, "The corrected calibration table")
    output_mask: str = makes(PixelMask, "Pixels that are not used; groups that failed are added")


class Outputs(Parameters):
    """How the group calibration went."""

    correction: float = Field(description="Largest relative change of TOF that the step made to a group's pixels")
    recommendation: str = Field(description="Which model the criterion recommends, and why")
    account: str = Field(description="What it was made from, every step, figures and warnings, as JSON text")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Correct the groups; see `Inputs`."""
    warnings: list[str] = []
    progress = progress.remembering(warnings)
    ingredients, options = peak_ingredients(host, inputs, progress)
    start, mask = ingredients.table, ingredients.mask
    beam = chain.look_at_beam(ingredients, _staying(options), progress.part(0.0, 0.1)).findings
    found, step = chain.correct(ingredients, start, mask, options, progress.part(0.1, 0.5))
    for text in other_phases(step.foreign):
        progress.warn(text)
    part = progress.part(0.5, 1.0)
    after = chain.assess(
        ingredients, found.table, found.mask, options, part, foreign=step.foreign, pattern=found.pattern
    )
    account = account_of_steps(ingredients, options, found.table, found.mask, [], [step], after, warnings, beam=beam)
    host.workspaces.write(inputs.output_table, found.table)
    host.workspaces.write(inputs.output_mask, replace(found.mask, account=account.to_json()))
    write_focused(host, inputs, with_account(after.spectra, account), after.fits, after.fitted)
    return Outputs(correction=step.correction, recommendation=step.results.criterion, account=account.to_json())


def _staying(options: CalibrationOptions) -> CalibrationOptions:
    """The options with which no module is moved: the pixels are aligned already."""
    return options.model_copy(update={"pixels": options.pixels.model_copy(update={"search": False})})


GROUP_DIFF_CAL = Algorithm(
    "GroupDiffCal",
    "Fits the calibrant's Bragg peaks of each group's focused spectrum and corrects DIFC absolutely.",
    Inputs,
    Outputs,
    run,
    ("PixelDiffCal", "AssessCalibration", "PDCalibration", "CombineDiffCal"),
)
