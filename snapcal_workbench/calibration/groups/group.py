"""Group calibration: the Bragg peaks of each group put its pixels on the absolute scale.

The focused spectrum of a group is in d-spacing as its pixels' table gives it. `fit_group_terms` finds what has to be
done to that d-spacing, in terms of an arbitrary DIFC_arb (of the group's mean position); `combine` carries it over to
the pixels.

Combination. A pixel with DIFC0, DIFA0, TZERO0 puts an event at d_obs: TOF = DIFC0 d_obs + DIFA0 d_obs^2 + TZERO0. The
fit says d_obs = a d + c d^2 + beta, with a = DIFC / DIFC_arb, c = DIFA / DIFC_arb, beta = TZERO / DIFC_arb. Inserted
and ordered by powers of d:

    DIFC  = a DIFC0 + 2 a beta DIFA0
    DIFA  = c DIFC0 + (a^2 + 2 beta c) DIFA0
    TZERO = TZERO0 + beta DIFC0 + beta^2 DIFA0

What is left, DIFA0 (2 a c d^3 + c^2 d^4), has no place in the table; it is an error if it matters (`MAX_DROPPED`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.groups.group_terms import (
    SeenPeaks,
    TermsFit,
    compare,
    find_outliers,
    fit_terms,
    models_for,
)
from snapcal_workbench.calibration.groups.joint import fit_groups, joint_fit_table, joint_results
from snapcal_workbench.calibration.groups.pattern.fit import UNKNOWN_PROFILE
from snapcal_workbench.calibration.peaks.comb import follow_shift
from snapcal_workbench.calibration.peaks.peakfit import fit_peaks, fitted_curves
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    FloatArray,
    GroupCalibration,
    GroupParameters,
    GroupResults,
    MaskReason,
    ModeratorProfile,
    PatternFit,
    PixelGrouping,
    PixelMask,
    Reflections,
    Spectra,
)
from snapcal_workbench.calibration.types.pattern import Phase
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.options import GroupOptions
from snapcal_workbench.progress import Progress

MAX_DROPPED = 5e-5
"""Largest relative size of the terms in TOF that a combined table cannot hold."""
USUAL_D_MAX = 5.0
"""Largest d-spacing (A) at which the dropped terms are judged where nothing else is said."""


def calibrate_groups(
    spectra: Spectra,
    table: DiffCalTable,
    grouping: PixelGrouping,
    mask: PixelMask,
    parameters: GroupParameters,
    peaks: Mapping[int, ExpectedPeaks],
    *,
    reflections: Reflections | None = None,
    profile: ModeratorProfile = UNKNOWN_PROFILE,
    before: PatternFit | None = None,
    phases: Sequence[Phase] = (),
    options: GroupOptions,
    progress: Progress,
) -> GroupCalibration:
    """Fit the peaks of the focused spectra, and correct the table so that they lie where they are expected.

    A group that lies off by more than its resolution is searched for its peaks first, and the windows follow. Single
    fits of the expected peaks are the result (method "peaks"), or the start of the fit of all patterns ("joint"). A
    group with too few usable peaks is masked, with a warning.

    Args:
        spectra: Focused with `table`, in d-spacing; numbers are group ids.
        table: Calibration so far.
        grouping: Group of each pixel.
        mask: Pixels not in use.
        parameters: Of the groups.
        peaks: Expected peaks by group id.
        reflections: Of the calibrant, for the joint fit; without them, peaks are fitted one by one.
        profile: What is known of the moderator's pulse, for the joint fit.
        before: Joint fit of the same run with an earlier table, from which this one goes on, with its terms.
        phases: Other crystals in the beam, for the joint fit.
        options: Method, peak function, limits, terms.
        progress: Reported to, warnings too.

    Raises:
        CalibrationError: If no group has enough usable peaks, or the combined terms do not fit into a table.
        Cancelled: If the user has cancelled.
    """
    followed = follow_shift(spectra, peaks, parameters, warn=progress.warn)
    joint = options.method == "joint" and reflections is not None
    fits = fit_peaks(spectra, followed, options=options, progress=progress.part(0.0, 0.3 if joint else 1.0))
    results, fits = fit_group_terms(fits, parameters, options=options)
    pattern = None
    if joint and reflections is not None:
        pattern = fit_groups(
            spectra,
            table,
            parameters,
            reflections,
            followed,
            first=fits,
            options=options,
            profile=profile,
            before=before,
            phases=phases,
            progress=progress.part(0.3, 1.0),
        )
        results = joint_results(pattern, parameters, options=options)
        fits = joint_fit_table(pattern, spectra, followed, options.convention)
        if not pattern.converged:
            progress.warn("The joint fit of the patterns did not converge; its errors may be too small.")
    failed = [int(g) for g, model in zip(results.group, results.model, strict=True) if not model]
    if len(failed) == len(results):
        fix = "Check calibrant, peak limits and thresholds, the largest chi-squared and the mask."
        if options.any_calibrant:
            fix = f"The option groups.any_calibrant was given, but without peaks nothing can be fitted. {fix}"
        raise CalibrationError("No group has enough Bragg peaks that can be used.", found=_reasons(fits), fix=fix)
    _warn(results, fits, options, progress)
    reason = mask.reason.copy()
    reason[np.isin(grouping.group, failed) & ~mask.masked] = MaskReason.GROUP_FAILED
    corrected = combine(table, grouping, results, d_max=parameters.d_max)
    return GroupCalibration(corrected, PixelMask(mask.detid, reason), fits, results, pattern)


def fitted_peaks(
    spectra: Spectra,
    table: DiffCalTable,
    parameters: GroupParameters,
    peaks: Mapping[int, ExpectedPeaks],
    *,
    reflections: Reflections | None,
    profile: ModeratorProfile,
    before: PatternFit | None,
    phases: Sequence[Phase] = (),
    options: GroupOptions,
    progress: Progress,
) -> tuple[FitTable, Spectra, PatternFit | None]:
    """How the expected peaks fit with a calibration as it is: fits, curves in the bins of the spectra, joint fit.

    Args:
        spectra: Focused with `table`, in d-spacing.
        table: The calibration.
        parameters: Of the groups.
        peaks: Expected peaks by group id.
        reflections, profile: As of `calibrate_groups`.
        before: The joint fit that the calibration comes from, if it is known.
        phases: Other crystals in the beam.
        options: Method, peak function, limits.
        progress: Reported to.
    """
    fits = fit_peaks(spectra, peaks, options=options, progress=progress.part(0.0, 0.5))
    _, fits = fit_group_terms(fits, parameters, options=options)
    if options.method == "joint" and reflections is not None and fits.used.any():
        last = progress.part(0.5, 1.0)
        pattern = fit_groups(
            spectra,
            table,
            parameters,
            reflections,
            peaks,
            first=fits,
            options=options,
            profile=profile,
            before=before,
            phases=phases,
            search=False,
            progress=last,
        )
        return joint_fit_table(pattern, spectra, peaks, options.convention), pattern.model, pattern
    return fits, fitted_curves(spectra, fits), None


def _warn(results: GroupResults, fits: FitTable, options: GroupOptions, progress: Progress) -> None:
    for group, model, used in zip(results.group, results.model, results.peaks_used, strict=True):
        if not model:
            of_group = _reasons(fits, int(group))
            progress.warn(f"Group {group} is masked: {used} usable peaks, {options.min_peaks} needed ({of_group}).")
        elif used < options.preferred_peaks:
            progress.warn(f"Group {group} has only {used} usable peaks; {options.preferred_peaks} or more are better.")


def _reasons(fits: FitTable, group: int | None = None) -> str:
    """Why peaks are not used, the most frequent reason first, numbers left out."""
    chosen = [
        why.split(" (")[0] for g, why in zip(fits.group, fits.why_not, strict=True) if why and group in (None, int(g))
    ]
    counts = sorted(((chosen.count(why), why) for why in set(chosen)), reverse=True)
    return ", ".join(f"{why} ({n})" for n, why in counts[:3]) or "no peaks expected within the limits"


def fit_group_terms(
    fits: FitTable, parameters: GroupParameters, *, options: GroupOptions
) -> tuple[GroupResults, FitTable]:
    """Terms of each group from its used peaks; the table comes back with outliers rejected.

    Args:
        fits: Fitted peaks of spectra that were focused in d-spacing.
        parameters: Of the groups; their DIFC is the arbitrary one.
        options: Model, shared terms, weights, outliers, fewest peaks.

    Returns:
        Results of every group of `parameters` (model "" and NaN with fewer than the fewest peaks), and the judged fits.
    """
    fits = _without_outliers(fits, parameters, options)
    seen, counts = _seen(fits, parameters, options.min_peaks)
    if len(seen) == 0:
        return _results(None, seen, fits, parameters, counts, "No group has enough peaks for a comparison."), fits
    comparison = compare(seen)
    model: str = options.model
    if model == "recommended":
        model = comparison.recommended(shared=options.shared_terms)
    fit = fit_terms(
        seen,
        models_for(seen, model, shared=options.shared_terms),
        shared=options.shared_terms,
        variance=seen.variance(comparison.kappa),
        by_height=options.weights == "height squared",
    )
    text = comparison.text(shared=options.shared_terms)
    return _results(fit, seen, fits, parameters, counts, text, comparison.kappa), fits


def _usable(fits: FitTable) -> NDArray[np.bool_]:
    return fits.used & np.isfinite(fits.centre) & (fits.centre_error > 0) & np.isfinite(fits.centre_error)


def _seen(fits: FitTable, parameters: GroupParameters, min_peaks: int) -> tuple[SeenPeaks, NDArray[np.intp]]:
    """The used peaks of the groups that have enough of them, and intp[groups]: all used peaks."""
    index = np.searchsorted(parameters.group, fits.group)
    known = np.isin(fits.group, parameters.group) & _usable(fits)
    counts = np.bincount(index[known], minlength=len(parameters))
    rows = np.flatnonzero(known)
    rows = rows[counts[index[rows]] >= min_peaks]
    return (
        SeenPeaks(
            group=index[rows],
            groups=len(parameters),
            d=fits.d[rows],
            seen=fits.centre[rows],
            error=fits.centre_error[rows],
            sigma=fits.sigma[rows],
            height=fits.height[rows],
            difc=parameters.difc,
        ),
        counts,
    )


def _without_outliers(fits: FitTable, parameters: GroupParameters, options: GroupOptions) -> FitTable:
    if options.outlier_sigmas is None:
        return fits
    rows = np.flatnonzero(np.isin(fits.group, parameters.group) & _usable(fits))
    everything = replace(fits, used=_usable(fits))
    seen, _ = _seen(everything, parameters, 1)
    reasons = find_outliers(seen, limit=options.outlier_sigmas, min_peaks=options.min_peaks)
    used, why_not = fits.used.copy(), list(fits.why_not)
    for i, reason in reasons.items():
        used[rows[i]], why_not[rows[i]] = False, reason
    return replace(fits, used=used, why_not=tuple(why_not))


def _results(
    fit: TermsFit | None,
    seen: SeenPeaks,
    fits: FitTable,
    parameters: GroupParameters,
    counts: NDArray[np.intp],
    criterion: str,
    kappa: float = 0.0,
) -> GroupResults:
    n = len(parameters)
    missing = np.array([fit is None or not fit.models[i] for i in range(n)], bool)
    value = np.full((n, 3), np.nan) if fit is None else np.where(missing[:, None], np.nan, fit.value)
    error = np.full((n, 3), np.nan) if fit is None else fit.error
    return GroupResults(
        group=parameters.group,
        model=("",) * n if fit is None else fit.models,
        difc_focused=parameters.difc,
        difc=value[:, 0],
        difa=value[:, 1],
        tzero=value[:, 2],
        difc_error=error[:, 0],
        difa_error=error[:, 1],
        tzero_error=error[:, 2],
        peaks_used=counts.astype(np.int32),
        peaks_expected=np.array([np.count_nonzero(fits.group == g) for g in parameters.group], np.int32),
        chi2=np.full(n, np.nan) if fit is None else _chi2(fit, seen, kappa),
        criterion=criterion,
    )


def _chi2(fit: TermsFit, seen: SeenPeaks, kappa: float) -> FloatArray:
    """float64[groups], per degree of freedom; a group's terms are the sum of its peaks' leverages."""
    total = np.bincount(seen.group, weights=fit.residual**2 / seen.variance(kappa), minlength=seen.groups)
    spare = seen.counts() - np.bincount(seen.group, weights=fit.leverage, minlength=seen.groups)
    return np.where(spare > 0.5, total / np.where(spare > 0.5, spare, 1.0), np.nan)


def combine(
    table: DiffCalTable, grouping: PixelGrouping, results: GroupResults, *, d_max: FloatArray | float = USUAL_D_MAX
) -> DiffCalTable:
    """The table with each group's terms carried over to its pixels; pixels of groups without results stay as they are.

    Args:
        table: Calibration that the spectra were focused with.
        grouping: Group of each pixel of the table.
        results: Fitted terms of the groups.
        d_max: Largest d-spacing (A) that matters, of all groups or of each, at which the dropped terms are judged.

    Raises:
        InputError: If table and grouping are not of the same pixels.
        CalibrationError: If the terms that a table cannot hold matter.
    """
    if not np.array_equal(table.detid, grouping.detid):
        raise InputError(
            "Table and grouping must be of the same pixels.",
            found=f"{len(table)} and {len(grouping.detid)} pixels",
            fix="Use a table and a grouping made for the same instrument, native or lite.",
        )
    a, c, beta, d = _per_pixel(grouping, results, d_max)
    size = float(np.max(np.abs(table.difa * (2.0 * a * c * d**2 + c**2 * d**3) / (a * table.difc)), initial=0.0))
    if size > MAX_DROPPED:
        raise CalibrationError(
            "The groups' DIFA cannot be combined with the DIFA that the pixels have.",
            found=f"terms of third order of {1e6 * size:.0f} ppm at the largest d, {1e6 * MAX_DROPPED:.0f} ppm allowed",
            fix="Fit DIFC and TZERO only, or start from a calibration without DIFA.",
        )
    return DiffCalTable(
        detid=table.detid,
        difc=a * table.difc + 2.0 * a * beta * table.difa,
        difa=c * table.difc + (a**2 + 2.0 * beta * c) * table.difa,
        tzero=table.tzero + beta * table.difc + beta**2 * table.difa,
    )


def _per_pixel(
    grouping: PixelGrouping, results: GroupResults, d_max: FloatArray | float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """a, c, beta and largest d of every pixel: 1, 0, 0 and 0 where its group has no result."""
    a, c, beta, d = np.concatenate([np.ones((1, len(grouping.detid))), np.zeros((3, len(grouping.detid)))])
    limits = np.broadcast_to(d_max, len(results))
    for i, group in enumerate(results.group):
        if results.model[i]:
            pixels = grouping.group == group
            a[pixels] = results.difc[i] / results.difc_focused[i]
            c[pixels] = results.difa[i] / results.difc_focused[i]
            beta[pixels] = results.tzero[i] / results.difc_focused[i]
            d[pixels] = limits[i]
    return a, c, beta, d
