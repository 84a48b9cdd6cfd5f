"""Writing Mantid's processed NeXus, such that LoadNexusProcessed gives the workspaces that SaveNexusProcessed saved.

A value is an entry, `mantid_workspace_1` and so on; several in one file are a workspace group. Histograms are written
with the detector ids of each spectrum, and with the position of each detector where the geometry is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Required, TypedDict, Unpack

import h5py
import numpy as np

from snapcal_workbench.calibration.types import FitTable, FloatArray, Geometry, IntArray, LogValue, Spectra
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.disk.hdf5 import hdf5_image, new_group, new_numbers, new_text, set_attributes
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.formats.processed.reader import ENTRY, WHAT
from snapcal_workbench.formats.tables import Column, Table, fit_table_to_table

_DEFINITION = "Mantid Processed Workspace"
_MAP_DESCRIPTION = (
    "A string representation of the parameter map. The format is either: "
    "|detID:id-value;param-type;param-name;param-value| for a detector or  "
    "|comp-name;param-type;param-name;param-value| for other components."
)


@dataclass(frozen=True)
class _Context:
    """What all entries of a file share."""

    instrument: str
    instrument_xml: str
    geometry: Geometry | None
    logs: Mapping[str, LogValue] = field(default_factory=dict)
    history: Sequence[str] = ()


class Described(TypedDict, total=False):
    """What else is told of a file's values; see `processed_image`."""

    instrument: Required[str]
    instrument_xml: str
    geometry: Geometry | None
    logs: Mapping[str, LogValue] | None
    history: Sequence[str]


def write_processed(
    path: Path, values: Mapping[str, Spectra | FitTable | Table], **described: Unpack[Described]
) -> None:
    """Write values to a file, complete or not at all; an existing one is replaced once the new one is complete.

    Arguments and errors as for `processed_image`, and

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
    """
    replace_file(path, processed_image(values, **described), WHAT)


def processed_image(
    values: Mapping[str, Spectra | FitTable | Table],
    *,
    instrument: str,
    instrument_xml: str = "",
    geometry: Geometry | None = None,
    logs: Mapping[str, LogValue] | None = None,
    history: Sequence[str] = (),
) -> bytes:
    """The bytes of a file of values; equal values make equal bytes.

    Args:
        values: Spectra, peak fits and tables by the name of their workspace, in this order.
        instrument: Name of the instrument.
        instrument_xml: Text of the instrument definition; may be empty.
        geometry: Positions of the detectors; without it none are written.
        logs: Logs of the run, in place of those of each Spectra.
        history: What was done, one text a step.

    Raises:
        InputError: There is nothing to write, or a table has a column that Mantid has not.
    """
    if not values:
        raise InputError("A file must have at least one workspace.", found="none", fix="Name what is to be saved.")

    def fill(file: h5py.File) -> None:
        for number, (name, value) in enumerate(values.items(), start=1):
            entry = new_group(file, f"{ENTRY}{number}", "NXentry")
            own_logs = _run_logs(value) if logs is None else logs
            context = _Context(instrument, instrument_xml, geometry, own_logs, history)
            _write_entry(entry, name, value, context)

    return hdf5_image(fill)


def _run_logs(value: Spectra | FitTable | Table) -> Mapping[str, LogValue]:
    """The logs of a run, with what Mantid keeps as logs, too."""
    if not isinstance(value, Spectra):
        return {}
    run = value.run
    own: dict[str, LogValue] = {
        "run_number": run.run_number,
        "run_title": run.title,
        "start_time": run.start_time,
        "run_start": run.start_time,
        "end_time": run.end_time,
        "run_end": run.end_time,
        "gd_prtn_chrg": run.proton_charge,
        "duration": run.duration,
    }
    return {**run.logs, **{name: item for name, item in own.items() if item}}


def _write_entry(entry: h5py.Group, name: str, value: Spectra | FitTable | Table, context: _Context) -> None:
    new_text(entry, "workspace_name", name)
    url = "http://www.nexusformat.org/instruments/xml/NXprocessed.xml"
    new_text(entry, "definition", _DEFINITION, URL=url, Version="1.0")
    new_text(entry, "definition_local", _DEFINITION, URL="http://www.isis.rl.ac.uk/xml/IXmantid.xml", Version="1.0")
    new_text(entry, "title", value.title if isinstance(value, Spectra) else "")
    if isinstance(value, Spectra):
        _write_histograms(entry, value)
        _write_instrument(entry, value, context)
        _write_sample(entry)
        _write_logs(entry, context.logs)
    else:
        _write_table(entry, fit_table_to_table(value) if isinstance(value, FitTable) else value)
    _write_history(entry, context.history)


def _write_histograms(entry: h5py.Group, spectra: Spectra) -> None:
    data = new_group(entry, "workspace", "NXdata")
    attributes: dict[str, str | int] = {"signal": 1, "axes": "axis2,axis1", "units": "Counts", "unit_label": "Counts"}
    set_attributes(_deflated(data, "values", spectra.y), attributes)
    _deflated(data, "errors", spectra.e)
    edges = np.asarray(spectra.edges, np.float64)
    new_numbers(data, "axis1", edges, units=spectra.unit, distribution="0")
    numbers = spectra.number.astype(np.float64)
    new_numbers(data, "axis2", numbers, units="spectraNumber", caption="Spectrum", label="")


def _deflated(group: h5py.Group, name: str, values: FloatArray) -> h5py.Dataset:
    chunks = (1, max(values.shape[1], 1))
    data = np.asarray(values, np.float64)
    return group.create_dataset(name, data=data, chunks=chunks, shuffle=True, compression="gzip", compression_opts=6)


