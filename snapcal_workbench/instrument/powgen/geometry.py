"""Geometry of POWGEN: where each pixel is. The detectors do not move, so no log is needed.

Axes are those of SNAP's: z along the beam, y up, the sample at 0. Forty flat *banks* stand around the sample, each of
154 columns (5 mm) and 7 rows (54.3 mm) of pixels. Pixel id = 15000 x bank + 7 x column + row, so ids have gaps.

Numbers are those of Mantid's instrument definition of POWGEN that is valid from 2017-05-01
(POWGEN_Definition_2017-05-01.xml), positions rounded to 0.01 mm and angles to 0.001 degrees.
"""

from __future__ import annotations

import numpy as np

from snapcal_workbench.calibration.types import FloatArray, Geometry, IntArray, Panels, PixelLayout

DEFINITION = "POWGEN"
L1 = 60.0
"""Moderator to sample, m."""
COLUMNS, ROWS = 154, 7
COLUMN_WIDTH, ROW_HEIGHT, DEPTH = 0.005, 0.0543, 0.0001
"""Size of a pixel, m."""
IDS_PER_BANK = 15000

BANKS = np.array(
    [
        (-0.73925, -0.82071, -1.99675, -95.784, -0.214, -260.481),
        (-0.73958, -0.41024, -1.99761, -248.092, -0.159, -108.222),
        (-0.73845, -0.00335, -1.99553, -21.985, -0.202, -334.102),
        (-0.73932, 0.40586, -1.99641, -90.000, -0.077, -266.027),
        (-0.74006, 0.81578, -1.99702, 0.000, -0.010, -355.999),
        (-1.49474, -0.82124, -1.81559, -14.227, -0.116, -322.354),
        (-1.49815, -0.41127, -1.81349, -8.474, -0.072, -328.450),
        (-1.49674, -0.00248, -1.81506, 0.000, -0.010, -336.888),
        (-1.49671, 0.40657, -1.81424, -239.561, -0.201, -97.229),
        (-1.49715, 0.81472, -1.81434, -33.372, -0.076, -303.628),
        (-2.16022, -0.41161, -1.39894, -110.472, -0.029, -208.935),
        (-2.16207, -0.00275, -1.39955, -55.016, -0.169, -264.328),
        (-2.16161, 0.40649, -1.39910, 0.000, -0.050, -319.254),
        (-2.67529, -0.41199, -0.80590, -7.594, -0.266, -295.294),
        (-2.67604, -0.00318, -0.80760, -259.496, -0.088, -43.225),
        (-2.67614, 0.40694, -0.80605, -237.436, -0.273, -65.643),
        (-3.01268, -0.41177, -0.09640, -328.986, -0.099, -318.979),
        (-3.01414, -0.00165, -0.09651, -237.052, -0.043, -51.069),
        (-3.01393, 0.40641, -0.09861, -324.492, -0.098, -323.507),
        (-3.16201, -0.41191, 0.67715, -292.159, -0.039, -342.050),
        (-3.16248, -0.00205, 0.67561, -297.356, -0.059, -336.693),
        (-3.16293, 0.40479, 0.67567, -16.858, -0.332, -257.169),
        (-3.12831, -0.41125, 1.46227, -324.011, -0.225, -297.068),
        (-3.12870, -0.00212, 1.46521, -292.667, -0.074, -328.599),
        (-3.13183, 0.40696, 1.46200, -140.377, -0.152, -120.756),
        (-2.92700, -0.41233, 2.22329, -297.195, -0.186, -311.655),
        (-2.92640, -0.00424, 2.22496, -328.302, -0.422, -280.535),
        (-2.92494, 0.40545, 2.22520, -342.221, -0.088, -266.749),
        (-2.56546, -0.41230, 2.92516, -343.809, -0.081, -253.562),
        (-2.56694, -0.00270, 2.92605, -320.834, -0.064, -276.439),
        (-2.56715, 0.40589, 2.92551, -319.018, -0.315, -278.265),
        (-2.08031, -0.41217, 3.54844, -299.756, -0.144, -286.444),
        (-2.08097, -0.00245, 3.55012, -275.575, -0.134, -310.921),
        (-2.07958, 0.40608, 3.54917, -337.741, -0.121, -248.445),
        (-1.48729, -0.41191, 4.06994, -285.609, -0.120, -290.494),
        (-1.48758, -0.00319, 4.07093, -197.710, -0.163, -18.516),
        (-1.48699, 0.40567, 4.06981, -322.393, -0.092, -253.925),
        (-0.81221, -0.41096, 4.47902, -319.243, -0.211, -247.093),
        (-0.81393, -0.00202, 4.48085, -253.084, -0.059, -313.160),
        (-0.80923, 0.40592, 4.47886, -278.170, -0.162, -288.322),
    ]
)
"""Of each bank: position x, y, z of its centre, m, and its turns about y, z and again y, degrees, outermost first."""

