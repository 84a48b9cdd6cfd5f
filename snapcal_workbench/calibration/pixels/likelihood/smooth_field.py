"""What the other pixels say about a pixel: the smooth field of its module, and how far pixels stray from it.

Words:

- A *cell* is the part of a module that lies in one group. Its *field* is a polynomial of low degree in the pixel's
  place; the degree is the one that the data pay for.
- The value of a pixel is field + block + pixel: the pixels that a coarser mode sums into one are a *block* and share a
  deviation of variance `block_variance`; each pixel has its own deviation of variance `pixel_variance`.
- An observation is a value with two variances: the *expected* one, which weighs it, and the *seen* one, whose excess in
  the scatter is what the variance components are made of.

Variances come from moments that are unbiased however few events a pixel has, so ten million pixels of one event say as
much about the components as they can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import log_ndtr

from snapcal_workbench.calibration.pixels.likelihood.surface import fitted_surface, weighted_median
from snapcal_workbench.calibration.types import FloatArray, Geometry

SMALLEST_DEVIATION = 5e-6
"""Least standard deviation of a pixel from its field: other effects than counts are not smaller. Simulated pixels
stray by 200 ppm, so half and twice are the same; it keeps a field that fits too well from being believed."""
CLIP = 4.0
"""Residuals are cut at so many standard deviations before the field is fitted again: good pixels hardly reach it. With
a tenth of bad pixels half of it makes the errors of the good ones smaller by a fifth and more, twice changes them by a
tenth at most; half of it with good pixels alone has not been looked at."""
TILES = 8
"""Parts of a module, along each side, in which pixels are asked whether they are off the field together: 16 pixels
of a lite module of 32. Half of it sees no patch of an eighth of a side; twice leaves 4 pixels, which say little."""
WIDTHS = (1, 2)
"""Tiles along each side of a square of them that are asked together: two find what one has too few events for."""
OFF_TOGETHER = 3.5
"""Standard errors by which the mean must be off: one tile or square of a run's 2,034 by chance, whose pixels then claim
more than they need. At 4.5 a corner of 64 pixels with ten times the background, which is off by 4 of its errors, was
not seen in three of seven runs (pulls 1.8 to 3.3); at 3.5 in all (0.5 to 1.4)."""
TELLING = 2.0
"""Own standard errors that a patch must be off for its pixels to be left to their own events. With fewer these hold
more noise than the field is wrong by: the pixels stay on the field, and their errors say how wrong it may be."""
OFF_STRAY = 1.5
"""How often the mean must exceed what a pixel strays by: less is within the errors that the pixels have anyway."""

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Where the pixels of one group sit.

    Attributes:
        cell: int64[n], index of the cell.
        block: int64[n], index of the block; None where pixels have none.
        x, y: float64[n], in -1..1 within the module.
    """

    cell: Index
    block: Index | None
    x: FloatArray
    y: FloatArray

    def __len__(self) -> int:
        return len(self.cell)

    def part(self, members: Index) -> Places:
        """The places of some of the pixels."""
        block = None
        if self.block is not None:
            block = np.unique(self.block[members], return_inverse=True)[1].reshape(-1).astype(np.int64)
        cell = np.unique(self.cell[members], return_inverse=True)[1].reshape(-1).astype(np.int64)
        return Places(cell, block, self.x[members], self.y[members])

    def blocks(self) -> Places:
        """The places of the blocks themselves."""
        if self.block is None:
            return self
        n = np.maximum(np.bincount(self.block), 1).astype(np.float64)
        cell = np.zeros(len(n), np.int64)
        cell[self.block] = self.cell
        x: FloatArray = np.asarray(np.bincount(self.block, self.x) / n, np.float64)
        y: FloatArray = np.asarray(np.bincount(self.block, self.y) / n, np.float64)
        return Places(cell, None, x, y)


