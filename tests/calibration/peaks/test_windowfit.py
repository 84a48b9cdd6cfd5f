"""Single peak fits against injected truth, Monte-Carlo scatter, and scipy's own minimisers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, minimize
from scipy.stats import norm, poisson

from snapcal_workbench.calibration.peaks.profiles import PROFILES
from snapcal_workbench.calibration.peaks.windowfit import Window, counts, fit_window, parameter_names
from snapcal_workbench.options.model import PeakFunction

EDGES = np.linspace(1.97, 2.03, 41)
SIGMA = 0.006
TRUTH: dict[PeakFunction, list[float]] = {
    "Gaussian": [SIGMA],
    "Lorentzian": [0.012],
    "PseudoVoigt": [0.014, 0.4],
    "BackToBackExponential": [400.0, 150.0, 0.004],
}


def mean_counts(name: PeakFunction, area: float, *, centre: float = 2.001, background: float = 0.3, slope: float = 2.0):
    """Counts of a peak on a background of `background` times the area over the window; as if bins were narrow."""
    fine = np.linspace(EDGES[0], EDGES[-1], 40 * 50 + 1)
    level = background / (EDGES[-1] - EDGES[0])
    parameters = np.array([1.0, centre, *TRUTH[name], level, slope])
    density = PROFILES[name].density((fine[1:] + fine[:-1]) / 2, centre, np.array(TRUTH[name]))[0]
    line = level + slope * ((fine[1:] + fine[:-1]) / 2 - centre)
    y = area * ((density + line) * np.diff(fine)).reshape(40, 50).sum(axis=1)
    return y, parameters * [area, *[1.0] * (len(parameters) - 3), area, area]


def window(y: np.ndarray, e: np.ndarray | None = None) -> Window:
    return Window.cut(EDGES, y, np.sqrt(y) if e is None else e, EDGES[0], EDGES[-1])


@pytest.mark.parametrize("name", TRUTH)
def test_finds_the_injected_parameters_of_noise_free_counts(name: PeakFunction) -> None:
    y, truth = mean_counts(name, 1e6)
    fit = fit_window(window(y), PROFILES[name])
    assert fit.problem == ""
    assert parameter_names(PROFILES[name])[:2] == ("area", "centre")
    assert fit.parameters[1] == pytest.approx(2.001, abs=2e-3 * SIGMA)
    np.testing.assert_allclose(fit.parameters[:-1], truth[:-1], rtol=0.02)
    np.testing.assert_allclose(counts(PROFILES[name], fit.parameters, EDGES[:-1], EDGES[1:]), y, rtol=2e-3)


@pytest.mark.parametrize(
    ("name", "area"), [("Gaussian", 300), ("Gaussian", 2e4), ("Lorentzian", 3e3), ("PseudoVoigt", 2e4)]
)
def test_errors_are_the_scatter_of_repeated_measurements(name: PeakFunction, area: float) -> None:
    """(fit - truth) / error has mean 0 and width 1; chi-squared is 1 a degree of freedom."""
    rng = np.random.default_rng(20)
    y, _ = mean_counts(name, area)
    fits = [fit_window(window(rng.poisson(y).astype(float)), PROFILES[name]) for _ in range(100)]
    pulls = np.array([(f.parameters[1] - 2.001) / f.centre_error for f in fits])
    assert not any(f.problem for f in fits)
    assert abs(pulls.mean()) < 3.5 / np.sqrt(len(pulls))
    assert 0.82 < pulls.std() < 1.18
    assert np.mean([f.chi2 for f in fits]) == pytest.approx(1.0, abs=0.06)
    areas = np.array([(f.parameters[0] - area) / f.area_error for f in fits])
    assert 0.8 < areas.std() < 1.2


def test_error_of_an_asymmetric_peak_covers_its_scatter() -> None:
    """Centre and decay of a back-to-back exponential hang together; the error of the centre has to know it."""
    rng = np.random.default_rng(21)
    y, _ = mean_counts("BackToBackExponential", 2e5)
    fits = [fit_window(window(rng.poisson(y).astype(float)), PROFILES["BackToBackExponential"]) for _ in range(40)]
    pulls = np.array([(f.parameters[1] - 2.001) / f.centre_error for f in fits])
    assert abs(pulls.mean()) < 0.6
    assert 0.6 < pulls.std() < 1.4


def test_few_counts_do_not_bias_the_area() -> None:
    """Weights of the data would lose some counts a bin; the likelihood conserves them."""
    rng = np.random.default_rng(3)
    y, _ = mean_counts("Gaussian", 150)
    areas = [fit_window(window(rng.poisson(y).astype(float)), PROFILES["Gaussian"]).parameters[0] for _ in range(60)]
    assert np.mean(areas) == pytest.approx(150, rel=0.07)


def test_likelihood_is_at_its_maximum() -> None:
    """The same likelihood, minimised by scipy over the same model with exact bin integrals, gives the same centre."""
    rng = np.random.default_rng(8)
    y = rng.poisson(mean_counts("Gaussian", 2000)[0]).astype(float)

    def cost(p: np.ndarray) -> float:
        area, centre, sigma, level, slope = p * [2000, SIGMA, SIGMA, 1e4, 1e6]
        x = (EDGES[1:] + EDGES[:-1]) / 2 - 2.0
        model = area * np.diff(norm.cdf(EDGES, 2.0 + centre, sigma)) + (level + slope * x) * np.diff(EDGES)
        return -float(np.sum(poisson.logpmf(y, np.maximum(model, 1e-9))))

    best = minimize(
        cost, [1, 0.1, 1, 1, 0.1], method="Nelder-Mead", options={"maxiter": 9000, "xatol": 1e-7, "fatol": 1e-9}
    )
    fit = fit_window(window(y), PROFILES["Gaussian"])
    assert fit.parameters[1] == pytest.approx(2.0 + best.x[1] * SIGMA, abs=2e-3 * fit.centre_error)
    assert fit.parameters[0] == pytest.approx(2000 * best.x[0], rel=1e-3)


def test_least_squares_with_errors_is_curve_fit() -> None:
    """Equal bins, errors of the data: parameters and errors as scipy's curve_fit has them."""
    rng = np.random.default_rng(2)
    y = mean_counts("Gaussian", 5e4)[0]
    e = 0.02 * y.max() * np.ones(40)
    y = y + rng.normal(0, e) - y.min()
    x, width = (EDGES[1:] + EDGES[:-1]) / 2, EDGES[1] - EDGES[0]

    def model(x: np.ndarray, area: float, centre: float, sigma: float, level: float, slope: float) -> np.ndarray:
        peak = np.diff(norm.cdf(np.append(x - width / 2, x[-1] + width / 2), centre, sigma))
        return area * peak + (level + slope * (x - centre)) * width

    start = [5e4, 2.0, SIGMA, 0.0, 0.0]
    best, covariance = curve_fit(model, x, y, p0=start, sigma=e, absolute_sigma=True)
    fit = fit_window(window(y, e), PROFILES["Gaussian"])
    excess = np.sqrt(max(1.0, fit.chi2))
    assert fit.parameters[1] == pytest.approx(best[1], abs=1e-3 * fit.centre_error)
    assert fit.centre_error == pytest.approx(np.sqrt(covariance[1, 1]) * excess, rel=1e-2)
    assert fit.area_error == pytest.approx(np.sqrt(covariance[0, 0]) * excess, rel=1e-2)


