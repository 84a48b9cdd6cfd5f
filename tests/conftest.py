"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree


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


SMALL_RUN = 58882
"""Run number of the small simulated run."""


@pytest.fixture(scope="session")
def small_tree_template(tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree with a simulated silicon run of two million events and no state; not to be changed."""
    directory = tmp_path_factory.mktemp("small") / "tree"
    simulate_into_tree(
        directory,
        run=SMALL_RUN,
        calibrant="Silicon_NIST_640d_001",
        events=2_000_000,
        seed=7,
        time_offset=-8.0,
        peak_shape="gaussian",
        progress=Progress(),
    )
    return SimulatedTree(directory)


@pytest.fixture
def small_tree(small_tree_template: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A copy of the small tree of the test's own."""
    return copy_tree(small_tree_template, tmp_path / "tree")


def copy_tree(tree: SimulatedTree, directory: Path) -> SimulatedTree:
    """A copy of a simulated tree; the runs are hard links, since nothing ever writes to them."""
    shutil.copytree(tree.directory, directory, copy_function=_link_runs)
    return SimulatedTree(directory)


def _link_runs(source: str, target: str) -> None:
    if source.endswith(".nxs.h5"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


Snapcal = Callable[..., Finished]


def run_snapcal(*arguments: str, config: Path | None = None, timeout: float = 300.0) -> Finished:
    """Run `snapcal` in a process of its own."""
    given: Sequence[str] = ["--config", str(config), *arguments] if config else arguments
    command = [sys.executable, "-m", "snapcal_workbench.cli", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Demo:
    """A finished demonstration."""

    tree: SimulatedTree
    finished: Finished


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demonstration, run once as a newcomer runs it."""
    directory = tmp_path_factory.mktemp("demo") / "snapcal-demo"
    finished = run_snapcal("demo", "--directory", str(directory), timeout=600.0)
    return Demo(SimulatedTree(directory), finished)
