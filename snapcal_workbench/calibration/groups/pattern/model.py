"""The model of the joint fit: what the patterns of all groups depend on, and how.

Words and formulas, for a group focused with DIFC_arb, in TOF = DIFC_arb d_obs:

- *Nodes* stand for the pixels of a group that record a peak, which near the ends of its d range are some of them only:
  node n has the DIFC x_n DIFC_arb and so sin(theta) = x_n sin(theta_g). What the moderator does to a neutron of such a
  pixel takes 1 / x_n times as long in the focused TOF.
- A peak at d has in node n the wavelength lambda = 2 d x_n sin(theta_g), and lies at
  T0 = exp(s_g) DIFC_arb d + TZERO_g + DIFA_g d^2 + t0(lambda) / x_n, less the TZERO and DIFA d^2 that the table took
  off when the spectra were focused. So the same parameters describe a run whatever table it is focused with.
- t0(lambda) = sum of coefficients times `T0_TERMS`, shared by all groups. A term in lambda itself is left out: it is a
  common factor of all DIFC.
- The *profile* is that of `pattern_kernels`. Rise, decay, slow decay and its fraction are functions of lambda, shared
  by all groups: see `ModeratorProfile`.
- The geometry of a group spreads a peak by w_g c_n T (rms), where T = exp(s_g) DIFC_arb d and c_n = cot(theta_n) over
  its mean: by a Gaussian of sigma = w_g c_n T / sqrt(1 + b_g^2 / 3) and, if need be, a box of half width b_g sigma. The
  box is the angle that a pixel covers: on SNAP's lite pixels, 2.1 sigma of the Gaussian. w_g is the whole width since
  that is what the data say, whatever the box: so the two are nearly independent.
- The areas of the peaks and the background's B-spline coefficients enter linearly, and are never negative.

Phases: the first is the calibrant. Every other has a lattice known up to a factor exp(c) of its d-spacings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.peaks.pattern_kernels import PARAMETERS, peak_spans, peak_values
from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.calibration.types.pattern import PROFILE_KINDS, GroupFocus, Layout

T0_TERMS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "1": np.ones_like,
    "1/lambda": lambda wavelength: 1.0 / wavelength,
    "lambda^2": np.square,
}
"""Terms of t0(lambda), in the order in which they are tried; coefficients in us, us A, us/A^2."""
MOST_SLOWER = 2.0
"""Largest ln(decay / slow decay): what decays more slowly still is background to the fit, and long tails take time."""
_RISE, _DECAY, _SLOW, _PART, _SIGMA2, _BOX = range(1, PARAMETERS)


@dataclass(frozen=True, eq=False)
class GroupPattern:
    """Data of one group, in bins about a third of a peak's width wide, and what is fixed in its model.

    Attributes:
        group: Group id.
        edges: float64[b + 1], TOF, us.
        y: float64[b], counts as given; unit: float64[b], variance of one count, so that y / unit are neutrons.
        used: bool[b], whether a bin counts.
        difc: DIFC_arb, us/A; sine: sin(theta_g).
        focus: How the group was focused.
        x: float64[p, n], of the nodes for each reflection.
        d, strength: float64[p]; phase, column: int64[p]; of the reflections: strength is the share in its area.
        columns: Number of areas.
        background: float64[b, k], B-spline basis times the width of the bins.
    """

    group: int
    edges: FloatArray
    y: FloatArray
    unit: FloatArray
    used: NDArray[np.bool_]
    difc: float
    sine: float
    focus: GroupFocus
    x: FloatArray
    d: FloatArray
    strength: FloatArray
    phase: NDArray[np.int64]
    column: NDArray[np.int64]
    columns: int
    background: FloatArray

    @property
    def centres(self) -> FloatArray:
        """float64[b], TOF, us."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def cotangent(self) -> FloatArray:
        """float64[p, n]: c_n of the nodes, over the mean of the whole group."""
        own, whole = (np.sqrt(np.maximum(1.0 / (x * self.sine) ** 2 - 1.0, 1e-3)) for x in (self.x, self.focus.x))
        return own / whole.mean()


@dataclass(frozen=True, eq=False)
class Shapes:
    """The peaks of one group, for the kernels.

    Attributes:
        peaks: float64[p, n, 7]; share: float64[p, n].
        chain: float64[p, n, k, 7], how they change with the group's k parameters, in the order of `Layout.of_group`.
        spans, values: The peaks in the group's bins, see `pattern_kernels`.
    """

    peaks: FloatArray
    share: FloatArray
    chain: FloatArray
    spans: NDArray[np.int64]
    values: FloatArray

    def in_bins(self, edges: FloatArray) -> Shapes:
        """The same peaks in other bins."""
        spans, rows = peak_spans(edges, self.peaks)
        return replace(self, spans=spans, values=peak_values(edges, self.peaks, spans, rows))


