"""The last test of every pixel, on events in closed form: pixels on the wrong peaks are found, the others stay."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.phases.pattern import coarse_fit, patterns_of
from snapcal_workbench.calibration.pixels.off_pattern import GroupModel, off_pattern
from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelMask
from snapcal_workbench.progress import Progress
from tests.synthetic_pixels import SILICON, one_group, panel, simulate

DELTA_D = 0.004


def masked_of(counts: float, wrong: np.ndarray, by: float, seed: int = 1) -> np.ndarray:
    """bool[n]: the pixels that are masked when the DIFC of some is wrong by a factor exp(by)."""
    geometry = panel(2, 16)
    rng = np.random.default_rng(seed)
    events = simulate(geometry, SILICON, geometry.difc, np.full(len(geometry), DELTA_D), counts, rng)
    grouping, parameters = one_group(geometry, DELTA_D)
    difc = geometry.difc * np.where(wrong, np.exp(by), 1.0)
    zeros = np.zeros(len(geometry))
    table, mask = DiffCalTable(geometry.detid, difc, zeros, zeros), PixelMask.none(geometry.detid)
    good = PixelMask(geometry.detid, np.where(wrong, MaskReason.USER, 0).astype(np.uint8))
    spectra = focus(events, table, grouping, good, parameters, bins_per_delta_d=6)
    model = GroupModel(1, coarse_fit(patterns_of(spectra, parameters)[0], SILICON.d, 0.0))
    found = off_pattern(events, table, grouping, mask, [model], Progress())
    assert set(np.unique(found.reason)) <= {0, MaskReason.NOT_ON_PATTERN}
    return found.masked


@pytest.mark.parametrize("by", [-0.06, 0.03, 0.08])
def test_pixels_on_wrong_peaks_are_masked(by: float) -> None:
    """With 4000 events, 15 % of them in peaks, all of them; and none of the right ones."""
    wrong = np.zeros(512, bool)
    wrong[[3, 77, 200, 400]] = True
    np.testing.assert_array_equal(masked_of(4000, wrong, by), wrong)


@pytest.mark.parametrize("counts", [20, 300, 4000])
def test_right_pixels_are_not_masked(counts: float) -> None:
    assert not masked_of(counts, np.zeros(512, bool), 0.0, seed=2).any()


def test_a_module_whose_pixels_say_too_little_is_found_as_a_whole() -> None:
    """60 events a pixel: no pixel is told from noise, 256 of them are."""
    wrong = np.arange(512) >= 256
    np.testing.assert_array_equal(masked_of(60, wrong, 0.04), wrong)
