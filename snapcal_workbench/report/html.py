"""The HTML report of a calibration, and of a comparison: pictures as PNG files and one page that holds everything.

The page needs no other file, no network and no script: the pictures are embedded. All text is escaped by the template
engine, so names and comments of users cannot break it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from matplotlib.figure import Figure

from snapcal_workbench import __version__
from snapcal_workbench.calibration.types import Geometry, PixelMask
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.report import joint, tables
from snapcal_workbench.report.contents import ComparisonEntry, ReportContents
from snapcal_workbench.report.plots import (
    draw_convergence,
    draw_difc_change,
    draw_group_figures,
    draw_group_spectrum,
    draw_mask_reasons,
    draw_offset_histogram,
    panels_of_groups,
    save_png,
)
from snapcal_workbench.report.tables import Table
from snapcal_workbench.text import visible

__all__ = ["ComparisonEntry", "Picture", "ReportContents", "Section", "comparison_report", "save_report", "write_page"]

REPORT_NAME = "report.html"
COMPARISON_NAME = "comparison.html"
MAX_SPECTRA = 24
"""With more groups, only the spectra of those with the largest residuals are drawn."""


@dataclass(frozen=True)
class Picture:
    """One picture: name of its file, caption, size in inches, and what draws it."""

    name: str
    caption: str
    width: float
    height: float
    draw: Callable[[Figure], object]


@dataclass(frozen=True)
class Section:
    """A part of the page: text, tables, pictures, more tables, and tables that start closed behind their captions."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    below: Sequence[Table] = ()
    folded: Sequence[Table] = ()


def save_report(folder: Path, contents: ReportContents, progress: Progress) -> Path:
    """Write the pictures and the page of one calibration.

    Args:
        folder: Made if it does not exist; files of the same names are replaced.
        contents: The calibration.
        progress: Told of every picture; lets the user cancel.

    Returns:
        Path of the page.
    """
    findings = tables.verdict(contents)
    sections = list(_sections(contents))
    return write_page(
        folder / REPORT_NAME,
        contents.title,
        headline=tables.headline(findings),
        findings=findings,
        sections=sections,
        progress=progress,
    )


def comparison_report(
    folder: Path,
    entries: Mapping[str, ComparisonEntry],
    geometry: Geometry,
    progress: Progress,
    *,
    panels: Mapping[int, str] | None = None,
    title: str = "Comparison of calibrations",
) -> Path:
    """Write the pictures and the page that compare calibrations; the first is the one that others are compared with.

    Args:
        folder: Made if it does not exist; files of the same names are replaced.
        entries: Calibrations by label.
        geometry: Of the first one's pixels.
        progress: Told of every picture; lets the user cancel.
        panels: "East" or "West" by group id, where known.
        title: Heading of the page.

    Returns:
        Path of the page.
    """
    headline = (
        f"{len(entries)} calibrations; changes of DIFC are relative to the first." if entries else "Nothing given."
    )
    return write_page(
        folder / COMPARISON_NAME,
        title,
        headline=headline,
        findings=[],
        sections=list(_comparison_sections(entries, geometry, panels)),
        progress=progress,
    )


def _sections(contents: ReportContents) -> Iterator[Section]:
    yield Section("Inputs", tables=[tables.inputs_table(contents)], folded=[tables.options_table(contents)])
    yield _pixel_section(contents)
    yield _group_section(contents)
    yield _mask_section(contents.geometry, contents.mask)
    yield Section(
        "Compared with the start",
        "Each pixel's DIFC after this calibration against the table that it started from. Masked pixels are grey.",
        tables=[tables.start_table(contents)],
        pictures=[
            Picture(
                "difc_change.png",
                "Change of DIFC on the detectors, as seen from the sample",
                9.0,
                4.6,
                lambda figure: draw_difc_change(
                    figure, contents.geometry, contents.table_before, contents.table_after, contents.mask
                ),
            )
        ],
    )
    yield from _spectrum_sections(contents)
    if contents.provenance:
        yield Section("Where this comes from", tables=[tables.provenance_table(contents.provenance)])


