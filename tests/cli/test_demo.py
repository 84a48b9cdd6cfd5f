"""The demonstration recovers the injected misalignment, and doing nothing would fail the same test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, PixelGrouping, PixelMask
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.truth import Truth
from tests.support import Demo, run_snapcal

STATE = "04bd2c53f6bf6754"


@dataclass(frozen=True)
class GroupError:
    """Errors of one group, in units of TOF."""

    median: float
    spread: float
    bound: float


def robust(values: FloatArray) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def errors(
    table: DiffCalTable, truth: Truth, grouping: PixelGrouping, mask: PixelMask, peaks: dict[int, FloatArray]
) -> dict[int, GroupError]:
    """(predicted TOF - true TOF) / TOF at the used peaks, of the pixels in use, by group."""
    found = {}
    for group, d in peaks.items():
        use = (grouping.group == group) & ~mask.masked & (truth.information > 0)
        ratios = []
        for value in d:
            true = truth.difc[use] * value + truth.difa[use] * value**2 + truth.tzero[use]
            predicted = table.difc[use] * value + table.difa[use] * value**2 + table.tzero[use]
            ratios.append(predicted / true - 1.0)
        error = np.mean(ratios, axis=0)
        bound = float(np.median(1.0 / np.sqrt(truth.information[use])))
        found[group] = GroupError(float(np.median(error)), robust(error), bound)
    return found


def shortcomings(before: dict[int, GroupError], after: dict[int, GroupError]) -> list[str]:
    """What a calibration lacks; empty for one that is as good as it must be."""
    lacks = []
    for group, error in after.items():
        if error.spread > 1.15 * error.bound:
            lacks.append(f"group {group}: spread {error.spread:.2e} above 1.15 bounds of {error.bound:.2e}")
        if error.spread > 0.5 * before[group].spread:
            lacks.append(f"group {group}: spread {error.spread:.2e} not half of {before[group].spread:.2e}")
        if abs(error.median) > 1e-4:
            lacks.append(f"group {group}: median error {error.median:.2e} above 100 ppm")
    return lacks


@dataclass(frozen=True)
class Judged:
    start: dict[int, GroupError]
    saved: dict[int, GroupError]


@pytest.fixture(scope="module")
def judged(demo: Demo) -> Judged:
    assert demo.finished.code == 0, demo.finished.err
    session = Session(EmbeddedHost(demo.tree.settings))
    values = session.folders.values(2)
    truth, fits = Truth.read(demo.tree.truth_path(58882)).lite(), values["fit_table"]
    peaks = {int(group): fits.d[(fits.group == group) & fits.used] for group in np.unique(fits.group)}
    saved = read_diffcal(folder(demo) / "diffract_consts_058882_v0001.h5")
    start, grouping = values["start"], values["grouping"]
    return Judged(
        errors(start, truth, grouping, saved.mask, peaks), errors(saved.table, truth, grouping, saved.mask, peaks)
    )


def folder(demo: Demo):
    return demo.tree.settings.powder_home / STATE / "diffraction" / "v_0001"


def test_the_task_is_fair(judged: Judged) -> None:
    """The bound of a lite pixel is at most a third of the injected spread within every group."""
    assert sorted(judged.start) == [1, 2, 3, 4, 5, 6]
    for error in judged.start.values():
        assert error.bound <= error.spread / 3.0


def test_the_saved_calibration_is_as_good_as_it_must_be(judged: Judged) -> None:
    assert shortcomings(judged.start, judged.saved) == []


def test_doing_nothing_would_fail(judged: Judged) -> None:
    lacking = shortcomings(judged.start, judged.start)
    assert len([text for text in lacking if "1.15 bounds" in text]) == 6
    assert len([text for text in lacking if "not half" in text]) == 6


def test_a_pixel_error_is_what_its_definition_says() -> None:
    """A table that is 100 ppm too large everywhere is 100 ppm off at every peak."""
    detid = np.arange(4, dtype=np.int32)
    difc = np.full(4, 1.0 / WAVELENGTH_PER_TOF)
    zeros = np.zeros(4)
    truth = Truth(detid, difc, zeros, zeros, *(np.ones(4) for _ in range(4)))
    table = DiffCalTable(detid, difc * 1.0001, zeros, zeros)
    grouping = PixelGrouping(detid, np.ones(4, np.int32))
    found = errors(table, truth, grouping, PixelMask.none(detid), {1: np.array([1.0, 2.0])})
    assert found[1].median == pytest.approx(1e-4, rel=1e-6)
    assert found[1].spread == pytest.approx(0.0, abs=1e-12)


def test_the_index_lies_where_the_state_id_says_and_names_the_version(demo: Demo) -> None:
    index = demo.tree.settings.powder_home / STATE / "diffraction" / "CalibrationIndex.json"
    entries = json.loads(index.read_text())
    assert [entry["version"] for entry in entries] == [0, 1]
    assert entries[1]["runNumber"] == "58882"
    assert entries[1]["appliesTo"] == ">=58882"
    assert str(index) in demo.finished.out


def test_the_version_has_its_report_with_pictures_and_names_them_all(demo: Demo) -> None:
    names = {path.name for path in folder(demo).iterdir()}
    assert {"report.html", "convergence.png", "strain.png", "sigma.png", "difc_change.png"} <= names
    assert {f"spectrum_group_{group}.png" for group in range(1, 7)} <= names
    hashes = json.loads((folder(demo) / "CalibrationRecord.json").read_text())["snapcalWorkbench"]["contentHashes"]
    assert set(hashes) == names - {"CalibrationRecord.json", "record_as_saved.json"}


def test_it_shows_the_commands_and_ends_with_the_table(demo: Demo) -> None:
    for command in ("init-state", "calibrate", "iterate", "compare", "save", "versions"):
        assert f" {command} " in demo.finished.out
    assert "against the truth that was injected" in demo.finished.out
    assert "%" in demo.finished.err  # progress


@pytest.mark.long
def test_the_demonstration_runs_with_the_mode_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCAL_INDEX_LAYOUT", "with mode level")
    done = run_snapcal("demo", "--directory", str(tmp_path / "demo"), "--events", "1e6")
    assert done.code == 0, done.err
    assert "lite/diffraction/v_0001" in done.out
