"""Learning the moderator's profile from runs of a calibrant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snapcal_workbench.algorithms.ingredients import StepInputs, ingredients_of, pixel_mode, state_of, with_calibrant
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.groups.pattern.fit import UNKNOWN_PROFILE
from snapcal_workbench.calibration.groups.profile import combined_profile
from snapcal_workbench.calibration.types import DiffCalTable, Events, ModeratorProfile, PatternFit, PixelMask
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.instrument.calibrants import Calibrant, read_calibrant
from snapcal_workbench.instrument.groupings import read_grouping_named
from snapcal_workbench.instrument.identifying import run_request
from snapcal_workbench.instrument.moderator import write_moderator_profile
from snapcal_workbench.options import Request
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import Host

SCRATCH = "_snapcal_learn_profile"
"""Workspace that holds a run while it is learned from."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A learned profile, the fit of each run, and the file that it is kept in (None: not kept)."""

    profile: ModeratorProfile
    fits: tuple[PatternFit, ...]
    path: Path | None


def learn_profile(
    request: Request, runs: Sequence[str], host: Host, progress: Progress, *, keep: bool = True
) -> Learned:
    """Calibrate runs of a calibrant one by one, and keep what their joint fits say of the moderator together.

    Args:
        request: Calibrant, grouping, mode and options; its runs do not matter.
        runs: Run numbers or files, each calibrated for itself from the DIFC of the geometry.
        host: Where workspaces and files are.
        progress: Reported to.
        keep: Whether the profile becomes the instrument's next version, from the first of the runs on.

    Raises:
        InputError: No calibrant or no run is named, or peaks are to be fitted one by one.
        CalibrationError: A run does not allow a joint fit.
        SnapcalError: A run cannot be found or read, or the profile cannot be written.
        Cancelled: The user cancelled; nothing is kept.
    """
    if not request.calibrant or not runs:
        raise InputError(
            "A moderator's profile is learned from runs of a calibrant.",
            found=f"calibrant {request.calibrant!r}, {len(runs)} runs",
            fix="Name runs and calibrant: snapcal learn-profile 58882 58885 --calibrant Silicon_NIST_640d_001.",
        )
    if request.options.groups.method != "joint":
        raise InputError(
            "A moderator's profile comes from the joint fit.",
            found=f"method {request.options.groups.method!r}",
            fix="Leave the preset 'standard', or set --option groups.method=joint.",
        )
    sample = read_calibrant(request.calibrant, host.settings)
    fits, numbers = [], []
    for i, run in enumerate(runs):
        part = progress.part(i / len(runs), (i + 1) / len(runs))
        fit, number = _fit(request.model_copy(update={"runs": (run,), "workspace": ""}), sample, host, part)
        fits.append(fit)
        numbers.append(number)
    profile = combined_profile([fit.profile for fit in fits], UNKNOWN_PROFILE, numbers)
    path = None
    if keep:
        first = min((int(n.split("+")[0]) for n in numbers if n.split("+")[0].isdecimal()), default=0)
        path = write_moderator_profile(host.settings, profile, first)
    return Learned(profile, tuple(fits), path)


def _fit(request: Request, sample: Calibrant, host: Host, progress: Progress) -> tuple[PatternFit, str]:
    """The joint fit of one run that is calibrated as a whole, with no profile known before; and its number."""
    host.load_run(host.resolve(run_request(request, host.settings)), SCRATCH, progress.part(0.0, 0.3))
    try:
        events = host.workspaces.read(SCRATCH, Events)
    finally:
        host.workspaces.delete(SCRATCH)
    state, mode = state_of(events.run, host), pixel_mode(events.geometry, host)
    grouping = read_grouping_named(host.settings, state.state_id, mode, request.grouping, events.geometry)
    table, mask = DiffCalTable.from_geometry(events.geometry), PixelMask.none(events.geometry.detid)
    step = StepInputs(
        input_workspace=SCRATCH,
        grouping_workspace=grouping.name,
        peaks=request.options.peaks,
        delta_theta=request.options.delta_theta,
    )
    made = ingredients_of(events, grouping, table, mask, state, mode, step)
    ingredients, options = with_calibrant(
        made, sample, request.options, request.excluded_peaks, host.settings, progress
    )
    found = chain.calibrate(replace(ingredients, profile=UNKNOWN_PROFILE), options, progress.part(0.3, 1.0))
    if found.pattern is None:
        raise CalibrationError(
            f"Run {events.run.run_number} does not allow a joint fit.",
            found="no group with a pattern",
            fix="Choose runs of a calibrant with good counting statistics.",
        )
    return found.pattern, events.run.run_number
