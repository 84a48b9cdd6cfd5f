"""What a scientist asks for: inputs and options of a calibration, and the settings: where things are."""

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
from snapcal_workbench.options.request import ExcludedPeak, Request, build_request, in_words
from snapcal_workbench.options.runs import MOST_RUNS, Runs, expand_runs
from snapcal_workbench.options.settings import ENVIRONMENT_PREFIX, BeamCycle, BeyondCycle, Home, IndexLayout, Settings
from snapcal_workbench.options.tree import Leaf, flattened, leaves, nested, value_at

__all__ = [
    "ENVIRONMENT_PREFIX",
    "MOST_RUNS",
    "PRESETS",
    "BeamCycle",
    "BeyondCycle",
    "CalibrationOptions",
    "EstimatorName",
    "ExcludedPeak",
    "GroupModel",
    "GroupOptions",
    "Home",
    "IndexLayout",
    "Leaf",
    "PeakFunction",
    "PeakOptions",
    "PixelOptions",
    "PresetName",
    "Reference",
    "Request",
    "Runs",
    "Settings",
    "build_request",
    "expand_runs",
    "flattened",
    "in_words",
    "leaves",
    "nested",
    "value_at",
]
