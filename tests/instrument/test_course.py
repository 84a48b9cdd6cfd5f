"""Logs as runs have them: entries before and after the run, moving detectors, other units, single values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.instrument.identifying import IdentifiedRun, identify_run
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.summary import summarise_run
from tests.instrument.conftest import LOGS

ID = "04bd2c53f6bf6754"
RUN_SECONDS = 3600.0


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def identify(tree: Settings, add_run: Callable[..., Path], said: list[str]) -> Callable[..., IdentifiedRun]:
    """Write a run of one hour, change its file, and identify it."""

    def work(change: Callable[[h5py.Group], object]) -> IdentifiedRun:
        path = add_run(58882)
        with h5py.File(path, "a") as file:
            change(file["entry"])
        progress = Progress(on_message=lambda _, text: said.append(text))
        return identify_run(RunRequest(("58882",), SNAP.lite), tree, progress)

    return work


def log(
    name: str, values: Any, times: Sequence[float] | np.ndarray | None = None, **attributes: str
) -> Callable[[h5py.Group], None]:
    """Replace a log: values, times in s after `start` (the run's), units."""

    def change(entry: h5py.Group) -> None:
        group = entry["DASlogs"][name]
        del group["value"], group["time"]
        group["value"] = np.asarray(values)
        if "units" in attributes:
            group["value"].attrs["units"] = attributes["units"]
        if times is not None:
            group["time"] = np.asarray(times, float)
            if "start" in attributes:
                group["time"].attrs["start"] = attributes["start"]

    return change


def arc(found: IdentifiedRun) -> float:
    return found.state.detector_state.number("det_arc1")


@pytest.mark.parametrize(
    ("values", "times", "mean"),
    [
        ([-65.3], [0.0], -65.3),
        ([0.0, -65.3], [0.0, 1.0], -65.3),
        ([-65.3, -65.31], [0.0, 2700.0], -65.3025),
        ([-65.3, -65.31], [-500.0, 2700.0], -65.3025),
        ([-90.0, -65.3, -65.31], [-900.0, -500.0, 2700.0], -65.3025),
        ([-65.31, -65.3], [2700.0, 0.0], -65.3025),
        ([-65.3, -65.31, -65.4], [0.0, 2700.0, 4000.0], -65.3025),
    ],
)
def test_the_position_is_the_mean_over_the_runs_own_time(
    identify: Callable[..., IdentifiedRun], values: list[float], times: list[float], mean: float
) -> None:
    """Each value counts as long as it lasted; entries of before and after do not; the id is that of the last entry."""
    found = identify(log("det_arc1", values, times))
    assert arc(found) == pytest.approx(mean, abs=1e-12)
    assert found.info.logs["det_arc1"] == arc(found)
    assert found.state.state_id == ID


def test_times_may_be_counted_from_elsewhere(identify: Callable[..., IdentifiedRun]) -> None:
    """The log's own start is half an hour before the run's: the first value never was in the run."""
    change = log("det_arc1", [-65.4, -65.3], [0.0, 1700.0], start="2024-12-31T23:30:00")
    assert arc(identify(change)) == pytest.approx(-65.3)


@pytest.mark.parametrize(
    ("name", "values", "times", "words"),
    [
        ("det_arc1", [-65.3, -64.3], [0.0, 1800.0], "det_arc1 .* has -65\\.3 to -64\\.3 during the run"),
        ("det_arc1", [-64.3, -65.3], [0.0, 1800.0], "has -65\\.3 to -64\\.3 during the run"),
        ("det_arc1", [-65.3, -50.0], [0.0, 4000.0], "is -65.3 during the run, .* 400 s after the end, is -50"),
        ("BL3:Chop:Skf1:WavelengthUserReq", [2.1, 3.1], [0.0, 1800.0], "has 2.1 to 3.1"),
        ("BL3:Det:TH:BL:Frequency", [60.0, 30.0], [0.0, 1800.0], "has 30 to 60"),
        ("BL3:Mot:OpticsPos:Pos", [1, 2], [0.0, 1800.0], "has 1 to 2"),
    ],
)
def test_a_run_of_two_states_is_refused(
    identify: Callable[..., IdentifiedRun], name: str, values: list[float], times: list[float], words: str
) -> None:
    """Midway, or by an entry of after its end, by which its folder would be another one."""
    with pytest.raises(InputError, match="one and the same") as caught:
        identify(log(name, values, times))
    assert "SNAP_58882.nxs.h5" in caught.value.found
    assert re.search(words, caught.value.found)


def test_readings_on_both_sides_of_a_rounding_limit_are_one_state(identify: Callable[..., IdentifiedRun]) -> None:
    """-65.25 deg is where -65.0 and -65.5 meet; the last entry decides, and the position rounds as it does."""
    values = -65.25 + 0.01 * np.sin(np.arange(200))
    values[-1] = -65.249
    found = identify(log("det_arc1", values, np.linspace(0, 3500, 200)))
    assert -65.25 < arc(found) < -65.24
    assert found.state.state_id != ID


def test_a_move_within_the_state_is_warned_of_in_ppm(identify: Callable[..., IdentifiedRun], said: list[str]) -> None:
    """0.1 deg for half of the time: the change of DIFC by the geometry of both ends."""
    found = identify(log("det_arc1", [-65.4, -65.3], [0.0, RUN_SECONDS / 2]))
    ends = [SNAP.lite.place({**LOGS, "det_arc1": value}, 15.0).difc for value in (-65.4, -65.3)]
    ppm = 1e6 * np.max(np.abs(ends[1] / ends[0] - 1))
    assert arc(found) == pytest.approx(-65.35)
    assert ppm > 500
    assert any("det_arc1 was between -65.4 and -65.3" in text and f"up to {ppm:.0f} ppm" in text for text in said)


def test_an_encoder_that_stands_still_is_not_warned_of(identify: Callable[..., IdentifiedRun], said: list[str]) -> None:
    identify(log("det_arc1", -65.3 + 1e-4 * np.sin(np.arange(500)), np.linspace(0, 3500, 500)))
    assert not [text for text in said if "det_arc1" in text]


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("det_arc1", np.radians(-65.3), "rad", -65.3),
        ("det_arc1", -65.3, "degrees", -65.3),
        ("det_lin1", 45.0, "mm", 0.045),
        ("det_lin1", 4.5, "cm", 0.045),
        ("BL3:Chop:Skf1:WavelengthUserReq", 0.21, "nm", 2.1),
        ("BL3:Det:TH:BL:Frequency", 0.06, "kHz", 60.0),
    ],
)
def test_units_are_honoured_and_conversions_said(
    identify: Callable[..., IdentifiedRun], said: list[str], name: str, value: float, unit: str, expected: float
) -> None:
    found = identify(log(name, [value], [0.0], units=unit))
    assert float(str(found.info.logs[name])) == pytest.approx(expected)
    assert found.state.state_id == ID
    assert any(name in text and f"the unit {unit}" in text for text in said) == (unit != "degrees")


