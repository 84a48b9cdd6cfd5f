"""Picture of one group's focused spectrum: data, fit, residual, and the windows and labels of the expected peaks.

A peak is *used* when it took part in the group's calibration, *rejected* (with a reason) when it was fitted but did
not, and *expected* when no fit is known; *left out* is what the user has excluded from the next one. The residual is
(data - fit) in units of the data's standard error, within the windows only.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from snapcal_workbench.calibration.types import ExpectedPeaks, FitTable, FloatArray, Spectra
from snapcal_workbench.calibration.types.sample import ForeignPeak
from snapcal_workbench.report.theme import LIGHT, SMALL, Theme, begin, legend, literal, note, spread, style

Hkl = tuple[int, int, int]
MAX_REASONS = 6


@dataclass(frozen=True)
class PeakMark:
    """How a peak is drawn: its d-spacing and window in A, whether it was used (None: not fitted), and why not.

    chi2: Of its fit, per degree of freedom; NaN without one.
    """

    hkl: Hkl
    d: float
    window_min: float
    window_max: float
    used: bool | None
    why_not: str = ""
    chi2: float = float("nan")

    def colour(self, theme: Theme) -> str:
        """Colour of its window and label."""
        if self.used is None:
            return theme.expected
        return theme.good if self.used else theme.rejected


def hkl_text(hkl: Sequence[int]) -> str:
    """Indices as crystallographers write them: 311, or with spaces where one has a sign or two digits."""
    separate = any(i < 0 or i > 9 for i in hkl)
    return (" " if separate else "").join(str(int(i)).replace("-", "−") for i in hkl)


def peak_marks(peaks: ExpectedPeaks | None, fits: FitTable | None, group: int) -> list[PeakMark]:
    """The peaks of a group in ascending d, with what became of them."""
    marks: dict[Hkl, PeakMark] = {}
    if peaks is not None:
        rows = zip(peaks.hkl.tolist(), peaks.d, peaks.window_min, peaks.window_max, strict=True)
        marks = {_hkl(hkl): PeakMark(_hkl(hkl), float(d), float(a), float(b), None) for hkl, d, a, b in rows}
    if fits is not None:
        for i in np.flatnonzero(fits.group == group):
            hkl = _hkl(fits.hkl[i].tolist())
            window = float(fits.window_min[i]), float(fits.window_max[i])
            used, chi2 = bool(fits.used[i]), float(fits.chi2[i])
            marks[hkl] = PeakMark(hkl, float(fits.d[i]), *window, used, fits.why_not[i], chi2)
    return sorted(marks.values(), key=lambda mark: mark.d)


def draw_group_spectrum(
    figure: Figure,
    spectra: Spectra,
    fitted: Spectra | None,
    fits: FitTable | None,
    peaks: ExpectedPeaks | None,
    group: int,
    *,
    left_out: Collection[Hkl] = (),
    foreign: Sequence[ForeignPeak] = (),
    theme: Theme = LIGHT,
) -> tuple[Axes, Axes]:
    """Draw the focused spectrum of a group.

    Args:
        figure: Is cleared first.
        spectra: In d-spacing, numbered by group.
        fitted: As `spectra`, with the fit inside the windows and NaN outside.
        fits: Fitted peaks of all groups.
        peaks: Expected peaks of the group.
        group: Group id; a group that has no spectrum gives an empty picture that says so.
        left_out: Peaks of the group that the user has excluded from the next calibration.
        foreign: Peaks that are not the calibrant's; those seen in the group are marked with their phases.
        theme: Colours.

    Returns:
        The axes of the spectrum and of the residual.
    """
    begin(figure, theme, top=0.35)
    grid = figure.add_gridspec(3, 1, height_ratios=[0.55, 3.0, 1.0], hspace=0.06)
    spectrum = figure.add_subplot(grid[1])
    residual = figure.add_subplot(grid[2], sharex=spectrum)
    band = figure.add_subplot(grid[0], sharex=spectrum)
    band.axis("off")
    style(spectrum, theme, ylabel="Counts per bin")
    style(residual, theme, xlabel="d-spacing (Å)")
    band.set_title(f"Group {group}", loc="left", fontsize=SMALL + 2.5, color=theme.text)
    spectrum.tick_params(labelbottom=False)
    index = np.flatnonzero(spectra.number == group)
    marks = peak_marks(peaks, fits, group)
    if not len(index):
        note(spectrum, f"Group {group} has no spectrum", theme)
        return spectrum, residual
    _draw_data(spectrum, residual, spectra, fitted, int(index[0]), theme)
    _set_range(spectrum, spectra, int(index[0]), marks)
    _draw_windows((spectrum, residual), marks, theme)
    crossed = [mark for mark in marks if mark.hkl in left_out]
    _draw_left_out(spectrum, crossed, theme)
    _draw_dropped(spectrum, peaks, theme)
    others = [peak for peak in foreign if group in peak.groups]
    _draw_foreign(spectrum, others, theme)
    if fitted is None or not marks:
        note(residual, "No peaks were fitted in this group", theme)
    else:
        _name_residual(residual, theme)
    _label_peaks(figure, band, marks, theme)
    _legends(figure, marks, peaks, fitted is not None, bool(crossed), theme, others)
    return spectrum, residual


def draw_overlaid_spectra(figure: Figure, series: Mapping[str, Spectra], group: int, *, theme: Theme = LIGHT) -> Axes:
    """Overlay the focused spectra of one group of several calibrations, each divided by its mean.

    Args:
        figure: Is cleared first.
        series: Spectra in d-spacing by label; one without the group is left out.
        group: Group id.
        theme: Colours.
    """
    begin(figure, theme, top=0.35)
    axes = figure.subplots()
    style(axes, theme, title=f"Group {group}", xlabel="d-spacing (Å)", ylabel="Counts / mean counts")
    handles, ranges = [], []
    for position, (label, spectra) in enumerate(series.items()):
        for index in np.flatnonzero(spectra.number == group):
            edges, y = spectra.edges_of(int(index)), spectra.y[index]
            filled = y[y > 0]
            level = float(filled.mean()) if filled.size else 1.0
            ranges.append(_filled_range(edges, y))
            colour = theme.series_colour(position)
            axes.plot(0.5 * (edges[1:] + edges[:-1]), y / level, color=colour, linewidth=1.1, drawstyle="steps-mid")
            handles.append(Line2D([], [], color=colour, linewidth=2.5, label=literal(label)))
    if not handles:
        note(axes, f"None of them has a spectrum of group {group}", theme)
        return axes
    axes.set_xscale("log")
    _plain_log_axis(axes)
    axes.set_xlim(*_with_margin(min(low for low, _ in ranges), max(high for _, high in ranges)))
    legend(figure, handles, theme)
    return axes


def _hkl(indices: Sequence[int]) -> Hkl:
    h, k, l = (int(i) for i in indices)  # noqa: E741 - Miller indices
    return h, k, l


def _draw_data(
    spectrum: Axes, residual: Axes, spectra: Spectra, fitted: Spectra | None, index: int, theme: Theme
) -> None:
    edges, y, e = spectra.edges_of(index), spectra.y[index], spectra.e[index]
    centres = 0.5 * (edges[1:] + edges[:-1])
    spectrum.plot(centres, y, color=theme.data, linewidth=0.9, drawstyle="steps-mid", label="data")
    residual.set_ylim(-4.0, 4.0)
    if fitted is None:
        return
    residual.axhline(0.0, color=theme.muted, linewidth=0.8)
    spectrum.plot(centres, fitted.y[index], color=theme.fit, linewidth=1.3, label="fit")
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(e > 0.0, (y - fitted.y[index]) / e, np.nan)
    residual.plot(centres, difference, color=theme.residual, linewidth=0.8, label="residual")
    largest = np.nanmax(np.abs(difference)) if np.isfinite(difference).any() else 0.0
    limit = max(4.0, 1.1 * float(largest))
    residual.set_ylim(-limit, limit)


def _name_residual(residual: Axes, theme: Theme) -> None:
    """Say what the residual is, within its axes: they are lower than a label beside them would be long."""
    residual.annotate(
        "residual (standard errors)",
        xy=(0.0, 1.0),
        xycoords="axes fraction",
        xytext=(4.0, -2.0),
        textcoords="offset points",
        va="top",
        fontsize=SMALL,
        color=theme.text,
        bbox={"facecolor": theme.plot_background, "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
    )


def _set_range(axes: Axes, spectra: Spectra, index: int, marks: Sequence[PeakMark]) -> None:
    """Show where there are counts, and every window, on a logarithmic d axis: there all peaks are equally wide."""
    low, high = _filled_range(spectra.edges_of(index), spectra.y[index])
    low = min([low, *(mark.window_min for mark in marks)])
    high = max([high, *(mark.window_max for mark in marks)])
    axes.set_xscale("log")
    _plain_log_axis(axes)
    axes.set_xlim(*_with_margin(low, high))
    top = float(np.nanmax(spectra.y[index], initial=0.0))
    axes.set_ylim(0.0, 1.05 * top if top > 0.0 else 1.0)
    axes.ticklabel_format(axis="y", scilimits=(0, 5))
    axes.yaxis.get_offset_text().set(color=axes.yaxis.label.get_color(), fontsize=SMALL)


def _filled_range(edges: FloatArray, counts: FloatArray) -> tuple[float, float]:
    """From the first bin that has counts to the last; the whole range where none has."""
    filled = np.flatnonzero(counts > 0.0)
    low, high = (edges[filled[0]], edges[filled[-1] + 1]) if len(filled) else (edges[0], edges[-1])
    return float(low), float(high)


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = (high / low) ** 0.015
    return low / margin, high * margin


def _plain_log_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_left_out(axes: Axes, marks: Sequence[PeakMark], theme: Theme) -> None:
    """Cross out what takes no part in the next calibration."""
    for mark in marks:
        span = axes.axvspan(mark.window_min, mark.window_max, facecolor="none", hatch="xx", linestyle="--", zorder=0.6)
        span.set(edgecolor=theme.text, linewidth=1.2, alpha=0.6)
        span.set_gid(f"left out {hkl_text(mark.hkl)}")


def _draw_windows(all_axes: Sequence[Axes], marks: Sequence[PeakMark], theme: Theme) -> None:
    for mark in marks:
        colour = mark.colour(theme)
        for axes in all_axes:
            span = axes.axvspan(mark.window_min, mark.window_max, facecolor=colour, alpha=0.22, linewidth=0, zorder=0.5)
            span.set_gid(f"window {hkl_text(mark.hkl)}")
            if mark.used is False:
                span.set(hatch="////", edgecolor=colour, alpha=0.3)
        all_axes[0].axvline(mark.d, color=colour, linewidth=0.7, linestyle=":", zorder=0.8)


def _draw_dropped(axes: Axes, peaks: ExpectedPeaks | None, theme: Theme) -> None:
    positions = [d for _, d, _ in peaks.dropped] if peaks is not None else []
    axes.vlines(
        positions, 0.0, 0.03, transform=axes.get_xaxis_transform(), color=theme.muted, linewidth=0.9, label="not fitted"
    )


def _draw_foreign(axes: Axes, others: Sequence[ForeignPeak], theme: Theme) -> None:
    """Mark the peaks of other phases above the axis."""
    for peak in others:
        (mark,) = axes.plot(peak.d, 0.05, marker="^", color=theme.rejected, transform=axes.get_xaxis_transform())
        mark.set(markersize=5, linestyle="", zorder=3.0)
        mark.set_gid(f"foreign {peak.phase or 'unknown'} {peak.d:.4f}")


def _reasons(marks: Sequence[PeakMark]) -> list[str]:
    return list(dict.fromkeys(mark.why_not for mark in marks if mark.used is False and mark.why_not))


def _label_peaks(figure: Figure, band: Axes, marks: Sequence[PeakMark], theme: Theme) -> None:
    """Write hkl above each peak, moved apart where they would overlap, and again whenever the axis is zoomed."""
    reasons = _reasons(marks)
    labels = []
    for mark in marks:
        number = f" ({reasons.index(mark.why_not) + 1})" if mark.used is False and mark.why_not else ""
        labels.append(_label(band, mark, hkl_text(mark.hkl) + number, theme))

    def place(axes: Axes) -> None:
        _place_labels(axes, marks, labels, 1.5 * SMALL / (72.0 * figure.get_figwidth() * 0.9))

    place(band)
    for axes in figure.axes:
        axes.callbacks.connect("xlim_changed", place)


def _label(band: Axes, mark: PeakMark, text: str, theme: Theme) -> Annotation:
    return band.annotate(
        text,
        xy=(mark.d, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(0.5, 0.22),
        textcoords="axes fraction",
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=SMALL,
        color=theme.rejected if mark.used is False else theme.text,
        arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
        annotation_clip=False,
    )


def _place_labels(axes: Axes, marks: Sequence[PeakMark], labels: Sequence[Annotation], distance: float) -> None:
    if min(axes.get_xlim()) <= 0.0:
        return  # axes that are being cleared
    low, high = np.log(axes.get_xlim())
    wanted: FloatArray = (np.log([mark.d for mark in marks]) - low) / (high - low) if marks else np.empty(0)
    visible = (wanted >= 0.0) & (wanted <= 1.0)
    places = iter(spread(wanted[visible], distance, 0.0, 1.0))
    for label, seen in zip(labels, visible, strict=True):
        label.set_visible(bool(seen))
        if seen:
            label.set_position((float(next(places)), 0.22))


def _legends(
    figure: Figure,
    marks: Sequence[PeakMark],
    peaks: ExpectedPeaks | None,
    has_fit: bool,
    has_left_out: bool,
    theme: Theme,
    others: Sequence[ForeignPeak] = (),
) -> None:
    handles: list[Line2D | Patch] = [Line2D([], [], color=theme.data, linewidth=1.0, label="data")]
    if has_fit:
        handles.append(Line2D([], [], color=theme.fit, linewidth=1.4, label="fit"))
    kinds = (
        (True, Patch(facecolor=theme.good, alpha=0.4, label="window of a used peak")),
        (False, Patch(facecolor="none", edgecolor=theme.rejected, hatch="////", label="window of a rejected peak")),
        (None, Patch(facecolor=theme.expected, alpha=0.4, label="window of an expected peak")),
    )
    handles += [patch for used, patch in kinds if any(mark.used is used for mark in marks)]
    if has_left_out:
        label = "left out of the next calibration"
        handles.append(Patch(facecolor="none", edgecolor=theme.text, hatch="xxx", linestyle="--", label=label))
    if peaks is not None and peaks.dropped:
        handles.append(
            Line2D([], [], color=theme.muted, marker="|", linestyle="", markersize=7, label="reflection left out")
        )
    if others:
        names = ", ".join(dict.fromkeys(peak.phase or "unknown" for peak in others))
        label = f"not the calibrant's: {names}"
        handles.append(Line2D([], [], color=theme.rejected, marker="^", linestyle="", markersize=5, label=label))
    legend(figure, handles, theme, columns=5)
    _legend_of_reasons(figure, _reasons(marks), theme)


def _legend_of_reasons(figure: Figure, reasons: Sequence[str], theme: Theme) -> None:
    if not reasons:
        return
    lines = [f"({i}) {reason}" for i, reason in enumerate(reasons[:MAX_REASONS], start=1)]
    if len(reasons) > MAX_REASONS:
        lines.append(f"and {len(reasons) - MAX_REASONS} more reasons, in the table of peaks")
    width = max(30, int(13.5 * figure.get_figwidth()))
    text = "\n".join(textwrap.wrap("Rejected: " + "; ".join(lines), width))
    legend(figure, [Line2D([], [], linestyle="", label=literal(text))], theme, place="lower left")
