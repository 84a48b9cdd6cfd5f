"""The report's tables and verdict as text: what stands in which row, without any HTML.

Column heads carry the units; cells are text, with the digits that mean something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel

from snapcal_workbench.calibration.types import (
    FitTable,
    FloatArray,
    GroupMetrics,
    GroupResults,
    IntArray,
    MaskReason,
    PassRecord,
    PixelCalibration,
)
from snapcal_workbench.options import leaves, value_at
from snapcal_workbench.report.contents import ComparisonEntry, ReportContents
from snapcal_workbench.report.detectors import difc_change_ppm
from snapcal_workbench.report.numbers import NONE, fixed, number, percent, ppm, with_error
from snapcal_workbench.report.spectra import hkl_text

Level = Literal["good", "look"]
WORDS = frozenset(range(4))
"""Every column holds words."""
MUCH_MASKED = 0.05
"""A larger masked fraction of the pixels needs a look."""
MANY_AT_LIMIT = 0.01
"""A larger fraction of the pixels with the shift at its limit needs a look: the input is probably bad."""
LARGE_STRAIN = 2e-4
"""A larger median strain left in a group needs a look."""

STOPS = {
    "converged": "converged",
    "max iterations": "did not converge within the largest number of passes",
    "diverging": "stopped because the offsets grew",
    "cancelled": "was cancelled",
}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        heads: Of the columns.
        rows: Text of the cells.
        caption: Shown where the table is folded.
        words: Indices of the columns that hold words; the others hold numbers.
        marked: Indices of the rows that need a look.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: frozenset[int] = frozenset({0})
    marked: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict."""

    level: Level
    text: str


def verdict(contents: ReportContents) -> list[Finding]:
    """What a scientist should know first: did it converge, how much is masked, which groups are weak, the warnings."""
    findings = [_pixel_finding(contents.pixel), _mask_finding(contents), *_limit_finding(contents)]
    findings += _group_findings(contents)
    findings += [Finding("look", f"Warning: {text}") for text in contents.warnings]
    if contents.verdict is not None:
        level: Level = "good" if contents.verdict.good else "look"
        word = contents.verdict.word if contents.verdict.savable else contents.verdict.word.upper()
        told = [Finding(level, f"Verdict: {word}."), *(Finding("look", text) for text in contents.verdict.told)]
        findings = [*told, *findings]
    return findings


def headline(findings: Sequence[Finding]) -> str:
    """The verdict in one line."""
    problems = sum(finding.level == "look" for finding in findings)
    if not problems:
        return "No problems were found."
    return f"{problems} point{'s' if problems > 1 else ''} to look at before this calibration is used."


def _pixel_finding(pixel: PixelCalibration | None) -> Finding:
    if pixel is None:
        return Finding("good", "The pixel calibration was skipped: only the groups were calibrated.")
    number_of = len(pixel.passes)
    text = f"The pixel calibration {STOPS[pixel.stop]} after {number_of} pass{'' if number_of == 1 else 'es'}"
    kept = [record for record in pixel.passes if record.kept] or list(pixel.passes[-1:])
    if kept:
        text += f"; median |shift| of pass {kept[-1].number}: {number(kept[-1].median_ppm)} ppm"
    return Finding("good" if pixel.stop == "converged" else "look", f"{text}.")


def _mask_finding(contents: ReportContents) -> Finding:
    masked, total = int(contents.mask.masked.sum()), len(contents.mask.reason)
    text = f"{masked:,} of {total:,} pixels are masked ({percent(masked, total)})"
    reasons = [f"{reason.text}: {count:,}" for reason, count in contents.mask.counts().items()]
    level: Level = "look" if masked > MUCH_MASKED * total else "good"
    return Finding(level, f"{text}{'; ' if reasons else ''}{', '.join(reasons)}.")


def _limit_finding(contents: ReportContents) -> list[Finding]:
    at_limit = contents.mask.counts().get(MaskReason.AT_LIMIT, 0)
    if at_limit <= MANY_AT_LIMIT * len(contents.mask.reason):
        return []
    return [
        Finding(
            "look",
            f"{at_limit:,} pixels have a shift at the search limit. That usually means that the start is far off or "
            "that the calibrant is not the one that was chosen.",
        )
    ]


def _group_findings(contents: ReportContents) -> list[Finding]:
    results, metrics = contents.groups.results, contents.metrics
    failed = [str(g) for g, model in zip(results.group, results.model, strict=True) if not model]
    preferred = contents.options.groups.preferred_peaks
    weak = [
        f"{g} ({used})"
        for g, used, model in zip(results.group, results.peaks_used, results.model, strict=True)
        if model and used < preferred
    ]
    findings = []
    if failed:
        findings.append(Finding("look", f"Not calibrated for want of good peaks: group {', '.join(failed)}."))
    if weak:
        text = f"Fewer than {preferred} peaks used in group {', '.join(weak)} (number of peaks in brackets)."
        findings.append(Finding("look", text))
    strain = np.abs(metrics.strain)
    if np.isfinite(strain).any():
        worst = int(np.nanargmax(strain))
        text = (
            f"Largest median strain left in a group: {ppm(metrics.strain[worst])} ppm (group {metrics.group[worst]})."
        )
        findings.append(Finding("look" if strain[worst] > LARGE_STRAIN else "good", text))
    return findings


