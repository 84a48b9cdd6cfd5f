"""Focused patterns of silicon with a moderator of known pulse, for tests and benchmarks of the joint fit.

Independent of the fit: densities are those of `profiles`, summed over three angles of each group's pixels, and bins
hold density times width. Lengths in A, times in us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snapcal_workbench.calibration.peaks.profiles import PROFILES
from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, GroupParameters, Reflections, Spectra
from snapcal_workbench.simulation.spectrum import IncidentSpectrum

ANGLES = np.array([0.96, 1.0, 1.04])
"""sin(theta) of the pixels of a group, relative to its mean."""
WIDTH = 0.8
"""Gaussian width, relative to the resolution; it follows cot(theta)."""
STEP = 2.5e-4
SLOWER = 4.0
"""By how much slower a tail decays."""
_OFF, _WEIGHT = np.polynomial.legendre.leggauss(7)


@dataclass(frozen=True)
class Moderator:
    """alpha = rise lambda^rise_power, beta = decay lambda^decay_power, t0(lambda) = offset + inverse / lambda.

    The part `tail` lambda^2 of the neutrons, at most half, decays slower.
    """

    rise: float = 0.55
    rise_power: float = -1.0
    decay: float = 0.17
    decay_power: float = -1.2
    offset: float = -5.0
    inverse: float = 0.0
    tail: float = 0.0

    def pulse(self, wavelength: float) -> tuple[float, float]:
        """alpha and beta, 1/us."""
        return self.rise * wavelength**self.rise_power, self.decay * wavelength**self.decay_power

    def t0(self, wavelength: FloatArray | float) -> FloatArray | float:
        """us."""
        return self.offset + self.inverse / wavelength


@dataclass(frozen=True, eq=False)
class Truth:
    """What a pattern is made with.

    shift: float64[groups], ln(DIFC / arbitrary DIFC); extent: half width of the pixels in sigmas of the Gaussian.
    """

    parameters: GroupParameters
    reflections: Reflections
    shift: FloatArray
    moderator: Moderator = field(default_factory=Moderator)
    extent: float = 0.0

    def position(self, index: int, d: FloatArray) -> FloatArray:
        """T0 of peaks at d in group number `index`, us."""
        wavelength = 2.0 * d * self._sine(index)
        return self._difc(index) * d + self.moderator.t0(wavelength)

    def maximum(self, index: int, d: FloatArray) -> FloatArray:
        """Where peaks at d are highest, us: a parabola about the highest of many points."""
        found = []
        for value in d:
            t0 = self._difc(index) * value
            sigma = WIDTH * self.parameters.delta_d[index] * t0
            tof = np.linspace(t0 - 3.0 * sigma, t0 + 3.0 * sigma + 40.0, 6001)
            density = self.peak(index, float(value), tof)
            top = int(np.argmax(density))
            near = slice(top - 20, top + 21)
            curve, slope, _ = np.polyfit(tof[near] - tof[top], density[near], 2)
            found.append(tof[top] - 0.5 * slope / curve)
        return np.array(found)

    def peak(self, index: int, d: float, tof: FloatArray) -> FloatArray:
        """Density of a peak at d, 1/us."""
        t0 = self._difc(index) * d
        sigma = WIDTH * self.parameters.delta_d[index] * t0
        total = np.zeros(len(tof))
        cotangent = np.sqrt(1.0 / (ANGLES * self._sine(index)) ** 2 - 1.0)
        for x, cot in zip(ANGLES, cotangent / cotangent.mean(), strict=True):
            wavelength = 2.0 * d * self._sine(index) * x
            centre = t0 + self.moderator.t0(wavelength) / x
            total += self._of_angle(tof, centre, wavelength, x, sigma * cot) / len(ANGLES)
        return total

    def _of_angle(self, tof: FloatArray, centre: float, wavelength: float, x: float, sigma: float) -> FloatArray:
        """Density of the peak of the pixels at one angle, averaged over their extent."""
        alpha, beta = self.moderator.pulse(wavelength)
        tail = min(self.moderator.tail * wavelength**2, 0.5)
        density = PROFILES["BackToBackExponential"].density
        total = np.zeros(len(tof))
        for off, weight in zip(_OFF, _WEIGHT, strict=True) if self.extent else [(0.0, 2.0)]:
            for part, decay in ((1.0 - tail, beta), (tail, beta / SLOWER)):
                if part:
                    shape = np.array([alpha * x, decay * x, sigma])
                    total += 0.5 * weight * part * density(tof, centre + off * self.extent * sigma, shape)[0]
        return total

    def expected(self, neutrons: float, *, background: float = 0.4) -> tuple[FloatArray, FloatArray]:
        """Edges (A) and float64[groups, bins], mean counts; `background` is the share of it in the neutrons."""
        edges = np.exp(np.arange(np.log(0.4), np.log(4.5), STEP))
        incident = IncidentSpectrum()
        rows = []
        for index in range(len(self.parameters)):
            difc, sine = self.parameters.difc[index], self._sine(index)
            tof, middle = edges * difc, 0.5 * (edges[1:] + edges[:-1])
            centres, peaks = 0.5 * (tof[1:] + tof[:-1]), np.zeros(len(middle))
            r = self.reflections
            for d, strength in zip(r.d, r.f_squared * r.multiplicity * r.d**4, strict=True):
                rate = strength * float(incident(np.array([2.0 * d * sine]))[0])
                low, high = np.searchsorted(centres, [difc * d * 0.93, difc * d * 1.1 + 100.0])
                peaks[low:high] += rate * self.peak(index, float(d), centres[low:high])
            peaks *= np.diff(tof)
            flat = incident(2.0 * middle * sine) * np.diff(edges)
            mean = neutrons * ((1.0 - background) * peaks / peaks.sum() + background * flat / flat.sum())
            inside = (edges[:-1] >= self.parameters.d_min[index]) & (edges[1:] <= self.parameters.d_max[index])
            rows.append(np.where(inside, mean, 0.0))
        return edges, np.array(rows)

    def _difc(self, index: int) -> float:
        return float(self.parameters.difc[index] * np.exp(self.shift[index]))

    def _sine(self, index: int) -> float:
        return float(np.sin(self.parameters.two_theta[index] / 2.0))


def spectra_of(edges: FloatArray, y: FloatArray, parameters: GroupParameters) -> tuple[Spectra, DiffCalTable]:
    """Focused spectra of counts, and the table of the pixels that they would have been focused with."""
    n = len(ANGLES)
    difc = (parameters.difc[:, None] * ANGLES).ravel()
    table = DiffCalTable(np.arange(len(difc), dtype=np.int32), difc, np.zeros(len(difc)), np.zeros(len(difc)))
    detids = [table.detid[n * i : n * i + n] for i in range(len(parameters))]
    return Spectra(edges, y, np.sqrt(y), "dSpacing", detids, parameters.group), table


def drawn(truth: Truth, seed: int, neutrons: float, **options: float) -> tuple[Spectra, DiffCalTable]:
    """A run with so many neutrons a group."""
    edges, mean = truth.expected(neutrons, **options)
    return spectra_of(edges, np.random.default_rng(seed).poisson(mean).astype(float), truth.parameters)


def some(parameters: GroupParameters, groups: Mapping[int, None] | list[int]) -> GroupParameters:
    """The parameters of some of the groups."""
    use = np.isin(parameters.group, list(groups))
    arrays = ("group", "l2", "two_theta", "azimuth", "d_min", "d_max", "delta_d")
    values = {name: getattr(parameters, name)[use] for name in arrays}
    return GroupParameters(**values, l1=parameters.l1, tof_min=parameters.tof_min, tof_max=parameters.tof_max)
