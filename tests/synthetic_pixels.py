"""Events of simulated pixels with a known truth, made in memory, for tests and benchmarks of the pixel step.

A pixel's events come from E(TOF) (background + peaks at TOF = DIFC d), with an incident spectrum E that is smooth in
TOF, Gaussian peaks of the relative width of the pixel's group, and Poisson counts. The density is known in closed
form, so the Fisher information of an event, and with it the Cramer-Rao bound, is integrated from it directly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.pixels.estimator import PassEstimate, PixelEstimator
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    Geometry,
    GroupParameters,
    PixelGrouping,
    PixelLayout,
    TofWindow,
)
from snapcal_workbench.progress import Progress

WINDOW = TofWindow(2000.0, 14500.0)


@dataclass(frozen=True)
class Sample:
    """Peaks of a sample: d (A), strengths, and the part of the counts that is in peaks."""

    d: FloatArray
    strength: FloatArray
    peak_part: float


def cubic_sample(a: float, peak_part: float, *, diamond: bool = True, damping: float = 0.5) -> Sample:
    """Reflections of silicon, diamond (the diamond structure) or of a face-centred cubic cell of edge `a`."""
    strengths: dict[int, float] = {}
    for h in range(12):
        for k in range(h + 1):
            for m in range(k + 1):
                square = h * h + k * k + m * m
                mixed = len({h % 2, k % 2, m % 2}) > 1
                if square == 0 or mixed or (diamond and h % 2 == 0 and (h + k + m) % 4 == 2):
                    continue
                signs = 2 ** sum(i > 0 for i in (h, k, m))
                orders = {1: 1, 2: 3, 3: 6}[len({h, k, m})]
                factor = (1.0 if h % 2 == 0 else 0.5) if diamond else 1.0
                strengths[square] = strengths.get(square, 0.0) + signs * orders * factor
    squares = sorted(strengths)
    d = a / np.sqrt(np.array(squares, float))
    return Sample(d, np.array([strengths[each] for each in squares]) * d**4 * np.exp(-damping / d**2 / 2), peak_part)


SILICON = cubic_sample(5.43123, 0.15)
DIAMOND = cubic_sample(3.5668, 0.15, damping=0.2)
POOR = cubic_sample(5.43123, 0.04)


def incident(tof: FloatArray) -> FloatArray:
    """Incident spectrum: a Maxwellian hump on an epithermal tail."""
    t = tof / 4500.0
    return t**-5 * np.exp(-1.0 / t**2) * 8.0 + 0.6 / t


def density(sample: Sample, difc: float, sigma: float, log_tof: FloatArray, tof: FloatArray) -> FloatArray:
    """Rate per unit of ln TOF of a pixel, with `peak_part` of the counts in peaks; not normalised."""
    level = incident(tof) * tof
    step = log_tof[1] - log_tof[0]
    peaks = np.zeros(len(tof))
    for centre, strength in zip(np.log(difc * sample.d), _peak_weights(sample, difc), strict=True):
        peaks += strength * np.exp(-0.5 * ((log_tof - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    scale = max(peaks.sum() * step, 1e-300)
    return (1 - sample.peak_part) * level / (level.sum() * step) + sample.peak_part * peaks / scale


def _peak_weights(sample: Sample, difc: float) -> FloatArray:
    tof = difc * sample.d
    inside = (tof > WINDOW.minimum) & (tof < WINDOW.maximum)
    return np.where(inside, sample.strength * incident(np.clip(tof, 500.0, 50000.0)) / sample.d**2, 0.0)


def information_per_event(sample: Sample, difc: FloatArray, sigma: float) -> FloatArray:
    """Fisher information of the shift in one event (the window stays, the pattern moves), by a central difference."""
    log_tof = np.arange(np.log(WINDOW.minimum), np.log(WINDOW.maximum), sigma / 12)
    tof = np.exp(log_tof)
    points = np.linspace(np.log(difc.min()), np.log(difc.max()) + 1e-9, 12)
    values = []
    for u in points:
        h = sigma / 20
        p, up, down = (density(sample, np.exp(u + s), sigma, log_tof, tof) for s in (0.0, h, -h))
        up, down, p = up / up.sum(), down / down.sum(), p / p.sum()
        values.append(np.sum(((up - down) / (2 * h)) ** 2 / p))
    return np.interp(np.log(difc), points, values)


def simulate(
    geometry: Geometry,
    sample: Sample,
    true_difc: FloatArray,
    sigma: FloatArray,
    mean_counts: FloatArray | float,
    rng: np.random.Generator,
) -> Events:
    """Events of all pixels with the true DIFC and relative peak width given per pixel."""
    counts = rng.poisson(mean_counts, len(geometry))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    pixel = np.repeat(np.arange(len(geometry)), counts)
    tof = _background(len(pixel), rng)
    in_peak = np.flatnonzero(rng.random(len(pixel)) < sample.peak_part)
    owner = pixel[in_peak]
    tof[in_peak] = true_difc[owner] * _peak_d(sample, true_difc, owner, rng)
    tof[in_peak] *= np.exp(sigma[owner] * rng.standard_normal(len(in_peak)))
    return Events(tof.astype(np.float32), start, geometry, WINDOW)


def _background(n: int, rng: np.random.Generator) -> FloatArray:
    edges = np.linspace(WINDOW.minimum, WINDOW.maximum, 4001)
    total = np.concatenate([[0.0], np.cumsum(incident(0.5 * (edges[1:] + edges[:-1])))])
    return np.interp(rng.random(n), total / total[-1], edges)


def _peak_d(sample: Sample, difc: FloatArray, owner: np.ndarray, rng: np.random.Generator) -> FloatArray:
    """d of one peak event each, by the strengths that a pixel with about its owner's DIFC sees."""
    points = np.geomspace(difc.min() * 0.999, difc.max() * 1.001, 40)
    cumulative = np.cumsum([_peak_weights(sample, float(p)) for p in points], axis=1)
    cumulative /= cumulative[:, -1:]
    row = np.clip(np.searchsorted(points, difc) - 1, 0, 39)[owner]
    draw = rng.random(len(owner))
    flat = (cumulative + np.arange(40)[:, None]).ravel()
    peak = np.searchsorted(flat, row + draw) - row * len(sample.d)
    return sample.d[np.clip(peak, 0, len(sample.d) - 1)]


