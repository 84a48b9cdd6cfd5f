"""TOF, d-spacing and wavelength: the constants and conversions.

k = 1e4 h / m_n in A m / us turns a velocity into a wavelength: lambda = k TOF / L. The values of h and m_n are those
that Mantid uses (CODATA 2006), so that numbers agree to the last digit.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

PLANCK = 6.62606896e-34
"""Planck constant, J s."""
NEUTRON_MASS = 1.674927211e-27
"""Neutron mass, kg."""
WAVELENGTH_PER_TOF = 1e4 * PLANCK / NEUTRON_MASS
"""k = 1e4 h / m_n = 3.95603e-3 A m / us."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""FWHM of a Gaussian in units of its sigma."""

Value = TypeVar("Value", float, NDArray[np.float64])


def difc_from_geometry(*, l1: float, l2: Value, two_theta: Value) -> Value:
    """DIFC = (L1 + L2) 2 sin(2theta / 2) / k, in us/A.

    Args:
        l1: Moderator to sample, m.
        l2: Sample to pixel, m.
        two_theta: Scattering angle, rad.
    """
    return (l1 + l2) * 2.0 * np.sin(two_theta / 2.0) / WAVELENGTH_PER_TOF


def tof_from_d(d: Value, *, difc: Value, difa: Value | float = 0.0, tzero: Value | float = 0.0) -> Value:
    """TOF = difc d + difa d^2 + tzero, in us."""
    return difc * d + difa * d * d + tzero


def d_from_tof(tof: Value, *, difc: Value, difa: Value | float = 0.0, tzero: Value | float = 0.0) -> Value:
    """The d-spacing (A) whose TOF is `tof`: the root of difa d^2 + difc d + tzero - tof nearest (tof - tzero) / difc.

    Written as 2c / (b + sqrt(b^2 + 4 a c)), which is exact for difa = 0 and loses no digits for a small difa. NaN where
    no d gives that TOF.
    """
    c = tof - tzero
    with np.errstate(invalid="ignore"):
        return 2.0 * c / (difc + np.sqrt(difc * difc + 4.0 * difa * c))


def offset_from_shift(shift: Value, *, bin_width: float) -> Value:
    """offset = -s / ln(1 + b): Mantid's offset, in bins of the relative width b, of a shift s."""
    return -shift / log_step(bin_width)


def log_step(bin_width: float) -> float:
    """ln(1 + b): what a bin of the relative width b is wide in ln d or ln TOF."""
    return float(np.log1p(bin_width))
