"""Of what else is in the beam the last repetition warns: it sees the sharpest peaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapcal_workbench.calibration.accounting import other_phases
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.sample import SampleState
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_init import init_state
from tests.synthetic_modules import foreign


@pytest.mark.long
def test_the_warnings_of_other_phases_are_those_of_the_last_repetition(tmp_path: Path) -> None:
    simulate_into_tree(
        tmp_path / "tree",
        run=58882,
        calibrant="Silicon_NIST_640d_001",
        events=2_000_000,
        seed=7,
        time_offset=-8.0,
        peak_shape="gaussian",
        sample=SampleState(foreign=(foreign("lead", 0.5),)),
        progress=Progress(),
    )
    settings = SimulatedTree(tmp_path / "tree").settings
    state = identify_run(RunRequest(("58882",), SNAP.lite), settings).state
    init_state(settings, state, name="test", run_number="58882", author="tester", progress=Progress())
    session = Session(EmbeddedHost(settings))
    request = session.new_request(runs=("58882",), calibrant="Silicon_NIST_640d_001", grouping="Column")
    quick: dict[str, object] = {"groups.method": "peaks", "groups.model": "DIFC", "groups.repeats": 2}
    told: list[tuple[str, str]] = []
    progress = Progress(on_message=lambda level, text: told.append((level, text)))
    iteration = session.calibrate(request.changed({**quick, "groups.tolerance": 1e-9}), progress, report=False)
    session.close()
    first, last = (other_phases(step.foreign) for step in iteration.account.group_steps)
    assert any("lead" in text for text in last)
    assert first != last, "or the test says nothing"
    assert [text for text in iteration.warnings if text in {*first, *last}] == last
    assert all(("information", text) in told for text in first)
