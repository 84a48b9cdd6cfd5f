"""The calibrant of a run, from the shell."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.simulating import module_index, moved_modules, sample_of
from snapcal_workbench.errors import InputError
from snapcal_workbench.session.identification import title_names
from snapcal_workbench.simulation.tree import SimulatedTree


def test_the_run_is_told_to_be_of_silicon(small_tree: SimulatedTree) -> None:
    result = CliRunner().invoke(app, ["--config", str(small_tree.config_path), "identify", "58882", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["calibrant"] == found["named"] == "Silicon_NIST_640d_001"
    assert found["warning"] is None
    assert [c["name"] for c in found["ranking"] if c["fits"]] == ["Silicon_NIST_640d_001"]
    assert found["ranking"][0]["explained"] > 0.95


def test_without_the_right_calibrant_nothing_is_named(small_tree: SimulatedTree) -> None:
    """Exit code 5, with what speaks against the best one; a file that cannot be read is told."""
    samples = small_tree.settings.calibrant_samples
    (samples / "Silicon_NIST_640d_001.json").unlink()
    (samples / "Broken_001.json").write_text("{")
    result = CliRunner().invoke(app, ["--config", str(small_tree.config_path), "identify", "58882"])
    assert result.exit_code == 5
    assert "None of the facility's calibrants explains the run" in result.stderr
    assert "Diamond_001 explains" in result.stderr
    assert "Broken_001.json could not be tried" in result.stderr


@pytest.mark.parametrize(
    ("title", "named"),
    [
        ("Silicon 640d, 2.1 A", "Silicon_NIST_640d_001"),
        ("diamond at 5 GPa", "Diamond_001"),
        ("silicon in diamond anvils", ""),
        ("vanadium", ""),
        ("", ""),
    ],
)
def test_what_a_title_names(title: str, named: str) -> None:
    assert title_names(title, ["Silicon_NIST_640d_001", "Diamond_001"]) == named


def test_samples_of_simulated_runs_are_read_or_refused() -> None:
    sample = sample_of(["lead:0.4", "Cu:1"], texture=0.1, strain=0.0, seed=3)
    assert [phase.amount for phase in sample.foreign] == [0.4, 1.0]
    assert moved_modules(["4:0.04"], 18) == {3: 0.04}
    for bad in (lambda: sample_of(["unobtainium:1"], texture=0, strain=0, seed=1), lambda: moved_modules(["4"], 18)):
        with pytest.raises(InputError):
            bad()
    with pytest.raises(InputError, match="1 to 18"):
        module_index("19", 18)
