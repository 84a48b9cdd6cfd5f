"""HDF5 files: reading what is not trusted, with the type and size that it must have, and making them in memory.

Inside `open_hdf5` whatever h5py raises becomes a `FileFormatError` that names the file. Names of datasets are paths
within a group. Text is written as fixed-length bytes in arrays of one element, as Mantid and the facility do.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import DTypeLike

from snapcal_workbench.errors import FileFormatError, StoreError
from snapcal_workbench.formats.disk._chunks import read_element, read_whole
from snapcal_workbench.formats.disk.files import LARGEST_TEXT, damaged, require_file

_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, zlib.error)

_GROWTH = 1 << 20
"""Bytes by which an image in memory grows."""
_images = itertools.count()

_LARGEST_RATIO = 1100
"""Deflate packs at most 1032 bytes into one, so a dataset that claims more is damaged."""

LARGEST_COLUMN = 256 << 20
"""Largest dataset (bytes) that is read as a whole unless more is asked for: 27 times a number of each native pixel."""

LARGEST_SPECTRA = 2 << 30
"""Largest dataset (bytes) of spectra: those of all lite pixels with 14,000 bins."""

LARGEST_EVENTS = 16 << 30
"""Largest dataset (bytes) of events that is read as a whole: 4e9 events."""

_LINKS = 16
"""Soft links that are followed one after the other, as HDF5 itself does."""


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Args:
        path: The file.
        what: What it should be, such as "a DiffCal file".

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is not HDF5, or something in it cannot be read.
    """
    with naming_damage(path, what), opened_hdf5(path, what) as file:
        yield file


def opened_hdf5(path: Path, what: str) -> h5py.File:
    """An HDF5 file opened for reading, for whoever closes it and names what is damaged in it: see `open_hdf5`."""
    path = require_file(path, what)
    with naming_damage(path, what):
        return h5py.File(path, "r", locking=False)


@contextmanager
def naming_damage(path: Path, what: str) -> Iterator[None]:
    """Raise FileFormatError with the name of the file for what HDF5 raises while something in it is read."""
    try:
        yield
    except _DAMAGE as error:
        found = str(error) or type(error).__name__
        raise damaged(
            path, f"{what} (HDF5)", found, "The file is truncated, damaged or not HDF5: copy it anew."
        ) from error


def hdf5_image(fill: Callable[[h5py.File], None]) -> bytes:
    """The bytes of an HDF5 file that a function fills, made in memory; `writing.replace_file` puts them on a disk.

    Raises:
        StoreError: There is not enough memory.
    """
    name = f"image {next(_images)}"  # two images of one name at a time would be one file to the library
    try:
        with h5py.File(name, "w", driver="core", backing_store=False, block_size=_GROWTH) as file:
            fill(file)
            file.flush()
            return file.id.get_file_image()
    except (MemoryError, RuntimeError, OSError) as error:
        raise StoreError(
            "An HDF5 file could not be made in memory.",
            found=str(error) or type(error).__name__,
            fix="Close other programs, or free memory, then write it again.",
        ) from error


def wrong(node: h5py.Group | h5py.Dataset, expected: str, found: str, fix: str = "") -> FileFormatError:
    """The error that something in a file is not as it must be."""
    return damaged(node.file.filename, f"{expected} in {node.name}", found, fix)


def child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """A member of a group, None if there is none. Links into other files count as absent and are not opened."""
    return _member(group, name, _LINKS)


def _member(group: h5py.Group, name: str, links: int) -> h5py.Group | h5py.Dataset | None:
    found = group.file["/"] if name.startswith("/") else group
    for part in filter(None, name.split("/")):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            found = found.get(part)
        elif isinstance(link, h5py.SoftLink) and links:
            found = _member(found, link.path, links - 1)
        else:
            return None
    return found if isinstance(found, (h5py.Group, h5py.Dataset)) else None


