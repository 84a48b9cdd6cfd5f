"""Whether a calibration holds, for runs simulated with and without a module that moved since."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.facility.check import RunCheck, _module_verdict, check_run
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.simulation.truth import Truth
from tests.support import copy_tree

SAME, MOVED, FAR = 58890, 58891, 58892
MODULE = 3
"""Index of the module that moved."""
SHIFT = 0.0012
TOLERANCE = 600.0
"""ppm; of a million events a module's error is up to 120, the version's part included."""
NAMES = SNAP.lite.layout.arrangement.modules


@pytest.fixture(scope="module")
def tree(calibrated_tree: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree with a version, and two later runs: nothing moved, and a module a little."""
    tree = copy_tree(calibrated_tree, tmp_path_factory.mktemp("checked") / "tree")
    session = Session(EmbeddedHost(tree.settings))
    joint = session.iterate(
        {"groups.method": "joint", "pixels.skip": True, "start_from": "2"}, Progress(), report=False
    )
    session.save(joint.number, author="tester", comments="c", force=True, progress=Progress())
    session.close()
    simulated(tree, SAME, {})
    simulated(tree, MOVED, {MODULE: SHIFT})
    return tree


def simulated(tree: SimulatedTree, run: int, moved: Mapping[int, float]) -> None:
    """Simulate a run with the alignment of the calibrated one, but for modules that moved."""
    simulate_into_tree(
        tree.directory,
        run=run,
        calibrant="Silicon_NIST_640d_001",
        events=1_200_000,
        seed=7,
        time_offset=-8.0,
        peak_shape="gaussian",
        moved=moved,
        progress=Progress(),
    )


def checked(tree: SimulatedTree, run: int, **more: Any) -> RunCheck:
    """The check of a run."""
    return check_run(str(run), tree.settings, SNAP.lite, **{"tolerance_ppm": TOLERANCE, **more})


@pytest.fixture(scope="module")
def watched(tree: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What `snapcal watch` writes into its history of both runs, each by its number."""
    folder = tmp_path_factory.mktemp("nexus")
    for run in (SAME, MOVED):
        os.link(tree.run_path(run), folder / tree.run_path(run).name)
    options = ("--existing", "--once", "--settle", "0", "--every", "0.1", "--tolerance", str(TOLERANCE))
    command = ["--config", str(tree.config_path), "watch", str(folder), *options, "--history", str(folder / "history")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (folder / "history" / "watch.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["holds", "does not hold"]
    assert [f"{Path(line['file']).name}: {line['verdict']}. {line['text']}" in done.stdout for line in lines] == [
        True
    ] * 2
    return dict(zip((SAME, MOVED), lines, strict=True))


def test_it_holds_for_a_run_of_the_same_alignment(watched: dict[int, dict[str, Any]]) -> None:
    found = watched[SAME]["details"]
    assert (found["method"], found["powder"]) == ("peaks", "Silicon_NIST_640d_001")
    assert found["verdict"] == "holds", watched[SAME]["text"]
    assert [module["module"] for module in found["modules"]] == list(NAMES)
    pulls = np.array([module["ppm"] / module["error_ppm"] for module in found["modules"]])
    assert np.abs(pulls).max() < 3.0, "the errors explain the deviations"


def test_a_module_that_moved_is_named(watched: dict[int, dict[str, Any]]) -> None:
    found = watched[MOVED]["details"]
    assert found["verdict"] == "does not hold"
    (module,) = [module for module in found["modules"] if module["verdict"] == "moved"]
    assert module["module"] == NAMES[MODULE]
    assert abs(module["ppm"] - 1e6 * SHIFT) < 4.0 * module["error_ppm"]
    assert module["error_ppm"] < 100.0
    assert f"module {module['module']} is off by" in watched[MOVED]["text"]


def test_without_a_powder_pixels_tell_which_module_moved_and_the_exit_code_says_so(tree: SimulatedTree) -> None:
    command = ["--config", str(tree.config_path), "check", str(MOVED), "--pixels", "--tolerance", str(TOLERANCE)]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 8, done.output
    found = json.loads(done.stdout)
    assert (found["method"], found["powder"], found["verdict"]) == ("pixels", "", "does not hold")
    (module,) = [module for module in found["modules"] if module["verdict"] == "moved"]
    assert module["module"] == NAMES[MODULE]
    assert abs(module["ppm"] - 1e6 * SHIFT) < 4.0 * module["error_ppm"]


def test_errors_that_the_version_does_not_state_are_not_taken_for_none(tree: SimulatedTree) -> None:
    """Its pixel step was left out: three modules of one column, off together by 2.3 to 3.4 errors of this run alone."""
    found = checked(tree, SAME, method="pixels")
    assert "does not state the errors of its pixels" in found.notes[-1]
    pulls = np.array([module.ppm / module.error_ppm for module in found.modules])
    assert np.abs(pulls).max() < 2.7
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.2


def test_what_cannot_be_told_has_an_exit_code_of_its_own(tree: SimulatedTree) -> None:
    arguments = ["--config", str(tree.config_path), "check", str(SAME), "--pixels", "--tolerance", "50"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 9, done.output
    assert NAMES[MODULE] in done.stdout
    assert "cannot tell" in done.stdout


@pytest.mark.long
def test_a_module_that_went_far_is_found_there(tree: SimulatedTree) -> None:
    simulated(tree, FAR, {MODULE: 0.03})
    found = checked(tree, FAR, powder="Silicon_NIST_640d_001")
    (module,) = [module for module in found.modules if module.verdict in ("moved", "lost")]
    assert (module.module, module.verdict) == (NAMES[MODULE], "moved")
    assert abs(module.ppm - true_change(tree, FAR)) < 4.0 * module.error_ppm


def true_change(tree: SimulatedTree, run: int) -> float:
    """ln(DIFC) of the module that moved against the run of the same alignment, ppm: the mean over its peaks' events.

    A module that is carried so far turns as seen from the sample, and its pixels' changes differ by thousands of ppm.
    """
    before, after = (Truth.read(tree.truth_path(number)) for number in (SAME, run))
    own = SNAP.native.layout.module == MODULE
    change = 1e6 * np.log(after.difc[own] / before.difc[own])
    return float(np.average(change, weights=before.bragg[own]))


@pytest.mark.parametrize(
    ("ppm", "error", "verdict"),
    [
        (10.0, 20.0, "holds"),
        (-150.0, 20.0, "cannot tell"),
        (250.0, 20.0, "cannot tell"),
        (-270.0, 20.0, "moved"),
        (0.0, 100.0, "cannot tell"),
        (np.nan, np.nan, "cannot tell"),
    ],
)
def test_a_module_holds_or_moved_only_where_its_error_allows_to_say_so(ppm: float, error: float, verdict: str) -> None:
    assert _module_verdict(ppm, error, 200.0, lost=False, in_use=True) == verdict


def test_wrong_inputs_are_told(tree: SimulatedTree) -> None:
    with pytest.raises(InputError, match="positive"):
        checked(tree, SAME, tolerance_ppm=0.0)
    arguments = ["--config", str(tree.config_path), "check", str(SAME), "--pixels", "--powder", "x"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_run_that_no_calibration_applies_to_is_told(small_tree: SimulatedTree) -> None:
    with pytest.raises(NotFoundError, match="No calibration applies"):
        checked(small_tree, 58882)
