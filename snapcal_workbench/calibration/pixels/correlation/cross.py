"""Cross-correlation of many spectra with one reference, and its noise, on plain arrays.

- The *contrast* of a spectrum is its counts less their level.
- The *correlation* of a row at *lag* l (bins) is the sum over k of row[k + l] reference[k]: it peaks at l > 0 where the
  row lies at larger d than the reference.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.calibration.units import FWHM_PER_SIGMA


def fft_length(bins: int, reach: int) -> int:
    """Length of transforms with which spectra do not wrap around at lags up to `reach`."""
    return int(fft.next_fast_len(bins + reach, real=True))


def correlate(rows: NDArray[np.float32], reference: FloatArray, reach: int, *, without_own: bool = False) -> FloatArray:
    """Correlation of each row with a reference, in single precision.

    Args:
        rows: float32[n, bins].
        reference: float64[bins].
        reach: Largest lag that is wanted.
        without_own: Correlate each row with the reference less the row itself.

    Returns:
        float64[n, 2 reach + 1], at lags -reach .. reach.
    """
    length = fft_length(rows.shape[1], reach)
    spectrum = fft.rfft(rows, length, axis=1)
    other = np.conj(fft.rfft(reference.astype(np.float32), length))
    if without_own:
        spectrum *= other - np.conj(spectrum)
    else:
        spectrum *= other
    values = fft.irfft(spectrum, length, axis=1, overwrite_x=True)
    return np.concatenate([values[:, length - reach :], values[:, : reach + 1]], axis=1, dtype=np.float64)


def correlation_variance(
    correlation: FloatArray,
    counts: NDArray[np.float32],
    contrast: NDArray[np.float32],
    reference_counts: FloatArray,
    reference_contrast: FloatArray,
) -> FloatArray:
    """Variances of correlations as Mantid's CrossCorrelate has them, before it normalises.

    Args:
        correlation: float64[n, lags], of `contrast` with `reference_contrast`.
        counts: float32[n, bins], their variances too.
        contrast: float32[n, bins], counts less their mean.
        reference_counts: float64[bins]; reference_contrast: float64[bins], likewise.

    Returns:
        float64[n, lags].
    """
    reach = correlation.shape[1] // 2
    squared = contrast.astype(np.float64) ** 2
    reference_squared = reference_contrast**2
    own = np.sum(squared * counts, axis=1) / np.maximum(np.sum(squared, axis=1), 1e-30) ** 2
    other = np.sum(reference_squared * reference_counts) / max(np.sum(reference_squared), 1e-30) ** 2
    noise = correlate(counts, reference_squared, reach)
    noise += correlate(squared.astype(np.float32), reference_counts, reach)
    return noise + correlation**2 * (own[:, None] + other)


def covariance(contrast: FloatArray, shape: FloatArray, half_width: int) -> FloatArray:
    """Covariance of a spectrum's correlation with a contrast, at each pair of lags near its peak, per count.

    Args:
        contrast: float64[bins], the reference.
        shape: float64[bins], probability of a count in each bin, for a spectrum that is aligned with the reference.
        half_width: Lags -half_width .. half_width are returned.

    Returns:
        float64[lags, lags]: sum over k of shape[k] contrast[k - l] contrast[k - m].
    """
    padded = np.pad(contrast, half_width)
    shifted = np.lib.stride_tricks.sliding_window_view(padded, len(contrast))[::-1]
    return (shifted * shape) @ shifted.T


def autocorrelation_width(contrast: FloatArray, lags: int) -> float:
    """Gaussian-equivalent width (bins) of a contrast's correlation with itself, from its half height.

    The value at lag 0 is left out: it holds the counting noise. 0 if there is no half height within `lags`.
    """
    spectrum = fft.rfft(contrast, fft_length(len(contrast), lags))
    values = fft.irfft(np.abs(spectrum) ** 2)[1 : lags + 1]
    below = np.flatnonzero(values < 0.5 * values[0])
    return float(below[0] + 1) / (0.5 * FWHM_PER_SIGMA) if len(below) else 0.0


@numba.njit(cache=True, nogil=True)
def subtract_level(counts, reached, half_width, contrast):
    """Counts less their running mean over the reached ones of 2 half_width + 1 bins; 0 in bins that are not reached.

    Args:
        counts: float32[n, bins].
        reached: int64[n, ranges, 2], first and last + 1 bin of each range that a pixel reaches.
        half_width: A number of bins; as many as there are makes it the mean over all.
        contrast: float32[n, bins], filled in.
    """
    bins = counts.shape[1]
    inside = np.empty(bins)
    for i in range(counts.shape[0]):
        inside[:] = 0.0
        for r in range(reached.shape[1]):
            for k in range(reached[i, r, 0], reached[i, r, 1]):
                inside[k] = 1.0
        total, number = 0.0, 0.0
        for k in range(-half_width, bins):
            first, last = k - half_width - 1, k + half_width
            if last < bins:
                total += counts[i, last] * inside[last]
                number += inside[last]
            if first >= 0:
                total -= counts[i, first] * inside[first]
                number -= inside[first]
            if k >= 0:
                contrast[i, k] = (counts[i, k] - total / number) * inside[k] if number > 0.0 else 0.0
