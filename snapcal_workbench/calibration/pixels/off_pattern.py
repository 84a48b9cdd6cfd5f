"""The last test of every pixel: does it fit the finished calibration better than another set of peaks?

A pixel that was aligned to the wrong peaks looks well aligned to itself. So when all steps are done the events of each
pixel are compared with the model of its group, calibrant and other phases at their lattices, as it stands and shifted
by up to `SEARCH`; and the same for each module as a whole, where single pixels have too few events to tell.

ln L of a shift is sum_k n_k ln r(k - s), with r the model over its own wide average. Under the right calibration
another given shift exceeds it by more than T with a probability below exp(-T) (Markov's inequality for a likelihood
ratio). With T = ln(tests / `FALSE_ALARMS`) the expected number of wrongly masked pixels of a whole run is below
`FALSE_ALARMS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from snapcal_workbench.calibration.chunks import in_order, split
from snapcal_workbench.calibration.focus import LogGrid, pixel_spectra
from snapcal_workbench.calibration.phases.pattern import CoarseFit
from snapcal_workbench.calibration.pixels.likelihood.rough_alignment import shift_curves
from snapcal_workbench.calibration.pixels.modules import SEARCH
from snapcal_workbench.calibration.types import DiffCalTable, Events, FloatArray, MaskReason, PixelGrouping, PixelMask
from snapcal_workbench.progress import Progress

FALSE_ALARMS = 0.5
"""Expected number of pixels of a run that are masked by chance, at most; a tenth of it raises the threshold by 2.3, ten
times lowers it by as much: pixels on wrong peaks exceed it by tens."""
BINS_PER_WIDTH = 2
"""Bins to a peak's sigma: enough to tell peaks apart; twice takes four times as long."""
ELSEWHERE = 2.5
"""Widths from which on a shift is another place. Nearer by, the pixel's own error and the smoothness of the field of
its module decide, which its claimed error covers."""
LEVEL = 25.0
"""Widths over which the model is averaged to give the level that its peaks stand on."""
LOWEST = 0.05
_PIXELS_PER_CHUNK = 2_000


@dataclass(frozen=True, eq=False)
class GroupModel:
    """The model of a group: its id, and the coarse fit of its finished focused spectrum."""

    group: int
    fit: CoarseFit


@dataclass(frozen=True, eq=False)
class _Part:
    """What a chunk of a group's pixels says: excess ln L elsewhere of each, and the curves summed by module."""

    pixels: NDArray[np.intp]
    excess: FloatArray
    by_module: FloatArray


def off_pattern(
    events: Events,
    table: DiffCalTable,
    grouping: PixelGrouping,
    mask: PixelMask,
    models: Sequence[GroupModel],
    progress: Progress,
) -> PixelMask:
    """The mask with the pixels added that fit another set of peaks better.

    Args:
        events: Of n pixels.
        table: The finished calibration.
        grouping: Group of each pixel.
        mask: Pixels not in use.
        models: Of the groups that have one.
        progress: Asked whether to go on.
    """
    reason = mask.reason.copy()
    layout = events.geometry.layout
    module = np.zeros(len(mask.detid), np.intp) if layout is None else layout.module.astype(np.intp)
    used = np.flatnonzero((mask.reason == 0) & np.isin(grouping.group, [model.group for model in models]))
    for number, model in enumerate(models):
        progress.report(number / len(models), "Testing every pixel against the pattern")
        members = used[grouping.group[used] == model.group]
        if len(members):
            bad = _test(events, table, members, module, model, len(used), progress)
            reason[bad] = MaskReason.NOT_ON_PATTERN
    return PixelMask(mask.detid, reason)


def _test(
    events: Events,
    table: DiffCalTable,
    members: NDArray[np.intp],
    module: NDArray[np.intp],
    model: GroupModel,
    tested: int,
    progress: Progress,
) -> NDArray[np.intp]:
    """The pixels of a group that are elsewhere."""
    pattern = model.fit.pattern
    step = pattern.width / BINS_PER_WIDTH
    grid = LogGrid.between(float(np.exp(pattern.x[0])), float(np.exp(pattern.x[-1])), float(np.expm1(step)))
    log_ratio = _log_ratio(model.fit, grid)
    lags = int(SEARCH / step)
    lag = np.arange(-lags, lags + 1) * step
    away = np.abs(lag) > ELSEWHERE * pattern.width
    modules = int(module.max()) + 1

    def work(chunk: slice) -> _Part:
        pixels = members[chunk]
        counts = pixel_spectra(events, table, pixels, grid)
        curves = shift_curves(counts, log_ratio, lags).astype(np.float64)
        by_module = np.zeros((modules, len(lag)))
        np.add.at(by_module, module[pixels], curves)
        return _Part(pixels, _excess(curves, away), by_module)

    chunks = split(np.diff(events.start)[members], 1_000_000, _PIXELS_PER_CHUNK)
    parts = list(in_order(work, chunks, progress=Progress(is_cancelled=progress.is_cancelled)))
    threshold = np.log((tested + modules) * np.count_nonzero(away) / FALSE_ALARMS)
    whole = np.flatnonzero(_excess(np.sum([part.by_module for part in parts], axis=0), away) > threshold)
    alone = np.concatenate([part.pixels[part.excess > threshold] for part in parts])
    return np.union1d(alone, members[np.isin(module[members], whole)])


def _excess(curves: FloatArray, away: NDArray[np.bool_]) -> FloatArray:
    """float64[n]: by how much ln L is larger somewhere else than near where the pixel is."""
    return curves[:, away].max(axis=1) - curves[:, ~away].max(axis=1)


def _log_ratio(fit: CoarseFit, grid: LogGrid) -> FloatArray:
    """float64[bins of the grid]: ln r of a group's model, from the centres of its bins."""
    pattern = fit.pattern
    model = np.maximum(fit.model, 1e-3 * fit.model.max())
    level = gaussian_filter1d(model, LEVEL * pattern.width / pattern.step, mode="nearest")
    centres = np.log(grid.edges[:-1]) + 0.5 * grid.step
    return np.log(np.maximum(np.interp(centres, pattern.x, model / level), LOWEST))
