"""One round of the likelihood estimator: from where a group's pixels are thought to be to where they are.

The order of a *round*: make the template from the aligned events; find each pixel's *own* top of the likelihood; learn
the prior; climb once more with the prior. The prior is learned in one of two ways. Where pixels stray from their field
by less than a peak's width the score at the field says all there is to know (*close*), however few the events. Where
they stray further only pixels with an unambiguous top of their own count. Positions are absolute, as in
`likelihood_group`, so that a prior means the same in every pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.pixels.likelihood.group import LEAST_RATIO, GroupEvents, curve_tops, first_positions
from snapcal_workbench.calibration.pixels.likelihood.kernels import (
    COUNTS,
    EDGE,
    ELSEWHERE,
    LOG_RATIO,
    SCORE,
    SHIFT,
    SPREAD,
    SQUARE,
)
from snapcal_workbench.calibration.pixels.likelihood.smooth_field import (
    Index,
    Places,
    Prior,
    fit_field,
    robust_spread,
)
from snapcal_workbench.calibration.pixels.likelihood.surface import weighted_median
from snapcal_workbench.calibration.pixels.likelihood.template import Template
from snapcal_workbench.calibration.types import FloatArray

Bools = NDArray[np.bool_]

CERTAIN = 1e-6
"""A top with less than this posterior probability elsewhere need not be searched for again: one pixel in a million
would be kept from a better place. At half and twice the results are the same."""
SHARP = 0.5
"""With a standard error below this part of the relative resolution ln L is a parabola between top and prior. With 2000,
600 and 200 events of silicon a pixel errors are 6, 19 and 54 % larger at half of it; at twice they are the same, and
with 200 events 13 % larger. With fewer it makes no difference."""
AMBIGUOUS = 0.03
"""A top with more than this posterior probability elsewhere is not unambiguous. At half and twice the results are the
same."""
UNPLACED = 0.05
"""A top with more than this posterior probability elsewhere does not tell the place of its pixel: one in twenty, as
is usual for a test. At half and twice the results are the same."""
MAX_SCORINGS = 3
"""Most times that the field is moved to where the scores of the pixels at it point. With one and with six the results
are the same."""
OUTLIER_GAIN = 9.0
"""ln L by which a pixel's own top must beat the place of the prior to speak against the prior. At half and twice the
results are the same; see `FALSE_OUTLIERS` for when it is believed."""
FALSE_OUTLIERS = 0.05
"""Expected number of pixels of a group whose noise is believed against the prior, at most. A given place beats the
right one by T with a probability below exp(-T), and each pixel has some 10 places: with 3000 pixels T is 13, with half
or twice of this 0.7 more or less. At T = 9 one of 18,000 pixels with 100 events, a tenth in peaks, was 1 % off."""
SAME_EVENTS_SPREAD = 0.85
"""Pulls of the events against a start that was made from others are wider than this. In 16 simulated runs they were
0.65 to 1.6 wide, and from the same events, where these are many, 0.48. At half of it only the correlation tells, at
twice no start but the geometry is ever used."""
SAME_EVENTS_CORRELATION = 0.3
"""And they do not point away from the field more than this. In 16 simulated runs the correlation was -0.13 to 0.08 with
other events, and 0.39 to 1 with the same, but where the peaks were lost. At half the results are the same; at twice
some starts from the same events would count as evidence."""


@dataclass(frozen=True, eq=False)
class Search:
    """What stays the same in all rounds of a group of n pixels.

    Attributes:
        start: float64[n], positions of the table that the calibration started from: the middle of the search.
        lags: Half width of the search in lags.
        bases: What a smooth field is relative to: the positions by geometry, and those of the start where they differ;
            empty without a prior.
    """

    start: FloatArray
    lags: int
    bases: tuple[FloatArray, ...]


@dataclass(frozen=True, eq=False)
class Learned:
    """The prior of a group (absolute means), and whether its pixels are close to it."""

    prior: Prior
    close: bool


@dataclass(frozen=True, eq=False)
class Before:
    """What the pass before found out about the n pixels.

    Attributes:
        tops: float64[n], places of tops that are certain to be the only ones, NaN where they are not.
        learned: The prior; None without one.
    """

    tops: FloatArray
    learned: Learned | None


@dataclass(frozen=True, eq=False)
class Own:
    """What the pixels' own events say.

    Attributes:
        u: float64[n], the top of the likelihood.
        variance: float64[n], of u, given that it is the right top.
        sigma: float64[n], standard error of u, other tops included.
        rows: float64[n, 8], as `likelihood_kernels.solve` writes them.
        clear: bool[n], there is only one top.
        sharp: bool[n], near the top ln L is a parabola as far as the pixel's error reaches.
        certain: bool[n], there cannot be another top.
        placed: bool[n], other tops are unlikely.
        frame: float64[n], to be taken off all positions that the pixel's fold of the template gives.
    """

    u: FloatArray
    variance: FloatArray
    sigma: FloatArray
    rows: FloatArray
    clear: Bools
    sharp: Bools
    certain: Bools
    placed: Bools
    frame: FloatArray


@dataclass(frozen=True, eq=False)
class Round:
    """Where a round puts the n pixels.

    Attributes:
        u: float64[n], with the prior; sigma its standard error.
        own: From the pixels' own events.
        placed: bool[n], the pixel's place is known: by its own top or by its prior.
        log_ratio: float64[n], ln L at u above a spectrum without peaks.
        template: What the pixels were compared with.
        learned: The prior; None without one.
    """

    u: FloatArray
    sigma: FloatArray
    own: Own
    placed: Bools
    log_ratio: FloatArray
    template: Template
    learned: Learned | None

    @property
    def uncertainty(self) -> float:
        """Typical standard error of the positions of the pixels that are placed."""
        return float(np.median(self.sigma[self.placed])) if self.placed.any() else 0.0


def settle(group: GroupEvents, search: Search) -> tuple[Template, FloatArray]:
    """The template to begin with, from a short first round on a sample of the pixels, and where it placed them.

    Places are NaN for the pixels that are not in the sample.
    """
    members = group.sample()
    some = group.part(members)
    search = Search(search.start[members], search.lags, tuple(base[members] for base in search.bases))
    u = _centred(first_positions(some, search.start, search.lags), search.start)
    template = some.template(u, 0.0)
    own = _own(some, template, u, search)
    u, sigma = own.u, np.sqrt(own.variance)
    learned = _first_prior(some, template, own, search) if search.bases else None
    if learned is not None and learned.close:
        u, sigma = _drawn(own, learned.prior)
    placed_at = np.full(len(group), np.nan)
    placed_at[members] = _centred(u - own.frame, search.start)
    return some.template(placed_at[members], float(np.median(sigma))), placed_at


def _centred(u: FloatArray, start: FloatArray) -> FloatArray:
    """Positions without their common shift from the start, of which the events say nothing: the pattern moves along."""
    return u - np.median(u - start)


def _drawn(own: Own, prior: Prior) -> tuple[FloatArray, FloatArray]:
    """Positions between own and prior, and their standard errors; a top too far from the prior is not believed."""
    known = prior.variance + prior.mean_variance
    within = np.abs(own.u - prior.mean) < 3.0 * np.sqrt(own.variance + known)
    variance = 1.0 / (1.0 / own.variance + 1.0 / known)
    between = variance * (own.u / own.variance + prior.mean / known)
    return np.where(within, between, prior.mean), np.sqrt(variance)


def align(group: GroupEvents, template: Template, placed_at: FloatArray, search: Search, before: Before) -> Round:
    """One round.

    Args:
        group: The group.
        template: What the pixels are compared with.
        placed_at: float64[n], where the template has the pixels; NaN for those that took no part in it.
        search: Where to look.
        before: From the round before.
    """
    own = _own(group, template, placed_at, search, before.tops)
    if not search.bases:
        return Round(own.u - own.frame, own.sigma, own, own.placed, own.rows[:, LOG_RATIO], template, None)
    learned = _learn(group, template, own, search, before.learned)
    prior = learned.prior
    against = _against(group, template, own, prior)
    alone = against > _believed(group, search)
    doubtful = ~alone & (against > OUTLIER_GAIN)
    position, ratio = _between(group, template, own, learned)
    sigma = np.where(alone, own.sigma, np.sqrt(prior.posterior_variance(1.0 / own.variance)))
    position, ratio = np.where(alone, own.u, position), np.where(alone, own.rows[:, LOG_RATIO], ratio)
    return Round(position - own.frame, sigma, own, (own.placed | learned.close) & ~doubtful, ratio, template, learned)


def _against(group: GroupEvents, template: Template, own: Own, prior: Prior) -> FloatArray:
    """float64[n]: ln L of a pixel's own top above that of the place of the prior; 0 where they do not disagree."""
    far = np.abs(own.u - prior.mean) > 5.0 * np.sqrt(own.variance + prior.variance + prior.mean_variance)
    some = np.flatnonzero(own.clear & far)
    at_prior = group.solve(template, prior.mean[some], lags=0, members=some)
    against = np.zeros(len(group))
    against[some] = own.rows[some, LOG_RATIO] - at_prior[:, LOG_RATIO]
    return against


