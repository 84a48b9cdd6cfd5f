"""From a request to events: find the files, know the state, place the pixels, read.

The state always follows from the native file. Merged pixels are made in memory by counting native events in them; the
facility's own lite file is read only where the settings ask for it. Several runs are summed if they were measured
in one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import Events, Geometry, IntArray, RunInfo, TofWindow
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.events import merge_events, read_events, read_run_info
from snapcal_workbench.formats.processed import read_processed
from snapcal_workbench.formats.run_logs import read_run_logs
from snapcal_workbench.instrument.course import in_own_units, require_instrument, settled, warn_of_moves
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.merging import pixel_of_id
from snapcal_workbench.instrument.model import Instrument, RunRequest
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.runs import RunFile, find_run, run_number_of
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.instrument.state_id import effective_schema, with_alternatives
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress


@dataclass(frozen=True)
class IdentifiedRun:
    """The files of a request, what their runs say of themselves (summed), and the state they were measured in."""

    files: tuple[RunFile, ...]
    info: RunInfo
    state: InstrumentState


def identify_run(request: RunRequest, settings: Settings, progress: Progress | None = None) -> IdentifiedRun:
    """Find the runs of a request and the instrument's state; reads no events.

    Raises:
        InputError: No run, a run given twice, runs of different states, or one whose state changes.
        NotFoundError: No such run; logs are missing; no instrument parameters.
        FileFormatError: A file is damaged, of another instrument, or is not of the run that its name says.
    """
    if not request.runs:
        raise InputError("At least one run is needed.", fix="Give a run number or the path of a NeXus file.")
    files = tuple(find_run(run, settings) for run in request.runs)
    identified = [_identify(file, settings, progress) for file in files]
    _check_distinct(files, [info for info, _ in identified])
    _check_one_state(identified, instrument_of(settings), progress or Progress())
    return IdentifiedRun(files, summed_info([info for info, _ in identified]), identified[0][1])


def load_events(
    request: RunRequest,
    settings: Settings,
    progress: Progress | None = None,
    *,
    identified: IdentifiedRun | None = None,
) -> Events:
    """Load the events of a request: TOF within the state's window, prompt pulses removed, sorted by pixel.

    Args:
        request: Runs and how their pixels are counted.
        settings: Where things are.
        progress: Reported to after each bank; raises `Cancelled` if the user has cancelled.
        identified: What `identify_run` returned for the same request, to save a second look.

    Raises:
        Those of `identify_run`, and FileFormatError for damaged events or a damaged map of merged pixels.
    """
    progress = progress or Progress()
    identified = identified or identify_run(request, settings, progress)
    mode = request.mode
    geometry = identified.state.geometry(mode)
    window = identified.state.window
    pixel_of = pixel_of_id(mode, settings, progress)
    if mode.merged and any(file.lite_path for file in identified.files):
        parts = _read_each(identified.files, geometry, window, pixel_of, progress)
        return replace(summed_events(parts), run=identified.info)
    paths = [file.path for file in identified.files]
    tof, start = read_events(paths, pixel_of=pixel_of, n_pixels=len(geometry), window=window, progress=progress)
    return Events(tof, start, geometry, window, identified.info)


def summed_info(infos: Sequence[RunInfo]) -> RunInfo:
    """What several runs say of themselves together: numbers and sources joined by "+", charges and durations added."""
    if len(infos) == 1:
        return infos[0]
    return replace(
        infos[0],
        run_number="+".join(info.run_number for info in infos),
        end_time=infos[-1].end_time,
        proton_charge=sum(info.proton_charge for info in infos),
        duration=sum(info.duration for info in infos),
        source=" + ".join(info.source for info in infos),
    )


def _identify(file: RunFile, settings: Settings, progress: Progress | None) -> tuple[RunInfo, InstrumentState]:
    info = read_run_info(file.path)
    number = _checked_number(file, info, settings)
    parameters = read_instrument_parameters(settings, number, progress)
    instrument, progress = instrument_of(settings), progress or Progress()
    known = instrument.logs
    schema = effective_schema(parameters.state_id_schema, known.schema)
    wanted = with_alternatives([*schema["properties"], *known.positions, known.wavelength], known.alternatives)
    course = read_run_logs(file.path, wanted)
    require_instrument(course, instrument)
    course = in_own_units(course, instrument, progress)
    logs = settled({k: v for k, v in info.logs.items() if k in wanted}, course, schema, instrument)
    info = replace(info, run_number=number, logs=logs, source=str(file.path))
    state = instrument_state(info, parameters, instrument)
    warn_of_moves(state, course, instrument, progress)
    return info, state


def _checked_number(file: RunFile, info: RunInfo, settings: Settings) -> str:
    stated = info.run_number.strip()
    stated = str(int(stated)) if stated.isdecimal() else stated
    if file.kind != "path" and stated != file.run_number:
        raise FileFormatError(
            f"The file of run {file.run_number} says that it is of another run.",
            found=f"run_number {stated!r} in {file.path}",
            fix="Ask the facility's data team about the file, or give its path to use it all the same.",
        )
    number = stated or file.run_number
    if not number:
        raise FileFormatError(
            "The file does not say of which run it is.",
            found=f"no run_number in {file.path}",
            fix=f"Name it {instrument_of(settings).files.prefix}<run>.nxs.h5, or use a file with /entry/run_number.",
        )
    return run_number_of(number, settings)


def _check_distinct(files: Sequence[RunFile], infos: Sequence[RunInfo]) -> None:
    numbers = [info.run_number for info in infos]
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        raise InputError(
            "Runs that are summed must be different ones.",
            found=f"run {', '.join(repeated)} more than once in {', '.join(str(file.path) for file in files)}",
            fix="Give each run once.",
        )


def _check_one_state(
    identified: Sequence[tuple[RunInfo, InstrumentState]], instrument: Instrument, progress: Progress
) -> None:
    if len({state.state_id for _, state in identified}) > 1:
        raise InputError(
            "Runs that are summed must have been measured in one state of the instrument.",
            found=", ".join(f"run {info.run_number}: state {state.state_id}" for info, state in identified),
            fix="Calibrate the runs of each state on their own.",
        )
    for log, tolerance in instrument.logs.positions.items():
        values = [float(state.detector_state.pvs[log]) for _, state in identified]
        if max(values) - min(values) > tolerance:
            progress.warn(f"{log} differs between the summed runs ({min(values)} to {max(values)}); the first counts.")


def _read_each(
    files: Sequence[RunFile], geometry: Geometry, window: TofWindow, pixel_of: IntArray | None, progress: Progress
) -> list[Events]:
    """Merged events of each run: from its lite file where there is one, else from the native file."""
    parts = []
    for i, file in enumerate(files):
        share = progress.part(i / len(files), (i + 1) / len(files))
        if file.lite_path:
            parts.append(_read_lite_file(file.lite_path, geometry, window))
            share.report(1.0, f"Read {file.lite_path.name}")
            continue
        tof, start = read_events(file.path, pixel_of=pixel_of, n_pixels=len(geometry), window=window, progress=share)
        parts.append(Events(tof, start, geometry, window))
    return parts


def summed_events(parts: Sequence[Events]) -> Events:
    """The events of all parts; of one without weights every event counts 1."""
    if len(parts) == 1:
        return parts[0]
    tof, start = merge_events([(part.tof, part.start) for part in parts])
    weight = None
    if any(part.weight is not None for part in parts):
        weights = [np.ones_like(part.tof) if part.weight is None else part.weight for part in parts]
        weight, _ = merge_events([(w, part.start) for w, part in zip(weights, parts, strict=True)])
    return replace(parts[0], tof=tof, start=start, weight=weight)


def _read_lite_file(path: Path, geometry: Geometry, window: TofWindow) -> Events:
    found = [value for value in read_processed(path).values() if isinstance(value, Events)]
    if len(found) != 1 or len(found[0].start) != len(geometry) + 1:
        raise FileFormatError(
            f"The lite file must hold the events of the {len(geometry)} lite pixels.",
            found=f"{path}: events of {', '.join(str(len(value.start) - 1) for value in found) or 'no'} pixels",
            fix="Set 'read_lite_from_ipts' to false: lite data are then made from the native file.",
        )
    return cropped(replace(found[0], geometry=geometry), window)


def cropped(events: Events, window: TofWindow) -> Events:
    """The events within a window and not in its gaps; both ends belong to it, compared in double precision."""
    keep = (events.tof >= np.float64(window.minimum)) & (events.tof <= np.float64(window.maximum))
    for low, high in window.gaps:
        keep &= (events.tof < np.float64(low)) | (events.tof > np.float64(high))
    start = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])[events.start]
    weight = None if events.weight is None else events.weight[keep]
    return replace(events, tof=events.tof[keep], start=start, weight=weight, window=window)
