"""Where the Bragg peaks of each group are expected: group parameters, peak windows, and which peaks are left out.

Words:

- Group parameters are means over the pixels in use (grouped and not masked), with weights sin(2theta / 2).
- sigma = delta_d d is the width that the resolution predicts for a peak at d.
- Strength A = |F|^2 multiplicity d^4 is a peak's integrated intensity for a flat incident spectrum.
- The window of a peak is where it is fitted: some sigmas (or SNAPRed's "FWHM") to either side, and the moderator tail
  above it, tail_coefficient / beta; 1/beta is the decay time of a peak (GSAS TOF profile, beta = beta0 + beta1 / d^4).

Two ways to deal with overlap (`PeakOptions.overlap`):

- "before intensity", SNAPRed's: neighbours whose windows touch are both dropped, then weak peaks are dropped. A
  negligible reflection can so remove a strong one.
- "after intensity": weak peaks are dropped first. Then only a neighbour of at least `NEGLIGIBLE` times a peak's
  strength counts. Nearer than `SEPARATION` sigmas it drops the peak; further away it cuts the window half way to it. A
  Gaussian on a straight line, fitted to one of two equal noise-free Gaussians 4.5 sigma apart, is then off by 0.026
  sigma (0.067 sigma with whole windows); with a neighbour of 5 % at any distance by at most 0.018 sigma.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    ExpectedPeaks,
    FloatArray,
    Geometry,
    GroupParameters,
    ParticleBounds,
    PixelGrouping,
    PixelMask,
    Reflections,
    Resolution,
)
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.errors import InputError
from snapcal_workbench.options import PeakOptions

BoolArray = NDArray[np.bool_]

NEGLIGIBLE = 0.05
"""A neighbour below this fraction of a peak's strength does not disturb its fit."""
SEPARATION = 4.5
"""Peaks nearer than this many sigmas cannot be fitted apart; half of it is the least half width of a window."""
SNAPRED_WIDTH = np.sqrt(2.0 * np.log(2.0))
"""SNAPRed's "FWHM" in sigmas; it is half the FWHM of a Gaussian."""


MOST_GROUPS = 1024
"""More groups are not calibrated: each takes 200 kB for its spectra and fits, and 18,432 of them were 4 GB."""


def require_few_groups(grouping: PixelGrouping, source: str = "") -> None:
    """Raise InputError if a grouping, from `source`, has more groups than can be calibrated at once."""
    if len(grouping.ids) > MOST_GROUPS:
        raise InputError(
            f"A grouping may have up to {MOST_GROUPS} groups.",
            found=f"{len(grouping.ids)} groups in {source or grouping.name or 'the grouping'}",
            fix="Choose a grouping with larger groups, such as Column; every pixel is calibrated all the same.",
        )


def group_parameters(
    geometry: Geometry,
    grouping: PixelGrouping,
    mask: PixelMask,
    *,
    resolution: Resolution,
    bounds: ParticleBounds,
    options: PeakOptions,
) -> GroupParameters:
    """Mean position, d limits and resolution of each group that has pixels in use.

    d_min = k tof_min / (L 2 sin(2theta_max / 2)) + crop, d_max likewise with tof_max and 2theta_min, of the extreme
    pixels and L = L1 + nominal L2, so that all pixels of a group see its whole range. The azimuth is a circular mean.

    Resolution as Mantid's EstimateResolutionDiffraction: (delta_d / d)^2 = (delta T / T)^2
    + <((dx^2 + dy^2 + dz^2) / 4 + delta_L^2) / (L1 + L2)^2> + <(solid angle + delta_theta^2) cot^2 theta>,
    but averaged over the pixels in use, where Mantid counts masked ones as 0 and so lets a mask narrow the peaks.

    Raises:
        InputError: If grouping, mask and geometry are not of the same pixels, or there are too many groups.
    """
    require_few_groups(grouping)
    for name, other in (("grouping", grouping), ("mask", mask)):
        if not np.array_equal(other.detid, geometry.detid):
            raise InputError(
                f"The {name} must be of the instrument's own pixels.",
                found=f"{len(other.detid)} pixels in the {name}, {len(geometry)} in the instrument",
                fix=f"Choose a {name} made for the same instrument, native or lite.",
            )
    used = (grouping.group > 0) & ~mask.masked
    ids, index = np.unique(grouping.group[used], return_inverse=True)
    mean = _GroupMean(index, len(ids), np.sin(geometry.two_theta[used] / 2.0))
    d_min, d_max = _d_limits(geometry.two_theta[used], mean, resolution=resolution, bounds=bounds, options=options)
    azimuth = geometry.azimuth[used]
    return GroupParameters(
        group=ids.astype(np.int32),
        l2=mean.weighted(geometry.l2[used]),
        two_theta=mean.weighted(geometry.two_theta[used]),
        azimuth=np.arctan2(mean.weighted(np.sin(azimuth)), mean.weighted(np.cos(azimuth))),
        d_min=d_min,
        d_max=d_max,
        delta_d=_delta_d(geometry, used, mean, resolution),
        l1=geometry.l1,
        tof_min=bounds.tof_min,
        tof_max=bounds.tof_max,
    )