def _believed(group: GroupEvents, search: Search) -> float:
    """ln L by which a pixel's own top must beat the prior to be believed; a pixel between this and less is doubtful."""
    places = 2.0 * search.lags * group.grid.lag / group.grid.delta_d
    return max(OUTLIER_GAIN, float(np.log(len(group) * max(places, 1.0) / FALSE_OUTLIERS)))


def _between(group: GroupEvents, template: Template, own: Own, learned: Learned) -> tuple[FloatArray, FloatArray]:
    """Positions of the tops of ln L + ln prior, and ln L there above a spectrum without peaks.

    Where ln L is a parabola between a pixel's own top and the prior's the place is known; the others climb to it.
    """
    prior = learned.prior
    held = 1.0 / prior.variance
    between = (own.u / own.variance + prior.mean * held) / (1.0 / own.variance + held)
    moved = between - own.u
    ratio = own.rows[:, LOG_RATIO] - 0.5 * moved**2 * template.inflation / own.variance
    some = np.flatnonzero(~(own.sharp & (np.abs(moved) < SHARP * group.grid.delta_d)))
    begin = np.where(own.clear if learned.close else own.placed, between, prior.mean)[some]
    pull = np.stack([prior.mean[some] - begin, held[some] * template.inflation], axis=1)
    rows = group.solve(template, begin, lags=1, prior=pull, members=some)
    between[some], ratio[some] = begin + rows[:, SHIFT], rows[:, LOG_RATIO]
    return between, ratio