def test_an_unknown_unit_is_refused(identify: Callable[..., IdentifiedRun]) -> None:
    with pytest.raises(FileFormatError, match="furlong") as caught:
        identify(log("det_lin1", [0.045], [0.0], units="furlong"))
    assert "det_lin1" in caught.value.what
    assert "SNAP_58882.nxs.h5" in caught.value.what


@pytest.mark.parametrize("value", [-65.3, np.float32(-65.3)])
def test_a_single_value_is_a_log_of_one_entry(identify: Callable[..., IdentifiedRun], value: Any) -> None:
    found = identify(log("det_arc1", value))
    assert arc(found) == pytest.approx(-65.3, abs=1e-5)
    assert found.state.state_id == ID


@pytest.mark.parametrize("name", ["SNAP", "snap", "SNAPLite"])
def test_the_instruments_own_name_is_accepted(identify: Callable[..., IdentifiedRun], name: str) -> None:
    assert identify(lambda entry: entry.__setitem__("instrument/name", np.array([name.encode()]))).state.state_id == ID


def test_a_run_of_another_instrument_is_refused_by_name(identify: Callable[..., IdentifiedRun]) -> None:
    with pytest.raises(FileFormatError, match="NOMAD") as caught:
        identify(lambda entry: entry.__setitem__("instrument/name", np.array([b"NOMAD"])))
    assert "SNAP_58882.nxs.h5" in caught.value.found


def test_what_is_odd_about_a_run_is_told_before_it_is_loaded(
    tree: Settings, add_run: Callable[..., Path], tmp_path: Path
) -> None:
    """A move within the state and a conversion of units are in the summary that panel and shell show."""
    path = add_run(58882)
    with h5py.File(path, "a") as file:
        log("det_arc1", [-65.4, -65.3], [0.0, RUN_SECONDS / 2])(file["entry"])
        log("det_lin1", [45.0], [0.0], units="mm")(file["entry"])
    definition = tree.pixel_groupings / "SNAPFocGroup_Column.lite.hdf"
    definition.parent.mkdir(parents=True)
    definition.write_bytes(b"")
    group = [{"name": "Column", "definition": definition.name}]
    (tree.pixel_groupings / "defaultGroupingMap.json").write_text(json.dumps({"liteFocusGroups": group}))
    summary = summarise_run(RunRequest(("58882",), SNAP.lite), tree)
    assert [text.split()[0] for text in summary.warnings] == ["det_lin1", "det_arc1"]
