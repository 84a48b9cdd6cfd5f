"""A tree of thirty states as SNAPRed writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapcal_workbench.options import Settings
from tests.facility.snapred_tree import SnapredState, thirty_states


def settings_of(root: Path) -> Settings:
    """Settings of a tree in a folder."""
    return Settings(
        ipts_root=root / "SNS",
        calibration_home=root / "cal",
        lock_directory=root / "locks",
        session_directory=root / "state" / "session",
    )


@pytest.fixture(scope="session")
def snapred_states(tmp_path_factory: pytest.TempPathFactory) -> list[SnapredState]:
    """Thirty states with three versions each and no tables; not to be changed."""
    states = thirty_states(settings_of(tmp_path_factory.mktemp("thirty")))
    for state in states:
        state.write(3, data=False)
    return states
