"""What the joint fit of all groups' patterns is given and what it finds.

Words: the *profile* of a peak, its *T0*, rise and decay, and the *phases* are those of `groups.pattern_model`. An
*area* is the integrated intensity of one reflection, or of some that are nearly coincident, in counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray
from snapcal_workbench.calibration.types.groups import Reflections
from snapcal_workbench.calibration.types.spectra import Spectra

Convention = Literal["maximum", "T0"]
"""What DIFC refers to: the maximum of a peak, or T0, where its exponentials meet."""

PROFILE_KINDS = ("rise", "decay", "slow", "part")


@dataclass(frozen=True, eq=False)
class ModeratorProfile:
    """The moderator's pulse, the same for all groups, with errors.

    With x = ln(lambda / 1 A): rise alpha = exp(rise0 + rise1 x) and decay beta = exp(decay0 + decay1 x), 1/us; a
    fraction 1 / (1 + exp(-part0 - part1 x)) of the neutrons decays slower, by a factor exp(-m (1 - exp(-r / m))) with
    r = exp(slow0 + slow1 x) and m = 2: not much slower than an eighth, which would be background.

    Attributes:
        names: Of the k coefficients.
        value: float64[k]; covariance: float64[k, k].
        runs: Numbers of the runs that it was learned from; empty for what is known of no run.
        version: Of the instrument's profile; 0 where it has none.
    """

    names: tuple[str, ...]
    value: FloatArray
    covariance: FloatArray
    runs: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True, eq=False)
class Phase:
    """A crystal in the beam besides the calibrant.

    Attributes:
        name: Shown to the user.
        reflections: Of its nominal cell.
        factor: Start value of the common factor of its d-spacings.
        tolerance: Relative standard deviation that the factor may have from the start: it is under pressure, or warm.
    """

    name: str
    reflections: Reflections
    factor: float = 1.0
    tolerance: float = 0.01


@dataclass(frozen=True, eq=False)
class GroupFocus:
    """How the pixels of a group were focused.

    Attributes:
        x: float64[n], of the nodes of `groups.pattern_model`: DIFC over that of the focused spectrum.
        ratio: float64[pixels], ascending, the same of the pixels; empty: as if all had that of the nodes.
        band: Least and largest d x (A) that are recorded, which is the band of TOF.
        tzero: us, difa: us/A^2: what the focusing has taken off the TOF of a peak, TZERO + DIFA d^2, on the scale of
            the focused TOF; mean over the pixels.
    """

    x: FloatArray
    ratio: FloatArray = field(default_factory=lambda: np.empty(0))
    band: tuple[float, float] = (0.0, np.inf)
    tzero: float = 0.0
    difa: float = 0.0

    def part(self, d: FloatArray) -> FloatArray:
        """float64[len(d)]: the part of the pixels that record d (A). It falls towards both ends of a group's range."""
        if not len(self.ratio):
            return np.ones(len(d))
        first, last = self._seen(d)
        return (last - first) / len(self.ratio)

    def nodes(self, d: FloatArray) -> FloatArray:
        """float64[len(d), n]: the nodes of peaks at d (A), means of equal parts of the pixels that record d."""
        n = len(self.x)
        if len(self.ratio) < n:
            return np.tile(self.x, (len(d), 1))
        first, last = self._seen(d)
        few = last - first < n
        first, last = np.where(few, 0, first), np.where(few, len(self.ratio), last)
        ends = first[:, None] + np.rint((last - first)[:, None] * np.arange(n + 1) / n).astype(np.intp)
        sums = np.concatenate([[0.0], np.cumsum(self.ratio)])[ends]
        return np.diff(sums, axis=1) / np.diff(ends, axis=1)

    def _seen(self, d: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last (exclusive) of the pixels that record d."""
        first = np.searchsorted(self.ratio, self.band[0] / d)
        return first, np.maximum(np.searchsorted(self.ratio, self.band[1] / d, "right"), first)


@dataclass(frozen=True)
class Block:
    """Consecutive parameters of one kind: `place` of the first; one each group if `of_group`."""

    place: int
    size: int
    of_group: bool = False

    def of(self, index: int) -> NDArray[np.intp]:
        """Places of the parameters that matter to a group."""
        return np.array([self.place + index]) if self.of_group else np.arange(self.place, self.place + self.size)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each nonlinear parameter stands in the vector of them.

    Attributes:
        groups: Number of groups.
        t0: Shared terms of the time offset, as named in `groups.pattern_model.T0_TERMS`.
        tzero, difa: Whether each group has its own.
        box: Whether the pixels of each group have an extent.
        phases: Number of phases besides the calibrant.
    """

    groups: int
    t0: tuple[str, ...] = ()
    tzero: bool = False
    difa: bool = False
    box: bool = True
    phases: int = 0
    blocks: Mapping[str, Block] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        sizes = {
            "scale": (self.groups, True),
            "t0": (len(self.t0), False),
            "tzero": (self.groups * self.tzero, True),
            "difa": (self.groups * self.difa, True),
            **dict.fromkeys(PROFILE_KINDS, (2, False)),
            "width": (self.groups, True),
            "box": (self.groups * self.box, True),
            "phase": (self.phases, False),
        }
        blocks, place = {}, 0
        for name, (size, of_group) in sizes.items():
            if size:
                blocks[name] = Block(place, size, of_group)
                place += size
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "size", place)

    def get(self, values: FloatArray, name: str) -> FloatArray:
        """The parameters of one kind; empty if there are none."""
        block = self.blocks.get(name)
        return values[block.place : block.place + block.size] if block else np.empty(0)

    def places(self, *names: str) -> NDArray[np.intp]:
        """Places of the parameters of some kinds."""
        blocks = [self.blocks[name] for name in names if name in self.blocks]
        return np.array([place for b in blocks for place in range(b.place, b.place + b.size)], np.intp)

    def of_group(self, index: int) -> NDArray[np.intp]:
        """Places of all parameters that matter to a group."""
        return np.concatenate([block.of(index) for block in self.blocks.values()])

    @property
    def position_terms(self) -> int:
        """Number of the parameters that place the peaks."""
        return len(self.places("scale", "t0", "tzero", "difa"))

    def text(self) -> str:
        """The position model in words."""
        shared = [f"t0 {term}" for term in self.t0]
        own = [name for name, has in (("TZERO", self.tzero), ("DIFA", self.difa)) if has]
        return " + ".join(["DIFC", *(f"{s} (shared)" for s in shared), *(f"{o} (each group)" for o in own)])


