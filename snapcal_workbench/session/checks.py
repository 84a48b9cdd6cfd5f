"""What can be said of a request before anything is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from snapcal_workbench.algorithms.ingredients import pixel_mode, state_of
from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.types import Events, PixelMask, RunInfo
from snapcal_workbench.errors import InputError, SnapcalError
from snapcal_workbench.instrument.calibrants import find_calibrants, read_calibrant
from snapcal_workbench.instrument.groupings import locate_grouping
from snapcal_workbench.instrument.identifying import identify_run, run_request
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import PRESETS, Request
from snapcal_workbench.paths import user_path
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.starting import iteration_number
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.summary import RunSummary, summarise_run, summary_of
from snapcal_workbench.workspaces.protocol import Host


class Problem(BaseModel):
    """Something that speaks against a request: beside which input to show it, how serious it is, and what helps.

    `command` does that in a shell.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    severity: Literal["error", "warning"]
    message: str
    fix: str = ""
    command: str = ""


def problem_of(field: str, error: SnapcalError) -> Problem:
    """An error as it is said beside an input."""
    found = f" Found: {error.found}".rstrip(".") + "." if error.found else ""
    return Problem(field=field, severity="error", message=error.what + found, fix=error.fix)


def identify(request: Request, host: Host, *, count: bool = False) -> RunSummary:
    """What is known of the request's run without reading its events; how many they are if asked for.

    Raises:
        SnapcalError: The run cannot be found or read, or its state cannot be told.
    """
    mode = requested_mode(host.settings, request.lite)
    if request.workspace:
        info, state = identified(request, host)
        return summary_of(info, state, mode, host.settings, files=(request.workspace,))
    return summarise_run(host.resolve(run_request(request, host.settings)), host.settings, count=count)


def identified(request: Request, host: Host) -> tuple[RunInfo, InstrumentState]:
    """The run of a request and its instrument state; errors as for `identify`."""
    if request.workspace:
        info = host.workspaces.read(request.workspace, Events).run
        return info, state_of(info, host)
    found = identify_run(host.resolve(run_request(request, host.settings)), host.settings)
    return found.info, found.state


def check_request(request: Request, host: Host, folders: IterationFolders) -> list[Problem]:
    """All problems of a request that can be found without reading events, each beside its input."""
    problems: list[Problem] = []
    for field, check in _checks(request, host, folders):
        try:
            check()
        except SnapcalError as error:
            problems.append(problem_of(field, error))
    if all(problem.field != "runs" for problem in problems):
        problems += _warnings(request, identify(request, host), host)
    return problems


def require(request: Request, host: Host, folders: IterationFolders) -> None:
    """Raise the first error of a request, before any time is spent on it."""
    for _, check in _checks(request, host, folders):
        check()


def _checks(request: Request, host: Host, folders: IterationFolders) -> list[tuple[str, Callable[[], object]]]:
    checks: list[tuple[str, Callable[[], object]]] = [
        ("workspace" if request.workspace else "runs", lambda: identify(request, host)),
        ("calibrant", lambda: _check_calibrant(request, host)),
        ("start_from", lambda: _check_start(request, host, folders)),
        ("masks", lambda: _check_masks(request, host)),
        ("grouping", lambda: _check_grouping(request, host)),
        ("session", folders.require_writable),
    ]
    if request.workspace:
        checks.insert(1, ("workspace", lambda: _check_workspace(request, host)))
    return checks


def _check_calibrant(request: Request, host: Host) -> None:
    if not request.calibrant:
        names = ", ".join(path.stem for path in find_calibrants(host.settings))
        raise InputError("A calibrant is needed.", found="none", fix=f"Choose one of: {names or 'none is there yet'}.")
    sample = read_calibrant(request.calibrant, host.settings)
    peaks = sample.apply(request.options).peaks
    found = reflections_from_cif(
        sample.cif_text, d_min=peaks.crystal_d_min, d_max=peaks.crystal_d_max, source=str(sample.cif_path)
    )
    if len(found) < request.options.groups.min_peaks:
        raise InputError(
            f"At least {request.options.groups.min_peaks} reflections are needed in a group.",
            found=f"{len(found)} in d = {peaks.crystal_d_min:g} to {peaks.crystal_d_max:g} A",
            fix="Widen the range of d-spacings or take another calibrant.",
        )


def _check_start(request: Request, host: Host, folders: IterationFolders) -> None:
    text = request.start_from.strip()
    number = iteration_number(text)
    if text in ("", "default") or text in host.workspaces.names():
        return
    if number is not None:
        folders.read(number)
    elif Path(text).suffix.lower() in (".h5", ".hdf", ".hdf5", ".nxs"):
        _check_file("calibration table", text)
    else:
        open_version(host.settings, text, verify=False)


def _check_masks(request: Request, host: Host) -> None:
    for mask in request.masks:
        if mask in host.workspaces.names():
            host.workspaces.read(mask, PixelMask)
        else:
            _check_file("mask", mask)


def _check_file(what: str, text: str) -> None:
    path = user_path(text)
    if not path.is_file():
        raise InputError(f"There is no {what} file {path}.", fix="Choose an existing file or a workspace.")


def _check_workspace(request: Request, host: Host) -> None:
    events = host.workspaces.read(request.workspace, Events)
    have, want = pixel_mode(events.geometry, host), requested_mode(host.settings, request.lite)
    if have is not want:
        raise InputError(
            f"The workspace has {have.name} pixels, but {want.name} ones are asked for.",
            fix=f"Switch the mode to {have.name}.",
        )


def _check_grouping(request: Request, host: Host) -> None:
    try:
        state_id = identify(request, host).state_id
    except SnapcalError:
        return  # said beside the run already
    locate_grouping(host.settings, state_id, requested_mode(host.settings, request.lite), request.grouping)


def _warnings(request: Request, summary: RunSummary, host: Host) -> list[Problem]:
    problems = overruled(request, host)
    if not summary.state_exists:
        problems.append(
            Problem(
                field="runs",
                severity="warning",
                message=f"State {summary.state_id} is not initialised: its calibrations cannot be saved yet.",
                fix="Initialise it, which makes its folder.",
                command=f"snapcal init-state {summary.run_number} --name NAME",
            )
        )
    reason = StateStore(host.settings, summary.state_id, requested_mode(host.settings, request.lite)).writable()
    if reason:
        problems.append(
            Problem(
                field="save",
                severity="warning",
                message=f"A calibration could not be saved: {reason.rstrip('.')}.",
                fix="Calibrate all the same and export it, or ask for write permission.",
            )
        )
    return problems


def overruled(request: Request, host: Host) -> list[Problem]:
    """What was asked for of the options that the calibrant fixes; an option with its default was not asked for."""
    try:
        sample = read_calibrant(request.calibrant, host.settings)
        told = set(sample.overruled(request.options)) - set(sample.overruled(PRESETS[request.preset]))
    except SnapcalError:
        return []  # said beside the calibrant already
    fix = "Leave the option out, or change the calibrant's file."
    return [Problem(field="calibrant", severity="warning", message=text, fix=fix) for text in sorted(told)]
