"""Changes in series of figures: found where they were put in, and not where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from snapcal_workbench.facility.changes import CHANCE, find_changes


def test_few_constant_series_are_said_to_change() -> None:
    rng = np.random.default_rng(5)
    trials = 3000
    named = 0
    for _ in range(trials):
        count = int(rng.integers(2, 12))
        sigma = rng.uniform(5.0, 50.0, count)
        named += bool(find_changes(np.arange(count, dtype=float), rng.normal(0.0, sigma), sigma))
    assert named <= binom.isf(1e-4, trials, CHANCE), "as many as chance allows, and no more"


def test_a_jump_is_found_where_it_was_with_its_size_and_error() -> None:
    rng = np.random.default_rng(6)
    sigma = np.full(10, 20.0)
    pulls = []
    for _ in range(300):
        value = rng.normal(0.0, sigma) + 300.0 * (np.arange(10) >= 4)
        (change,) = find_changes(np.arange(10.0), value, sigma)
        assert (change.kind, change.first, change.last) == ("jump", 3, 4)
        pulls.append((change.size - 300.0) / change.error)
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(300)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)


def test_a_drift_is_found_with_the_whole_of_its_size() -> None:
    rng = np.random.default_rng(7)
    time = np.sort(rng.uniform(0.0, 100.0, 9))
    value = rng.normal(0.0, 20.0, 9) + 4.0 * time
    (change,) = find_changes(time, value, np.full(9, 20.0))
    assert (change.kind, change.first, change.last) == ("drift", 0, 8)
    assert abs(change.size - 4.0 * (time[-1] - time[0])) < 4.0 * change.error


def test_two_jumps_are_both_found() -> None:
    rng = np.random.default_rng(8)
    level = np.repeat([0.0, 500.0, -200.0], 4)
    found = find_changes(np.arange(12.0), level + rng.normal(0.0, 20.0, 12), np.full(12, 20.0))
    assert [(change.kind, change.last) for change in found] == [("jump", 4), ("jump", 8)]
    assert [round(change.size, -2) for change in found] == [500.0, -700.0]


def test_scatter_beyond_the_errors_widens_them() -> None:
    rng = np.random.default_rng(9)
    named = sum(bool(find_changes(np.arange(10.0), rng.normal(0.0, 200.0, 10), np.full(10, 20.0))) for _ in range(500))
    assert named < 50, "errors ten times too small would otherwise name something in nearly every series"


@pytest.mark.parametrize(
    ("value", "sigma"),
    [([], []), ([1.0], [1.0]), ([0.0, np.nan, np.nan], [1.0, 1.0, 1.0]), ([0.0, 9.0], [1.0, np.inf]), ([0, 9], [0, 0])],
)
def test_nothing_is_said_of_what_is_not_known(value: list[float], sigma: list[float]) -> None:
    arrays = np.array(value, float), np.array(sigma, float)
    assert find_changes(np.arange(float(len(value))), *arrays) == []


def test_points_that_are_not_known_are_passed_over() -> None:
    value = np.array([0.0, np.nan, 2.0, np.nan, 500.0, 501.0])
    (change,) = find_changes(np.arange(6.0), value, np.full(6, 5.0))
    assert (change.first, change.last) == (2, 4)
