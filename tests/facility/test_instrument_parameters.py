"""Editing the instrument parameters into a new version."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError, PermissionDeniedError
from snapcal_workbench.facility import instrument_parameters
from snapcal_workbench.facility.instrument_parameters import (
    ParameterEdit,
    edit_parameters,
    list_parameters,
    read_parameters,
)
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.options import Settings
from tests.facility.conftest import settings_of
from tests.facility.snapred_tree import FIRST_TIME, PARAMETERS

INDEX = "InstrumentParameterIndex.json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a tree whose parameters have one version from run 50000 on, and a field of others."""
    settings = settings_of(tmp_path)
    folder = settings.instrument_parameters
    (folder / "v_0000").mkdir(parents=True)
    entry = {
        "version": 0,
        "runNumber": "000000",
        "useLiteMode": False,
        "appliesTo": ">=50000",
        "comments": "first",
        "author": "somebody",
        "timestamp": instrument_parameters.format_timestamp(FIRST_TIME),
    }
    (folder / INDEX).write_text(json.dumps([entry]))
    values = PARAMETERS | {"indexEntry": entry, "delThNoGuide": 6.667e-4}
    (folder / "v_0000" / f"{folder.name}.json").write_text(json.dumps(values))
    return settings


def edited(settings: Settings, **changes: str) -> ParameterEdit:
    """Add a version for runs from 60000 on."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return edit_parameters(settings, named, applies_to=">=60000", author="tester", comments="a new cycle")


def everything(folder: Path) -> dict[str, bytes]:
    """Contents of all files of a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_an_edit_is_a_new_version_for_its_runs_and_changes_no_other(settings: Settings) -> None:
    old = (settings.instrument_parameters / "v_0000" / "SNAPInstPrm.json").read_bytes()
    done = edited(settings, bandwidth="3.2", cycle__cycleID="2025-A", cycle__firstRun="60000")
    assert (done.version, done.based_on) == (1, 0)
    assert done.changes == {
        "bandwidth": (3.0, 3.2),
        "cycle.cycleID": ("2024-B", "2025-A"),
        "cycle.firstRun": (58000, 60000),
    }
    assert read_instrument_parameters(settings, 59999).bandwidth == 3.0
    found = read_instrument_parameters(settings, 60000)
    assert found.cycle is not None
    assert (found.bandwidth, found.cycle.cycle_id, found.version) == (3.2, "2025-A", 1)
    assert (settings.instrument_parameters / "v_0000" / "SNAPInstPrm.json").read_bytes() == old
    saved = json.loads(Path(done.path).read_text())
    assert saved["delThNoGuide"] == 6.667e-4, "what is not known is kept"
    entries = json.loads((settings.instrument_parameters / INDEX).read_text())
    assert saved["indexEntry"] == entries[1]
    assert set(entries[1]) == {"version", "runNumber", "useLiteMode", "appliesTo", "comments", "author", "timestamp"}
    assert [entry.version for entry in list_parameters(settings)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bandwidth", "-1"),
        ("bandwidth", '"wide"'),
        ("L1", "null"),
        ("no such", "1"),
        ("version", "7"),
        ("width", "1600.0"),
    ],
)
def test_a_wrong_change_is_told_and_changes_nothing(settings: Settings, name: str, value: str) -> None:
    before = everything(settings.calibration_home)
    with pytest.raises(InputError):
        edited(settings, **{name: value})
    assert everything(settings.calibration_home) == before


def test_runs_without_a_version_cannot_be_edited(settings: Settings) -> None:
    with pytest.raises(NotFoundError):
        edit_parameters(settings, {"bandwidth": "3.2"}, applies_to="<100", author="t", comments="c")


def test_a_version_that_there_is_not_is_told_with_those_that_there_are(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="no version 7") as told:
        read_parameters(settings, 7)
    assert "versions 0 in" in told.value.found


def test_a_dry_run_changes_nothing(settings: Settings) -> None:
    before = everything(settings.calibration_home)
    done = edit_parameters(settings, {"bandwidth": "3.2"}, applies_to=">=60000", author="t", comments="c", dry_run=True)
    assert (done.version, done.changes) == (None, {"bandwidth": (3.0, 3.2)})
    assert everything(settings.calibration_home) == before


def test_an_index_that_is_not_understood_is_not_rewritten(settings: Settings) -> None:
    path = settings.instrument_parameters / INDEX
    path.write_text(json.dumps([*json.loads(path.read_text()), {"version": "none"}]))
    before = path.read_bytes()
    with pytest.raises(FileFormatError):
        edited(settings, bandwidth="3.2")
    assert path.read_bytes() == before


def test_missing_permission_is_told_before_the_work(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may write everywhere, the answer of the system is replaced, and nothing else."""
    monkeypatch.setattr("os.access", lambda path, mode, **_: not mode & stat.S_IWOTH)
    with pytest.raises(PermissionDeniedError, match="must be writable"):
        edited(settings, nonsense="1")


def test_the_shell_lists_shows_and_edits(settings: Settings) -> None:
    where = ["--set", f"calibration_home={settings.calibration_home}", "parameters"]
    arguments = [*where, "--edit", "bandwidth=3.2", "--applies-to", ">=60000", "--comments", "wider", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["version"] == 1
    listed = CliRunner().invoke(app, [*where, "--json"])
    assert [entry["version"] for entry in json.loads(listed.stdout)] == [0, 1]
    shown = CliRunner().invoke(app, [*where, "--version", "1"])
    assert json.loads(shown.stdout)["bandwidth"] == 3.2
    assert CliRunner().invoke(app, [*where, "--edit", "bandwidth=3.3", "--comments", "c"]).exit_code == 2
