"""A calibration for other states with the same detector position."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.facility.propagate import propagate
from snapcal_workbench.facility.states import list_states
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.verify import verify_tree
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import SnapredState, state_at
from tests.support import version_for


@pytest.fixture
def states(tmp_path: Path) -> list[SnapredState]:
    """A calibrated state, two of the same detector position at other wavelengths, and one of another position."""
    settings = settings_of(tmp_path)
    found = [
        SnapredState(settings, state_at(wavelength=2.1), "short"),
        SnapredState(settings, state_at(wavelength=4.2), "twice"),
        SnapredState(settings, state_at(wavelength=6.4), "long"),
        SnapredState(settings, state_at(arc1=-90.0, wavelength=2.1), "elsewhere"),
    ]
    found[0].write(2, shift=lambda version, mode: np.full(mode.n_pixels, 1e-3 * version))
    for state in found[1:]:
        state.write(0)
    return found


def reference(states: list[SnapredState]) -> str:
    """The version that is propagated."""
    return f"{states[0].state.state_id}/2"


def store(state: SnapredState) -> StateStore:
    """The versions of a state."""
    return StateStore(state.settings, state.state.state_id, SNAP.lite)


def test_all_states_of_the_same_position_get_the_same_table(states: list[SnapredState]) -> None:
    done = propagate(states[0].settings, reference(states), same_arcs=True, author="tester")
    assert {item.state_id for item in done} == {state.state.state_id for state in states[1:3]}
    assert [item.version for item in done] == [1, 1]
    source = store(states[0]).read(2)
    for state in states[1:3]:
        found = store(state).read(1)
        assert found.table.difc.tobytes() == source.table.difc.tobytes()
        assert np.array_equal(found.mask.masked, source.mask.masked)
        assert version_for(store(state), state.run(5)) == 1, "it applies to the runs that the source applies to"
    assert [entry.version for entry in store(states[3]).entries()] == [0]
    assert [str(f) for f in verify_tree(states[0].settings, None) if "v_0001" in str(f.path)] == [], "nothing is wrong"


def test_the_record_says_where_it_came_from_and_what_it_adds(states: list[SnapredState]) -> None:
    (done,) = propagate(states[0].settings, reference(states), to=[states[1].state.state_id], author="tester")
    record = json.loads((states[1].home / "v_0001" / "CalibrationRecord.json").read_text())
    told = record["snapcalWorkbench"]["provenance"]["propagated"]
    assert (told["from"], told["fromWavelength"], told["toWavelength"]) == (reference(states), 2.1, 4.2)
    assert told["addedUncertainty"] == pytest.approx(1e-6 * done.added_ppm)
    assert told["fromEntry"] == states[0].entry(2)
    assert record["calculationParameters"]["instrumentState"]["id"]["hex"] == states[1].state.state_id
    source = json.loads((states[0].home / "v_0002" / "CalibrationRecord.json").read_text())
    for name in ("crystalInfo", "focusGroupCalibrationMetrics"):
        assert record[name] == source[name], "SNAPRed needs them to read the record"
    assert set(record["workspaces"]) == {"diffCalTable", "diffCalMask"}
    assert "Propagated from" in record["indexEntry"]["comments"]


def test_what_it_adds_is_the_time_zero_that_was_not_fitted(states: list[SnapredState]) -> None:
    """By hand: a pulse of 0.002 TOF at 2.1 A, of which DIFC took what belongs at 4.2 A to half the TOF."""
    (twice,) = propagate(states[0].settings, reference(states), to=[states[1].state.state_id], author="t", dry_run=True)
    bounds = [state.state.bounds for state in states[:2]]
    tof = [0.5 * (b.tof_min + b.tof_max) for b in bounds]
    assert twice.terms_ppm is not None
    assert twice.terms_ppm["time zero"] == pytest.approx(2000.0 * (1.0 - tof[0] / tof[1]))
    assert twice.terms_ppm["position"] == pytest.approx(0.0, abs=1e-9)
    rise = [math.exp(0.7) * wavelength for wavelength in (2.1, 4.2)]
    decay = [math.exp(1.9) * wavelength**1.2 for wavelength in (2.1, 4.2)]
    pulse = (rise[1] + decay[1] - rise[0] - decay[0]) / tof[1]
    assert twice.terms_ppm["pulse"] == pytest.approx(1e6 * pulse)
    assert twice.added_ppm == pytest.approx(math.hypot(*twice.terms_ppm.values()))


def test_a_dry_run_changes_nothing_and_says_which_runs_it_would_take(states: list[SnapredState]) -> None:
    before = sorted(path for path in states[0].settings.calibration_home.rglob("*"))
    done = propagate(states[0].settings, reference(states), same_arcs=True, author="tester", dry_run=True)
    assert sorted(path for path in states[0].settings.calibration_home.rglob("*")) == before
    assert all(item.version is None and item.effect for item in done)


def test_what_was_propagated_already_is_told_as_which_version(states: list[SnapredState]) -> None:
    target = [states[2].state.state_id]
    (first,) = propagate(states[0].settings, reference(states), to=target, author="tester")
    (planned,) = propagate(states[0].settings, reference(states), to=target, author="tester", dry_run=True)
    (again,) = propagate(states[0].settings, reference(states), to=target, author="tester")
    assert "saved already" not in " ".join(first.effect)
    assert planned.effect[0] == again.effect[0] == "It is saved already, as version 1."
    assert again.version == 2
    for version in (1, 2):
        store(states[2]).retire(version, "measured since", "tester")
    (anew,) = propagate(states[0].settings, reference(states), to=target, author="tester", dry_run=True)
    assert "saved already" not in " ".join(anew.effect), "a retired one is no reason not to"


def test_it_is_undone_by_retire(states: list[SnapredState]) -> None:
    propagate(states[0].settings, reference(states), to=[states[2].state.state_id], author="tester")
    store(states[2]).retire(1, "measured since", "tester")
    assert version_for(store(states[2]), states[2].run(5)) == 0
    (row,) = [row for row in list_states(states[0].settings, SNAP.lite) if row.state_id == states[2].state.state_id]
    assert (row.versions, row.retired) == (0, 1)


def test_the_table_of_states_does_not_take_it_for_measured(states: list[SnapredState]) -> None:
    (done,) = propagate(states[0].settings, reference(states), to=[states[2].state.state_id], author="tester")
    (row,) = [row for row in list_states(states[0].settings, SNAP.lite) if row.state_id == done.state_id]
    assert row.verdict == "propagated"
    assert f"{done.added_ppm:.0f} ppm" in row.verdict_text
    assert reference(states) in row.verdict_text


@pytest.mark.parametrize("target", ["nonsense", "no/such/file.nxs.h5"])
def test_a_target_that_is_no_state_is_refused_before_anything_is_saved(states: list[SnapredState], target: str) -> None:
    with pytest.raises(InputError, match="by its id or by one of its runs"):
        propagate(states[0].settings, reference(states), to=[states[2].state.state_id, target], author="tester")
    assert len(store(states[2]).folders()) == 1, "the default alone"


def test_one_state_that_cannot_take_it_stops_no_other(states: list[SnapredState]) -> None:
    targets = [states[3].state.state_id, "0123456789abcdef", states[1].state.state_id, states[0].state.state_id]
    done = propagate(states[0].settings, reference(states), to=targets, author="tester")
    assert "same detector position" in done[0].why_not
    assert "det_arc1 -65.3 and -90" in done[0].why_not
    assert "does not tell" in done[1].why_not
    assert (done[2].version, done[2].why_not) == (1, "")
    assert "of this state already" in done[3].why_not


def test_what_cannot_be_a_source_is_refused(states: list[SnapredState]) -> None:
    settings, target = states[0].settings, states[1].state.state_id
    with pytest.raises(InputError, match="default"):
        propagate(settings, f"{states[0].state.state_id}/0", to=[target], author="t")
    with pytest.raises(NotFoundError):
        propagate(settings, f"{states[0].state.state_id}/9", to=[target], author="t")
    with pytest.raises(InputError, match="one by one"):
        propagate(settings, reference(states), author="t")
    propagate(settings, reference(states), to=[target], author="t")
    with pytest.raises(InputError, match="in which it was measured"):
        propagate(settings, f"{target}/1", to=[states[2].state.state_id], author="t")
    store(states[0]).retire(2, "bad", "t")
    with pytest.raises(InputError, match="retired"):
        propagate(settings, reference(states), to=[target], author="t")


def test_the_shell_shows_and_does_it(states: list[SnapredState]) -> None:
    where = ["--set", f"calibration_home={states[0].settings.calibration_home}"]
    arguments = [*where, "propagate", reference(states), "--same-arcs", "--author", "tester"]
    shown = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert states[1].state.state_id in shown.stdout
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert [item["version"] for item in json.loads(done.stdout)] == [1, 1]
    failed = CliRunner().invoke(app, [*where, "propagate", reference(states), "--to", states[3].state.state_id])
    assert failed.exit_code == 6
    assert "same detector position" in failed.stdout + failed.stderr


def test_the_shell_shows_where_a_propagated_version_comes_from_and_what_it_adds(states: list[SnapredState]) -> None:
    (done,) = propagate(states[0].settings, reference(states), to=[states[1].state.state_id], author="tester")
    where = ["--set", f"calibration_home={states[0].settings.calibration_home}"]
    shown = CliRunner().invoke(app, [*where, "show", f"{done.state_id}/1"])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    assert f"Propagated from {reference(states)}" in text
    assert f"adds {done.added_ppm:.0f} ppm to the uncertainty" in text
    assert "strain (ppm)" in text


def test_the_shell_says_which_version_applies_to_the_runs_of_a_retired_one(states: list[SnapredState]) -> None:
    state_id, settings = states[0].state.state_id, states[0].settings
    where = [
        "--set",
        f"calibration_home={settings.calibration_home}",
        "--set",
        f"lock_directory={settings.lock_directory}",
    ]
    for command, says in (("retire", "on use version 1 now, instead of version 2."), ("unretire", "version 2 now")):
        done = CliRunner().invoke(app, [*where, command, f"{state_id}/2", "--reason", "a test"])
        assert done.exit_code == 0, done.output
        assert says in " ".join(done.stdout.split())
