"""What is known of each pixel of an iteration: the quantities that the detector panels can show, without Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, Geometry, MaskReason, PixelResults
from snapcal_workbench.calibration.units import offset_from_shift
from snapcal_workbench.report.detectors import difc_change_ppm
from snapcal_workbench.session.iterations.folders import KeptValues

CHANGE = "DIFC change (ppm)"
OFFSET = "offset (bins)"
EVENTS = "events"
ERROR_BAR = "error bar (ppm)"
REASON = "mask by reason"
QUANTITIES = (CHANGE, OFFSET, EVENTS, ERROR_BAR, REASON)


@dataclass(frozen=True, eq=False)
class PixelQuantities:
    """The pixels of one iteration.

    Attributes:
        geometry: Of the n pixels.
        values: The iteration's kept workspaces by role; without `results` there are no offsets, events and error bars.
        bin_width: Relative bin width that offsets are counted in; None without a pixel calibration.
    """

    geometry: Geometry
    values: KeptValues
    bin_width: float | None

    @property
    def _found(self) -> PixelResults | None:
        return self.values.get("results")

    def of(self, quantity: str, baseline: DiffCalTable) -> FloatArray | None:
        """float64[n]; None where the iteration does not have it. `baseline`: what the change of DIFC is against."""
        if quantity == CHANGE:
            return difc_change_ppm(baseline, self.values["table"])
        if quantity == REASON:
            return self.values["mask"].reason.astype(np.float64)
        if self._found is None:
            return None
        if quantity == EVENTS:
            return self._found.events
        if quantity == ERROR_BAR:
            return 1e6 * self._found.sigma
        return None if self.bin_width is None else offset_from_shift(self._found.shift, bin_width=self.bin_width)

    def text(self, index: int, baseline: DiffCalTable) -> str:
        """All that is known of a pixel, in one line."""
        geometry, difc = self.geometry, self.values["table"].difc[index]
        parts = [f"pixel {geometry.detid[index]}"]
        if geometry.layout is not None:
            module = int(geometry.layout.module[index])
            column, row = divmod(module, geometry.layout.arrangement.rows)
            parts.append(f"module {module + 1} (column {column + 1}, row {row + 1})")
        change = 1e6 * (difc / baseline.difc[index] - 1.0) if baseline.difc[index] > 0 else np.nan
        parts.append(f"2θ {np.degrees(geometry.two_theta[index]):.2f}°")
        parts.append(f"DIFC {difc:.2f} µs/Å ({change:+.0f} ppm)")
        found = self._found
        if found is not None:
            if self.bin_width is not None:
                parts.append(
                    f"offset {offset_from_shift(float(found.shift[index]), bin_width=self.bin_width):+.2f} bins"
                )
            parts.append(f"± {1e6 * found.sigma[index]:.0f} ppm")
            parts.append(f"{found.events[index]:,.0f} events")
        reason = int(self.values["mask"].reason[index])
        if reason:
            parts.append(f"masked: {MaskReason(reason).text}")
        return ", ".join(parts)
