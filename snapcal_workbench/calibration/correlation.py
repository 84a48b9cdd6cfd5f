"""Pixel offsets by cross-correlation, as Mantid's CrossCorrelate and GetDetectorOffsets, and with a better reference.

- The *contrast* of a spectrum is its counts less their level, so that background is not weighed like signal: the level
  is the mean over the whole spectrum (reference "median", as Mantid) or a running mean that is wide compared with a
  peak and leaves out bins that the pixel's TOF window does not reach (reference "sum").
- The *correlation* of a pixel at *lag* l (bins) is the sum over k of contrast[k + l] reference[k]; its peak lies at
  shift / ln(1 + b). It is computed by FFT, padded so that nothing wraps around within the lags that are looked at.
- The *reference* is the sum of the contrasts of the group's other pixels (the pixel itself would pull its peak to 0),
  or that of the middle pixel of the group, number round((N - 1) / 2) of its N pixels in use (halves to even).
- The variance of a centre follows from the counting noise of both spectra, carried through correlation and fit.

Pixels are worked on in *blocks* within the memory budget of the options.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from snapcal_workbench.calibration.chunks import MAX_THREADS, in_order
from snapcal_workbench.calibration.correlation_peak import CorrelationPeaks, fit_peaks_of_correlations
from snapcal_workbench.calibration.estimator import PassEstimate
from snapcal_workbench.calibration.focus import LogGrid, bin_width, pixel_spectra, pixels_in_use
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    GroupParameters,
    MaskReason,
    PixelGrouping,
)
from snapcal_workbench.calibration.units import d_from_tof
from snapcal_workbench.config import PixelOptions
from snapcal_workbench.progress import Progress

LEVEL_WIDTH = 40.0
"""Width of the running mean that is a spectrum's level, in relative resolutions (sigma) of the group."""
FIT_WIDTH = 2.5
"""Half width of the fit with reference "sum", in standard deviations of the correlation's peak (sqrt 2 sigma)."""
SNAPRED_FIT_WIDTH = 2 * 2.5 * 1.17741002252
"""The same with reference "median", in sigma: twice SNAPRed's window of 2.5 half widths at half maximum, at d = 1 A."""
MANTID_START_WIDTH = 10.0
"""Width (bins) at which Mantid's GetDetectorOffsets starts its fit."""
SIGNIFICANCE = 4.0
"""A peak of a correlation must be that many times the noise that as many evenly spread events would give (reference
"sum"): about one flat spectrum in a hundred does that by chance."""
_LARGEST_BLOCK = 512
_BYTES_PER_POINT = 40
_BYTES_PER_FITTED_LAG = 250


@dataclass(frozen=True, eq=False)
class _Group:
    """One group's part of a pass: its pixels, bins, and how far to look (lags in bins)."""

    pixels: NDArray[np.intp]
    grid: LogGrid
    limit: float
    search: int
    half_width: int
    level_half_width: int
    start_width: float

    @property
    def reach(self) -> int:
        """Largest lag that is needed."""
        return self.search + self.half_width

    @property
    def fft_length(self) -> int:
        return int(fft.next_fast_len(self.grid.bins + self.reach, real=True))


@dataclass(frozen=True, eq=False)
class _Reference:
    """What the pixels of a group are correlated with.

    Attributes:
        contrast: float64[bins].
        counts: float64[bins], of which `contrast` was made: its variance.
        own: Whether each pixel's own contrast is part of it.
        noise: float64[lags, lags], covariance of a correlation near its peak, per count of the pixel.
        shape_noise: float64[lags, lags], the same from the reference's noise, per squared count of the pixel.
    """

    contrast: FloatArray
    counts: FloatArray
    own: bool
    noise: FloatArray
    shape_noise: FloatArray


@dataclass(frozen=True, eq=False)
class _Block:
    """What was found for the pixels of a block: centre and its standard deviation in bins, and `MaskReason`."""

    centre: FloatArray
    sigma: FloatArray
    reason: NDArray[np.uint8]