@pytest.mark.parametrize("scale", [2.5e-4, 1.0, 30.0])
def test_normalised_counts_give_the_same_fit(scale: float) -> None:
    """Counts divided by a proton charge, errors with them: the same peak, the same errors, the same chi-squared."""
    y = np.random.default_rng(5).poisson(mean_counts("Gaussian", 3000)[0]).astype(float)
    plain, scaled = (
        fit_window(window(y), PROFILES["Gaussian"]),
        fit_window(window(scale * y, scale * np.sqrt(y)), PROFILES["Gaussian"]),
    )
    assert scaled.parameters[1] == pytest.approx(plain.parameters[1], abs=1e-5 * plain.centre_error)
    assert scaled.centre_error == pytest.approx(plain.centre_error, rel=1e-4)
    assert scaled.chi2 == pytest.approx(plain.chi2, rel=1e-4)
    assert scaled.parameters[0] == pytest.approx(scale * plain.parameters[0], rel=1e-5)
    assert scaled.neutrons == pytest.approx(plain.neutrons)


def test_a_wrong_shape_widens_the_error() -> None:
    """A Gaussian on a Lorentzian's counts: chi-squared above 1, the error larger by its root than the counts say."""
    y, _ = mean_counts("Lorentzian", 1e6)
    fit = fit_window(window(y), PROFILES["Gaussian"])
    tenth = fit_window(window(y / 100), PROFILES["Gaussian"])
    assert fit.chi2 > 100
    assert fit.centre_error > 0.5 * tenth.centre_error


