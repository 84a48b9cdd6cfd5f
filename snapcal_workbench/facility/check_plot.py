"""The check of a run as a picture: how far each module is off, with its error, against the tolerance."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from snapcal_workbench.facility.check import CERTAIN, ModuleVerdict, RunCheck
from snapcal_workbench.report.theme import LIGHT, Theme, begin, legend, literal, style

COLOURS: dict[ModuleVerdict, int] = {"holds": 0, "moved": 1, "lost": 3, "cannot tell": 4}
"""Of each verdict, by its place among the colours of series; masked modules are grey."""


def draw_check(figure: Figure, check: RunCheck, *, theme: Theme = LIGHT) -> None:
    """Draw what DIFC of each module would have to change by; error bars as a verdict needs them, of `CERTAIN` errors.

    Modules of which it is not known have a cross at the lower edge.

    Args:
        figure: Is cleared first.
        check: What is drawn.
        theme: Colours.
    """
    begin(figure, theme)
    axes = figure.subplots()
    style(axes, theme, xlabel="Module", ylabel=f"Off by (ppm), ± {CERTAIN:g} standard errors")
    axes.axhspan(-check.tolerance_ppm, check.tolerance_ppm, color=theme.muted, alpha=0.15, linewidth=0.0)
    axes.axhline(0.0, color=theme.muted, linewidth=0.8)
    place, ppm, error = (
        np.arange(len(check.modules)),
        np.array([module.ppm for module in check.modules]),
        np.array([module.error_ppm for module in check.modules]),
    )
    known, handles = np.isfinite(ppm) & np.isfinite(error), []
    for verdict in dict.fromkeys(module.verdict for module in check.modules):
        colour = theme.series_colour(COLOURS[verdict]) if verdict in COLOURS else theme.masked
        found = np.array([module.verdict == verdict for module in check.modules])
        told, untold = found & known, found & ~known
        bars = CERTAIN * error[told]
        axes.errorbar(place[told], ppm[told], yerr=bars, fmt="o", markersize=5, capsize=3, color=colour)
        axes.plot(place[untold], np.full(untold.sum(), 0.03), "x", color=colour, transform=axes.get_xaxis_transform())
        label = f"{verdict}: {found.sum()}"
        handles.append(Line2D([], [], linestyle="", marker="o" if told.any() else "x", color=colour, label=label))
    axes.set_xticks(place, [literal(module.module) for module in check.modules])
    axes.set_xlim(-0.6, len(check.modules) - 0.4)
    legend(figure, handles, theme)
