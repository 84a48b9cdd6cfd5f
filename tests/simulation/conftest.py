"""A simulated run that several tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import Reflections, RunInfo
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects, RunModel
from snapcal_workbench.simulation.run import model_of_run, truth_of, visible_reflections, write_run
from snapcal_workbench.simulation.tree import sample_text
from snapcal_workbench.simulation.truth import Truth

TIME_OFFSET = -8.0
SEED = 5
RUN = RunInfo(
    run_number="58882",
    title="silicon",
    start_time="2024-01-15T09:00:00-05:00",
    end_time="2024-01-15T09:05:00-05:00",
    duration=300.0,
    proton_charge=1e5,
    logs=SNAP_BEAMLINE.logs,
)


@pytest.fixture(scope="session")
def silicon() -> Reflections:
    """Reflections of silicon that a run can hold."""
    return visible_reflections(sample_text("Silicon_NIST_640d.cif"))


@dataclass(frozen=True, eq=False)
class Simulated:
    """A run on disk, its truth and its expectation."""

    path: Path
    truth: Truth
    model: RunModel

    def bank(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Pixel ids and TOF of a bank's events."""
        with h5py.File(self.path) as file:
            group = file[f"entry/{name}_events"]
            return group["event_id"][()].astype(np.int64), group["event_time_offset"][()].astype(np.float64)


@pytest.fixture(scope="session")
def simulated(silicon: Reflections, tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """A run of 4e6 events with all defects, the default misalignment and a time offset."""
    path = tmp_path_factory.mktemp("simulated") / "SNAP_58882.nxs.h5"
    model = model_of_run(
        reflections=silicon,
        n_events=4_000_000,
        seed=SEED,
        time_offset=TIME_OFFSET,
        misalignment=Misalignment(seed=3),
        defects=Defects(hot_pixels=3),
    )
    write_run(path, model, run_info=RUN, seed=SEED)
    return Simulated(path, truth_of(model), model)
