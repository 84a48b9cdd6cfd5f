from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelLayout, PixelMask
from snapcal_workbench.report.detectors import DetectorPicture
from snapcal_workbench.report.plots import (
    DARK,
    difc_change_ppm,
    draw_detectors,
    draw_difc_change,
    draw_mask_reasons,
    panels_of_groups,
)
from tests.support import ink


@pytest.fixture
def geometry(builders):
    return builders.snap_like_geometry(32)


def pictured(*arguments: Any, **options: Any) -> DetectorPicture:
    """A drawing of an instrument whose pixels lie in modules."""
    picture = draw_detectors(*arguments, **options)
    assert picture is not None
    return picture


def shown_in(image: Any) -> Any:
    """What a picture shows, a masked array."""
    return image.get_array()


def drawn_value(picture, axes_index: int, x: float, y: float):
    """The value in the picture at data coordinates."""
    return shown_in(picture.images[axes_index])[int(y), int(x)]


def test_every_pixel_is_drawn_once_with_its_value(geometry):
    values = np.arange(len(geometry), dtype=float)
    picture = pictured(Figure(), geometry, values, label="index")
    drawn = np.concatenate([shown_in(image).compressed() for image in picture.images])
    np.testing.assert_array_equal(np.sort(drawn), values)


def test_pixel_under_the_mouse_is_the_one_drawn_there(geometry):
    values = np.arange(len(geometry), dtype=float)
    picture = pictured(Figure(), geometry, values, label="index")
    for panel, axes in enumerate(picture.axes):
        for x, y in ((0, 0), (31, 5), (70.4, 98.6), (33, 40)):
            index = picture.pixel_at(axes, x, y)
            value = drawn_value(picture, panel, round(x), round(y))
            assert (index is None) == bool(np.ma.is_masked(value))
            assert index is None or value == values[index]
    assert picture.pixel_at(None, 1, 1) is None
    assert picture.pixel_at(picture.axes[0], -3, 1) is None


def test_the_pictures_are_as_seen_from_the_sample(geometry):
    """East is on the left looking downstream; the inner edges have the smaller scattering angles; up is up."""
    height = np.sin(geometry.two_theta) * np.sin(geometry.azimuth)
    east, west = pictured(Figure(), geometry, np.degrees(geometry.two_theta), label="2θ").images
    assert np.ma.mean(shown_in(east)[:, 0]) > np.ma.mean(shown_in(east)[:, -1])
    assert np.ma.mean(shown_in(west)[:, 0]) < np.ma.mean(shown_in(west)[:, -1])
    for image in pictured(Figure(), geometry, height, label="height").images:
        assert np.ma.mean(shown_in(image)[0]) < 0 < np.ma.mean(shown_in(image)[-1])
        assert image.origin == "lower"


def test_masked_pixels_are_not_drawn_as_values(geometry):
    masked = np.zeros(len(geometry), np.uint8)
    masked[[5, 2000, 18000]] = MaskReason.USER
    figure = Figure()
    picture = pictured(figure, geometry, np.ones(len(geometry)), label="one", masked=masked)
    assert sum(shown_in(image).count() for image in picture.images) == len(geometry) - 3
    assert "3 of 18,432" in figure.legends[0].get_texts()[0].get_text()


def test_symmetric_colours_are_centred_on_zero(geometry):
    picture = pictured(Figure(), geometry, np.linspace(-1, 5, len(geometry)), label="v", symmetric=True)
    low, high = picture.images[0].get_clim()
    assert low == -high
    assert 4.8 < high < 5.0
    assert picture.images[1].get_clim() == (low, high)


@pytest.mark.parametrize("values", [np.nan, 3.0], ids=["no value", "one value"])
def test_a_picture_without_contrast_is_drawn(geometry, values):
    figure = Figure()
    draw_detectors(figure, geometry, np.full(len(geometry), values), label="v", theme=DARK)
    assert ink(figure) > 1e-3


