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
from typing import Any

import h5py
import numpy as np

from snapcal_workbench.calibration import types
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.hdf5 import hdf5_image
from snapcal_workbench.formats.writing import replace_file

FORMAT = "snapcal values 1"

_KINDS = {
    kind.__name__: kind
    for kind in (
        types.Spectra,
        types.DiffCalTable,
        types.PixelMask,
        types.PixelGrouping,
        types.PixelMap,
        types.PixelResults,
        types.FitTable,
    )
}


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write values to a new file, complete or not at all.

    Args:
        path: The file; an existing one is replaced once the new one is complete.
        values: Values of the kinds that hold arrays (not `Events`) by name.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
    """
    replace_file(path, values_image(values), "the results of an iteration")


def values_image(values: Mapping[str, Any]) -> bytes:
    """The bytes of a file of values; equal values make equal bytes."""

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = FORMAT
        for name, value in values.items():
            _write(file.create_group(name), value)

    return hdf5_image(fill)


def read_values(path: Path) -> dict[str, Any]:
    """Read all values of a file.

    Raises:
        NotFoundError: There is no such file.
        FileFormatError: The file is damaged, not one of ours, or of another release's format.
    """
    if not path.is_file():
        raise NotFoundError(f"Expected the results of an iteration in {path}.", fix="Run that iteration again.")
    try:
        with h5py.File(path) as file:
            if file.attrs["format"] != FORMAT:
                raise ValueError(f"its format is '{file.attrs['format']}', this release reads '{FORMAT}'")
            return {name: _read(group) for name, group in file.items()}
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FileFormatError(
            f"The results in {path} cannot be read.", found=str(error), fix="Run that iteration again."
        ) from error


def _write(group: h5py.Group, value: Any) -> None:
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


def _read(group: h5py.Group) -> Any:
    kind = _KINDS[group.attrs["kind"]]
    others = json.loads(group["fields"].asstr()[()])
    found: dict[str, Any] = {}
    for field in fields(kind):
        name = field.name
        if name == "detids":
            found[name] = np.split(group[name][()], np.cumsum(group[f"{name}_lengths"][()])[:-1])
        elif name in group:
            found[name] = group[name][()]
        elif name == "run":
            found[name] = types.RunInfo(**others[name])
        else:
            found[name] = tuple(others[name]) if isinstance(others[name], list) else others[name]
    return kind(**found)
