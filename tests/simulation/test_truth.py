"""Truth of a simulated run: lite pixels, files, and the errors of a calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelGrouping, PixelMask
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.simulation.truth import Truth, error_at_peaks, group_errors


def test_lite_truth_is_the_mean_of_ln_difc_weighted_by_bragg_events(simulated: Any) -> None:
    truth = simulated.truth
    lite = truth.lite()
    assert len(lite) == 18432
    rng = np.random.default_rng(3)
    for pixel in rng.choice(np.flatnonzero(lite.bragg > 0), 50, replace=False):
        module, rest = divmod(int(pixel), 1024)
        x, y = divmod(rest, 32)
        block = [65536 * module + 256 * (8 * x + i) + 8 * y + j for i in range(8) for j in range(8)]
        expected = np.average(np.log(truth.difc[block]), weights=truth.bragg[block])
        assert np.log(lite.difc[pixel]) == pytest.approx(expected, abs=1e-12)
        assert lite.tzero[pixel] == pytest.approx(-8.0)
        assert lite.events[pixel] == pytest.approx(truth.events[block].sum())


def test_dead_lite_pixels_have_a_truth_and_no_information(simulated: Any) -> None:
    lite = simulated.truth.lite()
    dead = lite.bragg == 0
    assert 1 <= np.count_nonzero(dead) <= 12
    assert np.isfinite(lite.difc).all()
    assert np.isinf(lite.bound[dead]).all()


def test_lite_truth_cannot_be_summed_again(simulated: Any) -> None:
    with pytest.raises(InputError, match="native"):
        simulated.truth.lite().lite()


def test_a_written_truth_reads_back(simulated: Any, tmp_path: Path) -> None:
    simulated.truth.write(tmp_path / "truth.h5")
    found = Truth.read(tmp_path / "truth.h5")
    for name in ("detid", "difc", "difa", "tzero", "bragg", "events", "information", "lite_information"):
        np.testing.assert_array_equal(getattr(found, name), getattr(simulated.truth, name))


def test_files_that_are_no_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="truth"):
        Truth.read(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["difc"] = np.ones(3)
    with pytest.raises(FileFormatError, match="truth"):
        Truth.read(tmp_path / "other.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(FileFormatError, match="truth"):
        Truth.read(tmp_path / "text.h5")


def _truth(count: int) -> Truth:
    ones = np.ones(count)
    difc = 10_000.0 + np.arange(count, dtype=np.float64)
    return Truth(np.arange(count, dtype=np.int32), difc, 2.0 * ones, -8.0 * ones, ones, ones, 1e8 * ones, np.empty(0))


def test_error_is_relative_to_the_true_tof() -> None:
    """A DIFC that is 100 ppm too large, and a TZERO that is 8 us too large, at known TOFs."""
    truth = _truth(4)
    d = np.array([1.0, 2.5])
    tof = truth.difc[:, None] * d + 2.0 * d**2 - 8.0
    longer = replace(truth.table, difc=truth.difc * 1.0001)
    np.testing.assert_allclose(
        error_at_peaks(longer, truth, d), np.mean(1e-4 * truth.difc[:, None] * d / tof, axis=1), rtol=1e-8
    )
    late = replace(truth.table, tzero=np.zeros(4))
    np.testing.assert_allclose(error_at_peaks(late, truth, d), np.mean(8.0 / tof, axis=1), rtol=1e-8)
    np.testing.assert_allclose(error_at_peaks(truth.table, truth, d), 0.0, atol=1e-15)


def test_errors_need_the_same_pixels_and_a_peak() -> None:
    truth = _truth(4)
    other = DiffCalTable(np.arange(3, dtype=np.int32), np.ones(3), np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="pixels"):
        error_at_peaks(other, truth, np.array([1.0]))
    with pytest.raises(InputError, match="peak"):
        error_at_peaks(truth.table, truth, np.array([]))


def test_group_errors_leave_out_masked_pixels_and_groups_without_peaks() -> None:
    truth = replace(_truth(3000), difa=np.zeros(3000), tzero=np.zeros(3000))
    group = np.repeat([1, 2, 3], 1000).astype(np.int32)
    rng = np.random.default_rng(9)
    shift = 1e-4 * group + 3e-4 * rng.standard_normal(3000)
    mask = PixelMask.none(truth.detid)
    mask.reason[:10] = MaskReason.USER
    shift[:10] = 5.0
    table = replace(truth.table, difc=truth.difc * np.exp(shift))
    peaks = {1: np.array([1.0, 2.0]), 2: np.array([1.5]), 3: np.array([])}
    found = group_errors(table, truth, PixelGrouping(truth.detid, group), mask, peaks)
    assert [item.group for item in found] == [1, 2]
    assert [item.pixels for item in found] == [990, 1000]
    for item in found:
        assert item.median_ppm == pytest.approx(100 * item.group, abs=5 * 300 * 1.25 / np.sqrt(1000))
        assert item.spread_ppm == pytest.approx(300, rel=0.15)
        assert item.bound_ppm == pytest.approx(100.0)