def _pixel_section(contents: ReportContents) -> Section:
    pixel = contents.pixel
    if pixel is None:
        return Section("Pixels", "The pixel calibration was skipped.")
    threshold = _threshold_ppm(contents)
    return Section(
        "Pixels",
        f"{pixel.message} The standard error is the median over the pixels of what their own events allow.",
        tables=[tables.passes_table(pixel.passes)],
        pictures=[
            Picture(
                "convergence.png",
                "Shifts of the pixels in each pass, and masked pixels",
                9.0,
                3.8,
                lambda figure: draw_convergence(figure, pixel.passes, threshold_ppm=threshold),
            ),
            Picture(
                "offsets.png",
                "Total shift of the pixels in use and its standard error",
                9.0,
                3.6,
                lambda figure: draw_offset_histogram(figure, pixel.results),
            ),
        ],
    )


def _threshold_ppm(contents: ReportContents) -> float | None:
    """The convergence threshold in ppm: it is given in bins of the spectra's logarithmic width."""
    options: PixelOptions = contents.options.pixels
    edges = contents.spectra.edges_of(0) if len(contents.spectra.number) else np.empty(0)
    if len(edges) < 2 or not edges[0] > 0.0:
        return None
    return 1e6 * options.threshold * float(np.log(edges[-1] / edges[0])) / (len(edges) - 1)


def _group_section(contents: ReportContents) -> Section:
    panels = panels_of_groups(contents.geometry, contents.pixels_of_groups)
    text = "All figures are of the spectra after the correction. Strain is (d observed − d expected) / d expected: the "
    text += f"median over the peaks in use ± its standard deviation. {contents.groups.results.criterion}"
    strain = Picture(
        "strain.png",
        "Strain of each group",
        7.5,
        3.8,
        lambda figure: draw_group_figures(figure, {"": contents.metrics}, quantity="strain", panels=panels),
    )
    sigma = Picture(
        "sigma.png",
        "Mean relative width of the peaks of each group",
        7.5,
        3.8,
        lambda figure: draw_group_figures(figure, {"": contents.metrics}, quantity="sigma", x="2theta", panels=panels),
    )
    found = [tables.groups_table(contents)]
    if contents.joint is not None:
        text += f" {joint.fit_text(contents.joint)}"
        text += f" {joint.convention_text(contents.joint)} the values of the last table."
        found += [joint.predictions_table(contents.joint), joint.convention_table(contents.joint)]
    return Section("Groups", text.strip(), tables=found, pictures=[strain, sigma])


def _mask_section(geometry: Geometry, mask: PixelMask) -> Section:
    picture = Picture(
        "mask.png",
        "Masked pixels by reason, on the detectors and as a share of each module",
        9.0,
        6.6,
        lambda figure: draw_mask_reasons(figure, geometry, mask),
    )
    return Section("Mask", pictures=[picture])


def _spectrum_sections(contents: ReportContents) -> Iterator[Section]:
    shown = _groups_with_spectra(contents)
    everything = contents.group_ids
    if len(shown) < len(everything):
        text = f"Spectra are shown for the {len(shown)} groups with the largest residuals, of {len(everything)}."
        yield Section("Spectra", text)
    for group in everything:
        pictures = [_spectrum_picture(contents, group)] if group in shown else []
        found = [t for t in [tables.peaks_table(contents.final_fits, group)] if t.rows]
        dropped = [t for t in [tables.dropped_table(contents, group)] if t.rows]
        text = "" if found else "No peaks were fitted in this group."
        yield Section(f"Group {group}", text, pictures=pictures, below=found, folded=dropped)


def _groups_with_spectra(contents: ReportContents) -> set[int]:
    residual = dict(
        zip(contents.metrics.group.tolist(), np.nan_to_num(contents.metrics.residual, nan=np.inf), strict=True)
    )
    return set(sorted(contents.group_ids, key=lambda group: -residual.get(group, np.inf))[:MAX_SPECTRA])


