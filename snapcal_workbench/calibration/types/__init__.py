"""Value types of the calibration: frozen data classes over numpy arrays.

Words, axes and signs that hold everywhere in this package:

- A *pixel* is known by its detector id (`detid`); per-pixel arrays are in ascending order of detid, one entry a pixel.
- TOF is in microseconds, d-spacing in Angstrom, DIFC in us/A, DIFA in us/A^2, TZERO in us, lengths in m, angles in rad:
  TOF = DIFC d + DIFA d^2 + TZERO.
- A *shift* is s = ln(difc_new / difc_old): s > 0 when the spectrum lies at larger TOF/DIFC, so that DIFC must grow.
  Only outputs that are called `offset` use Mantid's convention: offset = -s / ln(1 + b), in bins of the log width b.
- A *group* is a set of pixels that are focused together; group 0 means "in no group".
- The arrays of a value are never changed after it is made: functions return new values.
"""

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray
from snapcal_workbench.calibration.types.calibration import (
    Account,
    Calibration,
    GroupStep,
    PixelStep,
    Sources,
    SourceText,
)
from snapcal_workbench.calibration.types.groups import (
    ExpectedPeaks,
    GroupParameters,
    ParticleBounds,
    Reflections,
    Resolution,
)
from snapcal_workbench.calibration.types.json_values import as_dict, from_dict
from snapcal_workbench.calibration.types.pattern import (
    Convention,
    ModeratorProfile,
    PatternFit,
    PatternLines,
    Phase,
    Prediction,
)
from snapcal_workbench.calibration.types.pixels import (
    DiffCalTable,
    Events,
    Geometry,
    MaskReason,
    Panels,
    PixelGrouping,
    PixelLayout,
    PixelMap,
    PixelMask,
)
from snapcal_workbench.calibration.types.results import (
    FitTable,
    GroupCalibration,
    GroupMetrics,
    GroupResults,
    PassRecord,
    PixelCalibration,
    PixelPass,
    PixelResults,
    StopReason,
)
from snapcal_workbench.calibration.types.runs import LogValue, RunInfo, TofWindow
from snapcal_workbench.calibration.types.sample import BeamFindings, CalibrantIndex, CellShift, Foreign
from snapcal_workbench.calibration.types.spectra import Spectra, Unit
from snapcal_workbench.calibration.types.verdict import GroupVerdict, Verdict, Word

__all__ = [
    "Account",
    "BeamFindings",
    "CalibrantIndex",
    "Calibration",
    "CellShift",
    "Convention",
    "DiffCalTable",
    "Events",
    "ExpectedPeaks",
    "FitTable",
    "FloatArray",
    "Foreign",
    "Geometry",
    "GroupCalibration",
    "GroupMetrics",
    "GroupParameters",
    "GroupResults",
    "GroupStep",
    "GroupVerdict",
    "IntArray",
    "LogValue",
    "MaskReason",
    "ModeratorProfile",
    "Panels",
    "ParticleBounds",
    "PassRecord",
    "PatternFit",
    "PatternLines",
    "Phase",
    "PixelCalibration",
    "PixelGrouping",
    "PixelLayout",
    "PixelMap",
    "PixelMask",
    "PixelPass",
    "PixelResults",
    "PixelStep",
    "Prediction",
    "Reflections",
    "Resolution",
    "RunInfo",
    "SourceText",
    "Sources",
    "Spectra",
    "StopReason",
    "TofWindow",
    "Unit",
    "Verdict",
    "Word",
    "as_dict",
    "from_dict",
]
