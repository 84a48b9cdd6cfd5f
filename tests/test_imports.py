"""What may import what: no Mantid but in the adapters, no Qt but in the panel, nothing heavy at the top."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import snapcal_workbench

PACKAGE = Path(snapcal_workbench.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MANTID = ("mantid", "mantidqt", "workbench", "mantidqtinterfaces")
QT = ("qtpy", "PySide6", "PyQt5", "PyQt6", "PySide2")

BLOCKED = """
import importlib, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, {root!r})
for name in {modules!r}:
    importlib.import_module(name)
"""


def is_adapter(path: Path) -> bool:
    """Whether the module may import Mantid."""
    place = path.relative_to(PACKAGE)
    return str(place) == "plugin.py" or (place.parts[0] in ("hosts", "algorithms") and place.name.startswith("mantid_"))


def is_thin_file(path: Path) -> bool:
    return path.parent == PACKAGE / "workbench"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Top names that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_adapters_import_mantid_and_only_the_panel_imports_qt(path: Path) -> None:
    names = imported(path)
    if not is_adapter(path):
        assert not names & set(MANTID)
    if path.relative_to(PACKAGE).parts[0] != "panel":
        assert not names & set(QT)
    assert not names & set(QT[1:]), "Qt comes through qtpy"


def names_of(*, panel: bool) -> list[str]:
    """Modules of the panel, or all others but the adapters."""
    return [
        module_name(path)
        for path in MODULES
        if (path.relative_to(PACKAGE).parts[0] == "panel") == panel
        and not (is_adapter(path) or is_thin_file(path) or path.name == "__main__.py")
    ]


def test_every_module_but_the_adapters_and_the_panel_is_imported_without_mantid_and_without_qt() -> None:
    run(BLOCKED.format(blocked=set(MANTID + QT), root=str(ROOT), modules=names_of(panel=False)))


def test_the_panel_is_imported_without_mantid() -> None:
    pytest.importorskip("qtpy.QtWidgets")
    run(BLOCKED.format(blocked=set(MANTID), root=str(ROOT), modules=names_of(panel=True)))


def test_the_package_itself_imports_nothing_heavy() -> None:
    loaded = run(
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import snapcal_workbench; print(*sys.modules)"
    ).split()
    assert not {name.split(".")[0] for name in loaded} & {"numpy", "scipy", "numba", "h5py", "pydantic", *MANTID, *QT}


def test_the_manifest_is_read_without_numpy() -> None:
    code = "from snapcal_workbench.manifest import read_manifest; read_manifest()"
    loaded = run(f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)").split()
    assert not {name.split(".")[0] for name in loaded} & {"numpy", "scipy", "numba", "h5py", *MANTID, *QT}


def test_the_thin_file_only_calls_the_plugin() -> None:
    (path,) = (PACKAGE / "workbench").glob("*.py")
    assert imported(path) == {"snapcal_workbench"}
    assert "AlgorithmFactory.subscribe" in path.read_text(encoding="utf-8"), "Mantid may look for this text"
    assert path.stem not in sys.stdlib_module_names | {"snapcal_workbench", "plugin", "workbench"}
