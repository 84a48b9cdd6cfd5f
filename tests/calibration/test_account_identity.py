"""Which table an account is of, also when the table has been through a workspace of Mantid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.calibration.types.calibration import table_hash

TABLE = DiffCalTable(
    np.arange(4, dtype=np.int32),
    np.linspace(5000.0, 7000.0, 4),
    np.array([0.0, -0.0, 3e-11, 0.5]),
    np.array([-8.0, -0.0, -9e-11, 0.0]),
)


def test_what_load_diffcal_reads_as_0_makes_no_other_table() -> None:
    read = [np.where(np.abs(column) < 1e-10, 0.0, column) for column in (TABLE.difa, TABLE.tzero)]
    assert table_hash(replace(TABLE, difa=read[0], tzero=read[1])) == table_hash(TABLE)


def test_the_least_change_of_a_number_makes_another_table() -> None:
    for name in ("difc", "difa", "tzero"):
        column = getattr(TABLE, name).copy()
        place = np.argmax(np.abs(column))
        column[place] = np.nextafter(column[place], np.inf)
        assert table_hash(replace(TABLE, **{name: column})) != table_hash(TABLE)
