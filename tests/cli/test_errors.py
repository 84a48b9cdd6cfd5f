"""Every error that a scientist can meet says what was expected, what was found, what to do, and has its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from snapcal_workbench.calibration.types import DiffCalTable, PixelMask
from snapcal_workbench.cli.app import app
from snapcal_workbench.formats.diffcal import write_diffcal
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.simulation.tree import SimulatedTree

RUN = "58882"
SILICON = ("--calibrant", "Silicon_NIST_640d_001")


def snapcal(tree: SimulatedTree, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(tree.config_path), *arguments])


def error_of(result: Result) -> dict[str, str]:
    """The error of a command that was called with --json."""
    error = json.loads(result.stdout)["error"]
    assert error["what"]
    assert error["fix"]
    return error


def calibrate(tree: SimulatedTree, *arguments: str) -> Result:
    given = arguments if "--calibrant" in arguments else (*SILICON, *arguments)
    return snapcal(tree, "calibrate", RUN, *given, "--no-report", "--json")


def calibration_home(tree: SimulatedTree) -> Path:
    return tree.settings.calibration_home


def own_run(tree: SimulatedTree) -> Path:
    """The run's file, which may be changed (in the copy it is a link)."""
    path = tree.run_path(RUN)
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    os.replace(copy, path)
    return path


def test_no_such_run(small_tree: SimulatedTree) -> None:
    result = snapcal(small_tree, "state", "58883", "--json")
    assert result.exit_code == 3
    error = error_of(result)
    assert "58883" in error["what"]
    assert str(small_tree.settings.ipts_root) in error["found"]


def test_a_state_with_nothing_but_its_default_says_so(small_tree: SimulatedTree) -> None:
    assert "versions: none\n" in snapcal(small_tree, "state", RUN).stdout
    assert snapcal(small_tree, "init-state", RUN, "--name", "test").exit_code == 0
    assert f"versions: only the default; the default applies to run {RUN}\n" in snapcal(small_tree, "state", RUN).stdout


def test_a_run_in_two_proposals(small_tree: SimulatedTree) -> None:
    other = small_tree.settings.instrument_home / "IPTS-00002" / "nexus"
    other.mkdir(parents=True)
    shutil.copyfile(small_tree.run_path(RUN), other / f"SNAP_{RUN}.nxs.h5")
    result = snapcal(small_tree, "state", RUN, "--json")
    assert result.exit_code == 2
    assert "IPTS-00001" in error_of(result)["found"]
    assert "IPTS-00002" in error_of(result)["found"]


def test_a_truncated_file(small_tree: SimulatedTree) -> None:
    path = own_run(small_tree)
    os.truncate(path, path.stat().st_size // 2)
    result = calibrate(small_tree)
    assert result.exit_code == 4
    assert str(path) in error_of(result)["what"]


def test_a_missing_log(small_tree: SimulatedTree) -> None:
    with h5py.File(own_run(small_tree), "r+") as file:
        del file["entry/DASlogs/det_arc1"]
        del file["entry/DASlogs/det_lin2"]
    result = calibrate(small_tree)
    assert result.exit_code == 3
    text = json.dumps(error_of(result))
    assert "det_arc1" in text
    assert "det_lin2" in text


def test_an_unknown_state_can_be_calibrated_but_not_saved(small_tree: SimulatedTree) -> None:
    done = snapcal(small_tree, "calibrate", RUN, *SILICON, "--skip-pixels", "--no-report")
    assert done.exit_code == 0, done.output
    assert "not initialised" in done.output
    result = snapcal(small_tree, "save", "1", "--comments", "c", "--json")
    assert result.exit_code in (3, 6)
    assert "init-state" in error_of(result)["fix"]


def test_an_unknown_calibrant_lists_those_that_there_are(small_tree: SimulatedTree) -> None:
    result = calibrate(small_tree, "--calibrant", "Nickel")
    assert result.exit_code == 3
    assert "Diamond_001" in error_of(result)["found"]


def test_a_calibrant_without_cif(small_tree: SimulatedTree) -> None:
    (calibration_home(small_tree) / "CalibrantSamples" / "Silicon_NIST_640d.cif").unlink()
    result = calibrate(small_tree)
    assert result.exit_code == 3
    assert "Silicon_NIST_640d.cif" in json.dumps(error_of(result))


def test_a_cif_without_space_group(small_tree: SimulatedTree) -> None:
    cif = calibration_home(small_tree) / "CalibrantSamples" / "Silicon_NIST_640d.cif"
    kept = [line for line in cif.read_text().splitlines() if "space_group" not in line and "symmetry" not in line]
    cif.write_text("\n".join(kept) + "\n")
    result = calibrate(small_tree)
    assert result.exit_code == 4
    assert "space group" in error_of(result)["what"]


def test_a_grouping_of_the_wrong_size(small_tree: SimulatedTree) -> None:
    native = small_tree.settings.pixel_groupings / "SNAPFocGroup_Column.hdf"
    result = calibrate(small_tree, "--grouping", str(native))
    assert result.exit_code == 4
    assert "1179648" in error_of(result)["found"]


def test_groups_without_peaks(small_tree: SimulatedTree) -> None:
    """Only 111 lies above 2.9 A, which no group of this state but the last can see: too few peaks anywhere."""
    path = calibration_home(small_tree) / "CalibrantSamples" / "Silicon_NIST_640d_001.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "overrides": None}), encoding="utf-8")
    result = calibrate(small_tree, "--d-min", "2.9", "--d-max", "3.2", "--skip-pixels")
    assert result.exit_code in (2, 5)
    assert "reflection" in error_of(result)["what"] or "peak" in error_of(result)["what"]


def test_all_pixels_masked(small_tree: SimulatedTree, tmp_path: Path) -> None:
    geometry = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)
    mask = PixelMask(geometry.detid, np.full(len(geometry), 5, np.uint8))
    write_diffcal(tmp_path / "mask.h5", DiffCalTable.from_geometry(geometry), mask)
    result = calibrate(small_tree, "--mask", str(tmp_path / "mask.h5"))
    assert result.exit_code == 5
    assert "mask" in json.dumps(error_of(result))