COLUMN_OF_BANK = np.repeat(np.arange(1, 13, dtype=np.int32), [5, 5, *[3] * 10])
"""Column (1 to 12, SA to SL in the definition, in the order of falling scattering angle) that a bank stands in."""

PANELS = Panels(("",), columns=1, rows=len(BANKS), gap=0.01, modules=tuple(str(n + 1) for n in range(len(BANKS))))
"""For pictures: the banks one above the other, so that the scattering angle falls upwards."""


def powgen_layout() -> PixelLayout:
    """Bank, column and row of every pixel, in ascending order of id."""
    bank, column, row = np.unravel_index(np.arange(len(BANKS) * COLUMNS * ROWS), (len(BANKS), COLUMNS, ROWS))
    return PixelLayout(
        module=bank.astype(np.int16),
        x=column.astype(np.int16),
        y=row.astype(np.int16),
        columns=COLUMNS,
        rows=ROWS,
        panels=PANELS,
    )


def powgen_detid() -> IntArray:
    """int32[n]: detector ids, ascending."""
    own = np.arange(COLUMNS * ROWS, dtype=np.int32)
    return (IDS_PER_BANK * np.arange(len(BANKS), dtype=np.int32)[:, None] + own).reshape(-1)


def powgen_geometry(layout: PixelLayout, l1: float = L1) -> Geometry:
    """Distance and angles of every pixel.

    Args:
        layout: Of the pixels, from `powgen_layout`.
        l1: Moderator to sample, m.
    """
    x, y, z = _positions().T
    across = np.hypot(x, y)
    l2 = np.hypot(across, z)
    return Geometry(
        detid=powgen_detid(),
        l1=l1,
        l2=l2,
        two_theta=np.arctan2(across, z),
        azimuth=np.arctan2(y, x),
        layout=layout,
        instrument=DEFINITION,
    )


def _positions() -> FloatArray:
    """float64[n, 3]: x, y, z of each pixel, m."""

    across = COLUMN_WIDTH * (np.arange(COLUMNS) - (COLUMNS - 1) / 2)
    up = ROW_HEIGHT * (np.arange(ROWS) - (ROWS - 1) / 2)
    in_bank = np.stack([np.repeat(across, ROWS), np.tile(up, COLUMNS), np.zeros(COLUMNS * ROWS)], axis=1)
    first, middle, last = np.radians(BANKS[:, 3:]).T
    turns = _about_y(first) @ _about_z(middle) @ _about_y(last)
    return (np.einsum("bij,pj->bpi", turns, in_bank) + BANKS[:, None, :3]).reshape(-1, 3)


def _about_y(angle: FloatArray) -> FloatArray:
    """float64[n, 3, 3]: turns about y."""
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.array([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]]).transpose(2, 0, 1)


def _about_z(angle: FloatArray) -> FloatArray:
    """float64[n, 3, 3]: turns about z."""
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]).transpose(2, 0, 1)
