"""Iterations and versions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable, GroupMetrics, PixelGrouping, PixelMask, Spectra
from snapcal_workbench.errors import InputError
from snapcal_workbench.session.iteration import Iteration
from snapcal_workbench.store.state_store import StoredVersion


@dataclass(frozen=True, eq=False)
class Entry:
    """One calibration in a comparison.

    Attributes:
        label: As shown: "iteration 2", "version 3 (lite, 04bd2c53f6bf6754)".
        metrics: Figures of its groups; None for a version that states none (the default).
        table: Its calibration table.
        mask: Its mask.
        spectra: Focused spectra in d-spacing, where it has some.
    """

    label: str
    metrics: GroupMetrics | None
    table: DiffCalTable
    mask: PixelMask
    spectra: Spectra | None = None
    grouping: PixelGrouping | None = None


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


def entry_of_iteration(iteration: Iteration, values: Mapping[str, Any]) -> Entry:
    """An iteration of this session."""
    return Entry(
        iteration.name, iteration.metrics, values["table"], values["mask"], values["output"], values["grouping"]
    )


def entry_of_version(reference: str, stored: StoredVersion) -> Entry:
    """A saved version."""
    return Entry(f"version {reference}", stored.metrics, stored.table, stored.mask, stored.spectra)


def compare_entries(entries: Sequence[Entry]) -> Comparison:
    """Put calibrations side by side; DIFC differences are against the first, over pixels that both use.

    Raises:
        InputError: Fewer than two are given.
    """
    if len(entries) < 2:
        raise InputError(
            "A comparison needs at least two calibrations.",
            found=", ".join(entry.label for entry in entries) or "none",
            fix="Name iterations or versions, as in `snapcal compare 1 2`.",
        )
    grouping = next((entry.grouping for entry in entries if entry.grouping is not None), None)
    rows = [row for entry in entries for row in _rows(entry, entries[0], grouping)]
    return Comparison(tuple(entries), tuple(rows))


def _rows(entry: Entry, first: Entry, grouping: PixelGrouping | None) -> list[GroupRow]:
    metrics = entry.metrics
    if metrics is None:
        return []
    rows = []
    for position, group in enumerate(metrics.group):
        difference = difc_difference(first, entry, grouping, int(group))
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


def difc_difference(first: Entry, other: Entry, grouping: PixelGrouping | None, group: int) -> np.ndarray:
    """DIFC of `other` against `first` in ppm, of the pixels of a group that both use; empty where they do not match."""
    if len(first.table) != len(other.table) or grouping is None or len(grouping.detid) != len(first.table):
        return np.empty(0)
    use = (grouping.group == group) & ~first.mask.masked & ~other.mask.masked
    return 1e6 * (other.table.difc[use] / first.table.difc[use] - 1.0)