def test_empty_pixels_are_masked_with_their_reason(small_tree: SimulatedTree) -> None:
    with h5py.File(own_run(small_tree), "r+") as file:
        bank = file["entry/bank22_events"]
        identifiers = bank["event_id"][()]
        identifiers[identifiers % 65536 < 4096] = 2**31 - 5  # ids that no pixel has
        bank["event_id"][...] = identifiers
    result = calibrate(small_tree)
    assert result.exit_code == 0, result.output
    masked = json.loads(result.stdout)["account"]["masked"]
    assert masked["no counts"] >= 64


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--option", "pixels.max_passe=3"), "pixels.max_passe"),
        (("--max-passes", "0"), "max_passes"),
        (("--preset", "fast"), "preset"),
        (("--exclude", "3-2,2,0"), "3-2,2,0"),
        (("--start-from", "nonsense"), "nonsense"),
        (("--model", "TZERO"), "model"),
    ],
)
def test_wrong_inputs_are_named(small_tree: SimulatedTree, arguments: tuple[str, str], named: str) -> None:
    result = calibrate(small_tree, *arguments)
    assert result.exit_code == 2
    assert named in json.dumps(error_of(result))


def test_a_wrong_setting_is_named(small_tree: SimulatedTree) -> None:
    result = CliRunner().invoke(
        app, ["--config", str(small_tree.config_path), "--set", "nonsense=3", "config", "--json"]
    )
    assert result.exit_code == 2
    assert "nonsense" in error_of(result)["found"]


def test_errors_are_readable_without_json(small_tree: SimulatedTree) -> None:
    result = snapcal(small_tree, "state", "58883")
    assert result.exit_code == 3
    for part in ("Error: ", "Found: ", "To do: "):
        assert part in result.output


AS_NOBODY = """
import os, sys
from snapcal_workbench.cli.app import app
import snapcal_workbench.store.state_init
config = sys.argv[1:3]
app([*config, "state", "58882"], standalone_mode=False)  # loads what an unprivileged process may not read
sys.stdout.flush()
os.setgid(65534), os.setuid(65534)
app([*config, *sys.argv[3:]])
"""


def as_nobody(tree: SimulatedTree, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that may not write into the tree."""
    command = [sys.executable, "-c", AS_NOBODY, "--config", str(tree.config_path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become someone else")
def test_no_permission_to_write(small_tree: SimulatedTree) -> None:
    for folder in [small_tree.directory, *small_tree.directory.parents]:
        if len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o055)
    done = as_nobody(small_tree, "init-state", RUN, "--name", "x", "--json")
    assert done.returncode == 6, done.stderr
    assert "Ask the owner of the calibration tree" in done.stdout
    assert str(small_tree.settings.powder_home) in done.stdout
    assert not (small_tree.settings.powder_home / "04bd2c53f6bf6754").exists()


def interrupted(tree: SimulatedTree, until: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command and press Ctrl-C once its progress says `until`."""
    command = [sys.executable, "-u", "-m", "snapcal_workbench.cli", "--config", str(tree.config_path), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if until in line:
                process.send_signal(signal.SIGINT)
                break
        started = time.monotonic()
        out, rest = process.communicate(timeout=60)
        assert time.monotonic() - started < 30
    return subprocess.CompletedProcess(command, process.returncode, out, said + rest)


@pytest.mark.parametrize("until", ["Reading", "Aligning", "once more"])
def test_control_c_ends_cleanly(small_tree: SimulatedTree, until: str) -> None:
    done = interrupted(small_tree, until, "calibrate", RUN, *SILICON)
    assert done.returncode == 130, done.stderr
    assert "Cancelled" in done.stderr
    session = small_tree.settings.session_directory
    assert not list(session.glob("iteration_*/iteration.json"))
