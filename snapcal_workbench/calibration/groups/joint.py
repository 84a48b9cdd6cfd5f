"""The group step by the joint fit: from a `PatternFit` to results, a table of peaks and curves.

A peak's row in the fit table says where the peak is, by itself: where the fit puts it, plus its deviation from there.
The place is that of the convention (`convention`). A peak is *used* when its area is significant and its place was
compared with the others' prediction; a weaker one takes part in the fit, but its place means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.groups.convention import CurveTerms, convention_table, curve_terms, group_curve
from snapcal_workbench.calibration.groups.group_terms import TERMS
from snapcal_workbench.calibration.groups.pattern.fit import PatternOptions, fit_pattern
from snapcal_workbench.calibration.peaks.peakfit import JOINT, JOINT_PARAMETERS, chi2_limit
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    GroupParameters,
    GroupResults,
    Reflections,
    Spectra,
)
from snapcal_workbench.calibration.types.pattern import (
    Convention,
    JointAccount,
    Later,
    ModeratorProfile,
    PatternFit,
    Phase,
)
from snapcal_workbench.calibration.units import FWHM_PER_SIGMA
from snapcal_workbench.options import GroupOptions
from snapcal_workbench.progress import Progress

SIGNIFICANT = 4.0
"""A peak's area must be this many of its standard errors to count as seen."""
CONVENTION_D = np.array([0.5, 0.7, 1.0, 1.4, 1.9, 2.5, 3.2])
"""d-spacings (A) at which the difference of the conventions is told."""
EXCLUDED = "excluded by the user"


def fit_groups(
    spectra: Spectra,
    table: DiffCalTable,
    parameters: GroupParameters,
    reflections: Reflections,
    peaks: Mapping[int, ExpectedPeaks],
    *,
    first: FitTable,
    options: GroupOptions,
    profile: ModeratorProfile,
    before: PatternFit | None = None,
    phases: Sequence[Phase] = (),
    search: bool = True,
    progress: Progress,
) -> PatternFit:
    """The joint fit with the options of the group step.

    Args:
        spectra, table, parameters, reflections, profile, phases: As of `fit_pattern`.
        peaks: Expected peaks; those that the user excludes do not count.
        first: Single peak fits, from which the groups' shifts are guessed.
        options: Of the step.
        before: Joint fit with an earlier table; its terms are taken over, and its profile.
        search: Whether terms are looked for where there is no earlier fit.
        progress: Reported to.
    """
    return fit_pattern(
        spectra,
        table,
        parameters,
        reflections,
        profile=profile,
        phases=phases,
        left_out=_excluded(peaks, parameters),
        shifts=shifts_of(first, parameters),
        start=before,
        options=PatternOptions(hold_out=search and before is None),
        progress=progress,
    )


def shifts_of(fits: FitTable, parameters: GroupParameters) -> dict[int, float]:
    """ln(d seen / d expected) of each group: the median over its used peaks, weighed by their errors."""
    shifts = {}
    for group in parameters.group.tolist():
        rows = np.flatnonzero((fits.group == group) & fits.used & np.isfinite(fits.centre))
        if len(rows):
            strain = np.log(fits.centre[rows] / fits.d[rows])
            order = np.argsort(strain)
            weight = np.cumsum((fits.d[rows] / fits.centre_error[rows])[order])
            shifts[group] = float(strain[order][np.searchsorted(weight, 0.5 * weight[-1])])
    return shifts


def _excluded(peaks: Mapping[int, ExpectedPeaks], parameters: GroupParameters) -> dict[int, list[tuple[float, float]]]:
    """Ranges of d about the peaks that the user excludes: five widths to either side."""
    delta_d = dict(zip(parameters.group.tolist(), parameters.delta_d, strict=True))
    return {
        group: [
            (d * (1.0 - 5.0 * delta_d[group]), d * (1.0 + 5.0 * delta_d[group]))
            for _, d, reason in expected.dropped
            if reason == EXCLUDED
        ]
        for group, expected in peaks.items()
        if group in delta_d
    }


