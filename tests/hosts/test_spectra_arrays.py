"""Arrays of a workspace: whole columns where they can be trusted, else call by call, and a cancel that is heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import Events, TofWindow
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.hosts.following import following
from snapcal_workbench.hosts.spectra_arrays import (
    CALLS_BETWEEN_CHECKS,
    agrees,
    detector_table,
    detectors_of,
    event_lists,
    is_one_a_detector,
    number_of_events,
)
from snapcal_workbench.progress import Progress
from tests.spectra_by_calls import SpectraByCalls, SpectraWithTotal
from tests.synthetic_pixels import panel

RNG = np.random.default_rng(41)


@pytest.fixture
def events() -> Events:
    geometry = panel(1, 12)
    counts = RNG.integers(0, 6, len(geometry))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tof = RNG.uniform(1000, 2000, start[-1]).astype(np.float32)
    return Events(tof, start, geometry, TofWindow(900.0, 2100.0))


@pytest.fixture
def workspace(events: Events) -> SpectraByCalls:
    return SpectraByCalls(events, order=RNG.permutation(len(events.geometry)), masked=frozenset({3, 50}))


def test_events_are_those_of_the_spectra_and_masked_ones_have_none(events: Events, workspace: SpectraByCalls) -> None:
    assert workspace.order is not None
    spectrum = np.argsort(workspace.order).astype(np.int32)
    used = ~np.isin(np.arange(len(spectrum)), [3, 50])
    tof, weight, start = event_lists(workspace, spectrum, used)
    assert tof.dtype == np.float32
    assert weight is None
    np.testing.assert_array_equal(np.diff(start), np.diff(events.start) * used)
    kept, pixel = np.repeat(used, events.counts.astype(int)), np.repeat(np.arange(len(used)), events.counts.astype(int))
    np.testing.assert_array_equal(tof, events.tof[np.lexsort((events.tof, pixel))][kept])


@pytest.mark.parametrize("kind", [SpectraByCalls, SpectraWithTotal])
def test_the_number_of_events_is_known_in_every_release(events: Events, kind: type[SpectraByCalls]) -> None:
    assert number_of_events(kind(events)) == len(events.tof)


def test_weights_that_are_not_all_one_are_kept(events: Events) -> None:
    weight = RNG.uniform(0.5, 2.0, len(events.tof)).astype(np.float32)
    workspace = SpectraByCalls(replace(events, weight=weight))
    every = np.arange(len(events.geometry), dtype=np.int32)
    np.testing.assert_array_equal(event_lists(workspace, every, np.ones(len(every), bool))[1], weight)


def test_a_detector_table_is_the_workspace_s_geometry(events: Events, workspace: SpectraByCalls) -> None:
    table = detector_table(workspace.columns())
    assert agrees(table, workspace, workspace)
    assert is_one_a_detector(table, events.geometry.detid, [])
    order = np.argsort(table.detid)
    for name in ("detid", "l2", "two_theta", "azimuth"):
        np.testing.assert_array_equal(getattr(table, name)[order], getattr(events.geometry, name))
    assert [ids for (ids,) in detectors_of(workspace)] == table.detid.tolist()
    assert np.flatnonzero(table.masked[order]).tolist() == [3, 50]


def test_a_table_without_some_detectors_is_not_taken_unless_they_are_monitors(workspace: SpectraByCalls) -> None:
    table = detector_table(workspace.columns())
    more = np.append(workspace.events.geometry.detid, 1_000_000)
    assert not is_one_a_detector(table, more, [])
    assert is_one_a_detector(table, more, [1_000_000])


def test_a_detector_with_two_spectra_is_noticed(workspace: SpectraByCalls) -> None:
    columns = workspace.columns()
    columns["DetectorID"][5] = columns["DetectorID"][6]
    assert not is_one_a_detector(detector_table(columns), workspace.events.geometry.detid, [])


@pytest.mark.parametrize("name", ["L2", "TwoTheta", "Azimuthal", "detMask", "detIDMap", "DetectorID"])
def test_a_column_of_another_meaning_is_noticed(workspace: SpectraByCalls, name: str) -> None:
    """Degrees instead of radians, ids in another order, and the like."""
    columns = workspace.columns()
    values = np.asarray(columns[name])
    columns[name] = (np.roll(values, 1) if name in ("detIDMap", "DetectorID") else 1 - values).tolist()
    assert not agrees(detector_table({**columns, "L2": np.abs(columns["L2"]).tolist()}), workspace, workspace)


def test_an_azimuth_of_a_full_turn_more_is_the_same(workspace: SpectraByCalls) -> None:
    columns = workspace.columns()
    columns["Azimuthal"] = (np.asarray(columns["Azimuthal"]) + 2 * np.pi).tolist()
    assert agrees(detector_table(columns), workspace, workspace)


def test_the_user_s_cancel_is_heard_between_spectra() -> None:
    geometry = panel(3, 32)
    start = np.zeros(len(geometry) + 1, np.int64)
    workspace = SpectraByCalls(Events(np.zeros(0, np.float32), start, geometry, TofWindow(0.0, 1.0)))
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(workspace.calls.number)
        return len(asked) == 2

    with pytest.raises(Cancelled), following(Progress(is_cancelled=is_cancelled)):
        detectors_of(workspace)
    assert asked == [0, 2 * CALLS_BETWEEN_CHECKS]
    assert len(detectors_of(workspace)) == len(geometry)
