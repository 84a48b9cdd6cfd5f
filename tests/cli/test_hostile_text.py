"""Text of people and files is printed as it is by every command: no markup, no control of the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.ending import EXIT_CODES
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.hostile import CONTROLS, HOSTILE, IN_A_PATH, MARKUP, RUN, said, unsafe
from tests.support import copy_tree


def _commands(group: Any, before: str = "") -> dict[str, Any]:
    """Every command by its name, those of a group after the group's: "workbench install"."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        found |= _commands(command, f"{before}{name} ") if hasattr(command, "commands") else {before + name: command}
    return found


COMMANDS = _commands(typer.main.get_command(app))
VERSION = f"{RUN}:1"

REQUIRED = {
    "config": (),
    "state": (RUN,),
    "init-state": (RUN, "--name", "x"),
    "identify": (RUN,),
    "simulate": ("{occupied}",),
    "demo": ("--directory", "{occupied}"),
    "calibrate": (RUN, "--calibrant", "Silicon_NIST_640d_001", "--max-passes", "0"),
    "batch": (RUN, "--calibrant", "Silicon_NIST_640d_001", "--max-passes", "0"),
    "iterate": ("--max-passes", "0"),
    "iterations": (),
    "report": ("99",),
    "compare": ("1", VERSION),
    "save": ("1", "--comments", MARKUP),
    "apply": ("1", RUN),
    "learn-profile": (RUN, "--calibrant", "Silicon_NIST_640d_001", "--max-passes", "0"),
    "versions": (RUN,),
    "states": (),
    "history": (RUN,),
    "check": (RUN, "--version", "999"),
    "propagate": (VERSION, "--same-arcs", "--dry-run"),
    "watch": ("nowhere",),
    "cycles": (),
    "parameters": (),
    "show": (VERSION,),
    "retire": (VERSION, "--reason", "x"),
    "unretire": (VERSION, "--reason", "x"),
    "verify": (),
    "repair": (),
    "panel": (),
    "workbench install": ("--properties", "{properties}", "--dry-run"),
    "workbench uninstall": ("--properties", "{properties}", "--dry-run"),
    "workbench doctor": ("--properties", "{properties}"),
    "workbench check": (),
}
"""What each command needs to be complete. The calibrations are refused before their work begins."""

WITHOUT_SETTINGS = {"simulate", "demo", "workbench install", "workbench uninstall", "workbench check"}

CHANGES = {"save", "apply", "retire", "unretire", "repair"}
"""Commands that may change the tree: each try of theirs has a tree of its own."""

SLOW = {("apply", "--output"), ("demo", "--directory"), ("simulate", "directory")}
"""Fields that let a command do its whole work, of minutes, or are in a test of their own."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths lead into a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def own(hostile: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A hostile tree of the test's own."""
    return copy_tree(hostile, tmp_path / IN_A_PATH)


def run(hostile: SimulatedTree, *arguments: str, settings: tuple[str, ...] = ()) -> Result:
    given = [text.format_map(_Paths(hostile.directory)) for text in (*arguments[0].split(), *arguments[1:])]
    return CliRunner().invoke(app, ["--config", str(hostile.config_path), *settings, *given])


class _Paths(dict):
    """Paths in the tree by name; all other braces stay."""

    def __init__(self, directory: Path) -> None:
        super().__init__({name: str(directory / name) for name in ("occupied", "properties")})


def check(result: Result) -> None:
    """A fixed exit code, nothing that is obeyed, and no traceback."""
    assert unsafe(result.output) == set()
    assert result.exit_code in set(EXIT_CODES) - {1}, result.output
    assert "Traceback" not in result.output


def test_no_command_is_forgotten() -> None:
    assert set(REQUIRED) == set(COMMANDS)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("versions", RUN), (HOSTILE, MARKUP)),
        (("show", VERSION), (HOSTILE, IN_A_PATH)),
        (("iterations",), (HOSTILE,)),
        (("state", RUN), (MARKUP, CONTROLS[:-2], IN_A_PATH)),
        (("config",), (IN_A_PATH,)),
        (("compare", "1", VERSION), (HOSTILE,)),
        (("verify",), (IN_A_PATH,)),
        (("workbench doctor", "--properties", "{properties}"), (IN_A_PATH,)),
        (("workbench install", "--properties", "{properties}", "--dry-run"), (IN_A_PATH,)),
        (("calibrate", RUN, "--calibrant", MARKUP), (IN_A_PATH,)),
        (("simulate", "{occupied}"), (IN_A_PATH,)),
        (("demo", "--directory", "{occupied}"), (IN_A_PATH,)),
    ],
)
def test_text_is_shown_as_it_is(hostile: SimulatedTree, command: tuple[str, ...], shown: tuple[str, ...]) -> None:
    result = run(hostile, *command)
    check(result)
    for text in shown:
        assert said(result.output, text), result.output


def _fields() -> Iterator[tuple[str, str, bool, bool]]:
    """Every parameter that takes a text: command, parameter, whether it is an argument, and whether it was met before.

    An option that several commands share is declared once: it is tried with the first, in the long form with all.
    """
    seen: set[str] = set()
    for name, command in COMMANDS.items():
        for parameter in command.params:
            field, is_argument = parameter.opts[0], parameter.param_type_name == "argument"
            if not getattr(parameter, "is_flag", False) and (name, field) not in SLOW:
                yield name, field, is_argument, field in seen and not is_argument
                seen.add(field)


@pytest.mark.parametrize(
    ("command", "field", "is_argument"),
    [pytest.param(*field, marks=[pytest.mark.long] * again) for *field, again in _fields()],
)
def test_hostile_text_in_every_field(
    request: pytest.FixtureRequest, command: str, field: str, is_argument: bool
) -> None:
    required = REQUIRED[command]
    tree: SimulatedTree = request.getfixturevalue("own" if command in CHANGES else "hostile")
    if command == "panel":
        pytest.skip("opens a window; see the panel's tests")
    if is_argument:
        check(run(tree, command, HOSTILE, *required[1:]))
    elif field in required:
        place = required.index(field)
        check(run(tree, command, *required[: place + 1], HOSTILE.replace("\x00", ""), *required[place + 2 :]))
    else:
        check(run(tree, command, *required, field, HOSTILE))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_hostile_settings_and_options(hostile: SimulatedTree, command: str) -> None:
    for settings in (("--set", HOSTILE), ("--set", f"{HOSTILE}={HOSTILE}"), ("--config", "/" + HOSTILE)):
        if command not in WITHOUT_SETTINGS:
            result = run(hostile, command, *REQUIRED[command], settings=settings)
            check(result)
            assert result.exit_code in (2, 3)
    result = run(hostile, command, *REQUIRED[command], f"--{HOSTILE}")
    check(result)
    assert result.exit_code == 2


def test_what_is_saved_is_shown_as_it_is(own: SimulatedTree, tmp_path: Path) -> None:
    saved = run(own, "save", "1", "--comments", HOSTILE, "--author", HOSTILE)
    check(saved)
    assert saved.exit_code == 0
    path = tmp_path / f"{IN_A_PATH.replace('/', '')}.nxs"
    applied = run(own, "apply", "1", RUN, "--output", str(path))
    check(applied)
    assert said(applied.output, str(path))
    assert path.is_file()


def test_json_has_the_text_itself(hostile: SimulatedTree) -> None:
    """A script gets what was written, in escapes that the terminal does not obey."""
    result = run(hostile, "versions", RUN, "--json")
    check(result)
    assert json.loads(result.stdout)["versions"][0]["comments"] == HOSTILE
