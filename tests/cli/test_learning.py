"""Learning the moderator's profile, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from snapcal_workbench.calibration.groups.pattern.fit import PROFILE_NAMES, UNKNOWN_PROFILE
from snapcal_workbench.cli.app import app
from snapcal_workbench.instrument.moderator import moderator_profile
from snapcal_workbench.simulation.tree import SimulatedTree

QUICK = ("--calibrant", "Silicon_NIST_640d_001", "--option", "pixels.skip=true")


def test_a_run_becomes_the_instruments_first_version(small_tree: SimulatedTree) -> None:
    """It knows more than before, holds from the run on, and is kept beside the instrument parameters."""
    config = ("--config", str(small_tree.config_path))
    result = CliRunner().invoke(app, [*config, "learn-profile", "58882", *QUICK, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    kept = moderator_profile(small_tree.settings, "58882")
    assert (kept.version, kept.runs, kept.names) == (1, ("58882",), PROFILE_NAMES)
    assert Path(told["file"]).parent == Path(small_tree.settings.instrument_parameters)
    np.testing.assert_allclose(told["value"], kept.value)
    np.testing.assert_allclose(told["error"], np.sqrt(np.diag(kept.covariance)))
    assert np.linalg.slogdet(kept.covariance)[1] < np.linalg.slogdet(UNKNOWN_PROFILE.covariance)[1] - 3.0
    assert told["chi2"][0] < 3.0
    assert moderator_profile(small_tree.settings, "58881").version == 0


def test_peaks_one_by_one_teach_nothing(small_tree: SimulatedTree) -> None:
    config = ("--config", str(small_tree.config_path))
    result = CliRunner().invoke(app, [*config, "learn-profile", "58882", *QUICK, "--option", "groups.method=peaks"])
    assert result.exit_code == 2
    assert "comes from the joint fit" in result.stderr
    assert moderator_profile(small_tree.settings, "58882").version == 0
