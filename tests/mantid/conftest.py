"""What the tests with a real Mantid share; all of them skip where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from snapcal_workbench.options import Settings

CALIBRANT = "Silicon_NIST_640d_001"
RUN = 58882
N_EVENTS = 2_000_000


@pytest.fixture(autouse=True)
def empty_list() -> Iterator[None]:
    """Each test begins and ends with an empty workspace list."""
    api = pytest.importorskip("mantid.api")
    api.FrameworkManager.Instance()
    api.AnalysisDataService.clear()
    yield
    api.AnalysisDataService.clear()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an SNS-like tree with one simulated run of silicon."""
    pytest.importorskip("mantid")
    from snapcal_workbench.cli.demo import simulate_into_tree
    from snapcal_workbench.progress import Progress

    found = simulate_into_tree(
        tmp_path_factory.mktemp("facility") / "tree",
        run=RUN,
        calibrant=CALIBRANT,
        events=N_EVENTS,
        seed=3,
        time_offset=-8.0,
        peak_shape="gaussian",
        progress=Progress(),
    )
    return Settings.load(found.config_path)


@pytest.fixture(scope="session")
def registered(simulated: Settings) -> None:
    """All algorithms in Mantid's list, with a host of the simulated facility for calls by script."""
    from snapcal_workbench.algorithms import mantid_algorithms
    from snapcal_workbench.hosts.mantid_host import MantidHost
    from snapcal_workbench.manifest import load_object, read_manifest

    host = MantidHost(simulated)
    for entry in read_manifest().algorithms:
        mantid_algorithms.register(entry.name, partial(load_object, entry.object), lambda: host)
