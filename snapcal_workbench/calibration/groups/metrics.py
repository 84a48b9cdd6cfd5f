"""Quality figures of each group, from fits of spectra that were focused after the group correction.

strain = (d_obs - d_ref) / d_ref is the relative error that is left. SNAPRed calls (d_ref - d_obs) / sigma "strain": the
deviation in widths of the peak, of the opposite sign; both are given. Means and standard deviations (population) are
over the used peaks; a group without used peaks has NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snapcal_workbench.calibration.peaks.peakfit import fitted_curves
from snapcal_workbench.calibration.types import FitTable, FloatArray, GroupMetrics, GroupParameters, Spectra


def group_metrics(spectra: Spectra, fits: FitTable, parameters: GroupParameters) -> GroupMetrics:
    """The figures of every group of `parameters`.

    Args:
        spectra: Focused, in d-spacing; numbers are group ids.
        fits: Their fitted peaks.
        parameters: Of the groups.
    """
    of_group = [fits.used & (fits.group == group) for group in parameters.group]
    sigma, deviation = fits.sigma / fits.centre, (fits.d - fits.centre) / fits.sigma

    def over(value: FloatArray, statistic: Callable[[FloatArray], float]) -> FloatArray:
        return np.array([statistic(value[rows]) if rows.any() else np.nan for rows in of_group])

    rejected = [np.count_nonzero(~fits.used & (fits.group == group)) for group in parameters.group]
    return GroupMetrics(
        group=parameters.group,
        two_theta=parameters.two_theta,
        sigma=over(sigma, np.mean),
        sigma_std=over(sigma, np.std),
        strain=over(fits.strain, np.median),
        strain_std=over(fits.strain, np.std),
        snapred_strain=over(deviation, np.mean),
        snapred_strain_std=over(deviation, np.std),
        chi2=over(fits.chi2, np.median),
        residual=_residual(spectra, fits, parameters),
        peaks_used=np.array([np.count_nonzero(rows) for rows in of_group], np.int32),
        peaks_rejected=np.array(rejected, np.int32),
    )


def _residual(spectra: Spectra, fits: FitTable, parameters: GroupParameters) -> FloatArray:
    """float64[g]: rms of (data - fit) / error within the windows of used peaks, where the error is not 0."""
    used = replace(fits, parameters=np.where(fits.used[:, None], fits.parameters, np.nan))
    fitted = fitted_curves(spectra, used).y
    row_of = {int(number): i for i, number in enumerate(spectra.number)}
    residual = np.full(len(parameters), np.nan)
    for i, group in enumerate(parameters.group):
        row = row_of.get(int(group))
        if row is None:
            continue
        use = np.isfinite(fitted[row]) & (spectra.e[row] > 0) & np.isfinite(spectra.y[row])
        if use.any():
            pull = (spectra.y[row, use] - fitted[row, use]) / spectra.e[row, use]
            residual[i] = np.sqrt(np.mean(pull**2))
    return residual
