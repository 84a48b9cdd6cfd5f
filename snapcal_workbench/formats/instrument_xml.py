"""Mantid's instrument definition (XML) of any set of pixels: each at its place, none on a grid.

z runs along the beam, y up; the sample is at 0, the source at -L1. Each pixel is a small sphere, so that Mantid's
instrument view shows it from every side.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import numpy as np

from snapcal_workbench.calibration.types import Geometry, IntArray

PIXEL_RADIUS = 0.002
"""Radius of the sphere that stands for a pixel, m."""

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<instrument xmlns="http://www.mantidproject.org/IDF/1.0" name={name} valid-from="1900-01-31 23:59:59" \
valid-to="2100-01-31 23:59:59" last-modified="2024-01-01 00:00:00">
<defaults>
<length unit="meter"/>
<angle unit="degree"/>
<reference-frame>
<along-beam axis="z"/>
<pointing-up axis="y"/>
<handedness val="right"/>
</reference-frame>
</defaults>
<component type="moderator">
<location z="{source}"/>
</component>
<type name="moderator" is="Source"/>
<component type="sample-position">
<location y="0.0" x="0.0" z="0.0"/>
</component>
<type name="sample-position" is="SamplePos"/>
<component type="pixels" idlist="pixels">
<location/>
</component>
<type name="pixels">
<component type="pixel">
"""

_TAIL = """</component>
</type>
<type name="pixel" is="detector">
<sphere id="shape">
<centre x="0.0" y="0.0" z="0.0"/>
<radius val="{radius}"/>
</sphere>
<algebra val="shape"/>
</type>
<idlist idname="pixels">
{ids}</idlist>
</instrument>
"""


def instrument_definition(geometry: Geometry) -> str:
    """The definition of an instrument whose pixels are those of `geometry`, to the last digit."""
    across = geometry.l2 * np.sin(geometry.two_theta)
    x = across * np.cos(geometry.azimuth)
    y = across * np.sin(geometry.azimuth)
    z = geometry.l2 * np.cos(geometry.two_theta)
    places = "".join(
        f'<location x="{a!r}" y="{b!r}" z="{c!r}" name="pixel{i}"/>\n'
        for i, a, b, c in zip(geometry.detid.tolist(), x.tolist(), y.tolist(), z.tolist(), strict=True)
    )
    head = _HEAD.format(name=quoteattr(geometry.instrument or "pixels"), source=repr(-float(geometry.l1)))
    return head + places + _TAIL.format(radius=PIXEL_RADIUS, ids=_id_ranges(geometry.detid))


def _id_ranges(detid: IntArray) -> str:
    """The ids in as few ranges as there are gaps between them."""
    if len(detid) == 0:
        return ""
    cuts = np.flatnonzero(np.diff(detid) != 1) + 1
    parts = np.split(detid, cuts)
    return "".join(f'<id start="{part[0]}" end="{part[-1]}"/>\n' for part in parts)
