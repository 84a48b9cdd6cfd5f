"""The banks of an SNS event NeXus file, and fast reading of their event arrays.

A bank is a group of class NXevent_data in the file's entry, with the detector id and the TOF of each event. The arrays
are read chunk by chunk as stored and inflated here: unlike a read through HDF5 that can be done in several threads. A
*piece* is a run of events of a bank that is read at once, so that memory does not grow with the events of a bank.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.errors import Cancelled
from snapcal_workbench.formats.disk._chunks import filters_of, read_chunk, require_known
from snapcal_workbench.formats.disk.hdf5 import attribute, child, dataset, element, wrong

UNPLACED = ("bank_error_events", "bank_unmapped_events")
"""Groups of the events that the data acquisition itself could not place."""

_IDS = ("event_id", "event_pixel_id")
_TOFS = ("event_time_offset", "event_time_of_flight")
_MICROSECONDS = {
    **dict.fromkeys(("", "microsecond", "microseconds", "us", "usec", "µs"), 1.0),
    **dict.fromkeys(("nanosecond", "nanoseconds", "ns"), 1e-3),
    **dict.fromkeys(("millisecond", "milliseconds", "ms"), 1e3),
    **dict.fromkeys(("second", "seconds", "s"), 1e6),
}
_BLOCK = 1 << 20
PIECE = 1 << 24
"""Events of a piece: 200 MB while it is read and sorted. Half as many take the same time; twice as many more memory."""
LARGEST_CHUNK = 1 << 29
"""Largest chunk (bytes) that is read."""


@dataclass(frozen=True)
class Bank:
    """One bank of events in an open file.

    Attributes:
        name: Name of its group.
        ids: Dataset of detector ids.
        tofs: Dataset of TOFs.
        to_microseconds: Factor that turns the TOFs into us.
    """

    name: str
    ids: h5py.Dataset
    tofs: h5py.Dataset
    to_microseconds: float

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def pieces(self) -> list[slice]:
        """The events in parts of `PIECE` or so, each a whole number of chunks."""
        chunk = max(source.chunks[0] if source.chunks else 1 for source in (self.ids, self.tofs))
        step = -(-PIECE // chunk) * chunk
        return [slice(first, min(first + step, len(self))) for first in range(0, len(self), step)]

    def read(self, piece: slice, stop: threading.Event) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Detector ids of the events of a piece, and TOFs in us.

        Raises:
            FileFormatError: They cannot be read.
            Cancelled: `stop` was set.
        """
        tofs = _read_column(self.tofs, np.dtype(np.float32), piece, stop)
        if self.to_microseconds != 1.0:
            tofs *= np.float32(self.to_microseconds)
        return _read_column(self.ids, np.dtype(np.uint32), piece, stop), tofs


def find_banks(entry: h5py.Group) -> tuple[list[Bank], list[str]]:
    """The banks of an entry that have events, in the order of the file, and what is odd about them.

    Raises:
        FileFormatError: There is no bank at all, or one has arrays that do not fit together.
    """
    groups = [(name, child(entry, name)) for name in entry if name not in UNPLACED]
    members = {name: group for name, group in groups if isinstance(group, h5py.Group) and _is_bank(name, group)}
    if not members:
        raise wrong(entry, "banks of events (NXevent_data)", "none", "Choose an event NeXus file of a run.")
    banks, problems = [], []
    for name, group in members.items():
        bank = _bank(name, group)
        if bank is None:
            problems.append(f"{name} has no event arrays")
            continue
        problems.extend(f"{name}: {problem}" for problem in _inconsistencies(group, len(bank)))
        if len(bank):
            banks.append(bank)
    return banks, problems


def _is_bank(name: str, group: h5py.Group) -> bool:
    return attribute(group, "NX_class") == "NXevent_data" or (
        "NX_class" not in group.attrs and name.endswith("_events")
    )


