"""The `Host` inside Mantid: runs are loaded by Mantid's algorithms, our algorithms are Mantid algorithms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from mantid.api import AlgorithmFactory, AnalysisDataService, FileFinder, MatrixWorkspace

from snapcal_workbench.algorithms import mantid_algorithms
from snapcal_workbench.calibration.types import TofWindow
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.nexus.events import read_events as read_file
from snapcal_workbench.hosts.following import following
from snapcal_workbench.hosts.history import History
from snapcal_workbench.hosts.mantid_execution import run_child, run_watched, start_framework
from snapcal_workbench.hosts.mantid_workspaces import MantidWorkspaces
from snapcal_workbench.hosts.mantid_writing import check_number_of_events, describe
from snapcal_workbench.instrument.identifying import IdentifiedRun, identify_run
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.merging import pixel_of_id
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.runs import find_run
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import Algorithm, I, LoadedRun, O, RunRequest


class MantidHost:
    """The `Host` inside Mantid, with or without Workbench around it."""

    name = "mantid"

    def __init__(self, settings: Settings | None = None) -> None:
        start_framework()
        self._settings = settings if settings is not None else Settings.load()
        self._workspaces = MantidWorkspaces()
        self._history = History()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def workspaces(self) -> MantidWorkspaces:
        return self._workspaces

    def resolve(self, request: RunRequest) -> RunRequest:
        return replace(request, runs=tuple(self._found(run) for run in request.runs))

    def _found(self, run: str | Path) -> str | Path:
        """The run as it is where the facility's folders have it, else the file in Mantid's data search directories."""
        try:
            find_run(run, self._settings)
        except NotFoundError:
            path = _in_search_directories(str(run), instrument_of(self._settings).files.prefix)
            if path is None:
                raise
            return path
        return run

    def load_run(self, request: RunRequest, output: str, progress: Progress) -> LoadedRun:
        """Load a run: lite pixels by our own reader, which Mantid then takes over; native ones by Mantid's.

        The native run of a lite one never becomes a workspace: its million spectra would take Python half a minute.
        """
        request = self.resolve(request)
        identified = identify_run(request, self._settings, progress)
        if not request.mode.merged:
            return self._load_native(identified, request.mode, output, progress)
        events = load_events(request, self._settings, progress.part(0.0, 0.6), identified=identified)
        self._workspaces.write_events(output, events, progress.part(0.6, 1.0))
        return LoadedRun(events.run, events.geometry, len(events.tof))

    def _load_native(self, identified: IdentifiedRun, mode: PixelMode, output: str, progress: Progress) -> LoadedRun:
        """The native run, several summed."""
        window, n_events = identified.state.window, 0
        total: MatrixWorkspace | None = None
        for i, file in enumerate(identified.files):
            share = progress.part(i / len(identified.files), (i + 1) / len(identified.files))
            loaded, kept = _load_file(file.path, window, mode, self._settings, share)
            n_events += kept
            total = loaded if total is None else _sum(total, loaded)
        assert total is not None  # a request names a run
        describe(total, "Events", identified.info, window=window)
        AnalysisDataService.addOrReplace(output, total)
        geometry = identified.state.geometry(mode)
        self._workspaces.remember(output, geometry)
        return LoadedRun(identified.info, geometry, n_events)

    def run(self, algorithm: Algorithm[I, O], inputs: I, progress: Progress) -> O:
        own = not mantid_algorithms.is_inside() and AlgorithmFactory.exists(algorithm.name)

        def work() -> O:
            if own:
                return mantid_algorithms.execute(algorithm, inputs, self, progress)
            return algorithm.run(inputs, self, progress)

        with following(progress):
            return self._history.record(algorithm, inputs, work)

    def history(self) -> Sequence[dict[str, object]]:
        return self._history.entries()


def _sum(one: MatrixWorkspace, other: MatrixWorkspace) -> MatrixWorkspace:
    return run_child("Plus", "OutputWorkspace", LHSWorkspace=one, RHSWorkspace=other, OutputWorkspace="unnamed")


def _load_file(
    path: Path, window: TofWindow, mode: PixelMode, settings: Settings, progress: Progress
) -> tuple[MatrixWorkspace, int]:
    """The neutrons of a run, with the instrument and the logs, and how many of them are in no gap of the window.

    Monitors are not loaded; events in gaps are, and are left out when the workspace is read.

    Raises:
        FileFormatError: Mantid cannot load it.
        StoreError: Mantid has another number of events than our own reader.
    """
    properties = {
        "Filename": str(path),
        "OutputWorkspace": "unnamed",
        "FilterByTofMin": float(window.minimum),
        "FilterByTofMax": float(window.maximum),
        "LoadMonitors": False,
    }
    try:
        loaded = run_watched("LoadEventNexus", progress.part(0.0, 0.7), "OutputWorkspace", **properties)
    except RuntimeError as error:
        raise FileFormatError(
            "Mantid could not load the run.",
            found=f"{path}: {error}",
            fix="Ask the facility's data team about the file.",
        ) from error
    whole = TofWindow(window.minimum, window.maximum)
    ids, rest = pixel_of_id(mode, settings), progress.part(0.7, 1.0)
    tof, _ = read_file(path, pixel_of=ids, n_pixels=mode.n_pixels, window=whole, progress=rest)
    check_number_of_events(loaded, len(tof), str(path))
    return loaded, len(tof) - sum(int(np.count_nonzero((tof >= low) & (tof <= high))) for low, high in window.gaps)


def _in_search_directories(run: str, prefix: str) -> Path | None:
    """The file of exactly this run in Mantid's data search directories."""
    if not run.isdigit():
        return None
    try:
        paths = [Path(path) for path in FileFinder.findRuns(f"{prefix}{run}")]
    except (RuntimeError, ValueError):
        return None
    pattern = re.compile(rf"{re.escape(prefix)}0*{int(run)}(?!\d)")
    return next((path for path in paths if pattern.match(path.name)), None)


@lru_cache(maxsize=1)
def _first_host() -> MantidHost:
    return MantidHost()


def shared_host(settings: Settings | None = None) -> MantidHost:
    """The host of this process, which the panel and the algorithms share; one of its own for other settings."""
    return MantidHost(settings) if settings is not None else _first_host()
