from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from snapcal_workbench.report.plots import DARK, draw_group_spectrum, hkl_text
from snapcal_workbench.report.spectra import peak_marks
from snapcal_workbench.report.theme import spread
from tests.support import ink


def line(axes, label: str):
    return next(line for line in axes.lines if line.get_label() == label)


def test_indices_read_as_written_by_crystallographers():
    assert hkl_text([3, 1, 1]) == "311"
    assert hkl_text([-1, 0, 12]) == "−1 0 12"


def test_data_fit_and_residual_are_those_given(contents):
    spectrum, residual = draw_group_spectrum(
        Figure(), contents.spectra, contents.fitted, contents.final_fits, contents.peaks[4], 4
    )
    y, e, fit = contents.spectra.y[3], contents.spectra.e[3], contents.fitted.y[3]
    np.testing.assert_array_equal(line(spectrum, "data").get_ydata(), y)
    np.testing.assert_array_equal(line(spectrum, "fit").get_ydata(), fit)
    np.testing.assert_allclose(line(residual, "residual").get_ydata(), (y - fit) / e)


@pytest.mark.parametrize("height", [1.4, 1.8, 2.6, 5.0])
def test_the_labels_of_the_axes_never_lie_on_each_other(contents, height):
    figure = Figure(figsize=(6.0, height))
    FigureCanvasAgg(figure).draw()
    both = draw_group_spectrum(figure, contents.spectra, contents.fitted, contents.final_fits, contents.peaks[4], 4)
    figure.canvas.draw()
    labels = [text for axes in both for text in (axes.yaxis.label, *axes.texts) if text.get_text()]
    assert [text.get_text().split()[0].lower() for text in labels] == ["counts", "residual"]
    upper, lower = (text.get_window_extent() for text in labels)
    assert not upper.overlaps(lower)


def test_every_window_is_shaded_and_rejected_ones_are_hatched(contents):
    fits, group = contents.final_fits, 2
    spectrum, _ = draw_group_spectrum(Figure(), contents.spectra, contents.fitted, fits, contents.peaks[group], group)
    windows = {patch.get_gid(): patch for patch in spectrum.patches if patch.get_gid()}
    mine = np.flatnonzero(fits.group == group)
    assert len(windows) == len(mine)
    for i in mine:
        patch = windows[f"window {hkl_text(fits.hkl[i])}"]
        box = patch.get_path().get_extents(patch.get_patch_transform())
        assert (box.x0, box.x1) == pytest.approx((fits.window_min[i], fits.window_max[i]))
        assert bool(patch.get_hatch()) == (not fits.used[i])


def test_labels_name_the_peaks_and_reasons_say_why_one_was_rejected(contents):
    figure = Figure(figsize=(10, 5))
    draw_group_spectrum(figure, contents.spectra, contents.fitted, contents.final_fits, contents.peaks[6], 6)
    labels = [text.get_text() for text in figure.axes[2].texts]
    assert labels == ["311 (1)", "220", "111"]
    why = next(
        why
        for why, group in zip(contents.final_fits.why_not, contents.final_fits.group, strict=True)
        if why and group == 6
    )
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert f"Rejected: (1) {why}" in texts


def test_labels_do_not_overlap_when_peaks_crowd(contents):
    """Also after zooming, when the labels are placed anew."""
    figure = Figure(figsize=(9, 4.5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    d = np.linspace(1.0, 1.05, 25)
    peaks = replace(
        contents.peaks[1],
        hkl=np.stack([np.arange(25), np.arange(25), np.arange(25)], axis=1).astype(np.int32),
        d=d, f_squared=d, multiplicity=np.ones(25, np.int32), window_min=d * 0.999, window_max=d * 1.001,
    )  # fmt: skip
    spectrum, _ = draw_group_spectrum(figure, contents.spectra, None, None, peaks, 1)
    for limits, visible in (((0.5, 4.0), 25), ((0.99, 1.0201), 10)):
        spectrum.set_xlim(limits)
        canvas.draw()
        boxes = [
            Text.get_window_extent(text, canvas.get_renderer()) for text in figure.axes[2].texts if text.get_visible()
        ]
        starts = np.array([box.x0 for box in sorted(boxes, key=lambda box: box.x0)])
        assert len(boxes) == pytest.approx(visible, abs=1)
        assert np.diff(starts).min() > 9


def test_no_spectrum_no_peaks_no_fit_and_no_counts_are_drawn(contents):
    empty = replace(contents.spectra, y=0 * contents.spectra.y, e=0 * contents.spectra.e)
    nothing = replace(contents.fitted, y=np.full_like(contents.fitted.y, np.nan))
    nobody = replace(contents.peaks[1], **{
        name: getattr(contents.peaks[1], name)[:0]
        for name in ("hkl", "d", "f_squared", "multiplicity", "window_min", "window_max")
    })  # fmt: skip
    for spectra, fitted, peaks, group in (
        (contents.spectra, None, None, 1),
        (contents.spectra, contents.fitted, None, 99),
        (empty, nothing, contents.peaks[1], 1),
        (contents.spectra, nothing, nobody, 1),
    ):
        figure = Figure()
        draw_group_spectrum(figure, spectra, fitted, None, peaks, group, theme=DARK)
        assert ink(figure) > 1e-3


def test_marks_know_what_became_of_each_peak(contents):
    expected = peak_marks(contents.peaks[3], None, 3)
    assert {mark.used for mark in expected} == {None}
    fitted = peak_marks(contents.peaks[3], contents.final_fits, 3)
    assert [mark.hkl for mark in fitted] == [mark.hkl for mark in expected]
    assert [mark.used for mark in fitted] == [False] + [True] * (len(fitted) - 1)
    assert peak_marks(None, None, 3) == []


def test_spread_keeps_distance_order_and_place():
    np.testing.assert_allclose(spread(np.array([0.1, 0.5, 0.9]), 0.1, 0.0, 1.0), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(spread(np.array([0.5, 0.5, 0.5]), 0.1, 0.0, 1.0), [0.4, 0.5, 0.6])
    crowded = spread(np.array([0.97, 0.98, 0.99, 1.0]), 0.1, 0.0, 1.0)
    np.testing.assert_allclose(crowded, [0.7, 0.8, 0.9, 1.0])
    too_many = spread(np.linspace(0, 1, 30), 0.1, 0.0, 1.0)
    np.testing.assert_allclose(np.diff(too_many), 1 / 29)
    assert spread(np.empty(0), 0.1, 0.0, 1.0).size == 0
