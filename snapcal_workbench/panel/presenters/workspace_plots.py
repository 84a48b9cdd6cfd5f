"""What "Plot" in the workspace list shows of the selected workspaces; no Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from matplotlib.figure import Figure

from snapcal_workbench.calibration.types import Events, FitTable, Geometry, Spectra
from snapcal_workbench.errors import InputError
from snapcal_workbench.report.theme import Theme
from snapcal_workbench.report.workspaces import Lines, Pixels, draw_lines, draw_pixels
from snapcal_workbench.session import Session
from snapcal_workbench.workspaces.protocol import Group

LINE_KINDS = (Spectra, Events, FitTable)


@dataclass(frozen=True)
class Plot:
    """A title, and what draws the figure."""

    title: str
    draw: Callable[[Figure, Theme], object]


def plots_of(session: Session, names: Sequence[str]) -> list[Plot]:
    """One plot for each kind of lines (several over each other) and for each workspace with one value a pixel.

    Args:
        session: Whose workspace list is read.
        names: Workspaces and groups; a group stands for its members.

    Raises:
        NotFoundError: One of them is gone.
        InputError: There is nothing in them that can be drawn.
    """
    values = _values(session, names)
    plots = []
    for kind in LINE_KINDS:
        for unit in ("dSpacing", "TOF"):
            lines = {n: cast(Lines, v) for n, v in values.items() if isinstance(v, kind) and _unit(v) == unit}
            if lines:
                plots.append(Plot(", ".join(lines), _lines(lines)))
    for name, value in values.items():
        if not isinstance(value, LINE_KINDS):
            geometry = _geometry(session, len(value.detid))
            plots.append(Plot(name, _pixels(name, value, geometry)))
    if not plots:
        raise InputError(
            "There is nothing to plot.",
            found="empty groups" if names else "no workspace",
            fix="Select workspaces that hold spectra, a run, peak fits, or values of pixels.",
        )
    return plots


def _values(session: Session, names: Sequence[str]) -> dict[str, Lines | Pixels]:
    """Workspaces by name, with the members of groups in place of these."""
    workspaces = session.host.workspaces
    values: dict[str, Lines | Pixels] = {}
    for name in names:
        value = workspaces.read(name, object)
        if isinstance(value, tuple):
            values |= _values(session, cast(Group, value))
        else:
            values[name] = cast(Lines | Pixels, value)
    return values


def _unit(value: Lines) -> str:
    if isinstance(value, Spectra):
        return value.unit
    return "TOF" if isinstance(value, Events) else "dSpacing"


def _lines(lines: dict[str, Lines]) -> Callable[[Figure, Theme], object]:
    return lambda figure, theme: draw_lines(figure, lines, theme=theme)


def _pixels(name: str, value: Pixels, geometry: Geometry | None) -> Callable[[Figure, Theme], object]:
    return lambda figure, theme: draw_pixels(figure, name, value, geometry, theme=theme)


def _geometry(session: Session, count: int) -> Geometry | None:
    """Geometry of so many pixels: that of a run in the workspace list, or of an iteration; None where there is none."""
    workspaces = session.host.workspaces
    for name in workspaces.names():
        if workspaces.kind(name) == "Events":
            geometry = workspaces.read(name, Events).geometry
            if len(geometry) == count:
                return geometry
    for number in reversed(session.folders.numbers()):
        geometry = session.iteration(number).geometry
        if len(geometry) == count:
            return geometry
    return None
