"""Pixels: where they are, their events, calibration, mask and grouping."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray, check_lengths
from snapcal_workbench.calibration.types.runs import RunInfo, TofWindow
from snapcal_workbench.calibration.units import difc_from_geometry
from snapcal_workbench.errors import InputError


class MaskReason(IntEnum):
    """Why a pixel is not used. 0 means that it is used."""

    USED = 0
    NO_COUNTS = 1
    NO_PEAK = 2
    AT_LIMIT = 3
    FIT_FAILED = 4
    USER = 5
    BAD_SHAPE = 6
    GROUP_FAILED = 7
    INHERITED = 8
    OF_LATER_RELEASE = 9
    NO_ROW = 10
    IMPOSSIBLE_DIFC = 11
    NOT_ON_PATTERN = 12

    @property
    def text(self) -> str:
        """The reason in words."""
        return _REASON_TEXT[self]


_REASON_TEXT = {
    MaskReason.USED: "used",
    MaskReason.NO_COUNTS: "no counts",
    MaskReason.NO_PEAK: "no peak above the background",
    MaskReason.AT_LIMIT: "shift at the search limit",
    MaskReason.FIT_FAILED: "fit failed",
    MaskReason.USER: "masked by the user",
    MaskReason.BAD_SHAPE: "spectrum unlike its group's",
    MaskReason.GROUP_FAILED: "its group has too few peaks",
    MaskReason.INHERITED: "masked in the calibration that was started from",
    MaskReason.OF_LATER_RELEASE: "a reason that only a later release knows",
    MaskReason.NO_ROW: "no row in the calibration that was started from",
    MaskReason.IMPOSSIBLE_DIFC: "impossible DIFC in the calibration that was started from",
    MaskReason.NOT_ON_PATTERN: "not on the calibrant's pattern",
}


@dataclass(frozen=True)
class Panels:
    """How the modules of an instrument hang together: in *panels*, each filled column by column, rows from below.

    Attributes:
        names: Of the panels, in the order of their modules.
        columns, rows: Modules across and up a panel.
        gap: Between two modules, as a fraction of a module's width.
        modules: Name of each module.
    """

    names: tuple[str, ...]
    columns: int
    rows: int
    gap: float
    modules: tuple[str, ...]

    @property
    def size(self) -> int:
        """Modules of a panel."""
        return self.columns * self.rows

    def panel_of(self, module: int) -> str:
        """Name of the panel that a module hangs in."""
        return self.names[module // self.size]


@dataclass(frozen=True, eq=False)
class PixelLayout:
    """Where each pixel sits in its module.

    Attributes:
        module: int16[n], index of the module.
        x, y: int16[n], column and row of the pixel in the module.
        columns, rows: Pixels across and up a module; rows 0: as many as columns.
        block: Pixels along each side of the blocks that a coarser mode sums into one; 1: there are none.
        panels: How the modules hang together, where that is known.
    """

    module: NDArray[np.int16]
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    columns: int
    rows: int = 0
    block: int = 1
    panels: Panels | None = None

    def __post_init__(self) -> None:
        check_lengths(self, module=self.module, x=self.x, y=self.y)
        if not self.rows:
            object.__setattr__(self, "rows", self.columns)

    @property
    def arrangement(self) -> Panels:
        """How the modules hang together; side by side in one panel where that is not known."""
        count = int(self.module.max(initial=0)) + 1
        return self.panels or Panels(("",), count, 1, 0.0, tuple(str(number + 1) for number in range(count)))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the pixels are.

    Attributes:
        detid: int32[n], ascending.
        l1: Moderator to sample, m.
        l2: float64[n], sample to pixel, m.
        two_theta: float64[n], scattering angle, rad.
        azimuth: float64[n], rad in -pi..pi.
        layout: Place of each pixel in its module, where the instrument has modules.
        instrument: Name of the instrument with these pixels, as Mantid has it.
        solid_angle: float64[n], sr, of each pixel seen from the sample as the instrument definition shapes it, where
            that is known. Pixels that a definition gives no face, only sides, have nearly 0.
    """

    detid: IntArray
    l1: float
    l2: FloatArray
    two_theta: FloatArray
    azimuth: FloatArray
    layout: PixelLayout | None = None
    instrument: str = ""
    solid_angle: FloatArray | None = None

    def __post_init__(self) -> None:
        arrays = {"l2": self.l2, "two_theta": self.two_theta, "azimuth": self.azimuth, "solid_angle": self.solid_angle}
        check_lengths(self, detid=self.detid, **arrays)

    def __len__(self) -> int:
        return len(self.detid)

    @property
    def difc(self) -> FloatArray:
        """Geometric DIFC of each pixel, us/A."""
        return difc_from_geometry(l1=self.l1, l2=self.l2, two_theta=self.two_theta)


