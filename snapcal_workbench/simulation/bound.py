"""How well the events of a simulated run can tell a pixel's DIFC: Fisher information and the Cramer-Rao bound.

With p(t; s) the density of the pixel's events when its true DIFC is exp(s) times larger, one event has the Fisher
information  I1 = integral (dp/ds)^2 / p dt,  N events have J = N I1, and no unbiased estimate of s has a standard error
below the *bound* 1 / sqrt(J). Only the peaks move with s, not the background, and only events within the TOF window of
the instrument state are counted, though N is the number of all.

I1 depends on the angle of the pixel and on the width of its peaks. It is worked out for `ANGLES` pixels and two widths,
and interpolated. A lite pixel has the width of its native pixels and, added in quadrature, the spread of their DIFC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import trapezoid

from snapcal_workbench.calibration.pixels.likelihood.smooth_field import robust_spread
from snapcal_workbench.calibration.types import FloatArray, Geometry, PixelGrouping
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.simulation.model import RunModel
from snapcal_workbench.simulation.spectrum import PixelSpectrum
from snapcal_workbench.simulation.truth import Truth

ANGLES = 40
WIDENED = 1.3
"""The larger of the two widths, relative to the pixel's own."""
LOW_CROP = 0.05
"""Cropped from the low end of the band, A."""
_POINTS_PER_SIGMA = 6.0
_STEP = 1e-6


def information_per_event(spectrum: PixelSpectrum, tof_min: float, tof_max: float) -> float:
    """I1: Fisher information about ln(DIFC) per event of a pixel, from its spectrum within a TOF window (us)."""
    points = int(np.log(tof_max / tof_min) / spectrum.width * _POINTS_PER_SIGMA) + 2
    tof = np.geomspace(tof_min, tof_max, points)
    slope = (spectrum.peaks(tof, _STEP) - spectrum.peaks(tof, -_STEP)) / (2.0 * _STEP)
    density = spectrum.peaks(tof) + spectrum.flat(tof)
    ratio = np.divide(slope**2, density, out=np.zeros(points), where=density > 0)
    return float(trapezoid(ratio, tof)) / (spectrum.rate.sum() + spectrum.background)


def tof_window(model: RunModel) -> tuple[float, float]:
    """TOF range (us) of the instrument state that the run is made for, from the nominal flight path."""
    path = (model.nominal.l1 + model.l2) / WAVELENGTH_PER_TOF
    return (model.incident.wavelength_min + LOW_CROP) * path, model.incident.wavelength_max * path


def pixel_information(model: RunModel) -> tuple[FloatArray, FloatArray]:
    """Fisher information J about ln(DIFC) of every native and every lite pixel; 0 for dead and hot ones.

    Returns:
        float64[native pixels] and float64[lite pixels].
    """
    events = model.bragg + model.background
    table = _InformationTable(model)
    sine = np.sin(model.instrument.geometry.two_theta / 2.0)
    native = np.where((model.hot > 0) | (model.bragg == 0), 0.0, events * table(sine, model.width))
    layout = model.nominal.layout
    lite_of = np.arange(len(events), dtype=np.int32) if layout is None else merged_by_place(layout, layout.block)
    total = np.bincount(lite_of, events)

    def mean(values: FloatArray) -> FloatArray:
        return np.bincount(lite_of, events * values) / np.maximum(total, 1e-300)

    log_difc = np.log(model.instrument.difc)
    centre = mean(log_difc)
    width = np.sqrt(mean(model.width**2) + mean((log_difc - centre[lite_of]) ** 2))
    alive = (total > 0) & (np.bincount(lite_of, model.hot) == 0)
    lite = np.zeros(len(total))
    lite[alive] = total[alive] * table(mean(sine)[alive], width[alive])
    return native, lite


class _InformationTable:
    """I1 as a function of sin(theta) and width: linear in sin(theta), a power of the width."""

    def __init__(self, model: RunModel) -> None:
        alive = np.flatnonzero(model.bragg > 0)
        sine = np.sin(model.instrument.geometry.two_theta[alive] / 2.0)
        ascending = np.argsort(sine)
        even = np.searchsorted(sine[ascending], np.linspace(sine.min(), sine.max(), ANGLES))
        chosen = ascending[np.unique(np.clip(even, 0, len(alive) - 1))]
        self.sine = sine[chosen]
        window = tof_window(model)
        spectra = [model.spectrum_of(int(pixel)) for pixel in alive[chosen]]
        self.width = np.array([s.width for s in spectra])
        self.own = np.maximum([information_per_event(s, *window) for s in spectra], 1e-300)
        wider = np.array([information_per_event(replace(s, width=WIDENED * s.width), *window) for s in spectra])
        self.power = np.log(wider / self.own) / np.log(WIDENED)

    def __call__(self, sine: FloatArray, width: FloatArray) -> FloatArray:
        own, power, base = (np.interp(sine, self.sine, values) for values in (self.own, self.power, self.width))
        return own * (width / base) ** power


@dataclass(frozen=True)
class GroupStatistics:
    """What a simulated run promises for the pixels of one group; pixels that are dead or hot are left out.

    Attributes:
        group: Group id.
        pixels: Number of pixels.
        events: Median number of events of a pixel.
        bound_ppm: Median Cramer-Rao bound of a pixel, ppm of DIFC.
        spread_ppm: Robust spread of ln(true DIFC / geometric DIFC) over the pixels, ppm: what is to be found.
    """

    group: int
    pixels: int
    events: float
    bound_ppm: float
    spread_ppm: float


def group_statistics(truth: Truth, geometry: Geometry, grouping: PixelGrouping) -> tuple[GroupStatistics, ...]:
    """Bound and injected spread of every group.

    Args:
        truth: Of the native pixels, or `truth.lite()`.
        geometry: Nominal geometry of the same pixels.
        grouping: Of the same pixels.
    """
    change = np.log(truth.difc / geometry.difc)
    found = []
    for group in grouping.ids:
        own = (grouping.group == group) & (truth.information > 0)
        found.append(
            GroupStatistics(
                group=int(group),
                pixels=int(own.sum()),
                events=float(np.median(truth.events[own])) if own.any() else 0.0,
                bound_ppm=float(np.median(1e6 / np.sqrt(truth.information[own]))) if own.any() else np.inf,
                spread_ppm=1e6 * robust_spread(change[own]),
            )
        )
    return tuple(found)
