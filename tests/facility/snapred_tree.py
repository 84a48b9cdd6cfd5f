"""A tree of many states as SNAPRed writes it: its documented files and keys, and none of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snapcal_workbench.calibration.types import DiffCalTable, MaskReason, PixelMask, RunInfo
from snapcal_workbench.formats.diffcal import diffcal_image
from snapcal_workbench.formats.index import format_timestamp
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.parameters import InstrumentParameters
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.options import Settings

FIRST_TIME = 1_735_000_000_000_000_000
DAY = 86_400 * 10**9
PARAMETERS = {
    "version": 0,
    "facility": "SNS",
    "bandwidth": 3.0,
    "maxBandwidth": 3.2,
    "L1": 15.0,
    "L2": 0.5,
    "delTOverT": 0.002,
    "delLOverL": 6.452e-5,
    "width": 1600.0,
    "frequency": 60.4,
    "lowWavelengthCrop": 0.05,
    "cycle": {"cycleID": "2024-B", "startDate": "2024-07-01", "stopDate": "2025-02-28", "firstRun": 58000},
}
GROUP_ERROR = 0.02 * 0.0031 / 12**0.5
"""Relative error of a group, by the scatter of the twelve peaks that the records state."""
Shift = Callable[[int, PixelMode], np.ndarray]


def state_at(*, arc1: float = -65.3, arc2: float = 104.95, wavelength: float = 2.1) -> InstrumentState:
    """The state of SNAP at these arcs and wavelength."""
    logs = {
        "det_arc1": arc1,
        "det_arc2": arc2,
        "det_lin1": 0.045,
        "det_lin2": 0.043,
        "BL3:Chop:Skf1:WavelengthUserReq": wavelength,
        "BL3:Det:TH:BL:Frequency": 59.999996185302734,
        "BL3:Mot:OpticsPos:Pos": 1,
    }
    return instrument_state(RunInfo("58810", logs=logs), InstrumentParameters.model_validate(PARAMETERS), SNAP)


@dataclass(frozen=True)
class SnapredState:
    """A state as SNAPRed lays it out, with the mode level.

    Attributes:
        settings: Of the tree.
        state: The state; name: its name.
        name: As people recognise it.
        first_run: Run of version 1; each later version is of ten runs later.
    """

    settings: Settings
    state: InstrumentState
    name: str
    first_run: int = 58810

    @property
    def home(self) -> Path:
        """Folder of the index."""
        return self.settings.powder_home / self.state.state_id / "lite" / "diffraction"

    def run(self, version: int) -> int:
        """The run of a version."""
        return self.first_run + 10 * version

    def write(self, versions: int, *, shift: Shift | None = None, data: bool = True) -> None:
        """Write the default and so many versions.

        Args:
            versions: How many, beside the default.
            shift: ln(DIFC / geometric DIFC) of each pixel by version; None: the geometry.
            data: Whether the tables are written too.
        """
        self.home.mkdir(parents=True)
        entries = [self.entry(version) for version in range(versions + 1)]
        difc = self.state.geometry(SNAP.lite).difc
        for entry in entries:
            self._write_version(entry, difc, shift if data else None, data)
        (self.home / "CalibrationIndex.json").write_text(json.dumps(entries, indent=4))

    def entry(self, version: int) -> dict[str, Any]:
        """Index entry of a version; one a week."""
        return {
            "version": version,
            "runNumber": str(self.run(version)),
            "useLiteMode": True,
            "appliesTo": f">={self.run(version)}" if version else ">=0",
            "comments": f"calibration {version} of {self.name}" if version else "The default configuration",
            "author": "somebody" if version else "SNAPRed Internal",
            "timestamp": format_timestamp(FIRST_TIME + version * 7 * DAY),
        }

    def _write_version(self, entry: Mapping[str, Any], difc: np.ndarray, shift: Shift | None, data: bool) -> None:
        version = entry["version"]
        folder = self.home / f"v_{version:04d}"
        folder.mkdir()
        table = f"diffract_consts_{self.run(version):06d}_v{version:04d}" if version else "diffract_consts_default_v0"
        parameters = {
            "instrumentState": self.state.model_dump(mode="json", by_alias=True),
            "seedRun": "58810",
            "creationDate": format_timestamp(FIRST_TIME),
            "name": self.name,
            "calibrantSamplePath": None,
            "peakIntensityThreshold": 0.05,
            "version": version,
            "indexEntry": dict(entry),
            "useLiteMode": True,
        }
        record = {
            "version": version,
            "indexEntry": dict(entry),
            "runNumber": entry["runNumber"],
            "useLiteMode": True,
            "calculationParameters": parameters,
            "hooks": None,
            "snapredVersion": "2.1.0",
            "snapwrapVersion": None,
            "workspaces": {"diffCalTable": [table]},
        } | (_calibrated(table, version, self.run(version)) if version else {})
        (folder / "CalibrationParameters.json").write_text(json.dumps(parameters, indent=4))
        (folder / "CalibrationRecord.json").write_text(json.dumps(record, indent=4))
        if data:
            self._write_table(folder / f"{table}.h5", version, difc, shift)

    def _write_table(self, path: Path, version: int, difc: np.ndarray, shift: Shift | None) -> None:
        moved = shift(version, SNAP.lite) if shift and version else np.zeros(len(difc))
        detid, zeros = SNAP.lite.detid, np.zeros(len(difc))
        reason = np.zeros(len(difc), np.uint8)
        reason[::97] = MaskReason.NO_COUNTS if version else MaskReason.USED
        table = DiffCalTable(detid, difc * np.exp(moved), zeros, zeros)
        path.write_bytes(
            diffcal_image(table, PixelMask(detid, reason), instrument=SNAP.lite.definition, source=SNAP.lite.definition)
        )


def _calibrated(table: str, version: int, run: int) -> dict[str, Any]:
    """What the record of a calibration has beyond that of the default: six groups, each with twelve peaks."""
    token = f"{run:06d}_v{version:04d}"
    metric = {
        "sigmaAverage": 0.0031,
        "sigmaStandardDeviation": 0.0002,
        "strainAverage": -0.012,
        "strainStandardDeviation": 0.02,
        "twoThetaAverage": 90.0,
    }
    return {
        "workspaces": {
            "diffCalOutput": [f"dsp_column_{token}"],
            "diffCalDiagnostic": [f"diagnostic_column_{token}"],
            "diffCalTable": [table],
            "diffCalMask": [f"diffract_consts_mask_{token}"],
        },
        "crystalInfo": {
            "peaks": [
                {"hkl": [k, k, k], "dSpacing": 3.2 / k, "fSquared": 500.0, "multiplicity": 8} for k in range(1, 13)
            ]
        },
        "pixelGroups": None,
        "focusGroupCalibrationMetrics": {
            "focusGroupName": "Column",
            "calibrationMetric": [{**metric, "twoThetaAverage": 60.0 + 10.0 * group} for group in range(6)],
        },
    }


def thirty_states(settings: Settings) -> list[SnapredState]:
    """Three detector positions of ten wavelengths each."""
    found = []
    for arcs in ((-65.3, 104.95), (-90.0, 90.0), (-50.0, 105.0)):
        for wavelength in np.round(np.linspace(1.8, 6.3, 10), 1):
            state = state_at(arc1=arcs[0], arc2=arcs[1], wavelength=float(wavelength))
            found.append(SnapredState(settings, state, f"{arcs[0]:g}/{arcs[1]:g} at {wavelength:g} A"))
    return found


def with_first_run(state: SnapredState, run: int) -> SnapredState:
    """The same state, calibrated from another run on."""
    return replace(state, first_run=run)
