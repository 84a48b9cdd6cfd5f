"""Pictures of the detectors: one value, one change of DIFC, or one mask reason a pixel.

The *modules* hang together in *panels* as `Panels` says, drawn side by side as seen from the sample when looking
downstream, so that with one panel on either side of the beam the scattering angle grows outwards in both. Columns count
through all panels; rows count upwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FloatArray,
    Geometry,
    IntArray,
    MaskReason,
    Panels,
    PixelLayout,
    PixelMask,
)
from snapcal_workbench.report.theme import LIGHT, NORMAL, SMALL, Theme, begin, legend, note, robust_range, style

LABELS_HEIGHT = 0.7
"""Of the labels below the panels, inches."""
MOST_LABELS = 12
"""Labels along an edge of a panel; of more columns or rows some go without."""


def panels_of_groups(geometry: Geometry, groups: Mapping[int, IntArray]) -> dict[int, str]:
    """Panel of each group whose pixels lie in one panel only.

    Args:
        geometry: Of all pixels.
        groups: Detector ids by group id.
    """
    if geometry.layout is None:
        return {}
    panels, arrangement = {}, geometry.layout.arrangement
    for group, detids in groups.items():
        index = np.searchsorted(geometry.detid, detids)
        index = index[index < len(geometry)]
        names = {arrangement.panel_of(int(module)) for module in np.unique(geometry.layout.module[index])}
        if len(names) == 1:
            panels[group] = names.pop()
    return panels


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Where each pixel lies in the pictures of the panels, one picture a panel, with gaps between the modules."""

    layout: PixelLayout

    @cached_property
    def arrangement(self) -> Panels:
        """How the modules hang together."""
        return self.layout.arrangement

    @property
    def panels(self) -> int:
        """Number of panels."""
        return int(self.layout.module.max(initial=0)) // self.arrangement.size + 1

    @property
    def pitch(self) -> tuple[int, int]:
        """Pixels from one module to the next, across and up."""
        gap = max(1, round(self.arrangement.gap * self.layout.columns))
        return self.layout.columns + gap, self.layout.rows + gap

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a panel's picture."""
        across, up = self.pitch
        layout, arrangement = self.layout, self.arrangement
        return (arrangement.rows - 1) * up + layout.rows, (arrangement.columns - 1) * across + layout.columns

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """int64[n]: flat index of each pixel in the array of the pictures [panel, row, column]."""
        (across, up), (height, width) = self.pitch, self.shape
        panel, rest = np.divmod(self.layout.module.astype(np.int64), self.arrangement.size)
        row = (rest % self.arrangement.rows) * up + self.layout.y
        column = (rest // self.arrangement.rows) * across + self.layout.x
        return (panel * height + row) * width + column

    def pictures(self, values: NDArray, empty: float) -> NDArray:
        """[panel, row, column]: the values in their places, `empty` elsewhere."""
        pictures = np.full((self.panels, *self.shape), empty, values.dtype)
        pictures.reshape(-1)[self.place] = values
        return pictures

    @cached_property
    def index(self) -> NDArray[np.int32]:
        """[panel, row, column]: which pixel is there; -1 for none."""
        return self.pictures(np.arange(len(self.layout.module), dtype=np.int32), -1)


@dataclass(frozen=True, eq=False)
class DetectorPicture:
    """What `draw_detectors` drew: axes and image of each panel, for those who react to the mouse."""

    axes: tuple[Axes, ...]
    images: tuple[AxesImage, ...]
    mosaic: Mosaic

    def pixel_at(self, axes: Axes | None, x: float, y: float) -> int | None:
        """Index of the pixel at data coordinates (x, y) of one of the axes; None between pixels and elsewhere."""
        if axes not in self.axes:
            return None
        row, column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
        height, width = self.mosaic.shape
        if not (0 <= row < height and 0 <= column < width):
            return None
        index = int(self.mosaic.index[self.axes.index(axes), row, column])
        return index if index >= 0 else None


def draw_detectors(
    figure: Figure,
    geometry: Geometry,
    values: FloatArray,
    *,
    label: str,
    masked: NDArray | None = None,
    symmetric: bool = False,
    theme: Theme = LIGHT,
) -> DetectorPicture | None:
    """Draw one value a pixel on the panels of the instrument.

    The colours span the middle 98 % of the values. Without modules (another instrument), the values are drawn against
    the scattering angle and nothing is returned.

    Args:
        figure: Is cleared first.
        geometry: Of the n pixels.
        values: float64[n]; NaN where there is none.
        label: What the values are, with their unit.
        masked: [n], not 0 for masked pixels, which are grey.
        symmetric: Colours that diverge from zero.
        theme: Colours.
    """
    begin(figure, theme, left=0.6, right=0.8, bottom=0.65)
    hidden = np.zeros(len(geometry), bool) if masked is None else np.asarray(masked) != 0
    shown = np.where(hidden, np.nan, np.asarray(values, np.float64))
    norm = _norm(shown, symmetric)
    if geometry.layout is None:
        _draw_against_angle(figure, geometry, values, hidden, label, theme)
        return None
    mosaic = Mosaic(geometry.layout)
    grid = figure.add_gridspec(1, mosaic.panels + 1, width_ratios=[1.0] * mosaic.panels + [0.04], wspace=0.12)
    axes = _panel_axes(figure, grid, geometry, mosaic, theme)
    if hidden.any():
        _draw_grey(axes, mosaic, hidden, theme)
    cmap = theme.diverging if symmetric else theme.sequential
    pictures = mosaic.pictures(shown.astype(np.float32), np.nan)
    images = tuple(_image(a, p, cmap=cmap, norm=norm) for a, p in zip(axes, pictures, strict=True))
    if np.isfinite(shown).any():
        bar = figure.colorbar(images[0], cax=figure.add_subplot(grid[0, -1]), extend="both")
        bar.set_label(label, color=theme.text, fontsize=NORMAL)
        bar.ax.tick_params(colors=theme.text, labelsize=SMALL)
    else:
        axes[-1].set_title(f"No pixel has a value of: {label}", loc="right", fontsize=SMALL, color=theme.muted)
    _legend_of_masked(figure, hidden, theme)
    return DetectorPicture(tuple(axes), images, mosaic)


def draw_difc_change(
    figure: Figure,
    geometry: Geometry,
    before: DiffCalTable,
    after: DiffCalTable,
    mask: PixelMask | None = None,
    *,
    theme: Theme = LIGHT,
) -> DetectorPicture | None:
    """Draw the change of DIFC of each pixel in ppm; masked pixels are grey."""
    change = difc_change_ppm(before, after)
    masked = None if mask is None else mask.reason
    span = robust_range(change if mask is None else change[~mask.masked])
    symmetric = span is None or span[0] < 0.0 < span[1]
    return draw_detectors(
        figure, geometry, change, label="Change of DIFC (ppm)", masked=masked, symmetric=symmetric, theme=theme
    )


def difc_change_ppm(before: DiffCalTable, after: DiffCalTable) -> FloatArray:
    """float64[n]: 1e6 (difc_after / difc_before - 1); NaN where it is not defined. Tables of the same pixels."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 1e6 * (after.difc / before.difc - 1.0)
    return np.where(np.isfinite(change), change, np.nan)


def draw_mask_reasons(
    figure: Figure, geometry: Geometry, mask: PixelMask, *, theme: Theme = LIGHT
) -> DetectorPicture | None:
    """Draw why pixels are masked: on the panels, and as a share of each module; None without modules."""
    begin(figure, theme, left=0.7)
    present = [reason for reason in MaskReason if reason in mask.counts()]
    handles = [Patch(color=theme.reason_colour(r), label=f"{r.text}: {mask.counts()[r]:,}") for r in present]
    used = int((~mask.masked).sum())
    handles.insert(0, Patch(facecolor=theme.reasons[0], edgecolor=theme.muted, label=f"used: {used:,}"))
    drawn = None
    if geometry.layout is None:
        _draw_shares(figure.subplots(), np.zeros(len(mask.reason), np.int64), ["all pixels"], mask, present, theme)
    else:
        mosaic = Mosaic(geometry.layout)
        between = 2.0 * LABELS_HEIGHT / max(figure.get_figheight() - 1.5 - LABELS_HEIGHT, LABELS_HEIGHT)
        grid = figure.add_gridspec(2, mosaic.panels, height_ratios=[2.6, 1.0], wspace=0.1, hspace=between)
        axes = _panel_axes(figure, grid, geometry, mosaic, theme)
        norm = BoundaryNorm(np.arange(len(MaskReason) + 1) - 0.5, len(MaskReason))
        pictures, cmap = mosaic.pictures(mask.reason.astype(np.float32), np.nan), ListedColormap(theme.reasons)
        images = tuple(_image(a, p, cmap=cmap, norm=norm) for a, p in zip(axes, pictures, strict=True))
        drawn = DetectorPicture(tuple(axes), images, mosaic)
        module = geometry.layout.module.astype(np.int64)
        names = mosaic.arrangement.modules[: int(module.max(initial=0)) + 1]
        _draw_shares(figure.add_subplot(grid[1, :]), module, names, mask, present, theme)
    legend(figure, handles, theme, columns=3)
    return drawn


def _norm(values: FloatArray, symmetric: bool) -> Normalize:
    low, high = robust_range(values) or (0.0, 1.0)
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    return Normalize(low, high)


def _image(axes: Axes, picture: NDArray, cmap: str | Colormap, norm: Normalize) -> AxesImage:
    return axes.imshow(
        np.ma.masked_invalid(picture),
        origin="lower",
        interpolation="antialiased",
        interpolation_stage="rgba",
        cmap=cmap,
        norm=norm,
    )


def _draw_grey(axes: Sequence[Axes], mosaic: Mosaic, hidden: NDArray[np.bool_], theme: Theme) -> None:
    grey = mosaic.pictures(np.where(hidden, np.float32(1.0), np.float32(np.nan)), np.nan)
    for panel, picture in zip(axes, grey, strict=True):
        _image(panel, picture, cmap=ListedColormap([theme.masked]), norm=Normalize(0.0, 1.0))


def _panel_axes(figure: Figure, grid: GridSpec, geometry: Geometry, mosaic: Mosaic, theme: Theme) -> list[Axes]:
    axes = [figure.add_subplot(grid[0, panel]) for panel in range(mosaic.panels)]
    angles, arrangement, (across, up) = _column_angles(geometry), mosaic.arrangement, mosaic.pitch
    columns, rows = _labelled(arrangement.columns), _labelled(arrangement.rows)
    for panel, each in enumerate(axes):
        style(each, theme, title=_title(arrangement.names[panel]), grid=False)
        numbers = [arrangement.columns * panel + i for i in columns]
        labels = [f"{c + 1}\n{angles[c]:.0f}°" if c in angles else f"{c + 1}" for c in numbers]
        each.set_xticks([i * across + (mosaic.layout.columns - 1) / 2 for i in columns], labels)
        each.set_yticks([i * up + (mosaic.layout.rows - 1) / 2 for i in rows], [f"{i + 1}" for i in rows])
        each.tick_params(length=0)
        each.set_xlabel("Column of modules and its mean 2θ", fontsize=SMALL, color=theme.text)
    axes[0].set_ylabel("Row of modules", fontsize=SMALL, color=theme.text)
    return axes


def _title(panel: str) -> str:
    return f"{panel} panel" if panel else "All modules"


def _labelled(count: int) -> range:
    """The columns or rows that have a label."""
    return range(0, count, -(-count // MOST_LABELS))


def _column_angles(geometry: Geometry) -> dict[int, float]:
    assert geometry.layout is not None
    column = geometry.layout.module.astype(np.int64) // geometry.layout.arrangement.rows
    count = np.bincount(column)
    total = np.bincount(column, weights=geometry.two_theta)
    return {int(c): float(np.degrees(total[c] / count[c])) for c in np.flatnonzero(count)}


def _legend_of_masked(figure: Figure, hidden: NDArray[np.bool_], theme: Theme) -> None:
    number = int(hidden.sum())
    if number:
        share = 100.0 * number / len(hidden)
        text = f"masked: {number:,} of {len(hidden):,} pixels ({share:.1f} %)"
        legend(figure, [Patch(color=theme.masked, label=text)], theme, place="upper right")


def _draw_against_angle(
    figure: Figure, geometry: Geometry, values: FloatArray, hidden: NDArray[np.bool_], label: str, theme: Theme
) -> None:
    begin(figure, theme)
    axes = figure.subplots()
    style(axes, theme, xlabel="2θ (degrees)", ylabel=label)
    angle = np.degrees(geometry.two_theta)
    for chosen, colour in ((hidden, theme.masked), (~hidden, theme.series[0])):
        axes.plot(angle[chosen], np.asarray(values)[chosen], ".", markersize=3, color=colour, rasterized=True)
    _legend_of_masked(figure, hidden, theme)


def _draw_shares(
    axes: Axes,
    module: NDArray[np.int64],
    names: Sequence[str],
    mask: PixelMask,
    reasons: Sequence[MaskReason],
    theme: Theme,
) -> None:
    style(axes, theme, xlabel="Module", ylabel="Masked (%)")
    total = np.maximum(np.bincount(module, minlength=len(names)), 1)
    bottom = np.zeros(len(names))
    for reason in reasons:
        share = 100.0 * np.bincount(module[mask.reason == reason], minlength=len(names)) / total
        axes.bar(np.arange(len(names)), share, bottom=bottom, color=theme.reason_colour(reason), width=0.75)
        bottom += share
    axes.set_xticks(np.arange(len(names)), list(names))
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0.0, max(1.0, 1.08 * float(bottom.max(initial=0.0))) if bottom.any() else 1.0)
    if not bottom.any():
        note(axes, "No pixel is masked", theme)
