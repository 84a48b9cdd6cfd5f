"""A small instrument that has nothing of SNAP: two modules of 16 x 24 pixels, one mode, logs of other names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snapcal_workbench.calibration.types import Geometry, Panels, PixelLayout, Resolution
from snapcal_workbench.instrument.model import PixelMode, RunFiles, StateLogs
from snapcal_workbench.simulation.beamline import Beamline

COLUMNS, ROWS, PIXEL = 16, 24, 0.005
PANELS = Panels(("left", "right"), columns=1, rows=1, gap=0.1, modules=("L", "R"))


def toy_layout() -> PixelLayout:
    """Module, column and row of the 768 pixels."""
    module, x, y = (axis.astype(np.int16) for axis in np.unravel_index(np.arange(768), (2, COLUMNS, ROWS)))
    return PixelLayout(module, x, y, columns=COLUMNS, rows=ROWS, panels=PANELS)


class Toy:
    """Two modules on arms that turn around the sample at 1 m; the moderator is 12 m away."""

    name = "TOY"
    banks = ("left", "right")
    logs = StateLogs(
        wavelength="beam:centre",
        positions={"arm:left": 0.01, "arm:right": 0.01},
        alternatives={"beam:centre": ("beam:spare",)},
        schema={
            "length": 12,
            "properties": {
                "arm:left": {"type": "number", "resolution": 1.0},
                "arm:right": {"type": "number", "resolution": 1.0},
                "beam:centre": {"type": "number", "resolution": 0.1},
            },
        },
        delta_theta={"keyPVs": [], "items": [[[], 3e-3]]},
    )
    files = RunFiles(prefix="TOY_", kinds={"native": "events/TOY_{run}.nxs.h5"})
    first_run = 7

    def __init__(self) -> None:
        self.native: PixelMode = PixelMode(
            "native", self, "TOYS", toy_layout, (PIXEL, PIXEL, 0.0), make_detid=self._detid
        )
        self.modes = (self.native,)

    @staticmethod
    def _detid() -> np.ndarray:
        """Ids start at 100 and leave a gap between the modules."""
        return np.concatenate([np.arange(100, 484), np.arange(1000, 1384)]).astype(np.int32)

    def place(self, logs: Mapping[str, Any], mode: PixelMode, *, l1: float) -> Geometry:
        layout = mode.layout
        arm = np.radians([float(logs["arm:left"]), float(logs["arm:right"])])[layout.module]
        across, up = PIXEL * (layout.x - 7.5), PIXEL * (layout.y - 11.5)
        x, z = np.sin(arm) - across * np.cos(arm), np.cos(arm) + across * np.sin(arm)
        l2 = np.sqrt(x * x + up * up + z * z)
        azimuth = np.arctan2(up, x)
        return Geometry(mode.detid, l1, l2, np.arccos(z / l2), azimuth, layout, mode.definition, np.full(768, 2.5e-5))

    def completed(self, geometry: Geometry, mode: PixelMode) -> Geometry:
        return replace(geometry, layout=mode.layout, instrument=mode.definition)

    def older_state(self, value: Mapping[str, Any]) -> None:
        return None


TOY = Toy()
TOY_BEAMLINE = Beamline(
    instrument=TOY,
    folder="TOY",
    port="7",
    logs={"arm:left": -70.0, "arm:right": 100.0, "beam:centre": 1.8},
    log_units={"beam:centre": "Angstrom"},
    parameters={
        "facility": "nowhere",
        "bandwidth": 2.4,
        "maxBandwidth": 2.4,
        "L1": 12.0,
        "L2": 1.0,
        "delTOverT": 1e-3,
        "delLOverL": 1e-5,
        "width": 0.0,
        "frequency": 50.0,
    },
    resolution=Resolution(1e-3, 1e-5 * 13.0, 3e-3, 12.0, 1.0, TOY.native.pixel_size, True),
    groupings={"Arms": np.array([1, 2], np.int32), "All": np.ones(2, np.int32)},
)
