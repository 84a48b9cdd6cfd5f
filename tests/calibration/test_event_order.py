"""The canonical order of events: numpy's own sort, pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snapcal_workbench.calibration.event_order import EVENTS_PER_CHUNK, in_canonical_order, sort_within_pixels
from snapcal_workbench.calibration.types import Events, TofWindow
from snapcal_workbench.progress import Progress
from tests.synthetic_pixels import panel

RNG = np.random.default_rng(31)


def pixels_of(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def values_of(kind: str, n: int) -> np.ndarray:
    even = RNG.uniform(-1.0, 1.0, n)
    made = {
        "even": even,
        "one peak and one far event": np.where(np.arange(n) == n // 2, 1e6, 1e-6 * even),
        "all equal": np.ones(n),
        "with what is no number": np.where(RNG.random(n) < 0.1, RNG.choice([np.nan, np.inf, -np.inf], n), even),
    }
    return made[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["even", "one peak and one far event", "all equal", "with what is no number"])
def test_each_pixel_is_sorted_and_no_event_changes_its_pixel(kind: str) -> None:
    start = pixels_of([0, 1, 2, 31, 32, 33, 0, 5000, 200])
    values = values_of(kind, int(start[-1]))
    wanted = [np.sort(values[a:b]) for a, b in itertools.pairwise(start)]
    sort_within_pixels(values, start, progress=Progress())
    np.testing.assert_array_equal(values, np.concatenate(wanted))


def test_the_same_with_any_number_of_threads() -> None:
    start = pixels_of([EVENTS_PER_CHUNK // 3] * 5)
    values = values_of("even", int(start[-1]))
    one, three = (values.copy() for _ in range(2))
    for threads, copy in ((1, one), (3, three)):
        sort_within_pixels(copy, start, threads=threads, progress=Progress())
    np.testing.assert_array_equal(one, three)


def test_weights_stay_with_their_events_and_order_those_of_one_tof() -> None:
    geometry = panel(1, 2)
    start = pixels_of([60, 0, 40, 1])
    tof = RNG.integers(1000, 1010, 101).astype(np.float32)
    weight = RNG.uniform(0.1, 3.0, 101).astype(np.float32)
    given = Events(tof, start, geometry, TofWindow(900.0, 2000.0), weight=weight)
    found = in_canonical_order(given, Progress())
    assert found.weight is not None
    for a, b in itertools.pairwise(start):
        order = np.lexsort((weight[a:b], tof[a:b]))
        np.testing.assert_array_equal(found.tof[a:b], tof[a:b][order])
        np.testing.assert_array_equal(found.weight[a:b], weight[a:b][order])
    np.testing.assert_array_equal(given.tof, tof)
    assert in_canonical_order(found, Progress()) is found


@pytest.mark.parametrize("kind", ["even", "all equal", "with what is no number"])
def test_events_are_copied_where_they_are_not_in_order_and_else_left_as_they_are(kind: str) -> None:
    start = pixels_of([3, 0, 500, 40])
    tof = values_of(kind, int(start[-1]))
    before = tof.copy()
    given = Events(tof, start, panel(1, 2), TofWindow(900.0, 2000.0))
    found = in_canonical_order(given, Progress())
    np.testing.assert_array_equal(found.tof, np.concatenate([np.sort(tof[a:b]) for a, b in itertools.pairwise(start)]))
    np.testing.assert_array_equal(tof, before)
    assert (found is given) == (kind == "all equal")
    assert in_canonical_order(found, Progress()) is found
