"""A small SNS-like tree: settings, instrument parameters, grouping map and event files with real HDF5 content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snapcal_workbench.options import Settings

LOGS: dict[str, Any] = {
    "det_arc1": -65.3,
    "det_arc2": 104.95,
    "det_lin1": 0.045,
    "det_lin2": 0.043,
    "BL3:Chop:Skf1:WavelengthUserReq": 2.1,
    "BL3:Det:TH:BL:Frequency": 59.999996185302734,
    "BL3:Mot:OpticsPos:Pos": 1,
}

PARAMETERS: dict[str, Any] = {
    "version": 0,
    "facility": "SNS",
    "bandwidth": 3.0,
    "maxBandwidth": 3.0,
    "L1": 15.0,
    "L2": 0.5,
    "delTOverT": 0.002,
    "delLOverL": 6.452e-5,
    "width": 1600.0,
    "frequency": 60.4,
    "lowWavelengthCrop": 0.05,
    "cycle": {"cycleID": "2022-A", "startDate": "2022-01-04", "stopDate": "2022-03-13", "firstRun": 52862},
}


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_run(
    path: Path,
    run: str,
    logs: Mapping[str, Any] = LOGS,
    banks: Mapping[str, tuple[list[int], list[float]]] | None = None,
) -> Path:
    """Write an event file; banks: (pixel ids, TOF in us) of each bank. A log's series starts with a spurious zero."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        texts = {
            "run_number": run,
            "title": "Si",
            "start_time": "2025-01-01T00:00:00",
            "end_time": "2025-01-01T01:00:00",
        }
        for name, text in texts.items():
            entry[name] = np.array([text.encode()])
        entry["proton_charge"] = np.array([3.6e9 * 2])
        entry["proton_charge"].attrs["units"] = "picoCoulomb"
        for name, value in logs.items():
            log = entry.create_group(f"DASlogs/{name}")
            log["value"] = np.array([0 * value, value])
            log["time"] = np.array([0.0, 1.0])
        for name, (ids, tofs) in (banks or {"bank11": ([], [])}).items():
            bank = entry.create_group(f"{name}_events")
            bank.attrs["NX_class"] = "NXevent_data"
            bank["event_id"] = np.array(ids, np.uint32)
            bank["event_time_offset"] = np.array(tofs, np.float32)
            bank["event_time_offset"].attrs["units"] = "microsecond"
            bank["event_time_zero"] = np.array([0.0])
            bank["event_index"] = np.array([0], np.uint64)
            bank["total_counts"] = np.array([len(ids)], np.uint64)
    return path


def write_parameters(settings: Settings, versions: Mapping[int, tuple[str, str, Mapping[str, Any]]]) -> None:
    """Write versions of the instrument parameters: number -> (appliesTo, timestamp, fields that differ)."""
    entries = []
    for number, (applies_to, timestamp, changes) in versions.items():
        entry = {
            "version": number,
            "runNumber": "000000",
            "useLiteMode": False,
            "appliesTo": applies_to,
            "comments": "",
            "author": "tester",
            "timestamp": timestamp,
        }
        entries.append(entry)
        content = {**PARAMETERS, "version": number, "indexEntry": entry, **changes}
        write_json(settings.instrument_parameters / f"v_{number:04d}" / "SNAPInstPrm.json", content)
    write_json(settings.instrument_parameters / "InstrumentParameterIndex.json", entries)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose root is an empty folder."""
    return Settings(ipts_root=tmp_path / "SNS")


@pytest.fixture
def tree(settings: Settings) -> Settings:
    """The settings of a tree with one version of the instrument parameters and an empty proposal IPTS-1."""
    write_parameters(settings, {0: (">=0", "2024-01-01T00:00:00.000000000+0000", {})})
    (settings.ipts_root / "SNAP" / "IPTS-1" / "nexus").mkdir(parents=True)
    return settings


@pytest.fixture
def add_run(tree: Settings) -> Callable[..., Path]:
    """Write the event file of a run into a proposal of the tree."""

    def add(run: int, *, ipts: int = 1, **content: Any) -> Path:
        path = tree.ipts_root / "SNAP" / f"IPTS-{ipts}" / "nexus" / f"SNAP_{run}.nxs.h5"
        return write_run(path, str(run), **content)

    return add
