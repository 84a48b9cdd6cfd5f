"""Reading Mantid's processed NeXus (SaveNexusProcessed): spectra, events, masks and tables.

Each entry, `mantid_workspace_1`, `mantid_workspace_2` and so on, is one workspace; its data are in the group
`workspace` (histograms), `event_workspace`, `mask_workspace` or `table_workspace`. The detector ids of spectrum i are
detector_list[detector_index[i] : detector_index[i] + detector_count[i]] in `instrument/detector`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    Events,
    FloatArray,
    Geometry,
    IntArray,
    LogValue,
    MaskReason,
    PixelMask,
    RunInfo,
    Spectra,
    TofWindow,
    Unit,
)
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.disk.hdf5 import (
    LARGEST_EVENTS,
    LARGEST_SPECTRA,
    all_values,
    attribute,
    child,
    dataset,
    numbers,
    open_hdf5,
    subgroup,
    text,
    wrong,
)
from snapcal_workbench.formats.nexus.run_info import last_value
from snapcal_workbench.formats.tables import Column, Table

WHAT = "a Mantid processed NeXus file"
ENTRY = "mantid_workspace_"

ProcessedValue = Spectra | Events | PixelMask | Table
_UNITS: dict[str, Unit] = {"TOF": "TOF", "dSpacing": "dSpacing"}


def read_processed(path: Path) -> dict[str, ProcessedValue]:
    """Read all workspaces of a file.

    Histograms become `Spectra` (counts; distributions are multiplied by their bin widths), an EventWorkspace `Events`,
    a MaskWorkspace a `PixelMask` (USER), a TableWorkspace a `Table`. The file does not say where the source is, so the
    L1 of events is NaN.

    Returns:
        The values by the name of their workspace, in the order of the file.

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It is damaged, no processed NeXus file, or has a workspace of another kind.
    """
    values: dict[str, ProcessedValue] = {}
    with open_hdf5(path, WHAT) as file:
        for entry in _entries(file):
            name = text(entry, "workspace_name").strip()
            member = entry.name.strip("/")
            values[name if name and name not in values else member] = _read_entry(entry, str(path))
    return values


def read_single_counts(path: Path, what: str, *, group: str) -> tuple[IntArray, FloatArray]:
    """The one count of each spectrum, for each of its pixels, of the first such workspace in a file.

    Args:
        path: The file.
        group: Group of the data: "workspace" or "mask_workspace".
        what: What it should be, such as "a grouping file"; used in the messages.

    Returns:
        detid: int32[n], ascending.
        value: float64[n].

    Raises:
        NotFoundError: There is no such file, or we may not read it.
        FileFormatError: It is damaged, or has no workspace with one count a spectrum.
    """
    with open_hdf5(path, what) as file:
        for entry in _entries(file):
            data = child(entry, group)
            if isinstance(data, h5py.Group) and dataset(data, "values").shape[1:] == (1,):
                return _value_of_pixels(entry, data)
        raise wrong(file, f"{what} (a {group} with one count a spectrum)", "no such workspace")


def _entries(file: h5py.File) -> list[h5py.Group]:
    names = [name for name in file if name.startswith(ENTRY) and name[len(ENTRY) :].isdecimal()]
    if not names:
        found = f"only {', '.join(list(file)[:12])}" if len(file) else "nothing"
        raise wrong(file, f"entries {ENTRY}1 and so on", found, "Save the workspace with SaveNexusProcessed.")
    return [subgroup(file, name) for name in sorted(names, key=lambda name: int(name[len(ENTRY) :]))]


def _read_entry(entry: h5py.Group, source: str) -> ProcessedValue:
    readers: dict[str, Callable[[h5py.Group, h5py.Group, str], ProcessedValue]] = {
        "workspace": _spectra,
        "event_workspace": _events,
        "mask_workspace": _mask,
        "table_workspace": _table,
    }
    for name, reader in readers.items():
        group = child(entry, name)
        if isinstance(group, h5py.Group):
            return reader(entry, group, source)
    kinds = ", ".join(name for name in entry if name.endswith("workspace")) or "none"
    raise wrong(entry, "a histogram, event, mask or table workspace", kinds, "Save one of these workspaces.")


def _spectra(entry: h5py.Group, data: h5py.Group, source: str) -> Spectra:
    y = numbers(data, "values", np.float64, ndim=2, finite=False, limit=LARGEST_SPECTRA)
    e = numbers(data, "errors", np.float64, ndim=2, size=len(y), finite=False, limit=LARGEST_SPECTRA)
    axis = dataset(data, "axis1")
    edges = numbers(data, "axis1", np.float64, ndim=2 if axis.ndim == 2 else 1)
    if e.shape != y.shape or edges.shape[-1] != y.shape[1] + 1 or (edges.ndim == 2 and len(edges) != len(y)):
        shapes = f"counts {y.shape}, errors {e.shape}, edges {edges.shape}"
        raise wrong(data, "histograms", shapes, "Turn points into bins with ConvertToHistogram, and save again.")
    if not np.all(np.diff(edges, axis=-1) > 0):
        raise wrong(axis, "bin edges that ascend", "edges that do not")
    if attribute(axis, "distribution") == "1":
        y, e = y * np.diff(edges, axis=-1), e * np.diff(edges, axis=-1)
    detids, spectra = _detids(entry, len(y))
    title, run = text(entry, "title").strip(), _run_info(entry, source)
    return Spectra(edges, y, e, _unit(axis), detids, _spectrum_numbers(data, spectra), title, run)


def _unit(axis: h5py.Dataset) -> Unit:
    unit = attribute(axis, "units")
    if unit not in _UNITS:
        raise wrong(axis, "the unit TOF or dSpacing", f"'{unit:.40}'", "Use ConvertUnits, and save again.")
    return _UNITS[unit]


def _spectrum_numbers(data: h5py.Group, spectra: IntArray) -> IntArray:
    axis = child(data, "axis2")
    if isinstance(axis, h5py.Dataset) and attribute(axis, "units") == "spectraNumber":
        return numbers(data, "axis2", np.int32, size=len(spectra))
    return spectra


def _detids(entry: h5py.Group, n: int) -> tuple[list[IntArray], IntArray]:
    """Detector ids of each of n spectra, and the spectrum numbers; no ids where there is no instrument."""
    group = child(entry, "instrument/detector")
    if not isinstance(group, h5py.Group):
        return [np.empty(0, np.int32)] * n, np.arange(1, n + 1, dtype=np.int32)
    first = numbers(group, "detector_index", np.int64, size=n)
    count = numbers(group, "detector_count", np.int64, size=n)
    ids = numbers(group, "detector_list", np.int32)
    if n and (first.min() < 0 or count.min() < 0 or (first + count).max() > len(ids)):
        raise wrong(group, "detectors of each spectrum within detector_list", "places outside it")
    spectra = np.arange(1, n + 1, dtype=np.int32)
    if child(group, "spectra") is not None:
        spectra = numbers(group, "spectra", np.int32, size=n)
    return [ids[i : i + k] for i, k in zip(first, count, strict=True)], spectra


def _value_of_pixels(entry: h5py.Group, data: h5py.Group) -> tuple[IntArray, FloatArray]:
    values = numbers(data, "values", np.float64, ndim=2)
    if values.shape[1] != 1:
        raise wrong(data, "one count a spectrum", f"{values.shape[1]}")
    detids, _ = _detids(entry, len(values))
    detid = np.concatenate([*detids, np.empty(0, np.int32)]).astype(np.int32)
    value = np.repeat(values[:, 0], [len(ids) for ids in detids])
    order = np.argsort(detid, kind="stable")
    detid = detid[order]
    if len(detid) == 0 or np.any(detid[1:] == detid[:-1]):
        raise wrong(entry, "each detector id once", "no detector ids" if len(detid) == 0 else "repeated ones")
    return detid, value[order]


def _mask(entry: h5py.Group, data: h5py.Group, source: str) -> PixelMask:
    detid, value = _value_of_pixels(entry, data)
    return PixelMask(detid, np.where(value != 0, MaskReason.USER, MaskReason.USED).astype(np.uint8))


def _events(entry: h5py.Group, data: h5py.Group, source: str) -> Events:
    tof, weight = np.empty(0, np.float32), None
    if child(data, "tof") is not None:
        tof = numbers(data, "tof", np.float32, limit=LARGEST_EVENTS)
    if child(data, "weight") is not None:
        weight = numbers(data, "weight", np.float32, size=len(tof), limit=LARGEST_EVENTS)
    start = numbers(data, "indices", np.int64)
    if len(start) < 2 or start[0] != 0 or start[-1] != len(tof) or np.any(np.diff(start) < 0):
        raise wrong(data, "indices that ascend from 0 to the number of events", f"{len(start)}, {len(tof)} events")
    axis = dataset(data, "axis1")
    if _unit(axis) != "TOF":
        raise wrong(axis, "events in TOF", "d-spacing", "Use ConvertUnits to TOF, and save again.")
    edges = numbers(data, "axis1", np.float64, ndim=axis.ndim).ravel()
    geometry, order = _geometry(entry, len(start) - 1)
    places = _places(start, order)
    limits = np.concatenate([edges, tof])
    return Events(
        tof[places],
        np.concatenate([[0], np.cumsum(np.diff(start)[order])]),
        geometry,
        TofWindow(float(limits.min()), float(limits.max())),
        _run_info(entry, source),
        None if weight is None else weight[places],
    )


def _places(start: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the events when the pixels are put into another order."""
    counts = np.diff(start)[order]
    shift = start[:-1][order] - (np.cumsum(counts) - counts)
    return np.arange(counts.sum()) + np.repeat(shift, counts)


