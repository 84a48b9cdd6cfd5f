"""Linear fits of the terms: injected truth, scatter, outliers, and what the criterion recommends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from snapcal_workbench.calibration.groups.group_terms import (
    TERMS,
    SeenPeaks,
    compare,
    find_outliers,
    fit_terms,
    models_for,
    shape_error,
    simpler,
)

DIFC = np.array([6859.0, 6229.0, 5479.0, 5207.0, 4311.0, 3343.0])


def seen_peaks(
    rng: np.random.Generator | None,
    *,
    per_group: int = 10,
    error: float = 3e-5,
    shape: float = 0.0,
    difc: np.ndarray | float = 1.0,
    difa: np.ndarray | float = 0.0,
    tzero: np.ndarray | float = 0.0,
) -> SeenPeaks:
    """Peaks of six groups from 0.8 to 2.2 A; `error` relative, `shape` in sigmas of 0.4 %, `difc` relative."""
    group = np.repeat(np.arange(6), per_group)
    d = np.tile(np.geomspace(0.8, 2.2, per_group), 6)
    a, c, b = (np.broadcast_to(v, 6)[group] for v in (difc, difa, tzero))
    seen = a * d + (c * d * d + b) / DIFC[group]
    size = np.hypot(error * d, shape * 0.004 * d)
    if rng is not None:
        seen = seen + size * rng.normal(size=len(d))
    height = 100.0 * d**2
    return SeenPeaks(group, 6, d, seen, error * d, 0.004 * d, height, DIFC)


@pytest.mark.parametrize("model", TERMS)
@pytest.mark.parametrize("shared", [False, True])
def test_noise_free_terms_are_found(model: str, shared: bool) -> None:
    difc = 1 + np.arange(6) * 1e-3
    difa = (3.0 if shared else np.arange(6) - 2.0) if "DIFA" in model else 0.0
    tzero = (-7.0 if shared else np.arange(6) - 4.0) if "TZERO" in model else 0.0
    peaks = seen_peaks(None, difc=difc, difa=difa, tzero=tzero)
    models = models_for(peaks, model, shared=shared)
    fit = fit_terms(peaks, models, shared=shared, variance=peaks.variance(0.0))
    np.testing.assert_allclose(fit.value[:, 0], difc * DIFC, rtol=1e-9)
    np.testing.assert_allclose(fit.value[:, 1], np.broadcast_to(difa, 6), atol=1e-6)
    np.testing.assert_allclose(fit.value[:, 2], np.broadcast_to(tzero, 6), atol=1e-6)
    second = len(TERMS[model]) - 1
    assert fit.terms == 6 + (second if shared else 6 * second)
    assert np.isnan(fit.error[:, 2]).all() == ("TZERO" not in model)


@pytest.mark.parametrize("shared", [False, True])
def test_errors_of_the_terms_are_their_scatter(shared: bool) -> None:
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(120):
        peaks = seen_peaks(rng, tzero=-5.0)
        models = models_for(peaks, "DIFC+TZERO", shared=shared)
        fit = fit_terms(peaks, models, shared=shared, variance=peaks.variance(0.0))
        pulls.append([(fit.value[2, 0] - DIFC[2]) / fit.error[2, 0], (fit.value[2, 2] + 5.0) / fit.error[2, 2]])
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.35)
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.2)


def test_height_weights_minimise_mantids_cost() -> None:
    """DIFC alone: the minimum of sum height^2 |TOF - DIFC d|, found by scipy's scalar minimiser."""
    peaks = seen_peaks(np.random.default_rng(5), error=2e-4)
    fit = fit_terms(peaks, ("DIFC",) * 6, shared=False, variance=peaks.variance(0.0), by_height=True)
    for g in range(6):
        rows = peaks.group == g
        tof, d, weight = peaks.seen[rows] * DIFC[g], peaks.d[rows], peaks.height[rows] ** 2

        def cost(difc: float, tof=tof, d=d, weight=weight) -> float:
            return float(np.sum(weight * np.abs(tof - difc * d)))

        best = minimize_scalar(
            cost, bounds=(0.999 * DIFC[g], 1.001 * DIFC[g]), options={"xatol": 1e-7}, method="bounded"
        )
        assert cost(fit.value[g, 0]) <= best.fun * (1 + 1e-9)
        assert fit.value[g, 0] == pytest.approx(best.x, rel=1e-6)


@pytest.mark.parametrize("shape", [0.0, 0.02, 0.2])
def test_shape_error_is_what_was_injected(shape: float) -> None:
    found = [shape_error(seen_peaks(np.random.default_rng(i), per_group=15, shape=shape)) for i in range(8)]
    assert np.median(found) == pytest.approx(shape, rel=0.2, abs=3e-3)


