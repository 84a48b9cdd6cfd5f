"""From events to histograms in d-spacing: one a pixel, or the sum over the pixels of each group (focusing).

All histograms share a *log grid*: bin edges d_k = d_0 (1 + b)^k, as Mantid's Rebin with a negative step. `b` is the
*bin width*: the best resolution delta_d of all groups, divided by the wanted number of bins across it. A spectrum
with a wrong DIFC is shifted along the grid, unchanged in shape.

A pixel is in use when its group has parameters and nothing masks it. An event is counted in the bin that its d falls
into, d from its TOF and the table of its pixel; an event outside the grid, or whose TOF or weight is not finite, or
whose TOF no d gives, is not counted. An event's weight is the number of neutrons that it stands for, so its variance
too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import in_order, split
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    GroupParameters,
    PixelGrouping,
    PixelMask,
    Spectra,
)
from snapcal_workbench.calibration.units import log_step
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.progress import Progress

_EVENTS_PER_CHUNK = 2_000_000
_NO_WEIGHT = np.empty(0, np.float32)
_NO_ROWS = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class LogGrid:
    """Logarithmic bins: d_k = d_min (1 + width)^k, k = 0 .. bins.

    Attributes:
        d_min: First edge, A.
        width: Relative bin width b.
        bins: Number of bins.
    """

    d_min: float
    width: float
    bins: int

    @classmethod
    def between(cls, d_min: float, d_max: float, width: float) -> LogGrid:
        """The grid that starts at d_min and reaches d_max or just beyond (A).

        Raises:
            InputError: If the range is empty or the width is not positive.
        """
        if not (0 < d_min < d_max < np.inf and width > 0):
            raise InputError(
                "A d-spacing range and a bin width above zero are needed.",
                found=f"{d_min} to {d_max} A, relative width {width}",
                fix="Check the TOF window and the cropping of the d range in the peak options.",
            )
        return cls(d_min, width, max(1, int(np.ceil(np.log(d_max / d_min) / log_step(width) - 1e-9))))

    @property
    def step(self) -> float:
        """Width of a bin in ln d: ln(1 + b)."""
        return log_step(self.width)

    @property
    def edges(self) -> FloatArray:
        """float64[bins + 1], A."""
        return self.d_min * np.exp(self.step * np.arange(self.bins + 1))

    def full_bins(self, d_min: float, d_max: float) -> slice:
        """The bins that lie wholly within d_min .. d_max (A); a thousandth of a bin is forgiven."""
        first = np.ceil(np.log(d_min / self.d_min) / self.step - 1e-3)
        last = np.floor(np.log(d_max / self.d_min) / self.step + 1e-3)
        first = int(np.clip(first, 0, self.bins))
        return slice(first, int(np.clip(last, first, self.bins)))


def shared_grid(parameters: GroupParameters, bins_per_delta_d: int) -> LogGrid:
    """The grid of the focused spectra: from the least d_min to the largest d_max of all groups.

    Raises:
        CalibrationError: If no group has a pixel in use.
    """
    if len(parameters) == 0:
        raise CalibrationError(
            "No group has a pixel that can be used.",
            found="all pixels of the groups are masked",
            fix="Check the mask and the grouping.",
        )
    return LogGrid.between(
        float(np.min(parameters.d_min)),
        float(np.max(parameters.d_max)),
        parameters.bin_width(bins_per_delta_d),
    )


def pixels_in_use(grouping: PixelGrouping, reason: NDArray[np.uint8], parameters: GroupParameters) -> NDArray[np.bool_]:
    """bool[n]: the pixels that nothing masks and whose group has parameters."""
    return (reason == 0) & np.isin(grouping.group, parameters.group)


def focus(
    events: Events,
    table: DiffCalTable,
    grouping: PixelGrouping,
    mask: PixelMask,
    parameters: GroupParameters,
    *,
    bins_per_delta_d: int = 10,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Spectra:
    """Sum of the used pixels of each group in d-spacing, on the shared log grid.

    Args:
        events: Of n pixels.
        table: Calibration of the same pixels.
        grouping: Group of each pixel.
        mask: Pixels that are left out.
        parameters: Groups to make, with the d range of each; bins that are not wholly within it hold 0.
        bins_per_delta_d: Bins across the best resolution of all groups.
        progress: Reported to while events are counted.
        threads: None: as many as there are cores. The result does not depend on it.

    Returns:
        One spectrum a group: counts, with the root of the counts as error.

    Raises:
        Cancelled: If the user has cancelled.
        InputError: If the groups' d range is empty.
    """
    grid = shared_grid(parameters, bins_per_delta_d)
    used = pixels_in_use(grouping, mask.reason, parameters)
    pixels = [np.flatnonzero(used & (grouping.group == group)) for group in parameters.group]
    y = _summed(events, table, grid, pixels, progress=progress or Progress(), threads=threads)
    for row, low, high in zip(y, parameters.d_min, parameters.d_max, strict=True):
        full = grid.full_bins(low, high)
        row[: full.start] = 0.0
        row[full.stop :] = 0.0
    return Spectra(
        edges=grid.edges,
        y=y,
        e=np.sqrt(np.abs(y)),
        unit="dSpacing",
        detids=[events.geometry.detid[p] for p in pixels],
        number=parameters.group.astype(np.int32),
        title=f"{grouping.name} focused".strip(),
        run=events.run,
    )


def pixel_spectra(
    events: Events, table: DiffCalTable, pixels: NDArray[np.integer], grid: LogGrid
) -> NDArray[np.float32]:
    """Histogram of each of some pixels in d-spacing.

    Args:
        events: Of n pixels.
        table: Calibration of the same pixels.
        pixels: Indices of the m pixels that are wanted. Their histograms take 4 m bins bytes.
        grid: Bins.

    Returns:
        float32[m, bins], counts.
    """
    counts = np.empty((len(pixels), grid.bins), np.float32)
    _count_events(events, table, pixels, grid, np.zeros(grid.bins), counts)
    return counts


def _summed(
    events: Events,
    table: DiffCalTable,
    grid: LogGrid,
    pixels: list[NDArray[np.intp]],
    *,
    progress: Progress,
    threads: int | None,
) -> FloatArray:
    """float64[len(pixels), bins]: histogram of each set of pixels, added up in fixed chunks."""
    chunks = [
        (row, members[part])
        for row, members in enumerate(pixels)
        for part in split(np.diff(events.start)[members], _EVENTS_PER_CHUNK, 100_000)
    ]

    def count(chunk: tuple[int, NDArray[np.intp]]) -> tuple[int, FloatArray]:
        row = np.zeros(grid.bins)
        _count_events(events, table, chunk[1], grid, row, _NO_ROWS)
        return chunk[0], row

    y = np.zeros((len(pixels), grid.bins))
    for row, counts in in_order(count, chunks, progress=progress, message="Focusing", threads=threads):
        y[row] += counts
    return y


def _count_events(
    events: Events,
    table: DiffCalTable,
    pixels: NDArray[np.integer],
    grid: LogGrid,
    total: FloatArray,
    rows: NDArray[np.float32],
) -> None:
    """Call the kernel with the dtypes that it is compiled for."""
    _count(
        np.ascontiguousarray(events.tof, np.float32),
        _NO_WEIGHT if events.weight is None else np.ascontiguousarray(events.weight, np.float32),
        np.ascontiguousarray(events.start, np.int64),
        np.ascontiguousarray(pixels, np.int64),
        np.ascontiguousarray(table.difc, np.float64),
        np.ascontiguousarray(table.difa, np.float64),
        np.ascontiguousarray(table.tzero, np.float64),
        float(np.log(grid.d_min)),
        1.0 / grid.step,
        total,
        rows,
    )


@numba.njit(cache=True, nogil=True)
def _add_events(tof, weight, first, last, difc, difa, tzero, log_d_min, inverse_step, row):
    """Add the events first .. last of a pixel to a row of bins; ln d as of `units.d_from_tof`."""
    offset = (np.log(difc) + log_d_min) * inverse_step
    for k in range(first, last):
        c = tof[k] - tzero
        if not 0.0 < c < np.inf:
            continue
        position = np.log(c) * inverse_step - offset
        if difa != 0.0:
            square = difc * difc + 4.0 * difa * c
            if square < 0.0:
                continue
            position -= np.log(0.5 + 0.5 * np.sqrt(square) / difc) * inverse_step
        if 0.0 <= position < row.size:
            if weight.size == 0:
                row[int(position)] += 1.0
            elif np.isfinite(weight[k]):
                row[int(position)] += weight[k]


@numba.njit(cache=True, nogil=True)
def _count(tof, weight, start, pixels, difc, difa, tzero, log_d_min, inverse_step, total, rows):
    """Histogram of each of some pixels: copied to a float32 row each, and left in float64 `total` as the sum.

    With no rows (length 0) the pixels are summed; with rows, `total` is where each pixel is counted in turn.
    """
    for k in range(pixels.size):
        i = pixels[k]
        if difc[i] > 0.0:
            _add_events(tof, weight, start[i], start[i + 1], difc[i], difa[i], tzero[i], log_d_min, inverse_step, total)
        if rows.shape[0] > 0:
            for j in range(total.size):
                rows[k, j] = total[j]
                total[j] = 0.0
