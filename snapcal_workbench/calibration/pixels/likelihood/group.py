"""The events of one group of pixels, and the compiled loops over them in chunks.

All positions are absolute, u = ln(DIFC / scale), scale being one TOF near the middle of the window. Words and axes as
in `template` and `likelihood_kernels`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import in_order, split
from snapcal_workbench.calibration.pixels.likelihood import kernels
from snapcal_workbench.calibration.pixels.likelihood.rough_alignment import HALVES, enough_pixels, rough_pattern
from snapcal_workbench.calibration.pixels.likelihood.smooth_field import Index, Places
from snapcal_workbench.calibration.pixels.likelihood.template import (
    Grid,
    Template,
    convolved,
    make_template,
    point_weights,
)
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.progress import Progress

Bools = NDArray[np.bool_]
Result = TypeVar("Result")

EVENTS_PER_CHUNK = 1_000_000
PIXELS_PER_CHUNK = 20_000

LEAST_RATIO = 3.0
"""ln L above a spectrum without peaks that a top needs to tell anything: 20 to 1. At half (4 to 1) and twice (400 to 1)
the results are the same."""
ENOUGH_EVENTS = 1_000_000
"""So many events of a group make a template that is good enough to begin with. At half and twice the errors differ by
1 %, since the rounds make the template anew from all events."""
MANY_EVENTS = 300_000
"""With more events in a group fewer folds are enough: a template of three quarters of them has hardly more noise than
one of seven eighths. At half and twice the results are the same."""


def number_of_folds(pixels: int, events: float) -> int:
    """Every pixel is its own fold in a small group; with many events fewer folds say enough."""
    return min(pixels, 4 if events > MANY_EVENTS else 8)


@dataclass(frozen=True, eq=False)
class GroupEvents:
    """The events of one group's usable pixels, and the kernels on them.

    Attributes:
        tof: float32[all events], us, ascending within a pixel. ln(TOF / scale) is made of a chunk's when it is needed:
            that takes a tenth of the time of what is done with it, and keeping it as much memory as the events.
        scale: One TOF near the middle of the window, us.
        weight: float32[all events], or float32[0] where all are 1.
        start: int64[all pixels + 1].
        pixels: int64[n], the group's pixels.
        corrections: float64[n, 4], (DIFC, DIFA, TZERO, scale).
        counts: float64[n], sum of the weights of each pixel's events.
        grid: Of the group.
        places: Of the n pixels.
        threads: Number of threads; None: the default.
        progress: Asked whether to go on.
        folds: Number of folds, see `number_of_folds`.
    """

    tof: NDArray[np.float32]
    scale: float
    weight: NDArray[np.float32]
    start: NDArray[np.int64]
    pixels: Index
    corrections: FloatArray
    counts: FloatArray
    grid: Grid
    places: Places
    threads: int | None
    progress: Progress
    folds: int

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def events(self) -> NDArray[np.int64]:
        """int64[n]: number of events of each pixel."""
        return self.start[self.pixels + 1] - self.start[self.pixels]

    @property
    def fold(self) -> Index:
        """int64[n]: fold of each pixel."""
        return np.arange(len(self)) % self.folds

    def sample(self) -> Index:
        """int64[m]: some of the pixels, with about ENOUGH_EVENTS; each has the same fold among them as among all."""
        every = max(int(self.events.sum() // ENOUGH_EVENTS), 1)
        return np.flatnonzero((np.arange(len(self)) // self.folds) % every == 0)

    def part(self, members: Index) -> GroupEvents:
        """Some of the pixels as a group of their own, with as many folds."""
        if len(members) == len(self):
            return self
        return replace(
            self,
            pixels=self.pixels[members],
            corrections=self.corrections[members],
            counts=self.counts[members],
            places=self.places.part(members),
            folds=self.folds,
        )

    @property
    def axes(self) -> FloatArray:
        """(y0, u0, step) for the kernels."""
        return np.array([self.grid.y0, self.grid.u0, self.grid.step])

    def _each(self, work: Callable[[slice], Result], members: Index | None = None) -> Iterator[Result]:
        """Results of `work` for chunks of the pixels or of some members; asks between chunks whether to go on."""
        events = self.events if members is None else self.events[members]
        chunks = split(events, EVENTS_PER_CHUNK, PIXELS_PER_CHUNK)
        return in_order(work, chunks, progress=Progress(is_cancelled=self.progress.is_cancelled), threads=self.threads)

    def source(self, pixels: Index) -> tuple[NDArray[np.float32], NDArray[np.float32], Index, Index]:
        """ln(TOF / scale) and weights of these pixels' events, where those of each begin, and the pixels' numbers."""
        tof, weight, start = self.tof, self.weight, self.start[pixels[0] : pixels[-1] + 2]
        if len(start) == len(pixels) + 1:
            part = slice(int(start[0]), int(start[-1]))
            tof, weight = tof[part], weight[part] if len(weight) else weight
            start = start - start[0]
        else:
            taken, start = _events_of(pixels, self.start)
            tof, weight = tof[taken], weight[taken] if len(weight) else weight
        y = tof / np.float32(self.scale)
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(y, out=y)
        return y, weight, start, np.arange(len(pixels))

    def sums(self, u: FloatArray, fold: Index, folds: int) -> tuple[FloatArray, FloatArray]:
        """Aligned counts float64[folds, nx], and counts over y float64[ny]."""

        def work(chunk: slice) -> tuple[FloatArray, FloatArray]:
            by_x, by_y = np.zeros((folds, self.grid.nx)), np.zeros(self.grid.ny)
            part = u[chunk], fold[chunk], self.corrections[chunk], self.axes, self.grid.nu, self.grid.exposed
            kernels.accumulate(*self.source(self.pixels[chunk]), *part, by_x, by_y)
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
        known: FloatArray | None = None,
        members: Index | None = None,
    ) -> FloatArray:
        """Rows of `likelihood_kernels.solve` with SHIFT relative to u, of all pixels or of some `members`.

        prior: [m, 2] with means relative to u; known: [m], the shift of the only top, NaN where it is to be looked for.
        """
        members = np.arange(len(self)) if members is None else members
        n = len(members)
        given = np.zeros((n, 2)) if prior is None else prior
        known = np.full(n, np.nan) if known is None else known
        pixels, fold, corrections = self.pixels[members], self.fold[members], self.corrections[members]
        rows = np.zeros((n, 8))
        t = template

        def work(chunk: slice) -> None:
            source = self.source(pixels[chunk])
            start = u[chunk], known[chunk], lags, fold[chunk], given[chunk], corrections[chunk], self.axes
            tables = t.coarse, t.log_pattern, t.slope, t.log_total, t.information
            kernels.solve(*source, *start, self.grid.coarse, self.grid.exposed, *tables, rows[chunk])

        list(self._each(work, members))
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
            where = unit[chunk] - low, u[chunk], fold[chunk], self.corrections[chunk]
            tables = self.axes, self.grid.nu, self.grid.coarse, self.grid.exposed, coarse, log_total
            kernels.unit_curves(*self.source(self.pixels[chunk]), *where, *tables, part)
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
            kernels.goodness(*self.source(self.pixels[chunk]), *part, fractions, rows[chunk])

        list(self._each(work))
        return rows


def _events_of(pixels: Index, start: NDArray[np.int64]) -> tuple[Index, NDArray[np.int64]]:
    """Indices of the events of some pixels, pixel by pixel, and where those of each begin among them."""
    counts = start[pixels + 1] - start[pixels]
    begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.arange(begin[-1]) + np.repeat(start[pixels] - begin[:-1], counts), begin


def first_positions(group: GroupEvents, u: FloatArray, lags: int) -> FloatArray:
    """float64[n]: where the pixels are, within a peak's width.

    The start u may be `lags` lags off. At native resolution the pixels of a block move together.
    """
    unit = np.arange(len(group)) if group.places.block is None else group.places.block
    units = int(unit.max()) + 1
    chosen = np.linspace(0, units - 1, min(units, enough_pixels(group.counts.sum() / units))).astype(np.int64)
    rank = np.full(units, -1)
    rank[chosen] = np.arange(len(chosen))
    members = np.flatnonzero(rank[unit] >= 0)
    counts = np.zeros((len(chosen), group.grid.nx))
    part = u[members], rank[unit[members]], group.corrections[members], group.axes, group.grid.nu, group.grid.exposed
    kernels.accumulate(*group.source(group.pixels[members]), *part, counts, np.zeros(group.grid.ny))
    factor = group.grid.coarse
    cell = group.places.cell
    cells = group.sums(u, cell, int(cell.max()) + 1)[0]
    weights = point_weights(group.grid, u, group.counts)[None, ::-1]
    exposure = np.maximum(convolved(group.grid.exposed[None, :].astype(np.float64), weights), 0.0)
    joined = (_joined(values, factor) for values in (counts, cells, exposure))
    coarse = rough_pattern(next(joined), next(joined), next(joined)[0], lags).astype(np.float32)
    flat = np.zeros((HALVES, group.grid.nu), np.float32)
    fold = (rank[unit] + 1) % HALVES
    curves = group.curves(coarse, flat, u, unit, fold, lags)
    position, _ = curve_tops(curves, lags)
    return u + position[unit] * group.grid.lag


def _joined(counts: FloatArray, factor: int) -> FloatArray:
    """Sums of `factor` neighbouring bins."""
    return np.pad(counts, ((0, 0), (0, -counts.shape[1] % factor))).reshape(len(counts), -1, factor).sum(2)


def curve_tops(curves: FloatArray, lags: int) -> tuple[FloatArray, FloatArray]:
    """Lag of the top of each curve, refined by a parabola, and the probability that the place is elsewhere."""
    top = np.argmax(curves, axis=1)
    inner = np.clip(top, 1, curves.shape[1] - 2)
    rows = np.arange(len(curves))
    left, middle, right = curves[rows, inner - 1], curves[rows, inner], curves[rows, inner + 1]
    bend = np.minimum(left - 2 * middle + right, -1e-12)
    position = inner + np.clip(0.5 * (left - right) / bend, -1.0, 1.0)
    weight = np.exp(curves - curves.max(1, keepdims=True))
    far = np.abs(np.arange(curves.shape[1])[None, :] - top[:, None]) > 5
    elsewhere = (weight * far).sum(1) / weight.sum(1)
    return position - lags, np.where((top == inner) & (curves.max(1) > LEAST_RATIO), elsewhere, 1.0)
