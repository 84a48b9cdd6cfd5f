"""Our own HDF5 file of named values, in which a session keeps the results of an iteration.

One group a value, named as the value, with the attribute `kind`: the name of its class in `calibration.types`. A field
that is an array is a dataset; a list of arrays is the dataset `<field>` of all of them, one after the other, with
`<field>_lengths`; every other field stands in the JSON text `fields`. The file states its version in `format`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
from pydantic import TypeAdapter, ValidationError

from snapcal_workbench.calibration import types
from snapcal_workbench.calibration.types import IntArray
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.hdf5 import (
    LARGEST_SPECTRA,
    attribute,
    child,
    dataset,
    hdf5_image,
    numbers,
    open_hdf5,
    subgroup,
    text,
    wrong,
)
from snapcal_workbench.formats.disk.json_file import json_value
from snapcal_workbench.formats.disk.writing import replace_file

FORMAT = "snapcal values 1"
WHAT = "the results of an iteration"

_RUN = TypeAdapter(types.RunInfo)
_TWO_DIMENSIONS = ("y", "e", "hkl", "parameters")
_ALWAYS_FINITE = ("edges", "difc", "difa", "tzero")
_DTYPES: dict[str, type] = {
    **dict.fromkeys(("detid", "group", "hkl", "number"), np.int32),
    **dict.fromkeys(("reason", "used"), np.uint8),
}
"""Types of the arrays that are not float64."""

Kept = (
    types.Spectra
    | types.DiffCalTable
    | types.PixelMask
    | types.PixelGrouping
    | types.PixelMap
    | types.PixelResults
    | types.FitTable
)
"""A value that a file can hold."""
_KINDS: dict[str, type[Kept]] = {kind.__name__: kind for kind in get_args(Kept)}


def write_values(path: Path, values: Mapping[str, Kept]) -> None:
    """Write values to a new file, complete or not at all.

    Args:
        path: The file; an existing one is replaced once the new one is complete.
        values: Values of the kinds that hold arrays (not `Events`) by name.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
    """
    replace_file(path, values_image(values), WHAT)


def values_image(values: Mapping[str, Kept]) -> bytes:
    """The bytes of a file of values; equal values make equal bytes."""

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = FORMAT
        for name, value in values.items():
            _write(file.create_group(name), value)

    return hdf5_image(fill)


def read_values(path: Path) -> dict[str, Kept]:
    """Read all values of a file; those of kinds that a later release added are passed over.

    Raises:
        NotFoundError: There is no such file.
        FileFormatError: The file is damaged, not one of ours, or of another release's format.
    """
    with open_hdf5(path, WHAT) as file:
        if attribute(file, "format") != FORMAT:
            found = f"the format '{attribute(file, 'format'):.80}'; this release reads '{FORMAT}'"
            raise damaged(path, WHAT, found, "Use the release that wrote it, or calibrate again.")
        groups = {name: subgroup(file, name) for name in file}
        return {name: _read(group) for name, group in groups.items() if attribute(group, "kind") in _KINDS}


def _write(group: h5py.Group, value: Kept) -> None:
    group.attrs["kind"] = type(value).__name__
    others = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if isinstance(item, np.ndarray):
            _write_array(group, field.name, item)
        elif field.name == "detids":
            lengths = np.array([len(ids) for ids in item], np.int64)
            group[field.name] = np.concatenate([*item, np.empty(0, np.int32)]).astype(np.int32)
            group[f"{field.name}_lengths"] = lengths
        else:
            others[field.name] = types.as_dict(item) if isinstance(item, types.RunInfo) else item
    group["fields"] = json.dumps(others)


def _write_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    if array.size > 10_000:
        group.create_dataset(name, data=array, chunks=True, compression="gzip", compression_opts=1, shuffle=True)
    else:
        group[name] = array


def _read(group: h5py.Group) -> Kept:
    kind = _KINDS[attribute(group, "kind")]
    others = _others(group)
    present = [field.name for field in fields(kind) if field.name in others or child(group, field.name) is not None]
    try:
        value = kind(**{name: _field(group, name, others) for name in present})
    except (TypeError, InputError, ValidationError) as error:
        raise wrong(group, f"all fields of {kind.__name__}", str(error)[:300]) from None
    _check(group, value)
    return value


def _others(group: h5py.Group) -> dict[str, object]:
    """The fields that are no arrays."""
    try:
        found = json_value(text(group, "fields"))
    except ValueError as error:
        raise wrong(group, "fields in JSON", str(error)) from None
    if not isinstance(found, dict):
        raise wrong(group, "fields in a JSON object", type(found).__name__)
    return found


def _field(group: h5py.Group, name: str, others: Mapping[str, object]) -> Any:
    if name in others:
        return _run(others[name]) if name == "run" else _words(group, name, others[name])
    if name == "detids":
        return _split(group, name)
    two = dataset(group, name).ndim == 2 if name == "edges" else name in _TWO_DIMENSIONS
    finite, dtype = name in _ALWAYS_FINITE, _DTYPES.get(name, np.float64)
    found = numbers(group, name, dtype, ndim=2 if two else 1, finite=finite, limit=LARGEST_SPECTRA)
    return found.astype(bool) if name == "used" else found


def _run(item: object) -> types.RunInfo:
    """What was written of a run; what was no finite number, which JSON cannot hold, is left out."""
    if isinstance(item, dict):
        logs = item.get("logs")
        kept = {name: value for name, value in logs.items() if value is not None} if isinstance(logs, dict) else {}
        item = {name: value for name, value in item.items() if value is not None} | {"logs": kept}
    return _RUN.validate_python(item)


def _words(group: h5py.Group, name: str, item: object) -> object:
    """A text, or a tuple of texts."""
    if isinstance(item, list) and all(isinstance(part, str) for part in item):
        return tuple(item)
    if not isinstance(item, str):
        raise wrong(group, f"{name} as text", repr(item)[:80])
    return item


def _split(group: h5py.Group, name: str) -> list[IntArray]:
    ids = numbers(group, name, np.int32)
    lengths = numbers(group, f"{name}_lengths", np.int64)
    if lengths.size == 0 or lengths.min() < 0 or lengths.max() > len(ids) or lengths.sum() != len(ids):
        raise wrong(group, f"lengths of parts of the {len(ids)} {name}", f"{len(lengths)} that do not add up to them")
    return np.split(ids, np.cumsum(lengths)[:-1])


def _check(group: h5py.Group, value: Kept) -> None:
    """Raise FileFormatError unless the arrays fit together; a reason that only a later release knows becomes that."""
    if isinstance(value, types.FitTable):
        arrays = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in ("parameter_names", "profile")}
        lengths = {name: len(item) for name, item in arrays.items()}
        columns = value.parameters.shape[1], len(value.parameter_names)
        if len(set(lengths.values())) > 1 or columns[0] != columns[1] or value.hkl.shape[1] != 3:
            raise wrong(group, "one row a peak", f"lengths {lengths}, parameters and names {columns}")
    if isinstance(value, types.Spectra):
        if value.edges.ndim == 2 and len(value.edges) != len(value.y):
            raise wrong(group, "bin edges of each spectrum", f"{len(value.edges)} for {len(value.y)} spectra")
        if value.unit not in get_args(types.Unit):
            raise wrong(group, f"a unit of {' or '.join(get_args(types.Unit))}", f"'{value.unit:.40}'")
    if isinstance(value, (types.PixelMask, types.PixelResults)):
        value.reason[value.reason >= len(types.MaskReason)] = types.MaskReason.OF_LATER_RELEASE
