"""From a request to a run: find the files, and know what the run says of itself and the state of the instrument.

No events are read here, and nothing is needed that computes with them: it is what a command answers from at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from snapcal_workbench.calibration.types import RunInfo
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.disk.files import naming
from snapcal_workbench.formats.nexus.run_info import read_run_info
from snapcal_workbench.formats.nexus.run_logs import read_run_logs
from snapcal_workbench.instrument.course import in_own_units, require_instrument, settled, warn_of_moves
from snapcal_workbench.instrument.known import instrument_of, requested_mode
from snapcal_workbench.instrument.model import Instrument, RunRequest
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.runs import RunFile, find_run, run_number_of
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.instrument.state_id import effective_schema, with_alternatives
from snapcal_workbench.options import Request, Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress


@dataclass(frozen=True)
class IdentifiedRun:
    """The files of a request, what their runs say of themselves (summed), and the state they were measured in."""

    files: tuple[RunFile, ...]
    info: RunInfo
    state: InstrumentState


def run_request(request: Request, settings: Settings) -> RunRequest:
    """The runs of a request, as numbers or paths.

    Raises:
        InputError: It names no run.
    """
    if not request.runs:
        raise InputError("A run is needed.", found="no run", fix="Give a run number, a NeXus file or a workspace.")
    runs = tuple(text if text.isdigit() else user_path(text) for text in request.runs)
    return RunRequest(runs, requested_mode(settings, request.lite))


def identify_run(request: RunRequest, settings: Settings, progress: Progress | None = None) -> IdentifiedRun:
    """Find the runs of a request and the instrument's state; reads no events.

    Raises:
        InputError: No run, a run given twice, or runs of different states, or one whose state changes.
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
    with naming(file.path):
        number = _checked_number(file, info, settings)
    parameters = read_instrument_parameters(settings, number, progress)
    instrument, progress = instrument_of(settings), progress or Progress()
    known = instrument.logs
    schema = effective_schema(parameters.state_id_schema, known.schema)
    wanted = with_alternatives([*schema["properties"], *known.positions, known.wavelength], known.alternatives)
    course = read_run_logs(file.path, frozenset(wanted))
    require_instrument(course, instrument)
    with naming(file.path):
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
        values = [state.detector_state.number(log) for _, state in identified]
        if max(values) - min(values) > tolerance:
            progress.warn(f"{log} differs between the summed runs ({min(values)} to {max(values)}); the first counts.")
