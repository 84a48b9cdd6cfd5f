"""On a real X server the panel shows something in every tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.image import imread

from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.screenshots import TABS

pytestmark = pytest.mark.one_binding


@pytest.fixture
def display() -> Iterator[str]:
    """A display of an X server of the test's own."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed")
    reader, writer = os.pipe()
    command = [server, "-displayfd", str(writer), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()
        yield f":{number}"
        process.terminate()


def test_every_tab_shows_something_on_a_real_display(display: str, worked: SimulatedTree, tmp_path: Path) -> None:
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.panel.screenshots", str(worked.config_path), str(tmp_path / "shots")]
    subprocess.run(command, env=environment, check=True, timeout=240, cwd=Path(__file__).parents[2])
    pictures = {name: imread(tmp_path / "shots" / f"{name}.png") for name in TABS}
    for name, picture in pictures.items():
        assert picture.shape[0] >= 800, name
        results = picture[150:500, 400:1000, :3]
        assert results.std() > 0.02, name  # not an empty plot
    for name in ("spectra", "facility"):
        light, dark = (imread(tmp_path / "shots" / f"{name}{end}.png")[..., :3] for end in ("", "-dark"))
        assert dark.mean() < 0.5 < light.mean(), name
