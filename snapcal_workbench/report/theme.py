"""Colours and common styling of the pictures.

A `Theme` holds every colour, so that the same drawing works on a light page and in a dark window. The colours of series
and mask reasons are those of Okabe and Ito (2008), "Color Universal Design", which colour-blind readers can tell apart;
yellow is darkened on a light background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine

from snapcal_workbench.calibration.types import FloatArray, MaskReason
from snapcal_workbench.text import visible

LegendPlace = Literal["upper center", "upper right", "lower left"]

SMALL, NORMAL = 8.0, 9.5
"""Font sizes, points."""
LEGEND_ROW = 1.75 * SMALL / 72.0
"""Height of a row of a legend, inches."""


@dataclass(frozen=True)
class Theme:
    """Colours of a picture.

    Attributes:
        text: Text and axes.
        muted: Notes and lesser lines.
        background: Of the figure.
        plot_background: Of the axes.
        grid: Grid lines.
        data, fit, residual: Of a spectrum.
        good, rejected, expected: Windows of used, rejected and not yet fitted peaks.
        series: Of overlaid curves, in order.
        masked: Masked pixels where the reason is not shown.
        reasons: One colour a `MaskReason`, in its order; the first is that of pixels in use.
        diverging, sequential: Names of matplotlib colour maps.
    """

    text: str
    muted: str
    background: str
    plot_background: str
    grid: str
    data: str
    fit: str
    residual: str
    good: str
    rejected: str
    expected: str
    series: tuple[str, ...]
    masked: str
    reasons: tuple[str, ...]
    diverging: str = "RdBu_r"
    sequential: str = "viridis"

    def series_colour(self, index: int) -> str:
        """Colour of the series with that index; they repeat after the last."""
        return self.series[index % len(self.series)]

    def reason_colour(self, reason: MaskReason) -> str:
        """Colour of pixels with that reason."""
        return self.reasons[int(reason)]


_REASONS = (
    "#D55E00",
    "#0072B2",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#009E73",
    "#B8A90A",
    "#777777",
    "#332288",
    "#882255",
    "#8C564B",
)

LIGHT = Theme(
    text="#1a1a1a",
    muted="#5f6368",
    background="#ffffff",
    plot_background="#ffffff",
    grid="#e3e5e8",
    data="#30343a",
    fit="#D55E00",
    residual="#30343a",
    good="#56B4E9",
    rejected="#D55E00",
    expected="#8a8f98",
    series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5f6368"),
    masked="#b4b8be",
    reasons=("#eceef0", *_REASONS),
)
"""For paper and light pages."""

DARK = Theme(
    text="#e8eaed",
    muted="#a3a9b3",
    background="#24272c",
    plot_background="#1b1d21",
    grid="#3a3f46",
    data="#dfe3e8",
    fit="#ff9a57",
    residual="#dfe3e8",
    good="#56B4E9",
    rejected="#ff7f3f",
    expected="#9aa0aa",
    series=("#56B4E9", "#ff7f3f", "#2bc79a", "#e08fc0", "#F0E442", "#8fb8ff", "#b8bec8"),
    masked="#6b717a",
    reasons=("#33373d", *_REASONS[:6], "#F0E442", "#a3a9b3"),
)
"""For dark windows."""


class Margins(LayoutEngine):
    """Room around the axes in inches, whatever the size of the figure.

    Far cheaper than matplotlib's own layouts, which measure every label, and the axes stay where they are while a
    picture is zoomed.
    """

    _adjust_compatible = True
    _colorbar_gridspec = False

    def __init__(self, *, left: float, right: float, bottom: float, top: float) -> None:
        super().__init__()
        self.left, self.right, self.bottom, self.top = left, right, bottom, top

    def execute(self, fig: Figure) -> None:
        """Place the axes of the figure."""
        width, height = fig.get_size_inches()
        left, bottom = min(self.left / width, 0.45), min(self.bottom / height, 0.45)
        right, top = max(1.0 - self.right / width, 0.55), max(1.0 - self.top / height, 0.55)
        fig.subplots_adjust(left=left, right=right, bottom=bottom, top=top)


def begin(
    figure: Figure,
    theme: Theme,
    *,
    left: float = 0.85,
    right: float = 0.2,
    bottom: float = 0.6,
    top: float = 0.3,
) -> None:
    """Empty a figure, and give it the theme's background and margins in inches; `legend` adds to the margins."""
    figure.clear()
    figure.set_facecolor(theme.background)
    figure.set_layout_engine(Margins(left=left, right=right, bottom=bottom, top=top))


