"""Options of the calibration, and the settings: where things are."""

from snapcal_workbench.options.model import (
    PRESETS,
    CalibrationOptions,
    EstimatorName,
    GroupModel,
    GroupOptions,
    PeakFunction,
    PeakOptions,
    PixelOptions,
    PresetName,
    Reference,
)
from snapcal_workbench.options.settings import ENVIRONMENT_PREFIX, Home, IndexLayout, Settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "PRESETS",
    "CalibrationOptions",
    "EstimatorName",
    "GroupModel",
    "GroupOptions",
    "Home",
    "IndexLayout",
    "PeakFunction",
    "PeakOptions",
    "PixelOptions",
    "PresetName",
    "Reference",
    "Settings",
]
