"""From a request to events: place the pixels of an identified run, and read.

The state always follows from the native file. Merged pixels are made in memory by counting native events in them; the
facility's own lite file is read only where the settings ask for it. Several runs are summed if they were measured
in one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import Events, Geometry, IntArray, TofWindow
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.nexus.events import merge_events, read_events
from snapcal_workbench.formats.processed import read_processed
from snapcal_workbench.instrument.identifying import IdentifiedRun, identify_run
from snapcal_workbench.instrument.merging import pixel_of_id
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.runs import RunFile
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress


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
