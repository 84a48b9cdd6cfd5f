"""The self-test as a user of Workbench runs it: all is well in this Mantid."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mantid")

from mantid.api import AlgorithmManager

from snapcal_workbench.algorithms import mantid_self_test
from snapcal_workbench.self_test.page import make_page


def test_all_is_well_in_this_mantid(tmp_path: Path) -> None:
    mantid_self_test.register(make_page)
    algorithm = AlgorithmManager.createUnmanaged("SnapCalSelfTest")
    algorithm.initialize()
    algorithm.setRethrows(True)
    algorithm.setProperty("Filename", str(tmp_path / "page.txt"))
    algorithm.execute()
    page = algorithm.getPropertyValue("Page")
    assert (tmp_path / "page.txt").read_text(encoding="utf-8") == page + "\n"
    assert algorithm.getProperty("Failures").value == 0, page
