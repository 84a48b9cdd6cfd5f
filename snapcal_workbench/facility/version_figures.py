"""What a version says of each module and group, with the errors that its record allows to state.

DIFC cannot be compared on its own between versions that fit a time offset too: the two make up for each other. So what
is compared is the TOF that a version gives to neutrons of the middle of the wavelength band, lambda, at each pixel: of
d = lambda / (2 sin theta), against that of the geometry: x = ln(TOF / TOF_geometry). It is the relative change of
DIFC where DIFC alone was fitted.

*Errors.* The pixels' own standard errors say how well a module is known against its group; the error of the group's
terms says how well the group is known, and is common to all its modules. Versions of SNAPRed have neither: the pixels'
scatter against a neighbouring version stands for the first (`scatter_error`), and the scatter of the group's peaks,
divided by the root of their number, for the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types import (
    Account,
    DiffCalTable,
    FloatArray,
    Geometry,
    GroupMetrics,
    GroupResults,
    IntArray,
    PixelGrouping,
)
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.groupings import read_grouping_named
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Settings
from snapcal_workbench.store.version.recorded import own_metrics, recorded_metrics
from snapcal_workbench.store.version.stored import StoredVersion

REPRODUCIBILITY = 10e-6
"""Relative; added to the error of each version in quadrature: a sample that is put 0.1 mm down the beam makes a path of
15.5 m longer by 6e-6. Half of it names changes that a remounted sample makes, twice hides them up to 70 ppm."""
ROBUST = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""


@dataclass(frozen=True, eq=False)
class VersionFigures:
    """One version, as far as it is compared with others.

    Attributes:
        entry: Its index entry.
        shift: float64[n], x of each pixel (see the module); NaN where it is masked.
        sigma: float64[n], the pixels' own relative errors; NaN where they are not known.
        group: int32[n], group of each pixel, 0 where it is in none or not known.
        group_error: Relative error of each group's terms.
        common_error: Relative error that all pixels share: of what a propagation added.
        width, width_error: sigma / d of the peaks by group.
        strain, strain_error: (d_obs - d_ref) / d_ref by group.
        convention: What DIFC refers to, as the options have it; "" where it is not stated.
    """

    entry: IndexEntry
    shift: FloatArray
    sigma: FloatArray
    group: IntArray
    group_error: Mapping[int, float]
    common_error: float
    width: Mapping[int, tuple[float, float]]
    strain: Mapping[int, tuple[float, float]]
    convention: str


def band_d(state: InstrumentState, geometry: Geometry) -> FloatArray:
    """float64[n]: the d-spacing (A) that each pixel sees at the middle of the wavelength band."""
    wavelength = state.particle_bounds.wavelength
    middle = 0.5 * (wavelength.minimum + wavelength.maximum)
    return middle / (2.0 * np.sin(0.5 * geometry.two_theta))


def tof_shift(table: DiffCalTable, geometry: Geometry, d: FloatArray) -> FloatArray:
    """float64[n]: ln(TOF / TOF_geometry) of each pixel at its d."""
    with np.errstate(invalid="ignore", divide="ignore"):
        tof = tof_from_d(d, difc=table.difc, difa=table.difa, tzero=table.tzero)
        return np.log(tof / (geometry.difc * d))


def figures_of(
    stored: StoredVersion, state: InstrumentState, geometry: Geometry, mode: PixelMode, settings: Settings
) -> VersionFigures | str:
    """The figures of a version, or why it cannot be compared."""
    if not np.array_equal(stored.table.detid, geometry.detid):
        return f"version {stored.entry.version} has {len(stored.table)} pixels instead of {len(geometry)}"
    account = _account(stored)
    grouping = _grouping(stored, geometry, mode, settings)
    sigma = np.full(len(geometry), np.nan)
    if stored.pixel_results is not None and np.array_equal(stored.pixel_results.detid, geometry.detid):
        own = stored.pixel_results.own_sigma
        sigma = np.where(np.isfinite(own) & (own > 0), own, np.nan)
    width, strain = _metrics(stored, grouping)
    shift = tof_shift(stored.table, geometry, band_d(state, geometry))
    return VersionFigures(
        entry=stored.entry,
        shift=np.where(stored.mask.masked, np.nan, shift),
        sigma=sigma,
        group=grouping.group,
        group_error=_group_errors(account, stored, grouping),
        common_error=propagated_error(stored),
        width=width,
        strain=strain,
        convention=_convention(account),
    )


def propagated_error(stored: StoredVersion) -> float:
    """The relative uncertainty that a propagation added to a version; 0 for one that was measured."""
    own = stored.record.own
    propagated = own.provenance.get("propagated") if own else None
    added = propagated.get("addedUncertainty") if isinstance(propagated, dict) else None
    return float(added) if isinstance(added, (int, float)) and added >= 0 else 0.0


def _account(stored: StoredVersion) -> Account | None:
    own = stored.record.own
    if own is None or own.account is None:
        return None
    try:
        return Account.from_plain(own.account)
    except ValueError:
        return None


def _convention(account: Account | None) -> str:
    if account is None or account.options.groups.method != "joint":
        return ""
    return str(account.options.groups.convention)


def _grouping(stored: StoredVersion, geometry: Geometry, mode: PixelMode, settings: Settings) -> PixelGrouping:
    """The version's grouping as the facility has it today; all pixels in group 0 where it has not."""
    own = stored.record.own
    pixel_group = (stored.record.pixel_groups or [{}])[0]
    focus_group = pixel_group.get("focusGroup")
    focus_group = focus_group if isinstance(focus_group, dict) else {}
    metrics = stored.record.focus_group_calibration_metrics or {}
    named = own.grouping_name if own else ""
    name = named or focus_group.get("name") or metrics.get("focusGroupName")
    try:
        if isinstance(name, str) and name:
            return read_grouping_named(settings, stored.state_id, mode, name, geometry)
    except SnapcalError:
        pass
    return PixelGrouping(geometry.detid, np.zeros(len(geometry), np.int32))


