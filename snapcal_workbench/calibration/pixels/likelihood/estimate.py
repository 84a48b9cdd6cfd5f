"""Pixel offsets by maximum likelihood: every event counts, and every offset knows its error.

A pixel's shift is the one under which its events are likeliest, given the expected shape of its group's spectra. The
shape is learned from the group's own aligned events (`template`), the shifts from the likelihood (`likelihood_round`),
and where a pixel's events say little, the estimate is drawn towards what the pixels around it say (`smooth_field`). The
information that the events carry gives the error bars: the Cramer-Rao bound, that no unbiased estimator can beat.

Masks: no counts; no peak (the events favour a spectrum without peaks, or leave the place open); at the limit; bad
shape (chi-squared far above that of the group's other pixels); fit failed (an unusable table entry).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import in_order
from snapcal_workbench.calibration.pixels.estimator import PassEstimate
from snapcal_workbench.calibration.pixels.likelihood.group import GroupEvents, number_of_folds
from snapcal_workbench.calibration.pixels.likelihood.kernels import COUNTS, EDGE
from snapcal_workbench.calibration.pixels.likelihood.round import Before, Bools, Learned, Round, Search, align, settle
from snapcal_workbench.calibration.pixels.likelihood.smooth_field import Index, places_of
from snapcal_workbench.calibration.pixels.likelihood.template import Grid, make_grid
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    GroupParameters,
    MaskReason,
    PixelGrouping,
)
from snapcal_workbench.calibration.units import d_from_tof, offset_from_shift
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress

WIDEST_SEARCH = 0.05
"""Largest shift that is looked for where the options set no limit."""
BINS = (8, 20)
"""Fewest and most bins across the relative resolution that the template is kept in. A bin of an eighth adds 0.1 % to
the variance of a peak, one of a quarter 0.5 %; with more bins the template takes longer and says no more."""
SMALLEST_GROUP = 8
"""Fewer pixels do not say how far pixels stray: they are not drawn towards each other. Eight tell their spread to a
quarter of it, four to a third; with sixteen small groups would do without a prior that is good enough."""
FLAT_RATIO = -5.0
"""A pixel whose ln L is this far below that of a spectrum without peaks has none. At half of it 1 % of the good pixels
are masked where there are few counts in peaks; at twice no bad one more is kept, with few or many counts."""
BAD_CHI2_SIGMAS = 8.0
"""Standard deviations by which chi-squared must exceed its freedom, so that no chance is taken for a shape. At half and
twice the same pixels are masked: where there are counts enough the next two decide."""
BAD_SHAPE = 3.0
"""Squared relative deviation from the group's shape, per count, that is bad in itself: intensities wrong by 2.7 times.
At half of it (2.2 times) it finds pixels that see another crystal, but texture does as much; they are left to
`off_pattern`. At twice nothing changes."""
BAD_SHAPE_FACTOR = 20.0
"""And so many times the group's median, so that a group is not masked for a shape that all of it has. At half and twice
the same pixels are masked."""
SMALL_SHARE = 0.25
"""A group with less than this part of the events is left to one thread; other groups keep the others busy."""


class LikelihoodEstimator:
    """Maximum likelihood shifts of the pixels of every group; satisfies `PixelEstimator`.

    Args:
        events: Of all pixels, in their canonical order (`event_order.in_canonical_order`).
        grouping: Of the same pixels.
        parameters: Of the groups; a group without parameters is left alone.
        options: `max_shift`, `bins_per_delta_d` and `shrink` are used, and `max_offset_bins` where it is set.
        sigma: float64[n], standard errors of the pixels' positions in the table of the first pass; None where they may
            be anywhere within the search.
        threads: Number of threads; None: as many as there are processors. It does not change the result.
    """

    def __init__(
        self,
        events: Events,
        grouping: PixelGrouping,
        parameters: GroupParameters,
        options: PixelOptions,
        *,
        sigma: FloatArray | None = None,
        threads: int | None = None,
    ) -> None:
        self._events = events
        self._sigma = sigma
        self._options = options
        self._parameters = parameters
        self._threads = threads
        self._limit = options.max_shift or WIDEST_SEARCH
        self._scale = float(np.sqrt(max(events.window.minimum, 1.0) * max(events.window.maximum, 1.0)))
        self._tof = np.ascontiguousarray(events.tof, np.float32)
        weight = np.zeros(0) if events.weight is None else events.weight
        self._weight = weight.astype(np.float32, copy=False)
        self._counts = events.counts
        self._first = events.start.astype(np.int64, copy=False)
        self._members = [np.flatnonzero(grouping.group == g).astype(np.int64) for g in parameters.group]
        self._start: DiffCalTable | None = None
        self._uncertainty = np.zeros(len(parameters))
        self._learned: list[Learned | None] = [None] * len(parameters)
        self._field = np.zeros(len(grouping.group))
        self._field_variance = np.zeros(len(grouping.group))
        self._tops = np.full(len(grouping.group), np.nan)

    def estimate(self, table: DiffCalTable, reason: NDArray[np.uint8], number: int, progress: Progress) -> PassEstimate:
        """The shift of every pixel in use, relative to `table`; see `PixelEstimator`.

        The first table is remembered: the search, its limit and the prior are relative to it.
        """
        if self._start is None:
            self._start = table
        result = PassEstimate.empty(len(table))
        message = f"Aligning pixels, pass {number}"

        def work(index: int) -> None:
            members = self._members[index]
            part = progress if len(self._members) == 1 else Progress(is_cancelled=progress.is_cancelled)
            self._estimate_group(index, members[reason[members] == 0], table, number, part, result)

        # Two groups at a time: while one is in the compiled loops the other can be in the interpreter.
        if len(self._members) == 1:
            work(0)
        else:
            list(in_order(work, range(len(self._members)), progress=progress, message=message, threads=self._threads))
        progress.report(1.0, message)
        return result

    def _estimate_group(
        self, index: int, members: Index, table: DiffCalTable, number: int, progress: Progress, result: PassEstimate
    ) -> None:
        """Fill in the results of one group's pixels."""
        usable = _usable(table, members)
        result.reason[members[~usable]] = MaskReason.FIT_FAILED
        members = members[usable]
        events = np.diff(self._first)[members]
        result.reason[members[events == 0]] = MaskReason.NO_COUNTS
        members = members[events > 0]
        if len(members) < 2:
            return
        group = self._group(index, members, table, progress)
        start = self._log_difc(self._start, members)
        u = self._log_difc(table, members)
        search = self._search(group, members, start)
        if number == 1 and self._sigma is None:
            template, placed_at = settle(group, search)
            progress.report(0.3)
        else:
            if number == 1 and self._sigma is not None:
                self._uncertainty[index] = _typical(self._sigma[members])
            template, placed_at = group.template(u, self._uncertainty[index]), u
        round_ = align(group, template, placed_at, search, self._recall(index, members))
        progress.report(0.8)
        found = self._reasons(group, round_, start)
        middle = _middle(round_, u, found)
        self._remember(index, members, round_, middle)
        _fill(result, members, round_, u + middle, found)
        chi2 = group.chi2(round_.template, np.where(found == 0, round_.u, u))
        result.chi2[members] = np.where(chi2[:, 1] > 0, chi2[:, 0] / np.maximum(chi2[:, 1], 1), np.nan)
        bad = (found == 0) & _bad_shape(chi2, round_.own.rows[:, COUNTS])
        result.reason[members[bad]] = MaskReason.BAD_SHAPE
        self._limit_offsets(result, members)
        unused = members[result.reason[members] != 0]
        result.shift[unused] = 0.0

    def _group(self, index: int, members: Index, table: DiffCalTable, progress: Progress) -> GroupEvents:
        corrections = np.stack(
            [table.difc[members], table.difa[members], table.tzero[members], np.full(len(members), self._scale)], axis=1
        )
        grid = self._grid(index, members, table)
        places = places_of(self._events.geometry, members)
        source = self._tof, self._scale, self._weight, self._first
        events = float(np.diff(self._first)[members].sum())
        folds, threads = number_of_folds(len(members), events), self._threads
        if events < SMALL_SHARE * len(self._tof):
            threads = 1
        return GroupEvents(*source, members, corrections, self._counts[members], grid, places, threads, progress, folds)

    def _grid(self, index: int, members: Index, table: DiffCalTable) -> Grid:
        """The group's grid: the TOF that every pixel saw, and every DIFC within the search."""
        window = self._events.window
        delta_d = float(self._parameters.delta_d[index])
        room = self._limit + 4 * delta_d
        start = self._log_difc(self._start, members)
        u = start.min() - room, start.max() + room
        edges = self._corrected(np.array([window.minimum, window.maximum]), table, members)
        gaps = [self._corrected(np.array(gap), table, members) for gap in window.gaps]
        spans = [(float(gap[:, 0].min()), float(gap[:, 1].max())) for gap in gaps]
        bins = min(max(self._options.bins_per_delta_d, BINS[0]), BINS[1])
        return make_grid((float(edges[:, 0].max()), float(edges[:, 1].min())), spans, u, delta_d=delta_d, bins=bins)

    def _corrected(self, tof: FloatArray, table: DiffCalTable, members: Index) -> FloatArray:
        """float64[n, len(tof)]: y at these TOF for each pixel, which differs by its TZERO and DIFA."""
        difc = table.difc[members][:, None]
        d = d_from_tof(
            np.maximum(tof, 1.0)[None, :],
            difc=difc,
            difa=table.difa[members][:, None],
            tzero=table.tzero[members][:, None],
        )
        return np.log(np.maximum(np.nan_to_num(d) * difc, 1e-3) / self._scale)

    def _log_difc(self, table: DiffCalTable | None, members: Index) -> FloatArray:
        assert table is not None
        return np.log(table.difc[members] / self._scale)

    def _bases(self, members: Index, start: FloatArray) -> tuple[FloatArray, ...]:
        geometry = np.log(self._events.geometry.difc[members] / self._scale)
        same = np.ptp(geometry - start) < 1e-9
        return (geometry,) if same else (geometry, start)

    def _search(self, group: GroupEvents, members: Index, start: FloatArray) -> Search:
        lags = int(np.ceil((self._limit + 2 * group.grid.delta_d) / group.grid.lag))
        shrink = self._options.shrink and len(members) >= SMALLEST_GROUP
        return Search(start, lags, self._bases(members, start) if shrink else ())

    def _remember(self, index: int, members: Index, round_: Round, middle: float) -> None:
        """Keep what the next pass of a group begins with; its template will lie at the table, so without `middle`."""
        self._uncertainty[index] = round_.uncertainty
        self._learned[index] = round_.learned
        self._tops[members] = np.where(round_.own.certain, round_.own.u - round_.own.frame - middle, np.nan)
        if round_.learned is not None:
            self._field[members] = round_.learned.prior.mean - middle
            self._field_variance[members] = round_.learned.prior.mean_variance

    def _recall(self, index: int, members: Index) -> Before:
        """What the pass before found out, for the pixels that are still in use."""
        learned = self._learned[index]
        if learned is not None:
            prior = replace(learned.prior, mean=self._field[members], mean_variance=self._field_variance[members])
            learned = replace(learned, prior=prior)
        return Before(self._tops[members], learned)

    def _reasons(self, group: GroupEvents, round_: Round, start: FloatArray) -> NDArray[np.uint8]:
        """uint8[n]: why a pixel cannot be used, as far as its likelihood says."""
        beyond = np.abs(round_.u - start - np.median(round_.u - start)) > self._limit + 2 * group.grid.lag
        beyond |= round_.own.clear & (round_.own.rows[:, EDGE] > 0)
        found = np.zeros(len(group), np.uint8)
        found[beyond] = MaskReason.AT_LIMIT
        found[~round_.placed | (round_.log_ratio < FLAT_RATIO)] = MaskReason.NO_PEAK
        found[round_.own.rows[:, COUNTS] <= 0] = MaskReason.NO_COUNTS
        return found

    def _limit_offsets(self, result: PassEstimate, members: Index) -> None:
        """Mask the pixels whose offset of this pass exceeds the limit in bins."""
        if self._options.max_offset_bins is None:
            return
        width = self._parameters.bin_width(self._options.bins_per_delta_d)
        beyond = np.abs(offset_from_shift(result.shift[members], bin_width=width)) > self._options.max_offset_bins
        result.reason[members[beyond & (result.reason[members] == 0)]] = MaskReason.AT_LIMIT


