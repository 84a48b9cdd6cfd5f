"""What a simulated run is expected to hold: the events of every native pixel by kind, and where its peaks lie.

Kinds of events: *Bragg* (peaks of the calibrant), *background* (no structure, scattered by the sample), *hot* (evenly
in TOF, of pixels whose electronics fires by itself). A *dead* pixel has none. The numbers are expectations; the run has
Poisson numbers around them.

The peaks' rates depend on the angle alone, so they are kept for `NODES` values of sin(theta), and each pixel takes
those of the nearest node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, Geometry, Reflections, Resolution
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.misalignment import MisalignedInstrument, Misalignment, misalign
from snapcal_workbench.simulation.sample import Peaks, SampleState, sample_peaks
from snapcal_workbench.simulation.spectrum import (
    IncidentSpectrum,
    PeakProfile,
    PixelSpectrum,
    bragg_rates,
    relative_width,
)

NODES = 1024


@dataclass(frozen=True)
class Defects:
    """Pixels that do not work.

    Attributes:
        dead_fraction: Share of the native pixels, anywhere, that count nothing.
        dead_blocks: Number of blocks of native pixels (lite pixels) that count nothing.
        hot_pixels: Number of native pixels that fire by themselves.
        hot_factors: (least, greatest) counts of a hot pixel, as a multiple of the mean pixel's.
        dead_modules: Modules (from 0) that count nothing.
    """

    dead_fraction: float = 0.002
    dead_blocks: int = 12
    hot_pixels: int = 9
    hot_factors: tuple[float, float] = (100.0, 1000.0)
    dead_modules: tuple[int, ...] = ()

    @classmethod
    def none(cls) -> Defects:
        """All pixels work."""
        return cls(0.0, 0, 0)


@dataclass(frozen=True, eq=False)
class RunModel:
    """Expected content of a simulated run. Arrays have one entry a native pixel.

    Attributes:
        peaks: Of the calibrant and of whatever else is in the beam; their shares for `NODES` angles.
        incident: The beam.
        profile: Shape of the peaks.
        nominal: Geometry as the logs say.
        instrument: The true one.
        tzero: Time offset of every pixel, us.
        l2: Nominal distance from sample to detectors, m.
        width: float64[n], relative Gaussian width of the peaks.
        bragg, background, hot: float64[n], expected events by kind; those of foreign phases are Bragg events too.
    """

    peaks: Peaks
    incident: IncidentSpectrum
    profile: PeakProfile
    nominal: Geometry
    instrument: MisalignedInstrument
    tzero: float
    l2: float
    width: FloatArray
    bragg: FloatArray
    background: FloatArray
    hot: FloatArray

    @cached_property
    def per_wavelength(self) -> FloatArray:
        """float64[n]: TOF of a neutron per wavelength, (L1 + L2) / k, us/A."""
        geometry = self.instrument.geometry
        return (geometry.l1 + geometry.l2) / WAVELENGTH_PER_TOF

    @cached_property
    def sine_nodes(self) -> FloatArray:
        """float64[NODES]: sin(theta) for which the rates of the peaks are kept."""
        return _nodes(self.instrument.geometry)

    @cached_property
    def node(self) -> NDArray[np.int32]:
        """int32[n]: the node of each pixel."""
        return _nearest(self.sine_nodes, _sine(self.instrument.geometry))

    def spectrum_of(self, pixel: int) -> PixelSpectrum:
        """Expected spectrum of a native pixel, without hot counts."""
        return PixelSpectrum(
            difc=float(self.instrument.difc[pixel]),
            tzero=self.tzero,
            per_wavelength=float(self.per_wavelength[pixel]),
            width=float(self.width[pixel]),
            d=self.peaks.d,
            broadening=self.peaks.broadening,
            rate=self.bragg[pixel] * self.peaks.share[self.node[pixel]],
            background=float(self.background[pixel]),
            incident=self.incident,
            profile=self.profile,
        )


def build_model(
    *,
    reflections: Reflections,
    nominal: Geometry,
    incident: IncidentSpectrum,
    profile: PeakProfile,
    misalignment: Misalignment,
    defects: Defects,
    n_events: int,
    background: float,
    time_offset: float,
    seed: int,
    resolution: Resolution = SNAP_BEAMLINE.resolution,
    sample: SampleState | None = None,
) -> RunModel:
    """Work out what a run is expected to hold.

    Args:
        reflections: Of the calibrant.
        nominal: Geometry of the native pixels as the logs say.
        incident: The beam.
        profile: Shape of the peaks.
        misalignment: How far the instrument is from where its logs say.
        defects: Pixels that do not work.
        n_events: Expected number of the calibrant's Bragg events and of background events.
        background: Share of the background in them.
        time_offset: TZERO of every pixel, us.
        seed: Which pixels are dead or hot.
        resolution: Terms of the width of the peaks.
        sample: What is in the beam; default: an ideal powder of the calibrant.

    Raises:
        InputError: No events, a background share outside 0 .. 1, or no reflection in the beam's band.
    """
    _check(n_events, background)
    instrument = misalign(nominal, misalignment)
    true = instrument.geometry
    dead, hot = _defective(nominal, defects, seed)
    solid_angle = np.ones(len(true)) if nominal.solid_angle is None else nominal.solid_angle
    alive = np.where(dead, 0.0, solid_angle)
    sample = sample or SampleState()
    nodes = _nodes(true)
    node = _nearest(nodes, _sine(true))
    phases = (reflections, *(phase.reflections for phase in sample.foreign))
    rates = [bragg_rates(phase, incident, nodes) for phase in phases]
    if not rates[0].any():
        raise InputError(
            "The pixels must see reflections of the calibrant.",
            found=f"{len(reflections)} reflections, {incident.wavelength_min:g} to {incident.wavelength_max:g} A",
            fix="Give reflections down to a smaller d-spacing, or choose another wavelength band.",
        )
    peaks = sample_peaks(reflections, sample, rates, np.bincount(node, alive, NODES).astype(np.float64))
    bragg = alive * peaks.total[node]
    foreign = sum(phase.amount for phase in sample.foreign)
    return RunModel(
        peaks=peaks,
        incident=incident,
        profile=profile,
        nominal=nominal,
        instrument=instrument,
        tzero=time_offset,
        l2=resolution.l2,
        width=relative_width(true, resolution),
        bragg=(1.0 + foreign) * (1.0 - background) * n_events * bragg / bragg.sum(),
        background=background * n_events * alive / alive.sum(),
        hot=hot * n_events / len(true),
    )


def _check(n_events: int, background: float) -> None:
    if n_events <= 0 or not 0 <= background < 1:
        raise InputError(
            "A simulated run needs events, and a share of background from 0 to below 1.",
            found=f"{n_events} events, background {background:g}",
            fix="Ask for some 1e7 events with a background of 0.3, for example.",
        )


def _sine(geometry: Geometry) -> FloatArray:
    return np.sin(geometry.two_theta / 2.0)


def _nodes(geometry: Geometry) -> FloatArray:
    sine = _sine(geometry)
    return np.linspace(sine.min(), sine.max(), NODES)


def _nearest(nodes: FloatArray, sine: FloatArray) -> NDArray[np.int32]:
    step = (nodes[-1] - nodes[0]) / (len(nodes) - 1) or 1.0
    return np.clip(np.rint((sine - nodes[0]) / step), 0, len(nodes) - 1).astype(np.int32)


def _defective(geometry: Geometry, defects: Defects, seed: int) -> tuple[NDArray[np.bool_], FloatArray]:
    """(dead pixels, counts of the hot ones as multiples of the mean pixel's)."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xDEAD]))
    count = len(geometry)
    dead = np.zeros(count, bool)
    dead[rng.choice(count, round(defects.dead_fraction * count), replace=False)] = True
    if geometry.layout is not None:
        block_of = merged_by_place(geometry.layout, geometry.layout.block)
        dead |= np.isin(block_of, rng.choice(block_of.max() + 1, defects.dead_blocks, replace=False))
        dead |= np.isin(geometry.layout.module, defects.dead_modules)
    hot = np.zeros(count)
    chosen = rng.choice(np.flatnonzero(~dead), defects.hot_pixels, replace=False)
    low, high = np.log(defects.hot_factors)
    hot[chosen] = np.exp(rng.uniform(low, high, defects.hot_pixels))
    return dead, hot
