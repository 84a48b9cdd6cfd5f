"""The history of a state as a picture: DIFC of modules and groups, widths and strain, against the date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from snapcal_workbench.calibration.types import FloatArray
from snapcal_workbench.facility.history import Course, History
from snapcal_workbench.formats.index import parse_timestamp
from snapcal_workbench.report.theme import LIGHT, SMALL, Theme, begin, literal, note, style

MARKED = 6
"""Courses with a colour and a name of their own: those that changed most; more could not be told apart."""


def draw_history(figure: Figure, history: History, *, theme: Theme = LIGHT) -> None:
    """Draw a history: courses that change in colour, all others in grey, and error bars of one standard error.

    Args:
        figure: Is cleared first.
        history: What is drawn.
        theme: Colours.
    """
    begin(figure, theme, top=0.4, right=0.3)
    axes = figure.subplots(2, 2, sharex=True, gridspec_kw={"wspace": 0.25, "hspace": 0.25}).ravel()
    dates = np.array([_date(point.timestamp) for point in history.points])
    changed = {part: _changed(history, part) for part in ("module", "group")}
    modules = [course for course in history.difc if course.part == "module"]
    groups = [course for course in history.difc if course.part == "group"]
    panels = (
        ("Modules", modules, "TOF against the first version (ppm)", changed["module"], True),
        ("Groups", groups, "TOF against the first version (ppm)", changed["group"], True),
        ("Peak widths", history.width, "σ / d (10$^{−3}$)", changed["group"], False),
        ("Strain", history.strain, "(d$_{obs}$ − d$_{ref}$) / d$_{ref}$ (ppm)", changed["group"], False),
    )
    for place, (title, courses, label, coloured, relative) in zip(axes, panels, strict=True):
        style(place, theme, title=title, ylabel=label)
        handles = _draw(place, dates, courses, coloured, theme, relative=relative)
        if handles:
            place.legend(handles=handles, fontsize=SMALL, frameon=False, labelcolor=theme.text, ncols=2)
    locator = AutoDateLocator(maxticks=6)
    for place in axes[2:]:
        place.xaxis.set_major_locator(locator)
        place.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _date(timestamp: str) -> datetime:
    return datetime.fromtimestamp(parse_timestamp(timestamp) / 1e9, UTC)


def _changed(history: History, part: str) -> list[str]:
    """Names of the courses that change most, the largest change first."""
    return list(dict.fromkeys(change.name for change in history.changes if change.part == part))[:MARKED]


def _draw(
    axes: Axes, dates: np.ndarray, courses: Sequence[Course], coloured: Sequence[str], theme: Theme, *, relative: bool
) -> list[ErrorbarContainer]:
    known = [course for course in courses if np.isfinite(course.value).any()]
    if not known:
        note(axes, "No version tells it", theme)
        return []
    handles: list[ErrorbarContainer] = []
    for course in sorted(known, key=lambda course: course.name in coloured):
        named = course.name in coloured
        colour = theme.series_colour(coloured.index(course.name)) if named else theme.muted
        drawn = axes.errorbar(
            dates,
            _relative(course.value) if relative else course.value,
            yerr=np.where(np.isfinite(course.error), course.error, 0.0),
            color=colour,
            alpha=1.0 if named else 0.35,
            linewidth=1.6 if named else 0.8,
            marker="o",
            markersize=4 if named else 2,
            capsize=2,
            label=literal(f"{course.part} {course.name}"),
        )
        if named:
            handles.append(drawn)
    if not coloured and relative:
        axes.text(0.02, 0.96, "none changes", transform=axes.transAxes, va="top", fontsize=SMALL, color=theme.muted)
    return handles


def _relative(value: FloatArray) -> FloatArray:
    first = value[np.isfinite(value)][:1]
    return value - first if len(first) else value
