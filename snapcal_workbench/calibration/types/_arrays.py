"""Arrays that the value types share, and the check of their lengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.errors import InputError

FloatArray = NDArray[np.float64]


IntArray = NDArray[np.int32]


def check_lengths(value: object, /, **arrays: NDArray | None) -> None:
    """Raise InputError unless all arrays of a value have one entry a pixel."""
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"All arrays of a {type(value).__name__} must have one entry a pixel.",
            found=", ".join(f"{name}: {length}" for name, length in lengths.items()),
            fix="Pass arrays of the same length, in ascending order of detid.",
        )
