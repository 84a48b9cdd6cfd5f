"""Values as plain Python objects, for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


def as_dict(value: Any) -> dict[str, Any]:
    """Fields of a value as plain Python lists and scalars, for JSON (NaN becomes None)."""
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def from_dict(kind: type[T], data: Mapping[str, Any]) -> T:
    """The value of which `as_dict` made `data`; None in an array of floats becomes NaN."""
    hints = get_type_hints(kind)
    return kind(**{name: _restored(hints[name], item) for name, item in data.items()})


def _restored(hint: Any, item: Any) -> Any:
    if get_origin(hint) is np.ndarray:
        dtype = get_args(get_args(hint)[1])[0]
        return np.array([], dtype) if item == [] else np.array(item, float).astype(dtype)
    if get_origin(hint) is tuple:
        return tuple(tuple(i) if isinstance(i, list) else i for i in item)
    if get_origin(hint) is Mapping and get_args(hint)[0] is int:
        return {int(key): value for key, value in item.items()}
    return np.nan if hint is float and item is None else item


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
