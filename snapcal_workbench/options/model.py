"""Options of the calibration, and their two presets.

Preset "standard" is the default: what the measurements ask for. Preset "snapred" has the rules and numbers of SNAPRed,
for comparison with it. Lengths of d are in Angstrom, thresholds in the unit that the field's description names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

PresetName = Literal["standard", "snapred"]
PeakFunction = Literal["Gaussian", "Lorentzian", "PseudoVoigt", "BackToBackExponential"]
EstimatorName = Literal["likelihood", "correlation"]
Reference = Literal["sum", "median"]
GroupModel = Literal["DIFC", "DIFC+TZERO", "DIFC+DIFA", "DIFC+DIFA+TZERO", "recommended"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: object) -> object:
        """An empty text, which is all that a TOML file or a shell can write, empties an option."""
        if not isinstance(values, Mapping):
            return values
        return {name: None if value == "" else value for name, value in values.items()}


def _when(field: str, value: str | bool) -> JsonDict:
    """For a dialog: an option has a meaning only while another one of its group has this value."""
    return {"enabled_when": {"field": field, "is": value}}


class PeakOptions(_Options):
    """Which reflections are expected, and the windows in which they are fitted."""

    crystal_d_min: float = Field(
        0.4, title="Reflections from d (Å)", gt=0, description="Smallest d-spacing of the reflections, A"
    )
    crystal_d_max: float = Field(
        100.0, title="Reflections to d (Å)", gt=0, description="Largest d-spacing of the reflections, A"
    )
    intensity_fraction: float | None = Field(
        None,
        title="Weakest intensity (fraction)",
        ge=0,
        description="Weakest peak kept, as a fraction of the strongest; empty: the calibrant's own value",
    )
    window: Literal["sigma", "fwhm"] = Field(
        "sigma",
        title="Rule of the peak windows",
        description="Peak windows: 'sigma' = +-window_sigmas sigma plus the tail, 'fwhm' = SNAPRed's rule",
    )
    window_sigmas: float = Field(
        3.0,
        title="Half window (σ)",
        gt=0,
        description="Half width of a window in sigmas (window 'sigma')",
        json_schema_extra=_when("window", "sigma"),
    )
    fwhm_left: float = Field(
        1.5,
        title="Window below (FWHM)",
        gt=0,
        description="Width multiplier below the peak (window 'fwhm')",
        json_schema_extra=_when("window", "fwhm"),
    )
    fwhm_right: float = Field(
        1.5,
        title="Window above (FWHM)",
        gt=0,
        description="Width multiplier above the peak (window 'fwhm')",
        json_schema_extra=_when("window", "fwhm"),
    )
    tail_coefficient: float = Field(
        2.0, title="Tail coefficient", ge=0, description="Length of the moderator tail added above the peak"
    )
    gsas_alpha: float = Field(0.1, title="Tail α (GSAS)", description="GSAS alpha of the moderator tail")
    gsas_beta0: float = Field(0.02, title="Tail β₀ (GSAS)", description="GSAS beta_0 of the moderator tail")
    gsas_beta1: float = Field(0.05, title="Tail β₁ (GSAS)", description="GSAS beta_1 of the moderator tail")
    overlap: Literal["after intensity", "before intensity"] = Field(
        "after intensity",
        title="Overlapping peaks go",
        description="When overlapping peaks are dropped: SNAPRed does it before the intensity filter",
    )
    d_crop_low: float = Field(
        0.1, title="Crop d at the low end (Å)", ge=0, description="Cropped from a group's d range at the low end, A"
    )
    d_crop_high: float = Field(
        0.15, title="Crop d at the high end (Å)", ge=0, description="Cropped from a group's d range at the high end, A"
    )


class PixelOptions(_Options):
    """How the pixels of a group are aligned."""

    skip: bool = Field(False, title="Leave out pixel calibration", description="Leave the pixel calibration out")
    search: bool = Field(
        True,
        title="Look for moved modules",
        description="Before the first pass, find modules far from where they should be by the calibrant's reflections",
        json_schema_extra=_when("skip", False),
    )
    estimator: EstimatorName = Field(
        "likelihood",
        title="Estimator",
        description="'likelihood' or 'correlation'",
        json_schema_extra=_when("skip", False),
    )
    reference: Reference = Field(
        "sum",
        title="Reference of a group",
        description="Reference of the correlation: the group's aligned sum, or its middle ('median') pixel",
        json_schema_extra=_when("estimator", "correlation"),
    )
    bins_per_delta_d: int = Field(
        10,
        title="Bins across Δd",
        ge=2,
        le=100,
        description="Logarithmic bins across a group's relative resolution",
        json_schema_extra=_when("skip", False),
    )
    threshold: float = Field(
        0.5,
        title="Converged below (bins)",
        gt=0,
        description="Converged when the median |offset| of a pass is below this, bins",
        json_schema_extra=_when("skip", False),
    )
    max_passes: int = Field(
        5,
        title="Passes at most",
        ge=1,
        le=50,
        description="Largest number of passes",
        json_schema_extra=_when("skip", False),
    )
    max_shift: float | None = Field(
        0.02,
        title="Largest shift (relative)",
        gt=0,
        lt=0.2,
        description="Largest |shift|; a pixel beyond it is masked",
        json_schema_extra=_when("skip", False),
    )
    max_offset_bins: float | None = Field(
        None,
        title="Largest offset (bins)",
        gt=0,
        description="Largest |offset| of a pass in bins (SNAPRed: 10); empty: max_shift alone",
        json_schema_extra=_when("skip", False),
    )
    max_newly_masked: float = Field(
        0.15,
        title="Newly masked at most (share)",
        gt=0,
        le=1,
        description="Error when more than this fraction of the pixels is newly masked",
        json_schema_extra=_when("skip", False),
    )
    memory_mib: int = Field(
        512,
        title="Memory (MiB)",
        ge=16,
        description="Memory budget of the correlation's blocks, MiB",
        json_schema_extra=_when("estimator", "correlation"),
    )
    shrink: bool = Field(
        True,
        title="Draw towards smooth field",
        description="Draw badly measured pixels towards the smooth field of their module",
        json_schema_extra=_when("estimator", "likelihood"),
    )


class GroupOptions(_Options):
    """How the groups are put on the absolute scale."""

    method: Literal["joint", "peaks"] = Field(
        "joint",
        title="Method",
        description="'joint': the whole patterns of all groups in one fit; 'peaks': peak by peak, each by itself",
    )
    convention: Literal["maximum", "T0"] = Field(
        "maximum",
        title="DIFC refers to",
        description="What DIFC refers to: the maximum of a peak, or T0, where its exponentials meet (GSAS-II)",
        json_schema_extra=_when("method", "joint"),
    )
    peak_function: PeakFunction = Field("Gaussian", title="Peak shape", description="Shape of a Bragg peak")
    peak_weights: Literal["likelihood", "data errors"] = Field(
        "likelihood",
        title="Peak fits by",
        description="Peak fits: by Poisson likelihood, or counts a bin weighed by their errors (Mantid)",
    )
    model: GroupModel = Field(
        "recommended",
        title="Terms of a group",
        description="Terms that are fitted; 'recommended': as the criterion says",
    )
    shared_terms: bool = Field(
        False,
        title="Shared TZERO and DIFA",
        description="One TZERO (as a time) and DIFA for all groups instead of per group",
    )
    weights: Literal["errors", "height squared"] = Field(
        "errors",
        title="Weights of the peaks",
        description="Weights of the peaks: their fitted errors, or the height squared (SNAPRed)",
    )
    max_chi2: float = Field(
        10.0, title="Largest χ² of a peak", gt=0, description="Largest chi-squared per degree of freedom of a peak fit"
    )
    chi2_grows: bool = Field(
        True,
        title="χ² limit grows with counts",
        description="Let the limit grow with the counts: shape errors show in long runs",
    )
    min_peaks: int = Field(2, title="Peaks at least", ge=1, description="Fewer used peaks mask the group")
    preferred_peaks: int = Field(4, title="Peaks preferred", ge=1, description="Fewer used peaks give a warning")
    outlier_sigmas: float | None = Field(
        5.0, title="Outlier beyond (σ)", gt=0, description="Peaks further off than this are rejected; empty: none"
    )
    repeats: int = Field(
        3, title="Repetitions at most", ge=1, le=20, description="Largest number of pixel and group step repetitions"
    )
    tolerance: float = Field(
        2e-5,
        title="Tolerance (relative)",
        gt=0,
        description="Repeat until the groups' correction is below this (relative)",
    )
    any_calibrant: bool = Field(
        False,
        title="Calibrate a run of something else",
        description="Go on although the data are not of the calibrant; the verdict and the record say so",
    )
    foreign: bool = Field(
        True,
        title="Look for other phases",
        description="Look for peaks of other phases in the beam, and keep them from bending the calibration",
    )


class CalibrationOptions(_Options):
    """All options of one calibration."""

    peaks: PeakOptions = Field(PeakOptions(), title="Peaks")
    pixels: PixelOptions = Field(PixelOptions(), title="Pixel calibration")
    groups: GroupOptions = Field(GroupOptions(), title="Group calibration")
    delta_theta: float | None = Field(
        3.2e-3,
        title="Beam divergence (rad)",
        gt=0,
        description="Beam divergence, rad, where the instrument file has none; empty: SNAPRed's own",
        json_schema_extra={"section": "Instrument"},
    )


PRESETS: dict[PresetName, CalibrationOptions] = {
    "standard": CalibrationOptions(),
    "snapred": CalibrationOptions(
        peaks=PeakOptions(window="fwhm", overlap="before intensity"),
        pixels=PixelOptions(
            search=False,
            estimator="correlation",
            reference="median",
            max_shift=None,
            max_offset_bins=10.0,
            shrink=False,
        ),
        groups=GroupOptions(
            method="peaks",
            foreign=False,
            peak_weights="data errors",
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
