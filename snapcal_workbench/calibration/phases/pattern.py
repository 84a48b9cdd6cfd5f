"""A spectrum against a crystal's reflections, without any knowledge of the spectrum's scale or profile.

Words and axes:

- x = ln(d / A). A wrong DIFC shifts a spectrum along x; the *shift* s says that a reflection at d is seen at d exp(s).
- A *pattern* is a spectrum in even bins of x, about `BINS_PER_WIDTH` to the relative width of a peak.
- The *significance* z of a point is the area of a peak there above its surroundings, in standard errors: the counts are
  correlated with a Gaussian of the peaks' width less its mean over `SURROUNDINGS` widths to either side, so that a
  smooth background gives 0.
- The *comb* of a crystal at a shift is the sum of its reflections' significances, less what it is at any shift.
- The *coarse fit* has a free, non-negative area for each reflection, peaks of a Gaussian with its flanks, and a smooth
  background: nothing of the sample's texture is assumed. It is coarse (the profile is not the moderator's) and serves
  questions of yes or no; positions are for the group calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import solve
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array, hstack
from scipy.special import ndtr

from snapcal_workbench.calibration.types import FloatArray, GroupParameters, Spectra

D_MIN = 0.5
"""Where a pattern begins, A. Below it peaks overlap so much that any crystal fits; at 1 A diamond has 3 left."""
BINS_PER_WIDTH = 3
"""Bins to a peak's sigma: with 2 an area is off by 1 %, with 6 everything takes four times as long."""
SURROUNDINGS = 5.0
"""Half width, in widths, of the surroundings of a peak. With half of it the tails count as background; with twice,
reflections of silicon at 1 A count as each other's background."""
KNOTS_EVERY = 14.0
"""Widths between two knots of the background: half of it begins to follow the tails of peaks, twice misses the edges of
the beam's band."""
KNOTS = (6, 24)
LEAST_VARIANCE = 0.05
"""Of a bin for which the model expects less: an empty bin says something, but not everything."""
CAP = 8.0
"""Significance beyond which a reflection's place in a comb is certain, and its strength adds only its logarithm: with 4
strong runs lose their contrast, with 16 two strong reflections outvote all others."""
ANYWHERE = 0.15
"""Largest |shift| of the combs that say what chance gives."""
REACH = 4.5
"""Widths at which a Gaussian ends."""
PARTS = ((0.0, 1.0), (0.9, 1.5), (-0.9, 1.5))
"""Place and width, in widths, of the Gaussians of a peak: its core, the tail of the moderator, and its rise, which is
slow where wavelengths are short. Without the last, slow rises at 0.7 A look like foreign peaks of 4 % of the counts."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Counts in even bins of x = ln d.

    Attributes:
        x: float64[n], centres of the bins.
        step: Their width.
        counts: float64[n].
        width: Sigma of a peak in x, the relative resolution.
    """

    x: FloatArray
    step: float
    counts: FloatArray
    width: float

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest x."""
        return float(self.x[0]), float(self.x[-1])

    @property
    def total(self) -> float:
        """All counts."""
        return float(self.counts.sum())


def patterns_of(spectra: Spectra, parameters: GroupParameters) -> list[Pattern]:
    """The patterns of focused spectra, each with the resolution of its group.

    Spectra that were scaled or normalised come back as the counts that their errors speak of.
    """
    row = {int(group): i for i, group in enumerate(parameters.group)}
    patterns = []
    for i, number in enumerate(spectra.number):
        y, e = spectra.y[i], spectra.e[i]
        seen = np.isfinite(y) & np.isfinite(e) & (y > 0) & (e > 0)
        per_count = float(np.median(y[seen] / e[seen] ** 2)) if seen.any() else 1.0
        width = float(parameters.delta_d[row[int(number)]])
        patterns.append(pattern_of(spectra.edges_of(i), np.where(seen, y, 0.0) * per_count, width))
    return patterns


def within(pattern: Pattern, d_min: float, d_max: float) -> Pattern:
    """The part of a pattern between two d-spacings, A; the whole where that leaves nothing."""
    use = (pattern.x > np.log(d_min)) & (pattern.x < np.log(d_max))
    if not use.any():
        return pattern
    return Pattern(pattern.x[use], pattern.step, pattern.counts[use], pattern.width)


def pattern_of(edges: FloatArray, counts: FloatArray, width: float) -> Pattern:
    """The pattern of a spectrum in d-spacing, over the range above `D_MIN` in which it has counts.

    Args:
        edges: float64[bins + 1], A; the bins may have any widths.
        counts: float64[bins]; NaN counts as none.
        width: Relative resolution.
    """
    counts = np.where(np.isfinite(counts), counts, 0.0)
    seen = np.flatnonzero((counts > 0) & (edges[:-1] > D_MIN))
    if len(seen) == 0:
        return Pattern(np.array([0.0]), 1.0, np.array([0.0]), width)
    log_edges = np.log(edges[seen[0] : seen[-1] + 2])
    bins = max(int((log_edges[-1] - log_edges[0]) * BINS_PER_WIDTH / width), 1)
    new = np.linspace(log_edges[0], log_edges[-1], bins + 1)
    total = np.concatenate([[0.0], np.cumsum(counts[seen[0] : seen[-1] + 1])])
    return Pattern(0.5 * (new[1:] + new[:-1]), float(new[1] - new[0]), np.diff(np.interp(new, log_edges, total)), width)


def smooth_variance(pattern: Pattern) -> FloatArray:
    """float64[n]: expected variance of the counts: themselves averaged over a peak, never below that of one count."""
    smooth = gaussian_filter1d(pattern.counts, 0.5 * BINS_PER_WIDTH, mode="nearest")
    return np.maximum(smooth, 1.0 / (4.0 * BINS_PER_WIDTH))


def significance(pattern: Pattern, counts: FloatArray | None = None, variance: FloatArray | None = None) -> FloatArray:
    """float64[n]: z, of the pattern's counts or of others on its bins (a residual) with their variance."""
    counts = pattern.counts if counts is None else counts
    variance = smooth_variance(pattern) if variance is None else variance
    kernel = _peak_kernel(pattern)
    if len(kernel) > len(counts):
        return np.zeros(len(counts))
    z = np.convolve(counts, kernel[::-1], "same") / np.sqrt(np.convolve(variance, kernel[::-1] ** 2, "same") + 1e-300)
    half = len(kernel) // 2
    z[:half] = z[len(z) - half :] = 0.0
    return z


