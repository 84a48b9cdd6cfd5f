"""What crashes, or goes wrong silently, in some release of Mantid: looked for in the text of all code that uses it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import snapcal_workbench

PACKAGE = Path(snapcal_workbench.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(Path(__file__).parents[1] / "mantid").rglob("*.py")])
BARE_POINTERS = ("getProperty", "run", "mutableRun", "spectrumInfo", "detectorInfo", "componentInfo")
"""Methods whose result Mantid does not keep the owner alive for."""
OWNERS = ("create", "createUnmanaged", "run_child", "run_watched")
"""Calls whose result belongs to nobody else."""


def called(node: ast.AST) -> str:
    """The last name of what a call calls; "" for another node."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def of_temporaries(tree: ast.AST) -> Iterator[int]:
    """Lines that use a bare pointer into something that is gone with the expression."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BARE_POINTERS:
            owner = node.value
            if called(owner) in OWNERS or (node.attr == "getProperty" and called(owner) not in ("", "run")):
                yield node.lineno


def unobservable(tree: ast.AST) -> Iterator[int]:
    """Lines of functions that make an observer of an algorithm that AlgorithmObserver does not take."""
    observers = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "AlgorithmObserver" for base in node.bases)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            calls = {called(inner) for inner in ast.walk(node)}
            if calls & observers and ("createUnmanaged" in calls or "create" not in calls):
                yield node.lineno


def into_shared_logs(tree: ast.AST) -> Iterator[int]:
    """Lines that write into what `run()` gives, which workspaces that were made of one another have in common."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            shared = {
                target.id
                for inner in ast.walk(node)
                if isinstance(inner, ast.Assign) and called(inner.value) in ("run", "getRun")
                for target in inner.targets
                if isinstance(target, ast.Name)
            }
            writers = [i for i in ast.walk(node) if isinstance(i, ast.Attribute) and i.attr == "addProperty"]
            for writer in writers:
                if called(writer.value) in ("run", "getRun") or getattr(writer.value, "id", "") in shared:
                    yield writer.lineno


OBSERVER = "class W(AlgorithmObserver):\n    pass\n"


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("look", [of_temporaries, unobservable, into_shared_logs])
def test_no_code_steps_into_a_trap(look) -> None:
    found = [f"{path}:{line}" for path in SOURCES for line in look(parsed(path))]
    assert not found


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (of_temporaries, "run_child('LoadDiffCal', Filename=f).getProperty('OutputCalWorkspace').value"),
        (of_temporaries, "AlgorithmManager.create('Rebin').getProperty('Params').value"),
        (of_temporaries, "run_child('LoadEventNexus', 'OutputWorkspace').run().keys()"),
        (unobservable, OBSERVER + "def f():\n    a = AlgorithmManager.createUnmanaged('Load')\n    W(a)"),
        (unobservable, OBSERVER + "def f(a):\n    W(a)"),
        (into_shared_logs, "def f(w):\n    w.run().addProperty('note', 'text', True)"),
        (into_shared_logs, "def f(w):\n    logs = w.run()\n    logs.addProperty('note', 'text', True)"),
    ],
)
def test_the_traps_are_recognised(look, code: str) -> None:
    assert list(look(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "a = AlgorithmManager.create('Load')\na.execute()\nvalue = a.getProperty('OutputWorkspace').value",
        "value = workspace.run().getProperty('start_time').value",
        "def f(w):\n    logs = w.mutableRun()\n    logs.addProperty('note', 'text', True)",
    ],
)
def test_what_lives_long_enough_is_no_trap(code: str) -> None:
    assert not list(of_temporaries(ast.parse(code)))
    assert not list(into_shared_logs(ast.parse(code)))


def imported_by(path: Path) -> Iterator[str]:
    """Modules of the plugin that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("snapcal_workbench"):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [name for name in inner if (PACKAGE.parent / (name.replace(".", "/") + ".py")).is_file()] or [
                str(node.module)
            ]


def test_what_mantid_loads_at_its_start_imports_no_h5py() -> None:
    """It may not be imported before it is known to go together with Mantid's own HDF5."""
    files = [
        PACKAGE / "plugin.py",
        *sorted((PACKAGE / "algorithms").glob("mantid_*.py")),
        PACKAGE / "panel" / "menu.py",
    ]
    names = {name for path in files for name in imported_by(path)} - {"snapcal_workbench.algorithms.mantid_algorithms"}
    assert "snapcal_workbench.libraries" in names
    names |= {"snapcal_workbench.self_test.page", "snapcal_workbench.panel.dialogs.self_test_dialog"}
    code = f"import importlib, sys\nfor name in {sorted(names)}:\n    importlib.import_module(name)\n    "
    subprocess.run([sys.executable, "-c", code + "assert 'h5py' not in sys.modules, name"], check=True)
