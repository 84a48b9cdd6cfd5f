"""Peak shapes against quadrature, finite differences, and the convolution that defines one of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import cauchy, norm

from snapcal_workbench.calibration.peaks.profiles import PROFILES
from snapcal_workbench.options.model import PeakFunction

SHAPES: list[tuple[PeakFunction, list[float]]] = [
    ("Gaussian", [0.8]),
    ("Lorentzian", [1.7]),
    ("PseudoVoigt", [2.1, 0.35]),
    ("PseudoVoigt", [2.1, 0.0]),
    ("BackToBackExponential", [2.5, 0.9, 0.7]),
    ("BackToBackExponential", [20.0, 20.0, 1.3]),
    ("BackToBackExponential", [0.4, 3.0, 0.3]),
]
CENTRE = 0.3


def density(name: PeakFunction, shape: list[float], x: float | np.ndarray) -> np.ndarray:
    return PROFILES[name].density(np.atleast_1d(np.asarray(x, float)), CENTRE, np.array(shape))[0]


@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_area_is_one(name: PeakFunction, shape: list[float]) -> None:
    area = quad(lambda x: density(name, shape, x)[0], -60, 60, limit=500, points=[CENTRE - 2, CENTRE, CENTRE + 2])[0]
    lost = 0.02 if name in ("Lorentzian", "PseudoVoigt") else 1e-6
    assert 1 - lost < area < 1 + 1e-6


@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_derivatives_are_those_of_the_density(name: PeakFunction, shape: list[float]) -> None:
    x = np.linspace(-6, 8, 141)
    profile = PROFILES[name]
    derivatives = profile.density(x, CENTRE, np.array(shape))[1]
    p = np.array([CENTRE, *shape])
    for i in range(len(p)):
        step = np.zeros(len(p))
        step[i] = 1e-5
        high, low = (
            profile.density(x, (p + step)[0], (p + step)[1:])[0],
            profile.density(x, (p - step)[0], (p - step)[1:])[0],
        )
        np.testing.assert_allclose(derivatives[:, i], (high - low) / 2e-5, atol=2e-8)


@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_width_and_top_are_those_of_the_density(name: PeakFunction, shape: list[float]) -> None:
    fwhm, top = PROFILES[name].fwhm_and_top(np.array(shape))
    x = np.linspace(-8, 8, 160001)
    y = density(name, shape, x)
    place = x[np.argmax(y)]
    assert top == pytest.approx(y.max(), rel=1e-4)
    right = brentq(lambda v: density(name, shape, v)[0] - y.max() / 2, place, place + 20)
    left = brentq(lambda v: density(name, shape, v)[0] - y.max() / 2, place - 20, place)
    assert fwhm == pytest.approx(right - left, rel=1e-3)


def test_pseudo_voigt_is_the_mixture() -> None:
    x = np.linspace(-5, 5, 101)
    fwhm, mixing = 1.8, 0.4
    expected = mixing * cauchy.pdf(x, CENTRE, fwhm / 2) + (1 - mixing) * norm.pdf(x, CENTRE, fwhm / 2.3548200450309493)
    np.testing.assert_allclose(density("PseudoVoigt", [fwhm, mixing], x), expected, rtol=1e-9)


def test_back_to_back_exponential_is_the_convolution() -> None:
    """alpha beta / (alpha + beta) times exp(alpha t) below and exp(-beta t) above 0, convolved with a Gaussian."""
    alpha, beta, sigma = 2.5, 0.9, 0.7
    norm_factor = alpha * beta / (alpha + beta)
    for x in (-2.0, 0.0, 0.5, 3.0):
        rise = quad(lambda t: np.exp(alpha * t) * norm.pdf(x - CENTRE - t, 0, sigma), -15, 0)[0]  # noqa: B023
        fall = quad(lambda t: np.exp(-beta * t) * norm.pdf(x - CENTRE - t, 0, sigma), 0, 25)[0]  # noqa: B023
        assert density("BackToBackExponential", [alpha, beta, sigma], x)[0] == pytest.approx(
            norm_factor * (rise + fall), rel=1e-7
        )


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("limit", ["lower", "upper"])
def test_finite_at_the_limits_and_far_away(name: PeakFunction, limit: str) -> None:
    profile = PROFILES[name]
    x = np.array([-1e4, -300.0, -1.0, 0.0, 1e-12, 1.0, 300.0, 1e4])
    value, derivatives = profile.density(x, 0.0, np.array(getattr(profile, limit)))
    assert np.isfinite(value).all()
    assert np.isfinite(derivatives).all()
    assert (value >= 0).all()
