"""From focused spectra to what the joint fit works on: bins, nodes, reflections and background of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import median_filter

from snapcal_workbench.calibration.groups.pattern.model import GroupPattern
from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, GroupParameters, Reflections, Spectra
from snapcal_workbench.calibration.types.pattern import GroupFocus, Phase

NODES = 3
"""Nodes of a group, unless its pixels have nearly one angle."""
ONE_ANGLE = 0.02
"""Spread of the DIFC of a group's pixels (relative, standard deviation) below which one node stands for them all."""
LEAST_PART = 0.1
"""Bins count where at least this part of the pixels records them: beyond, the ends of the band are not sharp enough."""
TIED = 0.5
"""Reflections nearer than so many sigmas are one peak: apart from each other their areas are not measured."""
KNOT_SIGMAS = 14.0
"""Distance of the background's knots in widths of a peak."""
BINS_PER_SIGMA = 3.0
"""Bins are summed until a peak's sigma has only so many: more tell nothing new (the variance grows by 0.9 %)."""
DENSE = 3.0
"""Where the reflections follow each other more closely than so many sigmas there is no peak left to fit."""
EDGE_SIGMAS = 4.0
"""Left out at both ends of a group's spectrum, in sigmas, and at those of the range in which all reflections are
listed: the edges are those of the incident band, and beyond the list are peaks that the model lacks."""


def group_focus(spectra: Spectra, table: DiffCalTable, parameters: GroupParameters) -> dict[int, GroupFocus]:
    """How each group was focused; its nodes stand for equal parts of its pixels.

    Args:
        spectra: Focused; their detids are the pixels of each group.
        table: Calibration that they were focused with.
        parameters: Of the groups.
    """
    difc = dict(zip(parameters.group.tolist(), parameters.difc, strict=True))
    found = {}
    for group, detids in zip(spectra.number.tolist(), spectra.detids, strict=True):
        pixels = np.searchsorted(table.detid, detids)
        if group in difc and len(pixels):
            ratio = table.difc[pixels] / difc[group]
            parts = NODES if ratio.std() > ONE_ANGLE * ratio.mean() and len(ratio) >= NODES else 1
            ascending = np.sort(ratio)
            x = np.array([part.mean() for part in np.array_split(ascending, parts)])
            tzero, difa = ((values[pixels] / ratio).mean() for values in (table.tzero, table.difa))
            band = (parameters.tof_min / difc[group], parameters.tof_max / difc[group])
            found[group] = GroupFocus(x, ascending, band, float(tzero), float(difa))
    return found


def group_patterns(
    spectra: Spectra,
    parameters: GroupParameters,
    reflections: Reflections,
    *,
    focus: Mapping[int, GroupFocus],
    phases: Sequence[Phase] = (),
    left_out: Mapping[int, Sequence[tuple[float, float]]] | None = None,
    d_min: float = 0.0,
) -> list[GroupPattern]:
    """The data of all groups that have counts and reflections, in the order of `parameters`.

    Args:
        spectra: Focused, in d-spacing.
        parameters: Of the groups.
        reflections: Of the calibrant.
        focus: How each group was focused, see `group_focus`; a group without has one node at 1.
        phases: Other crystals in the beam.
        left_out: Ranges of the focused d-spacing (A) that do not count, by group.
        d_min: Smallest d-spacing that is fitted, A.
    """
    rows = {int(number): i for i, number in enumerate(spectra.number)}
    everything = [reflections, *(phase.reflections for phase in phases)]
    patterns = []
    for i, group in enumerate(parameters.group.tolist()):
        if group in rows:
            how = focus.get(group, GroupFocus(np.ones(1)))
            ranges = (left_out or {}).get(group, ())
            pattern = _pattern(spectra, rows[group], parameters, i, everything, ranges, how, d_min)
            if pattern is not None:
                patterns.append(pattern)
    return patterns


def _pattern(
    spectra: Spectra,
    row: int,
    parameters: GroupParameters,
    index: int,
    everything: Sequence[Reflections],
    left_out: Sequence[tuple[float, float]],
    focus: GroupFocus,
    d_min: float,
) -> GroupPattern | None:
    delta_d, difc = float(parameters.delta_d[index]), float(parameters.difc[index])
    listed, margin = everything[0], EDGE_SIGMAS * delta_d
    low = max(d_min, float(parameters.d_min[index]), sparse_above(listed.d, delta_d), listed.d_min * (1.0 + margin))
    high = min(float(parameters.d_max[index]), listed.d_max * (1.0 - margin))
    cut = _cut(spectra, row, low, high, delta_d)
    if cut is None:
        return None
    edges, y, unit = cut
    selected = [_inside(r.d, edges, delta_d) for r in everything]
    if not selected[0].any():
        return None
    d = np.concatenate([r.d[use] for r, use in zip(everything, selected, strict=True)])
    strength = np.concatenate(
        [(r.f_squared * r.multiplicity * r.d**4)[use] for r, use in zip(everything, selected, strict=True)]
    )
    phase = np.repeat(np.arange(len(everything)), [np.count_nonzero(use) for use in selected])
    column = tied(d, phase, delta_d)
    whole = np.bincount(column, strength)
    counted = np.bincount(column)
    safe = np.where(whole > 0, whole, counted)[column]
    sine = float(np.sin(parameters.two_theta[index] / 2.0))
    return GroupPattern(
        group=int(parameters.group[index]),
        edges=edges * difc,
        y=y,
        unit=unit,
        used=_used(edges, left_out) & (focus.part(edges[1:]) > LEAST_PART) & (focus.part(edges[:-1]) > LEAST_PART),
        difc=difc,
        sine=sine,
        focus=focus,
        x=focus.nodes(d),
        d=d,
        strength=np.where(whole[column] > 0, strength, 1.0) / safe,
        phase=phase.astype(np.int64),
        column=column,
        columns=int(column.max()) + 1,
        background=background_splines(edges, edges, delta_d, focus),
    )


