"""What is in the beam of a simulated run beside an ideal powder of the calibrant: other phases, texture, strain.

Words:

- A *foreign phase* adds its own peaks: a gasket, an anvil, a pressure marker. Its amount is the ratio of its Bragg
  events to those of the calibrant.
- *Texture* multiplies the intensity of each reflection by exp(t g(theta)), with g a random cosine of the Bragg angle of
  rms 1, a half to one and a half periods over the detector: grains lie in preferred directions, and each angle sees
  other ones.
- *Strain* moves each reflection of the calibrant by its own random relative change of d: the sample is not what its
  certificate says, and no DIFC describes it.
- *Broadening* is added in quadrature to the relative width of the calibrant's peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types import FloatArray, Reflections
from snapcal_workbench.errors import InputError


@dataclass(frozen=True, eq=False)
class ForeignPhase:
    """Another phase in the beam: its reflections, its Bragg events relative to the calibrant's, and its texture."""

    reflections: Reflections
    amount: float
    texture: float = 0.0


@dataclass(frozen=True, eq=False)
class SampleState:
    """How a sample differs from an ideal powder of the calibrant.

    Attributes:
        foreign: Other phases.
        texture: Rms of ln(intensity factor) of the calibrant's reflections.
        strain: Rms of the relative change of d of the calibrant's reflections.
        broadening: Relative width added to the calibrant's peaks.
        seed: Of the texture and the strain.
    """

    foreign: Sequence[ForeignPhase] = ()
    texture: float = 0.0
    strain: float = 0.0
    broadening: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        sizes = (self.texture, self.strain, self.broadening, *(v for f in self.foreign for v in (f.amount, f.texture)))
        if not all(0 <= size < np.inf for size in sizes):
            raise InputError(
                "Amounts of foreign phases, texture, strain and broadening are numbers from 0 up.",
                found=", ".join(f"{size:g}" for size in sizes),
                fix="Correct the sample of the simulation.",
            )


@dataclass(frozen=True, eq=False)
class Peaks:
    """All peaks of a sample, the calibrant's first.

    Attributes:
        d: float64[p], A.
        broadening: float64[p], relative width that the sample adds.
        share: float64[nodes, p], of each peak in a pixel's Bragg events.
        total: float64[nodes], Bragg events per solid angle, up to a constant.
    """

    d: FloatArray
    broadening: FloatArray
    share: FloatArray
    total: FloatArray


def sample_peaks(
    reflections: Reflections,
    sample: SampleState,
    rates: Sequence[FloatArray],
    weight: FloatArray,
) -> Peaks:
    """The peaks of a sample.

    Args:
        reflections: Of the calibrant.
        sample: Its state.
        rates: float64[nodes, reflections] of the calibrant and of each foreign phase: what they count at each angle.
        weight: float64[nodes], share of the detector at each angle, for the amounts of the phases.
    """
    rng = np.random.default_rng(np.random.SeedSequence([sample.seed, 0x7E47]))
    own = rates[0] * _texture(rates[0].shape, sample.texture, rng)
    calibrant = float(weight @ own.sum(axis=1))
    parts, d, broadening = [own], [reflections.d * np.exp(sample.strain * rng.standard_normal(len(reflections)))], []
    broadening.append(np.full(len(reflections), sample.broadening))
    for phase, rate in zip(sample.foreign, rates[1:], strict=True):
        textured = rate * _texture(rate.shape, phase.texture, rng)
        parts.append(textured * phase.amount * calibrant / max(float(weight @ textured.sum(axis=1)), 1e-300))
        d.append(phase.reflections.d)
        broadening.append(np.zeros(len(phase.reflections)))
    both = np.concatenate(parts, axis=1)
    total = both.sum(axis=1)
    share = both / np.maximum(total[:, None], 1e-300)
    return Peaks(np.concatenate(d), np.concatenate(broadening), share, total)


def _texture(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> FloatArray:
    """float64[nodes, reflections]: factors on the intensities; the nodes run evenly in sin(theta)."""
    if size == 0:
        return np.ones(shape)
    place = np.linspace(0.0, 1.0, shape[0])[:, None]
    periods, phase = rng.uniform(0.5, 1.5, shape[1]), rng.uniform(0.0, 2.0 * np.pi, shape[1])
    return np.exp(size * np.sqrt(2.0) * np.cos(2.0 * np.pi * periods * place + phase))