def panel(modules: int, side: int, *, two_theta: float = 90.0, tilt: float = 16.0) -> Geometry:
    """Square modules one above the other at one mean scattering angle (degrees), `tilt` degrees wide.

    Modules of 64 pixels a side and more have blocks of 8 x 8.
    """
    module, x, y = np.unravel_index(np.arange(modules * side * side), (modules, side, side))
    across = (x + 0.5) / side - 0.5
    up = (y + 0.5) / side - 0.5 + (module - (modules - 1) / 2)
    angle = np.radians(two_theta + tilt * across) + 0.03 * up**2
    l2 = 0.5 + 0.04 * (across**2 + up**2)
    block = 8 if side >= 64 else 1
    layout = PixelLayout(module.astype(np.int16), x.astype(np.int16), y.astype(np.int16), side, block=block)
    detid = np.arange(len(x), dtype=np.int32)
    return Geometry(detid, 15.0, l2, angle, np.zeros(len(x)), layout, "panel")


def module_shape(
    geometry: Geometry, rng: np.random.Generator, *, steps: float = 2e-3, smooth: float = 3e-4
) -> FloatArray:
    """A misalignment like a real one: a step for each module and a smooth part within it."""
    layout = geometry.layout
    assert layout is not None
    x, y = layout.x / layout.columns - 0.5, layout.y / layout.columns - 0.5
    step, tilt, bow, twist = rng.normal(0, 1, (4, int(layout.module.max()) + 1))
    m = layout.module
    return steps * step[m] + smooth * 2.0 * (tilt[m] * x + bow[m] * (4 * y**2 - 0.33) + twist[m] * 4 * x * y)


def one_group(geometry: Geometry, delta_d: float, group: int = 1) -> tuple[PixelGrouping, GroupParameters]:
    """All pixels in one group of the given relative resolution."""
    grouping = PixelGrouping(geometry.detid, np.full(len(geometry), group, np.int32))
    l2, angle, azimuth = (np.array([np.mean(v)]) for v in (geometry.l2, geometry.two_theta, geometry.azimuth))
    ids, low, high, width = np.array([group], np.int32), np.array([0.5]), np.array([2.6]), np.array([delta_d])
    return grouping, GroupParameters(
        ids, l2, angle, azimuth, low, high, width, geometry.l1, WINDOW.minimum, WINDOW.maximum
    )


@dataclass(frozen=True, eq=False)
class Outcome:
    """Errors of an alignment, as ln(DIFC / true DIFC) with the median of the pixels in use taken off.

    Attributes:
        table: The final table.
        last: Estimate of the last pass.
        reason: uint8[n], why pixels are masked.
        error: float64[n], with the prior; own_error: of the pixels' own estimates.
    """

    table: DiffCalTable
    last: PassEstimate
    reason: np.ndarray
    error: FloatArray
    own_error: FloatArray

    @property
    def used(self) -> np.ndarray:
        """bool[n]."""
        return self.reason == 0

    def recovered_or_flagged(self, bound: FloatArray) -> float:
        """Part of the pixels that are within 6 bounds of the truth, or masked."""
        return float(np.mean(~self.used | (np.abs(self.error) < 6 * bound)))

    def outliers(self, error: FloatArray, bound: FloatArray) -> float:
        """Part of the pixels that are neither masked nor within 6 bounds of the truth."""
        return float(np.mean(self.used & (np.abs(error) > 6 * bound)))


def spread(values: FloatArray) -> float:
    """Robust standard deviation, from the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def passes(estimator: PixelEstimator, table: DiffCalTable, true_difc: FloatArray, number: int = 3) -> Outcome:
    """The outcome of a fixed number of passes, each applied to the table of the one before."""
    start, reason = table, np.zeros(len(table), np.uint8)
    for k in range(1, number + 1):
        before, last = table, estimator.estimate(table, reason, k, Progress())
        reason = np.where(reason == 0, last.reason, reason)
        table = replace(table, difc=np.where(reason == 0, table.difc * np.exp(last.shift), start.difc))
    used = reason == 0
    error = np.log(table.difc / true_difc)
    own = np.log(before.difc / true_difc) + last.own_shift
    if used.any():
        error, own = error - np.median(error[used]), own - np.median(own[used])
    return Outcome(table, last, reason, error, own)
