"""Mantid itself finds the plugin after install, and no longer after uninstall."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mantid")

import snapcal_workbench
from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.installation import KEY, plan_install, plan_uninstall, plugin_folder, user_properties

PACKAGE = Path(snapcal_workbench.__file__).parent
CODE = f"""
from mantid.kernel import ConfigService
import mantid.simpleapi as sapi
print("properties", ConfigService.getUserFilename())
print("folders", ConfigService["{KEY}"])
print("algorithms", *[name for name in {list(ALGORITHMS)!r} if hasattr(sapi, name)])
"""


def in_new_mantid(home: Path) -> dict[str, str]:
    """What a Mantid that is started anew, with this home, says."""
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {key: value for key, _, value in lines if key in ("properties", "folders", "algorithms")}


def test_installed_and_uninstalled_as_mantid_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = in_new_mantid(tmp_path)
    assert Path(before["properties"]) == user_properties()
    assert before["algorithms"] == ""
    plan_install(user_properties()).apply()
    during = in_new_mantid(tmp_path)
    assert str(plugin_folder()) in during["folders"]
    assert during["algorithms"].split() == list(ALGORITHMS)
    plan_uninstall(user_properties()).apply()
    assert in_new_mantid(tmp_path)["algorithms"] == ""
