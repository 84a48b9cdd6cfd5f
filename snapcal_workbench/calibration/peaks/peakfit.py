"""Fits of the expected Bragg peaks of all groups, and which of them can be used.

A peak that cannot be fitted is not an error: its row in the table says why it is not used. A fit is used when its peak
stands out of the noise and its chi-squared is below a limit. A shape that is wrong by a relative amount q adds about
q^2 N to chi-squared, with N neutrons a bin, so the limit may grow with N (`GroupOptions.chi2_grows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.peaks.pattern_kernels import densities
from snapcal_workbench.calibration.peaks.profiles import PROFILES, Profile
from snapcal_workbench.calibration.peaks.windowfit import Window, WindowFit, counts, fit_window, parameter_names
from snapcal_workbench.calibration.types import ExpectedPeaks, FitTable, FloatArray, Spectra
from snapcal_workbench.calibration.units import FWHM_PER_SIGMA
from snapcal_workbench.errors import InputError
from snapcal_workbench.options import GroupOptions
from snapcal_workbench.progress import Progress

SIGNIFICANT = 4.0
"""A peak's area must be this many of its standard errors."""
SHAPE_ERROR = 0.1
"""Relative error q of the peak shape that a growing limit of chi-squared forgives."""


JOINT = "Joint"
"""Name of the profile of peaks that were fitted together with all others."""
JOINT_PARAMETERS = ("area", "t0", "alpha", "beta", "slow", "part", "sigma", "box", "background", "slope")
"""Area in counts; the peak as in `pattern_kernels`, in A and 1/A; background (counts per A) at t0, and its slope."""


def fit_peaks(
    spectra: Spectra, peaks: Mapping[int, ExpectedPeaks], *, options: GroupOptions, progress: Progress
) -> FitTable:
    """Fit every expected peak of every group, in ascending order of group and d.

    Args:
        spectra: Focused, in d-spacing; their numbers are group ids.
        peaks: Expected peaks by group id; groups without a spectrum are left out.
        options: Peak function and limits.
        progress: Reported to, peak by peak.

    Raises:
        InputError: If the spectra are not in d-spacing.
        Cancelled: If the user has cancelled.
    """
    if spectra.unit != "dSpacing":
        raise InputError(
            "Peaks are fitted in d-spacing.", found=f"spectra in {spectra.unit}", fix="Focus the run in d-spacing."
        )
    profile = PROFILES[options.peak_function]
    rows: list[_Row] = []
    order = [int(i) for i in np.argsort(spectra.number, kind="stable") if int(spectra.number[i]) in peaks]
    todo = [(i, peaks[int(spectra.number[i])], p) for i in order for p in range(len(peaks[int(spectra.number[i])]))]
    for index, expected, peak in todo:
        progress.report(len(rows) / len(todo), f"Fitting the peaks of group {expected.group}")
        rows.append(_fit_one(spectra, index, expected, peak, profile, options))
    return _table(rows, profile)


def fitted_curves(spectra: Spectra, fits: FitTable) -> Spectra:
    """The fitted curves in the bins of the spectra: counts inside the windows, NaN outside; errors are 0."""
    curves = np.full(spectra.y.shape, np.nan)
    row_of = {int(number): i for i, number in enumerate(spectra.number)}
    joint = fits.profile == JOINT
    profile = PROFILES["Gaussian"] if joint else profile_named(fits.profile)
    for i, group in enumerate(fits.group):
        row = row_of.get(int(group))
        if row is None or not np.isfinite(fits.parameters[i]).all():
            continue
        edges = spectra.edges_of(row)
        x = 0.5 * (edges[1:] + edges[:-1])
        use = (x >= fits.window_min[i]) & (x <= fits.window_max[i])
        if joint:
            curves[row, use] = _joint_counts(fits, i, x[use], np.diff(edges)[use])
        else:
            curves[row, use] = counts(profile, fits.parameters[i], edges[:-1][use], edges[1:][use])
    return Spectra(
        edges=spectra.edges,
        y=curves,
        e=np.zeros_like(curves),
        unit=spectra.unit,
        detids=spectra.detids,
        number=spectra.number,
        title=f"{spectra.title} fitted".strip(),
        run=spectra.run,
    )


