from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import MaskReason, PixelMask
from snapcal_workbench.options import PRESETS
from snapcal_workbench.report import tables
from snapcal_workbench.report.html import ComparisonEntry


def looks(contents) -> list[str]:
    return [finding.text for finding in tables.verdict(contents) if finding.level == "look"]


@pytest.fixture
def good(contents):
    """A calibration that nothing is wrong with."""
    results = contents.groups.results
    enough = replace(results, peaks_used=np.maximum(results.peaks_used, 4))
    return replace(contents, warnings=(), groups=replace(contents.groups, results=enough))


def test_a_good_calibration_has_nothing_to_look_at(good):
    assert looks(good) == []
    assert tables.headline(tables.verdict(good)) == "No problems were found."


def test_a_skipped_pixel_step_is_no_problem(good):
    assert looks(replace(good, pixel=None)) == []
    assert "skipped" in tables.verdict(replace(good, pixel=None))[0].text


@pytest.mark.parametrize(
    ("stop", "words"),
    [("max iterations", "did not converge"), ("diverging", "the offsets grew"), ("cancelled", "was cancelled")],
)
def test_a_step_that_did_not_converge_needs_a_look(good, stop, words):
    bad = replace(good, pixel=replace(good.pixel, stop=stop, passes=good.pixel.passes[:1]))
    (text,) = looks(bad)
    assert words in text
    assert text.endswith("after 1 pass; median |shift| of pass 1: 310 ppm.")
    assert tables.headline(tables.verdict(bad)).startswith("1 point to look at")


def test_many_masked_pixels_and_pixels_at_the_limit_need_a_look(good):
    reason = np.zeros(len(good.geometry), np.uint8)
    reason[:1000] = MaskReason.AT_LIMIT
    masked, limit = looks(replace(good, mask=PixelMask(good.geometry.detid, reason)))
    assert masked == "1,000 of 18,432 pixels are masked (5.4 %); shift at the search limit: 1,000."
    assert limit.startswith("1,000 pixels have a shift at the search limit.")


def test_failed_and_weak_groups_and_large_strain_need_a_look(good):
    results = good.groups.results
    results = replace(results, model=("", *results.model[1:]), peaks_used=np.array([1, 3, 9, 9, 9, 9], np.int32))
    strain = np.array([np.nan, 1e-5, -3e-4, 0.0, 0.0, 0.0])
    bad = replace(good, groups=replace(good.groups, results=results), metrics=replace(good.metrics, strain=strain))
    failed, weak, left = looks(bad)
    assert failed == "Not calibrated for want of good peaks: group 1."
    assert weak == "Fewer than 4 peaks used in group 2 (3) (number of peaks in brackets)."
    assert left == "Largest median strain left in a group: −300 ppm (group 3)."


def test_warnings_are_repeated(good):
    assert looks(replace(good, warnings=["too hot", "too cold"])) == ["Warning: too hot", "Warning: too cold"]


def test_options_that_differ_from_the_standard_are_marked(contents):
    assert not tables.options_table(contents).marked
    table = tables.options_table(replace(contents, options=PRESETS["snapred"]))
    values = {row[0]: row[1] for i, row in enumerate(table.rows) if i in table.marked}
    assert values["pixels: estimator"] == "correlation"
    assert values["groups: chi2 grows"] == "no"
    assert values["pixels: max shift"] == "–"
    assert "peaks: crystal d min" not in values


def test_terms_that_were_not_fitted_are_dashes(contents):
    table = tables.groups_table(contents)
    head = table.heads.index("DIFA (µs/Å²)")
    assert {row[head] for row in table.rows} == {"–"}
    assert {row[head - 1] for row in table.rows} == {"−7.50 ± 0.80"}


def test_strain_before_and_after_the_group_step(contents):
    rows = tables.start_table(contents).rows
    for group in range(1, 7):
        fits = contents.groups.fits
        before = np.median(fits.strain[(fits.group == group) & fits.used])
        assert rows[group - 1][-2] == f"{1e6 * before:,.0f}"


def test_comparison_has_a_column_for_each(contents):
    worse = replace(contents.metrics, strain=contents.metrics.strain * 0 + 1e-4)
    entries = {
        "a": ComparisonEntry(contents.metrics, contents.table_before, contents.mask),
        "b": ComparisonEntry(worse, contents.table_after, contents.mask),
    }
    rows = tables.comparison_table(entries).rows
    assert [row[0] for row in rows] == ["a", "b"]
    assert rows[1][4] == "100"
    groups = tables.comparison_groups_table(entries)
    assert groups.heads == ("Group", "a: strain (ppm)", "b: strain (ppm)")
    assert [row[0] for row in groups.rows] == ["1", "2", "3", "4", "5", "6"]
    assert all(row[2].startswith("100 ± ") for row in groups.rows)
