"""A known misalignment of SNAP: where the modules and pixels of a simulated run really are.

Words:

- The *nominal* geometry is the one that the logs and the instrument definition give; the *true* one made the events.
- The *change* of a pixel is ln(true DIFC / nominal DIFC), positive where the true DIFC is larger.
- A *rigid* part moves and turns a module in space: a tilt about its centre, a radial shift, and a shift along the
  direction of growing 2theta that is solved for, so that the median change of the module is a given value.
- A *smooth* part is a polynomial over the module, a *pixel* part is independent noise of each pixel. Both stand for
  what a rigid body cannot do (curved scintillators, wrong encoding) and change DIFC, not the position.

Sizes are those of the measured calibration of SNAP run 57514: module medians 0.10 to 0.77 % around 0.24 %, 0.02 to
0.08 % robust standard deviation within a module, and 200 ppm rms of each native pixel. As there, the larger changes
belong to the columns at small angles, where a shift of the same length does more. Unlike there, the three modules of
a column differ by as much as columns do, so that every column has a spread that a calibration can remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from snapcal_workbench.calibration.types import FloatArray, Geometry, PixelLayout
from snapcal_workbench.errors import InputError

_SECANT_STEPS = 3
_SHOWN = 32
"""So many columns and rows of a module decide its median."""
_DEGREE = 3


@dataclass(frozen=True)
class Misalignment:
    """Sizes of the misalignment.

    Attributes:
        smallest, middle, largest: Median change of DIFC of the modules: least, median and greatest.
        tilt: Rms angle of a module's turn about each axis, rad.
        radial: Rms shift of a module along the line of sight, m.
        smooth: (least, greatest) standard deviation of the change within a module, rigid and smooth part together.
            The smooth part makes up what is missing; (0, 0) leaves it out.
        pixel: Rms of the pixel part, relative.
        seed: Of the random numbers.
        moved: Modules (from 0) that were moved by hand, and by how much their median change is larger for it.
        corners: Modules (from 0) of which one corner, a quarter of the columns and of the rows, changed as one, and by
            how much ln DIFC is larger there.
    """

    smallest: float = 0.0010
    middle: float = 0.0024
    largest: float = 0.0077
    tilt: float = 1e-3
    radial: float = 5e-4
    smooth: tuple[float, float] = (2.5e-4, 6.5e-4)
    pixel: float = 2e-4
    seed: int = 1
    moved: Mapping[int, float] = field(default_factory=dict)
    corners: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        medians = (self.smallest, self.middle, self.largest)
        ordered = 0 < self.smallest <= self.middle <= self.largest
        others = (self.tilt, self.radial, *self.smooth, self.pixel)
        if not (ordered or not any(medians)) or min(others) < 0 or self.smooth[0] > self.smooth[1]:
            raise InputError(
                "A misalignment needs 0 < smallest <= middle <= largest median change, or all three 0, and no negative "
                "size.",
                found=f"medians {medians}, tilt {self.tilt}, radial {self.radial}, smooth {self.smooth}, "
                f"pixel {self.pixel}",
                fix="Correct the sizes; they are relative changes of DIFC, such as 0.0024.",
            )

    @classmethod
    def none(cls) -> Misalignment:
        """An instrument that is where its definition says."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0), 0.0)

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed."""
        sizes = (self.smallest, self.middle, self.largest, self.tilt, self.radial, *self.smooth, self.pixel)
        return not any(sizes) and not self.moved and not self.corners


@dataclass(frozen=True, eq=False)
class MisalignedInstrument:
    """What the events of a simulated run are made with.

    Attributes:
        geometry: True positions of the native pixels (rigid part only).
        difc: float64[n], true DIFC, us/A (all parts).
        moved: float64[modules], length of the shift of each module's centre, m.
    """

    geometry: Geometry
    difc: FloatArray
    moved: FloatArray


def misalign(nominal: Geometry, sizes: Misalignment) -> MisalignedInstrument:
    """Move the modules of an instrument and disturb its pixels.

    Args:
        nominal: Geometry with a layout, from the logs.
        sizes: How much; the same sizes and seed give the same result.

    Raises:
        InputError: The geometry has no modules.
    """
    if nominal.layout is None:
        raise InputError(
            "A misalignment needs the modules of the instrument.",
            found=f"a geometry of {nominal.instrument or 'an instrument'} without a layout",
            fix="Simulate SNAP, whose modules are known.",
        )
    position = positions(nominal)
    modules = int(nominal.layout.module.max()) + 1
    if sizes.is_none:
        return MisalignedInstrument(nominal, nominal.difc, np.zeros(modules))
    rng = np.random.default_rng(np.random.SeedSequence([sizes.seed, 0xA11]))
    medians = _module_medians(nominal, sizes, rng)
    for module, extra in sizes.moved.items():
        medians[module] += extra
    moved = np.zeros(modules)
    true_position = position.copy()
    for module in range(modules):
        own = np.flatnonzero(nominal.layout.module == module)
        shown = own[_thinned(nominal.layout, own)]
        motion = _Motion.draw(position[own], sizes, rng)
        along = _solve_shift(motion, position[shown], nominal.l1, medians[module])
        true_position[own] = motion.apply(position[own], along)
        moved[module] = np.linalg.norm(motion.radial + along * motion.tangent)
    geometry = _with_positions(nominal, true_position)
    true = geometry.difc
    change = _smooth_part(nominal.layout, np.log(true / nominal.difc), sizes, rng)
    change += sizes.pixel * rng.standard_normal(len(nominal))
    for module, extra in sizes.corners.items():
        change[corner_of(nominal.layout, module)] += extra
    return MisalignedInstrument(geometry, true * np.exp(change), moved)


def corner_of(layout: PixelLayout, module: int) -> NDArray[np.bool_]:
    """bool[n]: the pixels in the first quarter of the columns and rows of a module (from 0)."""
    rows = layout.rows or layout.columns
    return (layout.module == module) & (4 * layout.x < layout.columns) & (4 * layout.y < rows)


def positions(geometry: Geometry) -> FloatArray:
    """float64[n, 3]: x, y, z of each pixel in m; the sample is at 0, z along the beam, y up."""
    across = geometry.l2 * np.sin(geometry.two_theta)
    return np.stack(
        [
            across * np.cos(geometry.azimuth),
            across * np.sin(geometry.azimuth),
            geometry.l2 * np.cos(geometry.two_theta),
        ],
        axis=1,
    )


def _with_positions(geometry: Geometry, position: FloatArray) -> Geometry:
    x, y, z = position.T
    across = np.hypot(x, y)
    return replace(geometry, l2=np.hypot(across, z), two_theta=np.arctan2(across, z), azimuth=np.arctan2(y, x))


@dataclass(frozen=True, eq=False)
class _Motion:
    """A turn about `centre`, then the shift `radial` and so many m along `tangent` (growing 2theta)."""

    centre: FloatArray
    turn: Rotation
    radial: FloatArray
    tangent: FloatArray

    @classmethod
    def draw(cls, position: FloatArray, sizes: Misalignment, rng: np.random.Generator) -> _Motion:
        centre = position.mean(axis=0)
        sight = centre / np.linalg.norm(centre)
        tangent = np.array([sight[0] * sight[2], sight[1] * sight[2], -(sight[0] ** 2 + sight[1] ** 2)])
        return cls(
            centre=centre,
            turn=Rotation.from_rotvec(sizes.tilt * rng.standard_normal(3)),
            radial=sizes.radial * rng.standard_normal() * sight,
            tangent=tangent / np.linalg.norm(tangent),
        )

    def apply(self, position: FloatArray, along: float) -> FloatArray:
        return self.turn.apply(position - self.centre) + self.centre + self.radial + along * self.tangent


def _solve_shift(motion: _Motion, position: FloatArray, l1: float, median: float) -> float:
    """The shift (m) along growing 2theta that gives the module its median change, by the secant method."""
    before = _log_difc(position, l1)

    def excess(along: float) -> float:
        return float(np.median(_log_difc(motion.apply(position, along), l1) - before)) - median

    low, high = 0.0, 1e-3
    at_low, at_high = excess(low), excess(high)
    for _ in range(_SECANT_STEPS):
        if at_high == at_low:
            break
        low, high = high, high - at_high * (high - low) / (at_high - at_low)
        at_low, at_high = at_high, excess(high)
    return high


def _log_difc(position: FloatArray, l1: float) -> FloatArray:
    """ln(DIFC) up to a constant: (L1 + L2) sin(theta) with sin^2(theta) = (1 - cos 2theta) / 2."""
    l2 = np.linalg.norm(position, axis=1)
    return np.log(l1 + l2) + 0.5 * np.log(1.0 - position[:, 2] / l2)


def _module_medians(nominal: Geometry, sizes: Misalignment, rng: np.random.Generator) -> FloatArray:
    """Median change of each module.

    The values run from `smallest` to `largest` with `middle` as their median, evenly in their logarithm on either
    side. They are cut into as many classes as a column has modules (thirds for columns of three), and each column gets
    one of each class, in random order; within a class the larger ones belong to the columns at smaller angles.
    """
    assert nominal.layout is not None
    angle = np.bincount(nominal.layout.module, nominal.two_theta) / np.bincount(nominal.layout.module)
    if not sizes.largest:
        return np.zeros(len(angle))
    rows = nominal.layout.arrangement.rows
    columns = len(angle) // rows
    rank = np.linspace(0.0, 1.0, len(angle))
    anchors = np.log([sizes.smallest, sizes.middle, sizes.largest])
    classes = np.exp(np.interp(rank, [0.0, 0.5, 1.0], anchors)).reshape(rows, columns)
    order = np.argsort(-angle.reshape(columns, rows).mean(axis=1))
    medians = np.empty((columns, rows))
    for place, column in enumerate(order):
        medians[column] = rng.permutation(classes[:, place])
    return medians.ravel()


def _thinned(layout: PixelLayout, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    across, up = (max(side // _SHOWN, 1) for side in (layout.columns, layout.rows))
    return (layout.x[own] % across == across // 2) & (layout.y[own] % up == up // 2)


def _smooth_part(layout: PixelLayout, rigid: FloatArray, sizes: Misalignment, rng: np.random.Generator) -> FloatArray:
    """float64[n]: a random polynomial of third degree over each module that leaves the module's median as it is.

    Args:
        layout: Places of the pixels.
        rigid: float64[n], change by the rigid part.
        sizes: How much.
        rng: Where the random numbers come from.
    """
    change = np.zeros(len(layout.module))
    if not any(sizes.smooth):
        return change
    for module in range(int(layout.module.max()) + 1):
        own = np.flatnonzero(layout.module == module)
        field = _random_polynomial(layout.columns, layout.rows, rng)[layout.x[own], layout.y[own]]
        field *= _amplitude(rigid[own], field, rng.uniform(*sizes.smooth))
        change[own] = field + np.median(rigid[own]) - np.median(rigid[own] + field)
    return change


def _random_polynomial(columns: int, rows: int, rng: np.random.Generator) -> FloatArray:
    """float64[columns, rows]: a sum of Legendre polynomials in x and y up to a total degree, without the constant."""
    in_x, in_y = (np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, side), _DEGREE).T for side in (columns, rows))
    weights = rng.standard_normal((_DEGREE + 1, _DEGREE + 1))
    weights[0, 0] = 0.0
    weights[np.add.outer(np.arange(_DEGREE + 1), np.arange(_DEGREE + 1)) > _DEGREE] = 0.0
    return np.einsum("ij,ix,jy->xy", weights, in_x, in_y, optimize=True)


def _amplitude(rigid: FloatArray, field: FloatArray, deviation: float) -> float:
    """The c for which rigid + c field has a standard deviation; that nearest to it where none has it exactly."""
    both = np.cov(rigid, field)
    middle = -both[0, 1] / both[1, 1]
    return middle + np.sqrt(max(middle**2 - (both[0, 0] - deviation**2) / both[1, 1], 0.0))