def _own(
    group: GroupEvents, template: Template, placed_at: FloatArray, search: Search, tops: FloatArray | None = None
) -> Own:
    """The own tops, from a search around the start where they are not known."""
    known = None if tops is None else tops - search.start
    rows = group.solve(template, search.start, lags=2 * search.lags + 1, known=known)
    u = search.start + rows[:, SHIFT]
    variance = template.inflation / _information(group, template, u, rows)
    peaked = (rows[:, EDGE] == 0) & (rows[:, LOG_RATIO] > LEAST_RATIO)
    certain, clear, placed = (peaked & (rows[:, ELSEWHERE] < most) for most in (CERTAIN, AMBIGUOUS, UNPLACED))
    sharp = clear & (variance < (SHARP * group.grid.delta_d) ** 2)
    frame = _frames(group, u - placed_at, 1.0 / variance)
    return Own(u, variance, np.sqrt(variance + rows[:, SPREAD]), rows, clear, sharp, certain, placed, frame)


def _frames(group: GroupEvents, moved: FloatArray, weight: FloatArray) -> FloatArray:
    """float64[n]: how far the template of each pixel's fold lies from that of all folds.

    A fold is compared with the others. Where it lies a step away from them, all folds together lie `step / folds` away;
    without this, two pixels would swap their places for ever.
    """
    fold, folds = group.fold, group.folds
    part = np.isfinite(moved)
    steps = [weighted_median(moved[part & (fold == k)], weight[part & (fold == k)]) for k in range(folds)]
    return (np.array(steps) / folds)[fold]


def _information(group: GroupEvents, template: Template, u: FloatArray, rows: FloatArray) -> FloatArray:
    """float64[n]: Fisher information of each pixel's counts."""
    grid = group.grid
    one = np.interp((u - grid.u0) / grid.step, np.arange(grid.nu), template.information)
    return np.maximum(rows[:, COUNTS] * one, 1e-30)


def _learn(group: GroupEvents, template: Template, own: Own, search: Search, before: Learned | None) -> Learned:
    """The prior; near it the score of a pixel is as good as its top, and known however few the events are."""
    first = before or _first_prior(group, template, own, search)
    if not first.close:
        return Learned(_fit(group.places, own.u, own.variance, own.variance, own.clear, search.bases), False)
    prior = first.prior
    value, expected, seen = own.u.copy(), own.variance.copy(), own.variance.copy()
    some = np.flatnonzero(~own.sharp)
    for _ in range(MAX_SCORINGS):
        rows = group.solve(template, prior.mean[some], lags=0, members=some)
        information = _information(group, template, prior.mean[some], rows)
        value[some] = prior.mean[some] + rows[:, SCORE] / information
        expected[some], seen[some] = template.inflation / information, rows[:, SQUARE] / information**2
        last, prior = prior, _fit(group.places, value, expected, seen, own.rows[:, COUNTS] > 0, search.bases)
        if not len(some) or robust_spread(prior.mean - last.mean) < 0.3 * np.sqrt(prior.pixel_variance):
            break
    return Learned(prior, True)