def test_everything_masked_says_so(geometry):
    figure = Figure()
    draw_detectors(figure, geometry, np.ones(len(geometry)), label="v", masked=np.ones(len(geometry)))
    assert ink(figure) > 1e-3
    assert "100.0 %" in figure.legends[0].get_texts()[0].get_text()


def test_an_instrument_without_modules_is_drawn_against_the_angle(geometry):
    figure = Figure()
    bare = replace(geometry, layout=None)
    values = np.arange(len(geometry), dtype=float)
    assert draw_detectors(figure, bare, values, label="v", masked=values < 100) is None
    grey, shown = figure.axes[0].lines
    assert len(np.asarray(grey.get_ydata())) == 100
    np.testing.assert_allclose(np.asarray(shown.get_xdata()), np.degrees(geometry.two_theta[100:]))
    draw_mask_reasons(figure, bare, PixelMask.none(geometry.detid))
    assert ink(figure) > 1e-3


def test_difc_change_is_in_ppm(geometry):
    before = DiffCalTable.from_geometry(geometry)
    after = replace(before, difc=before.difc * (1 + 250e-6))
    np.testing.assert_allclose(difc_change_ppm(before, after), 250.0, rtol=1e-9)
    picture = draw_difc_change(Figure(), geometry, before, after)
    assert picture is not None
    np.testing.assert_allclose(shown_in(picture.images[0]).compressed(), 250.0, rtol=1e-5)
    zero = replace(before, difc=np.zeros(len(before)))
    assert np.isnan(difc_change_ppm(zero, after)).all()


def test_mask_reasons_are_counted_and_placed(geometry):
    reason = np.zeros(len(geometry), np.uint8)
    reason[:256] = MaskReason.NO_COUNTS
    reason[1024 * 17 : 1024 * 18] = MaskReason.INHERITED
    figure = Figure()
    draw_mask_reasons(figure, geometry, PixelMask(geometry.detid, reason))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        "used: 17,152",
        "no counts: 256",
        "masked in the calibration that was started from: 1,024",
    ]
    images = [image for axes in figure.axes for image in axes.get_children() if isinstance(image, AxesImage)]
    drawn = np.concatenate([shown_in(image).compressed() for image in images])
    np.testing.assert_array_equal(np.bincount(drawn.astype(int)), np.bincount(reason))
    heights = np.array([bar.get_height() for bar in figure.axes[-1].patches if isinstance(bar, Rectangle)]).reshape(
        2, 18
    )
    assert heights[0, 0] == pytest.approx(25.0)
    assert heights[1, 17] == pytest.approx(100.0)
    assert heights.sum() == pytest.approx(125.0)


def test_no_mask_and_all_masked_are_drawn(geometry):
    for reason in (0, MaskReason.GROUP_FAILED):
        figure = Figure()
        draw_mask_reasons(figure, geometry, PixelMask(geometry.detid, np.full(len(geometry), reason, np.uint8)))
        assert ink(figure) > 1e-3


def test_one_module_of_another_size_is_drawn(geometry):
    side = 4
    module, x, y = (np.arange(16, dtype=np.int16) // d % m for d, m in ((16, 1), (4, 4), (1, 4)))
    layout = PixelLayout(module, x, y, side)
    few = replace(
        geometry,
        detid=geometry.detid[:16],
        l2=geometry.l2[:16],
        two_theta=geometry.two_theta[:16],
        azimuth=geometry.azimuth[:16],
        layout=layout,
    )
    picture = pictured(Figure(), few, np.arange(16.0), label="v")
    assert len(picture.axes) == 1
    assert shown_in(picture.images[0]).count() == 16


def test_panel_of_a_group_is_known_where_it_has_one(geometry):
    groups = {1: geometry.detid[:9216], 2: geometry.detid[9216:], 3: geometry.detid, 4: geometry.detid[:0]}
    assert panels_of_groups(geometry, groups) == {1: "East", 2: "West"}
    assert panels_of_groups(replace(geometry, layout=None), groups) == {}