def inputs_table(contents: ReportContents) -> Table:
    """What was calibrated with what."""
    run, geometry = contents.run_info, contents.geometry
    rows = [
        ("Run", run.run_number or NONE),
        ("Title", run.title or NONE),
        ("Started", run.start_time or NONE),
        ("Ended", run.end_time or NONE),
        ("Proton charge", f"{number(run.proton_charge, 4)} µAh" if run.proton_charge else NONE),
        ("Data from", run.source or NONE),
        ("Instrument", geometry.instrument or NONE),
        ("Pixels", f"{len(geometry):,} ({contents.mode.description})"),
        ("State", contents.state_id or NONE),
        ("Calibrant", contents.calibrant or NONE),
        ("Grouping", contents.grouping or NONE),
    ]
    return Table(("Input", "Value"), rows, words=WORDS)


def options_table(contents: ReportContents) -> Table:
    """Every option with its value and meaning; those that differ from the defaults are marked."""
    defaults = {name: value for name, value, _ in _options(type(contents.options)())}
    rows = list(_options(contents.options))
    marked = frozenset(i for i, (name, value, _) in enumerate(rows) if defaults[name] != value)
    caption = "All options; those that differ from the standard ones are marked"
    return Table(("Option", "Value", "Meaning"), rows, caption, words=WORDS, marked=marked)


def _options(options: BaseModel) -> Iterator[tuple[str, str, str]]:
    for leaf in leaves(type(options)):
        name = ": ".join(part.replace("_", " ") for part in leaf.path)
        yield name, _option_text(value_at(options, leaf.path)), leaf.field.description or ""


def _option_text(value: object) -> str:
    if value is None:
        return NONE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def passes_table(passes: Sequence[PassRecord]) -> Table:
    """One row a pass of the pixel calibration."""
    heads = (
        "Pass",
        "Median |shift| (ppm)",
        "95 % |shift| (ppm)",
        "Standard error of a pixel (ppm)",
        "Masked",
        "Newly masked",
        "Kept",
    )
    rows = [
        (
            str(p.number),
            number(p.median_ppm),
            number(p.p95_ppm),
            number(p.bound_ppm),
            f"{p.masked:,}",
            f"{p.newly_masked:,}",
            "yes" if p.kept else "",
        )
        for p in passes
    ]
    return Table(heads, rows)


def groups_table(contents: ReportContents) -> Table:
    """One row a group: peaks, strain, width and chi-squared after the correction, and the correction itself."""
    heads = (
        "Group", "2θ (°)", "Peaks used / listed", "Strain (ppm)", "σ / d (10⁻³)", "χ² (median)", "Residual (rms)",
        "Reflections in the fit", "Model", "DIFC factor − 1 (ppm)", "TZERO (µs)", "DIFA (µs/Å²)",
    )  # fmt: skip
    results, metrics = contents.groups.results, contents.metrics
    rows = []
    for group in contents.group_ids:
        quality = _metric_cells(metrics, _row(metrics.group, group))
        rows.append((str(group), *quality, *_term_cells(results, _row(results.group, group))))
    marked = frozenset(i for i, group in enumerate(contents.group_ids) if not _model(results, group))
    return Table(heads, rows, marked=marked)


def _row(groups: IntArray, group: int) -> int | None:
    found = np.flatnonzero(groups == group)
    return int(found[0]) if len(found) else None


def _model(results: GroupResults, group: int) -> str:
    row = _row(results.group, group)
    return "" if row is None else results.model[row]


def _metric_cells(metrics: GroupMetrics, row: int | None) -> list[str]:
    if row is None:
        return [NONE] * 6
    return [
        fixed(float(np.degrees(metrics.two_theta[row])), 1),
        f"{metrics.peaks_used[row]} / {metrics.peaks_listed[row]}",
        with_error(1e6 * metrics.strain[row], 1e6 * metrics.strain_std[row], 0),
        with_error(1e3 * metrics.sigma[row], 1e3 * metrics.sigma_std[row], 2),
        number(metrics.chi2[row]),
        number(metrics.residual[row]),
    ]


def _term_cells(results: GroupResults, row: int | None) -> list[str]:
    if row is None:
        return [NONE] * 5
    peaks = f"{results.peaks_used[row]} / {results.peaks_expected[row]}"
    if not results.model[row]:
        return [peaks, "not calibrated", NONE, NONE, NONE]
    correction = results.difc[row] / results.difc_focused[row] - 1.0
    error = results.difc_error[row] / results.difc_focused[row]
    return [
        peaks,
        results.model[row],
        with_error(1e6 * correction, 1e6 * error, 0),
        _term(results.tzero[row], results.tzero_error[row], 2),
        _term(results.difa[row], results.difa_error[row], 2),
    ]


def _term(value: float, error: float, decimals: int) -> str:
    """A term of the model, or a dash where it was neither fitted nor set."""
    return NONE if not np.isfinite(error) and not value else with_error(value, error, decimals)


