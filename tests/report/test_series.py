from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from snapcal_workbench.report.plots import DARK, draw_convergence, draw_group_figures, draw_offset_histogram
from tests.support import ink

PANELS = {1: "East", 2: "East", 3: "East", 4: "West", 5: "West", 6: "West"}


def labelled(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def points(axes) -> dict[float, float]:
    """x and y of all points with error bars."""
    return {x: y for container in axes.containers for x, y in zip(*container[0].get_data(), strict=True)}


def test_convergence_shows_the_passes_and_the_threshold(contents):
    figure, passes = Figure(), contents.pixel.passes
    draw_convergence(figure, passes, threshold_ppm=140.0)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["median"].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(lines["median"].get_ydata(), [p.median_ppm for p in passes])
    np.testing.assert_array_equal(lines["95 % of the pixels"].get_ydata(), [p.p95_ppm for p in passes])
    assert set(np.asarray(lines["converged below 140 ppm"].get_ydata())) == {140.0}
    assert np.asarray(lines["pass that was kept"].get_xdata())[0] == 3
    tops = [bar.get_y() + bar.get_height() for bar in bars(figure.axes[1])[3:]]
    assert tops == [p.masked for p in passes]


@pytest.mark.parametrize("number", [0, 1])
def test_no_pass_and_one_pass_are_drawn(contents, number):
    figure = Figure()
    draw_convergence(figure, contents.pixel.passes[:number], threshold_ppm=None, theme=DARK)
    assert ink(figure) > 1e-3


def test_passes_without_figures_are_drawn(contents):
    nan = float("nan")
    empty = replace(
        contents.pixel.passes[0], median_ppm=0.0, p95_ppm=nan, bound_ppm=float("inf"), group_median_ppm={1: nan}
    )
    figure = Figure()
    draw_convergence(figure, [empty, replace(empty, number=2, kept=True)], threshold_ppm=0.0)
    assert ink(figure) > 1e-3


def test_strain_is_drawn_in_ppm_by_group(contents):
    figure, metrics = Figure(), contents.metrics
    draw_group_figures(figure, {"now": metrics}, quantity="strain", panels=PANELS)
    found = points(figure.axes[0])
    np.testing.assert_allclose([found[x] for x in sorted(found)], 1e6 * metrics.strain)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[0] == "1\nEast"
    assert labels[5] == "6\nWest"


def test_width_and_chi_squared_are_drawn_against_the_angle(contents):
    metrics = contents.metrics
    figures: list[tuple[Any, Any]] = [("sigma", 1e3 * metrics.sigma), ("chi2", metrics.chi2)]
    for quantity, expected in figures:
        figure = Figure()
        draw_group_figures(figure, {"now": metrics}, quantity=quantity, x="2theta")
        found = points(figure.axes[0])
        order = np.argsort(metrics.two_theta)
        np.testing.assert_allclose(sorted(found), np.degrees(metrics.two_theta[order]))
        np.testing.assert_allclose([found[x] for x in sorted(found)], expected[order])


def test_groups_of_the_same_angle_are_told_apart(contents):
    metrics = replace(contents.metrics, two_theta=np.radians([90.0, 70.0, 50.0, 50.0, 70.0, 90.0]))
    figure = Figure(figsize=(9, 4), dpi=100)
    draw_group_figures(figure, {"now": metrics}, quantity="strain", x="2theta", panels=PANELS)
    assert ink(figure) > 1e-3
    axes = figure.axes[0]
    boxes = sorted(
        (text.get_window_extent() for text in axes.texts if text.get_text() in {"1E", "2E", "3E", "4W", "5W", "6W"}),
        key=lambda box: box.x0,
    )
    assert len(boxes) == 6
    starts = [box.x0 for box in boxes]
    assert min(np.diff(starts)) > 20
    assert {container[0].get_marker() for container in axes.containers} == {"o", "s"}


def test_any_number_of_calibrations_is_overlaid(contents):
    series = {f"version {i}": replace(contents.metrics, strain=contents.metrics.strain + i * 1e-5) for i in range(9)}
    for x in ("group", "2theta"):
        figure = Figure(figsize=(9, 5))
        draw_group_figures(figure, series, quantity="strain", x=x, panels=PANELS)
        assert labelled(figure) == ["East panel", "West panel", *series]
        assert len(points(figure.axes[0])) == 9 * 6


def test_groups_that_only_one_calibration_has_are_kept(contents):
    one = {name: getattr(contents.metrics, name)[:1] for name in contents.metrics.__dataclass_fields__}
    single = replace(contents.metrics, **{**one, "group": np.array([17], np.int32)})
    figure = Figure()
    draw_group_figures(figure, {"all": contents.metrics, "one": single}, quantity="sigma")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2", "3", "4", "5", "6", "17"]
    assert ink(figure) > 1e-3


def test_groups_without_a_result_say_so(contents):
    for bad in (np.full(6, np.nan), np.where(np.arange(6) == 2, np.nan, 1e-5)):
        metrics = replace(contents.metrics, strain=bad, strain_std=bad)
        figure = Figure()
        draw_group_figures(figure, {"now": metrics}, quantity="strain", theme=DARK)
        assert ink(figure) > 1e-3
        assert sum(text.get_text() == "no result" for text in figure.axes[0].texts) == np.isnan(bad).sum()


def test_no_groups_and_unknown_angles_are_drawn(contents):
    none = {name: getattr(contents.metrics, name)[:0] for name in contents.metrics.__dataclass_fields__}
    lost = replace(contents.metrics, two_theta=np.full(6, np.nan))
    for series in ({}, {"none": replace(contents.metrics, **none)}, {"lost": lost}):
        for x in ("group", "2theta"):
            figure = Figure()
            draw_group_figures(figure, series, quantity="chi2", x=x)
            assert ink(figure) > 1e-3


def test_labels_of_users_are_not_read_as_formulas(contents):
    figure = Figure()
    draw_group_figures(figure, {"$x_{$": contents.metrics, "b": contents.metrics}, quantity="strain")
    assert ink(figure) > 1e-3


def test_histogram_counts_every_used_pixel(contents):
    figure, results = Figure(), contents.pixel.results
    draw_offset_histogram(figure, results)
    used = int((results.reason == 0).sum())
    for axes in figure.axes:
        outside = int(axes.get_xlabel().split("\n")[1].split()[0].replace(",", ""))
        assert sum(bar.get_height() for bar in bars(axes)) + outside == used
    shifts = 1e6 * results.shift[results.reason == 0]
    median = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("median"))
    assert np.asarray(median.get_xdata())[0] == pytest.approx(np.median(shifts))


@pytest.mark.parametrize("fill", ["masked", "nan", "same"])
def test_histogram_without_spread_is_drawn(contents, fill):
    results = contents.pixel.results
    n = len(results.detid)
    if fill == "masked":
        results = replace(results, reason=np.ones(n, np.uint8))
    else:
        value = np.full(n, np.nan if fill == "nan" else 1e-4)
        results = replace(results, shift=value, sigma=value)
    figure = Figure()
    draw_offset_histogram(figure, results, theme=DARK)
    assert ink(figure) > 1e-3
