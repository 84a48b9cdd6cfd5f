"""AssessCalibration: quality figures of a run with any calibration table and mask."""

from __future__ import annotations

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import FocusedInputs, peak_ingredients, write_focused
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.types import as_dict
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters
from snapcal_workbench.workspaces.protocol import Algorithm, Host


class Inputs(FocusedInputs):
    """What is assessed."""


class Outputs(Parameters):
    """The quality figures."""

    metrics: dict[str, object] = Field(description="Quality figures of each group (GroupMetrics)")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Assess a calibration; see `Inputs`."""
    ingredients, options = peak_ingredients(host, inputs, progress)
    found = chain.assess(ingredients, ingredients.table, ingredients.mask, options, progress)
    write_focused(host, inputs, found.spectra, found.fits, found.fitted)
    return Outputs(metrics=as_dict(found.metrics))


ASSESS_CALIBRATION = Algorithm(
    "AssessCalibration",
    "Focuses a run with a calibration, fits the calibrant's peaks and reports strain, width and chi-squared.",
    Inputs,
    Outputs,
    run,
    ("GroupDiffCal", "ApplyCalibrationVersion"),
)