def _bank(name: str, group: h5py.Group) -> Bank | None:
    ids = next((item for item in _IDS if child(group, item) is not None), None)
    tofs = next((item for item in _TOFS if child(group, item) is not None), None)
    if ids is None and tofs is None:
        return None
    found = Bank(name, dataset(group, ids or _IDS[0]), dataset(group, tofs or _TOFS[0]), 1.0)
    if found.ids.ndim != 1 or found.ids.shape != found.tofs.shape:
        shapes = f"shapes {found.ids.shape} and {found.tofs.shape}"
        raise wrong(group, "one detector id and one TOF an event", shapes, "The file is damaged: copy it anew.")
    if found.ids.dtype.kind not in "iu" or found.tofs.dtype.kind not in "iuf":
        raise wrong(group, "numbers as ids and TOFs", f"types {found.ids.dtype} and {found.tofs.dtype}")
    return Bank(name, found.ids, found.tofs, _unit_factor(found.tofs))


def _unit_factor(tofs: h5py.Dataset) -> float:
    unit = attribute(tofs, "units").strip().lower()
    if unit not in _MICROSECONDS:
        raise wrong(tofs, "TOFs in microseconds", f"the unit '{unit:.40}'", "Correct the attribute 'units'.")
    return _MICROSECONDS[unit]


def _inconsistencies(group: h5py.Group, n: int) -> list[str]:
    """What the bank says of itself that does not fit the number of its events, which is what counts."""
    problems = []
    for name, right in (("total_counts", lambda value: value == n), ("event_index", lambda value: value <= n)):
        last = _last(group, name)
        if last is not None and not right(last):
            problems.append(f"{name} ends at {last}, but there are {n} events")
    return problems


def _last(group: h5py.Group, name: str) -> object:
    found = child(group, name)
    if not isinstance(found, h5py.Dataset) or found.size == 0 or found.dtype.kind not in "iuf":
        return None
    return element(found, tuple(length - 1 for length in found.shape))


def _read_column(source: h5py.Dataset, dtype: np.dtype, piece: slice, stop: threading.Event) -> np.ndarray:
    out = np.empty(piece.stop - piece.start, dtype)
    try:
        filters = filters_of(source)
        if h5py.h5z.FILTER_DEFLATE in filters:
            require_known(source, filters)
            _inflate(source, filters, out, piece, stop)
        else:
            _copy(source, out, piece, stop)
    except (OSError, RuntimeError, ValueError, TypeError, zlib.error) as error:
        raise wrong(source, "events that can be read", str(error), "The file is damaged: copy it anew.") from error
    return out


def _inflate(source: h5py.Dataset, filters: list[int], out: np.ndarray, piece: slice, stop: threading.Event) -> None:
    (length,) = source.chunks
    if length * source.dtype.itemsize > LARGEST_CHUNK:
        raise ValueError(f"chunks of {length * source.dtype.itemsize} bytes; no more than {LARGEST_CHUNK} are read")
    for offset in range(piece.start // length * length, piece.stop, length):
        _check(stop)
        chunk = read_chunk(source, (offset,), filters)
        if chunk is None:
            raise ValueError(f"no values from event {offset} on")
        first, last = max(offset, piece.start), min(offset + length, piece.stop)
        out[first - piece.start : last - piece.start] = _converted(chunk[first - offset : last - offset], out.dtype)


def _copy(source: h5py.Dataset, out: np.ndarray, piece: slice, stop: threading.Event) -> None:
    for offset in range(piece.start, piece.stop, _BLOCK):
        _check(stop)
        last = min(offset + _BLOCK, piece.stop)
        out[offset - piece.start : last - piece.start] = _converted(source[offset:last], out.dtype)


def _converted(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values; ids that the type cannot hold become its largest number, which no pixel has."""
    if dtype.kind != "u" or values.dtype == dtype:
        return values
    limit = np.iinfo(dtype).max
    return np.where((values < 0) | (values > limit), limit, values)


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("reading was stopped")
