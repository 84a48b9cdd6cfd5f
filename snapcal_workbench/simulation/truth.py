"""The truth of a simulated run, kept apart from it: only tests and the last table of the demonstration look at it.

The *error* of a pixel at a peak is (predicted TOF - true TOF) / true TOF, the prediction being a calibration's and the
truth the generator's. The true DIFC of a lite pixel is that of the sum of its native pixels' spectra: the mean of
ln(DIFC) over them, weighted by their Bragg events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.pixels.likelihood.smooth_field import robust_spread
from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, IntArray, PixelGrouping, PixelMask
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.disk.hdf5 import hdf5_image
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.instrument.snap import SNAP

FORMAT = "snapcal truth 1"


@dataclass(frozen=True, eq=False)
class Truth:
    """The calibration that the events of a simulated run were made with.

    Attributes:
        detid: int32[n].
        difc, difa, tzero: float64[n], us/A, us/A^2, us.
        bragg: float64[n], expected events in the peaks.
        events: float64[n], expected events of all kinds.
        information: float64[n], Fisher information about ln(DIFC) in all events of the pixel; 0 where it tells nothing.
        lite_information: float64[lite pixels], the same of the lite pixels; empty if these are lite pixels.
    """

    detid: IntArray
    difc: FloatArray
    difa: FloatArray
    tzero: FloatArray
    bragg: FloatArray
    events: FloatArray
    information: FloatArray
    lite_information: FloatArray

    def __len__(self) -> int:
        return len(self.detid)

    @property
    def table(self) -> DiffCalTable:
        """The truth as a calibration."""
        return DiffCalTable(self.detid, self.difc, self.difa, self.tzero)

    @property
    def bound(self) -> FloatArray:
        """float64[n]: Cramer-Rao bound of ln(DIFC) of each pixel; inf where its events tell nothing."""
        with np.errstate(divide="ignore"):
            return 1.0 / np.sqrt(self.information)

    def lite(self) -> Truth:
        """The truth of the lite pixels."""
        lite_of = merged_by_place(SNAP.native.layout, SNAP.lite.blocks)
        if len(self) != len(lite_of):
            raise InputError(
                "Only the truth of the native pixels can be summed to lite ones.",
                found=f"{len(self)} pixels",
                fix="Use the truth as the simulation returned or wrote it.",
            )
        bragg = np.bincount(lite_of, self.bragg)
        weight = np.where(bragg[lite_of] > 0, self.bragg, 1.0)
        total = np.bincount(lite_of, weight)

        def mean(values: FloatArray) -> FloatArray:
            return np.bincount(lite_of, weight * values) / total

        return Truth(
            detid=np.arange(len(total), dtype=np.int32),
            difc=np.exp(mean(np.log(self.difc))),
            difa=mean(self.difa),
            tzero=mean(self.tzero),
            bragg=bragg.astype(np.float64),
            events=np.bincount(lite_of, self.events).astype(np.float64),
            information=self.lite_information,
            lite_information=np.empty(0),
        )

    def write(self, path: Path) -> None:
        """Write the truth to an HDF5 file; an existing one is replaced.

        Raises:
            PermissionDeniedError: We may not write there.
            StoreError: The file cannot be written.
        """
        replace_file(path, hdf5_image(self._fill), "the truth of a simulated run")

    def _fill(self, file: h5py.File) -> None:
        file.attrs["format"] = FORMAT
        for field in fields(self):
            file[field.name] = getattr(self, field.name)

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Read a truth that `write` wrote.

        Raises:
            NotFoundError: There is no such file.
            FileFormatError: It is damaged or of another kind.
        """
        if not path.is_file():
            raise NotFoundError(
                f"Expected the truth of a simulated run in {path}.",
                fix="Give the file that was written beside the simulated run, or simulate it again.",
            )
        try:
            with h5py.File(path) as file:
                if file.attrs.get("format") != FORMAT:
                    raise KeyError(f"format {file.attrs.get('format')!r}")
                return cls(**{field.name: file[field.name][()] for field in fields(cls)})
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise FileFormatError(
                f"The truth of a simulated run in {path} cannot be read.", found=str(error), fix="Simulate it again."
            ) from error


def error_at_peaks(table: DiffCalTable, truth: Truth, d_peaks: FloatArray) -> FloatArray:
    """float64[n]: (predicted TOF - true TOF) / true TOF of each pixel, averaged over peaks.

    Args:
        table: The calibration, of the pixels of `truth`.
        truth: The truth; `truth.lite()` for a lite calibration.
        d_peaks: float64[p], d-spacings of the peaks that were used, A.

    Raises:
        InputError: The pixels differ, or there is no peak.
    """
    if not np.array_equal(table.detid, truth.detid) or len(d_peaks) == 0:
        raise InputError(
            "Errors need a calibration of the truth's pixels, and at least one peak.",
            found=f"{len(table)} and {len(truth)} pixels, {len(d_peaks)} peaks",
            fix="Use truth.lite() for a lite calibration, and groups in which peaks were used.",
        )
    total = np.zeros(len(table))
    for d in d_peaks:
        true = truth.difc * d + truth.difa * d * d + truth.tzero
        total += (table.difc * d + table.difa * d * d + table.tzero) / true - 1.0
    return total / len(d_peaks)


@dataclass(frozen=True)
class GroupErrors:
    """Errors of the pixels of one group, in ppm of TOF.

    Attributes:
        group: Group id.
        pixels: Pixels that are in use and whose events can tell their DIFC.
        median_ppm: Median error.
        spread_ppm: Robust spread of the errors (1.4826 times the median absolute deviation).
        bound_ppm: Median Cramer-Rao bound of these pixels.
    """

    group: int
    pixels: int
    median_ppm: float
    spread_ppm: float
    bound_ppm: float


def group_errors(
    table: DiffCalTable, truth: Truth, grouping: PixelGrouping, mask: PixelMask, d_peaks: Mapping[int, FloatArray]
) -> tuple[GroupErrors, ...]:
    """Errors of a calibration in every group that has used peaks and pixels.

    Args:
        table: The calibration.
        truth: The truth of the same pixels.
        grouping: Of the same pixels.
        mask: Of the same pixels.
        d_peaks: d-spacings of the used peaks by group id, A.
    """
    found = []
    for group, d in d_peaks.items():
        own = (grouping.group == group) & ~mask.masked & (truth.information > 0)
        if not own.any() or len(d) == 0:
            continue
        error = 1e6 * error_at_peaks(table, truth, d)[own]
        bound = float(np.median(1e6 * truth.bound[own]))
        found.append(GroupErrors(group, int(own.sum()), float(np.median(error)), robust_spread(error), bound))
    return tuple(found)
