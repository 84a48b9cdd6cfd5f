"""What stands below the top of a record: read where it is right, named where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.types import GroupMetrics, as_dict
from snapcal_workbench.errors import FileFormatError, NotFoundError, SnapcalError
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store.version.record import CalibrationRecord, parse_record
from snapcal_workbench.store.version.recorded import own_metrics, recorded_metrics, recorded_state
from tests.instrument.conftest import PARAMETERS

FOLDER = Path("/tree/v_0003")
STATE: dict[str, Any] = {
    "id": {"hex": "04bd2c53f6bf6754"},
    "instrumentConfig": PARAMETERS,
    "detectorState": {"PVs": {"det_arc1": -65.3, "det_arc2": 104.95, "det_lin1": 0.045, "det_lin2": 0.043}},
    "gsasParameters": {"alpha": 0.1, "beta": [0.02, 0.05]},
    "particleBounds": {"wavelength": {"minimum": 0.65, "maximum": 3.6}, "tof": {"minimum": 2500, "maximum": 14000}},
    "fwhmMultipliers": {"left": 1.5, "right": 1.5},
    "peakTailCoefficient": 2.0,
}
ROW = {"sigmaAverage": 0.003, "sigmaStandardDeviation": 2e-4, "strainAverage": -0.01, "twoThetaAverage": 121.0}


def _record(**changes: Any) -> CalibrationRecord:
    return parse_record(json.dumps({"version": 3, **changes}).encode())


def _own(**changes: Any) -> dict[str, Any]:
    n = np.arange(1, 3)
    ids, x = n.astype(np.int32), n / 7.0
    metrics = GroupMetrics(ids, x, x, x, x, x, x, x, x, x, ids, ids)
    return {"snapcalWorkbench": {"metrics": {**as_dict(metrics), **changes}}}


def test_figures_and_state_are_read_with_what_later_releases_add() -> None:
    found = recorded_metrics(
        _record(focusGroupCalibrationMetrics={"calibrationMetric": [{**ROW, "kurtosis": [1]}], "mood": "good"}), FOLDER
    )
    assert found is not None
    assert [row.sigma_average for row in found.calibration_metric] == [0.003]
    assert found.calibration_metric[0].strain_standard_deviation is None
    assert found.model_dump(by_alias=True)["mood"] == "good"
    assert recorded_metrics(_record(), FOLDER) is None
    state = recorded_state(_record(calculationParameters={"instrumentState": {**STATE, "weather": 3}}), FOLDER)
    assert state.state_id == "04bd2c53f6bf6754"
    own = own_metrics(_record(**_own(verdict=["good", "good"])), FOLDER)
    assert own is not None
    assert own.group.tolist() == [1, 2]


@pytest.mark.parametrize(
    "figures",
    [
        {"calibrationMetric": 3},
        {"calibrationMetric": [3]},
        {"calibrationMetric": [{**ROW, "sigmaAverage": "small"}]},
        {"calibrationMetric": {"a": ROW}},
    ],
)
def test_figures_that_are_none_name_the_record(figures: dict[str, Any]) -> None:
    with pytest.raises(FileFormatError, match="calibrationMetric") as caught:
        recorded_metrics(_record(focusGroupCalibrationMetrics=figures), FOLDER)
    assert "/tree/v_0003/CalibrationRecord.json" in caught.value.what


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"sigma": [0.1]}, "sigma: 1"),
        ({"sigma": ["x", "y"]}, "could not convert"),
        ({"sigma": [[0.1], [0.2]]}, "sigma has 2 dimensions"),
        ({"sigma": 7}, "sigma is int"),
        ({"group": [1e30, 2]}, "group has values"),
        ({"peaks_used": [None, 2]}, "peaks_used has values"),
    ],
)
def test_own_figures_that_are_none_name_the_record(change: dict[str, Any], found: str) -> None:
    with pytest.raises(FileFormatError, match=found) as caught:
        own_metrics(_record(**_own(**change)), FOLDER)
    assert "/tree/v_0003/CalibrationRecord.json" in caught.value.what


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"detectorState": 7},
        {"detectorState": {"arc": [1], "wav": 1, "freq": 1, "guideStat": 1, "lin": []}},
        {"instrumentConfig": {**PARAMETERS, "frequency": 1e9}},
        {"particleBounds": None},
    ],
)
def test_a_state_that_is_none_names_the_record(change: dict[str, Any]) -> None:
    with pytest.raises(FileFormatError, match=next(iter(change))) as caught:
        recorded_state(_record(calculationParameters={"instrumentState": {**STATE, **change}}), FOLDER)
    assert "/tree/v_0003/CalibrationRecord.json" in caught.value.what


@pytest.mark.parametrize("logs", [{}, {"det_arc1": "far"}, {"det_arc1": None}, {"det_arc1": 1e308}, {"det_arc1": []}])
def test_positions_that_are_none_are_named(logs: dict[str, Any]) -> None:
    positions = {**STATE["detectorState"]["PVs"], **logs} if logs else {}
    state = recorded_state(
        _record(calculationParameters={"instrumentState": {**STATE, "detectorState": {"PVs": positions}}}), FOLDER
    )
    with pytest.raises(SnapcalError, match="det_arc1") as caught:
        state.geometry(SNAP.lite)
    assert isinstance(caught.value, FileFormatError if logs else NotFoundError)
