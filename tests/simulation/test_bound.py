"""Cramer-Rao bounds: closed forms, scores of simulated events, and what the demonstration promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad, trapezoid

from snapcal_workbench.calibration.types import Reflections
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.bound import (
    group_statistics,
    information_per_event,
    pixel_information,
    tof_window,
)
from snapcal_workbench.simulation.run import model_of_run, truth_of
from snapcal_workbench.simulation.spectrum import IncidentSpectrum, PeakProfile, PixelSpectrum
from snapcal_workbench.simulation.tree import grouping_of

WINDOW = (2546.0, 14105.0)


def _spectrum(rate: list[float], background: float, profile: PeakProfile | None = None) -> PixelSpectrum:
    return PixelSpectrum(
        difc=6000.0,
        tzero=0.0,
        per_wavelength=3930.0,
        width=0.004,
        d=np.array([1.0, 1.7])[: len(rate)],
        rate=np.array(rate),
        background=background,
        incident=IncidentSpectrum(),
        profile=profile or PeakProfile(),
    )


def test_separate_gaussians_have_information_one_over_width_squared() -> None:
    """d ln p / ds = z T0 / sigma for a Gaussian of relative width R, so I1 = 1 / R^2 for any number of peaks."""
    for rate in ([5.0], [5.0, 2.0]):
        assert information_per_event(_spectrum(rate, 0.0), *WINDOW) == pytest.approx(1 / 0.004**2, rel=1e-4)


def test_background_takes_information_away_as_the_integral_says() -> None:
    """One Gaussian on a background: direct quadrature of (dp/ds)^2 / p."""
    spectrum = _spectrum([300.0], 700.0)
    t0, sigma = 6000.0, 24.0
    beam = IncidentSpectrum()

    def integrand(t: float) -> float:
        z = (t - t0) / sigma
        peak = 300.0 * np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * sigma)
        flat = 700.0 * beam(np.array([t / 3930.0]))[0] / (3930.0 * beam.total)
        slope = peak * (z * t / sigma - 1.0)
        return slope**2 / (peak + flat) / 1000.0

    def integrand_fixed_width(t: float) -> float:
        z = (t - t0) / sigma
        peak = 300.0 * np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * sigma)
        flat = 700.0 * beam(np.array([t / 3930.0]))[0] / (3930.0 * beam.total)
        return (peak * z * t0 / sigma) ** 2 / (peak + flat) / 1000.0

    found = information_per_event(spectrum, *WINDOW)
    stretched = quad(integrand, t0 - 250, t0 + 250, points=[t0], limit=300)[0]
    moved = quad(integrand_fixed_width, t0 - 250, t0 + 250, points=[t0], limit=300)[0]
    assert found == pytest.approx(stretched, rel=2e-3)
    assert found == pytest.approx(moved, rel=1e-2)
    assert found < 0.3 / 0.004**2


@pytest.mark.parametrize("shape", [PeakProfile(), PeakProfile("back-to-back")])
def test_scores_of_drawn_events_vary_by_the_information(shape: PeakProfile) -> None:
    """The variance of d ln p / ds over events drawn from p is I1 (events drawn by inverting the distribution)."""
    spectrum = _spectrum([400.0, 250.0], 350.0, shape)
    grid = np.geomspace(2200.0, 15500.0, 60_000)
    share = spectrum.distribution(grid)
    rng = np.random.default_rng(17)
    tof = np.sort(np.interp(rng.random(100_000), share, grid))
    step = 1e-5
    slope = (spectrum.peaks(tof, step) - spectrum.peaks(tof, -step)) / (2 * step)
    score = slope / (spectrum.peaks(tof) + spectrum.flat(tof))
    error = np.std(score**2) / np.sqrt(len(score))
    assert information_per_event(spectrum, 2200.0, 15500.0) == pytest.approx(np.mean(score**2), abs=4 * error)


def test_window_leaves_out_what_lies_outside() -> None:
    both = information_per_event(_spectrum([1.0, 1.0], 0.0), *WINDOW)
    first = information_per_event(_spectrum([1.0, 1.0], 0.0), WINDOW[0], 8000.0)
    assert first == pytest.approx(both / 2, rel=1e-4)


def test_interpolated_information_is_that_of_each_native_pixel(simulated: Any) -> None:
    model = simulated.model
    native, _ = pixel_information(model)
    window = tof_window(model)
    assert window == pytest.approx((2546.7425335737835, 14105.035570562492), rel=1e-9)
    rng = np.random.default_rng(2)
    for pixel in rng.choice(np.flatnonzero(native > 0), 25, replace=False):
        events = model.bragg[pixel] + model.background[pixel]
        direct = events * information_per_event(model.spectrum_of(int(pixel)), *window)
        assert native[pixel] == pytest.approx(direct, rel=0.03)


def test_lite_information_is_that_of_the_summed_spectra(simulated: Any) -> None:
    """The sum of 64 native spectra, each with its own DIFC and width, shifted together."""
    model = simulated.model
    _, lite = pixel_information(model)
    low, high = tof_window(model)
    tof = np.geomspace(low, high, 3000)
    rng = np.random.default_rng(4)
    for pixel in rng.choice(np.flatnonzero(lite > 0), 4, replace=False):
        module, rest = divmod(int(pixel), 1024)
        x, y = divmod(rest, 32)
        block = [65536 * module + 256 * (8 * x + i) + 8 * y + j for i in range(8) for j in range(8)]
        spectra = [model.spectrum_of(n) for n in block if model.bragg[n] > 0]
        density = sum(s.peaks(tof) + s.flat(tof) for s in spectra)
        slope = sum(s.peaks(tof, 1e-6) - s.peaks(tof, -1e-6) for s in spectra) / 2e-6
        assert lite[pixel] == pytest.approx(trapezoid(slope**2 / density, tof), rel=0.04)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_default_run_tells_the_injected_misalignment(silicon: Reflections, seed: int) -> None:
    """Within every column group the bound of a lite pixel is at most a third of the injected robust spread."""
    model = model_of_run(reflections=silicon, seed=seed, time_offset=-8.0)
    geometry = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)
    found = group_statistics(truth_of(model).lite(), geometry, grouping_of(SNAP_BEAMLINE, "Column", SNAP.lite))
    assert [item.group for item in found] == [1, 2, 3, 4, 5, 6]
    for item in found:
        assert item.pixels > 3000
        assert item.bound_ppm <= item.spread_ppm / 3
        assert 50 < item.bound_ppm < 800
        assert 1000 < item.spread_ppm < 4000


def test_more_events_and_less_background_lower_the_bound(silicon: Reflections) -> None:
    spectrum = _spectrum([300.0], 700.0)
    better = replace(spectrum, background=300.0)
    assert information_per_event(better, *WINDOW) > 1.3 * information_per_event(spectrum, *WINDOW)
