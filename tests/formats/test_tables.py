"""Tables of peak fits."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.types import FitTable
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.processed import (
    Table,
    fit_table_to_table,
    read_processed,
    table_to_fit_table,
    write_processed,
)


def _assert_equal(found: FitTable, wanted: FitTable) -> None:
    for field in fields(FitTable):
        ours, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
            assert ours.dtype == theirs.dtype
        else:
            assert ours == theirs, field.name


def test_peak_fits_survive_a_file(tmp_path: Path, fits: FitTable) -> None:
    """As a table of Mantid, with NaN, negative indices and reasons in words."""
    write_processed(tmp_path / "a.nxs", {"fits": fits}, instrument="SNAP")
    found = read_processed(tmp_path / "a.nxs")["fits"]
    assert isinstance(found, Table)
    _assert_equal(table_to_fit_table(found), fits)


def test_a_table_without_rows_survives(tmp_path: Path, fits: FitTable) -> None:
    """A calibration whose groups all failed has no peaks."""
    cut: dict[str, Any] = {f.name: getattr(fits, f.name) for f in fields(FitTable)}
    cut = {name: value[:0] if isinstance(value, np.ndarray) else value for name, value in cut.items()}
    empty = FitTable(**{**cut, "why_not": ()})
    _assert_equal(table_to_fit_table(fit_table_to_table(empty)), empty)
    write_processed(tmp_path / "a.nxs", {"fits": empty}, instrument="SNAP")
    found = read_processed(tmp_path / "a.nxs")["fits"]
    assert isinstance(found, Table)
    _assert_equal(table_to_fit_table(found), empty)


def test_a_table_of_something_else_is_refused(fits: FitTable) -> None:
    """A missing column and text in place of numbers are named."""
    columns = dict(fit_table_to_table(fits).columns)
    with pytest.raises(FileFormatError, match="must have the column chi2"):
        table_to_fit_table(Table({name: column for name, column in columns.items() if name != "chi2"}))
    with pytest.raises(FileFormatError, match=r"column centre .* numbers"):
        table_to_fit_table(Table({**columns, "centre": ["a", "b", "c"]}))


def test_columns_have_one_length() -> None:
    """The lengths are in the message."""
    with pytest.raises(InputError, match="a: 2, b: 1"):
        Table({"a": np.zeros(2), "b": ["x"]})


def test_a_column_of_arrays_cannot_be_written(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(InputError, match="The column v"):
        write_processed(tmp_path / "a.nxs", {"t": Table({"v": np.zeros((2, 3))})}, instrument="SNAP")
