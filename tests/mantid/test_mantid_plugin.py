"""What the thin file does: everything is registered, and a broken part takes nothing else with it."""

from __future__ import annotations

import pytest

pytest.importorskip("mantid")

from mantid.api import AlgorithmFactory, AlgorithmManager

from snapcal_workbench import plugin
from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.manifest import AlgorithmEntry, read_manifest


def test_all_algorithms_are_registered() -> None:
    plugin.register()
    assert all(AlgorithmFactory.exists(name) for name in ALGORITHMS)
    plugin.register()
    for name in ALGORITHMS:
        AlgorithmManager.createUnmanaged(name).initialize()


def test_a_broken_entry_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest()
    broken = AlgorithmEntry(name="BrokenCalibration", object="snapcal_workbench.no_such_module:ALGORITHM")
    changed = manifest.model_copy(update={"algorithms": (broken, *manifest.algorithms), "start": ("no.module:add",)})
    monkeypatch.setattr(plugin, "read_manifest", lambda: changed)
    plugin.register()
    assert AlgorithmFactory.exists("PixelDiffCal")
    with pytest.raises(Exception, match="no_such_module"):
        AlgorithmManager.createUnmanaged("BrokenCalibration").initialize()


def test_a_panel_that_cannot_be_opened_is_reported_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = read_manifest().interface.model_copy(update={"object": "snapcal_workbench.no_such_module:show"})
    monkeypatch.setattr(plugin, "read_manifest", lambda: read_manifest().model_copy(update={"interface": interface}))
    assert plugin.open_panel() is None


def test_the_host_of_a_process_with_mantid_is_mantid_s() -> None:
    assert default_host().name == "mantid"
    assert default_host() is default_host()
