"""A geometry that another program knows gets what only SNAP's definition tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.instrument.known import completed
from snapcal_workbench.instrument.snap.geometry import snap_geometry


@pytest.mark.parametrize("lite", [False, True])
def test_layout_and_solid_angle_follow_from_the_distances(lite: bool) -> None:
    known = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=lite)
    found = completed(replace(known, layout=None, solid_angle=None, instrument="other"))
    assert found.layout is not None
    assert known.layout is not None
    assert found.layout.columns == known.layout.columns
    np.testing.assert_array_equal(found.layout.module, known.layout.module)
    assert found.solid_angle is not None
    assert known.solid_angle is not None
    np.testing.assert_allclose(found.solid_angle, known.solid_angle, rtol=1e-12)
    assert found.instrument == known.instrument


def test_other_pixels_stay_as_they_are() -> None:
    other = Geometry(np.arange(5, dtype=np.int32), 15.0, np.ones(5), np.ones(5), np.zeros(5))
    assert completed(other) is other
