"""The instruments that are known, by name."""

from __future__ import annotations

import copyreg
from collections.abc import Callable

import numpy as np

from snapcal_workbench.calibration.types import Geometry, IntArray
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.model import Instrument, PixelMode, mode_named
from snapcal_workbench.instrument.powgen import POWGEN
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings

_ALL: tuple[Instrument, ...] = (SNAP, POWGEN)
INSTRUMENTS: dict[str, Instrument] = {instrument.name: instrument for instrument in _ALL}


def instrument_of(settings: Settings) -> Instrument:
    """The instrument that the settings name.

    Raises:
        InputError: It is not known; lists those that are.
    """
    return instrument_called(settings.instrument)


def instrument_called(name: str) -> Instrument:
    """The instrument of a name; letter case does not matter.

    Raises:
        InputError: It is not known; lists those that are.
    """
    for known, instrument in INSTRUMENTS.items():
        if name.strip().lower() == known.lower():
            return instrument
    raise InputError(
        f"The instrument {name!r:.40} is not known.",
        found=f"known instruments: {', '.join(INSTRUMENTS)}",
        fix="Correct the setting 'instrument'.",
    )


def requested_mode(settings: Settings, lite: bool) -> PixelMode:
    """The mode of a request, which asks for merged pixels or not; an instrument of one mode has no choice."""
    modes = instrument_of(settings).modes
    return next((mode for mode in modes if mode.merged == lite), modes[0])


def mode_called(instrument: str, mode: str) -> PixelMode:
    """The mode of an instrument, both by name; see `instrument_called` and `mode_named` for the errors."""
    return mode_named(instrument_called(instrument), mode)


def mode_defined_as(definition: str) -> PixelMode | None:
    """The mode whose pixels Mantid has under this name of an instrument; None where none is known."""
    modes = (mode for instrument in INSTRUMENTS.values() for mode in instrument.modes)
    return next((mode for mode in modes if mode.definition == definition), None)


def native_mode_of(detid: IntArray) -> PixelMode | None:
    """The native mode with exactly these pixels; None where no known instrument has them."""
    modes = (mode for instrument in INSTRUMENTS.values() for mode in instrument.modes if not mode.merged)
    return next((mode for mode in modes if np.array_equal(mode.detid, detid)), None)


def completed(geometry: Geometry) -> Geometry:
    """A geometry with what only the definition of its instrument tells; as it is where that is not known."""
    for instrument in INSTRUMENTS.values():
        for mode in instrument.modes:
            if mode.has(geometry):
                return instrument.completed(geometry, mode)
    return geometry


def _by_name(mode: PixelMode) -> tuple[Callable[[str, str], PixelMode], tuple[str, str]]:
    return mode_called, (mode.instrument.name, mode.name)


copyreg.pickle(PixelMode, _by_name)  # in another process a mode is found again by its name
