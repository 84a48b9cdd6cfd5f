"""One person's calibration session, without any user interface."""

from snapcal_workbench.options import Request, build_request
from snapcal_workbench.session.calibrant import CalibrantPreview
from snapcal_workbench.session.checks import Problem
from snapcal_workbench.session.comparison import Comparison, Entry
from snapcal_workbench.session.core import Session
from snapcal_workbench.session.iterations.iteration import Iteration, UnreadableIteration
from snapcal_workbench.store.summary import RunSummary

__all__ = [
    "CalibrantPreview",
    "Comparison",
    "Entry",
    "Iteration",
    "Problem",
    "Request",
    "RunSummary",
    "Session",
    "UnreadableIteration",
    "build_request",
]
