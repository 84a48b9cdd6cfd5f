"""The pictures of a calibration, in one place, and how one becomes a PNG file.

Each `draw_...` function clears the matplotlib figure that it is given and draws on it. Nothing here uses pyplot or any
other state outside the figure, so the same functions serve files and the canvases of a window.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from snapcal_workbench.report.detectors import (
    DetectorPicture,
    difc_change_ppm,
    draw_detectors,
    draw_difc_change,
    draw_mask_reasons,
    panels_of_groups,
)
from snapcal_workbench.report.series import draw_convergence, draw_group_figures, draw_offset_histogram
from snapcal_workbench.report.spectra import draw_group_spectrum, draw_overlaid_spectra, hkl_text
from snapcal_workbench.report.theme import DARK, LIGHT, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "DetectorPicture",
    "Theme",
    "difc_change_ppm",
    "draw_convergence",
    "draw_detectors",
    "draw_difc_change",
    "draw_group_figures",
    "draw_group_spectrum",
    "draw_mask_reasons",
    "draw_offset_histogram",
    "draw_overlaid_spectra",
    "hkl_text",
    "panels_of_groups",
    "save_png",
]

DPI = 100


def save_png(path: Path, draw: Callable[[Figure], object], *, width: float, height: float, dpi: int = DPI) -> Path:
    """Draw on a new figure of width x height inches and write it as PNG."""
    figure = Figure(figsize=(width, height), dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    draw(figure)
    canvas.print_png(path, metadata={"Software": None})
    del figure, canvas
    gc.collect(
        1
    )  # of the thousands of objects that a figure leaves: later, and with others, they stop all threads longer
    return path
