"""What a run says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.nexus.events import read_run_info


@pytest.fixture
def run_file(event_file: Path) -> Path:
    """The event file with logs of all kinds."""
    logs: dict[str, dict[str, Any]] = {
        "det_arc1": {"value": np.array([0.0, -65.2, -65.3])},
        "det_arc2": {"values": np.array([104.95])},
        "both": {"value": np.array([1.0]), "values": np.array([2.0])},
        "single": {"value": np.array([0.1], np.float32)},
        "count": {"value": np.array([1, 2, 3], np.int32)},
        "words": {"value": np.array([b"in", b"out of the beam"])},
        "rows": {"value": np.array([[1.0, 2.0], [3.0, 4.0]])},
        "neither": {"average_value": np.array([1.0])},
        "empty": {"value": np.array([])},
        "scalar": {"value": 5.0},
    }
    with h5py.File(event_file, "a") as file:
        for name, members in logs.items():
            for member, values in members.items():
                file[f"entry/DASlogs/{name}/{member}"] = values
    return event_file


def test_the_last_value_of_every_log(run_file: Path) -> None:
    """`value` before `values`; logs with neither are absent; those without a value are named, not raised."""
    info = read_run_info(run_file)
    assert info.logs == {
        "det_arc1": -65.3,
        "det_arc2": 104.95,
        "both": 1.0,
        "single": float(np.float32(0.1)),
        "count": 3,
        "words": "out of the beam",
        "rows": [3.0, 4.0],
        "scalar": 5.0,
    }
    assert {type(info.logs[name]) for name in ("count", "single", "words")} == {int, float, str}
    assert set(info.unreadable_logs) == {"empty"}


def test_number_title_times_charge_and_duration(run_file: Path) -> None:
    """Without leading zeros; 9 GpC are 2.5 uAh; what is missing is empty."""
    info = read_run_info(run_file, logs=())
    assert (info.run_number, info.title, info.start_time) == ("58882", "Silicon", "2023-05-01T10:00:00")
    assert (info.end_time, info.logs, info.source) == ("", {}, str(run_file))
    assert info.proton_charge == pytest.approx(2.5)
    assert info.duration == 120.0


def test_only_the_logs_that_are_asked_for(run_file: Path) -> None:
    """One that the file has not is absent, so that the caller can try another name."""
    assert read_run_info(run_file, logs=["det_arc1", "absent", "neither"]).logs == {"det_arc1": -65.3}


def test_a_log_that_is_needed_but_empty_is_named(run_file: Path) -> None:
    """The state of the instrument must not rest on it."""
    with pytest.raises(FileFormatError, match="a value of the log empty") as caught:
        read_run_info(run_file, logs=["empty"])
    assert caught.value.found == "no value"


def test_the_charge_in_other_units(run_file: Path) -> None:
    """uAh are taken as they are; an unknown unit is refused."""
    for unit, wanted in (("uAh", 9e9), ("pC", 2.5)):
        with h5py.File(run_file, "a") as file:
            file["entry/proton_charge"].attrs["units"] = unit
        assert read_run_info(run_file, logs=()).proton_charge == pytest.approx(wanted)
    with h5py.File(run_file, "a") as file:
        file["entry/proton_charge"].attrs["units"] = "acre"
    with pytest.raises(FileFormatError, match="acre"):
        read_run_info(run_file, logs=())


def test_a_file_without_a_run(tmp_path: Path, reference_data: Path) -> None:
    """Missing, no NeXus entry, and not HDF5 at all."""
    with pytest.raises(NotFoundError):
        read_run_info(tmp_path / "none.nxs.h5")
    with pytest.raises(FileFormatError, match="a NeXus entry"):
        read_run_info(reference_data / "nomad_diffcal.h5")
    text = tmp_path / "SNAP_1.nxs.h5"
    text.write_text("this is not HDF5")
    with pytest.raises(FileFormatError, match=r"an SNS event NeXus file \(HDF5\)"):
        read_run_info(text)
