"""The doctor sees what is wrong, and only that."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from snapcal_workbench.diagnosis import Finding, conda_records, diagnose, replaced_packages
from snapcal_workbench.installation import KEY, plan_install
from snapcal_workbench.options import Settings


def environment(folder: Path, **versions: str) -> Path:
    """A conda environment as its records describe it."""
    (folder / "conda-meta").mkdir(parents=True)
    for name, version in versions.items():
        record = {"name": name.replace("_", "-"), "version": version}
        (folder / "conda-meta" / f"{name}-{version}.json").write_text(json.dumps(record))
    return folder


def tree(folder: Path) -> Settings:
    for name in ("ipts", "calibration/Powder"):
        (folder / name).mkdir(parents=True)
    return Settings(
        ipts_root=folder / "ipts", calibration_home=folder / "calibration", session_directory=folder / "session"
    )


def wrong(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings if finding.level != "ok"}


def test_a_package_that_pip_has_replaced_is_an_error_with_the_way_back(tmp_path: Path) -> None:
    prefix = environment(tmp_path, numpy="1.21.0", h5py=metadata.version("h5py"), matplotlib_base="0.1")
    found = {finding.subject: finding for finding in replaced_packages(conda_records(prefix))}
    assert set(found) == {"numpy", "matplotlib-base"}
    assert found["numpy"].level == "error"
    assert f"1.21.0, but pip has replaced it by {metadata.version('numpy')}" in found["numpy"].found
    assert "numpy=1.21.0" in found["numpy"].fix


def test_outside_of_conda_nothing_is_compared(tmp_path: Path) -> None:
    assert list(replaced_packages(conda_records(tmp_path))) == []


def test_damaged_records_are_passed_over(tmp_path: Path) -> None:
    prefix = environment(tmp_path, numpy="1.0")
    (prefix / "conda-meta" / "broken.json").write_text("{")
    (prefix / "conda-meta" / "other.json").write_text("[]")
    assert list(conda_records(prefix)) == ["numpy"]


def test_all_is_well_where_all_is_well(tmp_path: Path) -> None:
    properties = tmp_path / "properties"
    plan_install(properties).apply()
    found = wrong(diagnose(tree(tmp_path), properties, prefix=tmp_path))
    assert not {"Mantid properties", "calibration_home", "ipts_root", "session_directory"} & set(found)
    assert all(finding.level != "error" for finding in found.values())


def test_missing_folders_and_entries_are_told(tmp_path: Path) -> None:
    properties = tmp_path / "properties"
    properties.write_text(f"{KEY} = /no/such/folder;/old/snapcal_workbench/workbench\n")
    settings = Settings(calibration_home=tmp_path / "absent", ipts_root=tmp_path / "absent")
    found = diagnose(settings, properties, prefix=tmp_path)
    told = "\n".join(f"{finding.level}: {finding.subject}: {finding.found}" for finding in found)
    assert "error: calibration_home:" in told
    assert "warning: ipts_root:" in told
    assert "does not name the plugin" in told
    assert "names a folder that is not there: /no/such/folder" in told
    assert "names another installation: /old/snapcal_workbench/workbench" in told


@pytest.mark.parametrize("finding", [Finding("error", "s", "f", "fix")])
def test_every_error_says_what_to_do(tmp_path: Path, finding: Finding) -> None:
    settings = Settings(calibration_home=tmp_path / "absent")
    errors = [f for f in [finding, *diagnose(settings, tmp_path / "p", prefix=tmp_path)] if f.level == "error"]
    assert errors
    assert all(error.fix for error in errors)
