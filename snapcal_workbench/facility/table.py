"""Sorting and filtering a table whose rows are dataclasses, as a command line asks for it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from snapcal_workbench.errors import InputError

R = TypeVar("R")

_CONDITION = re.compile(r"\s*([a-z_]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: abs(a - b) <= 1e-6 * max(1.0, abs(b)),
    "!=": lambda a, b: abs(a - b) > 1e-6 * max(1.0, abs(b)),
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def sorted_rows(rows: Sequence[R], column: str, *, descending: bool = False) -> list[R]:
    """Rows in the order of a column; those without a value come last either way.

    Raises:
        InputError: There is no such column.
    """
    if not rows:
        return []
    name = _column(rows[0], column)
    having = [row for row in rows if getattr(row, name) not in (None, "", ())]
    lacking = [row for row in rows if getattr(row, name) in (None, "", ())]
    return sorted(having, key=lambda row: getattr(row, name), reverse=descending) + lacking


def filtered_rows(rows: Sequence[R], conditions: Sequence[str]) -> list[R]:
    """Rows for which all conditions hold, as "wavelength>2", "verdict!=good" or "name~silicon" (contains).

    A column of several values, as the arcs, fits if one of them does. Numbers are compared as numbers, all else as
    texts without regard to letter case; dates as the texts that they are, so "last_calibrated<2025-06".

    Raises:
        InputError: A condition cannot be understood, names no column, or compares numbers with a word.
    """
    for condition in conditions:
        rows = _fitting(rows, condition)
    return list(rows)


def _fitting(rows: Sequence[R], condition: str) -> list[R]:
    found = _CONDITION.fullmatch(condition)
    if not found:
        raise InputError(
            "A condition is COLUMN, one of = != < > <= >= ~, and a value.",
            found=repr(condition)[:80],
            fix="Write for example 'wavelength>2', 'verdict!=good' or 'name~silicon'.",
        )
    if not rows:
        return []
    name = _column(rows[0], found[1])
    is_word = bool(found[3]) and not _is_number(found[3])
    if is_word and found[2] in _NUMBERS and any(_is_of_numbers(getattr(row, name)) for row in rows):
        raise InputError(
            f"The column {name} is of numbers.",
            found=repr(condition)[:80],
            fix=f"Compare it with a number, as '{name}>2'.",
        )
    return [row for row in rows if _fits(getattr(row, name), found[2], found[3])]


def _fits(value: object, operator: str, wanted: str) -> bool:
    if isinstance(value, tuple):
        values = value or ("",)
        return (
            all(_fits(item, operator, wanted) for item in values)
            if operator == "!="
            else any(_fits(item, operator, wanted) for item in values)
        )
    if isinstance(value, (int, float)) and operator in _NUMBERS and _is_number(wanted):
        return _NUMBERS[operator](float(value), float(wanted))
    text = "" if value is None else str(value).lower()
    if operator == "~":
        return wanted.lower() in text
    if value is None:
        return operator == "!=" if wanted else operator == "="
    return _TEXTS[operator](text, wanted.lower())


def _is_of_numbers(value: object) -> bool:
    """Whether this is a number, or several."""
    return isinstance(value, (int, float)) or (isinstance(value, tuple) and any(map(_is_of_numbers, value)))


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _column(row: object, name: str) -> str:
    known = list(getattr(row, "__dataclass_fields__", ()))
    if name not in known:
        raise InputError(
            "A table is sorted and filtered by its columns.",
            found=repr(name)[:80],
            fix=f"Use one of {', '.join(known)}.",
        )
    return name
