"""Geometry of SNAP: where each pixel is, from the detector logs.

Words and axes:

- z runs along the beam, y up, x completes a right-handed frame; the sample is at 0. Azimuth is atan2(y, x).
- Two flat *panels* of nine square *modules*: East (first half of the ids; det_arc2, det_lin2) and West (det_arc1,
  det_lin1). `arc` is the signed angle of the panel's centre in the horizontal plane, deg; `lin` adds to 0.5 m distance.
- Panel coordinates (X, Y), m, lie in the panel, seen from behind the sample: X horizontal, Y up.
- A *native* pixel is 0.618 mm wide, 256 x 256 of them in a module; a *lite* pixel sums 8 x 8 native ones.
- Pixel id = first id of the module + x * side + y (column x, row y).

Numbers are those of SNAP's instrument definition since 2018 (SNAP_Definition.xml, SNAPLite_Definition.xml).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, Geometry, Panels, PixelLayout

NATIVE_DEFINITION, LITE_DEFINITION = "SNAP", "SNAPLite"
"""Names of the instrument definitions."""
L1 = 15.0
"""Moderator to sample, m."""
MODULES = 18
NATIVE_SIDE = 256
LITE_SIDE = 32
LITE_FACTOR = NATIVE_SIDE // LITE_SIDE
"""Native pixels along the side of a lite one."""
PIXEL_WIDTH = 0.000618
"""Distance of neighbouring native pixels, m."""
PIXEL_DEPTH = 0.0001
"""Thickness of a pixel in the instrument definition, m."""
MODULE_PITCH = 0.167548
"""Distance of neighbouring modules, m."""
NATIVE_PIXEL_BOX = (PIXEL_WIDTH, PIXEL_WIDTH, PIXEL_DEPTH)
LITE_PIXEL_BOX = (0.0, 2 * LITE_FACTOR * PIXEL_WIDTH, PIXEL_DEPTH)
"""Pixel boxes (dx, dy, dz), m. In the lite definition the right corner repeats the top one, so y is counted twice."""
PANEL_DISTANCE = 0.5
"""Sample to panel centre at lin = 0, m."""
_FIRST_NATIVE = -0.078795
_MODULE_WIDTH = NATIVE_SIDE * PIXEL_WIDTH
PANELS = Panels(
    ("East", "West"),
    columns=3,
    rows=3,
    gap=MODULE_PITCH / _MODULE_WIDTH - 1.0,
    modules=tuple(f"{column}{row}" for column in range(1, 7) for row in range(1, 4)),
)
"""Module m is in column m // 3 + 1 and row m % 3 + 1; event files call it "bank<column><row>"."""


def snap_layout(*, lite: bool) -> PixelLayout:
    """Module, column and row of every pixel, in ascending order of id."""
    side = LITE_SIDE if lite else NATIVE_SIDE
    in_module = np.arange(side * side, dtype=np.int32)
    return PixelLayout(
        module=np.repeat(np.arange(MODULES, dtype=np.int16), side * side),
        x=np.tile((in_module // side).astype(np.int16), MODULES),
        y=np.tile((in_module % side).astype(np.int16), MODULES),
        columns=side,
        block=1 if lite else LITE_FACTOR,
        panels=PANELS,
    )


def snap_geometry(
    *, arc1: float, arc2: float, lin1: float, lin2: float, l1: float = L1, lite: bool = False
) -> Geometry:
    """Distance and angles of every pixel; the arguments are those of `place_panels`."""
    return place_panels(snap_layout(lite=lite), arc1=arc1, arc2=arc2, lin1=lin1, lin2=lin2, l1=l1)


def place_panels(layout: PixelLayout, *, arc1: float, arc2: float, lin1: float, lin2: float, l1: float) -> Geometry:
    """Distance and angles of every pixel.

    A pixel with panel coordinates (X, Y) on a panel at distance r = 0.5 + lin and angle t = arc is at
    x = r sin t + X cos(180 + t), y = Y, z = r cos t - X sin(180 + t).

    Args:
        layout: Of the pixels, from `snap_layout`.
        arc1: det_arc1, the West panel's angle, deg.
        arc2: det_arc2, the East panel's angle, deg.
        lin1: det_lin1, m, West.
        lin2: det_lin2, m, East.
        l1: Moderator to sample, m.
    """
    lite = layout.columns == LITE_SIDE
    panel = layout.module // 9
    t = np.deg2rad([arc2, arc1])
    r = PANEL_DISTANCE + np.array([lin2, lin1], np.float64)
    panel_x, y = panel_coordinates(layout)
    x = (r * np.sin(t))[panel] - panel_x * np.cos(t)[panel]
    z = (r * np.cos(t))[panel] + panel_x * np.sin(t)[panel]
    across = np.hypot(x, y)
    return Geometry(
        detid=np.arange(len(layout.module), dtype=np.int32),
        l1=l1,
        l2=np.hypot(across, z),
        two_theta=np.arctan2(across, z),
        azimuth=np.arctan2(y, x),
        layout=layout,
        instrument=LITE_DEFINITION if lite else NATIVE_DEFINITION,
        solid_angle=solid_angle(panel_x, y, r[panel], lite=lite),
    )


def panel_coordinates(layout: PixelLayout) -> tuple[FloatArray, FloatArray]:
    """Panel coordinates (X, Y) of the pixels, m."""
    column, row = np.divmod(layout.module % 9, 3)
    return (
        MODULE_PITCH * (column - 1) + _in_module(layout.x, layout.columns),
        MODULE_PITCH * (row - 1) + _in_module(layout.y, layout.columns),
    )


def _in_module(index: NDArray[np.int16], side: int) -> FloatArray:
    """Coordinate of a pixel's centre in its module, m."""
    merged = NATIVE_SIDE // side
    first = _FIRST_NATIVE + PIXEL_WIDTH * (merged - 1) / 2
    return first + PIXEL_WIDTH * merged * index.astype(np.float64)


def solid_angle(x: FloatArray, y: FloatArray, distance: FloatArray, *, lite: bool) -> FloatArray:
    """Solid angle (sr) of the pixels' boxes as the instrument definitions have them: visible area / L2^2.

    A native pixel shows its face and two of its sides. The lite definition repeats a corner, so that its box has no
    face: two sheets of one pixel width by the depth remain, seen under the angle whose sine is |X| / L2.

    Args:
        x: Panel coordinate X, m.
        y: Panel coordinate Y, m.
        distance: Sample to panel plane, m.
        lite: Whether pixels are the lite ones.
    """
    if lite:
        area = 2 * LITE_FACTOR * PIXEL_WIDTH * PIXEL_DEPTH * np.abs(x)
    else:
        area = PIXEL_WIDTH**2 * distance + PIXEL_WIDTH * PIXEL_DEPTH * (np.abs(x) + np.abs(y))
    return area / (x * x + y * y + distance * distance) ** 1.5
