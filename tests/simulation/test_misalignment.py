"""Misalignment: rigid motions in closed form, sizes of the measured calibration, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.simulation.misalignment import Misalignment, misalign, positions

H_OVER_M = 6.62606896e-34 / 1.674927211e-27


@pytest.fixture(scope="module")
def nominal() -> Geometry:
    """The lite pixels: rigid bodies are as good with few points."""
    return snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)


@pytest.fixture(scope="module")
def native() -> Geometry:
    return snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043)


def _robust(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_positions_are_those_of_the_panels(nominal: Geometry) -> None:
    """A pixel of the East panel lies on the plane at distance 0.5 m + lin, whose normal is the arc's direction."""
    arc = np.deg2rad(104.95)
    east = positions(nominal)[: 9 * 1024]
    np.testing.assert_allclose(east @ [np.sin(arc), 0.0, np.cos(arc)], 0.543, rtol=1e-12)


def test_a_shift_moves_each_module_as_a_whole_along_growing_angle(nominal: Geometry) -> None:
    sizes = replace(Misalignment(), tilt=0.0, radial=0.0, smooth=(0.0, 0.0), pixel=0.0)
    found = misalign(nominal, sizes)
    moved = positions(found.geometry) - positions(nominal)
    for module in range(18):
        own = moved[module * 1024 : (module + 1) * 1024]
        np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-12)
        assert np.linalg.norm(own[0]) == pytest.approx(found.moved[module], rel=1e-9)
        centre = positions(nominal)[module * 1024 : (module + 1) * 1024].mean(axis=0)
        assert abs(own[0] @ centre) < 1e-12
        assert own[0][2] < 0


def test_a_tilt_keeps_the_distances_within_a_module(nominal: Geometry) -> None:
    found = misalign(nominal, replace(Misalignment(), tilt=0.02, pixel=0.0))
    before, after = positions(nominal), positions(found.geometry)
    rng = np.random.default_rng(1)
    for module in (0, 7, 17):
        a, b = rng.integers(module * 1024, (module + 1) * 1024, (2, 200))
        np.testing.assert_allclose(
            np.linalg.norm(after[a] - after[b], axis=1), np.linalg.norm(before[a] - before[b], axis=1), atol=1e-12
        )


def test_true_difc_is_the_flight_time_per_d_of_the_moved_pixel(nominal: Geometry) -> None:
    """TOF of d: velocity h / (m lambda) with lambda = 2 d sin(theta) over L1 + L2, theta from the scalar product."""
    found = misalign(nominal, replace(Misalignment(), smooth=(0.0, 0.0), pixel=0.0))
    position = positions(found.geometry)
    l2 = np.linalg.norm(position, axis=1)
    theta = 0.5 * np.arccos(position @ [0.0, 0.0, 1.0] / l2)
    seconds = (15.0 + l2) * 2e-10 * np.sin(theta) / H_OVER_M
    np.testing.assert_allclose(found.difc, 1e6 * seconds, rtol=1e-12)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 7))])
def test_sizes_are_those_of_the_measured_calibration(native: Geometry, seed: int) -> None:
    """Module medians 0.10 to 0.77 % around 0.24 %, within a module 0.02 to 0.08 %, native pixels 200 ppm rms."""
    change = np.log(misalign(native, Misalignment(seed=seed)).difc / native.difc)
    modules = change.reshape(18, 256, 256)
    medians = np.median(modules.reshape(18, -1), axis=1)
    assert medians.min() == pytest.approx(0.0010, abs=1e-4)
    assert medians.max() == pytest.approx(0.0077, abs=1e-4)
    assert np.median(change) == pytest.approx(0.0024, abs=3e-4)
    blocks = modules.reshape(18, 32, 8, 32, 8)
    spread = [_robust(module) for module in blocks.mean(axis=(2, 4)).reshape(18, -1)]
    assert min(spread) > 1.5e-4
    assert max(spread) < 9e-4
    noise = np.diff(modules, axis=2) / np.sqrt(2.0)
    assert noise.std() == pytest.approx(2e-4, rel=0.05)


def test_larger_changes_belong_to_smaller_angles(nominal: Geometry) -> None:
    """As measured: a shift of the same length does more at a small angle."""
    change = np.log(misalign(nominal, Misalignment()).difc / nominal.difc)
    medians = np.median(change.reshape(6, -1), axis=1)
    largest = np.max(np.median(change.reshape(18, -1), axis=1).reshape(6, 3), axis=1)
    angle = nominal.two_theta.reshape(6, -1).mean(axis=1)
    assert np.argmax(largest) == np.argmin(angle)
    assert np.corrcoef(angle, medians)[0, 1] < -0.5


def test_the_seed_decides(nominal: Geometry) -> None:
    first, again, other = (misalign(nominal, Misalignment(seed=seed)).difc for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first / other - 1.0).max() > 1e-4


def test_no_misalignment_leaves_the_instrument_alone(nominal: Geometry) -> None:
    np.testing.assert_array_equal(misalign(nominal, Misalignment.none()).difc, nominal.difc)


def test_a_part_alone_can_be_asked_for(nominal: Geometry) -> None:
    change = np.log(misalign(nominal, replace(Misalignment.none(), pixel=3e-4)).difc / nominal.difc)
    assert change.std() == pytest.approx(3e-4, rel=0.01)
    assert abs(change.mean()) < 4 * 3e-4 / np.sqrt(len(change))


@pytest.mark.parametrize(
    "wrong", [{"smallest": 0.01}, {"smallest": 0.0}, {"tilt": -1.0}, {"smooth": (3e-4, 1e-4)}, {"pixel": -1e-4}]
)
def test_impossible_sizes_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="misalignment"):
        Misalignment(**wrong)


def test_a_geometry_without_modules_is_refused(nominal: Geometry) -> None:
    with pytest.raises(InputError, match="modules"):
        misalign(replace(nominal, layout=None), Misalignment())
