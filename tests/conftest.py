"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of the measured reference data; the test skips where SNAPCAL_REFERENCE_DATA does not name one."""
    folder = os.environ.get("SNAPCAL_REFERENCE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SNAPCAL_REFERENCE_DATA does not name the folder of the measured reference data")
    return Path(folder)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless a marker expression asks for them."""
    if config.getoption("-m"):
        return
    kept = [item for item in items if "long" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
    items[:] = kept
