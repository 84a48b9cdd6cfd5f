"""Pixel offsets by cross-correlation, as Mantid's CrossCorrelate and GetDetectorOffsets, and with a better reference.

- The *contrast* of a spectrum is its counts less their level, so that background is not weighed like signal: the level
  is the mean over the whole spectrum (reference "median", as Mantid) or a running mean that is wide compared with a
  peak and leaves out bins that the pixel's TOF window does not reach (reference "sum").
- The *correlation* of a pixel at *lag* l (bins) is the sum over k of contrast[k + l] reference[k]; its peak lies at
  shift / ln(1 + b). It is computed by FFT, padded so that nothing wraps around within the lags that are looked at.
- The *reference* is the sum of the contrasts of the group's other pixels (the pixel itself would pull its peak to 0),
  or that of the middle pixel of the group, number round((N - 1) / 2) of its N pixels in use (halves to even).
- The variance of a centre follows from the counting noise of both spectra, carried through correlation and fit.

Pixels are worked on in *blocks* within the memory budget of the options. A pixel that is alone in its group has nothing
to be aligned with: its shift is 0, without a mask, and its error infinite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import MAX_THREADS, in_order
from snapcal_workbench.calibration.focus import LogGrid, pixel_spectra, pixels_in_use
from snapcal_workbench.calibration.pixels.correlation.cross import (
    autocorrelation_width,
    correlate,
    correlation_variance,
    covariance,
    fft_length,
    subtract_level,
)
from snapcal_workbench.calibration.pixels.correlation.peak import fit_peaks_of_correlations
from snapcal_workbench.calibration.pixels.estimator import PassEstimate
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    GroupParameters,
    MaskReason,
    PixelGrouping,
)
from snapcal_workbench.calibration.units import d_from_tof
from snapcal_workbench.errors import CalibrationError
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress

LEVEL_WIDTH = 40.0
"""Width of the running mean that is a spectrum's level, in relative resolutions (sigma) of the group: wide compared
with a peak. At half and twice errors change by less than they scatter from run to run."""
FIT_WIDTH = 2.5
"""Half width of the fit with reference "sum", in standard deviations of the correlation's peak (sqrt 2 sigma). At half
of it errors are 4 % larger with 2000 events of silicon a pixel, and with 600 half of the good pixels fail instead of a
quarter; at twice errors are 3 % smaller with 2000 and 10 % larger with 600."""
UNALIGNED_WIDTH = 1.3
"""The sum of pixels that are not aligned yet has peaks that many times as broad as the resolution says. At half of it 9
of 360 pixels with 200 events go to a wrong peak, not 5; at twice the results are the same."""
SNAPRED_FIT_WIDTH = 2 * 2.5 * 1.17741002252
"""The same with reference "median", in sigma: twice SNAPRed's window of 2.5 half widths at half maximum, at d = 1 A."""
MANTID_START_WIDTH = 10.0
"""Width (bins) at which Mantid's GetDetectorOffsets starts its fit."""
WIDEST_SHIFT = 0.02
"""Largest |shift| that is looked for where the options set no limit: what they set by default. Of simulated runs whose
pixels are off by 0.3 % the results at half and twice are the same."""
SIGNIFICANCE = 4.0
"""A peak of a correlation must be that many times the noise that as many evenly spread events would give (reference
"sum"): about one flat spectrum in a hundred does that by chance. At half of it 44 pixels of 360 with 200 events go to a
wrong peak, not 5; at twice all pixels with 600 events are taken for flat, not a quarter."""
_LARGEST_BLOCK = 256
_BYTES_PER_POINT = 40
_BYTES_PER_FITTED_LAG = 250