def joint_results(fit: PatternFit, parameters: GroupParameters, *, options: GroupOptions) -> GroupResults:
    """Terms of each group of `parameters`; model "" and NaN where it has no pattern or too few peaks.

    Its peaks are all the calibrant's reflections in the pattern: the fit also takes those that overlap with others.
    """
    n = len(parameters)
    value, error = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
    model, chi2 = [""] * n, np.full(n, np.nan)
    used, expected = np.zeros(n, np.int32), np.zeros(n, np.int32)
    left = []
    models = tuple(TERMS) if options.model == "recommended" else (options.model,)
    for index, group in enumerate(fit.group.tolist()):
        place = int(np.searchsorted(parameters.group, group))
        used[place] = np.count_nonzero(seen_lines(fit, group))
        expected[place] = np.count_nonzero(own_lines(fit, group))
        chi2[place] = fit.chi2[index]
        if used[place] < options.min_peaks:
            continue
        if fit.chi2[index] > pattern_limit(fit, index, options):
            used[place] = 0
            continue
        terms = _terms(fit, parameters, index, models, options.convention)
        model[place], value[place], error[place] = terms.model, terms.value, terms.error
        left.append(terms.left)
    return GroupResults(
        group=parameters.group,
        model=tuple(model),
        difc_focused=parameters.difc,
        difc=value[:, 0],
        difa=value[:, 1],
        tzero=value[:, 2],
        difc_error=error[:, 0],
        difa_error=error[:, 1],
        tzero_error=error[:, 2],
        peaks_used=used,
        peaks_expected=expected,
        chi2=chi2,
        criterion=_criterion(fit, options.convention, max(left, default=np.nan)),
    )


def _terms(
    fit: PatternFit, parameters: GroupParameters, index: int, models: Sequence[str], convention: Convention
) -> CurveTerms:
    """The terms of a group. A DIFC that has to stand for a curve alone is that of the peaks, not of the whole range."""
    d = None
    if tuple(models) == ("DIFC",):
        own = fit.lines.d[seen_lines(fit, int(fit.group[index]))]
        d = own[(own >= fit.d_min[index]) & (own <= fit.d_max[index])]
    return curve_terms(group_curve(fit, parameters, index, convention, d), models)


def pattern_limit(fit: PatternFit, index: int, options: GroupOptions) -> float:
    """Largest chi-squared per degree of freedom of a group's pattern, as that of a single peak.

    A run of something else has none: its pattern is not that of the calibrant, which the verdict says.
    """
    return np.inf if options.any_calibrant else chi2_limit(float(fit.neutrons[index]), options)


def own_lines(fit: PatternFit, group: int) -> NDArray[np.bool_]:
    """bool[n]: the calibrant's reflections in a group's pattern."""
    return (fit.lines.group == group) & (fit.lines.phase == 0)


def seen_lines(fit: PatternFit, group: int) -> NDArray[np.bool_]:
    """bool[n]: the calibrant's peaks of a group whose area is significant."""
    return own_lines(fit, group) & (fit.lines.area > SIGNIFICANT * fit.lines.area_error)


def _criterion(fit: PatternFit, convention: Convention, left: float) -> str:
    """How well the fit foresees peaks and the table represents the fit; the models tried are in the `JointAccount`."""
    groups = f"The {len(fit)} groups were" if len(fit) > 1 else "The group was"
    kept = [p for p in fit.predictions if p.kept]
    foreseen = f"peaks that were held out are foreseen within {kept[-1].rms_ppm:.0f} ppm (rms); " if kept else ""
    place = "the maximum of a peak" if convention == "maximum" else "T0 of a peak"
    return f"{groups} fitted together: {foreseen}the table gives {place} within {1e6 * left:.0f} ppm (rms) of the fit."


def joint_fit_table(
    fit: PatternFit, spectra: Spectra, peaks: Mapping[int, ExpectedPeaks], convention: Convention
) -> FitTable:
    """The expected peaks as the joint fit sees them, one row each, in the order of group and d."""
    lines, rows = fit.lines, []
    difc = dict(zip(fit.group.tolist(), fit.difc_focused, strict=True))
    for group in sorted(set(peaks) & set(difc)):
        own = np.flatnonzero((lines.group == group) & (lines.phase == 0))
        expected = peaks[group]
        for i in range(len(expected)):
            line = own[np.argmin(np.abs(lines.d[own] - expected.d[i]))]
            rows.append(_row(fit, spectra, expected, i, int(line), difc[group], convention))
    columns: list[tuple] = list(zip(*rows, strict=True)) if rows else [()] * 13
    groups, hkl, d, centre, error, sigma, height, area, chi2, why, low, high, parameters = columns
    return FitTable(
        group=np.array(groups, np.int32),
        hkl=np.array(hkl, np.int32).reshape(-1, 3),
        d=np.array(d, float),
        centre=np.array(centre, float),
        centre_error=np.array(error, float),
        sigma=np.array(sigma, float),
        height=np.array(height, float),
        intensity=np.array(area, float),
        chi2=np.array(chi2, float),
        used=np.array([not reason for reason in why], bool),
        why_not=tuple(why),
        window_min=np.array(low, float),
        window_max=np.array(high, float),
        parameters=np.array(parameters, float).reshape(-1, len(JOINT_PARAMETERS)),
        parameter_names=JOINT_PARAMETERS,
        profile=JOINT,
    )


