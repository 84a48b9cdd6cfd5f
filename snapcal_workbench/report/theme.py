"""Colours and common styling of the pictures.

A `Theme` holds every colour, so that the same drawing works on a light page and in a dark window. The colours of series
and mask reasons are those of Okabe and Ito (2008), "Color Universal Design", which colour-blind readers can tell apart;
yellow is darkened on a light background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snapcal_workbench.calibration.types import FloatArray, MaskReason

LegendPlace = Literal["outside upper center", "outside upper right", "outside lower left"]

SMALL, NORMAL = 8.0, 9.5
"""Font sizes, points."""


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


_REASONS = ("#D55E00", "#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#B8A90A", "#777777")

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


def begin(figure: Figure, theme: Theme) -> None:
    """Empty a figure and give it the theme's background and a layout that leaves room for all labels."""
    figure.clear()
    figure.set_facecolor(theme.background)
    figure.set_layout_engine("constrained")


def settle(figure: Figure) -> None:
    """Do the layout once before the figure is drawn: axes of a fixed shape need two rounds."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


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
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=theme.muted, fontsize=NORMAL)


def legend(
    figure: Figure,
    handles: Sequence[Artist],
    theme: Theme,
    *,
    place: LegendPlace = "outside upper center",
    columns: int = 4,
) -> None:
    """A legend outside all axes, so that it never covers data."""
    if not handles:
        return
    figure.legend(
        handles=list(handles),
        loc=place,
        ncols=min(columns, len(handles)),
        fontsize=SMALL,
        frameon=False,
        labelcolor=theme.text,
        handlelength=1.6,
        columnspacing=1.4,
    )


def literal(text: str) -> str:
    """Text that matplotlib must not read as a formula."""
    return text.replace("$", r"\$")


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
