"""The history of a state as a picture: DIFC of modules and groups, widths and strain, against the date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.facility.history import Course, History, Part
from snapcal_workbench.formats.index import parse_timestamp
from snapcal_workbench.report.theme import LIGHT, SMALL, Theme, begin, legend, literal, note, style

Key = tuple[Part, str]
"""Part and name of a course."""
MARKED = 4
"""Modules, and groups, with a colour and a name of their own: those that changed most; colours of more look alike."""


def draw_history(figure: Figure, history: History, *, theme: Theme = LIGHT) -> None:
    """Draw a history: courses that change in colour, all others in grey, and error bars of one standard error.

    Args:
        figure: Is cleared first.
        history: What is drawn.
        theme: Colours.
    """
    begin(figure, theme, left=0.75, top=0.3, right=0.3, bottom=0.5)
    axes = figure.subplots(2, 2, sharex=True, gridspec_kw={"wspace": 0.28, "hspace": 0.28}).ravel()
    dates = np.array([_date(point.timestamp) for point in history.points])
    coloured = [*_changed(history, "module"), *_changed(history, "group")]
    modules = [course for course in history.difc if course.part == "module"]
    groups = [course for course in history.difc if course.part == "group"]
    panels = (
        ("TOF of modules against the first", modules, "ppm", True),
        ("TOF of groups against the first", groups, "ppm", True),
        ("Peak widths σ / d", history.width, "10$^{−3}$", False),
        ("Strain (d$_{obs}$ − d$_{ref}$) / d$_{ref}$", history.strain, "ppm", False),
    )
    handles: dict[Key, Line2D] = {}
    for place, (title, courses, label, relative) in zip(axes, panels, strict=True):
        style(place, theme, title=title, ylabel=label)
        handles |= _draw(place, dates, courses, coloured, theme, relative=relative)
    legend(figure, [handles[key] for key in coloured if key in handles], theme)
    if len(set(dates)) == 1:  # no ticks can be found for a range without a width
        axes[-1].set_xlim(dates[0] - timedelta(days=1), dates[0] + timedelta(days=1))
    locator = AutoDateLocator(maxticks=6)
    for place in axes[2:]:
        place.xaxis.set_major_locator(locator)
        place.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        place.xaxis.get_offset_text().set(fontsize=SMALL, color=theme.text)


def _date(timestamp: str) -> datetime:
    return datetime.fromtimestamp(parse_timestamp(timestamp) / 1e9, UTC)


def _changed(history: History, part: Part) -> list[Key]:
    """The courses that change most, the largest change first."""
    return list(dict.fromkeys((part, change.name) for change in history.changes if change.part == part))[:MARKED]


def _draw(
    axes: Axes, dates: np.ndarray, courses: Sequence[Course], coloured: Sequence[Key], theme: Theme, *, relative: bool
) -> dict[Key, Line2D]:
    """Draw courses; returns what stands in the legend for those that have a colour."""
    known = [course for course in courses if np.isfinite(course.value).any()]
    if not known:
        note(axes, "No version tells it", theme)
        return {}
    handles = {}
    for course in sorted(known, key=lambda course: (course.part, course.name) in coloured):
        key = (course.part, course.name)
        named = key in coloured
        colour = theme.series_colour(coloured.index(key)) if named else theme.muted
        axes.errorbar(
            dates,
            _relative(course.value) if relative else course.value,
            yerr=np.where(np.isfinite(course.error), course.error, 0.0),
            color=colour,
            alpha=1.0 if named else 0.35,
            linewidth=1.6 if named else 0.8,
            marker="o",
            markersize=4 if named else 2,
            capsize=2,
        )
        if named:
            handles[key] = Line2D([], [], marker="o", color=colour, label=literal(f"{course.part} {course.name}"))
    if relative and not any((course.part, course.name) in coloured for course in known):
        axes.text(0.02, 0.96, "none changes", transform=axes.transAxes, va="top", fontsize=SMALL, color=theme.muted)
    return handles


def _relative(value: FloatArray) -> FloatArray:
    first = value[np.isfinite(value)][:1]
    return value - first if len(first) else value
