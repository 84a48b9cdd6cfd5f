"""POWGEN, the powder diffractometer on beam line 11A of the SNS; docs/instruments.md says where its facts are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.instrument.model import PixelMode, RunFiles, StateLogs
from snapcal_workbench.instrument.powgen.geometry import (
    BANKS,
    COLUMN_WIDTH,
    DEFINITION,
    DEPTH,
    L1,
    ROW_HEIGHT,
    powgen_detid,
    powgen_geometry,
    powgen_layout,
)

WAVELENGTH_LOG = "LambdaRequest"
FREQUENCY_LOG = "SpeedRequest1"


class Powgen:
    """POWGEN; see `instrument.model.Instrument`. Its one mode is native: 43,120 pixels need no merging.

    The solid angle is left out of the resolution: a pixel is eleven times as high as it is wide, and its height turns
    into hardly any scattering angle.
    """

    name = "POWGEN"
    banks = tuple(f"bank{number + 1}" for number in range(len(BANKS)))
    logs = StateLogs(
        wavelength=WAVELENGTH_LOG,
        positions={},
        alternatives={
            WAVELENGTH_LOG: ("lambda", "BL11A:Chop:Skf1:WavelengthUserReq"),
            FREQUENCY_LOG: ("Speed1", "frequency"),
        },
        schema={
            "length": 16,
            "properties": {
                WAVELENGTH_LOG: {"type": "number", "resolution": 0.01, "alias": "wavelength"},
                FREQUENCY_LOG: {"type": "number", "resolution": 1.0, "alias": "frequency"},
            },
        },
        delta_theta={"keyPVs": [], "items": [[[], 1.0e-3]]},
        units={WAVELENGTH_LOG: "A", FREQUENCY_LOG: "Hz"},
    )
    files = RunFiles(
        prefix="PG3_",
        kinds={"native": "nexus/PG3_{run}.nxs.h5", "legacy": "data/PG3_{run}_event.nxs"},
    )
    first_run = 1
    l1 = L1

    def __init__(self) -> None:
        pixel = (COLUMN_WIDTH, ROW_HEIGHT, DEPTH)
        self.native = PixelMode(
            "native", self, DEFINITION, powgen_layout, pixel, with_solid_angle=False, make_detid=powgen_detid
        )
        self.modes = (self.native,)

    def place(self, logs: Mapping[str, float], mode: PixelMode, *, l1: float) -> Geometry:
        """Geometry of the pixels, which no log moves; see `Instrument.place`."""
        return powgen_geometry(mode.layout, l1)

    def completed(self, geometry: Geometry, mode: PixelMode) -> Geometry:
        """The geometry with the layout."""
        return replace(geometry, layout=mode.layout, instrument=mode.definition)

    def older_state(self, value: Mapping[str, object]) -> None:
        """There is no older form of its records."""


POWGEN = Powgen()
