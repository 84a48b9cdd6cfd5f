"""One group of pixels in the likelihood estimator: from where its pixels are thought to be to where they are.

All positions are absolute, u = ln(DIFC / scale), so that a prior means the same in every pass. Words and axes as in
`template`, `smooth_field` and `likelihood_kernels`.

The order of a *round*: make the template from the aligned events; find each pixel's own top of the likelihood; learn
the prior; climb once more with the prior. The prior is learned in one of two ways. Where pixels stray from their field
by less than a peak's width the score at the field says all there is to know (*close*), however few the events. Where
they stray further only pixels with an unambiguous top of their own count (*wide*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration import likelihood_kernels as kernels
from snapcal_workbench.calibration.chunks import in_order, split
from snapcal_workbench.calibration.likelihood_kernels import (
    COUNTS,
    EDGE,
    ELSEWHERE,
    LOG_RATIO,
    SCORE,
    SHIFT,
    SPREAD,
    SQUARE,
)
from snapcal_workbench.calibration.rough_alignment import HALVES, MAX_PIXELS, rough_pattern
from snapcal_workbench.calibration.smooth_field import Index, Places, Prior, fit_field, robust_spread
from snapcal_workbench.calibration.template import Grid, Template, make_template, point_weights
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.progress import Progress

Bools = NDArray[np.bool_]
Result = TypeVar("Result")

EVENTS_PER_CHUNK = 1_000_000
PIXELS_PER_CHUNK = 20_000

AMBIGUOUS = 0.03
"""A top with more than this posterior probability elsewhere is not unambiguous."""
UNPLACED = 0.1
"""A top with more than this posterior probability elsewhere does not tell the place of its pixel."""
CLEAR_RATIO = 3.0
"""ln L above a spectrum without peaks that a top needs to tell anything."""
OUTLIER_GAIN = 9.0
"""ln L by which a pixel's own top must beat the place of the prior to be believed against the prior."""
SAME_EVENTS_SPREAD = 0.85
"""Pulls of the events against a start that was made from others are wider than this."""
SAME_EVENTS_CORRELATION = 0.3
"""And they do not point away from the field more than this."""
MANY_EVENTS = 300_000
"""With more events in a group fewer folds are enough."""


