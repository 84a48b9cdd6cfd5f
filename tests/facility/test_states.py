"""The table of states, against trees that others wrote."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from snapcal_workbench.calibration.types import Account
from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.facility.run_states import census_path, take_census
from snapcal_workbench.facility.states import StateRow, list_states
from snapcal_workbench.facility.table import filtered_rows, sorted_rows
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_store import StateStore
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import SnapredState
from tests.support import copy_tree


@pytest.fixture(scope="module")
def rows(snapred_states: list[SnapredState]) -> list[StateRow]:
    """The table of the thirty states."""
    return list_states(snapred_states[0].settings, SNAP.lite)


def test_every_state_is_a_row_with_what_its_files_say(rows: list[StateRow], snapred_states: list[SnapredState]) -> None:
    assert [row.state_id for row in rows] == sorted(state.state.state_id for state in snapred_states)
    assert len(rows) == 30
    first = snapred_states[0]
    (row,) = [row for row in rows if row.state_id == first.state.state_id]
    assert (row.name, row.wavelength, row.arcs) == ("-65.3/104.95 at 1.8 A", 1.8, (-65.3, 104.95))
    assert row.frequency == pytest.approx(60.0, abs=1e-3)
    assert (row.versions, row.retired, row.last_version, row.last_run) == (3, 0, 3, str(first.run(3)))
    assert row.last_calibrated == first.entry(3)["timestamp"]
    assert (row.cycle, row.verdict, row.runs_since, row.damage) == ("2024-B", "", None, ())


def test_native_versions_are_counted_apart(snapred_states: list[SnapredState]) -> None:
    rows = list_states(snapred_states[0].settings, SNAP.native)
    assert len(rows) == 30
    assert {row.versions for row in rows} == {0}
    assert all("There is no version" in row.damage[0] for row in rows)


def test_a_damaged_state_hides_no_other(snapred_states: list[SnapredState], tmp_path: Path) -> None:
    shutil.copytree(snapred_states[0].settings.calibration_home, tmp_path / "cal")
    settings = settings_of(tmp_path)
    broken = [replace(state, settings=settings) for state in snapred_states[:4]]
    (broken[0].home / "CalibrationIndex.json").write_text("[{")
    (broken[1].home / "v_0003" / "CalibrationRecord.json").write_text("{")
    shutil.rmtree(broken[2].home / "v_0003")
    (broken[3].home / "v_0003" / "CalibrationParameters.json").write_text('{"instrumentState": 3}')
    rows = {row.state_id: row for row in list_states(settings, SNAP.lite)}
    told = [" ".join(rows[state.state.state_id].damage) for state in broken]
    assert len(rows) == 30
    assert [bool(row.damage) for row in rows.values()].count(True) == 4
    assert "CalibrationIndex.json" in told[0]
    assert "CalibrationRecord.json cannot be read" in told[1]
    assert "Version 3 is in the index, but its folder is missing." in told[2]
    assert "does not tell the positions" in told[3]
    assert rows[broken[0].state.state_id].versions == 3, "entries are taken from the records"
    assert rows[broken[2].state.state_id].last_version == 2


def test_retired_versions_do_not_count_as_the_last(snapred_states: list[SnapredState], tmp_path: Path) -> None:
    shutil.copytree(snapred_states[0].settings.calibration_home, tmp_path / "cal")
    settings = settings_of(tmp_path)
    state_id = snapred_states[0].state.state_id
    StateStore(settings, state_id, SNAP.lite).retire(3, "the sample had slipped", "tester")
    (row,) = [row for row in list_states(settings, SNAP.lite) if row.state_id == state_id]
    assert (row.versions, row.retired, row.last_version) == (2, 1, 2)


def test_rows_are_sorted_and_filtered(rows: list[StateRow]) -> None:
    by_wavelength = sorted_rows(rows, "wavelength", descending=True)
    assert [row.wavelength for row in by_wavelength[:4]] == [6.3, 6.3, 6.3, 5.8]
    assert len(filtered_rows(rows, ["wavelength>2.0", "wavelength<=2.8"])) == 6
    assert len(filtered_rows(rows, ["arcs=90"])) == 10
    assert len(filtered_rows(rows, ["arcs!=90"])) == 20
    assert {row.wavelength for row in filtered_rows(rows, ["name~AT 1.8"])} == {1.8}
    assert filtered_rows(rows, ["last_calibrated<2025"]) == []
    assert len(filtered_rows(rows, ["verdict!=good"])) == 30


def test_a_tree_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "not mounted")
    with pytest.raises(NotFoundError, match="no tree"):
        list_states(settings, SNAP.lite)
    settings.calibration_home.mkdir(parents=True)
    assert list_states(settings, SNAP.lite) == []


def test_rows_without_a_value_come_last_either_way() -> None:
    rows = [StateRow("a"), StateRow("b", wavelength=1.0), StateRow("c", wavelength=2.0)]
    assert [row.state_id for row in sorted_rows(rows, "wavelength")] == ["b", "c", "a"]
    assert [row.state_id for row in sorted_rows(rows, "wavelength", descending=True)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    "condition", ["wavelength", "no such>2", "nonsense=2", "wavelength>abc", "arcs!=x", "wavelength<nan"]
)
def test_a_wrong_condition_is_told(rows: list[StateRow], condition: str) -> None:
    with pytest.raises(InputError):
        filtered_rows(rows, [condition])


def test_the_verdict_of_our_own_version_and_the_runs_since(calibrated_tree: SimulatedTree, tmp_path: Path) -> None:
    tree = copy_tree(calibrated_tree, tmp_path / "tree")
    session = Session(EmbeddedHost(tree.settings))
    session.save(session.iterations[-1].number, author="tester", comments="c", force=True, progress=Progress())
    session.close()
    state_id = identify_run(RunRequest(("58882",), SNAP.lite), tree.settings).state.state_id
    own = StateStore(tree.settings, state_id, SNAP.lite).read(1).record.own
    assert own is not None
    assert own.account is not None
    verdict = Account.from_plain(own.account).verdict
    with h5py.File(shutil.copy(tree.run_path(58882), tree.run_path(58883)), "r+") as file:
        file["entry/run_number"][0] = b"58883"
    tree.run_path(58884).write_bytes(b"an aborted run")
    census = take_census(tree.settings)
    (row,) = list_states(tree.settings, SNAP.lite, census=census)
    assert row.verdict == verdict.word
    assert row.verdict_text == " ".join((verdict.course, *verdict.reasons)).strip()
    assert row.runs_since == 1
    assert census.states == {58882: row.state_id, 58883: row.state_id, 58884: ""}
    assert json.loads(census_path(tree.settings).read_text())["runs"].keys() == {
        str(tree.run_path(run)) for run in (58882, 58883, 58884)
    }


def test_the_shell_lists_the_same(snapred_states: list[SnapredState]) -> None:
    command = ["--set", f"calibration_home={snapred_states[0].settings.calibration_home}", "states"]
    done = CliRunner().invoke(app, [*command, "--sort", "wavelength", "--where", "arcs=90", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["wavelength"] for row in found] == sorted(row["wavelength"] for row in found)
    assert len(found) == 10
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0
    assert found[0]["state_id"] in shown.stdout
    wrong = CliRunner().invoke(app, [*command, "--sort", "colour"])
    assert wrong.exit_code == 2
    assert "last_calibrated" in wrong.stderr
