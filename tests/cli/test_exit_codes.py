"""Every command ends with one of the fixed exit codes, and with one message where the code is not 0."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from snapcal_workbench import errors
from snapcal_workbench.cli import common
from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.ending import EXIT_CODES
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.cli.test_hostile_text import COMMANDS, REQUIRED, WITHOUT_SETTINGS

WITH_SETTINGS = sorted(set(COMMANDS) - WITHOUT_SETTINGS)
"""Commands that need settings; the others work without."""
WITH_JSON = sorted(set(COMMANDS) - {"simulate", "demo", "panel"})
NO_ERRORS = {0, 8, 9, 141}
"""Codes of ends that are no errors: done, the answers of a check, and a reader that has gone."""


def run(*arguments: str, config: Path | None = None) -> Result:
    words = [*arguments[0].split(), *arguments[1:]] if arguments else []
    given = [text.format(occupied="/dev/null", properties="/dev/null/x") for text in words]
    return CliRunner().invoke(app, ["--config", str(config), *given] if config else given)


def test_the_table_is_that_of_the_errors_and_of_the_readme() -> None:
    kinds: list[Any] = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SnapcalError)
    ]
    assert {kind.exit_code for kind in [*kinds, errors.Cancelled]} == set(EXIT_CODES) - NO_ERRORS
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (\d+) \| (.*) \|$", readme, re.MULTILINE)) == {
        str(code): meaning for code, meaning in EXIT_CODES.items()
    }
    shown = "".join(run("--help").output.split())
    assert all("".join(f"{code} {meaning}".split()) in shown for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_wrong_command_line_is_2(command: str) -> None:
    for given in ((*REQUIRED[command], "--nonsense"), (*REQUIRED[command], "a", "b", "--set", "c")):
        result = run(command, *given)
        assert result.exit_code == 2
        assert f"snapcal {command} --help" in result.output.replace("root", "snapcal")
        assert "Traceback" not in result.output


def test_no_command_and_an_unknown_one_are_2() -> None:
    assert run().exit_code == 2
    assert run("calibrat").exit_code == 2


def test_help_and_version_are_0() -> None:
    assert run("--help").exit_code == run("--version").exit_code == 0
    assert all(run(command, "--help").exit_code == 0 for command in COMMANDS)


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_missing_settings_are_3(command: str, tmp_path: Path) -> None:
    result = run(command, *REQUIRED[command], config=tmp_path / "absent.toml")
    assert result.exit_code == 3
    assert str(tmp_path / "absent.toml") in result.output


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_damaged_settings_are_4(command: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[[[")
    result = run(command, *REQUIRED[command], config=config)
    assert result.exit_code == 4
    assert str(config) in result.output


@pytest.mark.parametrize("command", WITH_JSON)
def test_an_error_of_a_script_is_json(command: str) -> None:
    result = run(command, "--nonsense", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == "InputError"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every command that loads the settings meet an exception there."""

    def load(source: object) -> None:
        raise error

    monkeypatch.setattr(common.SettingsSource, "load", load)


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_a_fault_is_1_and_its_traceback_is_kept(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, RuntimeError("something is [wrong] here"))
    result = run(command, *REQUIRED[command])
    assert result.exit_code == 1
    assert "RuntimeError: something is [wrong] here" in result.output
    assert "Traceback" not in result.output
    (kept,) = (home / "snapcal" / "faults").iterdir()
    assert str(kept) in result.output
    assert "Traceback" in kept.read_text()
    assert "in load" in kept.read_text()


def test_only_the_newest_tracebacks_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "snapcal" / "faults"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"2001-01-01T00-00-{number:02d}-1.txt").touch()
    fail(monkeypatch, RuntimeError("wrong"))
    run("config")
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 20
    assert not names[-1].startswith("2001")


def test_a_traceback_that_cannot_be_kept_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/null")
    fail(monkeypatch, RuntimeError("wrong"))
    result = run("config")
    assert result.exit_code == 1
    assert "could not be kept" in result.output


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_ctrl_c_is_130_at_any_point(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, KeyboardInterrupt())
    result = run(command, *REQUIRED[command])
    assert result.exit_code == 130
    assert "Cancelled" in result.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 1, "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 6, "/x/y"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 6, "/x/y"),
        (RecursionError("too deep"), 1, "too deep"),
    ],
)
def test_what_the_system_refuses(
    error: BaseException, code: int, words: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, error)
    result = run("config")
    assert result.exit_code == code
    assert words in result.output


def test_empty_texts_are_2_with_a_sentence(hostile: SimulatedTree) -> None:
    for command in (
        ("save", "1", "--comments", ""),
        ("save", "1", "--comments", " \t"),
        ("save", "1", "--comments", "x", "--author", "\u200b"),
        ("retire", "58882:1", "--reason", ""),
        ("init-state", "58882", "--name", ""),
    ):
        result = run(*command, config=hostile.config_path)
        assert result.exit_code == 2, result.output
        assert "must be given" in result.output


SNAPCAL = (sys.executable, "-m", "snapcal_workbench.cli")


@pytest.mark.parametrize("command", [("config",), ("config", "--json"), ("--help",)])
def test_an_output_that_cannot_be_written_is_7(command: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*SNAPCAL, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 7
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_output_is_7() -> None:
    close = "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", close, *SNAPCAL, "config"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 7
    assert "calibration_home" in done.stderr  # what it had to say is not lost


@pytest.mark.parametrize("command", [("config",), ("calibrate", "--help")])
def test_a_reader_that_has_gone_is_141(command: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*SNAPCAL, *command], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert done.returncode == 141
    assert done.stderr == ""


INTERRUPTED = """
import builtins, os, signal
from snapcal_workbench.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it, and so would we
original = builtins.__import__

def interrupted(name, *rest):
    if name == "typer":
        os.kill(os.getpid(), signal.SIGINT)
    return original(name, *rest)

builtins.__import__ = interrupted
main()
"""


def test_ctrl_c_while_the_modules_are_imported_is_130() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == ""
