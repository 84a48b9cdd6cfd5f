"""LoadCalibrationVersion: a saved version into the workspace list."""

from __future__ import annotations

from pydantic import Field

from snapcal_workbench.calibration.types import DiffCalTable, FitTable, PixelMask, PixelResults, Spectra
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.references import open_version
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host, Value


class Inputs(Parameters):
    """Which version, and where to put it."""

    version: str = Field(
        min_length=1, description="STATE/N or RUN:N, with 'lite/' or 'native/' before it where both modes have it"
    )
    verify: bool = Field(True, description="Check that no file was changed since the version was saved")
    output_table: str = makes(DiffCalTable, "The calibration table")
    output_mask: str = makes(PixelMask, "Pixels that are not used")
    output_spectra: str = makes(Spectra, "Focused spectra in d-spacing", optional=True)
    output_fits: str = makes(FitTable, "Fitted peaks", optional=True)
    output_results: str = makes(PixelResults, "Results of the pixel calibration", optional=True)


class Outputs(Parameters):
    """What was loaded."""

    state_id: str = Field(description="Identifier of the instrument state")
    version: int = Field(description="Number of the version")
    lite: bool = Field(description="Whether it is of lite pixels")
    path: str = Field(description="Its folder")
    entry: dict[str, object] = Field(description="Its index entry")
    loaded: list[str] = Field(description="Names of the workspaces that were made")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Load a version; see `Inputs`. What the version does not have (its spectra, say) is left out."""
    stored = open_version(host.settings, inputs.version, verify=inputs.verify, progress=progress)
    progress.report(0.5, f"Read version {stored.entry.version}")
    values: dict[str, Value | None] = {
        inputs.output_table: stored.table,
        inputs.output_mask: stored.mask,
        inputs.output_spectra: stored.spectra if inputs.output_spectra else None,
        inputs.output_fits: stored.fits if inputs.output_fits else None,
        inputs.output_results: stored.pixel_results if inputs.output_results else None,
    }
    loaded = []
    for name, value in values.items():
        if name and value is not None:
            host.workspaces.write(name, value)
            loaded.append(name)
    return Outputs(
        state_id=stored.state_id,
        version=stored.entry.version,
        lite=stored.entry.use_lite_mode,
        path=str(stored.path),
        entry=stored.entry.model_dump(mode="json", by_alias=True),
        loaded=loaded,
    )


LOAD_CALIBRATION_VERSION = Algorithm(
    "LoadCalibrationVersion",
    "Loads the table, mask, spectra and fits of a saved calibration version.",
    Inputs,
    Outputs,
    run,
    ("SaveCalibrationVersion", "ApplyCalibrationVersion", "LoadDiffCal"),
)
