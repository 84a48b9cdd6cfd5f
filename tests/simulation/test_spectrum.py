"""Simulated spectra against direct quadrature, direct sums and published resolutions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad, trapezoid
from scipy.stats import kstest, norm

from snapcal_workbench.calibration.types import Reflections
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.spectrum import IncidentSpectrum, PeakProfile, bragg_rates, relative_width
from snapcal_workbench.simulation.tree import grouping_of

BACK_TO_BACK = PeakProfile("back-to-back", alpha=0.1, beta0=0.02, beta1=0.05)


def _convolved(delay: float, sigma: float, alpha: float, beta: float) -> float:
    """Back-to-back exponentials convolved with a Gaussian by quadrature over 12 sigma."""
    height = alpha * beta / (alpha + beta)

    def integrand(x: float) -> float:
        return height * np.exp(alpha * x if x < 0 else -beta * x) * norm.pdf(delay - x, scale=sigma)

    edges = [delay - 12 * sigma, *(x for x in (0.0,) if abs(x - delay) < 12 * sigma), delay + 12 * sigma]
    parts = itertools.pairwise(edges)
    return sum(quad(integrand, low, high, epsabs=0.0, epsrel=1e-10, limit=400)[0] for low, high in parts)


@pytest.mark.parametrize("d", [0.6, 1.1, 3.1])
@pytest.mark.parametrize("sigma", [4.0, 20.0, 60.0])
def test_back_to_back_density_is_the_convolution(d: float, sigma: float) -> None:
    beta = 0.02 + 0.05 / d**4
    for delay in (-150.0, -20.0, 0.0, 15.0, 80.0, 300.0):
        expected = _convolved(delay, sigma, 0.1, beta)
        found = BACK_TO_BACK.density(np.array([delay]), sigma, d)[0]
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("profile", [PeakProfile(), BACK_TO_BACK])
def test_distribution_is_the_integral_of_the_density(profile: PeakProfile) -> None:
    delay = np.linspace(-2000.0, 4000.0, 120_001)
    density = profile.density(delay, 25.0, 1.5)
    assert trapezoid(density, delay) == pytest.approx(1.0, abs=1e-9)
    for upto in (-30.0, 0.0, 40.0, 200.0):
        part = delay <= upto
        found = profile.distribution(np.array([upto]), np.array([25.0]), np.array([1.5]))[0]
        assert found == pytest.approx(trapezoid(density[part], delay[part]), abs=1e-7)


def test_steep_exponentials_leave_a_gaussian() -> None:
    steep = PeakProfile("back-to-back", alpha=200.0, beta0=200.0, beta1=0.0)
    delay = np.linspace(-60.0, 60.0, 51)
    np.testing.assert_allclose(steep.density(delay, 20.0, 1.0), norm.pdf(delay, scale=20.0), rtol=1e-5)


def test_most_back_to_back_events_come_after_t0() -> None:
    """T0 is where the exponentials meet: the mean lies 1/beta - 1/alpha later."""
    delay = np.linspace(-2000.0, 6000.0, 200_001)
    density = BACK_TO_BACK.density(delay, 20.0, 2.0)
    beta = 0.02 + 0.05 / 16.0
    assert trapezoid(delay * density, delay) == pytest.approx(1.0 / beta - 10.0, rel=1e-6)


@pytest.mark.parametrize("profile", [PeakProfile(), BACK_TO_BACK])
def test_drawn_delays_follow_the_distribution(profile: PeakProfile) -> None:
    rng = np.random.default_rng(11)
    count = 40_000
    sigma, d = np.full(count, 15.0), np.full(count, 1.6)
    drawn = profile.draw_delay(rng.standard_normal(count, np.float32), sigma, d, rng)
    test = kstest(drawn, lambda x: profile.distribution(x, np.full(len(x), 15.0), np.full(len(x), 1.6)))
    assert test.pvalue > 1e-3


def test_width_gives_the_resolution_of_the_native_groups() -> None:
    """Group values of delta_d / d that SNAP's native state has: rms over the pixels of columns 1 to 6."""
    geometry = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043)
    width = relative_width(geometry, SNAP_BEAMLINE.resolution)
    group = grouping_of(SNAP_BEAMLINE, "Column", SNAP.native).group
    found = [np.sqrt(np.mean(width[group == number] ** 2)) for number in range(1, 7)]
    np.testing.assert_allclose(found, [0.002774, 0.003312, 0.004041, 0.004352, 0.005616, 0.007623], rtol=2e-3)


def test_the_beam_is_cut_to_the_band() -> None:
    beam = IncidentSpectrum.of_band(2.1)
    assert not beam(np.array([0.3, 0.57, 3.63, 5.0])).any()
    assert (beam(np.linspace(0.63, 3.57, 50)) > 0).all()


def test_half_of_the_neutrons_lie_below_the_median_wavelength() -> None:
    beam = IncidentSpectrum()
    wavelength, share = beam.cumulative()
    median = np.interp(0.5, share, wavelength)
    below = quad(lambda x: beam(np.array([x]))[0], 0.58, median, limit=200, points=[0.62])[0]
    above = quad(lambda x: beam(np.array([x]))[0], median, 3.62, limit=200, points=[3.58])[0]
    assert below == pytest.approx(above, rel=1e-4)
    assert beam.total == pytest.approx(below + above, rel=1e-4)


def test_bragg_rates_are_the_powder_formula(silicon: Reflections) -> None:
    """m |F|^2 lambda^4 / sin^2(theta) i(lambda), up to one constant for all peaks and angles."""
    beam = IncidentSpectrum()
    sine = np.array([0.4, 0.65, 0.9])
    found = bragg_rates(silicon, beam, sine)
    for row, s in enumerate(sine):
        for column in range(0, len(silicon), 7):
            wavelength = 2.0 * silicon.d[column] * s
            strength = silicon.multiplicity[column] * silicon.f_squared[column]
            expected = strength * wavelength**4 / s**2 * beam(np.array([wavelength]))[0] / 16.0
            assert found[row, column] == pytest.approx(expected, rel=1e-12)
