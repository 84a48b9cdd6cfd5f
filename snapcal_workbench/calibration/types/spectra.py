"""Histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from snapcal_workbench.calibration.types._arrays import FloatArray, IntArray, check_lengths
from snapcal_workbench.calibration.types.runs import RunInfo
from snapcal_workbench.errors import InputError

Unit = Literal["TOF", "dSpacing"]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Histograms, one a spectrum.

    Attributes:
        edges: float64[bins+1] shared by all spectra, or float64[spectra, bins+1].
        y: float64[spectra, bins], counts.
        e: float64[spectra, bins], standard errors of the counts.
        unit: "TOF" (us) or "dSpacing" (A).
        detids: Detector ids of each spectrum.
        number: int32[spectra], spectrum numbers; group ids for focused spectra.
        title: Shown to the user.
        run: The run that the spectra come from.
    """

    edges: FloatArray
    y: FloatArray
    e: FloatArray
    unit: Unit
    detids: Sequence[IntArray]
    number: IntArray
    title: str = ""
    run: RunInfo = field(default_factory=RunInfo)

    def __post_init__(self) -> None:
        if self.y.shape != self.e.shape or self.edges.shape[-1] != self.y.shape[1] + 1:
            raise InputError(
                "Spectra need counts and errors of one shape, and one bin edge more than bins.",
                found=f"y {self.y.shape}, e {self.e.shape}, edges {self.edges.shape}",
                fix="Pass histogram data; points must be turned into bins first.",
            )
        check_lengths(self, y=self.y, detids=np.empty(len(self.detids)), number=self.number)

    def edges_of(self, index: int) -> FloatArray:
        """Bin edges of one spectrum."""
        return self.edges if self.edges.ndim == 1 else self.edges[index]