@dataclass(frozen=True, eq=False)
class GroupEvents:
    """The events of one group's usable pixels, and the kernels on them.

    Attributes:
        y: float32[all events], ln(TOF / scale).
        weight: float32[all events], or float32[0] where all are 1.
        start: int64[all pixels + 1].
        pixels: int64[n], the group's pixels.
        corrections: float64[n, 4], (DIFC, DIFA, TZERO, scale).
        counts: float64[n], sum of the weights of each pixel's events.
        grid: Of the group.
        places: Of the n pixels.
        threads: Number of threads; None: the default.
        progress: Asked whether to go on.
    """

    y: NDArray[np.float32]
    weight: NDArray[np.float32]
    start: NDArray[np.int64]
    pixels: Index
    corrections: FloatArray
    counts: FloatArray
    grid: Grid
    places: Places
    threads: int | None
    progress: Progress

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def events(self) -> NDArray[np.int64]:
        """int64[n]: number of events of each pixel."""
        return self.start[self.pixels + 1] - self.start[self.pixels]

    @property
    def folds(self) -> int:
        """Number of folds: every pixel its own in a small group, fewer where one fold says enough."""
        return min(len(self), 4 if self.events.sum() > MANY_EVENTS else 8)

    @property
    def fold(self) -> Index:
        """int64[n]: fold of each pixel."""
        return np.arange(len(self)) % self.folds

    @property
    def axes(self) -> FloatArray:
        """(y0, x0, u0, step) for the kernels."""
        return np.array([self.grid.y0, self.grid.x0, self.grid.u0, self.grid.step])

    def _each(self, work: Callable[[slice], Result]) -> Iterator[Result]:
        """Results of `work` for chunks of the pixels; asks between chunks whether to go on."""
        chunks = split(self.events, EVENTS_PER_CHUNK, PIXELS_PER_CHUNK)
        return in_order(work, chunks, progress=Progress(is_cancelled=self.progress.is_cancelled), threads=self.threads)

    def _source(self, chunk: slice) -> tuple[NDArray[np.float32], NDArray[np.float32], Index, Index]:
        return self.y, self.weight, self.start, self.pixels[chunk]

    def sums(self, u: FloatArray, fold: Index, folds: int) -> tuple[FloatArray, FloatArray]:
        """Aligned counts float64[folds, nx], and counts over y float64[ny]."""

        def work(chunk: slice) -> tuple[FloatArray, FloatArray]:
            by_x, by_y = np.zeros((folds, self.grid.nx)), np.zeros(self.grid.ny)
            part = u[chunk], fold[chunk], self.corrections[chunk], self.axes, self.grid.exposed
            kernels.accumulate(*self._source(chunk), *part, by_x, by_y)
            return by_x, by_y

        by_x, by_y = np.zeros((folds, self.grid.nx)), np.zeros(self.grid.ny)
        for one_x, one_y in self._each(work):
            by_x += one_x
            by_y += one_y
        return by_x, by_y

    def template(self, u: FloatArray, uncertainty: float) -> Template:
        """The template with the pixels placed at u, give or take `uncertainty`."""
        counts, by_tof = self.sums(u, self.fold, self.folds)
        n = self.folds
        weights = np.stack([point_weights(self.grid, u[k::n], self.counts[k::n]) for k in range(n)])
        weights *= counts.sum() / max(weights.sum(), 1e-300)
        return make_template(self.grid, counts, by_tof, weights, uncertainty=uncertainty)

    def solve(
        self,
        template: Template,
        u: FloatArray,
        *,
        lags: int,
        prior: FloatArray | None = None,
        fold: Index | None = None,
    ) -> FloatArray:
        """Rows of `likelihood_kernels.solve` with SHIFT relative to u; prior: [n, 2] with means relative to u."""
        given = np.zeros((len(self), 2)) if prior is None else prior
        fold = self.fold
        rows = np.zeros((len(self), 8))
        t = template

        def work(chunk: slice) -> None:
            n = len(self.pixels[chunk])
            start = u[chunk], np.zeros(n), lags, fold[chunk], given[chunk], self.corrections[chunk], self.axes
            tables = t.coarse, t.log_pattern, t.slope, t.log_total, t.information
            kernels.solve(*self._source(chunk), *start, self.grid.lag, self.grid.exposed, *tables, rows[chunk])

        list(self._each(work))
        return rows

    def curves(
        self,
        coarse: NDArray[np.float32],
        log_total: NDArray[np.float32],
        u: FloatArray,
        unit: Index,
        fold: Index,
        lags: int,
    ) -> FloatArray:
        """float64[units, 2 lags + 1]: ln L of each unit (a set of pixels that move together) over the lags."""
        units = int(unit.max()) + 1

        def work(chunk: slice) -> tuple[int, FloatArray]:
            low = int(unit[chunk].min())
            part = np.zeros((int(unit[chunk].max()) - low + 1, 2 * lags + 1))
            where = unit[chunk] - low, u[chunk], np.full(len(u[chunk]), -lags), fold[chunk], self.corrections[chunk]
            tables = self.axes, self.grid.lag, self.grid.exposed, coarse, log_total
            kernels.unit_curves(*self._source(chunk), *where, *tables, part)
            return low, part

        total = np.zeros((units, 2 * lags + 1))
        for low, part in self._each(work):
            total[low : low + len(part)] += part
        return total

    def chi2(self, template: Template, u: FloatArray) -> FloatArray:
        """float64[n, 2]: chi-squared and degrees of freedom of each pixel at u."""
        every = max(round(0.25 * self.grid.delta_d / self.grid.step), 1)
        per_bin = max(round(2.5 * self.grid.delta_d / self.grid.step), 1)
        fractions = template.fractions(self.grid, every, per_bin)
        rows = np.zeros((len(self), 2))

        def work(chunk: slice) -> None:
            part = u[chunk], self.corrections[chunk], self.axes, self.grid.exposed, per_bin, every * self.grid.step
            kernels.goodness(*self._source(chunk), *part, fractions, rows[chunk])

        list(self._each(work))
        return rows


def first_positions(group: GroupEvents, u: FloatArray, lags: int) -> FloatArray:
    """float64[n]: where the pixels are, within a peak's width, from a start that may be `lags` lags off."""
    unit = np.arange(len(group)) if group.places.block is None else group.places.block
    units = int(unit.max()) + 1
    chosen = np.linspace(0, units - 1, min(units, MAX_PIXELS)).astype(np.int64)
    rank = np.full(units, -1)
    rank[chosen] = np.arange(len(chosen))
    members = np.flatnonzero(rank[unit] >= 0)
    counts = np.zeros((len(chosen), group.grid.nx))
    part = u[members], rank[unit[members]], group.corrections[members], group.axes, group.grid.exposed
    kernels.accumulate(
        group.y, group.weight, group.start, group.pixels[members], *part, counts, np.zeros(group.grid.ny)
    )
    factor = group.grid.coarse
    counts = np.pad(counts, ((0, 0), (0, -group.grid.nx % factor))).reshape(len(chosen), -1, factor).sum(2)
    coarse = rough_pattern(counts, lags).astype(np.float32)
    flat = np.zeros((HALVES, group.grid.nu), np.float32)
    fold = (rank[unit] + 1) % HALVES
    curves = group.curves(coarse, flat, u, unit, fold, lags)
    position, _ = _tops(curves, lags)
    return u + position[unit] * group.grid.lag


