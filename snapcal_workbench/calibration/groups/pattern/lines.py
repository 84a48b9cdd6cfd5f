"""What the joint fit says in the bins of the given spectra, and of each peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snapcal_workbench.calibration.groups.pattern.data import background_splines
from snapcal_workbench.calibration.groups.pattern.linear import LinearFit, design
from snapcal_workbench.calibration.groups.pattern.prediction import Deviations
from snapcal_workbench.calibration.groups.pattern.solver import Problem, Solution, State
from snapcal_workbench.calibration.peaks.pattern_crests import crests
from snapcal_workbench.calibration.types import FloatArray, GroupParameters, Reflections, Spectra
from snapcal_workbench.calibration.types.pattern import PatternLines, Phase


def fine_model(
    problem: Problem, state: State, spectra: Spectra, parameters: GroupParameters
) -> tuple[Spectra, Spectra, FloatArray]:
    """Model and background in counts, and residual in standard errors, in the bins of `spectra`; NaN elsewhere."""
    model, background, residual = (np.full(spectra.y.shape, np.nan) for _ in range(3))
    row_of = {int(number): row for row, number in enumerate(spectra.number)}
    delta_d = dict(zip(parameters.group.tolist(), parameters.delta_d, strict=True))
    for pattern, shapes, fit in zip(problem.patterns, state.shapes, state.linear, strict=True):
        row = row_of[pattern.group]
        edges = spectra.edges_of(row) * pattern.difc
        use = np.flatnonzero(
            (edges[:-1] >= pattern.edges[0] * (1 - 1e-9)) & (edges[1:] <= pattern.edges[-1] * (1 + 1e-9))
        )
        own = edges[use[0] : use[-1] + 2]
        splines = background_splines(
            own / pattern.difc, pattern.edges / pattern.difc, delta_d[pattern.group], pattern.focus
        )
        columns = design(replace(pattern, edges=own, y=np.zeros(len(use)), background=splines), shapes.in_bins(own))
        total = fit.coefficients @ columns
        unit = np.interp(own[:-1], pattern.edges[:-1], pattern.unit)
        model[row, use] = total
        background[row, use] = fit.coefficients[pattern.columns :] @ columns[pattern.columns :]
        residual[row, use] = (spectra.y[row, use] - total) / np.sqrt(np.maximum(unit * total, 1e-300))
    return _like(spectra, model, "joint fit"), _like(spectra, background, "background"), residual


def _like(spectra: Spectra, y: FloatArray, title: str) -> Spectra:
    return replace(spectra, y=y, e=np.zeros_like(y), title=f"{spectra.title} {title}".strip())


def pattern_lines(
    problem: Problem,
    solution: Solution,
    reflections: Reflections,
    phases: Sequence[Phase],
    deviations: Deviations | None,
    factor: float,
) -> PatternLines:
    """All areas with their errors and shapes; errors are multiplied by `factor`."""
    everything = [reflections, *(phase.reflections for phase in phases)]
    rows: list[tuple] = []
    for index, (pattern, shapes, fit) in enumerate(
        zip(problem.patterns, solution.state.shapes, solution.state.linear, strict=True)
    ):
        error = factor * _area_errors(fit)
        held = _held_out(deviations, index, factor)
        members = [np.flatnonzero(pattern.column == column) for column in range(pattern.columns)]
        leading = np.array([own[np.argmax(pattern.strength[own])] for own in members])
        tops = crests(shapes.peaks[leading], shapes.share[leading])
        for column, (own, strongest, top) in enumerate(zip(members, leading, tops, strict=True)):
            phase = int(pattern.phase[own[0]])
            hkl = everything[phase].hkl[np.argmin(np.abs(everything[phase].d - pattern.d[strongest]))]
            t0 = float(np.average(shapes.peaks[own, :, 0].mean(axis=1), weights=pattern.strength[own]))
            place, fwhm, height = top
            maximum = place - shapes.peaks[strongest, :, 0].mean()
            area = float(fit.coefficients[column])
            d = float(np.average(pattern.d[own], weights=pattern.strength[own]))
            seen = held.get(column, (np.nan, np.nan))
            shape = shapes.peaks[strongest].mean(axis=0)
            numbers = (d, t0, area, error[column], fwhm, maximum, area * height, shape, *seen)
            rows.append((pattern.group, phase, hkl, *numbers))
    groups, of_phase, indices, *values = zip(*rows, strict=True)
    return PatternLines(
        np.array(groups, np.int32),
        np.array(of_phase, np.int32),
        np.array(indices, np.int32).reshape(-1, 3),
        *(np.array(column, np.float64) for column in values),
    )


def _held_out(deviations: Deviations | None, index: int, factor: float) -> dict[int, tuple[float, float]]:
    if deviations is None:
        return {}
    rows = np.flatnonzero(deviations.group == index)
    error = factor * np.hypot(deviations.error, deviations.foreseen)
    return {int(deviations.column[r]): (float(deviations.deviation[r]), float(error[r])) for r in rows}


def _area_errors(fit: LinearFit) -> FloatArray:
    """float64[c]: standard errors of the areas by the counts; that of an area at 0 as if it were free."""
    square = (fit.columns * fit.weight) @ fit.columns.T
    norm = np.sqrt(np.maximum(np.diag(square), 1e-300))
    inverse = np.linalg.pinv(square / np.outer(norm, norm), rcond=1e-10, hermitian=True)
    return np.sqrt(np.maximum(np.diag(inverse), 0.0)) / norm