def _used(edges: FloatArray, left_out: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """bool[b]: the bins outside of all ranges."""
    used = np.ones(len(edges) - 1, bool)
    for low, high in left_out:
        used &= (edges[1:] <= low) | (edges[:-1] >= high)
    return used


def sparse_above(d: FloatArray, delta_d: float) -> float:
    """The d-spacing (A) below which reflections follow each other more closely than `DENSE` sigmas, four by four."""
    if len(d) < 5:
        return 0.0
    spacing = np.log(d[4:] / d[:-4]) / 4.0
    close = np.flatnonzero(spacing < DENSE * delta_d)
    return float(d[close[-1] + 2]) if len(close) else 0.0


def _cut(
    spectra: Spectra, row: int, low: float, high: float, delta_d: float
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Edges (A), counts and variance a count of the bins that are fitted, summed to `BINS_PER_SIGMA`."""
    edges, y, e = spectra.edges_of(row), spectra.y[row], spectra.e[row]
    finite = np.isfinite(edges)
    edges, y, e = edges[finite], y[: finite.sum() - 1], e[: finite.sum() - 1]
    good = np.isfinite(y) & np.isfinite(e) & (e >= 0) & (edges[:-1] >= low) & (edges[1:] <= high)
    filled = np.flatnonzero(good & (y > 0) & (e > 0))
    if len(filled) < 20:
        return None
    step = float(np.median(np.diff(np.log(edges))))
    margin = int(EDGE_SIGMAS * delta_d / step)
    together = max(1, int(delta_d / (BINS_PER_SIGMA * step)))
    first, last = filled[0] + margin, filled[-1] + 1 - margin
    count = (last - first) // together
    if count < 20:
        return None
    last = first + count * together
    summed = y[first:last].reshape(count, together).sum(axis=1)
    variance = (e[first:last] ** 2).reshape(count, together).sum(axis=1)
    return edges[first : last + 1 : together], summed, _unit(summed, variance)


def _unit(y: FloatArray, variance: FloatArray) -> FloatArray:
    """float64[b]: variance a count. A median over neighbours, so that the weights do not follow the noise."""
    filled = (y > 0) & (variance > 0)
    if not filled.any():
        return np.ones(len(y))
    own = np.where(filled, variance / np.where(filled, y, 1.0), np.nan)
    typical = np.nanmedian(own)
    return median_filter(np.where(filled, own, typical), 15, mode="nearest")


def _inside(d: FloatArray, edges: FloatArray, delta_d: float) -> NDArray[np.bool_]:
    """bool[p]: the reflections of which a good part lies within the bins."""
    return (d > edges[0] * (1.0 - 2.0 * delta_d)) & (d < edges[-1] * (1.0 + delta_d))


def tied(d: FloatArray, phase: NDArray[np.intp], delta_d: float) -> NDArray[np.int64]:
    """int64[p]: number of the area that each reflection has, the same for those of a phase that are nearly coincident.

    d is ascending within each phase.
    """
    first = np.ones(len(d), bool)
    anchor = 0
    for i in range(1, len(d)):
        near = phase[i] == phase[anchor] and d[i] - d[anchor] < TIED * delta_d * d[anchor]
        first[i] = not near
        anchor = anchor if near else i
    return np.cumsum(first).astype(np.int64) - 1


def background_splines(edges: FloatArray, fitted: FloatArray, delta_d: float, focus: GroupFocus) -> FloatArray:
    """float64[b, k]: cubic B-splines in ln d, none negative, as counts of bins of unit density in ln d.

    They are what every pixel counts: where only a part of the pixels records d, the counts are that part.

    Args:
        edges: Of the bins, A.
        fitted: Edges (A) of the bins that are fitted: the knots lie between the first and the last.
        delta_d: Relative width of the peaks.
        focus: How the group was focused.
    """
    low, high = np.log(fitted[0]), np.log(fitted[-1])
    log = np.log(edges)
    middle = np.clip(0.5 * (log[1:] + log[:-1]), low, high)
    pieces = max(4, round((high - low) / (KNOT_SIGMAS * delta_d)))
    knots = np.concatenate([[low] * 3, np.linspace(low, high, pieces + 1), [high] * 3])
    counts = np.diff(log) * focus.part(np.exp(0.5 * (log[1:] + log[:-1])))
    return BSpline.design_matrix(middle, knots, 3).toarray() * counts[:, None]