def _group_errors(account: Account | None, stored: StoredVersion, grouping: PixelGrouping) -> dict[int, float]:
    if account is not None and account.group_steps:
        return _errors_of_terms(account.group_steps[-1].results)
    peaks = (stored.record.crystal_info or {}).get("peaks")
    metrics = recorded_metrics(stored.record, stored.path)
    if metrics is None or not isinstance(peaks, list) or not peaks:
        return {}
    errors = [
        abs(row.strain_standard_deviation * row.sigma_average) / len(peaks) ** 0.5
        for row in metrics.calibration_metric
        if row.strain_standard_deviation is not None and row.sigma_average is not None
    ]
    ids = grouping.ids.tolist()
    if len(ids) == len(errors):
        return dict(zip(ids, errors, strict=True))
    return {0: float(np.median(errors))} if errors else {}


def _errors_of_terms(results: GroupResults) -> dict[int, float]:
    """Relative error of each group's DIFC, by the scatter of its peaks where that is more than their errors."""
    grown = np.sqrt(np.fmax(results.chi2, 1.0))
    with np.errstate(invalid="ignore"):
        error = grown * results.difc_error / results.difc
    pairs = zip(results.group.tolist(), error.tolist(), strict=True)
    return {group: value for group, value in pairs if np.isfinite(value)}


Figures = dict[int, tuple[float, float]]


def _metrics(stored: StoredVersion, grouping: PixelGrouping) -> tuple[Figures, Figures]:
    """Widths and strains by group, each with its error."""
    try:
        own = own_metrics(stored.record, stored.path)
        if own is not None:
            return _own_figures(own)
        recorded = recorded_metrics(stored.record, stored.path)
    except SnapcalError:
        return {}, {}
    peaks = (stored.record.crystal_info or {}).get("peaks")
    count = len(peaks) if isinstance(peaks, list) and peaks else 1
    rows = recorded.calibration_metric if recorded else []
    ids = grouping.ids.tolist()
    ids = ids if len(ids) == len(rows) else list(range(1, len(rows) + 1))
    width, strain = {}, {}
    for group, row in zip(ids, rows, strict=True):
        if row.sigma_average is None:
            continue
        width[group] = row.sigma_average, (row.sigma_standard_deviation or np.nan) / count**0.5
        if row.strain_average is not None and row.strain_standard_deviation is not None:
            # SNAPRed's strain is (d_ref - d_obs) / sigma
            strain[group] = (
                -row.strain_average * row.sigma_average,
                row.strain_standard_deviation * row.sigma_average / count**0.5,
            )
    return width, strain


def _own_figures(metrics: GroupMetrics) -> tuple[Figures, Figures]:
    root = np.sqrt(np.maximum(metrics.peaks_used, 1))
    ids = metrics.group.tolist()
    width = zip(metrics.sigma.tolist(), (metrics.sigma_std / root).tolist(), strict=True)
    strain = zip(metrics.strain.tolist(), (metrics.strain_std / root).tolist(), strict=True)
    return dict(zip(ids, width, strict=True)), dict(zip(ids, strain, strict=True))


def mean_of_part(figures: VersionFigures, members: IntArray, neighbour: VersionFigures | None) -> tuple[float, float]:
    """Mean shift of some pixels and its standard error; (NaN, NaN) where all are masked, error NaN where not known.

    Args:
        figures: Of a version.
        members: Indices of the pixels.
        neighbour: A version to take the pixels' scatter from, where this one states no errors of its own.
    """
    use = members[np.isfinite(figures.shift[members])]
    if len(use) == 0:
        return np.nan, np.nan
    known = use[np.isfinite(figures.sigma[use])]
    if len(known) > len(use) // 2:
        weight = figures.sigma[known] ** -2
        value, own = float(np.average(figures.shift[known], weights=weight)), float(weight.sum() ** -0.5)
    else:
        value, own = float(np.mean(figures.shift[use])), scatter_error(figures, use, neighbour)
    return value, float(np.hypot(own, shared_error(figures, use)))


def shared_error(figures: VersionFigures, members: IntArray) -> float:
    """Standard error that the mean of some pixels has from what they share: the terms of their groups, how the sample
    was mounted, and a propagation. NaN where the version does not state that of its groups."""
    groups, counts = np.unique(figures.group[members], return_counts=True)
    fallback = figures.group_error.get(0, np.nan)
    of_groups = np.array([figures.group_error.get(int(group), fallback) for group in groups])
    group_error = float(np.average(of_groups, weights=counts))
    return float(np.sqrt(group_error**2 + figures.common_error**2 + REPRODUCIBILITY**2))


def scatter_error(figures: VersionFigures, members: IntArray, neighbour: VersionFigures | None) -> float:
    """Error of the mean of some pixels by how they scatter against another version; NaN without one.

    A difference has the scatter of both. Where the neighbour has the same pixels there is none, and none is made up:
    the group's error is then all that is known.
    """
    if neighbour is None:
        return np.nan
    difference = figures.shift[members] - neighbour.shift[members]
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        return np.nan
    spread = ROBUST * float(np.median(np.abs(difference - np.median(difference))))
    return spread / float(np.sqrt(2.0 * len(difference)))
