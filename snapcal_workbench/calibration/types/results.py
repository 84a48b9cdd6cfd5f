"""What the steps of a calibration found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray, check_lengths
from snapcal_workbench.calibration.types.pattern import PatternFit
from snapcal_workbench.calibration.types.pixels import DiffCalTable, Geometry, PixelMask


@dataclass(frozen=True, eq=False)
class PixelResults:
    """What the pixel calibration found for each pixel.

    Attributes:
        detid: int32[n].
        shift: float64[n], ln(difc_final / difc_start) as applied; 0 for masked and ungrouped pixels.
        sigma: float64[n], standard error of `shift`, prior included; inf where the data say nothing.
        own_shift: float64[n], the estimate from the pixel's own events alone.
        own_sigma: float64[n], its standard error (the Cramer-Rao bound for a likelihood estimate).
        events: float64[n], counts that took part.
        chi2: float64[n], goodness of fit per degree of freedom; NaN where there is none.
        reason: uint8[n], `MaskReason`.
    """

    detid: IntArray
    shift: FloatArray
    sigma: FloatArray
    own_shift: FloatArray
    own_sigma: FloatArray
    events: FloatArray
    chi2: FloatArray
    reason: NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_lengths(self, **{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True, eq=False)
class FitTable:
    """One row a fitted peak.

    Attributes:
        group: int32[p], group id.
        hkl: int32[p, 3].
        d: float64[p], expected d-spacing, A.
        centre: float64[p], fitted d-spacing, A; NaN where the fit failed.
        centre_error: float64[p], its standard error, A.
        sigma: float64[p], Gaussian-equivalent width of the peak (FWHM / 2.3548), A.
        height: float64[p], counts per bin above the background at the top.
        intensity: float64[p], area in counts.
        chi2: float64[p], chi-squared per degree of freedom.
        used: bool[p], whether it took part in the group's DIFC.
        why_not: "" where used, else the reason in words.
        window_min, window_max: float64[p], A, as fitted.
        parameters: float64[p, k], the profile's parameters, named by `parameter_names`; NaN where not fitted.
        parameter_names: Names of the k parameters.
        profile: Name of the peak function.
    """

    group: IntArray
    hkl: IntArray
    d: FloatArray
    centre: FloatArray
    centre_error: FloatArray
    sigma: FloatArray
    height: FloatArray
    intensity: FloatArray
    chi2: FloatArray
    used: NDArray[np.bool_]
    why_not: tuple[str, ...]
    window_min: FloatArray
    window_max: FloatArray
    parameters: FloatArray
    parameter_names: tuple[str, ...]
    profile: str

    def __len__(self) -> int:
        return len(self.d)

    @property
    def strain(self) -> FloatArray:
        """float64[p]: (d_observed - d_expected) / d_expected."""
        return (self.centre - self.d) / self.d


@dataclass(frozen=True, eq=False)
class GroupResults:
    """What the group calibration found for each group (ascending group ids).

    Attributes:
        group: int32[g].
        model: What was fitted, for each group: "DIFC", "DIFC+TZERO", "DIFC+DIFA" or "DIFC+DIFA+TZERO"; "" if masked.
        difc_focused: float64[g], DIFC with which the focused spectrum was made into TOF, us/A.
        difc, difa, tzero: float64[g], fitted.
        difc_error, difa_error, tzero_error: float64[g], standard errors; NaN where a term was not fitted.
        peaks_used, peaks_expected: int32[g], peaks that determine the terms, and those that could have.
        chi2: float64[g], of the fit of the terms, per degree of freedom; NaN with none.
        criterion: Text: the values of the criterion for each model that was tried, and the recommendation.
    """

    group: IntArray
    model: tuple[str, ...]
    difc_focused: FloatArray
    difc: FloatArray
    difa: FloatArray
    tzero: FloatArray
    difc_error: FloatArray
    difa_error: FloatArray
    tzero_error: FloatArray
    peaks_used: IntArray
    peaks_expected: IntArray
    chi2: FloatArray
    criterion: str = ""

    def __len__(self) -> int:
        return len(self.group)


@dataclass(frozen=True)
class PassRecord:
    """Figures of one pass of the convergence loop. Offsets in ppm are |shift| * 1e6 over the pixels in use.

    Attributes:
        number: From 1.
        median_ppm: Median |shift| of this pass.
        p95_ppm: 95th percentile of |shift| of this pass.
        bound_ppm: Median standard error of the pixels' own estimates (Cramer-Rao bound).
        group_median_ppm: Median |shift| by group id.
        masked: Pixels masked after this pass, in the groups.
        newly_masked: Pixels masked in this pass.
        kept: Whether this pass is the one whose table is the result.
    """

    number: int
    median_ppm: float
    p95_ppm: float
    bound_ppm: float
    group_median_ppm: Mapping[int, float]
    masked: int
    newly_masked: int
    kept: bool = False


@dataclass(frozen=True, eq=False)
class PixelPass:
    """Where a pixel calibration stands after a pass, for whoever watches it; it is no result.

    Attributes:
        number: Of the pass, from 1.
        geometry: Of the n pixels.
        shift: float64[n], sum of the shifts of all passes so far, of ln(DIFC); 0 for masked pixels.
        reason: uint8[n], why a pixel is masked after this pass.
        median_ppm: Median |shift| of this pass alone, of the pixels in use, ppm.
        masked: Number of masked pixels in the groups.
    """

    number: int
    geometry: Geometry
    shift: FloatArray
    reason: NDArray[np.uint8]
    median_ppm: float
    masked: int


StopReason = Literal["converged", "max iterations", "diverging", "cancelled"]


@dataclass(frozen=True, eq=False)
class PixelCalibration:
    """Result of the pixel step: table, mask, per-pixel results, figures of each pass, and why it stopped."""

    table: DiffCalTable
    mask: PixelMask
    results: PixelResults
    passes: tuple[PassRecord, ...]
    stop: StopReason
    message: str


@dataclass(frozen=True, eq=False)
class GroupCalibration:
    """Result of the group step: corrected table, mask (groups that failed added), peak fits before the correction, and
    the joint fit of the patterns where one was made."""

    table: DiffCalTable
    mask: PixelMask
    fits: FitTable
    results: GroupResults
    pattern: PatternFit | None = None


@dataclass(frozen=True, eq=False)
class GroupMetrics:
    """Quality figures of each group, made after the group correction (ascending group ids).

    Attributes:
        group: int32[g]; two_theta: float64[g], rad.
        sigma, sigma_std: float64[g], mean and population standard deviation of sigma/d.
        strain, strain_std: float64[g], of (d_obs - d_ref) / d_ref, median and standard deviation.
        snapred_strain, snapred_strain_std: float64[g], of (d_ref - d_obs) / sigma, SNAPRed's "strain".
        chi2: float64[g], median of the used peaks.
        residual: float64[g], rms of (data - fit) / error within the windows.
        peaks_used, peaks_rejected: int32[g], of the peaks listed for the corrected spectrum.
    """

    group: IntArray
    two_theta: FloatArray
    sigma: FloatArray
    sigma_std: FloatArray
    strain: FloatArray
    strain_std: FloatArray
    snapred_strain: FloatArray
    snapred_strain_std: FloatArray
    chi2: FloatArray
    residual: FloatArray
    peaks_used: IntArray
    peaks_rejected: IntArray

    def __len__(self) -> int:
        return len(self.group)

    @property
    def peaks_listed(self) -> IntArray:
        """int32[g]: all peaks that were listed for the corrected spectrum."""
        return self.peaks_used + self.peaks_rejected
