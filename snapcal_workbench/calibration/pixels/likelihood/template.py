"""Expected shape of a group's spectra, learned from the events themselves.

Words and axes (natural logarithms throughout):

- y = ln(TOF / us) of an event, TOF corrected for TZERO and DIFA; u = ln(DIFC) of a pixel; x = y - u = ln(d / A).
- A pixel's rate is E(y) r(y - u): the *envelope* E (incident spectrum, efficiency, the window of TOF and the gaps in
  it) stays where it is in TOF when DIFC changes, the *pattern* r (the peaks, relative to a level of 1) moves with it.
  Pixels of one group at other angles therefore see the same pattern through another part of the envelope.
- Z(u) is the integral of the rate over y, so E r / Z is the probability of an event.
- *Folds* are interleaved parts of a group's pixels. The pattern of a fold is made from the other folds, so that no
  pixel is compared with its own noise.

The score of a shift s is dlnL/ds = -sum_events g(x - s) - N dlnZ/du with g = dln r/dx.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from snapcal_workbench.calibration.types import FloatArray

ENVELOPE_WIDTHS = 25.0
"""Width of the envelope's smoothing in relative resolutions: wide against a peak, narrow against the beam's spectrum.
At half of it the errors are the same; at twice half as many bad pixels again are kept."""
NARROWEST_ENVELOPE = 0.06
"""And no narrower than this in ln TOF, where the resolution is fine; half and twice change errors by 1 and 5 %."""
NOISE_FACTOR = 2.0
"""Structure of the pattern counts in full only where its power is far above this multiple of the noise's. At half of it
errors are the same to 2 %; at twice weak peaks are lost, and the error of a short run grows by half."""
LOWEST_PATTERN = 0.02
"""Least r, so that one event between peaks does not forbid a shift; at half and twice the results are the same."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Bins of width `step` in y, u and x; a point k of an axis is the centre of its bin k.

    Attributes:
        step: Width of a bin.
        coarse: Number of bins between two lags of a search.
        y0: Centre of the first bin of y.
        u0: First point of u.
        exposed: bool[ny], bins of y that were measured.
        nu: Number of points of u.
        delta_d: Relative resolution of the group.
    """

    step: float
    coarse: int
    y0: float
    u0: float
    exposed: NDArray[np.bool_]
    nu: int
    delta_d: float

    @property
    def ny(self) -> int:
        """Number of bins of y."""
        return len(self.exposed)

    @property
    def nx(self) -> int:
        """Number of bins of x: every y - u has one."""
        return self.ny + self.nu - 1

    @property
    def x0(self) -> float:
        """Centre of the first bin of x."""
        return self.y0 - self.u0 - (self.nu - 1) * self.step

    @property
    def lag(self) -> float:
        """Distance between two lags of a search."""
        return self.step * self.coarse


@dataclass(frozen=True, eq=False)
class Template:
    """Tables that the kernels read. All are float32 over the grid.

    Attributes:
        log_pattern: [folds, nx], ln r.
        slope: [folds, nx], g = dln r/dx.
        coarse: [folds, nx // coarse + 1], ln r averaged over the distance of two lags.
        log_total: [folds, nu], ln(Z / Z of a flat pattern).
        information: [nu], Fisher information of one event.
        inflation: Variance of an estimate times its information: 1 for a perfect template.
        envelope: float64[ny], E.
        pattern: float64[nx], r from all folds.
    """

    log_pattern: NDArray[np.float32]
    slope: NDArray[np.float32]
    coarse: NDArray[np.float32]
    log_total: NDArray[np.float32]
    information: NDArray[np.float32]
    inflation: float
    envelope: FloatArray
    pattern: FloatArray

    def fractions(self, grid: Grid, every: int, per_bin: int) -> NDArray[np.float32]:
        """float32[points of u, bins]: share of a pixel's counts in each `per_bin` bins of y, at every `every`-th u."""
        windows = np.lib.stride_tricks.sliding_window_view(self.pattern, grid.ny)[::-1][::every]
        edges = np.arange(0, grid.ny, per_bin)
        shares = np.stack([np.add.reduceat(self.envelope * window, edges) for window in windows])
        return (shares / np.maximum(shares.sum(1, keepdims=True), 1e-300)).astype(np.float32)


def make_grid(
    y: tuple[float, float], gaps: list[tuple[float, float]], u: tuple[float, float], *, delta_d: float, bins: int
) -> Grid:
    """The grid of a group.

    Args:
        y: Measured range of y.
        gaps: Ranges of y that were not measured; a bin that touches one is not used.
        u: Range of u, with room for the largest shift.
        delta_d: Relative resolution of the group.
        bins: Bins across delta_d.
    """
    step = delta_d / bins
    ny = max(int((y[1] - y[0]) / step), 8)
    centres = y[0] + step * (np.arange(ny) + 0.5)
    exposed = np.ones(ny, bool)
    for low, high in gaps:
        exposed &= (centres + step / 2 <= low) | (centres - step / 2 >= high)
    nu = int(np.ceil((u[1] - u[0]) / step)) + 2
    return Grid(step, max(round(0.4 * bins), 1), float(centres[0]), u[0], exposed, nu, delta_d)


def point_weights(grid: Grid, u: FloatArray, weight: FloatArray) -> FloatArray:
    """float64[nu]: `weight` of the pixels on the points of u, shared linearly between the two nearest."""
    position = (u - grid.u0) / grid.step
    low = np.clip(position.astype(np.int64), 0, grid.nu - 2)
    part = np.clip(position - low, 0.0, 1.0)
    both, shares = np.concatenate([low, low + 1]), np.concatenate([weight * (1 - part), weight * part])
    return np.bincount(both, shares, grid.nu).astype(np.float64, copy=False)


def make_template(
    grid: Grid, counts: FloatArray, by_tof: FloatArray, weights: FloatArray, *, uncertainty: float = 0.0
) -> Template:
    """The template of a group from its aligned sum.

    Where pixels are placed by their own noisy events, the noise piles up at the peaks and the sum is too sharp. The
    expectation-maximisation algorithm puts each pixel at all its likely places; the sum is spread by `uncertainty`.

    Args:
        grid: The group's grid.
        counts: float64[folds, nx], aligned counts over x of the pixels of each fold.
        by_tof: float64[ny], counts of the whole group over y.
        weights: float64[folds, nu], counts of the pixels of each fold at their u (see `point_weights`).
        uncertainty: Typical standard error of the pixels' positions.
    """
    if uncertainty > 0.2 * grid.step:
        counts = _gaussians(counts, np.array([uncertainty / grid.step]))[0]
    envelope = _envelope(grid, counts.sum(0), by_tof, weights.sum(0))
    exposure = np.maximum(convolved(envelope[None, :], weights[:, ::-1]), 0.0)
    others = _others(counts), _others(exposure)
    pattern = smooth_pattern(*others, grid.step, grid.delta_d)
    log_pattern = np.log(pattern)
    slope = np.gradient(log_pattern, grid.step, axis=1)
    flat = max(envelope.sum(), 1e-300)
    total = np.maximum(_total(pattern, envelope) / flat, 1e-12)
    log_total = np.log(total)
    information, inflation = _information(grid, envelope, pattern, slope, log_total, counts, weights)
    return Template(
        np.ascontiguousarray(log_pattern, np.float32),
        np.ascontiguousarray(slope, np.float32),
        np.ascontiguousarray(_coarse(log_pattern, grid.coarse), np.float32),
        np.ascontiguousarray(log_total, np.float32),
        information.astype(np.float32),
        inflation,
        envelope,
        pattern.mean(0),
    )


def convolved(values: FloatArray, other: FloatArray, *, inside: bool = False) -> FloatArray:
    """Convolution of two arrays along their last axis, by their Fourier transforms.

    scipy.signal does the same, but its import alone takes 0.7 s, a tenth of a short calibration.

    Args:
        values: float64[..., n].
        other: float64[..., m], m <= n.
        inside: Only where `other` lies within `values`: n - m + 1 points instead of n + m - 1.
    """
    n, m = values.shape[-1], other.shape[-1]
    length = next_fast_len(n + m - 1, real=True)
    result = irfft(rfft(values, length) * rfft(other, length), length)
    return result[..., m - 1 : n] if inside else result[..., : n + m - 1]


def _others(parts: FloatArray) -> FloatArray:
    """The sum over the other folds, for each fold; a single fold is its own template."""
    return parts.sum(0)[None, :] - parts if len(parts) > 1 else parts


def _envelope(grid: Grid, counts: FloatArray, by_tof: FloatArray, weights: FloatArray) -> FloatArray:
    """float64[ny]: E, smooth where it was measured and 0 elsewhere, by alternating between E and r."""
    width = max(ENVELOPE_WIDTHS * grid.delta_d, NARROWEST_ENVELOPE)
    measured = np.where(grid.exposed, by_tof, 0.0)
    expected = np.full(grid.ny, max(weights.sum(), 1e-300))
    for _ in range(3):
        above = _gaussians(measured, np.array([width / grid.step]))[0]
        below = _gaussians(np.where(grid.exposed, expected, 0.0), np.array([width / grid.step]))[0]
        envelope = np.where(grid.exposed, above / np.maximum(below, 1e-12 * below.max() + 1e-300), 0.0)
        exposure = np.maximum(convolved(envelope, weights[::-1]), 0.0)
        pattern = smooth_pattern(counts, exposure, grid.step, grid.delta_d)
        expected = convolved(pattern, weights, inside=True)
    return envelope


def smooth_pattern(counts: FloatArray, exposure: FloatArray, step: float, delta_d: float) -> FloatArray:
    """r = counts / exposure (both [..., nx]), smoothed as much as its statistics ask for.

    The ratio is split into differences between ever wider Gaussian averages. Each difference is kept in proportion to
    how far its local power exceeds that of Poisson noise (a Wiener filter in the manner of an a trous wavelet), so a
    strong peak keeps its shape while the background and the weak peaks of a short run are averaged.
    """
    widths = 0.25 * delta_d / step * 2.0 ** np.arange(6)
    floor = 1e-9 * exposure.max() + 1e-300
    above, below = _gaussians(counts, widths), np.maximum(_gaussians(exposure, widths), floor)
    levels = (above + 1e-3) / (below + 1e-3)
    result = levels[-1]
    for k in range(len(widths) - 1):
        detail = levels[k] - levels[k + 1]
        noise = NOISE_FACTOR * _difference_noise(widths[k], widths[k + 1]) * levels[k + 1] / (below[k + 1] + 1e-3)
        power = _gaussians(detail * detail, 1.5 * widths[k + 1 : k + 2])[0]
        result = result + detail * np.maximum(1.0 - noise / np.maximum(power, 1e-300), 0.0)
    return np.maximum(result, LOWEST_PATTERN)


def _difference_noise(a: float, b: float) -> float:
    """Sum of squares of the difference of two normalised Gaussians of standard deviations a and b (bins)."""
    overlap = 1.0 / np.sqrt(2.0 * np.pi * (a * a + b * b))
    return 1.0 / (2.0 * np.sqrt(np.pi) * a) + 1.0 / (2.0 * np.sqrt(np.pi) * b) - 2.0 * overlap


def _gaussians(values: FloatArray, widths: NDArray) -> FloatArray:
    """float64[widths, ..., nx]: averages with Gaussians of these standard deviations (bins), zero beyond the ends."""
    length = next_fast_len(values.shape[-1] + int(4 * widths.max()) + 1, real=True)
    transform = rfft(values, length)
    frequency = 2.0 * np.pi * np.arange(transform.shape[-1]) / length
    factors = np.exp(-0.5 * np.multiply.outer(widths, frequency) ** 2)
    factors = factors.reshape(len(widths), *(1,) * (values.ndim - 1), -1)
    return np.maximum(irfft(transform * factors, length)[..., : values.shape[-1]], 0.0)


def _total(pattern: FloatArray, envelope: FloatArray) -> FloatArray:
    """float64[folds, nu]: Z(u) = sum over y of E(y) r(y - u)."""
    return convolved(pattern, envelope[None, ::-1], inside=True)[:, ::-1]


def _coarse(values: FloatArray, factor: int) -> FloatArray:
    """Averages of `factor` neighbours, the last one filled up with the last value."""
    extra = -values.shape[1] % factor
    padded = np.pad(values, ((0, 0), (0, extra)), mode="edge")
    return padded.reshape(len(values), -1, factor).mean(2)


def _information(
    grid: Grid,
    envelope: FloatArray,
    pattern: FloatArray,
    slope: FloatArray,
    log_total: FloatArray,
    counts: FloatArray,
    weights: FloatArray,
) -> tuple[FloatArray, float]:
    """Information of an event over u, and the inflation of the variance by an imperfect template.

    The template says how the information depends on u. Its size comes from the counts of each fold, which took no part
    in that fold's template: the mean curvature J and the mean square V of the score. An estimate of N events has the
    variance V / (N J^2), also when the template is too smooth or noisy.
    """
    drift = np.gradient(log_total, grid.step, axis=1)
    shape = _total((pattern * slope * slope).mean(0)[None, :], envelope)[0]
    expected = shape / np.maximum(_total(pattern.mean(0)[None, :], envelope)[0], 1e-300) - drift.mean(0) ** 2
    expected = np.maximum(expected, 1e-3 / grid.delta_d**2 * 1e-3)
    n = max(weights.sum(), 1e-300)
    curvature = -np.sum(counts * np.gradient(slope, grid.step, axis=1)) / n
    curvature += np.sum(weights * np.gradient(drift, grid.step, axis=1)) / n
    square = np.sum(counts * slope * slope) / n - np.sum(weights * drift * drift) / n
    mean = np.sum(weights.sum(0) * expected) / n
    if mean <= 0 or curvature <= 0.05 * mean:
        return 0.05 * expected, max(square / max(0.05 * mean, 1e-300), 1.0)
    return expected * min(curvature / mean, 1.5), max(square / curvature, 0.5)
