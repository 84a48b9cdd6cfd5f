"""All algorithms by name."""

from __future__ import annotations

from snapcal_workbench.algorithms.apply_version import APPLY_CALIBRATION_VERSION
from snapcal_workbench.algorithms.assess import ASSESS_CALIBRATION
from snapcal_workbench.algorithms.calibrate import CALIBRATE_DIFFRACTION
from snapcal_workbench.algorithms.group_diff_cal import GROUP_DIFF_CAL
from snapcal_workbench.algorithms.load_run import LOAD_CALIBRATION_RUN
from snapcal_workbench.algorithms.load_version import LOAD_CALIBRATION_VERSION
from snapcal_workbench.algorithms.pixel_diff_cal import PIXEL_DIFF_CAL
from snapcal_workbench.algorithms.save_version import SAVE_CALIBRATION_VERSION
from snapcal_workbench.workspaces.protocol import Algorithm

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        LOAD_CALIBRATION_RUN,
        PIXEL_DIFF_CAL,
        GROUP_DIFF_CAL,
        CALIBRATE_DIFFRACTION,
        ASSESS_CALIBRATION,
        SAVE_CALIBRATION_VERSION,
        LOAD_CALIBRATION_VERSION,
        APPLY_CALIBRATION_VERSION,
    )
}