def _tops(curves: FloatArray, lags: int) -> tuple[FloatArray, Bools]:
    """Lag of the top of each curve, refined by a parabola, and whether it is unambiguous."""
    top = np.argmax(curves, axis=1)
    inner = np.clip(top, 1, curves.shape[1] - 2)
    rows = np.arange(len(curves))
    left, middle, right = curves[rows, inner - 1], curves[rows, inner], curves[rows, inner + 1]
    bend = np.minimum(left - 2 * middle + right, -1e-12)
    position = inner + np.clip(0.5 * (left - right) / bend, -1.0, 1.0)
    weight = np.exp(curves - curves.max(1, keepdims=True))
    far = np.abs(np.arange(curves.shape[1])[None, :] - top[:, None]) > 5
    clear = (weight * far).sum(1) < AMBIGUOUS * weight.sum(1)
    return position - lags, clear & (top == inner) & (curves.max(1) > CLEAR_RATIO)


@dataclass(frozen=True, eq=False)
class Round:
    """Where a round puts the n pixels.

    Attributes:
        u: float64[n], with the prior; sigma its standard error.
        own: float64[n], from the pixel's own events; own_sigma its standard error.
        rows: float64[n, 8], of the own tops, as `likelihood_kernels.solve` writes them.
        clear: bool[n], the own top is unambiguous.
        placed: bool[n], the pixel's place is known: by its own top or by its prior.
        log_ratio: float64[n], ln L at u above a spectrum without peaks.
        template: What the pixels were compared with.
    """

    u: FloatArray
    sigma: FloatArray
    own: FloatArray
    own_sigma: FloatArray
    rows: FloatArray
    clear: Bools
    placed: Bools
    log_ratio: FloatArray
    template: Template

    @property
    def uncertainty(self) -> float:
        """Typical standard error of the positions of the pixels that are placed."""
        return float(np.median(self.sigma[self.placed])) if self.placed.any() else 0.0


def align(
    group: GroupEvents,
    u: FloatArray,
    uncertainty: float,
    start: FloatArray,
    lags: int,
    bases: list[FloatArray] | None,
) -> Round:
    """One round.

    Args:
        group: The group.
        u: float64[n], where the pixels are thought to be; the template is made with it.
        uncertainty: Typical standard error of u.
        start: float64[n], the middle of the search.
        lags: Half width of the search in lags.
        bases: What a smooth field is relative to: the positions by geometry, and those of the start where they differ;
            None without a prior.
    """
    template = group.template(u, uncertainty)
    rows = group.solve(template, start, lags=2 * lags + 1)
    own = start + rows[:, SHIFT]
    information = rows[:, COUNTS] * _information_at(group.grid, template, own)
    variance = template.inflation / np.maximum(information, 1e-30)
    own_sigma = np.sqrt(variance + rows[:, SPREAD])
    peaked = (rows[:, EDGE] == 0) & (rows[:, LOG_RATIO] > CLEAR_RATIO)
    clear, placed = (peaked & (rows[:, ELSEWHERE] < most) for most in (AMBIGUOUS, UNPLACED))
    if bases is None:
        return Round(own, own_sigma, own, own_sigma, rows, clear, placed, rows[:, LOG_RATIO], template)
    prior, at_prior, close = _learn(group, template, own, variance, clear, start, lags, bases)
    own_information = 1.0 / variance
    far = np.abs(own - prior.mean) > 5.0 * np.sqrt(variance + prior.pixel_variance + prior.mean_variance)
    alone = clear & far & (rows[:, LOG_RATIO] - at_prior[:, LOG_RATIO] > OUTLIER_GAIN)
    held = 1.0 / prior.pixel_variance
    begin = np.where(
        clear if close else placed, (own * own_information + prior.mean * held) / (own_information + held), prior.mean
    )
    pull = np.stack([prior.mean - begin, np.full(len(u), held * template.inflation)], axis=1)
    best = group.solve(template, begin, lags=1, prior=pull)
    position = np.where(alone, own, begin + best[:, SHIFT])
    sigma = np.where(alone, own_sigma, np.sqrt(prior.posterior_variance(own_information)))
    ratio = np.where(alone, rows[:, LOG_RATIO], best[:, LOG_RATIO])
    return Round(position, sigma, own, own_sigma, rows, clear, placed | close, ratio, template)