@dataclass(frozen=True, eq=False)
class _Group:
    """One group's part of a pass: its pixels, bins, and how far to look (lags in bins).

    While a group is `unaligned` the peaks of its sum are broad and uneven: a pixel whose fit fails then goes to the
    highest value of its correlation and gets another chance in the next pass.
    """

    pixels: NDArray[np.intp]
    grid: LogGrid
    limit: float
    search: int
    half_width: int
    level_half_width: int
    start_width: float
    unaligned: bool = False

    @property
    def reach(self) -> int:
        """Largest lag that is needed."""
        return self.search + self.half_width


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
        self._counts = events.counts
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
            CalibrationError: If the one pixel that is the reference has no counts.
        """
        found = PassEstimate.empty(len(table))
        used = pixels_in_use(self._grouping, reason, self._parameters)
        empty = used & ~(self._counts > 0)
        found.reason[empty] = MaskReason.NO_COUNTS
        done, total = 0, max(1, int(np.sum(used)))
        for index, group_id in enumerate(self._parameters.group):
            members = np.flatnonzero(used & (self._grouping.group == group_id))
            pixels = members[~empty[members]]
            if len(pixels) > 1:
                if self._options.reference == "median":
                    self._middle.setdefault(int(group_id), _middle_pixel(members))
                part = progress.part(done / total, (done + len(members)) / total)
                self._estimate_group(found, self._group(index, pixels), table, int(group_id), part)
            done += len(members)
        return found

    def _group(self, index: int, pixels: NDArray[np.intp]) -> _Group:
        """What the options mean in bins for one group."""
        parameters, options = self._parameters, self._options
        grid = LogGrid.between(
            float(parameters.d_min[index]),
            float(parameters.d_max[index]),
            parameters.bin_width(options.bins_per_delta_d),
        )
        sigma = float(parameters.delta_d[index]) / grid.step
        limits = [options.max_offset_bins, options.max_shift and options.max_shift / grid.step]
        limit = min([float(value) for value in limits if value] or [WIDEST_SHIFT / grid.step])
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
        total = self._sum(group, table, progress.part(0.0, 0.35))
        group = self._fitted_to(group, total[1])
        reference = self._reference(group, total, table, group_id)

        def work(pixels: NDArray[np.intp]) -> _Block:
            return self._estimate_block(group, pixels, reference, table)

        parts = list(
            in_order(
                work,
                self._blocks(group),
                progress=progress.part(0.35, 1),
                message="Correlating",
                threads=self._threads,
            )
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
        per_pixel = _BYTES_PER_POINT * fft_length(group.grid.bins, group.reach) + _BYTES_PER_FITTED_LAG * lags
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
        subtract_level(counts, reached, group.level_half_width, contrast)
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

    def _sum(self, group: _Group, table: DiffCalTable, progress: Progress) -> FloatArray:
        """float64[2, bins]: counts and contrast of the group's pixels together."""

        def work(pixels: NDArray[np.intp]) -> FloatArray:
            return np.array([part.sum(axis=0, dtype=np.float64) for part in self._spectra(group, pixels, table)])

        total = np.zeros((2, group.grid.bins))
        blocks = self._blocks(group)
        for part in in_order(work, blocks, progress=progress, message="Making references", threads=self._threads):
            total += part
        return total

    def _fitted_to(self, group: _Group, contrast: FloatArray) -> _Group:
        """The group with a wider fit while its pixels are not aligned yet, so that its sum has broad peaks."""
        if self._fit_half_width or self._options.reference == "median":
            return group
        width = autocorrelation_width(contrast, 4 * group.search)
        if width <= UNALIGNED_WIDTH * group.start_width:
            return group
        half_width = max(group.half_width, round(FIT_WIDTH * width))
        return replace(group, start_width=width, half_width=half_width, unaligned=True)

    def _reference(self, group: _Group, total: FloatArray, table: DiffCalTable, group_id: int) -> _Reference:
        """The group's reference, with the noise that it brings; `total` is the sum of its pixels."""
        own = self._options.reference == "sum"
        reference = total if own else self._middle_spectrum(group, table, group_id)
        shape = total[0] / max(np.sum(total[0]), 1.0)
        noise = covariance(reference[1], shape, group.half_width)
        sum_noise = noise if own else covariance(total[1], shape, group.half_width)
        relative = np.sum(reference[0]) / max(np.sum(total[0]), 1.0) ** 2
        return _Reference(reference[1], reference[0], own, noise, sum_noise * relative)

    def _middle_spectrum(self, group: _Group, table: DiffCalTable, group_id: int) -> FloatArray:
        """float64[2, bins]: counts and contrast of the group's middle pixel, the same one in every pass."""
        middle = self._middle[group_id]
        spectrum = np.array([part[0] for part in self._spectra(group, np.array([middle]), table)], np.float64)
        if not np.any(spectrum[0] > 0):
            raise CalibrationError(
                f"The pixel that all others of group {group_id} are compared with needs counts.",
                found=f"pixel {table.detid[middle]}, the group's middle one, has none within the d range",
                fix="Mask this pixel, or set the reference of the pixel calibration to 'sum'.",
            )
        return spectrum

    def _estimate_block(
        self, group: _Group, pixels: NDArray[np.intp], reference: _Reference, table: DiffCalTable
    ) -> _Block:
        """Correlate and fit the pixels of one block."""
        counts, contrast = self._spectra(group, pixels, table)
        events = counts.sum(axis=1, dtype=np.float64)
        correlation = correlate(contrast, reference.contrast, group.reach, without_own=reference.own)
        highest = group.half_width + np.argmax(
            correlation[:, group.half_width : group.half_width + 2 * group.search + 1], axis=1
        )
        variance = None
        if not reference.own:
            variance = correlation_variance(correlation, counts, contrast, reference.counts, reference.contrast)
        window = highest[:, None] + np.arange(-group.half_width, group.half_width + 1)
        values = np.take_along_axis(correlation, window, axis=1)
        lags = np.arange(-group.half_width, group.half_width + 1, dtype=np.float64)
        peaks = fit_peaks_of_correlations(values, lags, width=group.start_width, variance=variance)
        fitted = peaks.converged | group.unaligned
        centre = np.where(peaks.converged, peaks.centre, 0.0) + (highest - group.reach)
        noise = events * np.sum((peaks.response @ reference.noise) * peaks.response, axis=1)
        noise += events**2 * np.sum((peaks.response @ reference.shape_noise) * peaks.response, axis=1)
        sigma = np.where(peaks.converged, np.sqrt(np.maximum(noise, 0.0)), np.inf)
        return _Block(centre, sigma, _judge(group, values, fitted, centre, events, reference))


def _middle_pixel(pixels: NDArray[np.intp]) -> int:
    """SNAPRed's reference: element round((N - 1) / 2) of the ascending pixels, halves to even."""
    return int(pixels[round((len(pixels) - 1) / 2)])


def _whole_range(group: _Group, n: int) -> NDArray[np.int64]:
    """int64[n, 1, 2]: all bins, for each pixel."""
    return np.broadcast_to(np.array([[0, group.grid.bins]]), (n, 1, 2)).copy()


def _judge(
    group: _Group,
    values: FloatArray,
    fitted: NDArray[np.bool_],
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
        fitted & (np.abs(centre) > group.limit),
        ~fitted,
    ]
    reasons = [MaskReason.NO_COUNTS, MaskReason.NO_PEAK, MaskReason.AT_LIMIT, MaskReason.FIT_FAILED]
    return np.select(conditions, reasons, MaskReason.USED).astype(np.uint8)