def style(axes: Axes, theme: Theme, *, title: str = "", xlabel: str = "", ylabel: str = "", grid: bool = True) -> None:
    """Give axes their labels and the theme's colours."""
    axes.set_facecolor(theme.plot_background)
    axes.set_title(title, loc="left", fontsize=NORMAL + 1, color=theme.text)
    axes.set_xlabel(xlabel, fontsize=NORMAL, color=theme.text)
    axes.set_ylabel(ylabel, fontsize=NORMAL, color=theme.text)
    axes.tick_params(which="both", colors=theme.text, labelsize=SMALL)
    for spine in axes.spines.values():
        spine.set_color(theme.muted)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(visible=True, color=theme.grid, linewidth=0.7)


def note(axes: Axes, text: str, theme: Theme) -> None:
    """Say in the middle of empty axes why nothing is drawn."""
    axes.text(
        0.5, 0.5, literal(text), transform=axes.transAxes, ha="center", va="center", color=theme.muted, fontsize=NORMAL
    )


def legend(
    figure: Figure,
    handles: Sequence[Artist],
    theme: Theme,
    *,
    place: LegendPlace = "upper center",
    columns: int = 4,
) -> None:
    """A legend in the margin, which grows by its height, so that it never covers data."""
    if not handles:
        return
    labels = [str(handle.get_label()) for handle in handles]
    columns = _fitting_columns(labels, columns, figure.get_figwidth() - 0.2)
    rows = math.ceil(len(handles) / columns) + max(label.count("\n") for label in labels)
    _grow_margin(figure, place, rows * LEGEND_ROW)
    figure.legend(
        handles=list(handles),
        loc=place,
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        labelcolor=theme.text,
        handlelength=1.6,
        columnspacing=1.4,
        borderaxespad=0.3,
    )


def _fitting_columns(labels: Sequence[str], most: int, width: float) -> int:
    """Largest number of columns, filled one after the other, that fits into `width` inches."""
    widths = [0.45 + max(len(line) for line in label.split("\n")) * SMALL / 125.0 for label in labels]
    for columns in range(min(most, len(labels)), 1, -1):
        rows = math.ceil(len(labels) / columns)
        if sum(max(widths[i : i + rows]) for i in range(0, len(widths), rows)) <= width:
            return columns
    return 1


def _grow_margin(figure: Figure, place: LegendPlace, height: float) -> None:
    margins = figure.get_layout_engine()
    if isinstance(margins, Margins):
        if place.startswith("upper"):
            margins.top += height
        else:
            margins.bottom += height


def literal(text: str) -> str:
    """Text of people and files: not read as a formula, and not left out of a legend for its first letter."""
    shown = visible(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def spread(positions: FloatArray, distance: float, low: float, high: float) -> FloatArray:
    """Move labels apart, so that neighbours are at least `distance` from each other.

    The least squares answer: pool adjacent violators on positions[i] - i distance.

    Args:
        positions: Wanted positions, ascending.
        distance: Between neighbours; made smaller where there is not enough room.
        low, high: Limits of the positions.
    """
    n = len(positions)
    if n == 0:
        return positions
    steps = min(distance, (high - low) / max(n - 1, 1)) * np.arange(n)
    pools: list[tuple[float, int]] = []
    for value in positions - steps:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        pools.append((mean, size))
    moved = np.concatenate([np.full(size, mean) for mean, size in pools])
    return np.clip(moved, low, high - steps[-1]) + steps


def robust_range(values: FloatArray, percent: float = 1.0) -> tuple[float, float] | None:
    """Range of the finite values without the outermost `percent` at each end; None if there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, [percent, 100.0 - percent])
    if low < high:
        return float(low), float(high)
    margin = abs(low) * 0.01 or 1.0
    return float(low - margin), float(high + margin)
