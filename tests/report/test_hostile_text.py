"""Text of people and files stands in pages and pictures as it is: no markup, no formula, nothing that is obeyed."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from snapcal_workbench.progress import Progress
from snapcal_workbench.report.contents import ComparisonEntry, ReportContents
from snapcal_workbench.report.html import comparison_report, save_report
from snapcal_workbench.report.plots import draw_group_figures, draw_overlaid_spectra
from snapcal_workbench.report.theme import LIGHT, begin, literal, note
from snapcal_workbench.text import visible
from tests.hostile import HOSTILE, unsafe

FORMULAS = ("$x$", r"\alpha$", "$$", r"\$5", "a$b", r"$\frac{1}$", "_hidden", "__", "{x}")


def texts(figure: Figure) -> list[str]:
    """All texts of a figure as its picture shows them; a formula would come in pieces."""
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(picture, format="svg")
    lines = ElementTree.fromstring(picture.getvalue()).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(line.itertext()) for line in lines]


@pytest.mark.parametrize("text", [HOSTILE, *FORMULAS])
def test_a_picture_shows_any_label(contents: ReportContents, text: str) -> None:
    for draw in (
        lambda figure: draw_group_figures(
            figure, {text: contents.metrics, "other": contents.metrics}, quantity="strain"
        ),
        lambda figure: draw_overlaid_spectra(figure, {text: contents.spectra, "other": contents.spectra}, 1),
    ):
        figure = Figure()
        draw(figure)
        shown = texts(figure)
        assert any(visible(text) in label for label in shown), shown
        assert not any(unsafe(label) for label in shown)


@pytest.mark.parametrize("text", [HOSTILE, *FORMULAS])
def test_a_note_shows_any_text(text: str) -> None:
    figure = Figure()
    begin(figure, LIGHT)
    note(figure.subplots(), text, LIGHT)
    assert any(visible(text) in shown for shown in texts(figure))
    assert not unsafe(literal(text))


def words(page: Path) -> str:
    """What a reader sees of a page."""
    text = re.sub(r"<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def test_the_report_shows_any_text(contents: ReportContents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapcal_workbench.report.html._save_pictures", _without_pictures)
    hostile = replace(
        contents,
        title=HOSTILE,
        calibrant=HOSTILE,
        grouping=HOSTILE,
        state_id=HOSTILE,
        run_info=replace(contents.run_info, title=HOSTILE, run_number=HOSTILE),
        provenance={HOSTILE: HOSTILE},
        warnings=[HOSTILE],
    )
    shown = words(save_report(tmp_path, hostile, Progress()))
    assert shown.count(visible(HOSTILE)) >= 8
    assert not unsafe(shown.replace("\t", ""))


def test_the_comparison_shows_any_text(
    contents: ReportContents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snapcal_workbench.report.html._save_pictures", _without_pictures)
    entry = ComparisonEntry(contents.metrics, contents.table_after, contents.mask, HOSTILE)
    page = comparison_report(tmp_path, {HOSTILE: entry, "other": entry}, contents.geometry, Progress(), title=HOSTILE)
    shown = words(page)
    assert shown.count(visible(HOSTILE)) >= 4
    assert not unsafe(shown.replace("\t", ""))


def _without_pictures(folder: Path, pictures: list, progress: Progress) -> dict[str, str]:
    """The pictures have tests of their own, and take seconds."""
    return dict.fromkeys((picture.name for picture in pictures), "")
