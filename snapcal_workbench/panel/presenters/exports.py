"""What the result tabs show, as files; no Qt here.

Tables are text with one line a row and commas between the columns. Angles are in degrees, d-spacings in Angstrom, DIFC
in us/A; ppm and bins where the title says so.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PassRecord
from snapcal_workbench.panel.presenters.contract import Results
from snapcal_workbench.panel.presenters.pixel_quantities import CHANGE, ERROR_BAR, EVENTS, OFFSET
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Comparison
from snapcal_workbench.session.reporting import write_comparison_report


def write_passes(path: Path, results: Results) -> None:
    """The passes of the pixel calibration."""
    titles = [f.name for f in fields(PassRecord) if f.name != "group_median_ppm"]
    write_rows(path, titles, ([getattr(record, t) for t in titles] for record in results.iteration.passes))


def write_pixels(path: Path, results: Results, baseline: DiffCalTable) -> None:
    """All that is known of every pixel; the change of DIFC is against `baseline`."""
    geometry, mask, pixels = results.geometry, results.values["mask"], results.pixels
    columns = {
        "detid": geometry.detid,
        "two_theta_deg": np.degrees(geometry.two_theta),
        "difc": results.values["table"].difc,
        "difa": results.values["table"].difa,
        "tzero": results.values["table"].tzero,
    }
    for title, quantity in (
        ("difc_change_ppm", CHANGE),
        ("offset_bins", OFFSET),
        ("error_bar_ppm", ERROR_BAR),
        ("events", EVENTS),
    ):
        values = pixels.of(quantity, baseline)
        if values is not None:
            columns[title] = values
    reasons = [MaskReason(number).text for number in range(len(MaskReason))]
    rows = zip(*(column.tolist() for column in columns.values()), mask.reason.tolist(), strict=True)
    write_rows(path, [*columns, "mask"], ([*row[:-1], reasons[row[-1]]] for row in rows))


def write_spectrum(path: Path, results: Results, group: int) -> None:
    """A group's focused spectrum, the fit (empty outside the windows), and the residual in standard errors."""
    spectra, fitted = results.values["output"], results.values["fitted"]
    index = int(np.flatnonzero(spectra.number == group)[0])
    edges, y, e, fit = spectra.edges_of(index), spectra.y[index], spectra.e[index], fitted.y[index]
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = np.where(e > 0, (y - fit) / e, np.nan)
    rows = zip(*(column.tolist() for column in (0.5 * (edges[1:] + edges[:-1]), y, e, fit, residual)), strict=True)
    write_rows(path, ("d_angstrom", "counts", "error", "fit", "residual"), rows)


def write_peaks(path: Path, results: Results) -> None:
    """The fitted peaks of all groups."""
    fits = results.values["fit_table"]
    found = ["centre", "centre_error", "sigma", "height", "intensity", "chi2", "used", "why_not"]
    names = ["d", "window_min", "window_max", *found]
    columns = {name: list(getattr(fits, name)) for name in names}
    columns |= {name: list(fits.parameters[:, i]) for i, name in enumerate(fits.parameter_names)}
    rows = zip(fits.group.tolist(), fits.hkl.tolist(), *columns.values(), strict=True)
    write_rows(path, ["group", "h", "k", "l", *columns], ([group, *hkl, *rest] for group, hkl, *rest in rows))


def write_groups(path: Path, results: Results) -> None:
    """The quality figures of the groups."""
    m = results.iteration.metrics
    titles = ("group", "two_theta_deg", "peaks_used", "strain_ppm", "strain_std_ppm", "sigma_over_d", "chi2")
    angle, strain, spread = np.degrees(m.two_theta), 1e6 * m.strain, 1e6 * m.strain_std
    columns = (m.group, angle, m.peaks_used, strain, spread, m.sigma, m.chi2)
    write_rows(path, titles, zip(*(column.tolist() for column in columns), strict=True))


def write_comparison(path: Path, comparison: Comparison) -> None:
    """One row a group and calibration."""
    rows = [asdict(row) for row in comparison.rows]
    write_rows(path, list(rows[0]) if rows else ["label"], (row.values() for row in rows))


def write_report(path: Path, results: Results) -> None:
    """The iteration's HTML report, one file with its pictures inside."""
    shutil.copyfile(results.report(), path)


def write_comparison_page(path: Path, comparison: Comparison) -> None:
    """The comparison as an HTML page, one file with its pictures inside."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(write_comparison_report(Path(folder), comparison, Progress()), path)


def write_rows(path: Path, titles: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """A table with a line of titles; what is not known is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(titles)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.8g}"
    return value
