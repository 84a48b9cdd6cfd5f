"""Value types of the calibration: frozen data classes over numpy arrays.

Words, axes and signs that hold everywhere in this package:

- A *pixel* is known by its detector id (`detid`); per-pixel arrays are in ascending order of detid, one entry a pixel.
- TOF is in microseconds, d-spacing in Angstrom, DIFC in us/A, DIFA in us/A^2, TZERO in us, lengths in m, angles in rad:
  TOF = DIFC d + DIFA d^2 + TZERO.
- A *shift* is s = ln(difc_new / difc_old): s > 0 when the spectrum lies at larger TOF/DIFC, so that DIFC must grow.
  Only outputs that are called `offset` use Mantid's convention: offset = -s / ln(1 + b), in bins of the log width b.
- A *group* is a set of pixels that are focused together; group 0 means "in no group".
- The arrays of a value are never changed after it is made: functions return new values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.units import difc_from_geometry
from snapcal_workbench.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

T = TypeVar("T")
Unit = Literal["TOF", "dSpacing"]
LogValue = float | int | str | bool | list


class MaskReason(IntEnum):
    """Why a pixel is not used. 0 means that it is used."""

    USED = 0
    NO_COUNTS = 1
    NO_PEAK = 2
    AT_LIMIT = 3
    FIT_FAILED = 4
    USER = 5
    BAD_SHAPE = 6
    GROUP_FAILED = 7
    INHERITED = 8

    @property
    def text(self) -> str:
        """The reason in words."""
        return _REASON_TEXT[self]


_REASON_TEXT = {
    MaskReason.USED: "used",
    MaskReason.NO_COUNTS: "no counts",
    MaskReason.NO_PEAK: "no peak above the background",
    MaskReason.AT_LIMIT: "shift at the search limit",
    MaskReason.FIT_FAILED: "fit failed",
    MaskReason.USER: "masked by the user",
    MaskReason.BAD_SHAPE: "spectrum unlike its group's",
    MaskReason.GROUP_FAILED: "its group has too few peaks",
    MaskReason.INHERITED: "masked in the calibration that was started from",
}


def _check_lengths(value: object, /, **arrays: NDArray | None) -> None:
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"All arrays of a {type(value).__name__} must have one entry a pixel.",
            found=", ".join(f"{name}: {length}" for name, length in lengths.items()),
            fix="Pass arrays of the same length, in ascending order of detid.",
        )


@dataclass(frozen=True)
class RunInfo:
    """What a run says of itself.

    Attributes:
        run_number: As digits, without padding; several summed runs joined with "+"; "" when unknown.
        title: Title of the run.
        start_time: ISO 8601 text as in the file.
        end_time: ISO 8601 text as in the file.
        proton_charge: In microampere hours.
        duration: In seconds; 0 when unknown.
        logs: Last value of every log (process variable) that was read.
        unreadable_logs: Names of logs that are there but have no value.
        source: Path of the file or name of the workspace that the data came from.
    """

    run_number: str = ""
    title: str = ""
    start_time: str = ""
    end_time: str = ""
    proton_charge: float = 0.0
    logs: Mapping[str, LogValue] = field(default_factory=dict)
    source: str = ""
    duration: float = 0.0
    unreadable_logs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TofWindow:
    """The TOF range (us) that was kept, and the gaps in it (removed prompt pulses), each (start, end)."""

    minimum: float
    maximum: float
    gaps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, eq=False)
class PixelLayout:
    """Where each pixel sits in its module: module index, and column x and row y on a square grid of `side` pixels."""

    module: NDArray[np.int16]
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    side: int

    def __post_init__(self) -> None:
        _check_lengths(self, module=self.module, x=self.x, y=self.y)


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the pixels are.

    Attributes:
        detid: int32[n], ascending.
        l1: Moderator to sample, m.
        l2: float64[n], sample to pixel, m.
        two_theta: float64[n], scattering angle, rad.
        azimuth: float64[n], rad in -pi..pi.
        layout: Place of each pixel in its module, where the instrument has modules.
        instrument: "SNAP", "SNAPLite", or the name of another instrument.
        solid_angle: float64[n], sr, of each pixel seen from the sample as the instrument definition shapes it, where
            that is known. The lite definition's pixels have no face, only sides, so theirs is nearly 0.
    """

    detid: IntArray
    l1: float
    l2: FloatArray
    two_theta: FloatArray
    azimuth: FloatArray
    layout: PixelLayout | None = None
    instrument: str = ""
    solid_angle: FloatArray | None = None

    def __post_init__(self) -> None:
        arrays = {"l2": self.l2, "two_theta": self.two_theta, "azimuth": self.azimuth, "solid_angle": self.solid_angle}
        _check_lengths(self, detid=self.detid, **arrays)

    def __len__(self) -> int:
        return len(self.detid)

    @property
    def difc(self) -> FloatArray:
        """Geometric DIFC of each pixel, us/A."""
        return difc_from_geometry(l1=self.l1, l2=self.l2, two_theta=self.two_theta)


