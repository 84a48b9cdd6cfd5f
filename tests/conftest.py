"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.workspaces.protocol import RunRequest
from tests.hostile import IN_A_PATH, MARKUP, make_hostile_tree
from tests.support import Demo, copy_tree, run_snapcal


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of the measured reference data; the test skips where SNAPCAL_REFERENCE_DATA does not name one."""
    folder = os.environ.get("SNAPCAL_REFERENCE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SNAPCAL_REFERENCE_DATA does not name the folder of the measured reference data")
    return Path(folder)


def pytest_configure(config: pytest.Config) -> None:
    """Let property tests try the same examples every time, so that a failure is the change's; `-m` tries new ones."""
    settings.register_profile("same", derandomize=True, deadline=None)
    settings.register_profile("new", deadline=None)
    settings.load_profile("new" if config.getoption("-m") else "same")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless a marker expression asks for them."""
    if config.getoption("-m"):
        return
    kept = [item for item in items if "long" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
    items[:] = kept


@pytest.fixture(scope="session")
def small_tree_template(tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree with a simulated silicon run of two million events and no state; not to be changed."""
    directory = tmp_path_factory.mktemp("small") / "tree"
    simulate_into_tree(
        directory,
        run=58882,
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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demonstration, run once as a newcomer runs it."""
    directory = tmp_path_factory.mktemp("demo") / "snapcal-demo"
    finished = run_snapcal("demo", "--directory", str(directory), timeout=600.0)
    return Demo(SimulatedTree(directory), finished)


@pytest.fixture(scope="session")
def calibrated_tree(small_tree_template: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree with an initialised state and two iterations: one DIFC a group, then TZERO too; not to be changed."""
    tree = copy_tree(small_tree_template, tmp_path_factory.mktemp("calibrated") / "tree")
    state = identify_run(RunRequest(("58882",), SNAP.lite), tree.settings).state
    init_state(tree.settings, state, name="test", run_number="58882", author="tester", progress=Progress())
    session = Session(EmbeddedHost(tree.settings))
    request = session.new_request(runs=("58882",), calibrant="Silicon_NIST_640d_001", grouping="Column")
    quick: dict[str, object] = {
        "groups.method": "peaks",
        "groups.model": "DIFC",
    }  # half the time, for all tests that go on from here
    session.calibrate(request.changed(quick), Progress(), report=False)
    session.iterate({"groups.model": "DIFC+TZERO"}, Progress(), report=False)
    assert session.remarks() == []
    names = session.host.workspaces.names()
    assert {"diffract_consts_058882", "diffract_consts_058882_01", "diagnostic_column_058882_fitparam_01"} <= set(names)
    session.close()
    return tree


@pytest.fixture(scope="session")
def hostile(small_tree_template: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree below a hostile path, full of hostile text."""
    found = copy_tree(small_tree_template, tmp_path_factory.mktemp("hostile") / IN_A_PATH)
    make_hostile_tree(found)
    (found.directory / "occupied").write_text("a file where a folder is expected")
    (found.directory / "properties").write_text(f"facility = {MARKUP}\n")
    return found
