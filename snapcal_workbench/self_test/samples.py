"""A small value of every kind of workspace, and how two of them are compared."""

from __future__ import annotations

import numpy as np

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.workspaces.protocol import Value

N = 6
_REASONS = np.array([0, 1, 0, 0, 5, 0], np.uint8)
_COMPARED = {
    "Spectra": ("y", "e", "number"),
    "DiffCalTable": ("detid", "difc", "difa", "tzero"),
    "PixelMask": ("detid", "reason"),
    "PixelGrouping": ("detid", "group"),
    "PixelMap": ("detid", "value"),
    "PixelResults": ("detid", "shift", "sigma", "own_shift", "own_sigma", "events", "chi2", "reason"),
    "FitTable": ("group", "hkl", "centre", "parameters"),
}


def samples() -> dict[str, Value]:
    """A value of each kind, by the name of its class."""
    detid = np.arange(N, dtype=np.int32)
    values: list[Value] = [
        _events(),
        _spectra(),
        _table(detid),
        PixelMask(detid, _REASONS),
        _grouping(detid),
        _map(detid),
    ]
    values += [_results(detid), _fits()]
    return {type(value).__name__: value for value in values}


def _events() -> Events:
    counts = np.array([3, 0, 5, 1, 2, 4])
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tof = np.linspace(3000.0, 12000.0, start[-1]).astype(np.float32)
    places = np.full(N, 0.55), np.linspace(1.0, 2.0, N), np.linspace(-0.4, 0.4, N)
    geometry = Geometry(np.arange(N, dtype=np.int32), 15.0, *places)
    return Events(tof, start, geometry, TofWindow(2500.0, 14000.0), RunInfo("1", "self-test", logs={"det_arc1": -65.3}))


def _spectra() -> Spectra:
    y = np.arange(1.0, 81.0).reshape(2, 40)
    detids = [np.array([0, 1], np.int32), np.array([2, 3, 4], np.int32)]
    edges = np.geomspace(0.5, 2.5, 41)
    return Spectra(edges, y, np.sqrt(y), "dSpacing", detids, np.array([1, 2], np.int32), "focused")


def _table(detid: np.ndarray) -> DiffCalTable:
    return DiffCalTable(detid, np.linspace(5000.0, 7000.0, N), np.linspace(0, 0.5, N), np.linspace(-8, 0, N))


def _grouping(detid: np.ndarray) -> PixelGrouping:
    return PixelGrouping(detid, np.array([1, 1, 2, 2, 2, 0], np.int32), "Column")


def _map(detid: np.ndarray) -> PixelMap:
    return PixelMap(detid, np.linspace(-1.0, 1.0, N), "offset (bins)")


def _results(detid: np.ndarray) -> PixelResults:
    shift, sigma, own_shift, own_sigma, events, chi2 = (np.linspace(-1e-3, 1e-3, N) * (i + 1) for i in range(6))
    return PixelResults(detid, shift, sigma, own_shift, own_sigma, events, chi2, _REASONS)


def _fits() -> FitTable:
    ones = np.array([1.0, 1.2])
    return FitTable(
        group=np.array([1, 2], np.int32),
        hkl=np.array([[1, 1, 1], [2, 2, 0]], np.int32),
        d=ones,
        centre=ones + 1e-3,
        centre_error=ones * 1e-5,
        sigma=ones * 3e-3,
        height=ones * 100,
        intensity=ones * 1000,
        chi2=ones,
        used=np.array([True, False]),
        why_not=("", "too weak"),
        window_min=ones - 0.01,
        window_max=ones + 0.01,
        parameters=np.array([[100.0, 1.0, 0.003], [90.0, 1.2, 0.004]]),
        parameter_names=("Height", "PeakCentre", "Sigma"),
        profile="Gaussian",
    )


def require_same(found: Value, wanted: Value) -> None:
    """Stop where two values are not the same.

    Raises:
        AssertionError: They differ.
    """
    if isinstance(found, Events) and isinstance(wanted, Events):
        require_same_events(found, wanted)
        return
    for name in _COMPARED[type(wanted).__name__]:
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-9, err_msg=name)


def require_same_events(found: Events, wanted: Events) -> None:
    """Stop where two runs differ by more than the order of a pixel's events.

    Raises:
        AssertionError: They differ.
    """
    np.testing.assert_array_equal(np.diff(found.start), np.diff(wanted.start), err_msg="events of each pixel")
    pixel = np.repeat(np.arange(len(wanted.geometry)), np.diff(wanted.start))
    tof = [events.tof[np.lexsort((events.tof, pixel))] for events in (found, wanted)]
    np.testing.assert_array_equal(tof[0], tof[1], err_msg="TOF")
    np.testing.assert_allclose(found.geometry.difc, wanted.geometry.difc, rtol=1e-9, err_msg="DIFC of the geometry")