@dataclass(frozen=True)
class _GroupMean:
    """Means and extremes over the pixels of each group; `index` is the group's number from 0 of each pixel."""

    index: NDArray[np.intp]
    groups: int
    weight: FloatArray

    def weighted(self, value: FloatArray) -> FloatArray:
        return self._sum(value * self.weight) / self._sum(self.weight)

    def plain(self, value: FloatArray) -> FloatArray:
        return self._sum(value) / self._sum(np.ones(len(value)))

    def extremes(self, value: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = np.full(self.groups, np.inf), np.full(self.groups, -np.inf)
        np.minimum.at(low, self.index, value)
        np.maximum.at(high, self.index, value)
        return low, high

    def _sum(self, value: FloatArray) -> FloatArray:
        return np.bincount(self.index, weights=value, minlength=self.groups).astype(np.float64)


def _d_limits(
    two_theta: FloatArray, mean: _GroupMean, *, resolution: Resolution, bounds: ParticleBounds, options: PeakOptions
) -> tuple[FloatArray, FloatArray]:
    low, high = mean.extremes(two_theta)
    per_tof = WAVELENGTH_PER_TOF / (resolution.l1 + resolution.l2) / 2.0
    d_min = per_tof * bounds.tof_min / np.sin(high / 2.0) + options.d_crop_low
    d_max = per_tof * bounds.tof_max / np.sin(low / 2.0) - options.d_crop_high
    return d_min, d_max


def _delta_d(geometry: Geometry, used: BoolArray, mean: _GroupMean, resolution: Resolution) -> FloatArray:
    """float64[g]: relative resolution; the three terms are time, flight path and angle."""
    l2, half_angle = geometry.l2[used], geometry.two_theta[used] / 2.0
    box = sum(size**2 for size in resolution.pixel_size) / 4.0
    path = mean.plain((box + resolution.delta_l**2) / (geometry.l1 + l2) ** 2)
    if geometry.solid_angle is not None:
        solid_angle = geometry.solid_angle[used]
    else:
        face = resolution.pixel_size[0] * resolution.pixel_size[1] if resolution.with_solid_angle else 0.0
        solid_angle = face / l2**2
    angle = mean.plain((solid_angle + resolution.delta_theta**2) / np.tan(half_angle) ** 2)
    return np.sqrt(resolution.delta_t_over_t**2 + path + angle)


def expected_peaks(
    reflections: Reflections,
    parameters: GroupParameters,
    *,
    options: PeakOptions,
    intensity_fraction: float,
    excluded: Collection[tuple[int, tuple[int, int, int]]] = (),
) -> dict[int, ExpectedPeaks]:
    """The peaks to be fitted in each group, with their windows; a group without peaks has none of them.

    Args:
        reflections: Of the calibrant, within the crystal's d range of `options`.
        parameters: Of the groups.
        options: Rules for windows and overlap.
        intensity_fraction: Weakest strength that is kept, as a fraction of the largest of all `reflections`.
        excluded: (group, hkl) of the peaks that the user leaves out.

    Raises:
        InputError: If the fraction is not from 0 to 1.
    """
    if not 0 <= intensity_fraction <= 1:
        raise InputError(
            "The weakest intensity kept is a fraction of the strongest.",
            found=f"{intensity_fraction:g}",
            fix="Give a number from 0 to 1, for example 0.05.",
        )
    without = {(int(group), tuple(int(i) for i in hkl)) for group, hkl in excluded}
    select = _after_intensity if options.overlap == "after intensity" else _before_intensity
    found = {}
    for i, group in enumerate(parameters.group):
        selection = _Selection.of_group(reflections, parameters, i, options)
        select(selection, intensity_fraction)
        selection.drop_outside_crystal_range(options)
        names = [(int(group), tuple(h)) in without for h in reflections.hkl.tolist()]
        selection.drop(np.array(names, bool), "excluded by the user")
        found[int(group)] = selection.peaks(int(group))
    return found


@dataclass
class _Selection:
    """All reflections of the crystal with their windows in one group, and why those that are dropped are dropped."""

    reflections: Reflections
    sigma: FloatArray
    window_min: FloatArray
    window_max: FloatArray
    d_min: float
    d_max: float
    reason: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of_group(
        cls, reflections: Reflections, parameters: GroupParameters, index: int, options: PeakOptions
    ) -> _Selection:
        d, delta_d = reflections.d, parameters.delta_d[index]
        left, right = _half_widths(options)
        top = d + right * delta_d * d + _tail(d, parameters, index, options)
        return cls(
            reflections,
            delta_d * d,
            d - left * delta_d * d,
            top,
            float(parameters.d_min[index]),
            float(parameters.d_max[index]),
        )

    @property
    def strength(self) -> FloatArray:
        return self.reflections.f_squared * self.reflections.multiplicity * self.reflections.d**4

    @property
    def inside(self) -> BoolArray:
        return (self.reflections.d >= self.d_min) & (self.reflections.d <= self.d_max)

    @property
    def kept(self) -> BoolArray:
        kept = self.inside
        kept[list(self.reason)] = False
        return kept

    def drop(self, which: BoolArray, reason: str) -> None:
        """Drop those of `which` that are still kept."""
        self.reason.update(dict.fromkeys(np.flatnonzero(which & self.kept).tolist(), reason))

    def drop_weak(self, fraction: float) -> None:
        weakest = fraction * self.strength.max(initial=0.0)
        self.drop(self.strength < weakest, f"weaker than {fraction:g} of the strongest reflection")

    def drop_outside_crystal_range(self, options: PeakOptions) -> None:
        outside = (self.window_min <= options.crystal_d_min) | (self.window_max >= options.crystal_d_max)
        self.drop(outside, "window outside the crystal's d range")

    def name(self, index: int) -> str:
        return " ".join(str(i) for i in self.reflections.hkl[index])

    def peaks(self, group: int) -> ExpectedPeaks:
        kept, r = np.flatnonzero(self.kept), self.reflections
        dropped = tuple(
            ((int(r.hkl[i, 0]), int(r.hkl[i, 1]), int(r.hkl[i, 2])), float(r.d[i]), self.reason[i])
            for i in sorted(self.reason)
        )
        return ExpectedPeaks(
            group=group,
            hkl=r.hkl[kept],
            d=r.d[kept],
            f_squared=r.f_squared[kept],
            multiplicity=r.multiplicity[kept],
            window_min=self.window_min[kept],
            window_max=self.window_max[kept],
            dropped=dropped,
        )


def _half_widths(options: PeakOptions) -> tuple[float, float]:
    """Half widths of a window below and above the peak, in sigmas."""
    if options.window == "sigma":
        return options.window_sigmas, options.window_sigmas
    return SNAPRED_WIDTH * options.fwhm_left, SNAPRED_WIDTH * options.fwhm_right


def _tail(d: FloatArray, parameters: GroupParameters, index: int, options: PeakOptions) -> FloatArray:
    """Length of the moderator tail, A: tail_coefficient / beta, beta in 1/A = (beta0 + beta1 / d^4) DIFC."""
    return options.tail_coefficient / ((options.gsas_beta0 + options.gsas_beta1 / d**4) * parameters.difc[index])


def _before_intensity(selection: _Selection, fraction: float) -> None:
    """SNAPRed's order. A dropped peak is not compared with its successor, so of three in a row the third stays."""
    rounded = np.round(selection.reflections.d, 5)
    selection.drop(np.append(rounded[1:] == rounded[:-1], False), "at the same d as the next reflection")
    candidates = np.flatnonzero(selection.kept)
    overlapping = np.zeros(len(rounded), bool)
    for i, following in pairwise(candidates):
        if not overlapping[i] and selection.window_max[i] >= selection.window_min[following]:
            overlapping[[i, following]] = True
    selection.drop(overlapping, "overlaps a neighbour")
    selection.drop_weak(fraction)


def _after_intensity(selection: _Selection, fraction: float) -> None:
    """Drop weak peaks, then peaks too near to a neighbour that counts; cut the windows of the others."""
    selection.drop_weak(fraction)
    for i in np.flatnonzero(selection.kept):
        _separate(selection, int(i))
    half = 0.5 * SEPARATION * selection.sigma
    d = selection.reflections.d
    near = (d - half < selection.d_min) | (d + half > selection.d_max)
    selection.drop(near, "too near to the limit of the group's d range")
    selection.window_min = np.maximum(selection.window_min, selection.d_min)
    selection.window_max = np.minimum(selection.window_max, selection.d_max)


def _separate(selection: _Selection, index: int) -> None:
    d, strength = selection.reflections.d, selection.strength
    counting = np.flatnonzero(strength >= NEGLIGIBLE * strength[index])
    below, above = counting[counting < index], counting[counting > index]
    for neighbour in [*below[-1:], *above[:1]]:
        if abs(d[neighbour] - d[index]) < SEPARATION * selection.sigma[index]:
            selection.reason[index] = f"overlaps {selection.name(neighbour)}"
            return
    for neighbour in below[-1:]:
        selection.window_min[index] = max(selection.window_min[index], 0.5 * (d[neighbour] + d[index]))
    for neighbour in above[:1]:
        selection.window_max[index] = min(selection.window_max[index], 0.5 * (d[neighbour] + d[index]))
