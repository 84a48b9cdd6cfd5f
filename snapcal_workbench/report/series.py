"""Pictures of figures in a row: the passes of the convergence, the groups' quality figures, and distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from snapcal_workbench.calibration.types import FloatArray, GroupMetrics, PassRecord, PixelResults
from snapcal_workbench.report.theme import (
    LIGHT,
    SMALL,
    Theme,
    begin,
    legend,
    literal,
    note,
    robust_range,
    spread,
    style,
)

Quantity = Literal["strain", "sigma", "chi2"]
GroupAxis = Literal["group", "2theta"]
MARKERS = {"East": "o", "West": "s"}
OTHER_MARKER = "D"


@dataclass(frozen=True)
class _Drawn:
    """A quantity of `GroupMetrics`: its field, the field of its spread ("" for none), factor to the unit, and label."""

    field: str
    error: str
    factor: float
    label: str


_QUANTITIES: dict[Quantity, _Drawn] = {
    "strain": _Drawn("strain", "strain_std", 1e6, "Strain (d$_{obs}$ − d$_{ref}$) / d$_{ref}$ (ppm)"),
    "sigma": _Drawn("sigma", "sigma_std", 1e3, "Mean peak width σ / d (10$^{−3}$)"),
    "chi2": _Drawn("chi2", "", 1.0, "Median χ² of the used peaks"),
}


def draw_convergence(
    figure: Figure, passes: Sequence[PassRecord], *, threshold_ppm: float | None, theme: Theme = LIGHT
) -> None:
    """Draw |shift| of each pass (median, 95 %, standard error, each group's median) and the masked pixels.

    Args:
        figure: Is cleared first.
        passes: In their order; none gives an empty picture that says so.
        threshold_ppm: Converged when the median |shift| is below this; None draws no line.
        theme: Colours.
    """
    begin(figure, theme, top=0.15)
    shifts, masked = figure.subplots(1, 2, width_ratios=[2.0, 1.0], gridspec_kw={"wspace": 0.25})
    style(shifts, theme, xlabel="Pass", ylabel="|shift| of the pixels in this pass (ppm)")
    style(masked, theme, xlabel="Pass", ylabel="Masked pixels")
    if not passes:
        note(shifts, "The pixels were not calibrated", theme)
        note(masked, "No passes", theme)
        return
    number = np.array([record.number for record in passes])
    handles = _draw_group_medians(shifts, number, passes, theme)
    for i, (field, text, marker) in enumerate(
        (
            ("median_ppm", "median", "o"),
            ("p95_ppm", "95 % of the pixels", "^"),
            ("bound_ppm", "standard error of a pixel", "v"),
        )
    ):
        line = _pass_line(shifts, number, passes, field, marker, theme.series_colour(i))
        line.set_label(text)
        handles.append(line)
    if threshold_ppm is not None and threshold_ppm > 0.0:
        label = f"converged below {threshold_ppm:.3g} ppm"
        handles.append(shifts.axhline(threshold_ppm, color=theme.text, linestyle="--", linewidth=1.0, label=label))
    handles += _draw_kept(shifts, passes, theme)
    handles += _draw_masked(masked, number, passes, theme)
    shifts.set_yscale("log")
    for axes in (shifts, masked):
        axes.set_xlim(number[0] - 0.6, number[-1] + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend(figure, handles, theme, columns=4)


def _positive(values: Sequence[float]) -> FloatArray:
    array = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(array > 0.0, array, np.nan)


def _pass_line(
    axes: Axes, number: FloatArray, passes: Sequence[PassRecord], field: str, marker: str, colour: str
) -> Line2D:
    values = _positive([getattr(record, field) for record in passes])
    return axes.plot(number, values, marker=marker, markersize=6, linewidth=1.8, color=colour)[0]


def _draw_group_medians(axes: Axes, number: FloatArray, passes: Sequence[PassRecord], theme: Theme) -> list[Artist]:
    groups = sorted({group for record in passes for group in record.group_median_ppm})
    for group in groups:
        values = _positive([record.group_median_ppm.get(group, np.nan) for record in passes])
        axes.plot(number, values, marker=".", markersize=4, color=theme.muted, linewidth=0.8, alpha=0.7)
    label = "median of each group"
    return [Line2D([], [], color=theme.muted, marker=".", linewidth=0.8, label=label)] if len(groups) > 1 else []


def _draw_kept(axes: Axes, passes: Sequence[PassRecord], theme: Theme) -> list[Artist]:
    kept = [record for record in passes if record.kept]
    return [
        axes.plot(
            record.number,
            record.median_ppm if record.median_ppm > 0.0 else np.nan,
            marker="o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=theme.text,
            markeredgewidth=1.3,
            linestyle="",
            label="pass that was kept",
        )[0]
        for record in kept[-1:]
    ]


def _draw_masked(axes: Axes, number: FloatArray, passes: Sequence[PassRecord], theme: Theme) -> list[Artist]:
    total = np.array([record.masked for record in passes], float)
    new = np.array([record.newly_masked for record in passes], float)
    axes.bar(number, total - new, width=0.6, color=theme.masked)
    axes.bar(number, new, bottom=total - new, width=0.6, color=theme.series_colour(4))
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_ylim(0.0, max(1.0, 1.1 * float(total.max())))
    return [
        Patch(color=theme.masked, label="masked before the pass"),
        Patch(color=theme.series_colour(4), label="masked in the pass"),
    ]


def draw_group_figures(
    figure: Figure,
    series: Mapping[str, GroupMetrics],
    *,
    quantity: Quantity,
    x: GroupAxis = "group",
    panels: Mapping[int, str] | None = None,
    theme: Theme = LIGHT,
) -> None:
    """Overlay one quality figure of the groups for any number of calibrations.

    Error bars are the standard deviation over the group's peaks. Groups of the East panel are circles, those of the
    West panel squares, and every group is labelled, so that groups of the same angle can be told apart.

    Args:
        figure: Is cleared first.
        series: Quality figures by label.
        quantity: Which figure.
        x: What the horizontal axis is.
        panels: "East" or "West" by group id, where known.
        theme: Colours.
    """
    begin(figure, theme, top=0.15 if x == "group" else 0.45, bottom=0.75 if x == "group" else 0.6)
    axes = figure.subplots()
    drawn, panels = _QUANTITIES[quantity], panels or {}
    xlabel = "Group" if x == "group" else "Mean 2θ of the group (degrees)"
    style(axes, theme, xlabel=xlabel, ylabel=drawn.label)
    groups = sorted({int(g) for metrics in series.values() for g in metrics.group})
    if not groups:
        note(axes, "There are no groups to show", theme)
        return
    if quantity == "strain":
        axes.axhline(0.0, color=theme.muted, linewidth=1.0)
    centre = _positions(series, groups, x)
    if not centre:
        note(axes, "The scattering angles of the groups are not known", theme)
        return
    step = _dodge(centre, len(series), x)
    handles: list[Artist] = []
    for i, (label, metrics) in enumerate(series.items()):
        shift = (i - (len(series) - 1) / 2.0) * step
        _draw_series(axes, metrics, drawn, centre, shift, panels, theme.series_colour(i))
        handles.append(Line2D([], [], color=theme.series_colour(i), linewidth=2.5, label=literal(label)))
    _label_groups(figure, axes, centre, panels, x, theme)
    _note_missing(axes, series, drawn, centre, theme)
    if quantity != "strain":
        axes.set_ylim(0.0, 1.05 * axes.get_ylim()[1])
    legend(figure, _panel_handles(panels, groups, theme) + (handles if len(handles) > 1 else []), theme, columns=4)


def _positions(series: Mapping[str, GroupMetrics], groups: Sequence[int], x: GroupAxis) -> dict[int, float]:
    if x == "group":
        return {group: float(i) for i, group in enumerate(groups)}
    angle: dict[int, list[float]] = {group: [] for group in groups}
    for metrics in series.values():
        for group, two_theta in zip(metrics.group, metrics.two_theta, strict=True):
            if np.isfinite(two_theta):
                angle[int(group)].append(float(np.degrees(two_theta)))
    return {group: float(np.mean(values)) for group, values in angle.items() if values}


def _dodge(centre: Mapping[int, float], number: int, x: GroupAxis) -> float:
    """Distance between the points of two series: a group's points take half its room, or 4 % of the range of angles."""
    if x == "group":
        return 0.5 / number
    return 0.04 * (float(np.ptp(list(centre.values()))) or 1.0) / number


def _draw_series(
    axes: Axes,
    metrics: GroupMetrics,
    drawn: _Drawn,
    centre: Mapping[int, float],
    shift: float,
    panels: Mapping[int, str],
    colour: str,
) -> None:
    value = drawn.factor * getattr(metrics, drawn.field)
    error = drawn.factor * getattr(metrics, drawn.error) if drawn.error else np.full(len(metrics), np.nan)
    names = np.array([panels.get(int(group), "") for group in metrics.group])
    for name in dict.fromkeys(names.tolist()):
        rows = [i for i in np.flatnonzero(names == name) if int(metrics.group[i]) in centre]
        rows.sort(key=lambda i: centre[int(metrics.group[i])])
        axes.errorbar(
            [centre[int(metrics.group[i])] + shift for i in rows],
            value[rows],
            yerr=np.where(np.isfinite(error[rows]), error[rows], 0.0),
            color=colour,
            marker=MARKERS.get(name, OTHER_MARKER),
            markersize=6.5,
            linewidth=1.0,
            linestyle="-" if name else "",
            capsize=3,
            elinewidth=1.2,
        )


def _label_groups(
    figure: Figure, axes: Axes, centre: Mapping[int, float], panels: Mapping[int, str], x: GroupAxis, theme: Theme
) -> None:
    """Group numbers: on the axis, or above the frame at the group's angle, moved apart where they would overlap."""
    groups = sorted(centre, key=lambda group: centre[group])
    values = np.array([centre[group] for group in groups])
    if x == "group":
        chosen = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), 30)).round().astype(int))
        axes.set_xticks(values[chosen], [f"{groups[i]}\n{panels.get(groups[i], '')}".rstrip() for i in chosen])
        axes.set_xlim(values[0] - 0.6, values[-1] + 0.6)
        return
    margin = 0.06 * float(np.ptp(values)) or 1.0
    low, high = float(values[0]) - margin, float(values[-1]) + margin
    axes.set_xlim(low, high)
    width = SMALL * 3.2 / (72.0 * figure.get_figwidth() * 0.85)
    for group, value, place in zip(
        groups, values, spread((values - low) / (high - low), width, 0.02, 0.98), strict=True
    ):
        axes.axvline(value, color=theme.grid, linewidth=0.8, zorder=0.4)
        axes.annotate(
            f"{group}{panels.get(group, '')[:1]}",
            xy=(value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(float(place), 1.06),
            textcoords="axes fraction",
            ha="center",
            fontsize=SMALL,
            color=theme.text,
            arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
        )


def _note_missing(
    axes: Axes, series: Mapping[str, GroupMetrics], drawn: _Drawn, centre: Mapping[int, float], theme: Theme
) -> None:
    """Say where no series has a value."""
    found = {
        int(group) for metrics in series.values() for group in metrics.group[np.isfinite(getattr(metrics, drawn.field))]
    }
    for group, value in centre.items():
        if group not in found:
            axes.text(
                value,
                0.04,
                "no result",
                transform=axes.get_xaxis_transform(),
                rotation=90,
                ha="center",
                va="bottom",
                color=theme.muted,
                fontsize=SMALL,
            )


def _panel_handles(panels: Mapping[int, str], groups: Sequence[int], theme: Theme) -> list[Artist]:
    names = sorted({panels[group] for group in groups if group in panels})
    return [
        Line2D([], [], color=theme.muted, linestyle="", marker=MARKERS.get(name, OTHER_MARKER), label=f"{name} panel")
        for name in names
    ]


def draw_offset_histogram(figure: Figure, results: PixelResults, *, theme: Theme = LIGHT) -> None:
    """Draw how the shifts of the pixels in use, and their standard errors, are distributed (ppm)."""
    begin(figure, theme, bottom=0.75)
    shifts, errors = figure.subplots(1, 2, width_ratios=[1.6, 1.0], gridspec_kw={"wspace": 0.25})
    style(shifts, theme, title="Shift of the pixels", xlabel="Shift ln(DIFC new / DIFC old) (ppm)", ylabel="Pixels")
    style(errors, theme, title="Its standard error", xlabel="Standard error (ppm)", ylabel="Pixels")
    used = (results.reason == 0) & (results.events > 0.0)
    shift, sigma = 1e6 * results.shift[used], 1e6 * results.sigma[used]
    if _histogram(shifts, shift, theme.series_colour(0), theme):
        low, middle, high = np.percentile(shift[np.isfinite(shift)], [5.0, 50.0, 95.0])
        lines = [
            shifts.axvline(middle, color=theme.text, linewidth=1.4, label=f"median {middle:,.0f} ppm"),
            shifts.axvline(low, color=theme.text, linewidth=1.0, linestyle="--", label=f"5 %: {low:,.0f} ppm"),
            shifts.axvline(high, color=theme.text, linewidth=1.0, linestyle=":", label=f"95 %: {high:,.0f} ppm"),
        ]
        legend(figure, lines, theme)
    _histogram(errors, sigma, theme.series_colour(2), theme)


def _histogram(axes: Axes, values: FloatArray, colour: str, theme: Theme) -> bool:
    finite = values[np.isfinite(values)]
    span = robust_range(finite, 0.2)
    if span is None:
        note(axes, "No pixel has a value", theme)
        return False
    bins = int(np.clip(np.sqrt(len(finite)), 8, 80))
    outside = int(((finite < span[0]) | (finite > span[1])).sum())
    axes.hist(finite, bins=bins, range=span, color=colour)
    if outside:
        axes.set_xlabel(f"{axes.get_xlabel()}\n{outside:,} pixels are outside this range")
    return True
