"""What the Facility tab shows, as files; no Qt here. See `exports` for how tables are written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np

from snapcal_workbench.facility.check import RunCheck
from snapcal_workbench.facility.check_plot import draw_check
from snapcal_workbench.facility.history import Course, History, NamedChange
from snapcal_workbench.facility.history_plot import draw_history
from snapcal_workbench.facility.states import StateRow
from snapcal_workbench.panel.presenters.exports import write_rows
from snapcal_workbench.progress import Progress
from snapcal_workbench.report.html import Picture, Section, write_page
from snapcal_workbench.report.numbers import with_error
from snapcal_workbench.report.tables import WORDS, Finding, Table

FIGURES = {"difc": ("TOF against the geometry (ppm)", 0), "width": ("σ / d (1e-3)", 3), "strain": ("strain (ppm)", 1)}
"""Title and decimals of each figure of a history."""


def courses(history: History) -> Iterator[tuple[str, Course]]:
    """All courses of a history, each with the name of its figure."""
    yield from ((name, course) for name in FIGURES for course in getattr(history, name))


def write_states(path: Path, states: Sequence[StateRow]) -> None:
    """One row a state."""
    write_rows(path, [field.name for field in fields(StateRow)], (map(_cell, asdict(row).values()) for row in states))


def write_history(path: Path, history: History) -> None:
    """One row a version and figure of a module or group, with its standard error."""
    rows = (
        (name, course.part, course.name, point.version, point.run, point.timestamp, value, error)
        for name, course in courses(history)
        for point, value, error in zip(history.points, course.value.tolist(), course.error.tolist(), strict=True)
    )
    write_rows(path, ("figure", "part", "name", "version", "run", "saved", "value", "error"), rows)


def write_changes(path: Path, history: History) -> None:
    """One row a drift or jump."""
    titles = ("kind", "part", "name", "from_version", "to_version", "from_run", "to_run", "ppm", "error_ppm", "chance")
    write_rows(path, titles, (_change(history, change) for change in history.changes))


def _change(history: History, change: NamedChange) -> tuple[object, ...]:
    first, last = history.points[change.first], history.points[change.last]
    size = (change.ppm, change.error_ppm, change.chance)
    return change.kind, change.part, change.name, first.version, last.version, first.run, last.run, *size


def write_check(path: Path, check: RunCheck) -> None:
    """One row a module."""
    rows = ((m.module, m.verdict, m.ppm, m.error_ppm) for m in check.modules)
    write_rows(path, ("module", "verdict", "ppm", "error_ppm"), rows)


def write_states_page(path: Path, states: Sequence[StateRow]) -> None:
    """The states as a page."""
    heads = [field.name.replace("_", " ") for field in fields(StateRow)]
    rows = [[str(_cell(value)) for value in asdict(row).values()] for row in states]
    marked = frozenset(number for number, row in enumerate(states) if row.damage)
    table = Table(heads, rows, words=frozenset(range(len(heads))), marked=marked)
    damaged = [Finding("look", f"{row.state_id}: {text}") for row in states for text in row.damage]
    _page(path, "States", f"{len(states)} states.", damaged, [Section("States", tables=[table])])


def write_history_page(path: Path, history: History) -> None:
    """The history as a page, with the picture of its courses."""
    named = f"{history.state_id} {history.name}".strip()
    picture = Picture("history.png", "DIFC, widths and strain over the versions", 12.0, 8.0, _drawn(history))
    findings = [Finding("look" if history.changes else "good", text) for text in history.sentences()]
    findings += [Finding("look", text) for text in history.notes]
    tables = [_figure_table(history, name, title, decimals) for name, (title, decimals) in FIGURES.items()]
    section = Section("Versions", pictures=[picture], tables=tables)
    _page(path, f"History of state {named}", f"{len(history.points)} versions, {history.mode}.", findings, [section])


def _drawn(history: History) -> partial[None]:
    return partial(draw_history, history=history)


def _figure_table(history: History, name: str, title: str, decimals: int) -> Table:
    found: Sequence[Course] = getattr(history, name)
    rows = [
        (
            str(point.version),
            point.run,
            point.timestamp[:10],
            *(with_error(course.value[number], course.error[number], decimals) for course in found),
        )
        for number, point in enumerate(history.points)
    ]
    heads = ("Version", "Run", "Saved", *(f"{title}: {course.part} {course.name}" for course in found))
    return Table(heads, rows, words=frozenset({0, 1, 2}))


def write_check_page(path: Path, check: RunCheck) -> None:
    """The check as a page, with its picture."""
    picture = Picture("check.png", "What DIFC of each module would have to change by", 10.0, 4.5, _drawn_check(check))
    rows = [(m.module, m.verdict, with_error(m.ppm, m.error_ppm, 0)) for m in check.modules]
    marked = frozenset(number for number, m in enumerate(check.modules) if m.verdict not in ("holds", "masked"))
    table = Table(("Module", "Verdict", "Off by (ppm)"), rows, words=frozenset({0, 1}), marked=marked)
    about = [("Version", check.version), ("State", check.state_id), ("Method", check.method), ("Powder", check.powder)]
    about += [("Tolerance (ppm)", f"{check.tolerance_ppm:g}"), ("Seconds", f"{check.seconds:g}")]
    sections = [Section("Modules", pictures=[picture], tables=[table], below=[Table(("", ""), about, words=WORDS)])]
    findings = [Finding("look", text) for text in check.notes]
    _page(path, f"Check of run {check.run_number}", check.text, findings, sections)


def _drawn_check(check: RunCheck) -> partial[None]:
    return partial(draw_check, check=check)


def _page(path: Path, title: str, headline: str, findings: Sequence[Finding], sections: Sequence[Section]) -> None:
    """A page as one file with its pictures inside."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        write_page(page, title, headline=headline, findings=findings, sections=sections, progress=Progress())
        shutil.copyfile(page, path)


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return "; ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value
