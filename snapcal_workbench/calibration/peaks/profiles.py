"""Shapes of a Bragg peak: densities of unit area with their derivatives.

A shape is a function of position x with a centre c and some shape parameters, in any unit of length; the unit of each
shape parameter is that length to a *power* (sigma: 1, mixing: 0, decay constants: -1). FWHM is the full width at half
maximum, the *top* is the largest density. x may be any array; no value of the parameters within their limits gives
anything but finite numbers.

- Gaussian: sigma.
- Lorentzian: FWHM.
- PseudoVoigt: FWHM shared by a Lorentzian (fraction `mixing` of the area) and a Gaussian.
- BackToBackExponential: a rising exponential (alpha) up to c and a falling one (beta) from c on, convolved with a
  Gaussian (sigma): Jorgensen et al., J. Appl. Cryst. 11, 385 (1978). c is where the exponentials meet; the mean lies at
  c + 1/beta - 1/alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import erfc, erfcx

from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.calibration.units import FWHM_PER_SIGMA
from snapcal_workbench.options import PeakFunction

Density = Callable[[FloatArray, float, FloatArray], tuple[FloatArray, FloatArray]]
"""(x[n], centre, shape parameters[k]) -> density[n] and its derivatives [n, 1 + k] by the centre and the parameters."""

_SQRT_2PI = float(np.sqrt(2.0 * np.pi))
_SQRT_2 = float(np.sqrt(2.0))
_TWO_OVER_SQRT_PI = float(2.0 / np.sqrt(np.pi))


@dataclass(frozen=True)
class Profile:
    """A peak shape.

    Attributes:
        name: As in the options.
        parameter_names: Of the shape parameters.
        powers: Power of the length in the unit of each.
        start, lower, upper: Start value and limits of each, where the unit of length is a guess of the peak's sigma.
        density: The shape.
        fwhm_and_top: Shape parameters -> FWHM and largest density.
    """

    name: PeakFunction
    parameter_names: tuple[str, ...]
    powers: tuple[int, ...]
    start: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    density: Density
    fwhm_and_top: Callable[[FloatArray], tuple[float, float]]


def _gaussian(x: FloatArray, centre: float, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    sigma = shape[0]
    t = (x - centre) / sigma
    density = np.exp(-0.5 * t * t) / (sigma * _SQRT_2PI)
    return density, np.stack([density * t, density * (t * t - 1.0)], axis=1) / sigma


def _gaussian_width(shape: FloatArray) -> tuple[float, float]:
    return FWHM_PER_SIGMA * shape[0], 1.0 / (shape[0] * _SQRT_2PI)


def _lorentzian(x: FloatArray, centre: float, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    half = 0.5 * shape[0]
    t = (x - centre) / half
    density = 1.0 / (np.pi * half * (1.0 + t * t))
    share = t * t / (1.0 + t * t)
    by_centre = 2.0 * density * t / (1.0 + t * t) / half
    by_fwhm = density * (2.0 * share - 1.0) / (2.0 * half)
    return density, np.stack([by_centre, by_fwhm], axis=1)


def _lorentzian_width(shape: FloatArray) -> tuple[float, float]:
    return shape[0], 2.0 / (np.pi * shape[0])


def _pseudo_voigt(x: FloatArray, centre: float, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    fwhm, mixing = shape
    lorentz, by_lorentz = _lorentzian(x, centre, np.array([fwhm]))
    gauss, by_gauss = _gaussian(x, centre, np.array([fwhm / FWHM_PER_SIGMA]))
    by_gauss = by_gauss / np.array([1.0, FWHM_PER_SIGMA])
    shared = mixing * by_lorentz + (1.0 - mixing) * by_gauss
    return mixing * lorentz + (1.0 - mixing) * gauss, np.column_stack([shared, lorentz - gauss])


def _pseudo_voigt_width(shape: FloatArray) -> tuple[float, float]:
    fwhm, mixing = shape
    return fwhm, mixing * 2.0 / (np.pi * fwhm) + (1.0 - mixing) * FWHM_PER_SIGMA / (fwhm * _SQRT_2PI)


def _side(position: FloatArray, decay: float, sigma: float, gauss: FloatArray) -> FloatArray:
    """exp(u) erfc(y) of one exponential, with u = decay (decay sigma^2 + 2 position) / 2 and
    y = (decay sigma^2 + position) / (sqrt 2 sigma).

    Where y > 0 as exp(-position^2 / 2 sigma^2) erfcx(y), so that nothing overflows; `gauss` is that exponential.
    """
    y = (decay * sigma**2 + position) / (_SQRT_2 * sigma)
    u = 0.5 * decay * (decay * sigma**2 + 2.0 * position)
    return np.where(y > 0, gauss * erfcx(np.maximum(y, 0.0)), np.exp(np.minimum(u, 0.0)) * erfc(y))


def _back_to_back(x: FloatArray, centre: float, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    alpha, beta, sigma = shape
    t = x - centre
    gauss = np.exp(-0.5 * (t / sigma) ** 2)
    norm = 0.5 * alpha * beta / (alpha + beta)
    rise, fall = _side(t, alpha, sigma, gauss), _side(-t, beta, sigma, gauss)
    edge = _TWO_OVER_SQRT_PI * gauss / _SQRT_2
    by_t = alpha * rise - beta * fall
    by_alpha = (rise + fall) * beta / (alpha * (alpha + beta)) + (alpha * sigma**2 + t) * rise - sigma * edge
    by_beta = (rise + fall) * alpha / (beta * (alpha + beta)) + (beta * sigma**2 - t) * fall - sigma * edge
    by_sigma = sigma * (alpha**2 * rise + beta**2 * fall) - (alpha + beta) * edge
    return norm * (rise + fall), norm * np.stack([-by_t, by_alpha, by_beta, by_sigma], axis=1)


def _back_to_back_width(shape: FloatArray) -> tuple[float, float]:
    alpha, beta, sigma = shape
    x = np.linspace(-6.0 * sigma - 6.0 / alpha, 6.0 * sigma + 6.0 / beta, 4001)
    density = _back_to_back(x, 0.0, shape)[0]
    top = int(np.argmax(density))
    half = 0.5 * density[top]
    rising = np.interp(half, density[: top + 1], x[: top + 1])
    falling = np.interp(half, density[top:][::-1], x[top:][::-1])
    return float(falling - rising), float(density[top])


PROFILES: Mapping[PeakFunction, Profile] = {
    profile.name: profile
    for profile in (
        Profile("Gaussian", ("sigma",), (1,), (1.0,), (0.05,), (20.0,), _gaussian, _gaussian_width),
        Profile("Lorentzian", ("fwhm",), (1,), (2.0,), (0.05,), (40.0,), _lorentzian, _lorentzian_width),
        Profile(
            "PseudoVoigt",
            ("fwhm", "mixing"),
            (1, 0),
            (2.2, 0.3),
            (0.1, 0.0),
            (40.0, 1.0),
            _pseudo_voigt,
            _pseudo_voigt_width,
        ),
        Profile(
            "BackToBackExponential",
            ("alpha", "beta", "sigma"),
            (-1, -1, 1),
            (3.0, 1.5, 0.8),
            (0.1, 0.1, 0.05),
            (20.0, 20.0, 20.0),
            _back_to_back,
            _back_to_back_width,
        ),
    )
}
"""The peak shapes by name."""