@dataclass(frozen=True)
class Prediction:
    """How well a position model foresees held-out peaks.

    Attributes:
        model: The position model in words; terms: number of its parameters.
        peaks: Number of held-out peaks that were compared.
        rms_ppm: Root mean square deviation, weighed by errors of at least 30 ppm.
        score: Sum of squared deviations over those errors; lower is better.
        gain, gain_error: By how much the score is lower than that of the model before, and the error of that.
        chi2: Mean square deviation in units of its error, that of the prediction included.
        kept: Whether the model, or what was added to it, is kept.
    """

    model: str
    terms: int
    peaks: int
    rms_ppm: float
    score: float
    gain: float
    gain_error: float
    chi2: float
    kept: bool


@dataclass(frozen=True, eq=False)
class PatternLines:
    """Areas of all groups, ascending in group, phase and d.

    Attributes:
        group: int32[n], group id; phase: int32[n], 0 for the calibrant.
        hkl: int32[n, 3], of the strongest reflection of the area; d: float64[n], their mean d-spacing, A.
        tof: float64[n], T0 in the focused TOF, us.
        area, area_error: float64[n], counts.
        fwhm: float64[n], us; maximum: float64[n], how much later than T0 the peak is highest, us.
        height: float64[n], counts a us at the top.
        shape: float64[n, 7], parameters of the peak in `peaks.pattern_kernels`, averaged over the nodes.
        deviation: float64[n], relative shift of the peak from where the others put it when it is held out, or from
            the fit to all where none was; NaN where the peak is too weak to be compared, or of another phase.
        deviation_error: float64[n], its standard error.
    """

    group: IntArray
    phase: IntArray
    hkl: IntArray
    d: FloatArray
    tof: FloatArray
    area: FloatArray
    area_error: FloatArray
    fwhm: FloatArray
    maximum: FloatArray
    height: FloatArray
    shape: FloatArray
    deviation: FloatArray
    deviation_error: FloatArray

    def __len__(self) -> int:
        return len(self.d)