class CorrelationEstimator:
    """Shifts from the peaks of cross-correlations; a `PixelEstimator`.

    Args:
        events: Of all n pixels.
        grouping: Group of each pixel.
        parameters: Resolution and d range of each group.
        options: `reference`, `bins_per_delta_d`, `max_shift`, `max_offset_bins` and `memory_mib` are used.
        fit_half_width: Lags (bins) either side that are fitted; None: by `FIT_WIDTH` or `SNAPRED_FIT_WIDTH`.
        threads: None: as many as there are cores. The result does not depend on it.
    """

    def __init__(
        self,
        events: Events,
        grouping: PixelGrouping,
        parameters: GroupParameters,
        options: PixelOptions,
        *,
        fit_half_width: int | None = None,
        threads: int | None = None,
    ) -> None:
        self._events = events
        self._grouping = grouping
        self._parameters = parameters
        self._options = options
        self._fit_half_width = fit_half_width
        self._threads = threads
        self._middle: dict[int, int] = {}

    def estimate(self, table: DiffCalTable, reason: NDArray[np.uint8], number: int, progress: Progress) -> PassEstimate:
        """The shift of every pixel in use relative to its group's reference.

        Args:
            table: Calibration with which the events are turned into d-spacing.
            reason: uint8[n], `MaskReason` of each pixel so far; 0 = used.
            number: Of the pass, from 1.
            progress: Of this pass.

        Raises:
            Cancelled: If the user has cancelled; nothing is kept of the pass.
        """
        found = PassEstimate.empty(len(table))
        used = pixels_in_use(self._grouping, reason, self._parameters)
        done, total = 0, max(1, int(np.sum(used)))
        for index, group_id in enumerate(self._parameters.group):
            pixels = np.flatnonzero(used & (self._grouping.group == group_id))
            if len(pixels):
                part = progress.part(done / total, (done + len(pixels)) / total)
                self._estimate_group(found, self._group(index, pixels), table, int(group_id), part)
            done += len(pixels)
        return found

    def _group(self, index: int, pixels: NDArray[np.intp]) -> _Group:
        """What the options mean in bins for one group."""
        parameters, options = self._parameters, self._options
        grid = LogGrid.between(
            float(parameters.d_min[index]),
            float(parameters.d_max[index]),
            bin_width(parameters, options.bins_per_delta_d),
        )
        sigma = float(parameters.delta_d[index]) / grid.step
        limits = [options.max_offset_bins, options.max_shift and options.max_shift / grid.step]
        limit = min([float(value) for value in limits if value] or [0.02 / grid.step])
        if options.reference == "median":
            half = self._fit_half_width or max(3, int(SNAPRED_FIT_WIDTH * sigma))
            return _Group(pixels, grid, limit, 0, half, grid.bins, MANTID_START_WIDTH)
        half = self._fit_half_width or max(3, round(FIT_WIDTH * np.sqrt(2.0) * sigma))
        level = max(1, round(0.5 * LEVEL_WIDTH * sigma))
        return _Group(pixels, grid, limit, int(limit) + 2, half, level, np.sqrt(2.0) * sigma)

    def _estimate_group(
        self, found: PassEstimate, group: _Group, table: DiffCalTable, group_id: int, progress: Progress
    ) -> None:
        """Fill in what is found for one group."""
        blocks = self._blocks(group)
        reference = self._reference(group, blocks, table, group_id, progress.part(0.0, 0.35))

        def work(pixels: NDArray[np.intp]) -> _Block:
            return self._estimate_block(group, pixels, reference, table)

        parts = list(
            in_order(work, blocks, progress=progress.part(0.35, 1), message="Correlating", threads=self._threads)
        )
        centre, sigma, reason = (np.concatenate([getattr(p, f) for p in parts]) for f in ("centre", "sigma", "reason"))
        good = reason == MaskReason.USED
        if self._options.reference == "sum" and np.any(good):
            centre -= np.median(centre[good])
        shift = np.where(good, centre, 0.0) * group.grid.step
        sigma = np.where(good, sigma, np.inf) * group.grid.step
        for target, value in ((found.shift, shift), (found.own_shift, shift), (found.sigma, sigma)):
            target[group.pixels] = value
        found.own_sigma[group.pixels] = sigma
        found.reason[group.pixels] = reason

    def _blocks(self, group: _Group) -> list[NDArray[np.intp]]:
        """The group's pixels in blocks of a size that depends on the memory budget, not on the threads in use."""
        lags = 2 * (group.reach + group.half_width) + 2
        per_pixel = _BYTES_PER_POINT * group.fft_length + _BYTES_PER_FITTED_LAG * lags
        size = int(self._options.memory_mib * 2**20 / MAX_THREADS / per_pixel)
        size = min(max(size, 1), _LARGEST_BLOCK)
        return [group.pixels[first : first + size] for first in range(0, len(group.pixels), size)]

    def _spectra(
        self, group: _Group, pixels: NDArray[np.intp], table: DiffCalTable
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Counts and contrast of each pixel, float32[len(pixels), bins]."""
        counts = pixel_spectra(self._events, table, pixels, group.grid)
        contrast = np.empty_like(counts)
        whole = self._options.reference == "median"
        reached = _whole_range(group, len(pixels)) if whole else self._reached(group, pixels, table)
        _subtract_level(counts, reached, group.level_half_width, contrast)
        return counts, contrast

    def _reached(self, group: _Group, pixels: NDArray[np.intp], table: DiffCalTable) -> NDArray[np.int64]:
        """int64[len(pixels), ranges, 2]: first and last + 1 of the bins that lie in each range of TOF that was kept."""
        window = self._events.window
        gaps = [time for gap in sorted(window.gaps) for time in gap]
        times = np.array([window.minimum, *gaps, window.maximum])
        columns = (column[pixels, None] for column in (table.difc, table.difa, table.tzero))
        difc, difa, tzero = columns
        d = d_from_tof(times, difc=difc, difa=difa, tzero=tzero)
        with np.errstate(divide="ignore", invalid="ignore"):
            position = np.log(d / group.grid.d_min) / group.grid.step
        position = np.clip(np.nan_to_num(position, nan=0.0), 0, group.grid.bins).reshape(len(pixels), -1, 2)
        return np.stack([np.ceil(position[:, :, 0]), np.floor(position[:, :, 1])], axis=2).astype(np.int64)

    def _reference(
        self,
        group: _Group,
        blocks: list[NDArray[np.intp]],
        table: DiffCalTable,
        group_id: int,
        progress: Progress,
    ) -> _Reference:
        """The group's reference, with the noise that it brings."""

        def work(pixels: NDArray[np.intp]) -> FloatArray:
            return np.array([part.sum(axis=0, dtype=np.float64) for part in self._spectra(group, pixels, table)])

        total = np.zeros((2, group.grid.bins))
        for part in in_order(work, blocks, progress=progress, message="Making references", threads=self._threads):
            total += part
        own = self._options.reference == "sum"
        reference = total
        if not own:
            middle = self._middle.setdefault(group_id, _middle_pixel(group.pixels))
            reference = np.array([part[0] for part in self._spectra(group, np.array([middle]), table)], np.float64)
        shape = total[0] / max(np.sum(total[0]), 1.0)
        noise = _covariance(reference[1], shape, group.half_width)
        sum_noise = noise if own else _covariance(total[1], shape, group.half_width)
        relative = np.sum(reference[0]) / max(np.sum(total[0]), 1.0) ** 2
        return _Reference(reference[1], reference[0], own, noise, sum_noise * relative)

    def _estimate_block(
        self, group: _Group, pixels: NDArray[np.intp], reference: _Reference, table: DiffCalTable
    ) -> _Block:
        """Correlate and fit the pixels of one block."""
        counts, contrast = self._spectra(group, pixels, table)
        events = counts.sum(axis=1, dtype=np.float64)
        correlation = _correlate(group, contrast, reference.contrast, without_own=reference.own)
        highest = group.half_width + np.argmax(
            correlation[:, group.half_width : group.half_width + 2 * group.search + 1], axis=1
        )
        variance = None if reference.own else _variance(group, correlation, counts, contrast, reference)
        window = highest[:, None] + np.arange(-group.half_width, group.half_width + 1)
        values = np.take_along_axis(correlation, window, axis=1)
        lags = np.arange(-group.half_width, group.half_width + 1, dtype=np.float64)
        peaks = fit_peaks_of_correlations(values, lags, width=group.start_width, variance=variance)
        centre = peaks.centre + (highest - group.reach)
        noise = events * np.einsum("nj,jk,nk->n", peaks.response, reference.noise, peaks.response)
        noise += events**2 * np.einsum("nj,jk,nk->n", peaks.response, reference.shape_noise, peaks.response)
        reason = _judge(group, values, peaks, centre, events, reference)
        return _Block(centre, np.sqrt(np.maximum(noise, 0.0)), reason)


def _middle_pixel(pixels: NDArray[np.intp]) -> int:
    """SNAPRed's reference: element round((N - 1) / 2) of the ascending pixels, halves to even."""
    return int(pixels[round((len(pixels) - 1) / 2)])


def _whole_range(group: _Group, n: int) -> NDArray[np.int64]:
    """int64[n, 1, 2]: all bins, for each pixel."""
    return np.broadcast_to(np.array([[0, group.grid.bins]]), (n, 1, 2)).copy()


def _covariance(contrast: FloatArray, shape: FloatArray, half_width: int) -> FloatArray:
    """Covariance of the correlations of one count with a contrast, at each pair of lags near their peak.

    Args:
        contrast: float64[bins], the reference.
        shape: float64[bins], probability of a count in each bin.
        half_width: Lags -half_width .. half_width are returned.
    """
    padded = np.pad(contrast, half_width)
    shifted = np.lib.stride_tricks.sliding_window_view(padded, len(contrast))[::-1]
    return (shifted * shape) @ shifted.T


def _correlate(
    group: _Group, rows: NDArray[np.float32], reference: FloatArray, *, without_own: bool = False
) -> FloatArray:
    """Correlation of each row with the reference at lags -reach .. reach, float64[n, 2 reach + 1]."""
    spectrum = fft.rfft(rows, group.fft_length, axis=1)
    other = np.conj(fft.rfft(reference.astype(np.float32), group.fft_length))
    if without_own:
        product = spectrum * (other - np.conj(spectrum))
    else:
        product = spectrum * other
    values = fft.irfft(product, group.fft_length, axis=1, overwrite_x=True)
    reach = group.reach
    return np.concatenate([values[:, group.fft_length - reach :], values[:, : reach + 1]], axis=1, dtype=np.float64)


def _variance(
    group: _Group,
    correlation: FloatArray,
    counts: NDArray[np.float32],
    contrast: NDArray[np.float32],
    reference: _Reference,
) -> FloatArray:
    """Variances of correlations as Mantid's CrossCorrelate has them, before its normalisation."""
    squared = contrast.astype(np.float64) ** 2
    own = np.sum(squared * counts, axis=1) / np.maximum(np.sum(squared, axis=1), 1e-30) ** 2
    other = np.sum(reference.contrast**2 * reference.counts) / max(np.sum(reference.contrast**2), 1e-30) ** 2
    noise = _correlate(group, counts, reference.contrast**2)
    noise += _correlate(group, squared.astype(np.float32), reference.counts)
    return noise + correlation**2 * (own[:, None] + other)


def _judge(
    group: _Group,
    values: FloatArray,
    peaks: CorrelationPeaks,
    centre: FloatArray,
    events: FloatArray,
    reference: _Reference,
) -> NDArray[np.uint8]:
    """Why a pixel cannot be used, uint8[n]; 0 where it can."""
    noise = np.sqrt(events * np.mean(reference.contrast**2))
    flat = values[:, group.half_width] <= SIGNIFICANCE * noise if reference.own else np.max(values, axis=1) <= 0
    conditions = [
        events <= 0,
        flat,
        peaks.converged & (np.abs(centre) > group.limit),
        ~peaks.converged,
    ]
    reasons = [MaskReason.NO_COUNTS, MaskReason.NO_PEAK, MaskReason.AT_LIMIT, MaskReason.FIT_FAILED]
    return np.select(conditions, reasons, MaskReason.USED).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _subtract_level(counts, reached, half_width, contrast):
    """Counts less their running mean over the reached bins of 2 half_width + 1; 0 in bins that are not reached."""
    bins = counts.shape[1]
    inside = np.empty(bins)
    for i in range(counts.shape[0]):
        inside[:] = 0.0
        for r in range(reached.shape[1]):
            for k in range(reached[i, r, 0], reached[i, r, 1]):
                inside[k] = 1.0
        total, number = 0.0, 0.0
        for k in range(-half_width, bins):
            first, last = k - half_width - 1, k + half_width
            if last < bins:
                total += counts[i, last] * inside[last]
                number += inside[last]
            if first >= 0:
                total -= counts[i, first] * inside[first]
                number -= inside[first]
            if k >= 0:
                contrast[i, k] = (counts[i, k] - total / number) * inside[k] if number > 0.0 else 0.0