def places_of(geometry: Geometry, pixels: Index) -> Places:
    """Where these pixels of a group sit; without a layout the whole group is one cell without shape."""
    layout = geometry.layout
    if layout is None:
        zeros = np.zeros(len(pixels))
        return Places(np.zeros(len(pixels), np.int64), None, zeros, zeros)
    column, row = layout.x[pixels].astype(np.int64), layout.y[pixels].astype(np.int64)
    module = layout.module[pixels].astype(np.int64)
    cell = np.unique(module, return_inverse=True)[1].reshape(-1)
    x, y = (
        np.float64(2.0 / max(side - 1, 1)) * at - 1.0 for side, at in ((layout.columns, column), (layout.rows, row))
    )
    block = None
    if layout.block > 1:
        across, up = -(-layout.columns // layout.block), -(-layout.rows // layout.block)
        key = (module * across + column // layout.block) * up + row // layout.block
        block = np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return Places(cell.astype(np.int64), block, x, y)


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of each pixel before its own events are counted (natural logarithms).

    Attributes:
        mean: float64[n].
        mean_variance: float64[n], how well `mean` itself is known.
        pixel_variance: Variance of a pixel about `mean`.
        block_variance: Variance of a block about its field; 0 without blocks.
        patch_variance: float64[n], what is to be added to `pixel_variance` where pixels are off the field together.
    """

    mean: FloatArray
    mean_variance: FloatArray
    pixel_variance: float
    block_variance: float
    patch_variance: FloatArray

    @property
    def variance(self) -> FloatArray:
        """float64[n]: variance of each pixel about `mean`."""
        return self.pixel_variance + self.patch_variance

    def posterior_variance(self, information: FloatArray) -> FloatArray:
        """float64[n]: variance of the estimate that adds `information` of the pixel's own."""
        own = 1.0 / (information + 1.0 / self.variance)
        return own + (own / self.variance) ** 2 * self.mean_variance


def fit_field(
    places: Places, value: FloatArray, expected: FloatArray, seen: FloatArray, used: NDArray[np.bool_]
) -> Prior:
    """The prior of every pixel of a group.

    Args:
        places: Of the n pixels.
        value: float64[n], observed values.
        expected: float64[n], their expected variances, as they weigh.
        seen: float64[n], the noise in `value` squared, unbiased.
        used: bool[n], observations that count; the others get a prior all the same.
    """
    usable = used & np.isfinite(value) & np.isfinite(expected) & np.isfinite(seen)
    nowhere = np.zeros(len(value))
    if not usable.any():
        return Prior(nowhere, np.full(len(value), 1.0), 1.0, 0.0, nowhere)
    middle = weighted_median(value[usable], 1.0 / expected[usable])
    seen_of = _Seen(places, value - middle, expected, seen)
    field = _fitted(seen_of, usable)
    off = _off_together(seen_of, field, usable)
    kept = usable & ~_left_out(places, off > 0)
    if np.count_nonzero(kept) < np.count_nonzero(usable):
        field = _fitted(seen_of, kept)
        off = np.maximum(off, _off_together(seen_of, field, usable))
    mean, mean_variance = middle + field.value, field.value_variance
    if places.block is not None:
        weight = np.where(kept, 1.0 / (expected + field.pixel_variance), 0.0)
        shift, shift_variance = _block_means(places.block, field.rest, weight, field.block_variance)
        mean, mean_variance = mean + shift, mean_variance + shift_variance
    known = off > TELLING**2 * np.where(usable, expected, np.inf)
    mean_variance = mean_variance + np.where(known, 0.0, off)
    return Prior(mean, mean_variance, field.pixel_variance, field.block_variance, np.where(known, off, 0.0))


@dataclass(frozen=True, eq=False)
class _Seen:
    """The observations of a group's pixels, see `fit_field`; value relative to their median."""

    places: Places
    value: FloatArray
    expected: FloatArray
    seen: FloatArray


@dataclass(frozen=True, eq=False)
class _Field:
    """The fields of all cells at every pixel, what is left of the pixels (0: it does not count), and the components."""

    value: FloatArray
    value_variance: FloatArray
    rest: FloatArray
    pixel_variance: float
    block_variance: float


def _fitted(seen: _Seen, usable: NDArray[np.bool_]) -> _Field:
    """Field and components in turn, from the usable pixels."""
    places, residual, expected = seen.places, seen.value, seen.expected
    fitted = _cell_medians(places, residual, np.where(usable, 1.0 / expected, 0.0))
    variance = _robust_excess((residual - fitted)[usable], expected[usable])
    block_variance = 0.0
    for _ in range(4):
        spread = np.sqrt(expected + variance + block_variance)
        clipped = fitted + np.clip(residual - fitted, -CLIP * spread, CLIP * spread)
        weight = np.where(usable, 1.0 / spread**2, 0.0)
        fitted, fitted_variance = _surfaces(places, np.where(usable, clipped, 0.0), weight)
        rest = np.where(usable, np.clip(residual - fitted, -CLIP * spread, CLIP * spread), 0.0)
        variance = _excess(rest, np.where(usable, seen.seen, 0.0), weight)
        if places.block is not None:
            block_variance = min(_shared(places.block, rest, weight), variance)
            variance -= block_variance
        variance = max(variance, SMALLEST_DEVIATION**2)
    return _Field(fitted, fitted_variance, rest, variance, block_variance)


def _off_together(seen: _Seen, field: _Field, usable: NDArray[np.bool_]) -> FloatArray:
    """float64[n]: squared mean deviation of the pixels around each pixel from the field; 0 where it is within errors.

    A polynomial follows no patch of pixels that has moved as one. There the field says nothing of a pixel, and next to
    it, in the tiles around, as little.
    """
    places, stray = seen.places, field.pixel_variance + field.block_variance
    spread = np.sqrt(seen.expected + stray)
    weight = np.where(usable, 1.0 / spread**2, 0.0)
    rest = np.where(usable, np.clip(seen.value - field.value, -CLIP * spread, CLIP * spread), 0.0)
    across, up = (np.clip((0.5 * TILES * (at + 1.0)).astype(np.int64), 0, TILES - 1) for at in (places.x, places.y))
    tile = (places.cell * TILES + across) * TILES + up
    shape = (int(places.cell.max()) + 1, TILES, TILES)

    def of_tiles(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(tile, values, minlength=math.prod(shape)), np.float64).reshape(shape)

    weights, sums = of_tiles(weight), of_tiles(weight * rest)
    off = np.zeros(shape)
    for width in WIDTHS:
        information, total = _squares(weights, width), _squares(sums, width)
        mean = total / np.maximum(information, 1e-300)
        error2 = 1.0 / np.maximum(information, 1e-300) + field.block_variance  # too few blocks to average out
        clear = (mean**2 > OFF_TOGETHER**2 * error2) & (mean**2 > OFF_STRAY**2 * stray)
        around = (1, width + 2, width + 2)  # from the tile before a square to the one behind it
        off = np.maximum(off, maximum_filter(np.where(clear, mean**2, 0.0), around, mode="constant"))
    return np.asarray(off.reshape(-1)[tile], np.float64)


def _squares(values: FloatArray, width: int) -> FloatArray:
    """float64[cells, tiles, tiles]: sums over squares of tiles that begin at each tile."""
    shifted = np.pad(values, ((0, 0), (0, width - 1), (0, width - 1)))
    return np.lib.stride_tricks.sliding_window_view(shifted, (width, width), axis=(1, 2)).sum(axis=(-2, -1))


def _left_out(places: Places, off: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[n]: the pixels that are off, in cells of which less than half is: more would leave no field to be off."""
    part = np.bincount(places.cell, off) / np.maximum(np.bincount(places.cell), 1)
    return off & (part < 0.5)[places.cell]


def robust_spread(values: FloatArray) -> float:
    """Standard deviation of a Gaussian with the same median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def _cell_medians(places: Places, values: FloatArray, weights: FloatArray) -> FloatArray:
    """float64[n]: the weighted median of each pixel's cell; 0 where a cell has no weight."""
    medians = np.zeros(len(values))
    for cell in range(int(places.cell.max()) + 1):
        members = np.flatnonzero((places.cell == cell) & (weights > 0))
        if len(members):
            medians[places.cell == cell] = weighted_median(values[members], weights[members])
    return medians


def _robust_excess(residual: FloatArray, expected: FloatArray) -> float:
    better = expected <= np.median(expected)
    return max(robust_spread(residual[better]) ** 2 - float(np.median(expected[better])), SMALLEST_DEVIATION**2)


def _excess(rest: FloatArray, seen: FloatArray, weight: FloatArray) -> float:
    """Scatter beyond the noise: the mean of a variance that cannot be negative, given its estimate and its error."""
    power = np.sum(weight**2)
    estimate, error = np.sum(weight**2 * (rest**2 - seen)) / power, np.sqrt(2.0 / power)
    z = estimate / error
    if z > 8:
        return float(estimate)
    return float(estimate + error * np.exp(-0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - log_ndtr(z)))


def _shared(block: Index, rest: FloatArray, weight: FloatArray) -> float:
    """Mean product of the residuals of two pixels of one block: what the block's pixels have in common."""
    sums, squares = np.bincount(block, weight * rest), np.bincount(block, (weight * rest) ** 2)
    weights, weights2 = np.bincount(block, weight), np.bincount(block, weight**2)
    pairs = np.sum(weights**2 - weights2)
    return max(float(np.sum(sums**2 - squares) / pairs), 0.0) if pairs > 0 else 0.0


def _block_means(block: Index, rest: FloatArray, weight: FloatArray, variance: float) -> tuple[FloatArray, FloatArray]:
    """Posterior mean and variance of each pixel's block."""
    if variance <= 0:
        return np.zeros(len(rest)), np.zeros(len(rest))
    information = np.bincount(block, weight) + 1.0 / variance
    mean = np.asarray(np.bincount(block, weight * rest) / information, np.float64)
    return mean[block], np.asarray(1.0 / information, np.float64)[block]


def _surfaces(places: Places, value: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Field and its variance at every pixel, cell by cell; a cell without data gets the mean of the others."""
    total = max(weight.sum(), 1e-300)
    overall = float(np.sum(weight * value) / total)
    fitted = np.full(len(value), overall)
    scatter = float(np.sum(weight * (value - overall) ** 2) / total)
    variance = np.full(len(value), scatter + 1.0 / total)
    order = np.argsort(places.cell, kind="stable")
    edges = np.flatnonzero(np.diff(places.cell[order])) + 1
    for members in np.split(order, edges):
        if np.count_nonzero(weight[members]) > 0:
            shape = fitted_surface(places.x[members], places.y[members], value[members], weight[members])
            fitted[members], variance[members] = shape
    return fitted, variance
