"""Writing SNS event NeXus files that Mantid's LoadEventNexus reads.

Banks are written one after the other, so that a run need never be in memory as a whole: the file is written in parts
(`disk/parts.py`), and every chunk of events is read back. The event arrays are cut into chunks that are deflated in two
threads, as facility files are (level 4, no shuffle).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, LogValue, RunInfo
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.disk.hdf5 import new_group, new_numbers, new_text
from snapcal_workbench.formats.disk.parts import Parts, hdf5_in_parts
from snapcal_workbench.formats.nexus.run_info import MICROAMPERE_HOURS_PER_PICOCOULOMB
from snapcal_workbench.progress import Progress

CHUNK = 65536
"""Events in a chunk."""
DEFLATE_LEVEL = 4

_UNITS = {"det_arc1": "deg", "det_arc2": "deg", "det_lin1": "m", "det_lin2": "m"}


class BankEvents(NamedTuple):
    """Events of one bank, ordered by pulse.

    Attributes:
        name: Name of the group, such as "bank11_events".
        event_id: uint32[events], native detector ids.
        tof: float32[events], us.
        event_time_zero: float64[pulses], time of each pulse since the start of the run, s.
        event_index: uint64[pulses], first event of each pulse. A bank with events gets a second pulse if it has one.
        weight: float32[events], or None where every event counts 1.
    """

    name: str
    event_id: NDArray[np.uint32]
    tof: NDArray[np.float32]
    event_time_zero: FloatArray
    event_index: NDArray[np.uint64]
    weight: NDArray[np.float32] | None = None


def write_events(
    path: Path,
    *,
    run_info: RunInfo,
    banks: Iterable[BankEvents],
    instrument: str = "SNAP",
    beamline: str = "BL3",
    instrument_xml: str = "",
    log_units: Mapping[str, str] | None = None,
    experiment: str = "",
    progress: Progress | None = None,
    deflate: int = DEFLATE_LEVEL,
) -> None:
    """Write a run as an SNS event NeXus file, complete or not at all; an existing file is replaced.

    Args:
        path: The file.
        run_info: What the run says of itself; every log becomes a series of one value.
        banks: Bank by bank; each is written before the next is asked for.
        instrument: Name of the instrument.
        beamline: Name of the beamline.
        instrument_xml: Text of the instrument definition; "" leaves it out, so that Mantid takes its own by name.
        log_units: Units of the logs, where they have one.
        experiment: Experiment identifier, such as "IPTS-00001".
        progress: Asked after each bank whether the user has cancelled.
        deflate: How hard to deflate, 0 to 9; 0 for a file that is read once and removed.

    Raises:
        InputError: The arrays of a bank do not fit together.
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    with hdf5_in_parts(path, "an event NeXus file") as parts, ThreadPoolExecutor(2) as pool:
        entry = new_group(parts.file, "entry", "NXentry")
        _write_run(entry, run_info, experiment)
        _write_instrument(entry, instrument, beamline, instrument_xml)
        _write_logs(entry, run_info, {**_UNITS, **(log_units or {})})
        for bank in banks:
            _write_bank(entry, _with_two_pulses(BankEvents(*bank)), run_info.start_time, _Writer(parts, pool, deflate))
            parts.check()
            progress.check()


class _Writer(NamedTuple):
    """Where chunks go, who deflates them, and how hard."""

    parts: Parts
    pool: ThreadPoolExecutor
    deflate: int


def _write_run(entry: h5py.Group, run: RunInfo, experiment: str) -> None:
    new_text(entry, "definition", "NXsnsevent")
    new_text(entry, "run_number", run.run_number)
    new_text(entry, "experiment_identifier", experiment)
    new_text(entry, "title", run.title)
    new_text(entry, "start_time", run.start_time)
    new_text(entry, "end_time", run.end_time)
    charge = run.proton_charge / MICROAMPERE_HOURS_PER_PICOCOULOMB
    new_numbers(entry, "proton_charge", np.array([charge]), units="picoCoulomb")
    new_numbers(entry, "duration", np.array([run.duration]), units="second")


def _write_instrument(entry: h5py.Group, name: str, beamline: str, xml: str) -> None:
    group = new_group(entry, "instrument", "NXinstrument")
    new_text(group, "name", name)
    new_text(group, "beamline", beamline)
    if xml:
        note = new_group(group, "instrument_xml", "NXnote")
        new_text(note, "data", xml)
        new_text(note, "type", "text/xml")
        new_text(note, "description", "XML contents of the instrument IDF")


