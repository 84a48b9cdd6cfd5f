"""The manifest says what there is."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import ValidationError

import snapcal_workbench
from snapcal_workbench import __version__
from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.manifest import AlgorithmEntry, InterfaceEntry, Manifest, load_object, read_manifest

ROOT = Path(__file__).parents[1]
PACKAGE = Path(snapcal_workbench.__file__).parent


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_manifest_at_the_top_is_the_package_s() -> None:
    packaged = (files("snapcal_workbench") / "plugin.json").read_bytes()
    assert (ROOT / "plugin.json").read_bytes() == packaged


def test_identifier_and_version_are_the_distribution_s() -> None:
    manifest = read_manifest()
    assert manifest.id == project()["name"]
    assert manifest.version == __version__


def test_all_algorithms_are_in_it_by_their_names() -> None:
    loaded = {entry.name: load_object(entry.object) for entry in read_manifest().algorithms}
    assert loaded == ALGORITHMS


def test_every_field_is_described() -> None:
    for model in (Manifest, InterfaceEntry, AlgorithmEntry):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_what_is_called_at_the_start_exists() -> None:
    for name in read_manifest().start:
        assert callable(load_object(name))


def test_the_help_is_a_section_of_the_readme() -> None:
    name, _, anchor = read_manifest().help.partition("#")
    headings = [
        line.lstrip("# ").lower().replace(" ", "-")
        for line in (ROOT / name).read_text().splitlines()
        if line[:1] == "#"
    ]
    assert anchor in headings


def test_entry_points_name_functions_of_the_plugin() -> None:
    source = (PACKAGE / "plugin.py").read_text(encoding="utf-8")
    groups = project()["entry-points"]
    assert set(groups) == {"mantidworkbench.menus", "mantidworkbench.views"}
    for group in groups.values():
        module, _, function = group["snapcal"].partition(":")
        assert module == "snapcal_workbench.plugin"
        assert f"def {function}(" in source


@pytest.mark.parametrize(
    "change",
    [{"mantid": "6.10"}, {"algorithms": [{"name": "x", "object": "a:b"}]}, {"start": ["no_object"]}, {"unknown": 1}],
)
def test_a_wrong_manifest_is_refused(change: dict) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**read_manifest().model_dump(), **change})


@pytest.mark.long
def test_the_wheel_has_manifest_thin_file_and_every_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "snapcal_workbench")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {"snapcal_workbench/plugin.json", "snapcal_workbench/workbench/snapcal_plugin.py"} <= names
    modules = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py")}
    assert modules <= names


def test_the_panel_s_window_is_as_the_manifest_says() -> None:
    interface = read_manifest().interface
    module = interface.object.partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip("this installation has no panel")
    pytest.importorskip("qtpy.QtWidgets")
    assert callable(load_object(interface.object))
    window = load_object(f"{module}:{interface.window_class}")
    assert callable(window.get_state)
    assert callable(window.set_state)