@dataclass(frozen=True, eq=False)
class Events:
    """Neutron events of all pixels, sorted by pixel.

    Attributes:
        tof: float32[events], us; pixel i owns tof[start[i]:start[i+1]], in no particular order within a pixel.
        start: int64[n+1].
        geometry: Of the n pixels.
        window: The TOF range that was kept.
        run: What the run says of itself.
        weight: float32[events], or None where every event counts 1: how many neutrons an event stands for, so that
            its variance is its weight too. Histograms come as bin centres with counts as weights. An event whose
            weight is not finite counts nothing.
    """

    tof: NDArray[np.float32]
    start: NDArray[np.int64]
    geometry: Geometry
    window: TofWindow
    run: RunInfo = field(default_factory=RunInfo)
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if len(self.start) != len(self.geometry) + 1 or self.start[-1] != len(self.tof):
            raise InputError(
                "Events need one start index a pixel and one more, the last being the number of events.",
                found=f"{len(self.start)} start indices, {len(self.geometry)} pixels, {len(self.tof)} events",
                fix="Build the events with the readers in snapcal_workbench.formats.",
            )

    @property
    def counts(self) -> FloatArray:
        """float64[n]: sum of the weights (number of events) of each pixel."""
        if self.weight is None:
            return np.diff(self.start).astype(np.float64)
        finite = np.where(np.isfinite(self.weight), self.weight, 0.0)
        total = np.concatenate([[0.0], np.cumsum(finite, dtype=np.float64)])
        return total[self.start[1:]] - total[self.start[:-1]]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Histograms, one a spectrum.

    Attributes:
        edges: float64[bins+1] shared by all spectra, or float64[spectra, bins+1].
        y: float64[spectra, bins], counts.
        e: float64[spectra, bins], standard errors of the counts.
        unit: "TOF" (us) or "dSpacing" (A).
        detids: Detector ids of each spectrum.
        number: int32[spectra], spectrum numbers; group ids for focused spectra.
        title: Shown to the user.
        run: The run that the spectra come from.
    """

    edges: FloatArray
    y: FloatArray
    e: FloatArray
    unit: Unit
    detids: Sequence[IntArray]
    number: IntArray
    title: str = ""
    run: RunInfo = field(default_factory=RunInfo)

    def __post_init__(self) -> None:
        if self.y.shape != self.e.shape or self.edges.shape[-1] != self.y.shape[1] + 1:
            raise InputError(
                "Spectra need counts and errors of one shape, and one bin edge more than bins.",
                found=f"y {self.y.shape}, e {self.e.shape}, edges {self.edges.shape}",
                fix="Pass histogram data; points must be turned into bins first.",
            )
        _check_lengths(self, y=self.y, detids=np.empty(len(self.detids)), number=self.number)

    def edges_of(self, index: int) -> FloatArray:
        """Bin edges of one spectrum."""
        return self.edges if self.edges.ndim == 1 else self.edges[index]


@dataclass(frozen=True, eq=False)
class DiffCalTable:
    """Calibration of each pixel: TOF = difc d + difa d^2 + tzero."""

    detid: IntArray
    difc: FloatArray
    difa: FloatArray
    tzero: FloatArray

    def __post_init__(self) -> None:
        _check_lengths(self, detid=self.detid, difc=self.difc, difa=self.difa, tzero=self.tzero)

    @classmethod
    def from_geometry(cls, geometry: Geometry) -> DiffCalTable:
        """The table of an instrument that is where its definition says: DIFC only."""
        zeros = np.zeros(len(geometry))
        return cls(geometry.detid, geometry.difc, zeros, zeros)

    def __len__(self) -> int:
        return len(self.detid)


@dataclass(frozen=True, eq=False)
class PixelMask:
    """Which pixels are not used, and why: reason uint8[n], a `MaskReason`; 0 = used."""

    detid: IntArray
    reason: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_lengths(self, detid=self.detid, reason=self.reason)

    @classmethod
    def none(cls, detid: IntArray) -> PixelMask:
        """A mask that masks nothing."""
        return cls(detid, np.zeros(len(detid), np.uint8))

    @property
    def masked(self) -> NDArray[np.bool_]:
        """bool[n], True where a pixel is not used."""
        return self.reason != MaskReason.USED

    def counts(self) -> dict[MaskReason, int]:
        """Number of masked pixels by reason."""
        reasons, counts = np.unique(self.reason[self.masked], return_counts=True)
        return {MaskReason(int(r)): int(c) for r, c in zip(reasons, counts, strict=True)}

    def combined(self, *others: PixelMask) -> PixelMask:
        """This mask and others of the same pixels; where several mask a pixel the first reason stays."""
        reason = self.reason.copy()
        for other in others:
            if not np.array_equal(other.detid, self.detid):
                raise InputError(
                    "Masks can only be combined when they are of the same pixels.",
                    found=f"{len(self.detid)} and {len(other.detid)} pixels",
                    fix="Use a mask that was made for the same instrument, native or lite.",
                )
            reason = np.where(reason == 0, other.reason, reason).astype(np.uint8)
        return PixelMask(self.detid, reason)


@dataclass(frozen=True, eq=False)
class PixelGrouping:
    """Which group a pixel belongs to: group int32[n]; 0 = in no group. Group ids need not be contiguous."""

    detid: IntArray
    group: IntArray
    name: str = ""

    def __post_init__(self) -> None:
        _check_lengths(self, detid=self.detid, group=self.group)

    @property
    def ids(self) -> IntArray:
        """Ascending ids of the groups, without 0."""
        ids = np.unique(self.group)
        return ids[ids > 0].astype(np.int32)


@dataclass(frozen=True, eq=False)
class PixelMap:
    """One value a pixel, for a picture of the detectors."""

    detid: IntArray
    value: FloatArray
    label: str = ""

    def __post_init__(self) -> None:
        _check_lengths(self, detid=self.detid, value=self.value)


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
        _check_lengths(self, **{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Reflections:
    """Bragg reflections of a crystal, in ascending d; coincident ones summed.

    Attributes:
        hkl: int32[n, 3], one representative of each.
        d: float64[n], A.
        f_squared: float64[n], |F|^2 in fm^2 with neutron scattering lengths, mean over coincident reflections
            weighted by their multiplicity.
        multiplicity: int32[n], summed over coincident reflections, so f_squared * multiplicity is the sum.
    """

    hkl: IntArray
    d: FloatArray
    f_squared: FloatArray
    multiplicity: IntArray

    def __post_init__(self) -> None:
        _check_lengths(self, hkl=self.hkl, d=self.d, f_squared=self.f_squared, multiplicity=self.multiplicity)

    def __len__(self) -> int:
        return len(self.d)


@dataclass(frozen=True)
class ParticleBounds:
    """The neutrons that an instrument state can record: wavelength in A, TOF in us."""

    wavelength_min: float
    wavelength_max: float
    tof_min: float
    tof_max: float


@dataclass(frozen=True)
class Resolution:
    """Terms of the instrument's resolution (Mantid's EstimateResolutionDiffraction).

    Attributes:
        delta_t_over_t: Relative width of the moderator pulse.
        delta_l: Uncertainty of the flight path, m.
        delta_theta: Beam divergence, rad.
        l1: Moderator to sample, m.
        l2: Nominal sample to detector distance, m (only for L = L1 + L2 of the d limits).
        pixel_size: Pixel box (dx, dy, dz), m.
        with_solid_angle: Whether the solid angle of a full pixel face enters where `Geometry.solid_angle` is not known
            (native: yes; lite: no, as stored and as measured). Where it is known, that one enters.
    """

    delta_t_over_t: float
    delta_l: float
    delta_theta: float
    l1: float
    l2: float
    pixel_size: tuple[float, float, float]
    with_solid_angle: bool


@dataclass(frozen=True, eq=False)
class GroupParameters:
    """Mean position, resolution and d limits of each group that has pixels in use (ascending group ids).

    Attributes:
        group: int32[g].
        l2: float64[g], m; two_theta, azimuth: float64[g], rad.
        d_min, d_max: float64[g], A.
        delta_d: float64[g], relative resolution (Gaussian sigma / d).
        l1: Moderator to sample, m.
        tof_min, tof_max: us.
    """

    group: IntArray
    l2: FloatArray
    two_theta: FloatArray
    azimuth: FloatArray
    d_min: FloatArray
    d_max: FloatArray
    delta_d: FloatArray
    l1: float
    tof_min: float
    tof_max: float

    def __len__(self) -> int:
        return len(self.group)

    @property
    def difc(self) -> FloatArray:
        """float64[g]: DIFC of the groups' mean positions, us/A; the arbitrary DIFC of the focused spectra."""
        return difc_from_geometry(l1=self.l1, l2=self.l2, two_theta=self.two_theta)