def _write_logs(entry: h5py.Group, run: RunInfo, units: Mapping[str, str]) -> None:
    group = new_group(entry, "DASlogs", "NXcollection")
    for name, value in run.logs.items():
        log = new_group(group, name, "NXlog")
        _write_value(log, value, units.get(name, ""))
        new_numbers(log, "time", np.zeros(1), units="second", start=run.start_time)


def _write_value(log: h5py.Group, value: LogValue, unit: str) -> None:
    attributes = {"units": unit} if unit else {}
    if isinstance(value, str):
        new_text(log, "value", value, **attributes)
    elif isinstance(value, (bool, int)):
        new_numbers(log, "value", np.array([value], np.int64), **attributes)
    else:
        new_numbers(log, "value", np.array([value], np.float64), **attributes)


def _with_two_pulses(bank: BankEvents) -> BankEvents:
    """The bank with an empty pulse or two after its own where it has fewer than two.

    LoadEventNexus, in every release, takes an `event_index` of nothing but one 0 for the sign of a bank without events.
    """
    missing = 2 - len(bank.event_index)
    if missing <= 0 or len(bank.tof) == 0 or len(bank.event_index) != len(bank.event_time_zero):
        return bank
    last = bank.event_time_zero[-1] if len(bank.event_time_zero) else 0.0
    ends = np.array([0, len(bank.tof)], np.uint64)[-missing:]
    return bank._replace(
        event_time_zero=np.append(bank.event_time_zero, np.full(missing, last)),
        event_index=np.append(np.asarray(bank.event_index, np.uint64), ends),
    )


def _write_bank(entry: h5py.Group, bank: BankEvents, start_time: str, writer: _Writer) -> None:
    _check_bank(bank)
    group = new_group(entry, bank.name, "NXevent_data")
    _write_deflated(group, "event_id", np.asarray(bank.event_id, np.uint32), writer)
    tof = _write_deflated(group, "event_time_offset", np.asarray(bank.tof, np.float32), writer)
    tof.attrs["units"] = np.bytes_(b"microsecond")
    pulses = _write_deflated(group, "event_time_zero", np.asarray(bank.event_time_zero, np.float64), writer)
    pulses.attrs["units"] = np.bytes_(b"second")
    pulses.attrs["offset"] = np.bytes_(start_time.encode() or b" ")
    _write_deflated(group, "event_index", np.asarray(bank.event_index, np.uint64), writer)
    if bank.weight is not None:
        _write_deflated(group, "event_weight", np.asarray(bank.weight, np.float32), writer)
    new_numbers(group, "total_counts", np.array([len(bank.tof)], np.uint64))


def _check_bank(bank: BankEvents) -> None:
    index = np.asarray(bank.event_index).astype(np.int64)
    ascending = bool(np.all(np.diff(index) >= 0)) and (len(index) == 0 or 0 <= index[0] <= index[-1] <= len(bank.tof))
    if len(bank.event_id) != len(bank.tof) or len(index) != len(bank.event_time_zero) or not ascending:
        raise InputError(
            f"The arrays of {bank.name} must fit together: an id and a TOF an event, a time and a first event a pulse.",
            found=f"{len(bank.event_id)} ids, {len(bank.tof)} TOFs, {len(bank.event_time_zero)} pulses, "
            f"{len(index)} first events" + ("" if ascending else " that do not ascend within the events"),
            fix="Order the events by pulse and count them anew.",
        )


def _write_deflated(group: h5py.Group, name: str, values: NDArray, writer: _Writer) -> h5py.Dataset:
    chunk = min(CHUNK, max(len(values), 1))
    made = group.create_dataset(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(chunk,),
        maxshape=(None,),
        compression="gzip",
        compression_opts=writer.deflate,
    )

    def pack(offset: int) -> bytes:
        return _packed(values, offset, chunk, writer.deflate)

    offsets = range(0, len(values), chunk)
    for offset, packed in zip(offsets, writer.pool.map(pack, offsets), strict=True):
        writer.parts.write_chunk(made, offset, packed)
    return made


def _packed(values: NDArray, offset: int, length: int, deflate: int) -> bytes:
    """A chunk as HDF5 stores it: always full, the last one filled up with zeros."""
    chunk = np.zeros(length, values.dtype)
    part = values[offset : offset + length]
    chunk[: len(part)] = part
    return zlib.compress(chunk.tobytes(), deflate)
