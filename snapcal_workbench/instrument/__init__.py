"""Instruments, and what they say of a run: files, state, geometry, groupings, calibrants; see docs/instruments.md."""

from snapcal_workbench.instrument.known import instrument_of, requested_mode
from snapcal_workbench.instrument.model import Instrument, PixelMode, RunFiles, RunRequest, StateLogs

__all__ = ["Instrument", "PixelMode", "RunFiles", "RunRequest", "StateLogs", "instrument_of", "requested_mode"]
