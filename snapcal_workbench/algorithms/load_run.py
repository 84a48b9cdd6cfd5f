"""LoadCalibrationRun: a run, its grouping and the table to start from, into the workspace list."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from snapcal_workbench.algorithms.ingredients import pixel_mode, state_of
from snapcal_workbench.calibration.types import DiffCalTable, Events, PixelGrouping
from snapcal_workbench.instrument.groupings import read_grouping_named
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.options import Runs
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters, makes
from snapcal_workbench.workspaces.protocol import Algorithm, Host


class Inputs(Parameters):
    """Which run, and where to put it."""

    runs: Runs = Field(
        min_length=1, description="Run numbers or NeXus files; several are summed and must be of one state"
    )
    lite: bool = Field(True, description="Sum blocks of native pixels into lite ones, where the instrument has them")
    grouping: str = Field("", description="Name or file of the pixel grouping; empty: none is loaded")
    output_workspace: str = makes(Events, "The loaded run, in TOF")
    output_grouping: str = makes(PixelGrouping, "The pixel grouping", optional=True)
    output_table: str = makes(DiffCalTable, "DIFC as the geometry in the logs says", optional=True)


class Outputs(Parameters):
    """What was loaded."""

    run_number: str = Field(description="Run number, as the file says")
    title: str = Field(description="Title of the run")
    state_id: str = Field(description="Identifier of the instrument state")
    n_events: int = Field(description="Number of events that were kept")


def run(inputs: Inputs, host: Host, progress: Progress) -> Outputs:
    """Load the run; see `Inputs`."""
    request = RunRequest(tuple(_run_or_path(text) for text in inputs.runs), requested_mode(host.settings, inputs.lite))
    loaded = host.load_run(request, inputs.output_workspace, progress.part(0.0, 0.9))
    state = state_of(loaded.run, host)
    if inputs.output_grouping and inputs.grouping:
        grouping = read_grouping_named(
            host.settings, state.state_id, pixel_mode(loaded.geometry, host), inputs.grouping, loaded.geometry
        )
        host.workspaces.write(inputs.output_grouping, grouping)
    if inputs.output_table:
        host.workspaces.write(inputs.output_table, DiffCalTable.from_geometry(loaded.geometry))
    progress.report(1.0, "Loaded")
    return Outputs(
        run_number=loaded.run.run_number, title=loaded.run.title, state_id=state.state_id, n_events=loaded.n_events
    )


def _run_or_path(text: str) -> str | Path:
    return text if text.isdigit() else user_path(text)


LOAD_CALIBRATION_RUN = Algorithm(
    "LoadCalibrationRun",
    "Loads a run for a diffraction calibration, cropped to its neutrons, with merged (lite) pixels if asked.",
    Inputs,
    Outputs,
    run,
    ("PixelDiffCal", "CalibrateDiffraction", "LoadEventNexus"),
)