def _peak_kernel(pattern: Pattern) -> FloatArray:
    reach = int(np.ceil(SURROUNDINGS * pattern.width / pattern.step))
    offset = np.arange(-reach, reach + 1) * pattern.step / pattern.width
    shape = np.exp(-0.5 * offset**2)
    return shape - shape.mean()


def comb(pattern: Pattern, d: FloatArray, weight: FloatArray, shifts: FloatArray) -> FloatArray:
    """float64[shifts]: how well reflections at d (A), of these weights, fit when all are shifted by each shift.

    In robust standard deviations of the same comb at all shifts up to `ANYWHERE`, from their median: the pattern itself
    says how well the comb fits by chance. 0 where no reflection is within the range.
    """
    z = np.maximum(significance(pattern), 0.0)
    z = CAP * np.log1p(z / CAP)
    excess = z - gaussian_filter1d(z, 12.0 * BINS_PER_WIDTH, mode="nearest")
    anywhere = np.arange(-ANYWHERE, ANYWHERE, pattern.width)
    place = np.log(d)[None, :] + np.concatenate([shifts, anywhere])[:, None]
    low, high = pattern.range
    inside = (place > low + 2 * pattern.width) & (place < high - 2 * pattern.width)
    score = np.sum(np.where(inside, weight[None, :], 0.0) * np.interp(place, pattern.x, excess), axis=1)
    chance = score[len(shifts) :]
    middle = np.median(chance)
    spread = 1.4826 * np.median(np.abs(chance - middle))
    return (score[: len(shifts)] - middle) / spread if spread > 0 else np.zeros(len(shifts))


@dataclass(frozen=True, eq=False)
class CoarseFit:
    """Free areas of reflections and a smooth background, fitted to a pattern.

    Attributes:
        pattern: The data.
        shift: Of all reflections.
        place: float64[p], x of the reflections that reach into the range, ascending.
        index: intp[p], which reflection each is; -1 for a peak that is none.
        share: float64[p], part of each peak that lies within the range.
        area: float64[p], counts within the range; error: their standard errors, neighbours
            left out of account; inf where an area is at 0.
        background: float64[n], counts a bin; model: with the peaks.
        chi2: Of the fit, with the model's own variance; freedom: its degrees of freedom.
    """

    pattern: Pattern
    shift: float
    place: FloatArray
    index: NDArray[np.intp]
    share: FloatArray
    area: FloatArray
    error: FloatArray
    background: FloatArray
    model: FloatArray
    chi2: float
    freedom: int