def _usable(table: DiffCalTable, members: Index) -> Bools:
    terms = np.stack([table.difc[members], table.difa[members], table.tzero[members]])
    return np.isfinite(terms).all(0) & (table.difc[members] > 0)


def _typical(sigma: FloatArray) -> float:
    """Typical standard error of the positions that are known."""
    known = sigma[np.isfinite(sigma)]
    return float(np.median(known)) if len(known) else 0.0


def _middle(round_: Round, u: FloatArray, found: NDArray[np.uint8]) -> float:
    """Median shift of a group's pixels in use, which is no shift of one against the others."""
    used = found == 0
    return float(np.median((round_.u - u)[used])) if used.any() else 0.0


def _fill(result: PassEstimate, members: Index, round_: Round, u: FloatArray, found: NDArray[np.uint8]) -> None:
    """Enter a group's shifts from u."""
    used = found == 0
    result.shift[members] = np.where(used, round_.u - u, 0.0)
    result.sigma[members] = np.where(used, round_.sigma, np.inf)
    counted = round_.own.rows[:, COUNTS] > 0
    result.own_shift[members] = np.where(counted, round_.own.u - round_.own.frame - u, 0.0)
    result.own_sigma[members] = np.where(counted, round_.own.sigma, np.inf)
    result.reason[members] = found


def _bad_shape(chi2: FloatArray, counts: FloatArray) -> Bools:
    """Whose spectrum is unlike the group's: significantly, and by far more than the others'."""
    freedom = np.maximum(chi2[:, 1], 1.0)
    significant = chi2[:, 0] > freedom + BAD_CHI2_SIGMAS * np.sqrt(2 * freedom)
    deviation = np.maximum(chi2[:, 0] - freedom, 0.0) / np.maximum(counts, 1.0)
    typical = float(np.median(deviation))
    return (chi2[:, 1] > 0) & significant & (deviation > max(BAD_SHAPE, BAD_SHAPE_FACTOR * typical))
