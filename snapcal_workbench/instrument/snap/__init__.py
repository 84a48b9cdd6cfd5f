"""SNAP, the high-pressure diffractometer on beam line 3 of the SNS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.instrument.model import PixelMode, RunFiles
from snapcal_workbench.instrument.snap.geometry import (
    L1,
    LITE_DEFINITION,
    LITE_FACTOR,
    LITE_PIXEL_BOX,
    NATIVE_DEFINITION,
    NATIVE_PIXEL_BOX,
    PANELS,
    panel_coordinates,
    place_panels,
    snap_layout,
    solid_angle,
)
from snapcal_workbench.instrument.snap.logs import LOGS, older_state


class Snap:
    """SNAP; see `instrument.model.Instrument`.

    The solid angle of a lite pixel is left out of the resolution and its box is the degenerate one of
    SNAPLite_Definition.xml, as in the resolutions that SNAPRed stores and that measured peaks confirm.
    """

    name = "SNAP"
    banks = tuple(f"bank{module}" for module in PANELS.modules)
    logs = LOGS
    files = RunFiles(
        prefix="SNAP_",
        kinds={"native": "nexus/SNAP_{run}.nxs.h5", "legacy": "data/SNAP_{run}_event.nxs"},
        merged="shared/lite/SNAP_{run}.lite.nxs.h5",
    )
    first_run = 46342
    l1 = L1

    def __init__(self) -> None:
        self.native = PixelMode("native", self, NATIVE_DEFINITION, partial(snap_layout, lite=False), NATIVE_PIXEL_BOX)
        self.lite = PixelMode(
            "lite",
            self,
            LITE_DEFINITION,
            partial(snap_layout, lite=True),
            LITE_PIXEL_BOX,
            with_solid_angle=False,
            blocks=LITE_FACTOR,
        )
        self.modes = (self.lite, self.native)

    def place(self, logs: Mapping[str, float], mode: PixelMode, *, l1: float) -> Geometry:
        """Geometry of the pixels of a mode; see `Instrument.place`."""
        arcs_and_distances = {name: float(logs[f"det_{name}"]) for name in ("arc1", "arc2", "lin1", "lin2")}
        return place_panels(mode.layout, **arcs_and_distances, l1=l1)

    def completed(self, geometry: Geometry, mode: PixelMode) -> Geometry:
        """The geometry with the layout, and with the solid angles that follow from it and the distances."""
        x, y = panel_coordinates(mode.layout)
        distance = np.sqrt(np.maximum(geometry.l2**2 - x * x - y * y, 0.0))
        angles = solid_angle(x, y, distance, lite=mode.merged)
        return replace(geometry, layout=mode.layout, solid_angle=angles, instrument=mode.definition)

    def older_state(self, value: Mapping[str, object]) -> dict[str, object] | None:
        """See `snap.logs.older_state`."""
        return older_state(value)


SNAP = Snap()