def _row(
    fit: PatternFit,
    spectra: Spectra,
    expected: ExpectedPeaks,
    i: int,
    line: int,
    difc: float,
    convention: Convention,
) -> tuple:
    lines = fit.lines
    place = lines.tof[line] + (lines.maximum[line] if convention == "maximum" else 0.0)
    deviation, error = lines.deviation[line], lines.deviation_error[line]
    why = ""
    if not lines.area[line] > SIGNIFICANT * lines.area_error[line]:
        why = f"no peak above the noise (area {lines.area[line]:.3g} +- {lines.area_error[line]:.2g})"
    elif not np.isfinite(deviation):
        why = "too weak for its place to be compared with the other peaks"
    row = int(np.flatnonzero(spectra.number == expected.group)[0])
    edges = spectra.edges_of(row)
    at = int(np.clip(np.searchsorted(edges, place / difc) - 1, 0, len(edges) - 2))
    inside = (edges[:-1] >= expected.window_min[i]) & (edges[1:] <= expected.window_max[i])
    pull = fit.residual[row, inside]
    chi2 = float(np.nanmean(pull**2)) if np.isfinite(pull).any() else np.nan
    return (
        expected.group,
        tuple(expected.hkl[i]),
        expected.d[i],
        place / difc * (1.0 + (deviation if np.isfinite(deviation) else 0.0)),
        (error if np.isfinite(error) else np.nan) * place / difc,
        lines.fwhm[line] / FWHM_PER_SIGMA / difc,
        lines.height[line] * (edges[at + 1] - edges[at]) * difc,
        lines.area[line],
        chi2,
        why,
        expected.window_min[i],
        expected.window_max[i],
        _parameters(fit, row, inside, line, difc),
    )


def _parameters(fit: PatternFit, row: int, inside: NDArray[np.bool_], line: int, difc: float) -> tuple[float, ...]:
    """Of the peak in d-spacing, see `peaks.peakfit.JOINT_PARAMETERS`."""
    t0, alpha, beta, slow, part, sigma, box = fit.lines.shape[line]
    edges = fit.background.edges_of(row)
    x, y = 0.5 * (edges[1:] + edges[:-1])[inside], (fit.background.y[row] / np.diff(edges))[inside]
    finite = np.isfinite(y)
    slope, level = np.polyfit(x[finite] - t0 / difc, y[finite], 1) if np.count_nonzero(finite) > 1 else (0.0, 0.0)
    peak = (t0 / difc, alpha * difc, beta * difc, slow * difc, part, sigma / difc, box / difc)
    return (float(fit.lines.area[line]), *peak, float(level), float(slope))


def joint_account(
    fit: PatternFit, parameters: GroupParameters, known: ModeratorProfile, convention: Convention
) -> JointAccount:
    """What is to be kept of a joint fit.

    Args:
        fit: The joint fit.
        parameters: Of the groups.
        known: The moderator's profile that was known before.
        convention: What DIFC refers to.
    """
    table = convention_table(fit, parameters, CONVENTION_D)
    later = [
        Later(int(group), float(d), float(1e6 * table[i, j]))
        for i, group in enumerate(fit.group)
        for j, d in enumerate(CONVENTION_D)
        if np.isfinite(table[i, j])
    ]
    return JointAccount(
        convention=convention,
        model=fit.layout.text(),
        chi2=fit.chi2_whole,
        error_factor=fit.error_factor,
        loss=fit.loss,
        predictions=fit.predictions,
        profile_names=fit.profile.names,
        profile_value=tuple(fit.profile.value.tolist()),
        profile_error=tuple(np.sqrt(np.diag(fit.profile.covariance)).tolist()),
        profile_version=known.version,
        profile_runs=known.runs,
        later=tuple(later),
        converged=fit.converged,
    )
