"""The TOF spectrum of a simulated pixel: incident beam, Bragg peaks, background, in closed form.

Words and formulas:

- The *incident* spectrum per wavelength is a Maxwellian with an epithermal tail, cut to the band of the choppers with
  soft edges (Windsor, "Pulsed Neutron Scattering", 1981).
- A pixel counts a reflection at the rate  Omega m |F|^2 lambda^4 / sin^2(theta) i(lambda)  with lambda = 2 d sin(theta)
  (Buras and Gerward 1975), up to a constant: Omega m |F|^2 d^4 sin^2(theta) i(2 d sin(theta)).
- The *background* is scattering with no structure: the rate Omega b i(lambda), at TOF = lambda (L1 + L2) / k + TZERO.
- A peak's *position* is T0 = DIFC d + TZERO: the truth. With the Gaussian shape it is the centre. With the back-to-back
  exponentials it is where the rising and the decaying exponential meet, before the Gaussian smears them (GSAS), so that
  most of the intensity arrives after T0.
- The *width* of the Gaussian is sigma = R (T0 - TZERO), R being each pixel's own relative resolution.

The width and the exponentials do not depend on the misalignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import erfcx, ndtr

from snapcal_workbench.calibration.peaks.profiles import PROFILES
from snapcal_workbench.calibration.types import FloatArray, Geometry, Reflections, Resolution
from snapcal_workbench.calibration.units import Value

PeakShape = Literal["gaussian", "back-to-back"]
PEAK_SHAPES: tuple[PeakShape, ...] = ("gaussian", "back-to-back")
_TAIL = 12.0
"""Peaks that lie more than so many widths outside of a TOF range are left out of its density."""


@dataclass(frozen=True)
class IncidentSpectrum:
    """Neutrons per wavelength that reach the sample, up to a constant.

    Attributes:
        wavelength_min, wavelength_max: Band of the choppers, A, at half of the soft edges.
        edge: Width of the soft edges, A.
        thermal: Wavelength of the moderator's temperature, A.
        epithermal: Share of the epithermal part.
    """

    wavelength_min: float = 0.6
    wavelength_max: float = 3.6
    edge: float = 0.04
    thermal: float = 2.6
    epithermal: float = 0.4

    @classmethod
    def of_band(cls, wavelength: float, *, bandwidth: float = 3.0) -> IncidentSpectrum:
        """The beam of choppers set to a wavelength (A) in the middle of the band."""
        return cls(max(wavelength - bandwidth / 2, 0.05), wavelength + bandwidth / 2)

    def __call__(self, wavelength: FloatArray) -> FloatArray:
        """i(lambda) for wavelengths > 0 in A; 0 outside the band."""
        ratio = (self.thermal / wavelength) ** 2
        maxwellian = 2.0 * ratio**2 * np.exp(-ratio) / wavelength
        epithermal = self.epithermal / (wavelength * (1.0 + np.exp((wavelength - 1.0) / 0.2)))
        low = np.clip((wavelength - self.wavelength_min) / self.edge + 0.5, 0.0, 1.0)
        high = np.clip((self.wavelength_max - wavelength) / self.edge + 0.5, 0.0, 1.0)
        return (maxwellian + epithermal) * low * high

    def wavelengths(self, points: int = 2048) -> FloatArray:
        """Evenly spaced wavelengths over the whole band, A."""
        return np.linspace(max(self.wavelength_min - self.edge, 0.01), self.wavelength_max + self.edge, points)

    def cumulative(self) -> tuple[FloatArray, FloatArray]:
        """(wavelengths, share of the neutrons below each), to draw wavelengths by the inverse."""
        wavelength = self.wavelengths()
        rate = self(wavelength)
        total = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]))])
        return wavelength, total / total[-1]

    @property
    def total(self) -> float:
        """Integral of i(lambda) over the band."""
        wavelength = self.wavelengths()
        return float(trapezoid(self(wavelength), wavelength))


@dataclass(frozen=True)
class PeakProfile:
    """Shape of a Bragg peak in TOF.

    Attributes:
        shape: "gaussian" or "back-to-back".
        alpha: Rise of the moderator pulse, 1/us.
        beta0, beta1: Decay beta = beta0 + beta1 / d^4, 1/us with d in A (GSAS).
    """

    shape: PeakShape = "gaussian"
    alpha: float = 0.1
    beta0: float = 0.02
    beta1: float = 0.05

    @property
    def is_gaussian(self) -> bool:
        """Whether there are no exponentials."""
        return self.shape == "gaussian"

    def beta(self, d: Value) -> Value:
        """Decay of the moderator pulse for peaks at d (A), 1/us."""
        return self.beta0 + self.beta1 / d**4

    def density(self, delay: FloatArray, sigma: float, d: float) -> FloatArray:
        """Probability per us of arriving `delay` us after T0, for a peak at d (A) of Gaussian width `sigma` (us)."""
        if self.is_gaussian:
            return PROFILES["Gaussian"].density(delay, 0.0, np.array([sigma]))[0]
        return PROFILES["BackToBackExponential"].density(delay, 0.0, np.array([self.alpha, self.beta(d), sigma]))[0]

    def distribution(self, delay: FloatArray, sigma: FloatArray, d: FloatArray) -> FloatArray:
        """Probability of arriving at most `delay` us after T0."""
        normal = ndtr(delay / sigma)
        if self.is_gaussian:
            return normal
        alpha, beta = self.alpha, self.beta(d)
        gauss = np.exp(-0.5 * (delay / sigma) ** 2)
        rise = _smeared(gauss, (alpha * sigma + delay / sigma) / np.sqrt(2.0), alpha * delay, alpha * sigma)
        fall = _smeared(gauss, (beta * sigma - delay / sigma) / np.sqrt(2.0), -beta * delay, beta * sigma)
        return normal + (beta * rise - alpha * fall) / (2.0 * (alpha + beta))

    def draw_delay(
        self, normal: NDArray[np.float32], sigma: FloatArray, d: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Delays after T0 (us) of events with the given standard normal numbers.

        The difference of two exponential times has just the density of back-to-back exponentials.
        """
        delay = sigma * normal
        if not self.is_gaussian:
            delay += rng.standard_exponential(len(normal)) / self.beta(d)
            delay -= rng.standard_exponential(len(normal)) / self.alpha
        return delay