def _information_at(grid: Grid, template: Template, u: FloatArray) -> FloatArray:
    return np.interp((u - grid.u0) / grid.step, np.arange(grid.nu), template.information)


def _learn(
    group: GroupEvents,
    template: Template,
    own: FloatArray,
    variance: FloatArray,
    clear: Bools,
    start: FloatArray,
    lags: int,
    bases: list[FloatArray],
) -> tuple[Prior, FloatArray, bool]:
    """The prior (absolute means), the rows of the pixels at its mean, and whether the pixels are close to it."""
    prior, close = _first_prior(group, template, own, variance, clear, start, lags, bases)
    rows = group.solve(template, prior.mean, lags=0)
    if not close:
        return _fit(group.places, own, variance, variance, clear, bases), rows, False
    for _ in range(2):
        information = np.maximum(rows[:, COUNTS] * _information_at(group.grid, template, prior.mean), 1e-30)
        value = prior.mean + rows[:, SCORE] / information
        expected, seen = template.inflation / information, rows[:, SQUARE] / information**2
        prior = _fit(group.places, value, expected, seen, rows[:, COUNTS] > 0, bases)
        rows = group.solve(template, prior.mean, lags=0)
    return prior, rows, True


def _first_prior(
    group: GroupEvents,
    template: Template,
    own: FloatArray,
    variance: FloatArray,
    clear: Bools,
    start: FloatArray,
    lags: int,
    bases: list[FloatArray],
) -> tuple[Prior, bool]:
    """The prior from the tops of the blocks (or pixels, where there are none), and whether all are close to it."""
    unit = np.arange(len(own)) if group.places.block is None else group.places.block
    places = group.places.blocks()
    information = np.bincount(unit, 1.0 / variance)
    mean_base = [_unit_mean(unit, base) for base in bases]
    if group.places.block is None:
        value, known = own, clear
    else:
        # Pixels of a block are searched as one: each from its own start.
        curves = group.curves(template.coarse, template.log_total, start, unit, group.fold, lags)
        position, known = _tops(curves, lags)
        value = _unit_mean(unit, start) + position * group.grid.lag
    if np.count_nonzero(known) < max(3, 0.1 * len(known)):
        cell = group.places.cell
        curves = group.curves(template.coarse, template.log_total, start, cell, group.fold, lags)
        position, _ = _tops(curves, lags)
        value = _unit_mean(unit, start) + (position * group.grid.lag)[places.cell]
        wide = np.full(len(start), group.grid.delta_d**2 / 16)
        return Prior(value[unit], wide, group.grid.delta_d**2 / 16, 0.0), True
    noise = 1.0 / information
    prior = _fit(places, value, noise, noise, known, mean_base)
    excess = robust_spread((value - prior.mean)[known]) ** 2 - np.median(noise[known])
    close = bool(excess < (0.5 * group.grid.delta_d) ** 2)
    pixel = Prior(prior.mean[unit], prior.mean_variance[unit], prior.pixel_variance, 0.0)
    return pixel, close


def _unit_mean(unit: Index, values: FloatArray) -> FloatArray:
    return np.bincount(unit, values) / np.maximum(np.bincount(unit), 1)


def _fit(
    places: Places, value: FloatArray, expected: FloatArray, seen: FloatArray, used: Bools, bases: list[FloatArray]
) -> Prior:
    """The prior in the coordinate in which pixels stray least, with absolute means.

    A start that was made from the same events is no evidence, and the geometry is used (see `_independent`).
    """
    priors = [fit_field(places, value - base, expected, seen, used) for base in bases]
    best = 0
    if len(bases) > 1 and used.any():
        strays = [p.pixel_variance + p.block_variance + float(np.median(p.mean_variance)) for p in priors]
        given = (value - bases[1])[used], expected[used], (bases[1] - bases[0] - priors[0].mean)[used]
        best = int(strays[1] < strays[0] and _independent(*given))
    chosen = priors[best]
    return Prior(chosen.mean + bases[best], chosen.mean_variance, chosen.pixel_variance, chosen.block_variance)


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
