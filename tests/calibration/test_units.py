"""Offsets and bins: what a shift is in bins, against bins that are counted."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.focus import LogGrid
from snapcal_workbench.calibration.units import log_step, offset_from_shift


@pytest.mark.parametrize("width", [1e-4, 3e-3, 0.2])
def test_an_offset_counts_the_bins_between_the_peaks(width: float) -> None:
    """A pixel whose DIFC must grow by so many bins' factors 1 + b has Mantid's offset of minus as many bins."""
    grid = LogGrid.between(0.5, 2.5, width)
    for bins in (-3, 1, 2):
        moved = grid.edges[5] * (1.0 + width) ** bins
        assert np.argmin(np.abs(grid.edges - moved)) == 5 + bins
        shift = float(np.log(moved / grid.edges[5]))
        assert offset_from_shift(shift, bin_width=width) == pytest.approx(-bins, rel=1e-9)
    assert np.diff(np.log(grid.edges)) == pytest.approx(log_step(width), rel=1e-9)
