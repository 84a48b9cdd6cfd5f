"""Where a calibration starts: the geometry, a saved version, a DiffCal file, or an earlier iteration."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from snapcal_workbench.algorithms.ingredients import state_of
from snapcal_workbench.calibration.pixels.start import distance_to, with_all_rows, without_impossible_rows
from snapcal_workbench.calibration.types import DiffCalTable, Events, Geometry, MaskReason, PixelMask
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.merging import expand_to_native, merge_map, reduce_to_lite
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Request
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.store.references import open_version
from snapcal_workbench.workspaces.protocol import Host

SURELY_THE_SAME = 0.05
"""A table whose DIFC is within 5 % of the run's geometry is of its pixels; with 18432 rows that deviate further it may
be the corner of a native one, whose ids are those of all lite pixels."""

Start = tuple[DiffCalTable, PixelMask | None]


def iteration_number(reference: str) -> int | None:
    """The number in "3" or "iteration 3"; None when the text names something else."""
    match = re.fullmatch(r"(?:iteration[ _]?)?(\d{1,4})", reference.strip(), re.IGNORECASE)
    return int(match.group(1)) if match else None


def starting_point(
    request: Request, events: Events, host: Host, folders: IterationFolders, progress: Progress
) -> Start:
    """Table and mask that the first pass starts from, of the same pixels as the events.

    A table of the other mode is converted; one of another state is used with a warning. Pixels without a row, and those
    with an impossible DIFC, start from the geometry and are masked.

    Raises:
        NotFoundError: What is named does not exist.
        InputError: It has pixels that the instrument has not.
    """
    text = request.start_from.strip()
    table, mask = _found(text, events, host, folders, progress)
    same = np.array_equal(table.detid, events.geometry.detid)
    if same and distance_to(table, events.geometry) < SURELY_THE_SAME:
        return _sound(text, table, mask or PixelMask.none(table.detid), events.geometry, progress)
    return _of_the_runs_pixels(text, table, mask, events, host, progress)


def _of_the_runs_pixels(
    text: str, table: DiffCalTable, mask: PixelMask | None, events: Events, host: Host, progress: Progress
) -> Start:
    """The table of all pixels of the run: of the pixel mode whose geometry its DIFC suits best, else converted."""
    instrument, state = instrument_of(host.settings), state_of(events.run, host)
    own = next((mode for mode in instrument.modes if mode.n_pixels == len(events.geometry)), None)
    distances = {mode: distance_to(table, state.geometry(mode)) for mode in instrument.modes}
    found = min(distances, key=distances.__getitem__)
    if own is None or not np.isfinite(distances[found]):
        strange = np.setdiff1d(table.detid, events.geometry.detid)[:1].tolist()
        raise InputError(
            f"The calibration that is started from must be of {instrument.name}, in one of its pixel modes.",
            found=f"{len(table)} pixels there, {len(events.geometry)} in the run; not in the run: pixel {strange}",
            fix="Start from 'default', or from a calibration of this instrument.",
        )
    if found is not own and distances[own] > distances[found]:
        progress.warn(f"'{text}' is of the other mode (lite or native); its DIFC is converted.")
    else:
        found = own
    geometry = state.geometry(found)
    whole, known = _sound(text, *_whole(text, table, mask, geometry, progress), geometry, progress)
    return (whole, known) if found is own else _converted(whole, known, found, own, state, host)


def _whole(
    text: str, table: DiffCalTable, mask: PixelMask | None, geometry: Geometry, progress: Progress
) -> tuple[DiffCalTable, PixelMask]:
    missing = len(geometry) - len(table)
    if missing:
        progress.warn(
            f"{missing} of {len(geometry)} pixels have no row in '{text}': "
            "they start from the geometry, and are masked if the mask is taken over."
        )
    return with_all_rows(table, mask, geometry)


def _sound(text: str, table: DiffCalTable, mask: PixelMask, geometry: Geometry, progress: Progress) -> Start:
    wrong = int(np.count_nonzero(mask.reason == MaskReason.IMPOSSIBLE_DIFC))
    table, mask, impossible = without_impossible_rows(table, mask, geometry)
    if wrong + len(impossible):
        progress.warn(
            f"{wrong + len(impossible)} pixels have an impossible DIFC in '{text}': "
            "they start from the geometry, and are masked if the mask is taken over."
        )
    return table, mask if mask.masked.any() else None


def _found(text: str, events: Events, host: Host, folders: IterationFolders, progress: Progress) -> Start:
    number = iteration_number(text)
    if text in ("", "default"):
        return DiffCalTable.from_geometry(events.geometry), None
    if number is not None:
        values = folders.values(folders.read(number).number)
        return values["table"], _inherited(values["mask"])
    if text in host.workspaces.names():
        return host.workspaces.read(text, DiffCalTable), None
    path = user_path(text)
    if path.suffix.lower() in (".h5", ".hdf", ".hdf5", ".nxs"):
        found = read_diffcal(path)
        return found.table, _inherited(found.mask)
    stored = open_version(host.settings, text, progress=progress)
    state_id = state_of(events.run, host).state_id
    if stored.state_id != state_id:
        progress.warn(f"Starting from a version of state {stored.state_id}; the run is of state {state_id}.")
    return stored.table, _inherited(stored.mask)


def _inherited(mask: PixelMask) -> PixelMask:
    reason = mask.reason.copy()
    reason[mask.masked & (reason != MaskReason.IMPOSSIBLE_DIFC)] = MaskReason.INHERITED
    return replace(mask, reason=reason)


def _converted(
    table: DiffCalTable, mask: PixelMask | None, found: PixelMode, own: PixelMode, state: InstrumentState, host: Host
) -> Start:
    """The table of another mode; its mask says which of the pixels count, and is not carried over."""
    mode = found if found.merged else own
    native, lite = state.geometry(mode.native), state.geometry(mode)
    lite_of = merge_map(mode, host.settings)
    if found.merged:
        return expand_to_native(table, native=native, lite=lite, lite_of=lite_of), None
    used = None if mask is None else ~mask.masked
    return reduce_to_lite(table, native=native, lite=lite, lite_of=lite_of, used=used), None