def coarse_fit(pattern: Pattern, d: FloatArray, shift: float, extra: FloatArray | None = None) -> CoarseFit:
    """Fit the areas of the reflections at d exp(shift), of peaks at `extra` (in x), and the background.

    Peaks nearer to each other than half a width cannot be told apart: the area of both is given to the first.
    """
    extra = np.empty(0) if extra is None else extra
    low, high = pattern.range
    place = np.concatenate([np.log(d) + shift, extra])
    index = np.concatenate([np.arange(len(d)), np.full(len(extra), -1)])
    margin = REACH * pattern.width
    inside = np.flatnonzero((place > low - margin) & (place < high + margin))
    inside = inside[np.argsort(place[inside], kind="stable")]
    inside = inside[np.diff(place[inside], prepend=-np.inf) > 0.5 * pattern.width]
    peaks, share = _peak_columns(pattern, place[inside])
    background = _background_columns(pattern)
    value, error, free = _non_negative(pattern, hstack([peaks, background], format="csr"), peaks.shape[1])
    areas, level = value[: peaks.shape[1]], background @ value[peaks.shape[1] :]
    model = peaks @ areas + level
    return CoarseFit(
        pattern=pattern,
        shift=shift,
        place=place[inside],
        index=index[inside],
        share=share,
        area=areas.reshape(len(PARTS), -1).sum(0) * share,
        error=error[: peaks.shape[1]].reshape(len(PARTS), -1).min(0) * share,
        background=level,
        model=model,
        chi2=float(np.sum((pattern.counts - model) ** 2 / np.maximum(model, LEAST_VARIANCE))),
        freedom=max(len(model) - free, 1),
    )


def _peak_columns(pattern: Pattern, place: FloatArray) -> tuple[csr_array, FloatArray]:
    """[n, 3 p]: the parts of each peak, of unit area; and float64[p], the part of each core within the range."""
    columns = [_gaussians(pattern, place + at * pattern.width, width * pattern.width) for at, width in PARTS]
    return hstack(columns, format="csr"), np.asarray(columns[0].sum(axis=0)).ravel()


def _gaussians(pattern: Pattern, centre: FloatArray, width: float) -> csr_array:
    """[n, p]: Gaussians of unit area in the bins within `REACH` widths."""
    n, half = len(pattern.x), int(np.ceil(REACH * width / pattern.step))
    first = np.rint((centre - pattern.x[0]) / pattern.step).astype(np.intp) - half
    bins = first[:, None] + np.arange(2 * half + 1)[None, :]
    edges = pattern.x[0] + (first[:, None] + np.arange(2 * half + 2)[None, :] - 0.5) * pattern.step
    value = np.diff(ndtr((edges - centre[:, None]) / width), axis=1)
    column = np.broadcast_to(np.arange(len(centre))[:, None], bins.shape)
    inside = (bins >= 0) & (bins < n)
    return csr_array((value[inside], (bins[inside], column[inside])), shape=(n, len(centre)))


def _background_columns(pattern: Pattern) -> csr_array:
    low, high = pattern.range
    number = int(np.clip((high - low) / (KNOTS_EVERY * pattern.width), *KNOTS))
    u = (pattern.x - low) / max(high - low, 1e-12)
    knots = np.concatenate([[0.0] * 3, np.linspace(0.0, 1.0, number), [1.0] * 3])
    return csr_array(BSpline.design_matrix(np.clip(u, 0.0, 1.0 - 1e-12), knots, 3))


def _non_negative(pattern: Pattern, design: csr_array, peaks: int) -> tuple[FloatArray, FloatArray, int]:
    """Weighted least squares with non-negative peaks; twice, the second time with the variance of the first model.

    Returns:
        Values, standard errors (inf for a peak at its limit), and the number of free values.
    """
    variance = smooth_variance(pattern)
    for _ in range(2):
        weighted = design.multiply(1.0 / variance[:, None]).tocsr()
        normal, right = (design.T @ weighted).toarray(), weighted.T @ pattern.counts
        value, kept = _active(normal, right, peaks)
        variance = np.maximum(design @ value, LEAST_VARIANCE)
    error = np.full(len(value), np.inf)
    error[kept] = 1.0 / np.sqrt(np.maximum(np.diag(normal)[kept], 1e-300))
    return value, error, int(kept.sum())


def _active(normal: FloatArray, right: FloatArray, peaks: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The minimum with the first `peaks` values at least 0, by leaving out those that would be negative."""
    kept = np.diag(normal) > 0
    scale = 1.0 / np.sqrt(np.where(kept, np.diag(normal), 1.0))
    normal = normal * scale[:, None] * scale + 1e-9 * np.eye(len(right))
    value = np.zeros(len(right))
    for _ in range(6):
        value[:] = 0.0
        part = normal[np.ix_(kept, kept)]
        value[kept] = scale[kept] * solve(part, (scale * right)[kept], assume_a="pos", check_finite=False)
        negative = value[:peaks] < 0
        if not negative.any():
            break
        kept[:peaks] &= ~negative
    value[:peaks] = np.maximum(value[:peaks], 0.0)
    return value, kept
