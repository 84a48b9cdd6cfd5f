"""The Qt binding that the product asks for can be trusted with a window that stays open for days."""

from __future__ import annotations

from snapcal_workbench.panel.binding import lost_references, require_sound_binding


def test_signals_keep_the_references_of_singletons(qtbot) -> None:
    assert lost_references() < 10
    require_sound_binding()
