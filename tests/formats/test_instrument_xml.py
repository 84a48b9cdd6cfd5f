"""An instrument definition puts every pixel where the geometry says."""

from __future__ import annotations

import defusedxml.ElementTree as ElementTree
import numpy as np

from snapcal_workbench.calibration.types import Geometry
from snapcal_workbench.formats.instrument_xml import instrument_definition

SPACE = {"m": "http://www.mantidproject.org/IDF/1.0"}
IDS = np.array([0, 1, 2, 7, 8, 20], np.int32)


def geometry() -> Geometry:
    rng = np.random.default_rng(2)
    n = len(IDS)
    return Geometry(IDS, 15.0, rng.uniform(0.4, 0.7, n), rng.uniform(0.5, 2.6, n), rng.uniform(-3, 3, n), None, 'a"&<b')


def test_positions_give_distance_and_angles_back() -> None:
    root = ElementTree.fromstring(instrument_definition(geometry()))
    places = root.findall("m:type[@name='pixels']/m:component/m:location", SPACE)
    x, y, z = np.array([[float(place.get(axis)) for axis in "xyz"] for place in places]).T
    wanted = geometry()
    np.testing.assert_allclose(np.sqrt(x * x + y * y + z * z), wanted.l2, rtol=1e-15)
    np.testing.assert_allclose(np.arctan2(np.hypot(x, y), z), wanted.two_theta, rtol=1e-14)
    np.testing.assert_allclose(np.arctan2(y, x), wanted.azimuth, rtol=1e-14)


def test_ids_are_those_of_the_pixels_in_order() -> None:
    root = ElementTree.fromstring(instrument_definition(geometry()))
    ranges = [(int(i.get("start")), int(i.get("end"))) for i in root.findall("m:idlist/m:id", SPACE)]
    assert ranges == [(0, 2), (7, 8), (20, 20)]


def test_source_sample_and_name() -> None:
    root = ElementTree.fromstring(instrument_definition(geometry()))
    assert root.get("name") == 'a"&<b'
    assert root.find("m:component[@type='moderator']/m:location", SPACE).get("z") == "-15.0"
    assert root.find("m:type[@is='SamplePos']", SPACE) is not None
