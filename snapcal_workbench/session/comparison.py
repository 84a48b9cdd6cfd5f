"""Iterations and versions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types import (
    Calibration,
    DiffCalTable,
    FloatArray,
    Geometry,
    GroupMetrics,
    IntArray,
    PixelMask,
    Spectra,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.model import Instrument, recorded_mode
from snapcal_workbench.session.iterations.iteration import Iteration
from snapcal_workbench.store.version.recorded import own_metrics, recorded_metrics, recorded_state
from snapcal_workbench.store.version.stored import StoredVersion


@dataclass(frozen=True, eq=False)
class Entry:
    """One calibration in a comparison.

    Attributes:
        label: As shown: "iteration 2", "version 3 (lite, 04bd2c53f6bf6754)".
        metrics: Figures of its groups; None for a version that states none (the default).
        table: Its calibration table.
        mask: Its mask.
        geometry: Of its pixels.
        spectra: Focused spectra in d-spacing, where it has some.
    """

    label: str
    metrics: GroupMetrics | None
    table: DiffCalTable
    mask: PixelMask
    geometry: Geometry
    spectra: Spectra | None = None

    @property
    def groups(self) -> dict[int, IntArray]:
        """Detector ids of the pixels in use of each group."""
        if self.spectra is None:
            return {}
        return {int(group): ids for group, ids in zip(self.spectra.number, self.spectra.detids, strict=True)}


@dataclass(frozen=True)
class GroupRow:
    """Figures of one group in one calibration; strain in ppm, sigma relative, DIFC difference in ppm of the first."""

    label: str
    group: int
    two_theta: float
    peaks_used: int
    strain_ppm: float
    strain_std_ppm: float
    sigma: float
    chi2: float
    difc_difference_ppm: float
    difc_spread_ppm: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Calibrations side by side: the entries, and one row a group and calibration."""

    entries: tuple[Entry, ...]
    rows: tuple[GroupRow, ...]

    @property
    def metrics(self) -> dict[str, GroupMetrics]:
        """Figures by label, of those that have some."""
        return {entry.label: entry.metrics for entry in self.entries if entry.metrics is not None}


def entry_of_iteration(iteration: Iteration, found: Calibration, geometry: Geometry) -> Entry:
    """An iteration of a calibration session."""
    return Entry(iteration.name, iteration.metrics, found.table, found.mask, geometry, found.spectra)


def entry_of_version(reference: str, stored: StoredVersion, instrument: Instrument) -> Entry:
    """A saved version.

    Raises:
        FileFormatError: Its record does not state the instrument's state, or wrong figures of its groups.
    """
    state = recorded_state(stored.record, stored.path)
    geometry = state.geometry(recorded_mode(instrument, stored.entry.use_lite_mode))
    label = f"version {reference}"
    return Entry(label, metrics_of_version(stored), stored.table, stored.mask, geometry, stored.spectra)


def metrics_of_version(stored: StoredVersion) -> GroupMetrics | None:
    """Figures of a saved version's groups; of one that SNAPRed wrote, those that it states; None where it has none."""
    own = own_metrics(stored.record, stored.path)
    if own is not None:
        return own
    found = recorded_metrics(stored.record, stored.path)
    if found is None or not found.calibration_metric:
        return None
    recorded = found.calibration_metric

    def column(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in recorded], np.float64)

    unknown, none = np.full(len(recorded), np.nan), np.zeros(len(recorded), np.int32)
    return GroupMetrics(
        group=np.arange(1, len(recorded) + 1, dtype=np.int32),
        two_theta=np.radians(column("two_theta_average")),
        sigma=column("sigma_average"),
        sigma_std=column("sigma_standard_deviation"),
        strain=unknown,
        strain_std=unknown,
        snapred_strain=column("strain_average"),
        snapred_strain_std=column("strain_standard_deviation"),
        chi2=unknown,
        residual=unknown,
        peaks_used=none,
        peaks_rejected=none,
    )


def compare_entries(entries: Sequence[Entry]) -> Comparison:
    """Put calibrations side by side; DIFC differences are against the first, over pixels that both use.

    Raises:
        InputError: Fewer than two are given.
    """
    if len(entries) < 2:
        raise InputError(
            "A comparison needs at least two calibrations.",
            found=", ".join(entry.label for entry in entries) or "none",
            fix="Choose two or more iterations or saved versions; in a shell: `snapcal compare 1 2`.",
        )
    return Comparison(tuple(entries), tuple(row for entry in entries for row in _rows(entry, entries[0])))


def _rows(entry: Entry, first: Entry) -> list[GroupRow]:
    metrics = entry.metrics
    if metrics is None:
        return []
    rows = []
    for position, group in enumerate(metrics.group):
        difference = difc_difference(first, entry, int(group))
        centre = float(np.median(difference)) if difference.size else np.nan
        spread = 1.4826 * float(np.median(np.abs(difference - centre))) if difference.size else np.nan
        rows.append(
            GroupRow(
                label=entry.label,
                group=int(group),
                two_theta=float(np.degrees(metrics.two_theta[position])),
                peaks_used=int(metrics.peaks_used[position]),
                strain_ppm=1e6 * float(metrics.strain[position]),
                strain_std_ppm=1e6 * float(metrics.strain_std[position]),
                sigma=float(metrics.sigma[position]),
                chi2=float(metrics.chi2[position]),
                difc_difference_ppm=centre,
                difc_spread_ppm=spread,
            )
        )
    return rows


def difc_difference(first: Entry, other: Entry, group: int) -> FloatArray:
    """DIFC of `other` against `first` in ppm, of the pixels of a group that both use; empty where they do not match."""
    detids = other.groups.get(group)
    if detids is None or not np.array_equal(first.table.detid, other.table.detid):
        return np.empty(0)
    use = np.isin(other.table.detid, detids) & ~first.mask.masked & ~other.mask.masked
    return 1e6 * (other.table.difc[use] / first.table.difc[use] - 1.0)