def _joint_counts(fits: FitTable, i: int, x: FloatArray, width: FloatArray) -> FloatArray:
    """Counts of bins in the window of peak i: all peaks of its group, on its background."""
    level, slope = fits.parameters[i, -2:]
    total = level + slope * (x - fits.parameters[i, 1])
    for peak in fits.parameters[(fits.group == fits.group[i]) & np.isfinite(fits.parameters).all(axis=1)]:
        total = total + peak[0] * densities(x, np.ascontiguousarray(peak[None, 1:8]), np.ones(1))
    return total * width


def profile_named(name: str) -> Profile:
    """The peak shape of a fit table.

    Raises:
        InputError: If there is no such shape.
    """
    for profile in PROFILES.values():
        if profile.name == name:
            return profile
    raise InputError("Unknown peak function.", found=name, fix=f"Use one of {', '.join(PROFILES)}.")


@dataclass(frozen=True, eq=False)
class _Row:
    """One expected peak with its fit, and why it is not used ("" if it is)."""

    expected: ExpectedPeaks
    index: int
    fit: WindowFit
    sigma: float
    height: float
    why_not: str


def _fit_one(
    spectra: Spectra, index: int, expected: ExpectedPeaks, i: int, profile: Profile, options: GroupOptions
) -> _Row:
    edges = spectra.edges_of(index)
    low, high = float(expected.window_min[i]), float(expected.window_max[i])
    window = Window.cut(edges, spectra.y[index], spectra.e[index], low, high)
    likelihood = options.peak_weights == "likelihood"
    fit = fit_window(window if likelihood else window.with_equal_bins(), profile, likelihood=likelihood)
    why_not = fit.problem or _objection(fit, options)
    if not np.isfinite(fit.parameters).all():
        return _Row(expected, i, fit, np.nan, np.nan, why_not)
    area, centre, *shape, _, _ = fit.parameters
    fwhm, top = profile.fwhm_and_top(np.array(shape))
    bin_width = float(np.interp(centre, window.x, window.width))
    return _Row(expected, i, fit, fwhm / FWHM_PER_SIGMA, area * top * bin_width, why_not)


def _objection(fit: WindowFit, options: GroupOptions) -> str:
    """Why a fit that worked is not used all the same; "" if it is."""
    area = fit.parameters[0]
    if not area > SIGNIFICANT * fit.area_error:
        return f"no peak above the noise (area {area:.3g} +- {fit.area_error:.2g})"
    limit = chi2_limit(fit.neutrons, options)
    if not fit.chi2 <= limit:
        return f"chi-squared {fit.chi2:.3g} above the limit {limit:.3g}"
    return ""


def chi2_limit(neutrons: float, options: GroupOptions) -> float:
    """Largest chi-squared per degree of freedom of a fit to a mean number of neutrons a bin."""
    return options.max_chi2 + (SHAPE_ERROR**2 * neutrons if options.chi2_grows else 0.0)


def _table(rows: Sequence[_Row], profile: Profile) -> FitTable:
    names = parameter_names(profile)
    failed = [bool(row.fit.problem) or not np.isfinite(row.fit.parameters).all() for row in rows]
    column = {
        "d": [row.expected.d[row.index] for row in rows],
        "centre": [np.nan if bad else row.fit.parameters[1] for row, bad in zip(rows, failed, strict=True)],
        "centre_error": [np.nan if bad else row.fit.centre_error for row, bad in zip(rows, failed, strict=True)],
        "sigma": [row.sigma for row in rows],
        "height": [row.height for row in rows],
        "intensity": [row.fit.parameters[0] for row in rows],
        "chi2": [row.fit.chi2 for row in rows],
        "window_min": [row.expected.window_min[row.index] for row in rows],
        "window_max": [row.expected.window_max[row.index] for row in rows],
    }
    return FitTable(
        group=np.array([row.expected.group for row in rows], np.int32),
        hkl=np.array([row.expected.hkl[row.index] for row in rows], np.int32).reshape(-1, 3),
        used=np.array([row.why_not == "" for row in rows], bool),
        why_not=tuple(row.why_not for row in rows),
        parameters=np.array([row.fit.parameters for row in rows], float).reshape(-1, len(names)),
        parameter_names=names,
        profile=profile.name,
        **{name: np.array(values, float) for name, values in column.items()},
    )
