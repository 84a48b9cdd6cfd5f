"""Where a calibration starts: the geometry, a saved version, a DiffCal file, or an earlier iteration."""

from __future__ import annotations

import re
from dataclasses import replace

from snapcal_workbench.algorithms.ingredients import check_pixels, state_of
from snapcal_workbench.calibration.types import DiffCalTable, Events, MaskReason, PixelMask
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.merging import expand_to_native, merge_map, reduce_to_lite
from snapcal_workbench.options import Request
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.iteration import IterationFolders
from snapcal_workbench.store.references import open_version
from snapcal_workbench.workspaces.protocol import Host

Start = tuple[DiffCalTable, PixelMask | None]


def iteration_number(reference: str) -> int | None:
    """The number in "3" or "iteration 3"; None when the text names something else."""
    match = re.fullmatch(r"(?:iteration[ _]?)?(\d{1,4})", reference.strip(), re.IGNORECASE)
    return int(match.group(1)) if match else None


def starting_point(
    request: Request, events: Events, host: Host, folders: IterationFolders, progress: Progress
) -> Start:
    """Table and mask that the first pass starts from, of the same pixels as the events.

    A table of the other mode is converted; one of another state is used with a warning.

    Raises:
        NotFoundError: What is named does not exist.
        InputError: It is of an instrument with another number of pixels.
    """
    table, mask = _found(request.start_from.strip(), events, host, folders, progress)
    if len(table) != len(events.geometry):
        progress.warn(f"'{request.start_from}' is of the other mode (lite or native); its DIFC is converted.")
        table, mask = _converted(table, mask, events, host)
    check_pixels(events, table=table)
    return table, mask


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
    reason[mask.masked] = MaskReason.INHERITED
    return replace(mask, reason=reason)


def _converted(table: DiffCalTable, mask: PixelMask | None, events: Events, host: Host) -> Start:
    instrument = instrument_of(host.settings)
    modes = {mode.n_pixels: mode for mode in instrument.modes}
    if len(table) not in modes or len(events.geometry) not in modes:
        raise InputError(
            f"The calibration that is started from must be of {instrument.name}, in one of its pixel modes.",
            found=f"{len(table)} pixels there, {len(events.geometry)} in the run",
            fix="Start from 'default', or from a calibration of this instrument.",
        )
    state = state_of(events.run, host)
    mode = modes[min(len(table), len(events.geometry))]
    native, lite = state.geometry(mode.native), state.geometry(mode)
    lite_of = merge_map(mode, host.settings)
    if len(table) < len(events.geometry):
        return expand_to_native(table, native=native, lite=lite, lite_of=lite_of), None
    used = None if mask is None else ~mask.masked
    return reduce_to_lite(table, native=native, lite=lite, lite_of=lite_of, used=used), None