def peaks_table(fits: FitTable, group: int) -> Table:
    """One row a fitted peak of a group; rejected ones are marked."""
    heads = ("hkl", "d expected (Å)", "d found (Å)", "Strain (ppm)", "σ / d (10⁻³)", "Counts", "χ²", "Result")
    index = np.flatnonzero(fits.group == group)
    index = index[np.argsort(fits.d[index], kind="stable")]
    error = fits.centre_error / fits.d
    rows = [
        (
            hkl_text(fits.hkl[i].tolist()),
            fixed(fits.d[i], 5),
            with_error(fits.centre[i], fits.centre_error[i], 5),
            with_error(1e6 * fits.strain[i], 1e6 * error[i], 0),
            number(1e3 * fits.sigma[i] / fits.centre[i] if fits.centre[i] else np.nan),
            fixed(fits.intensity[i], 0),
            number(fits.chi2[i]),
            "used" if fits.used[i] else f"rejected: {fits.why_not[i] or 'no reason given'}",
        )
        for i in index
    ]
    marked = frozenset(row for row, i in enumerate(index) if not fits.used[i])
    return Table(heads, rows, words=frozenset({0, 7}), marked=marked)


def dropped_table(contents: ReportContents, group: int) -> Table:
    """Reflections within a group's limits that are not fitted, and why."""
    peaks = contents.peaks.get(group)
    dropped = sorted(peaks.dropped, key=lambda item: item[1]) if peaks is not None else []
    rows = [(hkl_text(hkl), fixed(d, 5), why) for hkl, d, why in dropped]
    return Table(
        ("hkl", "d (Å)", "Reason"), rows, f"Reflections that are left out ({len(rows)})", words=frozenset({0, 2})
    )


def start_table(contents: ReportContents) -> Table:
    """What the calibration changed: DIFC of each group's pixels, and the peaks before and after the group step."""
    heads = (
        "Group", "Pixels in use", "Median change of DIFC (ppm)", "Middle 68 % of the changes (ppm)",
        "Median strain before the group step (ppm)", "after (ppm)",
    )  # fmt: skip
    before, after = contents.groups.fits, contents.final_fits
    rows = []
    for group in contents.group_ids:
        pixels = contents.pixels_of_groups.get(group, np.empty(0, np.int32))
        change = _changes(contents, pixels)
        low, middle, high = np.percentile(change, [16.0, 50.0, 84.0]) if len(change) else [np.nan] * 3
        span = f"{fixed(low, 0)} … {fixed(high, 0)}" if len(change) else NONE
        rows.append(
            (str(group), f"{len(pixels):,}", fixed(middle, 0), span, _strain(before, group), _strain(after, group))
        )
    return Table(heads, rows)


def _changes(contents: ReportContents, pixels: IntArray) -> FloatArray:
    index = np.searchsorted(contents.table_after.detid, pixels)
    change = difc_change_ppm(contents.table_before, contents.table_after)[index]
    return change[np.isfinite(change)]


def _strain(fits: FitTable, group: int) -> str:
    chosen = fits.strain[(fits.group == group) & fits.used]
    chosen = chosen[np.isfinite(chosen)]
    return ppm(float(np.median(chosen))) if len(chosen) else NONE


def provenance_table(provenance: Mapping[str, str]) -> Table:
    """Where all came from."""
    return Table(("What", "From"), [(str(k), str(v)) for k, v in provenance.items()], words=WORDS)


def comparison_table(entries: Mapping[str, ComparisonEntry]) -> Table:
    """One row a calibration: how much is masked, and the groups' figures in one number each."""
    heads = ("Calibration", "Pixels", "Masked", "Peaks used", "Rms strain (ppm)", "Median σ / d (10⁻³)", "Median χ²")
    return Table(heads, [_comparison_row(label, entry) for label, entry in entries.items()])


def _comparison_row(label: str, entry: ComparisonEntry) -> tuple[str, ...]:
    metrics, masked, total = entry.metrics, int(entry.mask.masked.sum()), len(entry.mask.reason)
    strain = metrics.strain[np.isfinite(metrics.strain)]
    return (
        label,
        f"{total:,}",
        f"{masked:,} ({percent(masked, total)})",
        f"{int(metrics.peaks_used.sum())} of {int(metrics.peaks_listed.sum())}",
        ppm(float(np.sqrt(np.mean(strain**2)))) if len(strain) else NONE,
        fixed(1e3 * _median(metrics.sigma), 2),
        number(_median(metrics.chi2)),
    )


def _median(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def comparison_groups_table(entries: Mapping[str, ComparisonEntry]) -> Table:
    """Strain of every group, one column a calibration."""
    groups = sorted({int(g) for entry in entries.values() for g in entry.metrics.group})
    rows = [(str(group), *(_group_strain(entry.metrics, group) for entry in entries.values())) for group in groups]
    return Table(("Group", *(f"{label}: strain (ppm)" for label in entries)), rows)


def _group_strain(metrics: GroupMetrics, group: int) -> str:
    row = _row(metrics.group, group)
    return NONE if row is None else with_error(1e6 * metrics.strain[row], 1e6 * metrics.strain_std[row], 0)