TRUE_TERMS: dict[str, dict[str, Any]] = {
    "DIFC": {},
    "DIFC+TZERO": {"tzero": np.array([-7.5, -8.8, -8.2, -10.8, -7.5, -3.3])},
    "DIFC+DIFA": {"difa": np.array([4.0, 5.0, 4.0, 6.0, 3.0, 5.0])},
    "DIFC+DIFA+TZERO": {
        "tzero": np.array([15.0, 14.0, -17.0, 12.0, 15.0, 16.0]),
        "difa": np.array([9.0, -8, 9, 7, 8, -9]),
    },
}


@pytest.mark.parametrize("model", TRUE_TERMS)
@pytest.mark.parametrize("shape", [0.0, 0.015])
def test_criterion_recommends_the_model_that_made_the_data(model: str, shape: float) -> None:
    """In at least 18 of 20 data sets, with and without an error of the peak shape that nobody told it of."""
    right = 0
    for seed in range(20):
        peaks = seen_peaks(np.random.default_rng(seed), shape=shape, **TRUE_TERMS[model])
        right += compare(peaks).recommended(shared=False) == model
    assert right >= 18


def test_criterion_says_when_shared_terms_are_enough() -> None:
    comparison = compare(seen_peaks(np.random.default_rng(1), tzero=-8.0))
    assert comparison.aicc["DIFC+TZERO", True] < comparison.aicc["DIFC+TZERO", False]
    assert comparison.recommended(shared=True) == "DIFC+TZERO"
    text = comparison.text(shared=False)
    assert "Recommended: DIFC+TZERO." in text
    assert "Lowest of all: DIFC+TZERO, shared by all groups." in text


def test_too_few_peaks_for_a_comparison_recommend_difc() -> None:
    peaks = seen_peaks(np.random.default_rng(1)).select(np.array([0, 5]))
    comparison = compare(peaks)
    assert comparison.recommended(shared=False) == "DIFC"
    assert "too few peaks" in comparison.text(shared=False)


@pytest.mark.parametrize(
    ("model", "peaks", "spare", "expected"),
    [
        ("DIFC+DIFA+TZERO", 4, 1, "DIFC+DIFA+TZERO"),
        ("DIFC+DIFA+TZERO", 3, 1, "DIFC+TZERO"),
        ("DIFC+DIFA", 2, 1, "DIFC"),
        ("DIFC+DIFA", 3, 1, "DIFC+DIFA"),
        ("DIFC+DIFA+TZERO", 4, 2, "DIFC+TZERO"),
        ("DIFC", 1, 1, "DIFC"),
    ],
)
def test_groups_with_few_peaks_have_simpler_models(model: str, peaks: int, spare: int, expected: str) -> None:
    assert simpler(model, peaks, spare) == expected


@pytest.mark.parametrize("size", [1e-3, 5e-3])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_gross_outlier_is_found_and_nothing_else(size: float, place: int) -> None:
    """In the middle and at the ends of the d range, where a fit that includes it follows it."""
    peaks = seen_peaks(np.random.default_rng(7), tzero=-8.0, shape=0.015)
    seen = peaks.seen.copy()
    seen[20 + place] *= 1 + size
    found = find_outliers(replace(peaks, seen=seen), limit=5.0, min_peaks=2)
    assert list(found) == [20 + place]
    assert "outlier" in found[20 + place]


def test_two_outliers_in_one_group_do_not_hide_each_other() -> None:
    peaks = seen_peaks(np.random.default_rng(7), shape=0.015)
    seen = peaks.seen.copy()
    seen[[33, 37]] *= [1.004, 0.995]
    assert set(find_outliers(replace(peaks, seen=seen), limit=5.0, min_peaks=2)) == {33, 37}


def test_good_data_have_no_outliers() -> None:
    found = [find_outliers(seen_peaks(np.random.default_rng(i), tzero=-8.0), limit=5.0, min_peaks=2) for i in range(15)]
    assert sum(len(f) for f in found) <= 2


def test_a_group_keeps_more_than_half_of_its_peaks() -> None:
    peaks = seen_peaks(np.random.default_rng(7))
    seen = peaks.seen.copy()
    seen[:10] += np.random.default_rng(1).normal(0, 0.02, 10)
    found = find_outliers(replace(peaks, seen=seen), limit=5.0, min_peaks=2)
    assert len([i for i in found if i < 10]) <= 4
