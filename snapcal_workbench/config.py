"""Settings of the plugin: options of the calibration with their two presets.

Preset "standard" is the default: what the measurements ask for. Preset "snapred" has the rules and numbers of SNAPRed,
for comparison with it. Lengths of d are in Angstrom, thresholds in the unit that the field's description names.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PresetName = Literal["standard", "snapred"]
PeakFunction = Literal["Gaussian", "Lorentzian", "PseudoVoigt", "BackToBackExponential"]
EstimatorName = Literal["likelihood", "correlation"]
Reference = Literal["sum", "median"]
GroupModel = Literal["DIFC", "DIFC+TZERO", "DIFC+DIFA", "DIFC+DIFA+TZERO", "recommended"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PeakOptions(_Options):
    """Which reflections are expected, and the windows in which they are fitted."""

    crystal_d_min: float = Field(0.4, gt=0, description="Smallest d-spacing of the reflections, A")
    crystal_d_max: float = Field(100.0, gt=0, description="Largest d-spacing of the reflections, A")
    intensity_fraction: float | None = Field(
        None, ge=0, description="Weakest peak kept, as a fraction of the strongest; empty: the calibrant's own value"
    )
    window: Literal["sigma", "fwhm"] = Field(
        "sigma", description="Peak windows: 'sigma' = +-window_sigmas sigma plus the tail, 'fwhm' = SNAPRed's rule"
    )
    window_sigmas: float = Field(3.0, gt=0, description="Half width of a window in sigmas (window 'sigma')")
    fwhm_left: float = Field(1.5, gt=0, description="Width multiplier below the peak (window 'fwhm')")
    fwhm_right: float = Field(1.5, gt=0, description="Width multiplier above the peak (window 'fwhm')")
    tail_coefficient: float = Field(2.0, ge=0, description="Length of the moderator tail added above the peak")
    gsas_alpha: float = Field(0.1, description="GSAS alpha of the moderator tail")
    gsas_beta0: float = Field(0.02, description="GSAS beta_0 of the moderator tail")
    gsas_beta1: float = Field(0.05, description="GSAS beta_1 of the moderator tail")
    overlap: Literal["after intensity", "before intensity"] = Field(
        "after intensity", description="When overlapping peaks are dropped: SNAPRed does it before the intensity filter"
    )
    d_crop_low: float = Field(0.1, ge=0, description="Cropped from a group's d range at the low end, A")
    d_crop_high: float = Field(0.15, ge=0, description="Cropped from a group's d range at the high end, A")


class PixelOptions(_Options):
    """How the pixels of a group are aligned."""

    skip: bool = Field(False, description="Leave the pixel calibration out")
    estimator: EstimatorName = Field("likelihood", description="'likelihood' or 'correlation'")
    reference: Reference = Field(
        "sum", description="Reference of the correlation: the group's aligned sum, or its middle ('median') pixel"
    )
    bins_per_delta_d: int = Field(10, ge=2, le=100, description="Logarithmic bins across a group's relative resolution")
    threshold: float = Field(0.5, gt=0, description="Converged when the median |offset| of a pass is below this, bins")
    max_passes: int = Field(5, ge=1, le=50, description="Largest number of passes")
    max_shift: float | None = Field(0.02, gt=0, lt=0.2, description="Largest |shift|; a pixel beyond it is masked")
    max_offset_bins: float | None = Field(
        None, gt=0, description="Largest |offset| of a pass in bins (SNAPRed: 10); empty: max_shift alone"
    )
    max_newly_masked: float = Field(
        0.15, gt=0, le=1, description="Error when more than this fraction of the pixels is newly masked"
    )
    memory_mib: int = Field(512, ge=16, description="Memory budget of the correlation's blocks, MiB")
    shrink: bool = Field(True, description="Draw badly measured pixels towards the smooth field of their module")


class GroupOptions(_Options):
    """How the groups are put on the absolute scale."""

    peak_function: PeakFunction = Field("Gaussian", description="Shape of a Bragg peak")
    model: GroupModel = Field("recommended", description="Terms that are fitted; 'recommended': as the criterion says")
    shared_terms: bool = Field(False, description="One TZERO (as a time) and DIFA for all groups instead of per group")
    weights: Literal["errors", "height squared"] = Field(
        "errors", description="Weights of the peaks: their fitted errors, or the height squared (SNAPRed)"
    )
    max_chi2: float = Field(10.0, gt=0, description="Largest chi-squared per degree of freedom of a peak fit")
    chi2_grows: bool = Field(True, description="Let the limit grow with the counts: shape errors show in long runs")
    min_peaks: int = Field(2, ge=1, description="Fewer used peaks mask the group")
    preferred_peaks: int = Field(4, ge=1, description="Fewer used peaks give a warning")
    outlier_sigmas: float | None = Field(5.0, gt=0, description="Peaks further off than this are rejected; empty: none")
    repeats: int = Field(3, ge=1, le=20, description="Largest number of pixel and group step repetitions")
    tolerance: float = Field(2e-5, gt=0, description="Repeat until the groups' correction is below this (relative)")


class CalibrationOptions(_Options):
    """All options of one calibration."""

    peaks: PeakOptions = PeakOptions()
    pixels: PixelOptions = PixelOptions()
    groups: GroupOptions = GroupOptions()
    delta_theta: float | None = Field(
        3.2e-3, gt=0, description="Beam divergence, rad, where the instrument file has none; empty: SNAPRed's own"
    )


PRESETS: dict[PresetName, CalibrationOptions] = {
    "standard": CalibrationOptions(),
    "snapred": CalibrationOptions(
        peaks=PeakOptions(window="fwhm", overlap="before intensity"),
        pixels=PixelOptions(
            estimator="correlation", reference="median", max_shift=None, max_offset_bins=10.0, shrink=False
        ),
        groups=GroupOptions(
            model="DIFC",
            weights="height squared",
            max_chi2=10000.0,
            chi2_grows=False,
            outlier_sigmas=None,
            repeats=1,
        ),
        delta_theta=None,
    ),
}
