"""The smooth field of a module and its variance components, against injected ones."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.likelihood.smooth_field import fit_field, places_of
from snapcal_workbench.calibration.pixels.likelihood.surface import weighted_median
from tests.synthetic_pixels import panel, spread


def observed(side: int, modules: int, noise: float, seed: int) -> tuple:
    """Places, true values, and observations: steps and bows of 1e-3, blocks of 1.5e-4, pixels of 2e-4."""
    geometry, rng = panel(modules, side), np.random.default_rng(seed)
    layout = geometry.layout
    assert layout is not None
    places = places_of(geometry, np.arange(len(geometry)))
    x, y = places.x, places.y
    field = 1e-3 * layout.module + 5e-4 * x - 3e-4 * y * y + 2e-4 * x * y
    block = (
        np.zeros(len(geometry)) if places.block is None else 1.5e-4 * rng.standard_normal(len(geometry))[places.block]
    )
    value = field + block + 2e-4 * rng.standard_normal(len(geometry))
    return places, value, value + noise * rng.standard_normal(len(geometry)), field + block


def test_field_and_pixel_variance_of_lite_modules() -> None:
    """With noise of twice the pixels' own spread the field is found to a few ppm and the spread to 15 %."""
    places, _, seen, field = observed(32, 3, 4e-4, 1)
    noise = np.full(len(seen), 1.6e-7)
    prior = fit_field(places, seen, noise, noise, np.ones(len(seen), bool))
    assert spread(prior.mean - field) < 5e-5
    assert np.sqrt(prior.pixel_variance) == pytest.approx(2e-4, rel=0.15)
    assert prior.block_variance == 0.0


def test_block_and_pixel_variances_of_native_modules() -> None:
    """Both components come out although the noise of a pixel is ten times as large."""
    places, value, seen, block = observed(128, 2, 2e-3, 2)
    noise = np.full(len(seen), 4e-6)
    prior = fit_field(places, seen, noise, noise, np.ones(len(seen), bool))
    assert np.sqrt(prior.block_variance) == pytest.approx(1.5e-4, rel=0.5)
    assert np.sqrt(prior.pixel_variance) < 5e-4
    assert spread(prior.mean - block) < 1.5e-4
    sigma = np.sqrt(prior.posterior_variance(1.0 / noise))
    assert spread(prior.mean - value) < 1.3 * np.median(sigma)


def test_outliers_and_unused_pixels_do_not_bend_the_field() -> None:
    """Five per cent of the values are wild, and ten per cent are not to be used."""
    places, _, seen, field = observed(32, 1, 2e-4, 3)
    rng = np.random.default_rng(4)
    seen[rng.random(len(seen)) < 0.05] += 0.02
    used = rng.random(len(seen)) < 0.9
    seen[~used] = np.nan
    noise = np.full(len(seen), 4e-8)
    prior = fit_field(places, seen, noise, noise, used)
    assert spread(prior.mean - field) < 1e-4
    assert np.all(np.isfinite(prior.mean))


@pytest.mark.parametrize(("place", "noise"), [(0.0, 2e-4), (0.0, 4e-4), (0.4, 4e-4), (0.0, 16e-4)])
def test_a_patch_that_moved_as_one_is_not_drawn_to_the_field(place: float, noise: float) -> None:
    """7 or 8 by as many pixels are 0.2 % off, in a corner or amid the others: the estimates are within their errors."""
    places, value, seen, field = observed(32, 3, noise, 5)
    patch = (places.cell == 1) & (places.x + 1.0 >= place) & (places.x + 1.0 < place + 0.5)
    patch &= (places.y + 1.0 >= place) & (places.y + 1.0 < place + 0.5)
    assert patch.sum() in (49, 64)
    value, seen = value + 2e-3 * patch, seen + 2e-3 * patch
    variance = np.full(len(seen), noise**2)
    prior = fit_field(places, seen, variance, variance, np.ones(len(seen), bool))
    drawn = (seen / variance + prior.mean / prior.variance) / (1.0 / variance + 1.0 / prior.variance)
    pull = (drawn - value) / np.sqrt(prior.posterior_variance(1.0 / variance))
    assert np.sqrt(np.mean(pull[patch] ** 2)) < 1.3
    assert np.sqrt(np.mean(pull**2)) < 1.15
    assert spread((prior.mean - field)[~patch]) < max(6e-5, 0.1 * noise)


def test_nothing_known_gives_a_prior_that_says_so() -> None:
    """Without any usable value the prior is so wide that it draws nothing."""
    places = places_of(panel(1, 4), np.arange(16))
    nothing = np.zeros(16)
    prior = fit_field(places, nothing, nothing + 1, nothing + 1, np.zeros(16, bool))
    assert prior.pixel_variance >= 1.0


def test_weighted_median_halves_the_weights() -> None:
    """One heavy value outweighs many light ones."""
    assert weighted_median(np.array([1.0, 2.0, 3.0, 9.0]), np.array([1.0, 1.0, 1.0, 5.0])) == 9.0
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.ones(3)) == 2.0
