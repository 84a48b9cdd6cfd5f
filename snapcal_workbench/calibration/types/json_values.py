"""Values as plain Python objects, for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel

from snapcal_workbench.errors import FileFormatError, InputError

T = TypeVar("T")

_TWO_DIMENSIONS = ("hkl", "parameters")
"""Fields that have more than one number an entry."""


def as_dict(value: Any) -> dict[str, object]:
    """Fields of a value as plain Python lists and scalars, for JSON (NaN becomes None)."""
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def from_dict(kind: type[T], data: Mapping[str, object]) -> T:
    """The value of which `as_dict` made `data`; None in an array of floats becomes NaN.

    Fields that this release does not know are passed over: a later one may have added them.

    Raises:
        FileFormatError: A field is absent or of another type, or the arrays are not of one length.
    """
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    hints = _HINTS[kind]
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


_HINTS: dict[type, dict[str, object]] = {}
"""Types of the fields of the classes that were restored: looked up once, since a list of iterations restores many."""


def _restored(hint: Any, item: Any, name: str) -> object:
    if hint is float:  # first, as most values are of these
        return np.nan if item is None else float(_of((int, float), item, name))
    if hint in (int, bool, str):
        return _of(hint, item, name)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and NoneType in arguments:
        return None if item is None else _restored(next(a for a in arguments if a is not NoneType), item, name)
    if origin is np.ndarray:
        return _array(np.dtype(get_args(arguments[1])[0]), item, name)
    if origin is tuple:
        of_one = len(arguments) == 2 and arguments[1] is Ellipsis
        hints = arguments[:1] * len(item) if of_one else arguments
        parts = zip(hints, _of(list, item, name), strict=True)
        return tuple(_restored(each, value, name) for each, value in parts)
    if origin is Mapping:
        return {arguments[0](key): value for key, value in _of(dict, item, name).items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return from_dict(hint, _of(dict, item, name))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint.model_validate(item)
    return item


def _of(kind: type | tuple[type, ...], item: object, name: str) -> Any:
    if not isinstance(item, kind):
        raise TypeError(f"{name} is {type(item).__name__}")
    return item


def _array(dtype: np.dtype, item: object, name: str) -> np.ndarray:
    values = np.array(_of(list, item, name), float)
    if not values.size:
        return values.astype(dtype)
    if values.ndim != (2 if name in _TWO_DIMENSIONS else 1):
        raise ValueError(f"{name} has {values.ndim} dimensions")
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if limits and not np.all((values >= limits.min) & (values <= limits.max)):
        raise ValueError(f"{name} has values that are no {dtype}")
    return values.astype(dtype)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return as_dict(value)
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