def peak_shapes(pattern: GroupPattern, layout: Layout, values: FloatArray, index: int) -> Shapes:
    """The peaks of group number `index`, and their derivatives."""
    builder = _Builder(pattern, layout, values, index)
    builder.place()
    builder.moderate()
    builder.widen()
    share = np.broadcast_to(pattern.strength[:, None] / pattern.x.shape[1], builder.wavelength.shape)
    nothing = np.empty((0, 8))
    empty = np.empty((0, 0, 3), np.int64)
    return Shapes(builder.peaks, np.ascontiguousarray(share), builder.chain, empty, nothing).in_bins(pattern.edges)


class _Builder:
    """Fills in the peaks of a group, one kind of parameter after the other."""

    def __init__(self, pattern: GroupPattern, layout: Layout, values: FloatArray, index: int) -> None:
        self.pattern, self.layout, self.values, self.index = pattern, layout, values, index
        names = [(name, i) for name, block in layout.blocks.items() for i in range(len(block.of(index)))]
        self.row = {name: i for i, name in enumerate(names)}
        factor = np.exp(np.concatenate([[0.0], layout.get(values, "phase")]))[pattern.phase]
        self.d = (pattern.d * factor)[:, None]
        self.wavelength = 2.0 * self.d * pattern.sine * pattern.x
        self.straight = np.broadcast_to(np.exp(self._own("scale")) * pattern.difc * self.d, self.wavelength.shape)
        self.peaks = np.zeros((*self.wavelength.shape, PARAMETERS))
        self.chain = np.zeros((*self.wavelength.shape, len(names), PARAMETERS))

    def _own(self, kind: str) -> float:
        return float(self.layout.get(self.values, kind)[self.index])

    def _depends(self, kind: str, number: int, parameter: int, slope: FloatArray | float) -> None:
        self.chain[:, :, self.row[kind, number], parameter] = slope

    def place(self) -> None:
        """T0 of every node."""
        t0 = self.straight - self.pattern.focus.tzero - self.pattern.focus.difa * self.d**2
        self._depends("scale", 0, 0, self.straight)
        for i, term in enumerate(self.layout.t0):
            shape = T0_TERMS[term](self.wavelength) / self.pattern.x
            self._depends("t0", i, 0, shape)
            t0 += self.layout.get(self.values, "t0")[i] * shape
        if self.layout.tzero:
            self._depends("tzero", 0, 0, 1.0)
            t0 += self._own("tzero")
        if self.layout.difa:
            self._depends("difa", 0, 0, self.d**2)
            t0 += self._own("difa") * self.d**2
        for number in range(self.layout.phases):  # a phase's factor moves its peaks; their shapes hardly change
            own = self.pattern.phase == number + 1
            self.chain[own, :, self.row["phase", number], 0] = self.straight[own]
        self.peaks[:, :, 0] = t0

    def moderate(self) -> None:
        """Rise and decays of every node."""
        powers = np.stack([np.ones_like(self.wavelength), np.log(self.wavelength)], axis=-1)
        rise, decay, slow, part = (
            np.clip(powers @ self.layout.get(self.values, kind), -12.0, 6.0) for kind in PROFILE_KINDS
        )
        fraction = 1.0 / (1.0 + np.exp(-part))
        bent = np.exp(-np.exp(slow) / MOST_SLOWER)
        slower = MOST_SLOWER * (1.0 - bent)
        for i in range(2):
            self._depends("rise", i, _RISE, powers[:, :, i])
            self._depends("decay", i, _DECAY, powers[:, :, i])
            self._depends("decay", i, _SLOW, powers[:, :, i])
            self._depends("slow", i, _SLOW, -np.exp(slow) * bent * powers[:, :, i])
            self._depends("part", i, _PART, fraction * (1.0 - fraction) * powers[:, :, i])
        self.peaks[:, :, _RISE] = np.exp(rise) * self.pattern.x
        self.peaks[:, :, _DECAY] = np.exp(decay) * self.pattern.x
        self.peaks[:, :, _SLOW] = np.exp(decay - slower) * self.pattern.x
        self.peaks[:, :, _PART] = fraction

    def widen(self) -> None:
        """Gaussian and box of every node."""
        box = np.exp(self._own("box")) if self.layout.box else 0.0
        whole = 1.0 + box**2 / 3.0
        sigma = np.exp(self._own("width")) * self.pattern.cotangent * self.straight / np.sqrt(whole)
        for kind in ("width", "scale"):
            self._depends(kind, 0, _SIGMA2, 2.0)
            self._depends(kind, 0, _BOX, 1.0)
        self.peaks[:, :, _SIGMA2] = sigma
        if self.layout.box:
            self._depends("box", 0, _SIGMA2, 2.0 * (1.0 / whole - 1.0))
            self._depends("box", 0, _BOX, 1.0 / whole)
            self.peaks[:, :, _BOX] = box * sigma
