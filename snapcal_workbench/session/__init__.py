"""One person's calibration session, without any user interface."""

from snapcal_workbench.session.calibrant import CalibrantPreview
from snapcal_workbench.session.comparison import Comparison, Entry
from snapcal_workbench.session.core import Session
from snapcal_workbench.session.iteration import Iteration, UnreadableIteration
from snapcal_workbench.session.request import InputProblemError, Problem, Request, RunSummary, build_request

__all__ = [
    "CalibrantPreview",
    "Comparison",
    "Entry",
    "InputProblemError",
    "Iteration",
    "Problem",
    "Request",
    "RunSummary",
    "Session",
    "UnreadableIteration",
    "build_request",
]
