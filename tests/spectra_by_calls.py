"""A workspace in plain Python that is asked spectrum by spectrum, with what each call costs in Mantid if wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from snapcal_workbench.calibration.types import Events


@dataclass
class Calls:
    """How many calls there were, and how long each takes (s): Mantid's take about 10 us."""

    seconds: float = 0.0
    number: int = 0

    def one(self) -> None:
        self.number += 1
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass


@dataclass(frozen=True)
class Place:
    x: float
    y: float

    def X(self) -> float:  # noqa: N802 - Mantid's name
        return self.x

    def Y(self) -> float:  # noqa: N802
        return self.y


@dataclass(frozen=True)
class OneSpectrum:
    calls: Calls
    detids: tuple[int, ...]
    tof: np.ndarray
    weight: np.ndarray

    def getDetectorIDs(self) -> tuple[int, ...]:  # noqa: N802
        self.calls.one()
        return self.detids

    def getNumberEvents(self) -> int:  # noqa: N802
        self.calls.one()
        return len(self.tof)

    def getTofs(self) -> np.ndarray:  # noqa: N802
        self.calls.one()
        return self.tof.astype(np.float64)

    def getWeights(self) -> np.ndarray:  # noqa: N802
        self.calls.one()
        return self.weight.astype(np.float64)


@dataclass
class SpectraByCalls:
    """A run that tells no number of all events; `order`: the pixel of each spectrum, None where it is its number."""

    events: Events
    calls: Calls = field(default_factory=Calls)
    order: np.ndarray | None = None
    masked: frozenset[int] = frozenset()

    def pixel(self, index: int) -> int:
        return int(index if self.order is None else self.order[index])

    def getNumberHistograms(self) -> int:  # noqa: N802
        return len(self.events.geometry)

    def getSpectrum(self, index: int) -> OneSpectrum:  # noqa: N802
        self.calls.one()
        pixel = self.pixel(index)
        part = slice(self.events.start[pixel], self.events.start[pixel + 1])
        tof = self.events.tof[part]
        weight = np.ones(len(tof)) if self.events.weight is None else self.events.weight[part]
        return OneSpectrum(self.calls, (int(self.events.geometry.detid[pixel]),), tof, weight)

    def l2(self, index: int) -> float:
        self.calls.one()
        return float(self.events.geometry.l2[self.pixel(index)])

    def twoTheta(self, index: int) -> float:  # noqa: N802
        self.calls.one()
        return float(self.events.geometry.two_theta[self.pixel(index)])

    def isMasked(self, index: int) -> bool:  # noqa: N802
        self.calls.one()
        return self.pixel(index) in self.masked

    def samplePosition(self) -> Place:  # noqa: N802
        return Place(0.5, 0.0)

    def position(self, index: int) -> Place:
        self.calls.one()
        azimuth = self.events.geometry.azimuth[self.pixel(index)]
        return Place(float(np.cos(azimuth)) + 0.5, float(np.sin(azimuth)))

    def columns(self) -> dict[str, list]:
        """What PreprocessDetectorsToMD makes of it: one more row than there are spectra, which is left over."""
        geometry, pixels = self.events.geometry, [self.pixel(i) for i in range(self.getNumberHistograms())]
        return {
            "L2": [*geometry.l2[pixels].tolist(), float("nan")],
            "TwoTheta": [*geometry.two_theta[pixels].tolist(), float("nan")],
            "Azimuthal": [*geometry.azimuth[pixels].tolist(), float("nan")],
            "DetectorID": [*geometry.detid[pixels].tolist(), 0],
            "detIDMap": [*range(len(pixels)), 0],
            "detMask": [*(int(pixel in self.masked) for pixel in pixels), 1],
        }


class SpectraWithTotal(SpectraByCalls):
    """As most releases hand it out: the number of all events in one call."""

    def getNumberEvents(self) -> int:  # noqa: N802
        return len(self.events.tof)