def _spectrum_picture(contents: ReportContents, group: int) -> Picture:
    return Picture(
        f"spectrum_group_{group}.png",
        f"Focused spectrum of group {group} after the correction",
        10.0,
        4.8,
        lambda figure: draw_group_spectrum(
            figure,
            contents.spectra,
            contents.fitted,
            contents.final_fits,
            contents.peaks.get(group),
            group,
            foreign=contents.foreign.peaks,
        ),
    )


def _comparison_sections(
    entries: Mapping[str, ComparisonEntry], geometry: Geometry, panels: Mapping[int, str] | None
) -> Iterator[Section]:
    metrics = {label: entry.metrics for label, entry in entries.items()}
    sources = [(label, entry.description) for label, entry in entries.items()]
    yield Section(
        "Calibrations",
        tables=[tables.comparison_table(entries), Table(("Calibration", "From"), sources, words=tables.WORDS)],
    )
    pictures = [
        Picture("strain.png", "Strain of each group", 9.0, 4.2, _draw_strain(metrics, panels)),
        Picture("sigma.png", "Mean relative width of the peaks of each group", 9.0, 4.2, _draw_sigma(metrics, panels)),
    ]
    yield Section("Groups", tables=[tables.comparison_groups_table(entries)], pictures=pictures)
    baseline, *others = entries or [""]
    for i, label in enumerate(others, start=1):
        yield _difference_section(i, baseline, label, entries, geometry)


def _draw_strain(metrics: Mapping, panels: Mapping[int, str] | None) -> Callable[[Figure], None]:
    return lambda figure: draw_group_figures(figure, metrics, quantity="strain", panels=panels)


def _draw_sigma(metrics: Mapping, panels: Mapping[int, str] | None) -> Callable[[Figure], None]:
    return lambda figure: draw_group_figures(figure, metrics, quantity="sigma", x="2theta", panels=panels)


def _difference_section(
    index: int, baseline: str, label: str, entries: Mapping[str, ComparisonEntry], geometry: Geometry
) -> Section:
    first, other = entries[baseline], entries[label]
    title = f"DIFC of {label} against {baseline}"
    if not np.array_equal(first.table.detid, other.table.detid):
        return Section(title, "These two have different pixels (native and lite?), so their DIFC are not compared.")
    mask = first.mask.combined(other.mask)
    picture = Picture(
        f"difc_difference_{index}.png",
        "Change of DIFC on the detectors; pixels that either of the two masks are grey",
        9.0,
        4.6,
        lambda figure: draw_difc_change(figure, geometry, first.table, other.table, mask),
    )
    return Section(title, pictures=[picture])


def write_page(
    path: Path,
    title: str,
    *,
    headline: str,
    findings: Sequence[tables.Finding],
    sections: Sequence[Section],
    progress: Progress,
) -> Path:
    """Write a page and its pictures; the page holds the pictures, too.

    Args:
        path: Of the page; its folder is made if it does not exist.
        title: Heading of the page.
        headline: What it says, in one line.
        findings: The line's reasons.
        sections: What follows.
        progress: Told of every picture; lets the user cancel.

    Returns:
        Path of the page.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = _save_pictures(path.parent, [p for section in sections for p in section.pictures], progress)
    page = _template().render(
        title=title, headline=headline, findings=findings, sections=sections, images=embedded, version=__version__
    )
    path.write_text(page, encoding="utf-8")
    progress.report(1.0, "Report written")
    return path


def _save_pictures(folder: Path, pictures: Sequence[Picture], progress: Progress) -> dict[str, str]:
    """Write the PNG files; their contents as base64 by file name."""
    embedded = {}
    for i, picture in enumerate(pictures):
        progress.report(i / len(pictures), f"Drawing: {picture.caption}")
        path = save_png(folder / picture.name, picture.draw, width=picture.width, height=picture.height)
        embedded[picture.name] = base64.b64encode(path.read_bytes()).decode("ascii")
    return embedded


@lru_cache(maxsize=1)
def _template() -> Template:
    loader = PackageLoader("snapcal_workbench.report", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _visible(value: object) -> object:
    """What the page shows of a value before it is escaped; what is escaped already stays."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