def test_bins_as_densities_put_the_centre_higher_on_a_logarithmic_axis() -> None:
    """By d (sigma / d)^2, since bins grow with d: what Mantid's fit does."""
    edges = np.exp(np.linspace(np.log(1.9), np.log(2.1), 101))
    sigma = 0.02
    y = 1e6 * np.diff(norm.cdf(edges, 2.0, sigma))
    cut = Window.cut(edges, y, np.sqrt(y), 1.93, 2.07)
    assert fit_window(cut, PROFILES["Gaussian"]).parameters[1] == pytest.approx(2.0, abs=1e-3 * sigma)
    as_density = fit_window(cut.with_equal_bins(), PROFILES["Gaussian"])
    assert as_density.parameters[1] - 2.0 == pytest.approx(2.0 * (sigma / 2.0) ** 2, rel=0.05)


def test_two_equal_peaks_with_windows_cut_half_way() -> None:
    """4.5 sigma apart, each in its own window: off by less than 0.04 sigma."""
    edges = np.linspace(-0.018, 0.0135, 64) + 2.0
    y = 1e5 * (np.diff(norm.cdf(edges, 2.0, SIGMA)) + np.diff(norm.cdf(edges, 2.0 + 4.5 * SIGMA, SIGMA))) + 1e3
    fit = fit_window(Window.cut(edges, y, np.sqrt(y), 1.0, 3.0), PROFILES["Gaussian"])
    assert abs(fit.parameters[1] - 2.0) < 0.04 * SIGMA


FLAT = np.full(40, 25.0)


@pytest.mark.parametrize(
    ("y", "e", "words"),
    [
        (np.zeros(40), np.zeros(40), "no counts"),
        (np.full(40, np.nan), np.ones(40), "only 0 bins"),
        (FLAT, np.full(40, np.nan), "only 0 bins"),
        (np.where(np.arange(40) < 34, np.nan, 3.0), np.ones(40), "only 6 bins"),
        (-FLAT, np.ones(40), "no counts"),
        (FLAT, np.zeros(40), "without errors"),
        (FLAT, np.sqrt(FLAT), "no peak"),
        (np.linspace(1, 100, 40), np.ones(40), ""),
    ],
)
def test_what_cannot_be_fitted_has_a_reason(y: np.ndarray, e: np.ndarray, words: str) -> None:
    fit = fit_window(window(y, e), PROFILES["Gaussian"])
    assert words in fit.problem
    if words:
        assert np.isnan(fit.parameters).all()


def test_a_peak_at_the_edge_is_refused() -> None:
    y, _ = mean_counts("Gaussian", 1e5, centre=EDGES[-1] + SIGMA, background=0.05, slope=0.0)
    assert "edge" in fit_window(window(y), PROFILES["Gaussian"]).problem


values = st.lists(
    st.one_of(st.floats(-1e3, 1e6), st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e300])), min_size=40, max_size=40
)


@settings(max_examples=40, deadline=None)
@given(y=values, e=values, name=st.sampled_from(sorted(PROFILES)), likelihood=st.booleans())
def test_no_data_raise(y: list[float], e: list[float], name: PeakFunction, likelihood: bool) -> None:
    """Whatever the counts and errors: finite parameters, or a problem in words."""
    fit = fit_window(window(np.array(y), np.array(e)), PROFILES[name], likelihood=likelihood)
    assert fit.problem or np.isfinite(fit.parameters).all()
