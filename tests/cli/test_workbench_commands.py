"""The commands of `snapcal workbench`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.installation import KEY, plugin_folder
from snapcal_workbench.self_test import page


@pytest.fixture
def properties(tmp_path: Path) -> Path:
    path = tmp_path / "Mantid.user.properties"
    path.write_text("facility = SNS\n")
    return path


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_dry_run_shows_the_line_and_changes_nothing(properties: Path) -> None:
    shown = run("workbench", "install", "--properties", properties, "--dry-run")
    assert f"+ {KEY} = {plugin_folder()}" in shown
    assert properties.read_text() == "facility = SNS\n"
    assert list(properties.parent.iterdir()) == [properties]


def test_install_and_uninstall(properties: Path) -> None:
    run("workbench", "install", "--properties", properties)
    assert str(plugin_folder()) in properties.read_text()
    assert "nothing to do" in run("workbench", "install", "--properties", properties)
    run("workbench", "uninstall", "--properties", properties)
    assert properties.read_text() == "facility = SNS\n"
    assert "nothing to do" in run("workbench", "uninstall", "--properties", properties)


def test_install_as_json(properties: Path) -> None:
    found = json.loads(run("workbench", "install", "--properties", properties, "--json"))
    assert found["changed"]
    assert found["added"] == [f"{KEY} = {plugin_folder()}"]
    assert Path(found["backup"]).read_text() == "facility = SNS\n"


def test_the_home_s_properties_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run("workbench", "install")
    assert str(plugin_folder()) in (tmp_path / ".mantid" / "Mantid.user.properties").read_text()


def test_a_properties_file_that_cannot_be_read_has_the_exit_code_of_the_tree(tmp_path: Path) -> None:
    run("workbench", "install", "--properties", tmp_path, code=6)


def test_doctor_lists_findings_and_ends_with_3_for_an_error(properties: Path, tmp_path: Path) -> None:
    absent = f"calibration_home={tmp_path / 'absent'}"
    found = json.loads(run("--set", absent, "workbench", "doctor", "--properties", properties, "--json", code=3))
    assert {"level", "subject", "found", "fix"} == set(found[0])
    assert any(finding["subject"] == "calibration_home" and finding["level"] == "error" for finding in found)
    shown = run("--set", absent, "workbench", "doctor", "--properties", properties, code=3)
    assert "To do: Set calibration_home" in shown


def test_doctor_is_content_with_a_calibration_tree(properties: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "Powder").mkdir(parents=True)
    settings = [f"calibration_home={tmp_path / 'home'}", f"session_directory={tmp_path / 'session'}"]
    sets = [word for text in settings for word in ("--set", text)]
    assert "calibration_home" in run(*sets, "workbench", "doctor", "--properties", properties)


def test_check_prints_the_page_and_ends_as_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "EMBEDDED", ("workspaces",))
    monkeypatch.setattr(page, "_CODE", "import os; os.abort()")
    assert "embedded: workspaces: crashed (SIGABRT)" in run("workbench", "check", code=3)
    told = json.loads(run("workbench", "check", "--json", code=3))
    assert told["checks"][0]["ended"] == "crashed (SIGABRT)"
    assert set(told) == {"versions", "libraries", "checks", "mantid"}