@dataclass(frozen=True, eq=False)
class PatternFit:
    """The joint fit of all groups' patterns.

    Attributes:
        group: int32[g], ids of the groups that were fitted; difc_focused: float64[g], us/A.
        difc, difc_error: float64[g], of T0: T0 = DIFC d + t0(lambda) + ..., us/A.
        layout: Of the parameters; values: float64[k]; covariance: float64[k, k], `error_factor` included.
        error_factor: By how much all errors exceed those of the counts: root of the held-out chi-squared, at least 1.
        loss: Where the loss turned from square to absolute (soft-l1), in standard errors; None: nowhere.
        model, background: In the bins of the given spectra, counts; NaN where nothing was fitted.
        residual: float64[s, bins], (data - model) / standard error by the model's counts; NaN likewise.
        chi2: float64[g], deviance per degree of freedom, by the counts alone; chi2_whole: of all groups.
        dof: float64[g], degrees of freedom; neutrons: float64[g], mean number a bin of the fit.
        lines: All areas.
        predictions: Position models that were tried.
        missed: float64[g], relative rms by which held-out peaks were missed, noise taken off; NaN where none was
            held out, in this fit or the one that it started from.
        profile: The moderator's profile after the fit.
        phases: Names of the other phases; phase_factor, phase_factor_error: float64[p], of their d-spacings.
        focus: How each group was focused, see `GroupFocus`.
        d_min, d_max: float64[g], A, range that was fitted.
        converged: Whether the fit ended by itself; iterations: how many it took.
    """

    group: IntArray
    difc_focused: FloatArray
    difc: FloatArray
    difc_error: FloatArray
    layout: Layout
    values: FloatArray
    covariance: FloatArray
    error_factor: float
    loss: float | None
    model: Spectra
    background: Spectra
    residual: FloatArray
    chi2: FloatArray
    chi2_whole: float
    dof: FloatArray
    neutrons: FloatArray
    lines: PatternLines
    predictions: tuple[Prediction, ...]
    missed: FloatArray
    profile: ModeratorProfile
    phases: tuple[str, ...]
    phase_factor: FloatArray
    phase_factor_error: FloatArray
    focus: Mapping[int, GroupFocus]
    d_min: FloatArray
    d_max: FloatArray
    converged: bool
    iterations: int

    def __len__(self) -> int:
        return len(self.group)


@dataclass(frozen=True)
class Later:
    """How much later than T0 the peaks of a group at d (A) are highest, in ppm of TOF."""

    group: int
    d: float
    ppm: float


@dataclass(frozen=True)
class JointAccount:
    """What is to be kept of a joint fit, for the record and the report.

    Attributes:
        convention: What DIFC refers to; model: the position model in words.
        chi2: Deviance per degree of freedom; error_factor, loss: as of `PatternFit`.
        predictions: Position models that were tried.
        profile_names, profile_value, profile_error: The moderator's profile after the fit.
        profile_version, profile_runs: The instrument's profile that was known before; 0 without one.
        later: The difference between the two conventions.
        converged: Whether the fit ended by itself.
    """

    convention: str
    model: str
    chi2: float
    error_factor: float
    loss: float | None
    predictions: tuple[Prediction, ...]
    profile_names: tuple[str, ...]
    profile_value: tuple[float, ...]
    profile_error: tuple[float, ...]
    profile_version: int
    profile_runs: tuple[str, ...]
    later: tuple[Later, ...]
    converged: bool
