"""ApplyCalibrationVersion: focus any run with a saved version's table and mask."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import StepInputs, check_pixels, pixel_ingredients
from snapcal_workbench.calibration.ingredients import focused, parameters_of
from snapcal_workbench.calibration.types import Spectra
from snapcal_workbench.instrument.cycles import beyond_cycle
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.references import open_version
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host


class Inputs(StepInputs):
    """Which version is applied to which run. Without a version, `previous_table` and the masks are applied."""

    version: str = Field(
        "", description="STATE/N or RUN:N; empty: the table and masks that are given as workspaces are applied"
    )
    verify: bool = Field(True, description="Check that no file was changed since the version was saved")
    output_workspace: str = makes(Spectra, "Focused spectra in d-spacing")


class Outputs(Parameters):
    """What was applied."""

    table: str = Field(description="Version, or name of the table that was applied")
    n_groups: int = Field(description="Number of focused spectra")
    n_masked: int = Field(description="Number of pixels that were left out")
    same_state: bool = Field(description="Whether the run is of the state that the version belongs to")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Focus a run; see `Inputs`."""
    found = pixel_ingredients(host, inputs)
    same_state = True
    if inputs.version:
        stored = open_version(host.settings, inputs.version, verify=inputs.verify, progress=progress)
        check_pixels(found.events, table=stored.table, mask=stored.mask)
        same_state = stored.state_id == found.sources.state_id
        if not same_state:
            progress.warn(
                f"Version {inputs.version} belongs to state {stored.state_id}, "
                f"but run {found.events.run.run_number} is of state {found.sources.state_id}."
            )
        beyond = beyond_cycle(host.settings, stored.entry.run_number, found.events.run.run_number)
        if beyond and stored.entry.version > 0:
            progress.warn(f"Version {inputs.version} is used beyond its cycle: {beyond}.")
        found = replace(found, table=stored.table, mask=found.mask.combined(stored.mask))
    options = CalibrationOptions(peaks=inputs.peaks, delta_theta=inputs.delta_theta)
    parameters = parameters_of(found, found.mask, inputs.peaks)
    spectra = focused(found, found.table, found.mask, parameters, options, progress)
    host.workspaces.write(inputs.output_workspace, spectra)
    return Outputs(
        table=inputs.version or inputs.previous_table or "geometry",
        n_groups=len(parameters),
        n_masked=int(found.mask.masked.sum()),
        same_state=same_state,
    )


APPLY_CALIBRATION_VERSION = Algorithm(
    "ApplyCalibrationVersion",
    "Focuses a run with the table and mask of a saved calibration version.",
    Inputs,
    Outputs,
    run,
    ("LoadCalibrationVersion", "AssessCalibration"),
)