def subgroup(group: h5py.Group, name: str) -> h5py.Group:
    """A group within a group.

    Raises:
        FileFormatError: There is none.
    """
    found = child(group, name)
    if not isinstance(found, h5py.Group):
        raise wrong(group, f"the group {name}", _members(group))
    return found


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset within a group, of a size that the file can hold.

    Raises:
        FileFormatError: There is none, its values are in other files, or it claims to be larger than the file can hold.
    """
    found = child(group, name)
    if not isinstance(found, h5py.Dataset):
        raise wrong(group, f"the dataset {name}", _members(group))
    if found.is_virtual or found.external:
        raise wrong(found, "values in this file", "a dataset whose values are in other files")
    if found.nbytes > _LARGEST_RATIO * found.file.id.get_filesize():
        raise wrong(found, "a dataset that fits into the file", f"shape {found.shape}")
    return found


def all_values(found: h5py.Dataset, limit: int = LARGEST_COLUMN) -> np.ndarray:
    """All values of a dataset.

    Raises:
        FileFormatError: They take more than `limit` bytes, or cannot be read.
    """
    if found.nbytes > limit:
        size = f"{found.nbytes} bytes (shape {found.shape}, {found.dtype}); no more than {limit} are read"
        raise wrong(found, "a dataset of a usual size", size)
    try:
        return read_whole(found)
    except _DAMAGE as error:
        raise wrong(found, "values that can be read", str(error), "The file is damaged: copy it anew.") from error


def _members(group: h5py.Group) -> str:
    names = list(group)[:12]
    return f"only {', '.join(names)}" if names else "nothing"


def numbers(
    group: h5py.Group,
    name: str,
    dtype: DTypeLike,
    *,
    ndim: int = 1,
    size: int | None = None,
    finite: bool = True,
    limit: int = LARGEST_COLUMN,
) -> np.ndarray:
    """The numbers of a dataset.

    Args:
        group: Where the dataset is.
        name: Name of the dataset.
        dtype: Wanted type; whole numbers stored as floats are taken for an integer type.
        ndim: Number of dimensions that it must have.
        size: Length of the first dimension that it must have.
        finite: Whether NaN and infinite values are refused.
        limit: Most bytes that it may have.

    Raises:
        FileFormatError: There is no such dataset, or its type, shape, size or values are wrong.
    """
    found = dataset(group, name)
    if found.dtype.kind not in "iufb":
        raise wrong(found, "numbers", f"type {found.dtype}")
    if found.ndim != ndim or (size is not None and found.shape[0] != size):
        wanted = f"{ndim}-dimensional numbers" + (f", {size} of them" if size is not None else "")
        raise wrong(found, wanted, f"shape {found.shape}")
    return _converted(found, all_values(found, limit), np.dtype(dtype), finite)


def _converted(found: h5py.Dataset, values: np.ndarray, dtype: np.dtype, finite: bool) -> np.ndarray:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = values.astype(dtype, copy=False)
    if values.dtype.kind == "f" and (finite or dtype.kind != "f"):
        bad = np.flatnonzero(~np.isfinite(values.ravel()))
        if len(bad):
            raise wrong(found, "finite numbers", f"{len(bad)} that are NaN or infinite, the first at {bad[0]}")
    if dtype.kind == "f":
        return values
    limits = np.iinfo(dtype)
    if values.size and (values.min() < limits.min or values.max() > limits.max or np.any(values != np.floor(values))):
        raise wrong(found, f"whole numbers that fit into {dtype}", f"values from {values.min()} to {values.max()}")
    return values.astype(dtype, copy=False)


def element(found: h5py.Dataset, index: tuple[int, ...]) -> object:
    """One value of a dataset.

    Raises:
        FileFormatError: It cannot be read, or the part of the file that it is in is too large.
    """
    if found.dtype.itemsize > LARGEST_TEXT or (found.chunks and np.prod(found.chunks) > LARGEST_COLUMN):
        raise wrong(found, "a dataset of a usual size", f"type {found.dtype}, chunks {found.chunks}")
    try:
        return read_element(found, index)
    except _DAMAGE as error:
        raise wrong(found, "values that can be read", str(error), "The file is damaged: copy it anew.") from error


def text(group: h5py.Group, name: str, default: str = "") -> str:
    """The (first) text of a dataset, `default` where there is none."""
    found = child(group, name)
    if not isinstance(found, h5py.Dataset) or not found.size:
        return default
    found = dataset(group, name)
    return plain_text(element(found, (0,) * found.ndim))


def plain_text(value: object) -> str:
    """The text that a value of a string dataset or attribute holds."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace").rstrip("\0") if isinstance(value, bytes) else str(value)


def attribute(node: h5py.Group | h5py.Dataset, name: str, default: str = "") -> str:
    """The text of an attribute, `default` where there is none."""
    value = node.attrs.get(name)
    return default if value is None else plain_text(value)


def new_group(parent: h5py.Group, name: str, nx_class: str, /, **attributes: str | int) -> h5py.Group:
    """Make a group with its NeXus class and other attributes."""
    group = parent.create_group(name)
    set_attributes(group, {"NX_class": nx_class, **attributes})
    return group


def set_attributes(node: h5py.Group | h5py.Dataset, attributes: Mapping[str, str | int]) -> None:
    """Set attributes: text as fixed-length bytes, whole numbers as int32."""
    for name, value in attributes.items():
        if isinstance(value, str):
            packed = value.encode()
            node.attrs[name] = np.array(packed, f"S{len(packed) or 1}")
        else:
            node.attrs[name] = np.int32(value)


def new_text(parent: h5py.Group, name: str, value: str, /, **attributes: str | int) -> h5py.Dataset:
    """Make a dataset of one text; an empty one becomes a blank, as HDF5 has no text of length 0."""
    made = parent.create_dataset(name, data=np.array([value.encode() or b" "], dtype=np.bytes_))
    set_attributes(made, attributes)
    return made


def new_numbers(parent: h5py.Group, name: str, values: np.ndarray, /, **attributes: str | int) -> h5py.Dataset:
    """Make a dataset of numbers that is not compressed."""
    made = parent.create_dataset(name, data=values)
    set_attributes(made, attributes)
    return made
