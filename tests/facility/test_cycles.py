"""Beam cycles: from the settings or the instrument parameters, and what they do to the choice of a version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.instrument.cycles import beyond_cycle, cycle_of, known_cycles
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import BeamCycle, Settings
from snapcal_workbench.session.versions import described_versions
from snapcal_workbench.store.listing import versions_of_state
from snapcal_workbench.store.state_store import StateStore
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import PARAMETERS, SnapredState, state_at
from tests.support import version_for

A, B = BeamCycle(name="2024-A", first_run=58000), BeamCycle(name="2024-B", first_run=58830, last_run=58900)


@pytest.fixture
def state(tmp_path: Path) -> SnapredState:
    """A state with versions of runs 58820 (cycle A) and 58830 (cycle B)."""
    found = SnapredState(settings_of(tmp_path), state_at(), "two cycles")
    found.write(2, data=False)
    return found


def with_rule(state: SnapredState, rule: str) -> StateStore:
    """The versions of the state under a rule."""
    settings = state.settings.model_copy(update={"cycles": (A, B), "beyond_cycle": rule})
    return StateStore(settings, state.state.state_id, SNAP.lite)


@pytest.mark.parametrize(
    ("run", "name"), [(57999, None), (58000, "2024-A"), (58829, "2024-A"), (58830, "2024-B"), (58901, None)]
)
def test_a_run_is_of_the_cycle_that_has_begun_and_not_ended(run: int, name: str | None) -> None:
    found = cycle_of((A, B), run)
    assert (found.name if found else None) == name


def test_the_rule_decides_whether_a_version_counts_beyond_its_cycle(state: SnapredState) -> None:
    with_rule(state, "allow").retire(2, "bad", "tester")
    assert version_for(with_rule(state, "allow"), 58850) == 1
    assert version_for(with_rule(state, "warn"), 58850) == 1
    assert version_for(with_rule(state, "refuse"), 58850) == 0, "the default is of no cycle"
    assert version_for(with_rule(state, "refuse"), 58825) == 1


def test_the_warning_says_both_runs_and_both_cycles(state: SnapredState) -> None:
    store = with_rule(state, "warn")
    store.retire(2, "bad", "tester")
    told = versions_of_state(store.settings, state.state.state_id, SNAP.lite, run=58850)["problems"]
    assert told[-1] == (
        "Version 1 counts beyond its cycle: it was made with run 58820 of cycle 2024-A, "
        "and run 58850 is of cycle 2024-B."
    )
    assert versions_of_state(store.settings, state.state.state_id, SNAP.lite, run=58825)["problems"] == []
    assert beyond_cycle(with_rule(state, "allow").settings, "58820", 58850) == ""
    assert beyond_cycle(store.settings, "58820", 59000) == "", "of a run in no known cycle nothing is said"


def test_without_a_table_the_instrument_parameters_tell(state: SnapredState) -> None:
    folder = state.settings.instrument_parameters
    for version, first in ((0, 50000), (1, 58830)):
        cycle = {"cycleID": f"cycle {version}", "startDate": "2024-01-01", "stopDate": "", "firstRun": first}
        path = folder / f"v_{version:04d}" / f"{folder.name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(PARAMETERS | {"cycle": cycle}))
    (folder / "v_0002").mkdir()
    (folder / "v_0002" / f"{folder.name}.json").write_text("{")
    assert [(cycle.name, cycle.first_run) for cycle in known_cycles(state.settings)] == [
        ("cycle 0", 50000),
        ("cycle 1", 58830),
    ]


def test_the_table_is_read_from_the_settings_file_and_shown(tmp_path: Path) -> None:
    config = tmp_path / "snapcal.toml"
    config.write_text(
        'ipts_root = "SNS"\nbeyond_cycle = "refuse"\n'
        '[[cycles]]\nname = "2024-A"\nfirst_run = 58000\n'
        '[[cycles]]\nname = "2024-B"\nfirst_run = 58830\nlast_run = 58900\n'
    )
    assert known_cycles(Settings.load(config)) == (A, B)
    done = CliRunner().invoke(app, ["--config", str(config), "cycles", "58850", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["cycle"], found["rule"], len(found["cycles"])) == ("2024-B", "refuse", 2)
    shown = CliRunner().invoke(app, ["--config", str(config), "cycles", "58850"])
    assert "Run 58850 is of cycle 2024-B" in shown.stdout
    config.write_text('[[cycles]]\nname = "2024-A"\nfirst = 58000\n')
    wrong = CliRunner().invoke(app, ["--config", str(config), "cycles"])
    assert wrong.exit_code == 2
    assert "first_run" in wrong.stderr
    assert CliRunner().invoke(app, ["--config", str(config), "config"]).exit_code == 2


def test_before_a_save_the_effect_says_where_the_rule_cuts_it(state: SnapredState) -> None:
    told = with_rule(state, "refuse").effect("58820").sentences()
    assert "It does not count beyond its own cycle, 2024-A: the setting beyond_cycle says so." in told
    assert "It takes runs 58820 to 58829 from version 1." in told
    for rule in ("warn", "allow"):
        assert not any("cycle" in text for text in with_rule(state, rule).effect("58820").sentences())


def test_a_version_that_is_refused_is_not_said_to_be_hidden(state: SnapredState) -> None:
    def standings(rule: str) -> list[str]:
        settings = with_rule(state, rule).settings
        found = described_versions(settings, state.state.state_id, SNAP.lite, run=58850)
        return [item["standing"] for item in sorted(found["versions"], key=lambda item: item["version"])]

    assert standings("refuse") == ["hidden by version 2", "of another cycle", "used for this run"]
    assert standings("warn") == ["hidden by version 2", "hidden by version 2", "used for this run"]
