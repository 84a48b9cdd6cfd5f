"""The page of a batch: how each task ended, and which options of a study leave the smallest error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from snapcal_workbench.progress import Progress
from snapcal_workbench.report.html import Picture, Section, write_page
from snapcal_workbench.report.numbers import NONE, fixed, number, percent, with_error
from snapcal_workbench.report.tables import WORDS, Finding, Table
from snapcal_workbench.report.theme import LIGHT, SMALL, Theme, begin, literal, style

BATCH_NAME = "batch.html"
_NAN = float("nan")
_RANKING = (
    "The error is the root mean square of the strain that is left in the peaks that all have in common, with the"
    " freedom of the fitted terms taken off. Those that cannot be told from the best by twice the standard error of the"
    " differences peak by peak are as good as it."
)
MOST_IN_PICTURE = 60
"""Tasks of a picture: more are not told apart; the table has all. With half of them large studies would be cut."""


@dataclass(frozen=True)
class BatchRow:
    """One task.

    Attributes:
        label: What people call it.
        family: What those have in common whose errors are compared; "" where it failed.
        error_ppm, uncertainty_ppm: Error that is left and its standard error, ppm; NaN where it was not compared.
        peaks: Peaks that all of the family have in common.
        best, as_good: Whether its error is the smallest, or cannot be told from it.
        word: The verdict of the calibration in one word.
        reasons, warnings: What speaks against it, and what it told.
        pixel_error_ppm: Median standard error of a pixel, ppm.
        masked: Share of the pixels.
        seconds: How long it took.
        lost: Workers that were lost over it.
        version: Reference of the version that was saved of it.
        unsaved: Why it was not saved although it was to be.
        failed: Why it came to nothing.
        folder: Of its session, relative to the page.
    """

    label: str
    family: str = ""
    error_ppm: float = _NAN
    uncertainty_ppm: float = _NAN
    peaks: int = 0
    best: bool = False
    as_good: bool = False
    word: str = ""
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pixel_error_ppm: float = _NAN
    masked: float = 0.0
    seconds: float = 0.0
    lost: int = 0
    version: str = ""
    unsaved: str = ""
    failed: str = ""
    folder: str = ""


@dataclass(frozen=True)
class BatchContents:
    """What the page says: the batch's name, its tasks, and what else is to be known of it."""

    name: str
    rows: tuple[BatchRow, ...]
    about: Mapping[str, str]

    @property
    def families(self) -> dict[str, list[BatchRow]]:
        """The tasks that are done, by what they have in common."""
        found: dict[str, list[BatchRow]] = {}
        for row in self.rows:
            if not row.failed:
                found.setdefault(row.family, []).append(row)
        return found


def save_batch_page(folder: Path, contents: BatchContents, progress: Progress) -> Path:
    """Write the page of a batch and its pictures into a folder; returns the page."""
    return write_page(
        folder / BATCH_NAME,
        f"Batch: {contents.name}",
        headline=_headline(contents.rows),
        findings=_findings(contents),
        sections=list(_sections(contents)),
        progress=progress,
    )


def _headline(rows: Sequence[BatchRow]) -> str:
    failed, good = (sum(map(bool, found)) for found in ((r.failed for r in rows), (r.word == "good" for r in rows)))
    saved = sum(bool(row.version) for row in rows)
    done = len(rows) - failed
    return f"{len(rows)} tasks: {done} done, {good} of them good, {failed} failed; {saved} saved as versions."


def _findings(contents: BatchContents) -> list[Finding]:
    found = [finding for family, rows in contents.families.items() for finding in _of_family(family, rows)]
    failed = [row for row in contents.rows if row.failed]
    found += [Finding("look", f"{row.label}: {row.failed}") for row in failed[:10]]
    if len(failed) > 10:
        found.append(Finding("look", f"{len(failed) - 10} more have failed; see below."))
    lost = [row for row in contents.rows if row.lost]
    if lost:
        found.append(Finding("look", f"{len(lost)} tasks were repeated because their worker was lost."))
    return found + [
        Finding("look", f"{row.label} was not saved: {row.unsaved}") for row in contents.rows if row.unsaved
    ]