def _geometry(entry: h5py.Group, n: int) -> tuple[Geometry, NDArray[np.int64]]:
    """Geometry of n spectra of one detector each, and the order of the spectra in which detector ids ascend."""
    detids, _ = _detids(entry, n)
    if any(len(ids) != 1 for ids in detids):
        found = "spectra of several detectors, or of none"
        raise wrong(entry, "events of single pixels", found, "Save the events before they are grouped or focused.")
    group = subgroup(entry, "instrument/detector")
    first = numbers(group, "detector_index", np.int64)
    positions = numbers(group, "detector_positions", np.float64, ndim=2, size=len(dataset(group, "detector_list")))
    if positions.shape[1] != 3:
        raise wrong(group, "three coordinates a detector", f"{positions.shape[1]}")
    detid = np.concatenate(detids).astype(np.int32)
    order = np.argsort(detid, kind="stable")
    r, polar, azimuth = positions[first[order]].T
    name = text(entry, "instrument/name").strip()
    geometry = Geometry(detid[order], np.nan, r, np.radians(polar), np.radians(azimuth), instrument=name)
    return geometry, order


def _table(entry: h5py.Group, data: h5py.Group, source: str) -> Table:
    columns: dict[str, Column] = {}
    while child(data, f"column_{len(columns) + 1}") is not None:
        found = dataset(data, f"column_{len(columns) + 1}")
        name = attribute(found, "name") or found.name.split("/")[-1]
        columns[name if name not in columns else found.name.split("/")[-1]] = _table_column(found)
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise wrong(data, "columns of one length", f"lengths {', '.join(map(str, sorted(lengths)))}")
    return Table(columns)


