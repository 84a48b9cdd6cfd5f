"""Spectra of SNAP's modules in closed form, of any sample, with Poisson counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from snapcal_workbench.calibration.phases.known import KnownPhase, known_phases
from snapcal_workbench.calibration.phases.pattern import Pattern, pattern_of
from snapcal_workbench.calibration.types import Reflections
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.simulation.sample import ForeignPhase, SampleState, sample_peaks
from snapcal_workbench.simulation.spectrum import IncidentSpectrum, PeakProfile, PixelSpectrum, bragg_rates

CERIA = KnownPhase(
    name="CeO2",
    formula="CeO2",
    space_group="F m -3 m",
    cell=(5.4115, 5.4115, 5.4115, 90.0, 90.0, 90.0),
    atoms=(("Ce", 0.0, 0.0, 0.0, 1.0), ("O", 0.25, 0.25, 0.25, 1.0)),
    u_iso=0.004,
    coherent=True,
    met_as="calibrant",
    source="NIST SRM 674b certificate",
)
LAB6 = KnownPhase(
    name="LaB6",
    formula="LaB6",
    space_group="P m -3 m",
    cell=(4.1569, 4.1569, 4.1569, 90.0, 90.0, 90.0),
    atoms=(("La", 0.0, 0.0, 0.0, 1.0), ("B", 0.1993, 0.5, 0.5, 1.0)),
    u_iso=0.004,
    coherent=True,
    met_as="calibrant",
    source="NIST SRM 660c certificate",
)


@lru_cache
def phase(name: str) -> KnownPhase:
    """A phase by name: one of the known ones, or of the calibrants above."""
    return {p.name: p for p in (*known_phases(), CERIA, LAB6)}[name]


@lru_cache
def reflections(name: str) -> Reflections:
    """Reflections of a phase that a run can show, and a tenth beyond."""
    return phase(name).reflections(0.35, 8.0)


def foreign(name: str, amount: float, *, scale: float = 1.0, texture: float = 0.3) -> ForeignPhase:
    """A phase beside the calibrant, its cell `scale` times that of room conditions."""
    found = phase(name).reflections(0.3, 10.0)
    return ForeignPhase(Reflections(found.hkl, found.d * scale, found.f_squared, found.multiplicity), amount, texture)


@dataclass(frozen=True)
class Beamline:
    """Eighteen modules at SNAP's angles, three a column, with the resolution of its columns."""

    two_theta: tuple[float, ...] = (2.1125, 1.8257, 1.5381, 1.4434, 1.1595, 0.8753)
    width: tuple[float, ...] = (0.0028, 0.0033, 0.0040, 0.0043, 0.0054, 0.0076)
    path: float = 15.5

    def spectra(self, calibrant: str, sample: SampleState, background: float) -> list[PixelSpectrum]:
        """The spectrum that a pixel of each module expects, one count in all."""
        own = phase(calibrant).reflections(0.3, 10.0)
        sine = np.repeat(np.sin(np.array(self.two_theta) / 2.0), 3)
        incident = IncidentSpectrum.of_band(2.1)
        rates = [bragg_rates(r, incident, sine) for r in (own, *(p.reflections for p in sample.foreign))]
        peaks = sample_peaks(own, sample, rates, np.ones(len(sine)))
        return [
            PixelSpectrum(
                difc=2.0 * sine[i] * self.path / WAVELENGTH_PER_TOF,
                tzero=0.0,
                per_wavelength=self.path / WAVELENGTH_PER_TOF,
                width=self.width[i // 3],
                d=peaks.d,
                rate=(1.0 - background) * peaks.share[i],
                background=background,
                incident=incident,
                profile=PeakProfile("back-to-back"),
                broadening=peaks.broadening,
            )
            for i in range(len(sine))
        ]


def module_patterns(
    counts: float,
    seed: int,
    *,
    calibrant: str = "silicon",
    sample: SampleState | None = None,
    background: float = 0.4,
    moved: dict[int, float] | None = None,
) -> list[Pattern]:
    """Patterns of all modules with Poisson counts.

    Args:
        counts: Expected number of a module's counts.
        seed: Of the counts, and of a misalignment of each module of 0.2 %.
        calibrant: Name of a phase.
        sample: What is in the beam beside it, and how it is.
        background: Share of the counts.
        moved: Extra ln(DIFC) of some modules.
    """
    rng = np.random.default_rng(seed)
    misalignment = 0.002 * rng.standard_normal(18)
    patterns = []
    for module, spectrum in enumerate(Beamline().spectra(calibrant, sample or SampleState(), background)):
        step = spectrum.width / 10
        tof = np.exp(np.arange(np.log(2600.0), np.log(13500.0), step))
        shift = misalignment[module] + (moved or {}).get(module, 0.0)
        expected = (spectrum.peaks(tof, shift) + spectrum.flat(tof)) * tof
        y = rng.poisson(counts * expected / expected.sum())
        edges = np.append(tof * np.exp(-step / 2), tof[-1] * np.exp(step / 2)) / spectrum.difc
        patterns.append(pattern_of(edges, y.astype(np.float64), spectrum.width))
    return patterns
