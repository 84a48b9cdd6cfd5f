"""Arrays out of a workspace of many spectra, each of whose methods costs Python about 10 us a call.

What Mantid has computed for all spectra at once, a *detector table*, is taken where there is one; what can be had
spectrum by spectrum alone is taken in loops that the user can cancel. No Mantid here: a workspace is anything that has
the methods named in the protocols.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.event_order import sort_within_pixels
from snapcal_workbench.calibration.types import FloatArray, IntArray
from snapcal_workbench.hosts.following import check_cancelled
from snapcal_workbench.progress import Progress

CALLS_BETWEEN_CHECKS = 1000
"""Spectra between two looks whether the user has cancelled: some 30 ms."""
SAMPLE = 16
"""Spectra of which a detector table is compared with what the workspace itself says."""
COLUMNS = ("DetectorID", "detIDMap", "L2", "TwoTheta", "Azimuthal", "detMask")
"""Columns of the table of PreprocessDetectorsToMD that are used."""


class Spectrum(Protocol):
    """One spectrum of a workspace."""

    def getDetectorIDs(self) -> Iterable[int]: ...  # noqa: N802 - Mantid's name
    def getNumberEvents(self) -> int: ...  # noqa: N802
    def getTofs(self) -> np.ndarray: ...  # noqa: N802
    def getWeights(self) -> np.ndarray: ...  # noqa: N802


class Spectra(Protocol):
    """A workspace, as far as it is used here."""

    def getNumberHistograms(self) -> int: ...  # noqa: N802
    def getSpectrum(self, index: int) -> Spectrum: ...  # noqa: N802


class Place(Protocol):
    """A point in space, m."""

    def X(self) -> float: ...  # noqa: N802 - Mantid's name
    def Y(self) -> float: ...  # noqa: N802


class SpectrumPlaces(Protocol):
    """What a workspace says of the places of its spectra."""

    def l2(self, index: int) -> float: ...
    def twoTheta(self, index: int) -> float: ...  # noqa: N802
    def isMasked(self, index: int) -> bool: ...  # noqa: N802
    def position(self, index: int) -> Place: ...
    def samplePosition(self) -> Place: ...  # noqa: N802


@dataclass(frozen=True, eq=False)
class DetectorTable:
    """Spectra with a detector that is no monitor.

    Attributes:
        detid: int32[n], the (first) detector of each.
        spectrum: int32[n], its place in the workspace.
        l2: float64[n], m.
        two_theta: float64[n], rad.
        azimuth: float64[n], rad.
        masked: bool[n].
    """

    detid: IntArray
    spectrum: IntArray
    l2: FloatArray
    two_theta: FloatArray
    azimuth: FloatArray
    masked: NDArray[np.bool_]


def detector_table(columns: Mapping[str, Sequence[object]]) -> DetectorTable:
    """The table in `COLUMNS`; rows that are left over, because a spectrum has no detector, have no distance."""
    l2 = np.asarray(columns["L2"], np.float64)
    live = np.isfinite(l2) & (l2 > 0.0)

    def column(name: str, kind: type) -> np.ndarray:
        return np.asarray(columns[name])[live].astype(kind)

    return DetectorTable(
        detid=column("DetectorID", np.int32),
        spectrum=column("detIDMap", np.int32),
        l2=l2[live],
        two_theta=column("TwoTheta", np.float64),
        azimuth=column("Azimuthal", np.float64),
        masked=column("detMask", np.bool_),
    )


def is_one_a_detector(table: DetectorTable, all_detectors: NDArray[np.integer], monitors: Iterable[int]) -> bool:
    """Whether every detector of an instrument, but for monitors, has one spectrum: then none can have two detectors."""
    wanted = np.setdiff1d(all_detectors, np.fromiter(monitors, np.int64))
    return np.array_equal(np.sort(table.detid), wanted)


def agrees(table: DetectorTable, workspace: Spectra, places: SpectrumPlaces) -> bool:
    """Whether some rows say what the workspace says: releases may differ in what a column means."""
    rows = np.unique(np.linspace(0, len(table.detid) - 1, SAMPLE).astype(np.intp))
    return all(_row_agrees(table, int(row), workspace, places) for row in rows) if len(table.detid) else False


def _row_agrees(table: DetectorTable, row: int, workspace: Spectra, places: SpectrumPlaces) -> bool:
    spectrum = int(table.spectrum[row])
    same = tuple(workspace.getSpectrum(spectrum).getDetectorIDs()) == (int(table.detid[row]),)
    same = same and bool(places.isMasked(spectrum)) == bool(table.masked[row])
    here = np.array([places.l2(spectrum), places.twoTheta(spectrum), azimuth_of(places, spectrum)])
    there = np.array([table.l2[row], table.two_theta[row], table.azimuth[row]])
    turn = np.array([0.0, 0.0, 2.0 * np.pi * np.rint((there[2] - here[2]) / (2.0 * np.pi))])
    return same and bool(np.allclose(there - turn, here, rtol=1e-9, atol=1e-9))


def azimuth_of(places: SpectrumPlaces, spectrum: int) -> float:
    """Azimuth of a spectrum around the beam through the sample, rad."""
    at, sample = places.position(spectrum), places.samplePosition()
    return float(np.arctan2(at.Y() - sample.Y(), at.X() - sample.X()))


def detectors_of(workspace: Spectra) -> list[tuple[int, ...]]:
    """Detector ids of each spectrum, one after the other."""
    return [
        tuple(workspace.getSpectrum(i).getDetectorIDs()) for i in cancellable(range(workspace.getNumberHistograms()))
    ]


def number_of_events(workspace: Spectra) -> int:
    """How many events a workspace holds; a release whose handle does not say it is asked spectrum by spectrum."""
    whole = getattr(workspace, "getNumberEvents", None)
    if whole is not None:
        return int(whole())
    spectra = range(workspace.getNumberHistograms())
    return sum(workspace.getSpectrum(i).getNumberEvents() for i in cancellable(spectra))


def event_lists(
    workspace: Spectra, spectrum: IntArray, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.int64]]:
    """The events of some spectra of an event workspace.

    Args:
        workspace: Whose events are taken.
        spectrum: int32[n], their places in it.
        used: bool[n]; those that are not count as empty.

    Returns:
        tof: float32[events], us; ascending within a spectrum where every event counts 1.
        weight: float32[events], or None where every event counts 1.
        start: int64[n + 1].
    """
    room = number_of_events(workspace)
    tof, weight = np.empty(room, np.float32), np.empty(room, np.float32)
    counts = np.zeros(len(spectrum), np.int64)
    at = 0
    for i in cancellable(np.flatnonzero(used).tolist()):
        events = workspace.getSpectrum(int(spectrum[i]))
        one = events.getTofs()
        place = slice(at, at + len(one))
        tof[place] = one
        if len(one):
            weight[place] = events.getWeights()
        counts[i] = len(one)
        at = place.stop
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tof, weight = tof[:at], weight[:at]
    if not np.all(weight == 1.0):
        return tof, weight, start
    sort_within_pixels(tof, start, progress=Progress())
    return tof, None, start


def cancellable(items: Sequence[int]) -> Iterator[int]:
    """The items, with a look between some of them whether the user has cancelled.

    Raises:
        Cancelled: If the user has cancelled.
    """
    for number, item in enumerate(items):
        if number % CALLS_BETWEEN_CHECKS == 0:
            check_cancelled()
        yield item