def _table_column(found: h5py.Dataset) -> Column:
    if found.dtype.kind == "S" and found.ndim in (1, 2):
        rows = all_values(found) if found.ndim == 2 else all_values(found)[:, np.newaxis]
        return [b"".join(row.tolist()).decode("utf-8", "replace").rstrip(" \0") for row in rows]
    if found.dtype.kind in "iufb" and found.ndim >= 1:
        return all_values(found)
    raise wrong(found, "a column of numbers or text", f"type {found.dtype}, shape {found.shape}")


def _run_info(entry: h5py.Group, source: str) -> RunInfo:
    logs = _logs(entry)

    def words(*names: str) -> str:
        return next((str(logs[name]).strip() for name in names if name in logs), "")

    def number(name: str) -> float:
        value = logs.get(name)
        return float(value) if isinstance(value, (int, float)) else 0.0

    return RunInfo(
        run_number=words("run_number"),
        title=words("run_title") or text(entry, "title").strip(),
        start_time=words("start_time", "run_start"),
        end_time=words("end_time", "run_end"),
        proton_charge=number("gd_prtn_chrg"),
        logs=logs,
        source=source,
        duration=number("duration"),
    )


def _logs(entry: h5py.Group) -> dict[str, LogValue]:
    group = child(entry, "logs")
    logs: dict[str, LogValue] = {}
    for name in group if isinstance(group, h5py.Group) else ():
        log: object = child(group, name)
        if isinstance(log, h5py.Group) and child(log, "value") is not None:
            try:
                logs[name] = last_value(log, "value")
            except (FileFormatError, TypeError):
                continue
    return logs
