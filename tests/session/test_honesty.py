"""Runs that try to deceive, from the request to the saved version: right, or told; never silently wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from snapcal_workbench.calibration.types import Calibration
from snapcal_workbench.cli.app import app
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects
from snapcal_workbench.simulation.run import simulate_run, visible_reflections
from snapcal_workbench.simulation.tree import SimulatedTree, make_tree, sample_text
from tests.honesty import CASES, DIAMOND, SILICON, run_case
from tests.support import copy_tree

QUICK = ("two modules moved, lead",)
"""Tried with few events in every run of the tests: a second phase and modules out of the search at once."""
FAINT = "background ten times the peaks"
"""Tried with half of the others' events: ten in peaks a pixel, so that noise of some looks like another place."""


@pytest.fixture
def tree(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    return copy_tree(calibrated_tree, tmp_path / "tree")


def snapcal(tree: SimulatedTree, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command, as one line."""
    done = CliRunner().invoke(app, ["--config", str(tree.config_path), *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_silicon_is_not_calibrated_as_diamond(tree: SimulatedTree) -> None:
    """Refused with what speaks against it; by force it is made, told loudly, and saved by force only."""
    code, said = snapcal(tree, "iterate", "--calibrant", DIAMOND, "--no-report")
    assert code == 5
    assert "The data are not of the calibrant" in said
    assert "explains" in said
    assert "any_calibrant" in said
    forced = ("groups.any_calibrant=true", "pixels.skip=true")
    force = [text for option in forced for text in ("--option", option)]
    code, said = snapcal(tree, "iterate", "--calibrant", DIAMOND, "--no-report", *force)
    assert code == 0
    assert "THE DATA ARE NOT OF THE CALIBRANT" in said
    assert "Verdict: NOT TO BE USED" in said
    session = Session(EmbeddedHost(tree.settings))
    number = session.iterations[-1].number
    saving = ("save", str(number), "--comments", "against better knowledge", "--author", "tester")
    code, said = snapcal(tree, *saving)
    assert code == 5
    assert "not to be used" in said
    assert "--force" in said
    code, said = snapcal(tree, *saving, "--force")
    assert code == 0
    assert "SAVED BY FORCE" in said
    records = sorted(tree.settings.powder_home.rglob("CalibrationRecord.json"))
    assert any("not to be used" in json.dumps(json.loads(path.read_text("utf-8"))) for path in records)


def calibrated(directory: Path, seed: int) -> Calibration:
    """One of several runs of the same instrument, misaligned in the same way."""
    tree = make_tree(directory)
    simulate_run(
        tree.run_path(58882),
        reflections=visible_reflections(sample_text("Silicon_NIST_640d.cif")),
        n_events=6_000_000,
        seed=seed,
        misalignment=Misalignment(seed=9),
        defects=Defects.none(),
    )
    session = Session(EmbeddedHost(tree.settings), directory / "session")
    request = session.new_request(runs=("58882",), calibrant=SILICON).changed({"groups.model": "DIFC"})
    return session.folders.calibration(session.calibrate(request, Progress(), report=False).number)


@pytest.mark.long
def test_two_runs_of_one_geometry_differ_by_no_more_than_their_errors(tmp_path: Path) -> None:
    """Pixel by pixel: the differences in standard errors are no wider than a standard normal's, nor longer tailed.

    What pixels say by themselves differs by its errors. With the prior both runs are drawn to the same field, and
    differ by less than the errors, which hold how far a pixel strays from it.
    """
    first, second = (calibrated(tmp_path / f"{seed}", seed) for seed in (1, 2))
    assert first.results is not None
    assert second.results is not None
    used = ~first.mask.masked & ~second.mask.masked
    assert used.mean() > 0.99
    sigma = np.hypot(first.results.sigma, second.results.sigma)[used]
    pull = np.log(first.table.difc / second.table.difc)[used] / sigma
    assert 1.4826 * np.median(np.abs(pull)) < 1.1
    assert np.mean(np.abs(pull) > 4.0) < 1e-3
    apart = (first.results.own_shift - second.results.own_shift)[used]
    own = np.hypot(first.results.own_sigma, second.results.own_sigma)[used]
    group = first.grouping.group[used]
    middle = np.array([np.median(apart[group == g]) for g in np.unique(group)])
    apart -= middle[np.searchsorted(np.unique(group), group)]
    assert 0.95 < 1.4826 * np.median(np.abs(apart / own)) < 1.05


@pytest.mark.parametrize(
    ("name", "events"),
    [
        (case.name, 500_000)
        if case.name in QUICK
        else pytest.param(case.name, 2_000_000 if case.name == FAINT else 4_000_000, marks=pytest.mark.long)
        for case in CASES
    ],
)
def test_nothing_is_silently_wrong(name: str, events: int, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    found = run_case(case, tmp_path / "tree", events=events, seed=1)
    assert found.how in ("right", "told"), found
    assert found.how == "told" or found.word != "not to be used", f"a false alarm: {found}"
    if found.how == "told":
        assert found.why
