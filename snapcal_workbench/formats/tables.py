"""Tables of named columns, as Mantid's TableWorkspace, and the table form of peak fits.

The columns of a table of peak fits: `group`, `h`, `k`, `l`, `d`, `centre`, `centre_error`, `sigma`, `height`,
`intensity`, `chi2`, `used` (1 or 0), `why_not`, `window_min`, `window_max`, and one a parameter of the profile, such as
`Gaussian.PeakCentre`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types import FitTable
from snapcal_workbench.errors import FileFormatError, InputError

Column = np.ndarray | list[str]

_FLOATS = (
    "d",
    "centre",
    "centre_error",
    "sigma",
    "height",
    "intensity",
    "chi2",
    "window_min",
    "window_max",
)


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length: arrays of numbers, or lists of text."""

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(
                "All columns of a table must have the same length.",
                found=", ".join(f"{name}: {length}" for name, length in lengths.items()),
                fix="Pass one value a row in every column.",
            )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def fit_table_to_table(fits: FitTable) -> Table:
    """The table form of peak fits."""
    columns: dict[str, Column] = {"group": fits.group.astype(np.int32)}
    columns.update({name: fits.hkl[:, axis].astype(np.int32) for axis, name in enumerate("hkl")})
    columns.update({name: np.asarray(getattr(fits, name), np.float64) for name in _FLOATS[:7]})
    columns["used"] = fits.used.astype(np.int32)
    columns["why_not"] = list(fits.why_not)
    columns.update({name: np.asarray(getattr(fits, name), np.float64) for name in _FLOATS[7:]})
    for index, name in enumerate(fits.parameter_names):
        columns[f"{fits.profile}.{name}"] = np.asarray(fits.parameters[:, index], np.float64)
    return Table(columns)


def table_to_fit_table(table: Table) -> FitTable:
    """The peak fits of their table form.

    Raises:
        FileFormatError: A column is absent or of the wrong type.
    """
    names = [name for name in table.columns if "." in name]
    parameters = [_numbers(table, name, np.float64) for name in names]
    why_not = _column(table, "why_not")
    return FitTable(
        group=_numbers(table, "group", np.int32),
        hkl=np.stack([_numbers(table, name, np.int32) for name in "hkl"], axis=1),
        used=_numbers(table, "used", np.int32).astype(bool),
        why_not=tuple(str(text) for text in why_not),
        parameters=np.stack(parameters, axis=1) if parameters else np.empty((len(table), 0)),
        parameter_names=tuple(name.partition(".")[2] for name in names),
        profile=names[0].partition(".")[0] if names else "",
        **{name: _numbers(table, name, np.float64) for name in _FLOATS},
    )


def _column(table: Table, name: str) -> Column:
    if name not in table.columns:
        raise FileFormatError(
            f"A table of peak fits must have the column {name}.",
            found=", ".join(table.columns)[:200] or "no columns",
            fix="Choose a table of peak fits that this program wrote.",
        )
    return table.columns[name]


def _numbers(table: Table, name: str, dtype: type) -> np.ndarray:
    column = _column(table, name)
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "iufb":
        raise FileFormatError(
            f"The column {name} of a table of peak fits must have numbers.",
            found="text",
            fix="Choose a table of peak fits that this program wrote.",
        )
    return column.astype(dtype)