@dataclass(frozen=True, eq=False)
class ExpectedPeaks:
    """Peaks of one group that are to be fitted, in ascending d, with their windows (A).

    Attributes:
        group: Group id.
        hkl: int32[p, 3]; d: float64[p]; f_squared: float64[p]; multiplicity: int32[p], as in `Reflections`.
        window_min, window_max: float64[p].
        dropped: (hkl, d, reason) of the reflections within the group's limits that are not fitted.
    """

    group: int
    hkl: IntArray
    d: FloatArray
    f_squared: FloatArray
    multiplicity: IntArray
    window_min: FloatArray
    window_max: FloatArray
    dropped: tuple[tuple[tuple[int, int, int], float, str], ...] = ()

    def __len__(self) -> int:
        return len(self.d)


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
        peaks_used, peaks_expected: int32[g].
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
    """Result of the group step: corrected table, mask (groups that failed added), peak fits before the correction."""

    table: DiffCalTable
    mask: PixelMask
    fits: FitTable
    results: GroupResults


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
        peaks_used, peaks_rejected: int32[g].
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


def as_dict(value: Any) -> dict[str, Any]:
    """Fields of a value as plain Python lists and scalars, for JSON (NaN becomes None)."""
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def from_dict(kind: type[T], data: Mapping[str, Any]) -> T:
    """The value of which `as_dict` made `data`; None in an array of floats becomes NaN."""
    hints = get_type_hints(kind)
    return kind(**{name: _restored(hints[name], item) for name, item in data.items()})


def _restored(hint: Any, item: Any) -> Any:
    if get_origin(hint) is np.ndarray:
        dtype = get_args(get_args(hint)[1])[0]
        return np.array([], dtype) if item == [] else np.array(item, float).astype(dtype)
    if get_origin(hint) is tuple:
        return tuple(tuple(i) if isinstance(i, list) else i for i in item)
    if get_origin(hint) is Mapping and get_args(hint)[0] is int:
        return {int(key): value for key, value in item.items()}
    return np.nan if hint is float and item is None else item


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
