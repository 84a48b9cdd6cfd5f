"""Groups of pixels: their mean position and resolution, and the reflections that are expected of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray, check_lengths
from snapcal_workbench.calibration.units import difc_from_geometry


@dataclass(frozen=True, eq=False)
class Reflections:
    """Bragg reflections of a crystal, in ascending d; coincident ones summed.

    Attributes:
        hkl: int32[n, 3], one representative of each.
        d: float64[n], A.
        f_squared: float64[n], |F|^2 in fm^2 with neutron scattering lengths, mean over coincident reflections
            weighted by their multiplicity.
        multiplicity: int32[n], summed over coincident reflections, so f_squared * multiplicity is the sum.
        d_min, d_max: Between which all reflections are listed, A; outside the crystal may have others.
    """

    hkl: IntArray
    d: FloatArray
    f_squared: FloatArray
    multiplicity: IntArray
    d_min: float = 0.0
    d_max: float = math.inf

    def __post_init__(self) -> None:
        check_lengths(self, hkl=self.hkl, d=self.d, f_squared=self.f_squared, multiplicity=self.multiplicity)

    def __len__(self) -> int:
        return len(self.d)


@dataclass(frozen=True)
class ParticleBounds:
    """The neutrons that an instrument state can record: wavelength in A, TOF in us."""

    wavelength_min: float
    wavelength_max: float
    tof_min: float
    tof_max: float


@dataclass(frozen=True)
class Resolution:
    """Terms of the instrument's resolution (Mantid's EstimateResolutionDiffraction).

    Attributes:
        delta_t_over_t: Relative width of the moderator pulse.
        delta_l: Uncertainty of the flight path, m.
        delta_theta: Beam divergence, rad.
        l1: Moderator to sample, m.
        l2: Nominal sample to detector distance, m (only for L = L1 + L2 of the d limits).
        pixel_size: Pixel box (dx, dy, dz), m.
        with_solid_angle: Whether the solid angle of a full pixel face enters where `Geometry.solid_angle` is not known
            (native: yes; lite: no, as stored and as measured). Where it is known, that one enters.
    """

    delta_t_over_t: float
    delta_l: float
    delta_theta: float
    l1: float
    l2: float
    pixel_size: tuple[float, float, float]
    with_solid_angle: bool


@dataclass(frozen=True, eq=False)
class GroupParameters:
    """Mean position, resolution and d limits of each group that has pixels in use (ascending group ids).

    Attributes:
        group: int32[g].
        l2: float64[g], m; two_theta, azimuth: float64[g], rad.
        d_min, d_max: float64[g], A.
        delta_d: float64[g], relative resolution (Gaussian sigma / d).
        l1: Moderator to sample, m.
        tof_min, tof_max: us.
    """

    group: IntArray
    l2: FloatArray
    two_theta: FloatArray
    azimuth: FloatArray
    d_min: FloatArray
    d_max: FloatArray
    delta_d: FloatArray
    l1: float
    tof_min: float
    tof_max: float

    def __len__(self) -> int:
        return len(self.group)

    @property
    def difc(self) -> FloatArray:
        """float64[g]: DIFC of the groups' mean positions, us/A; the arbitrary DIFC of the focused spectra."""
        return difc_from_geometry(l1=self.l1, l2=self.l2, two_theta=self.two_theta)

    def bin_width(self, bins_per_delta_d: int) -> float:
        """Relative bin width b = min(delta_d) / bins_per_delta_d that all groups share."""
        return float(np.min(self.delta_d)) / bins_per_delta_d


@dataclass(frozen=True, eq=False)
class ExpectedPeaks:
    """Peaks of one group that are to be fitted, in ascending d, with their windows (A).

    Attributes:
        group: Group id.
        hkl: int32[p, 3]; d: float64[p]; f_squared: float64[p]; multiplicity: int32[p], as in `Reflections`.
        window_min, window_max: float64[p].
        dropped: (hkl, d, reason) of the reflections within the group's limits that are not fitted.
    """

    group: int
    hkl: IntArray
    d: FloatArray
    f_squared: FloatArray
    multiplicity: IntArray
    window_min: FloatArray
    window_max: FloatArray
    dropped: tuple[tuple[tuple[int, int, int], float, str], ...] = ()

    def __len__(self) -> int:
        return len(self.d)
