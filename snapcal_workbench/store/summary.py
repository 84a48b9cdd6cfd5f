"""What is known of a run and its state before any events are read: files, logs, groupings, versions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from snapcal_workbench.calibration.types import RunInfo
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.nexus.event_count import count_events
from snapcal_workbench.instrument.groupings import groupings_of_state
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import PixelMode, RunRequest
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.instrument.state_id import log_value
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.layout import PARAMETERS
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.record import parse_parameters


class RunSummary(BaseModel):
    """What was found about the run of a request, without reading its events."""

    model_config = ConfigDict(frozen=True)

    run_number: str
    title: str
    start_time: str
    proton_charge: float = Field(description="Microampere hours")
    state_id: str
    state_values: dict[str, object] = Field(description="The values that make the state id")
    state_exists: bool
    state_name: str = Field("", description="What people call the state")
    wavelength: float | None = Field(None, description="Centre of the wavelength band, A")
    arcs: tuple[float, ...] = Field((), description="Angles of the detector arcs, degrees")
    events: int | None = Field(None, description="Events in the files; None where they are not counted")
    ipts: str
    files: tuple[str, ...]
    groupings: tuple[str, ...]
    n_versions: int = Field(description="Saved versions: all but the default")
    n_retired: int = Field(0, description="Of these, retired ones")
    applies: dict[int, int | None] = Field(
        default_factory=dict, description="Version that applies to each run: 0 for the default, None for none"
    )
    warnings: tuple[str, ...] = Field((), description="What is odd about the run, such as detectors that moved")


def summarise_run(request: RunRequest, settings: Settings, *, count: bool = False) -> RunSummary:
    """What is known of the runs of a request; the number of its events if asked for, which opens each file once more.

    Raises:
        SnapcalError: A run cannot be found or read, or its state cannot be told.
    """
    warnings: list[str] = []
    found = identify_run(request, settings, Progress().remembering(warnings))
    ipts = next((str(file.ipts) for file in found.files if file.ipts is not None), "")
    files = tuple(str(file.path) for file in found.files)
    counts = [count_events(file.path) if count else None for file in found.files]
    events = None if None in counts else sum(filter(None, counts))
    summary = summary_of(found.info, found.state, request.mode, settings, ipts=ipts, files=files)
    return summary.model_copy(update={"warnings": tuple(warnings), "events": events})


def summary_of(
    info: RunInfo,
    state: InstrumentState,
    mode: PixelMode,
    settings: Settings,
    *,
    ipts: str = "",
    files: tuple[str, ...] = (),
) -> RunSummary:
    """What is known of a run whose state is known.

    Args:
        info: What the run says of itself.
        state: The instrument's state.
        mode: How its pixels are counted.
        settings: Where things are.
        ipts: Folder of the proposal.
        files: Where the run is.
    """
    exists = (settings.powder_home / state.state_id).is_dir()
    store = StateStore(settings, state.state_id, mode)
    saved = [entry for entry in store.entries() if entry.version] if exists else []
    runs = [int(run) for run in info.run_number.split("+")] if exists else []
    chosen = {run: store.choose(run) for run in runs}
    return RunSummary(
        run_number=info.run_number,
        title=info.title,
        start_time=info.start_time,
        proton_charge=info.proton_charge,
        state_id=state.state_id,
        state_values=dict(state.detector_state.pvs),
        state_exists=exists,
        ipts=ipts,
        files=files,
        groupings=tuple(groupings_of_state(settings, state.state_id, mode)),
        n_versions=len(saved),
        n_retired=sum(entry.is_retired for entry in saved),
        applies={run: entry.version if entry else None for run, entry in chosen.items()},
        state_name=_name_of(store) if exists else "",
        wavelength=_number(state, instrument_of(settings).logs.wavelength, settings),
        arcs=_arcs(state, settings),
    )


def _name_of(store: StateStore) -> str:
    """What people call a state, which its default version says; "" where that cannot be read."""
    folder = store.folders().get(0)
    try:
        return parse_parameters(fs.read(folder / PARAMETERS)).name or "" if folder is not None else ""
    except (OSError, ValueError):
        return ""


def _arcs(state: InstrumentState, settings: Settings) -> tuple[float, ...]:
    """The positions that are angles."""
    logs = instrument_of(settings).logs
    angles = (_number(state, log, settings) for log in logs.positions if logs.units.get(log) == "deg")
    return tuple(angle for angle in angles if angle is not None)


def _number(state: InstrumentState, log: str, settings: Settings) -> float | None:
    """A log of a state as a number; None where it has none."""
    try:
        return log_value(state.detector_state.pvs, log, instrument_of(settings).logs.alternatives)
    except SnapcalError:
        return None