@dataclass(frozen=True, eq=False)
class Events:
    """Neutron events of all pixels, sorted by pixel.

    Attributes:
        tof: float32[events], us; pixel i owns tof[start[i]:start[i+1]], in any order within a pixel; in
            ascending order a calibration needs no copy of them.
        start: int64[n+1].
        geometry: Of the n pixels.
        window: The TOF range that was kept.
        run: What the run says of itself.
        weight: float32[events], or None where every event counts 1: how many neutrons an event stands for, so that
            its variance is its weight too. Histograms come as bin centres with counts as weights. An event whose
            weight is not finite counts nothing.
    """

    tof: NDArray[np.float32]
    start: NDArray[np.int64]
    geometry: Geometry
    window: TofWindow
    run: RunInfo = field(default_factory=RunInfo)
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if len(self.start) != len(self.geometry) + 1 or self.start[-1] != len(self.tof):
            raise InputError(
                "Events need one start index a pixel and one more, the last being the number of events.",
                found=f"{len(self.start)} start indices, {len(self.geometry)} pixels, {len(self.tof)} events",
                fix="Build the events with the readers in snapcal_workbench.formats.",
            )

    @property
    def counts(self) -> FloatArray:
        """float64[n]: sum of the weights (number of events) of each pixel."""
        if self.weight is None:
            return np.diff(self.start).astype(np.float64)
        finite = np.where(np.isfinite(self.weight), self.weight, 0.0)
        total = np.concatenate([[0.0], np.cumsum(finite, dtype=np.float64)])
        return total[self.start[1:]] - total[self.start[:-1]]


@dataclass(frozen=True, eq=False)
class DiffCalTable:
    """Calibration of each pixel: TOF = difc d + difa d^2 + tzero."""

    detid: IntArray
    difc: FloatArray
    difa: FloatArray
    tzero: FloatArray

    def __post_init__(self) -> None:
        check_lengths(self, detid=self.detid, difc=self.difc, difa=self.difa, tzero=self.tzero)

    @classmethod
    def from_geometry(cls, geometry: Geometry) -> DiffCalTable:
        """The table of an instrument that is where its definition says: DIFC only."""
        zeros = np.zeros(len(geometry))
        return cls(geometry.detid, geometry.difc, zeros, zeros)

    def __len__(self) -> int:
        return len(self.detid)


@dataclass(frozen=True, eq=False)
class PixelMask:
    """Which pixels are not used, and why: reason uint8[n], a `MaskReason`; 0 = used.

    `account` is the account (JSON text, see `types.calibration`) of the calibration that made the mask, if one did.
    """

    detid: IntArray
    reason: NDArray[np.uint8]
    account: str = ""

    def __post_init__(self) -> None:
        check_lengths(self, detid=self.detid, reason=self.reason)

    @classmethod
    def none(cls, detid: IntArray) -> PixelMask:
        """A mask that masks nothing."""
        return cls(detid, np.zeros(len(detid), np.uint8))

    @property
    def masked(self) -> NDArray[np.bool_]:
        """bool[n], True where a pixel is not used."""
        return self.reason != MaskReason.USED

    def counts(self) -> dict[MaskReason, int]:
        """Number of masked pixels by reason."""
        reasons, counts = np.unique(self.reason[self.masked], return_counts=True)
        return {MaskReason(int(r)): int(c) for r, c in zip(reasons, counts, strict=True)}

    def combined(self, *others: PixelMask) -> PixelMask:
        """This mask and others of the same pixels; where several mask a pixel the first reason stays."""
        reason, account = self.reason.copy(), self.account
        for other in others:
            if not np.array_equal(other.detid, self.detid):
                raise InputError(
                    "Masks can only be combined when they are of the same pixels.",
                    found=f"{len(self.detid)} and {len(other.detid)} pixels",
                    fix="Use a mask that was made for the same instrument, native or lite.",
                )
            reason = np.where(reason == 0, other.reason, reason).astype(np.uint8)
            account = account or other.account
        return PixelMask(self.detid, reason, account)


@dataclass(frozen=True, eq=False)
class PixelGrouping:
    """Which group a pixel belongs to: group int32[n]; 0 = in no group. Group ids need not be contiguous."""

    detid: IntArray
    group: IntArray
    name: str = ""

    def __post_init__(self) -> None:
        check_lengths(self, detid=self.detid, group=self.group)

    @property
    def ids(self) -> IntArray:
        """Ascending ids of the groups, without 0."""
        ids = np.unique(self.group)
        return ids[ids > 0].astype(np.int32)


@dataclass(frozen=True, eq=False)
class PixelMap:
    """One value a pixel, for a picture of the detectors."""

    detid: IntArray
    value: FloatArray
    label: str = ""

    def __post_init__(self) -> None:
        check_lengths(self, detid=self.detid, value=self.value)