def _of_family(family: str, rows: Sequence[BatchRow]) -> Iterator[Finding]:
    """Which of several calibrations of one run leaves the smallest error, and whether that means anything."""
    best = next((row for row in rows if row.best), None)
    if len(rows) < 2 or best is None:
        return
    error = with_error(best.error_ppm, best.uncertainty_ppm, 1)
    others = [row for row in rows if row.as_good and not row.best]
    text = f"{family}: the smallest error is left by {best.label}: {error} ppm"
    if others:
        names = "; ".join(row.label for row in others[:5]) + ("; …" if len(others) > 5 else "")
        text += f", but {len(others)} of {len(rows)} cannot be told from it: {names}"
    if best.word != "good":
        text += f". It is {best.word}: {' '.join(best.reasons)}".rstrip(".")
    yield Finding("good" if best.word == "good" else "look", f"{text}.")


def _sections(contents: BatchContents) -> Iterator[Section]:
    for index, (family, rows) in enumerate(contents.families.items(), start=1):
        drawn = [row for row in rows if math.isfinite(row.error_ppm)]
        text = _RANKING if len(rows) > 1 else ""
        pictures = [_picture(index, family, drawn)] if len(drawn) > 1 else []
        yield Section(family, text, tables=[_table(rows)], pictures=pictures, folded=_warnings(rows))
    failed = [(row.label, row.failed) for row in contents.rows if row.failed]
    if failed:
        yield Section("Failed", tables=[Table(("Task", "Why"), failed, words=WORDS)])
    yield Section("About", tables=[Table(("", ""), list(contents.about.items()), words=WORDS)])


def _table(rows: Sequence[BatchRow]) -> Table:
    heads = ("Task", "Verdict", "Version", "Against the best", "Error (ppm)", "Peaks", "Pixel error (ppm)")
    return Table(
        (*heads, "Masked", "Time (s)", "Session"),
        [
            (
                row.label,
                row.word,
                row.version or NONE,
                "best" if row.best else "as good" if row.as_good else "larger" if row.peaks else "not compared",
                with_error(row.error_ppm, row.uncertainty_ppm, 1),
                str(row.peaks),
                number(row.pixel_error_ppm),
                percent(row.masked, 1.0),
                fixed(row.seconds, 1),
                row.folder,
            )
            for row in rows
        ],
        words=frozenset({0, 1, 2, 3, 9}),
        marked=frozenset(i for i, row in enumerate(rows) if row.word != "good"),
    )


def _warnings(rows: Sequence[BatchRow]) -> list[Table]:
    told = [(row.label, text) for row in rows for text in dict.fromkeys([*row.reasons, *row.warnings])]
    return [Table(("Task", ""), told, caption="Reasons and warnings", words=WORDS)] if told else []


def _picture(index: int, family: str, rows: Sequence[BatchRow]) -> Picture:
    shown = sorted(rows, key=lambda row: row.error_ppm)[:MOST_IN_PICTURE]
    caption = f"Error that each task leaves: {family}"
    if len(shown) < len(rows):
        caption += f"; the {len(shown)} smallest of {len(rows)}"
    height = 1.2 + 0.27 * len(shown)
    return Picture(f"errors_{index}.png", caption, 9.0, height, partial(draw_errors, rows=shown))


def draw_errors(figure: Figure, rows: Sequence[BatchRow], theme: Theme = LIGHT) -> None:
    """Draw the error of each task with its error bar, the smallest at the top; those as good as the best are filled.
    Good calibrations, usable ones and others differ in colour.

    Args:
        figure: Is cleared first.
        rows: Tasks with a finite error.
        theme: Colours.
    """
    longest = max((len(row.label) for row in rows), default=0)
    begin(figure, theme, left=min(0.4 + 0.075 * longest, 5.0))
    axes = figure.subplots()
    style(axes, theme, xlabel="Error that is left in the common peaks (ppm)")
    for place, row in enumerate(rows):
        colour = theme.series_colour({"good": 0, "usable": 4}.get(row.word, 1))
        axes.errorbar(
            row.error_ppm,
            place,
            xerr=row.uncertainty_ppm,
            marker="o",
            markersize=6,
            color=colour,
            markerfacecolor=colour if row.as_good else theme.plot_background,
            capsize=3,
        )
    axes.set_yticks(np.arange(len(rows)), [literal(row.label) for row in rows], fontsize=SMALL)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0.0)
