"""The options of `calibrate` and `iterate` are those that are declared, and the model reads what is given."""

from __future__ import annotations

import json
import re

import pytest
import typer.main
from typer.testing import CliRunner, Result

from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.inputs import inputs
from snapcal_workbench.options import CalibrationOptions, Request, leaves
from snapcal_workbench.simulation.tree import SimulatedTree

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined] # the application is a group of commands
SILICON = ("58882", "--calibrant", "Silicon_NIST_640d_001")


def snapcal(tree: SimulatedTree, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(tree.config_path), *arguments])


def requested(tree: SimulatedTree) -> Request:
    """The request of the newest iteration."""
    last = sorted(tree.settings.session_directory.glob("iteration_*/iteration.json"))[-1]
    return Request.model_validate(json.loads(last.read_text())["request"])


def flags(command: str) -> list[str]:
    return [flag for option in COMMANDS[command].params for flag in (*option.opts, *option.secondary_opts)]


@pytest.mark.parametrize("command", ["calibrate", "iterate"])
def test_every_input_is_an_option_of_its_own(command: str) -> None:
    assert len(set(flags(command))) == len(flags(command))
    assert {made.name for made in inputs()} | {"runs", "workspace"} == {
        leaf.name.removeprefix("options.") for leaf in leaves(Request)
    }
    assert {made.parameter for made in inputs()} <= {option.name for option in COMMANDS[command].params}


@pytest.mark.parametrize("command", ["calibrate", "iterate"])
def test_the_help_has_groups_defaults_limits_and_units(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).output
    words = re.sub(r"[\s│]+", " ", shown)
    titles = {leaf.section_title for leaf in leaves(CalibrationOptions)}
    assert all(f"─ {title} ─" in shown for title in ("Inputs", *titles))
    assert "…" not in shown  # no name of an option is cut
    assert "default: 0.4" in words
    assert "at least 1; at most 50; default: 5" in words
    assert "one of: DIFC, DIFC+TZERO, DIFC+DIFA, DIFC+DIFA+TZERO, recommended" in words
    assert all(flag in shown for flag in flags(command))


def test_what_is_given_reaches_the_request_and_what_is_not_stays(small_tree: SimulatedTree) -> None:
    given: tuple[str, ...] = (
        "--native",
        "--exclude",
        "3:2,2,0",
        "--exclude",
        "1:1,1,1",
        "--max-offset-bins",
        "",
        "--no-shrink",
    )
    given += ("--preset", "snapred", "--option", "groups.max_chi2=1e4", "--d-min", "0.5", "--skip-pixels", "--lite")
    done = snapcal(small_tree, "calibrate", *SILICON, *given, "--no-report")
    assert done.exit_code == 0, done.output
    request = requested(small_tree)
    assert request.lite
    assert request.excluded_peaks == ((3, (2, 2, 0)), (1, (1, 1, 1)))
    assert request.options.pixels.max_offset_bins is None
    assert request.options.groups.max_chi2 == 1e4
    assert request.options.peaks.window == "fwhm"  # of the preset
    done = snapcal(small_tree, "iterate", "--no-report", "--d-max", "4")
    assert done.exit_code == 0, done.output
    assert requested(small_tree).differences(request) == {"peaks.crystal_d_max": (100.0, 4.0)}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--max-passes", "many"), "pixels.max_passes"),
        (("--d-min", "-1"), "peaks.crystal_d_min"),
        (("--model", "TZERO"), "groups.model"),
        (("--exclude", "3-2,2,0"), "GROUP:H,K,L"),
        (("--option", "pixels.max_passes"), "NAME=VALUE"),
        (("--option", "pixels.max_passe=3"), "Did you mean 'pixels.max_passes'"),
    ],
)
def test_what_does_not_fit_is_2_and_named(small_tree: SimulatedTree, given: tuple[str, ...], named: str) -> None:
    done = snapcal(small_tree, "calibrate", *SILICON, *given)
    assert done.exit_code == 2
    assert named in done.output


def test_a_calibration_without_a_calibrant_lists_those_that_there_are(small_tree: SimulatedTree) -> None:
    done = snapcal(small_tree, "calibrate", "58882")
    assert done.exit_code == 2
    assert "Silicon_NIST_640d_001" in done.output


@pytest.mark.parametrize("command", [("state",), ("versions",), ("calibrate",), ("apply", "1"), ("init-state",)])
def test_run_ranges_are_taken_everywhere(small_tree: SimulatedTree, command: tuple[str, ...]) -> None:
    extra = {"calibrate": SILICON[1:], "init-state": ("--name", "x")}.get(command[0], ())
    missing = snapcal(small_tree, *command, "58882-58883", *extra)
    assert missing.exit_code == 3
    assert "58883" in missing.output
    backwards = snapcal(small_tree, *command, "58885-58882", *extra)
    assert backwards.exit_code == 2
    assert "Write 58882-58885" in backwards.output