def _write_instrument(entry: h5py.Group, spectra: Spectra, context: _Context) -> None:
    group = new_group(entry, "instrument", "NXinstrument", version=1)
    new_text(group, "name", context.instrument)
    definition = new_group(group, "instrument_xml", "NXnote")
    new_text(definition, "data", context.instrument_xml)
    new_text(definition, "type", "text/xml")
    new_text(definition, "description", "XML contents of the instrument IDF file.")
    parameters = new_group(group, "instrument_parameter_map", "NXnote", version=1)
    new_text(parameters, "author", "")
    new_text(parameters, "data", "")
    new_text(parameters, "date", "")
    new_text(parameters, "description", _MAP_DESCRIPTION)
    new_text(parameters, "type", "text/plain")
    _write_detectors(group, spectra, context.geometry)


def _write_detectors(instrument: h5py.Group, spectra: Spectra, geometry: Geometry | None) -> None:
    group = new_group(instrument, "detector", "NXdetector", version=1)
    count = np.array([len(ids) for ids in spectra.detids], np.int32)
    ids = np.concatenate([*spectra.detids, np.empty(0, np.int32)]).astype(np.int32)
    new_numbers(group, "detector_count", count)
    new_numbers(group, "detector_index", (np.cumsum(count) - count).astype(np.int32))
    new_numbers(group, "detector_list", ids)
    new_numbers(group, "spectra", spectra.number.astype(np.int32))
    if geometry is not None:
        new_numbers(group, "detector_positions", _positions(ids, geometry))
        _write_physical_detectors(instrument, geometry)


def _positions(ids: IntArray, geometry: Geometry) -> FloatArray:
    """Distance (m), polar angle and azimuth (degrees) from the sample of each detector."""
    place = np.searchsorted(geometry.detid, ids)
    if np.any(geometry.detid[np.minimum(place, len(geometry) - 1)] != ids):
        raise InputError(
            "The geometry must have all detectors of the spectra.",
            found=f"a geometry of {len(geometry)} pixels",
            fix="Use the geometry of the same instrument, native or lite.",
        )
    two_theta, azimuth = np.degrees(geometry.two_theta[place]), np.degrees(geometry.azimuth[place])
    return np.stack([geometry.l2[place], two_theta, azimuth], axis=1)


def _write_physical_detectors(instrument: h5py.Group, geometry: Geometry) -> None:
    group = new_group(instrument, "physical_detectors", "NXdetector")
    new_numbers(group, "number_of_detectors", np.array([len(geometry)], np.uint64))
    new_numbers(group, "detector_number", geometry.detid.astype(np.int32))
    new_numbers(group, "distance", geometry.l2, units="metre")
    new_numbers(group, "polar_angle", np.degrees(geometry.two_theta), units="degree")
    new_numbers(group, "azimuthal_angle", np.degrees(geometry.azimuth), units="degree")


def _write_sample(entry: h5py.Group) -> None:
    sample = new_group(entry, "sample", "NXsample", name=" ", version=1, shape_xml='<type name="userShape">  </type>')
    for name in ("num_oriented_lattice", "num_other_samples", "geom_id"):
        new_numbers(sample, name, np.zeros(1, np.int32))
    for name in ("geom_height", "geom_thickness", "geom_width"):
        new_numbers(sample, name, np.zeros(1))
    material = new_group(sample, "material", "NXdata", formulaStyle="empty", name=" ", version=2)
    for name in ("number_density", "pressure", "temperature"):
        new_numbers(material, name, np.zeros(1))


def _write_logs(entry: h5py.Group, logs: Mapping[str, LogValue]) -> None:
    group = new_group(entry, "logs", "NXgroup", version=1)
    for name, value in logs.items():
        log = new_group(group, name, "NXlog")
        if isinstance(value, str):
            new_text(log, "value", value)
        else:
            new_numbers(log, "value", np.atleast_1d(_log_numbers(value)), units=" ")


def _log_numbers(value: LogValue) -> np.ndarray:
    return np.array(value, np.int32 if isinstance(value, (bool, int)) and abs(value) < 2**31 else np.float64)


def _write_history(entry: h5py.Group, history: Sequence[str]) -> None:
    process = new_group(entry, "process", "NXprocess")
    for number, step in enumerate(history, start=1):
        note = new_group(process, f"step_{number}", "NXnote")
        new_text(note, "author", "snapcal")
        new_text(note, "data", step)
        new_text(note, "description", "What was done before this workspace was saved")


def _write_table(entry: h5py.Group, table: Table) -> None:
    data = new_group(entry, "table_workspace", "NXdata")
    for number, (name, column) in enumerate(table.columns.items(), start=1):
        values, meaning = _stored_column(name, column)
        units = "N/A" if meaning else "Not known"
        new_numbers(data, f"column_{number}", values, name=name, units=units, interpret_as=meaning)


def _stored_column(name: str, column: Column) -> tuple[np.ndarray, str]:
    """A column as Mantid stores it: text of one width filled up with blanks, whole numbers int32, others float64."""
    values = np.asarray(column)
    if isinstance(column, list) or values.dtype.kind in "US":
        words = [str(word).encode() for word in column]
        width = max(map(len, words), default=1) or 1
        packed = np.array([word.ljust(width) for word in words], dtype=f"S{width}")
        return packed.reshape(-1, 1), "A string"
    if values.ndim == 1 and values.dtype.kind in "iub" and (values.size == 0 or np.abs(values).max() < 2**31):
        return values.astype(np.int32), ""
    if values.ndim == 1 and values.dtype.kind in "iuf":
        return values.astype(np.float64), ""
    raise InputError(
        f"The column {name} must be one-dimensional, of numbers or text.",
        found=f"type {values.dtype}, shape {values.shape}",
        fix="Split it into columns of numbers or text.",
    )
