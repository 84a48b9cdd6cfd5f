from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelMask
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress
from snapcal_workbench.report.html import ComparisonEntry, comparison_report, save_report

HOSTILE = "<script>alert('x')</script> \"&\" $\\frac{1}$"


class Page(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "style" and not self.style:
            self.style = data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def rows(page: Page) -> list[str]:
    return [attrs.get("class", "") for tag, attrs in page.tags if tag == "tr"]


@pytest.fixture(scope="module")
def report(contents, tmp_path_factory) -> Path:
    return save_report(tmp_path_factory.mktemp("report"), contents, Progress())


def test_pictures_are_png_files_of_the_stated_size(report):
    names = {path.name for path in report.parent.glob("*.png")}
    spectra = {f"spectrum_group_{group}.png" for group in range(1, 7)}
    assert (
        names == {"convergence.png", "offsets.png", "strain.png", "sigma.png", "mask.png", "difc_change.png"} | spectra
    )
    for path in report.parent.glob("*.png"):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert 700 <= image.width <= 1100
            assert 350 <= image.height <= 800
            assert len(set(image.convert("L").resize((60, 40)).tobytes())) > 5, "an empty picture"


def test_no_text_is_cut_off_at_the_edges(report):
    """Nothing but background touches the border of any picture."""
    for path in report.parent.glob("*.png"):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (edges == 255).all(), path.name


def test_page_holds_every_picture_and_needs_nothing_else(report):
    page = Page(report)
    sources = page.attributes("src")
    embedded = {base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources}
    assert embedded == {path.read_bytes() for path in report.parent.glob("*.png")}
    assert all(href.startswith("#") for href in page.attributes("href"))
    assert set(page.attributes("href")) == {f"#{name}" for name in page.attributes("id")}
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", report.read_text("utf-8"))
    assert not re.search(r"https?:|//|url\(|@import", text)
    assert "prefers-color-scheme: dark" in page.style
    assert "@media print" in page.style


def test_page_says_what_matters(report, contents):
    text = Page(report).text
    for expected in (
        "Calibration of SNAP run 58882",
        "The pixel calibration converged after 3 passes",
        "524 of 18,432 pixels are masked (2.8 %)",
        "Fewer than 4 peaks used in group 6 (2)",
        "Warning: Group 6 has only 3 peaks",
        "04bd2c53f6bf6754",
        "Silicon_NIST_640D_001",
        "rejected: chi-squared 38.2 is above the limit of 12.4",
        "weaker than 1 % of the strongest",
        "default calibration (version 0)",
        "Recommended: DIFC+TZERO",
    ):
        assert expected in text
    assert "points to look at" in text


def test_tables_hold_the_figures(report, contents):
    text = Page(report).text
    metrics, results = contents.metrics, contents.groups.results
    for i in range(6):
        strain = f"{1e6 * metrics.strain[i]:.0f} ± {1e6 * metrics.strain_std[i]:.0f}".replace("-", "−")
        assert strain.replace("−0 ", "0 ") in text
        assert f"{results.peaks_used[i]} / {results.peaks_expected[i]}" in text
        assert f"{metrics.peaks_used[i]} / {metrics.peaks_used[i] + metrics.peaks_rejected[i]}" in text
        assert f"{1e6 * (results.difc[i] / results.difc_focused[i] - 1):,.0f} ± 20" in text
    assert sum(row == "marked" for row in rows(Page(report))) == (~contents.final_fits.used).sum()


def test_change_of_each_group_is_that_of_its_pixels(report, contents):
    text = Page(report).text
    for group, pixels in contents.pixels_of_groups.items():
        ratio = contents.table_after.difc[pixels] / contents.table_before.difc[pixels]
        assert f"{group} {len(pixels):,} {1e6 * (np.median(ratio) - 1):,.0f} " in text


def test_text_of_users_is_escaped(contents, tmp_path):
    fits = replace(contents.final_fits, why_not=(HOSTILE,) * len(contents.final_fits))
    hostile = replace(
        contents,
        title=HOSTILE,
        calibrant=HOSTILE,
        grouping=HOSTILE,
        run_info=replace(contents.run_info, title=HOSTILE),
        provenance={HOSTILE: HOSTILE},
        warnings=[HOSTILE],
        final_fits=fits,
        peaks={1: contents.peaks[1]},
        spectra=none_of(contents.spectra),
        groups=replace(contents.groups, results=replace(contents.groups.results, criterion=HOSTILE)),
    )
    page = Page(save_report(tmp_path, hostile, Progress()))
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in page.text


def none_of(spectra):
    return replace(spectra, y=spectra.y[:0], e=spectra.e[:0], detids=[], number=spectra.number[:0])


def empty(value):
    """A value of arrays and tuples with no entries."""
    return replace(value, **{
        name: getattr(value, name)[:0]
        for name in value.__dataclass_fields__
        if name not in {"criterion", "parameter_names", "profile"}
    })  # fmt: skip


def test_everything_masked_and_every_group_failed_is_reported(contents, tmp_path):
    n = len(contents.geometry)
    mask = PixelMask(contents.geometry.detid, np.full(n, MaskReason.AT_LIMIT, np.uint8))
    results = replace(contents.groups.results, model=("",) * 6)
    nothing = replace(
        contents,
        mask=mask,
        peaks={},
        pixel=replace(
            contents.pixel, passes=(), mask=mask, results=replace(contents.pixel.results, reason=mask.reason)
        ),
        final_fits=empty(contents.final_fits),
        metrics=empty(contents.metrics),
        spectra=none_of(contents.spectra),
        fitted=none_of(contents.fitted),
        groups=replace(contents.groups, mask=mask, fits=empty(contents.groups.fits), results=results),
    )
    text = Page(save_report(tmp_path, nothing, Progress())).text
    assert "Not calibrated for want of good peaks: group 1, 2, 3, 4, 5, 6." in text
    assert "No peaks were fitted in this group." in text


def test_one_group_without_pixel_step_is_reported(contents, tmp_path):
    def only(value):
        return replace(value, **{
            name: getattr(value, name)[:1] for name in value.__dataclass_fields__ if name != "criterion"
        })  # fmt: skip

    spectra = contents.spectra
    one = replace(
        contents,
        pixel=None,
        peaks={1: contents.peaks[1]},
        metrics=only(contents.metrics),
        groups=replace(contents.groups, results=only(contents.groups.results)),
        spectra=replace(
            spectra, y=spectra.y[:1], e=spectra.e[:1], detids=spectra.detids[:1], number=spectra.number[:1]
        ),
    )
    path = save_report(tmp_path, one, Progress())
    assert "The pixel calibration was skipped" in Page(path).text
    assert [path.name for path in tmp_path.glob("spectrum_*")] == ["spectrum_group_1.png"]
    assert not (tmp_path / "convergence.png").exists()


def test_cancel_stops_between_pictures(contents, tmp_path):
    reports = []
    progress = Progress(on_report=lambda *report: reports.append(report), is_cancelled=lambda: len(reports) == 2)
    with pytest.raises(Cancelled):
        save_report(tmp_path, contents, progress)
    assert not (tmp_path / "report.html").exists()


def test_comparison_shows_all_and_the_changes_against_the_first(contents, tmp_path):
    after, before = contents.table_after, contents.table_before
    entries = {
        "version 1": ComparisonEntry(contents.metrics, before, contents.mask, "default"),
        "<b>version 2</b>": ComparisonEntry(contents.metrics, after, contents.mask, "run 58882"),
        "native": ComparisonEntry(
            contents.metrics, DiffCalTable(*(x[:4] for x in (before.detid, before.difc, before.difa, before.tzero))),
            PixelMask.none(before.detid[:4]),
        ),
    }  # fmt: skip
    path = comparison_report(tmp_path, entries, contents.geometry, Progress())
    page = Page(path)
    assert {p.name for p in tmp_path.glob("*.png")} == {"strain.png", "sigma.png", "difc_difference_1.png"}
    assert "b" not in {tag for tag, attrs in page.tags if not attrs}
    assert "DIFC of <b>version 2</b> against version 1" in page.text
    assert "different pixels" in page.text


def test_comparison_of_one_and_of_none_is_written(contents, tmp_path):
    one = {"only": ComparisonEntry(contents.metrics, contents.table_after, contents.mask)}
    for entries in (one, {}):
        assert comparison_report(tmp_path, entries, contents.geometry, Progress()).exists()


@pytest.mark.long
def test_native_pixels_are_reported(builders, tmp_path):
    report = save_report(tmp_path, builders.make_contents(256), Progress())
    assert "1,179,648 (native)" in Page(report).text