def _first_prior(group: GroupEvents, template: Template, own: Own, search: Search) -> Learned:
    """The prior from the tops of the blocks, or of the pixels where there are none."""
    if group.places.block is None:
        unit, value, known = np.arange(len(group)), own.u, own.clear
    else:
        unit = group.places.block
        value, known = _block_tops(group, template, unit, search)
    if np.count_nonzero(known) < max(3, 0.1 * len(known)):
        return _cell_prior(group, template, search)
    noise = 1.0 / np.bincount(unit, 1.0 / own.variance)
    prior = _fit(group.places.blocks(), value, noise, noise, known, tuple(_unit_mean(unit, b) for b in search.bases))
    excess = robust_spread((value - prior.mean)[known]) ** 2 - np.median(noise[known])
    close = bool(excess < (0.5 * group.grid.delta_d) ** 2)
    of_pixel = {name: getattr(prior, name)[unit] for name in ("mean", "mean_variance", "patch_variance")}
    return Learned(replace(prior, **of_pixel, block_variance=0.0), close)


def _block_tops(group: GroupEvents, template: Template, unit: Index, search: Search) -> tuple[FloatArray, Bools]:
    """Mean position of each block when its pixels move together from the start, and whether it is unambiguous."""
    tables = template.coarse, template.log_total
    curves = group.curves(*tables, search.start, unit, group.fold, search.lags)
    position, elsewhere = curve_tops(curves, search.lags)
    return _unit_mean(unit, search.start) + position * group.grid.lag, elsewhere < AMBIGUOUS


def _cell_prior(group: GroupEvents, template: Template, search: Search) -> Learned:
    """With too few events for that: every cell moves as one from the start."""
    cell = group.places.cell
    curves = group.curves(template.coarse, template.log_total, search.start, cell, group.fold, search.lags)
    position, _ = curve_tops(curves, search.lags)
    variance = group.grid.delta_d**2 / 16
    mean = search.start + position[cell] * group.grid.lag
    return Learned(Prior(mean, np.full(len(group), variance), variance, 0.0, np.zeros(len(group))), True)


def _unit_mean(unit: Index, values: FloatArray) -> FloatArray:
    return np.bincount(unit, values) / np.maximum(np.bincount(unit), 1)


def _fit(
    places: Places,
    value: FloatArray,
    expected: FloatArray,
    seen: FloatArray,
    used: Bools,
    bases: tuple[FloatArray, ...],
) -> Prior:
    """The prior in the coordinate in which pixels stray least, with absolute means.

    A start that was made from the same events is no evidence, and the geometry is used (see `_independent`); so it is
    for pixels that are off their field together, whose start may hold nothing but the noise of their own events.
    """
    priors = [fit_field(places, value - base, expected, seen, used) for base in bases]
    best = 0
    if len(bases) > 1 and used.any():
        strays = [p.pixel_variance + p.block_variance + float(np.median(p.mean_variance)) for p in priors]
        given = (value - bases[1])[used], expected[used], (bases[1] - bases[0] - priors[0].mean)[used]
        best = int(strays[1] < strays[0] and _independent(*given))
    chosen, geometry = priors[best], priors[0]
    off = (geometry.patch_variance > 0) & (best > 0)
    return replace(
        chosen,
        mean=np.where(off, geometry.mean + bases[0], chosen.mean + bases[best]),
        mean_variance=np.where(off, geometry.mean_variance, chosen.mean_variance),
        patch_variance=np.where(off, geometry.patch_variance, chosen.patch_variance),
    )


def _independent(residual: FloatArray, expected: FloatArray, drawn: FloatArray) -> bool:
    """Whether a start tells more than the events do, having been made from others.

    An estimate made from the same events agrees with them better than their error bars allow; if it was drawn towards a
    field, what is left of the pixels' own values points away from that field, pixel by pixel.

    Args:
        residual: float64[n], the observed values relative to the start.
        expected: float64[n], their variances.
        drawn: float64[n], the start relative to the field of the geometry.
    """
    if robust_spread(residual / np.sqrt(expected)) < SAME_EVENTS_SPREAD:
        return False
    one, other = (_clipped(v) for v in (residual, drawn))
    size = np.sqrt(np.sum(one**2) * np.sum(other**2))
    return bool(np.sum(one * other) < SAME_EVENTS_CORRELATION * size)


def _clipped(values: FloatArray) -> FloatArray:
    limit = 4.0 * robust_spread(values)
    return np.clip(values - np.median(values), -limit, limit)
