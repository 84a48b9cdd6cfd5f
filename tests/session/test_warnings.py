"""What a scientist is told of: options that a calibrant fixes, and where a demonstration is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.demo import show_files
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Request, Session
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.support import copy_tree


@pytest.fixture
def tree(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    return copy_tree(calibrated_tree, tmp_path / "tree")


def fix_limits(tree: SimulatedTree, **overrides: Any) -> None:
    """Let the calibrant's file fix options."""
    (path,) = tree.settings.calibrant_samples.glob("Silicon_NIST_640d*.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "overrides": overrides}), encoding="utf-8")


def test_iterate_warns_of_an_option_that_the_calibrant_fixes(tree: SimulatedTree) -> None:
    fix_limits(tree, crystalDMin=0.6, crystalDMax=2.5)
    arguments = ["--config", str(tree.config_path), "iterate", "--skip-pixels", "--no-report", "--d-min", "0.8"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert "fixes peaks.crystal_d_min = 0.6; 0.8 is not used" in said
    assert "crystal_d_max" not in said  # nobody asked for another one
    iteration = Session(EmbeddedHost(tree.settings)).iteration(3)
    assert any("crystal_d_min" in text for text in iteration.warnings)
    assert min(peaks.d.min() for peaks in iteration.peaks.values()) < 0.8


def test_what_the_calibrant_fixes_is_known_before(tree: SimulatedTree) -> None:
    fix_limits(tree, crystalDMin=0.6, crystalDMax=2.5, peakFunction="PseudoVoigt")
    found = Session(EmbeddedHost(tree.settings)).calibrant(Request(calibrant="Silicon_NIST_640d_001"))
    assert found.fixed == {
        "peaks.crystal_d_min": 0.6,
        "peaks.crystal_d_max": 2.5,
        "groups.peak_function": "PseudoVoigt",
    }
    assert found.reflections.d.min() > 0.6
    assert found.reflections.d.max() < 2.5


def test_the_demonstration_names_its_files_in_a_tree_with_the_mode_level(
    tree: SimulatedTree, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tree.settings.model_copy(update={"index_layout": "with mode level"})
    session = Session(EmbeddedHost(settings))
    saved = session.save(1, author="tester", comments="c", progress=Progress())
    show_files(session, 1, tree.directory)
    assert "lite/diffraction" in saved.path.replace("\\", "/")
    assert saved.path in "".join(capsys.readouterr().out.split())
