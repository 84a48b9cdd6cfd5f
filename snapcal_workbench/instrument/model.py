"""What an instrument is, for all that is not of one instrument alone.

Words:

- An *instrument* places its pixels from the logs of a run, and says which logs tell its state.
- A *mode* is a way to count its pixels: each on its own ("native"), or blocks of them summed to one ("lite"). Pixels of
  a mode are in ascending order of their detector ids.
- A *module* is a piece of detector with a grid of pixels; event files have one bank of events a module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from snapcal_workbench.calibration.types import Geometry, IntArray, PixelLayout
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.state_id import Schema


@dataclass(frozen=True)
class StateLogs:
    """The logs that tell the state of an instrument.

    Attributes:
        wavelength: Log of the middle of the wavelength band, A.
        positions: Logs that place the detectors, and how far each may be apart in runs that are summed.
        alternatives: Logs that stand in, in this order, for one that a run lacks.
        schema: Which logs make the state id, where the instrument parameters do not say (`stateIdSchema`).
        units: Unit that the calibration counts a log in: "deg", "m", "A" or "Hz".
        delta_theta: Beam divergence (rad) by logs, where neither parameters nor options have one (`derivedPVs`).
    """

    wavelength: str
    positions: Mapping[str, float]
    alternatives: Mapping[str, tuple[str, ...]]
    schema: Schema
    delta_theta: Mapping[str, Any]
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFiles:
    """How the files of an instrument's runs are called; patterns have `{run}`.

    Attributes:
        prefix: What the name of a run's file begins with, before the run number.
        kinds: Pattern in the folder of a proposal, by kind, the preferred one first.
        merged: Pattern of files whose pixels the facility has summed already; "" where it makes none.
    """

    prefix: str
    kinds: Mapping[str, str]
    merged: str = ""


@dataclass(frozen=True, eq=False)
class PixelMode:
    """A way to count the pixels of an instrument.

    Attributes:
        name: As folders, references and grouping maps have it: "native", "lite".
        instrument: The instrument.
        definition: Name of an instrument with these pixels, as Mantid has it.
        make_layout: Makes the layout of the pixels.
        pixel_size: Pixel box (dx, dy, dz) that the resolution is made of, m.
        with_solid_angle: Whether the solid angle of a full pixel face enters the resolution.
        blocks: Native pixels along each side of one; 1: each on its own.
        make_detid: Makes the ids of the pixels; None: they count from 0.
    """

    name: str
    instrument: Instrument = field(repr=False)
    definition: str
    make_layout: Callable[[], PixelLayout] = field(repr=False)
    pixel_size: tuple[float, float, float]
    with_solid_angle: bool = True
    blocks: int = 1
    make_detid: Callable[[], IntArray] | None = field(default=None, repr=False)

    @cached_property
    def layout(self) -> PixelLayout:
        """Where each pixel sits in its module."""
        return self.make_layout()

    @cached_property
    def detid(self) -> IntArray:
        """int32[n]: detector ids, ascending."""
        return self.make_detid() if self.make_detid else np.arange(len(self.layout.module), dtype=np.int32)

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return len(self.detid)

    @property
    def merged(self) -> bool:
        """Whether a pixel is a block of native ones; `useLiteMode` in records and indices."""
        return self.blocks > 1

    @property
    def token(self) -> str:
        """What tells the mode in the names of workspaces: nothing for native pixels."""
        return f"{self.name}_" if self.merged else ""

    @property
    def description(self) -> str:
        """The mode in words."""
        return f"{self.name}: {self.blocks} × {self.blocks} summed" if self.merged else self.name

    @cached_property
    def native(self) -> PixelMode:
        """The mode of the same instrument that counts each pixel on its own."""
        return next(mode for mode in self.instrument.modes if not mode.merged)

    def has(self, geometry: Geometry) -> bool:
        """Whether a geometry is of exactly these pixels."""
        return len(geometry) == self.n_pixels and bool(np.array_equal(geometry.detid, self.detid))

    def place(self, logs: Mapping[str, float], l1: float) -> Geometry:
        """Geometry of the pixels from the logs (as `StateLogs.positions` names them) and L1, m."""
        return self.instrument.place(logs, self, l1=l1)


class Instrument(Protocol):
    """One instrument: what it is called, how its pixels are counted and placed, and which logs tell its state."""

    @property
    def name(self) -> str:
        """As people and settings have it."""

    @property
    def modes(self) -> Sequence[PixelMode]:
        """The ways to count its pixels; the first is used unless another is asked for. One of them is native."""

    @property
    def banks(self) -> Sequence[str]:
        """Names of the modules in event files, in the order of their ids."""

    @property
    def logs(self) -> StateLogs:
        """The logs that tell its state."""

    @property
    def files(self) -> RunFiles:
        """How the files of its runs are called."""

    @property
    def first_run(self) -> int:
        """Lowest run number of which the state can be known."""

    def place(self, logs: Mapping[str, float], mode: PixelMode, *, l1: float) -> Geometry:
        """Geometry of the pixels of a mode from the logs and L1, m."""

    def completed(self, geometry: Geometry, mode: PixelMode) -> Geometry:
        """A geometry of a mode's pixels with what only the definition tells: layout and solid angle."""

    def older_state(self, value: Mapping[str, object]) -> Mapping[str, object] | None:
        """Logs by name of a detector state that is written in an older form; None where it is in none."""


@dataclass(frozen=True)
class RunRequest:
    """What to load.

    Attributes:
        runs: Run numbers or paths of NeXus files; several are summed.
        mode: How its pixels are counted.
    """

    runs: tuple[str | Path, ...]
    mode: PixelMode


def mode_named(instrument: Instrument, name: str) -> PixelMode:
    """The mode of a name (letter case does not matter); "": the one that is used unless another is asked for.

    Raises:
        InputError: The instrument has no such mode; lists those it has.
    """
    for mode in instrument.modes:
        if name.strip().lower() in ("", mode.name):
            return mode
    raise InputError(
        f"{instrument.name} has no pixel mode {name!r:.40}.",
        found=", ".join(mode.name for mode in instrument.modes),
        fix="Choose one of these.",
    )


def recorded_mode(instrument: Instrument, use_lite_mode: bool) -> PixelMode:
    """The mode of a record or index entry, which state only whether pixels are blocks of native ones.

    Raises:
        InputError: The instrument has no such mode.
    """
    for mode in instrument.modes:
        if mode.merged == use_lite_mode:
            return mode
    raise InputError(
        f"{instrument.name} has no {'merged' if use_lite_mode else 'native'} pixels.",
        found=f"useLiteMode {use_lite_mode}; the instrument has {', '.join(mode.name for mode in instrument.modes)}",
        fix="Set 'instrument' to the one that the calibration was made for.",
    )


def mode_of(geometry: Geometry, instrument: Instrument) -> PixelMode:
    """The mode with so many pixels; native for a part of the instrument, or for another one."""
    counts = {mode.n_pixels: mode for mode in instrument.modes}
    return counts.get(len(geometry), instrument.modes[0].native)


def mode_of_count(pixels: int, instrument: Instrument) -> PixelMode:
    """The mode with so many pixels.

    Raises:
        InputError: The instrument has none.
    """
    for mode in instrument.modes:
        if mode.n_pixels == pixels:
            return mode
    known = ", ".join(f"{mode.n_pixels} {mode.name}" for mode in instrument.modes)
    raise InputError(
        f"The values must be of the pixels of {instrument.name}.",
        found=f"{pixels} pixels; the instrument has {known}",
        fix="Choose values of this instrument, or correct the setting 'instrument'.",
    )
