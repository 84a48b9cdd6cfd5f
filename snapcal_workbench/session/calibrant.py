"""What a calibrant's crystal diffracts, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.types import FloatArray, Reflections
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.options import Request
from snapcal_workbench.workspaces.protocol import Host


@dataclass(frozen=True, eq=False)
class CalibrantPreview:
    """The reflections of a request's calibrant in the d range of its options.

    Attributes:
        name: Name of the calibrant.
        cif: Name of the CIF file.
        reflections: In ascending d.
        intensity: float64[n], |F|^2 multiplicity d^4 relative to the strongest: the integrated intensity of a peak in
            a flat incident spectrum.
        weakest: Smallest intensity that is used.
        fixed: Options that the calibrant fixes, by dotted name.
    """

    name: str
    cif: str
    reflections: Reflections
    intensity: FloatArray
    weakest: float
    fixed: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def kept(self) -> np.ndarray:
        """bool[n]: strong enough to be used, where no neighbour hides them."""
        return self.intensity >= self.weakest


def calibrant_preview(request: Request, host: Host) -> CalibrantPreview:
    """The reflections of a request's calibrant.

    Raises:
        SnapcalError: There is no such calibrant, or it has no reflections in the range.
    """
    sample = read_calibrant(request.calibrant, host.settings)
    peaks = sample.apply(request.options).peaks
    source = str(sample.cif_path)
    found = reflections_from_cif(sample.cif_text, d_min=peaks.crystal_d_min, d_max=peaks.crystal_d_max, source=source)
    strength = found.f_squared * found.multiplicity * found.d**4
    relative = strength / strength.max()
    weakest = peaks.intensity_fraction or 0.0
    return CalibrantPreview(sample.name, sample.cif_path.name, found, relative, weakest, sample.fixed)
