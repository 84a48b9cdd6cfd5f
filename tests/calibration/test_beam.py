"""Modules that are turned far away: they say nothing of where they are until their pixels are aligned."""

from __future__ import annotations

from functools import partial

import numpy as np

from snapcal_workbench.calibration.beam import examine, look_again
from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, ParticleBounds, PixelMask, Resolution
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.progress import Progress
from tests.synthetic_modules import reflections
from tests.synthetic_pixels import WINDOW, cubic_sample, one_group, panel, simulate

WIDTH = 0.004
RESOLUTION = Resolution(0.0028, 0.005, 0.002, 15.0, 0.5, (0.005, 0.005, 0.002), with_solid_angle=False)
BOUNDS = ParticleBounds(0.5, 3.6, WINDOW.minimum, WINDOW.maximum)


def test_a_module_on_wrong_peaks_is_masked_once_its_pixels_are_aligned_with_each_other() -> None:
    """Two modules, one of them 16 % off at its middle and 3 % more or less at its edges."""
    geometry = panel(2, 16)
    turned = np.arange(len(geometry)) >= len(geometry) // 2
    off = np.zeros(len(geometry))
    off[turned] = np.linspace(0.13, 0.19, np.count_nonzero(turned))
    width, rng = np.full(len(geometry), WIDTH), np.random.default_rng(7)
    events = simulate(geometry, cubic_sample(5.43123, 0.5), geometry.difc * np.exp(off), width, 600, rng)
    grouping, _ = one_group(geometry, WIDTH)
    told: list[str] = []
    table, mask = DiffCalTable.from_geometry(geometry), PixelMask.none(geometry.detid)
    again = partial(
        look_again,
        events=events,
        grouping=grouping,
        mask=mask,
        reflections=reflections("silicon"),
        resolution=RESOLUTION,
        bounds=BOUNDS,
        options=CalibrationOptions(),
        progress=Progress(on_message=lambda _, text: told.append(text)),
    )
    before = examine(table=table, calibrant="silicon", **again.keywords)
    assert [cell.finding for cell in before.findings.cells] == ["stays", "cannot tell"]
    aligned = DiffCalTable(
        table.detid, table.difc * np.exp(np.where(off > 0, off - 0.16, 0.0)), table.difa, table.tzero
    )
    findings, after = again(before.findings, table=aligned)
    assert [cell.finding for cell in findings.cells] == ["stays", "lost"]
    np.testing.assert_array_equal(after.reason == MaskReason.NOT_ON_PATTERN, turned)
    assert any("Module 2" in text for text in told)
    right = DiffCalTable(table.detid, table.difc * np.exp(off), table.difa, table.tzero)
    findings, after = again(before.findings, table=right)
    assert not after.masked.any()
