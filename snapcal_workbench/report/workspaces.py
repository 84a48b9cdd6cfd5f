"""Pictures of workspaces as they are: spectra, runs, peak fits, and one value a pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    FloatArray,
    Geometry,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.report.detectors import draw_detectors, draw_mask_reasons
from snapcal_workbench.report.theme import LIGHT, Theme, begin, legend, literal, note, style

Lines = Spectra | Events | FitTable
"""What is drawn as lines or points, several over each other."""
Pixels = DiffCalTable | PixelMask | PixelGrouping | PixelMap | PixelResults
"""What has one value a pixel."""

TOF_BINS = 2000
MOST_LINES = 40
"""More spectra than these are summed: single pixels cannot be told apart in one picture."""
MOST_LABELS = 12
AXIS = {"dSpacing": "d-spacing (Å)", "TOF": "Time of flight (µs)"}


def draw_lines(figure: Figure, values: Mapping[str, Lines], *, theme: Theme = LIGHT) -> None:
    """Draw workspaces of one kind over each other.

    Args:
        figure: Is cleared first.
        values: Workspaces by name: focused spectra, or the sums of runs over their pixels, or the strains of peaks.
        theme: Colours.
    """
    begin(figure, theme, top=0.35)
    axes = figure.subplots()
    first = next(iter(values.values()))
    if isinstance(first, FitTable):
        style(axes, theme, xlabel="d-spacing (Å)", ylabel="(d observed − d expected) / d expected (ppm)")
        axes.axhline(0.0, color=theme.muted, linewidth=0.8)
    else:
        unit = first.unit if isinstance(first, Spectra) else "TOF"
        style(axes, theme, xlabel=AXIS[unit], ylabel="Counts per bin")
    handles = [
        Line2D([], [], color=theme.series_colour(position), linewidth=2.5, label=literal(label))
        for position, label in enumerate(_draw_all(axes, values, theme))
    ]
    if not handles:
        note(axes, "There is nothing in it", theme)
    legend(figure, handles[:MOST_LABELS], theme)


def draw_pixels(figure: Figure, name: str, value: Pixels, geometry: Geometry | None, *, theme: Theme = LIGHT) -> None:
    """Draw one value a pixel, on the detector panels where the geometry is known, else against the detector id.

    Args:
        figure: Is cleared first.
        name: Of the workspace.
        value: The workspace.
        geometry: Of the same pixels.
        theme: Colours.
    """
    label, values, masked = _of_pixels(name, value)
    if geometry is not None and isinstance(value, PixelMask):
        draw_mask_reasons(figure, geometry, value, theme=theme)
    elif geometry is not None:
        symmetric = isinstance(value, PixelResults)
        draw_detectors(figure, geometry, values, label=label, masked=masked, symmetric=symmetric, theme=theme)
    else:
        begin(figure, theme)
        axes = figure.subplots()
        style(axes, theme, title=literal(name), xlabel="Detector id", ylabel=label)
        axes.plot(value.detid, values, ".", markersize=2, color=theme.series[0], rasterized=True)


def _draw_all(axes: Axes, values: Mapping[str, Lines], theme: Theme) -> list[str]:
    """Draw every line; returns their labels."""
    labels: list[str] = []
    for name, value in values.items():
        if isinstance(value, Events):
            edges, counts = _sum_of_run(value)
            _steps(axes, edges, counts, theme.series_colour(len(labels)))
            labels.append(name)
        elif isinstance(value, Spectra):
            for label, edges, counts in _lines_of(name, value, alone=len(values) == 1):
                _steps(axes, edges, counts, theme.series_colour(len(labels)))
                labels.append(label)
        else:
            labels += _draw_strains(axes, name, value, theme, first=len(labels), alone=len(values) == 1)
    return labels


def _steps(axes: Axes, edges: FloatArray, counts: FloatArray, colour: str) -> None:
    axes.plot(0.5 * (edges[1:] + edges[:-1]), counts, color=colour, linewidth=1.1, drawstyle="steps-mid")


def _lines_of(name: str, spectra: Spectra, *, alone: bool) -> list[tuple[str, FloatArray, FloatArray]]:
    """Label, bin edges and counts of each line; one line, the sum, of a workspace with very many spectra."""
    before = "" if alone else f"{name}: "
    many = len(spectra.number) > MOST_LINES
    if many and spectra.edges.ndim == 1:
        return [(f"{before}sum of {len(spectra.number):,} spectra", spectra.edges, spectra.y.sum(axis=0))]
    shown = range(min(len(spectra.number), MOST_LINES))
    return [(f"{before}group {spectra.number[i]}", spectra.edges_of(i), spectra.y[i]) for i in shown]


def _sum_of_run(events: Events) -> tuple[FloatArray, FloatArray]:
    """Bin edges (us), and the events of all pixels in each bin."""
    edges = np.geomspace(events.window.minimum, events.window.maximum, TOF_BINS + 1)
    span = float(np.log(edges[0])), float(np.log(edges[-1]))
    counts, _ = np.histogram(np.log(events.tof), TOF_BINS, span, weights=events.weight)
    return edges, counts.astype(np.float64)


def _draw_strains(axes: Axes, name: str, fits: FitTable, theme: Theme, *, first: int, alone: bool) -> list[str]:
    """Draw the strain of the used peaks of each group; returns the labels."""
    labels: list[str] = []
    for group in np.unique(fits.group):
        rows = np.flatnonzero((fits.group == group) & fits.used)
        axes.errorbar(
            fits.d[rows],
            1e6 * fits.strain[rows],
            1e6 * fits.centre_error[rows] / fits.d[rows],
            fmt="o",
            markersize=3.5,
            linewidth=0.9,
            color=theme.series_colour(first + len(labels)),
        )
        labels.append(f"group {group}" if alone else f"{name}: group {group}")
    return labels


def _of_pixels(name: str, value: Pixels) -> tuple[str, FloatArray, np.ndarray | None]:
    """Label, float64[n] values, and what is masked."""
    if isinstance(value, DiffCalTable):
        return "DIFC (µs/Å)", value.difc, None
    if isinstance(value, PixelMask):
        return "Masked", value.masked.astype(np.float64), None
    if isinstance(value, PixelGrouping):
        return "Group", np.where(value.group > 0, value.group, np.nan).astype(np.float64), value.group <= 0
    if isinstance(value, PixelResults):
        return "Shift (ppm)", 1e6 * value.shift, value.reason
    return literal(value.label or name), value.value, None
