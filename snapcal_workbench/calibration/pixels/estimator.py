"""What every pixel estimator gives in one pass: the seam between the convergence loop and the ways to align pixels.

A *pass* estimates the shift of every pixel once, relative to a given table; the loop applies it and asks again. A pixel
is *in use* when it is in a group and nothing has masked it. An estimator is made for one set of events, one grouping
and one set of options; it never changes the table or the mask that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import DiffCalTable, FloatArray
from snapcal_workbench.errors import InputError
from snapcal_workbench.progress import Progress


@dataclass(frozen=True, eq=False)
class PassEstimate:
    """What one pass found for each of all n pixels, in ascending order of detid.

    Attributes:
        shift: float64[n], s = ln(difc_new / difc_old) relative to the table of the pass; 0 for pixels that are not in
            use. Each group's median over its pixels in use is subtracted, unless one pixel is the reference.
        sigma: float64[n], standard error of `shift`, prior included; inf where the data say nothing.
        own_shift: float64[n], the estimate from the pixel's own events alone, on the same zero as `shift`.
        own_sigma: float64[n], its standard error.
        chi2: float64[n], goodness of fit per degree of freedom; NaN where there is none.
        reason: uint8[n], the `MaskReason` of pixels that this pass found unusable; 0 elsewhere.
    """

    shift: FloatArray
    sigma: FloatArray
    own_shift: FloatArray
    own_sigma: FloatArray
    chi2: FloatArray
    reason: NDArray[np.uint8]

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) > 1:
            raise InputError(
                "A pass must estimate every pixel.",
                found=", ".join(f"{name}: {length}" for name, length in lengths.items()),
                fix="Return arrays with one entry a pixel.",
            )

    def __len__(self) -> int:
        return len(self.shift)

    @classmethod
    def empty(cls, n: int) -> PassEstimate:
        """An estimate of n pixels that says nothing: fill its arrays before handing it on."""
        zeros, infinite = np.zeros(n), np.full(n, np.inf)
        return cls(zeros, infinite, zeros.copy(), infinite.copy(), np.full(n, np.nan), np.zeros(n, np.uint8))


class PixelEstimator(Protocol):
    """A way to align the pixels of each group with each other."""

    def estimate(self, table: DiffCalTable, reason: NDArray[np.uint8], number: int, progress: Progress) -> PassEstimate:
        """The shift of every pixel in use, relative to `table`.

        Args:
            table: Calibration with which the events are turned into d-spacing.
            reason: uint8[n], `MaskReason` of each pixel so far; 0 = used.
            number: Of the pass, from 1.
            progress: Of this pass.

        Raises:
            Cancelled: If the user has cancelled; nothing is kept of the pass.
        """
        ...
