"""Values as plain Python objects, for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.errors import FileFormatError, InputError

T = TypeVar("T")

_TWO_DIMENSIONS = ("hkl", "parameters")
"""Fields that have more than one number an entry."""


def as_dict(value: Any) -> dict[str, Any]:
    """Fields of a value as plain Python lists and scalars, for JSON (NaN becomes None)."""
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def from_dict(kind: type[T], data: Mapping[str, Any]) -> T:
    """The value of which `as_dict` made `data`; None in an array of floats becomes NaN.

    Fields that this release does not know are passed over: a later one may have added them.

    Raises:
        FileFormatError: A field is absent or of another type, or the arrays are not of one length.
    """
    hints = get_type_hints(kind)
    try:
        known = {name: _restored(hints[name], item, name) for name, item in data.items() if name in hints}
        value = kind(**known)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, InputError) as error:
        raise _not_kept(kind, str(error)) from None
    lengths = {name: len(item) for name, item in known.items() if isinstance(item, np.ndarray)}
    if len(set(lengths.values())) > 1:
        raise _not_kept(kind, ", ".join(f"{name}: {length}" for name, length in lengths.items()))
    return value


def _not_kept(kind: type, found: str) -> FileFormatError:
    return FileFormatError(
        f"What was kept as {kind.__name__} must have all its fields, of the right types and of one length.",
        found=found[:200],
        fix="Use another iteration or version: the file of this one was changed, or is of another release.",
    )


def _restored(hint: Any, item: Any, name: str) -> Any:
    if get_origin(hint) is np.ndarray:
        return _array(np.dtype(get_args(get_args(hint)[1])[0]), item, name)
    if get_origin(hint) is tuple:
        return tuple(tuple(i) if isinstance(i, list) else i for i in _of(list, item, name))
    if get_origin(hint) is Mapping and get_args(hint)[0] is int:
        return {int(key): value for key, value in _of(dict, item, name).items()}
    if hint is float:
        return np.nan if item is None else float(_of((int, float), item, name))
    return _of(hint, item, name) if hint in (int, bool, str) else item


def _of(kind: type | tuple[type, ...], item: Any, name: str) -> Any:
    if not isinstance(item, kind):
        raise TypeError(f"{name} is {type(item).__name__}")
    return item


def _array(dtype: np.dtype, item: Any, name: str) -> NDArray[Any]:
    values = np.array(_of(list, item, name), float)
    if not values.size:
        return values.astype(dtype)
    if values.ndim != (2 if name in _TWO_DIMENSIONS else 1):
        raise ValueError(f"{name} has {values.ndim} dimensions")
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if limits and not np.all((values >= limits.min) & (values <= limits.max)):
        raise ValueError(f"{name} has values that are no {dtype}")
    return values.astype(dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