def _smeared(gauss: FloatArray, z: FloatArray, growth: FloatArray, rate: FloatArray | float) -> FloatArray:
    """exp(rate^2 / 2 + growth) erfc(z), without overflow: z > 0 wherever the exponent is positive."""
    below = np.minimum(z, 0.0)
    unsmeared = np.exp(np.minimum(0.5 * np.square(rate) + growth, 0.0))
    return np.where(
        z > 0, gauss * erfcx(np.maximum(z, 0.0)), unsmeared * (2.0 - erfcx(-below) * np.exp(-below * below))
    )


def relative_width(geometry: Geometry, resolution: Resolution) -> FloatArray:
    """float64[n]: R = sigma / T0 of each pixel.

    R^2 = (delta_T / T)^2 + ((dx^2 + dy^2 + dz^2) / 4 + delta_L^2) / L^2 + (Omega + delta_theta^2) cot^2(theta), as in
    Mantid's EstimateResolutionDiffraction for a single pixel.
    """
    path = geometry.l1 + geometry.l2
    box = sum(side * side for side in resolution.pixel_size) / 4.0
    solid_angle = geometry.solid_angle if resolution.with_solid_angle and geometry.solid_angle is not None else 0.0
    angle = (solid_angle + resolution.delta_theta**2) / np.tan(geometry.two_theta / 2.0) ** 2
    return np.sqrt(resolution.delta_t_over_t**2 + (box + resolution.delta_l**2) / path**2 + angle)


def bragg_rates(reflections: Reflections, incident: IncidentSpectrum, sine: FloatArray) -> FloatArray:
    """float64[n, reflections]: counting rate per solid angle, up to a constant.

    Args:
        reflections: Of the calibrant.
        incident: The beam.
        sine: float64[n], sin(theta) of the pixels.
    """
    strength = reflections.multiplicity * reflections.f_squared * reflections.d**4
    return strength * sine[:, None] ** 2 * incident(2.0 * reflections.d * sine[:, None])


@dataclass(frozen=True, eq=False)
class PixelSpectrum:
    """Expected TOF spectrum of one pixel.

    Attributes:
        difc: us/A; tzero: us.
        per_wavelength: TOF of a background neutron per wavelength, us/A.
        width: R, relative Gaussian width of the peaks.
        d: float64[p], A; rate: float64[p], events of each peak.
        background: Events of the background.
        incident: The beam.
        profile: Shape of the peaks.
        broadening: Relative width that the sample adds to each peak in quadrature, one or float64[p].
    """

    difc: float
    tzero: float
    per_wavelength: float
    width: float
    d: FloatArray
    rate: FloatArray
    background: float
    incident: IncidentSpectrum
    profile: PeakProfile
    broadening: FloatArray | float = 0.0

    @property
    def widths(self) -> FloatArray:
        """float64[p]: relative Gaussian width of each peak."""
        return np.hypot(self.width, np.broadcast_to(self.broadening, self.d.shape))

    def peaks(self, tof: FloatArray, shift: float = 0.0) -> FloatArray:
        """float64[n]: events per us of the peaks, their DIFC being exp(shift) times larger."""
        total = np.zeros(len(tof))
        for d, rate, width in zip(self.d, self.rate, self.widths, strict=True):
            t0 = self.difc * np.exp(shift) * d
            sigma = width * t0
            reach = _TAIL * (sigma + (0.0 if self.profile.is_gaussian else 1.0 / self.profile.beta(d)))
            low, high = np.searchsorted(tof, [t0 + self.tzero - reach, t0 + self.tzero + reach])
            total[low:high] += rate * self.profile.density(tof[low:high] - t0 - self.tzero, sigma, d)
        return total

    def flat(self, tof: FloatArray) -> FloatArray:
        """float64[n]: events per us of the background."""
        wavelength = np.maximum((tof - self.tzero) / self.per_wavelength, 1e-6)
        return self.background * self.incident(wavelength) / (self.incident.total * self.per_wavelength)

    def distribution(self, tof: FloatArray) -> FloatArray:
        """float64[n]: share of all events with a TOF up to `tof` (us)."""
        t0 = self.difc * self.d
        delay = tof[:, None] - t0 - self.tzero
        peaks = self.profile.distribution(delay, self.widths * t0, self.d) @ self.rate
        wavelength, share = self.incident.cumulative()
        background = np.interp((tof - self.tzero) / self.per_wavelength, wavelength, share, 0.0, 1.0)
        return (peaks + self.background * background) / (self.rate.sum() + self.background)
