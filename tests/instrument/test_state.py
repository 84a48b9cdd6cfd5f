"""Instrument state: limits, window, resolution, and the shape in a calibration record."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from snapcal_workbench.calibration.types import RunInfo
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.instrument.parameters import InstrumentParameters
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.instrument.state import DetectorState, InstrumentState, instrument_state
from snapcal_workbench.options import PRESETS, PeakOptions
from tests.instrument.conftest import LOGS, PARAMETERS


def _state(logs: dict[str, Any] | None = None, **parameters: Any) -> InstrumentState:
    info = RunInfo(run_number="58882", logs={**LOGS, **(logs or {})})
    return instrument_state(info, InstrumentParameters.model_validate({**PARAMETERS, **parameters}), SNAP)


def test_the_limits_are_those_of_the_documented_example() -> None:
    bounds = _state().bounds
    assert (bounds.wavelength_min, bounds.wavelength_max) == pytest.approx((0.65, 3.6))
    assert (bounds.tof_min, bounds.tof_max) == pytest.approx((2546.74, 14105.04), abs=0.01)


def test_limits_use_the_wavelength_as_logged_not_as_hashed() -> None:
    assert _state({"BL3:Chop:Skf1:WavelengthUserReq": 2.13}).bounds.wavelength_max == pytest.approx(3.63)


def test_a_band_that_would_start_below_zero_starts_above() -> None:
    bounds = _state({"BL3:Chop:Skf1:WavelengthUserReq": 1.0}).bounds
    assert 0 < bounds.tof_min < bounds.tof_max
    with pytest.raises(FileFormatError, match="no neutrons"):
        _state({"BL3:Chop:Skf1:WavelengthUserReq": -5.0})


def test_prompt_pulses_are_gaps_of_the_window() -> None:
    assert _state().window.gaps == ()  # at 60.4 Hz the pulses come at 0 and 16556 us, outside the window
    state = _state(frequency=200.0, width=1600.0)
    low, high = state.bounds.tof_min, state.bounds.tof_max
    assert state.window.gaps == ((5000.0, 6600.0), (10000.0, 11600.0))
    late = _state(frequency=500.0, width=1600.0).window.gaps
    assert late[0] == (low, 3600.0)  # of the pulse at 2000 us only the end
    assert late[-1] == (14000.0, high)
    assert _state(width=0.0, frequency=200.0).window.gaps == ()


def test_the_beam_divergence_of_the_file_wins_over_the_options() -> None:
    derived = {"deltaTheta": {"keyPVs": ["BL3:Mot:OpticsPos:Pos"], "items": [[[1], 5e-3], [[2], 1e-3]]}}
    schema = {"derivedPVs": derived}
    assert _state(stateIdSchema=schema).resolution(SNAP.lite).delta_theta == 5e-3
    assert _state({"BL3:Mot:OpticsPos:Pos": 2}, stateIdSchema=schema).resolution(SNAP.lite).delta_theta == 1e-3
    with pytest.raises(FileFormatError, match="deltaTheta"):
        _state({"BL3:Mot:OpticsPos:Pos": 3}, stateIdSchema=schema).resolution(SNAP.lite)


@pytest.mark.parametrize(("guide", "snapred"), [(1, 6.4e-3), (2, 2.0e-3)])
def test_without_one_in_the_file_the_preset_says_the_divergence(guide: int, snapred: float) -> None:
    state = _state({"BL3:Mot:OpticsPos:Pos": guide}, delThWithGuide=9e-3, delThNoGuide=9e-4)
    assert state.resolution(SNAP.lite).delta_theta == 3.2e-3
    assert state.resolution(SNAP.lite, delta_theta=PRESETS["snapred"].delta_theta).delta_theta == snapred


def test_the_resolution_has_the_terms_of_the_parameters() -> None:
    native, lite = _state().resolution(SNAP.native), _state().resolution(SNAP.lite)
    assert native.delta_t_over_t == 0.002
    assert native.delta_l == pytest.approx(6.452e-5 * 15.5)
    assert (native.l1, native.l2) == (15.0, 0.5)
    assert native.with_solid_angle
    assert not lite.with_solid_angle


def test_the_record_has_snapreds_shape() -> None:
    record = _state(cycle=None).model_dump(by_alias=True, mode="json")
    assert record["id"] == {"hex": "04bd2c53f6bf6754", "decodedKey": None}
    assert record["detectorState"]["stateId"] == record["id"]
    assert record["detectorState"]["PVs"] == {**LOGS, "BL3:Det:TH:BL:Frequency": 60}
    assert record["gsasParameters"] == {"alpha": 0.1, "beta": [0.02, 0.05]}
    assert record["fwhmMultipliers"] == {"left": 1.5, "right": 1.5}
    assert (record["peakTailCoefficient"], record["defaultGroupingSliceValue"]) == (2.0, 5.0)
    assert record["particleBounds"]["tof"].keys() == {"minimum", "maximum"}
    config = record["instrumentConfig"]
    assert {"L1", "L2", "delTOverT", "delLOverL", "maxBandwidth", "lowWavelengthCrop", "stateIdSchema"} <= config.keys()
    assert all(config[name] == value for name, value in PARAMETERS.items() if name != "cycle")


def test_a_record_reads_back_as_the_same_state() -> None:
    state = _state(madeUp="kept")
    record = state.model_dump(by_alias=True, mode="json")
    again = InstrumentState.model_validate(record)
    assert again == state
    assert again.model_dump(by_alias=True, mode="json") == record
    assert record["instrumentConfig"]["madeUp"] == "kept"
    record["id"] = "04bd2c53f6bf6754"
    assert InstrumentState.model_validate(record).state_id == state.state_id


@pytest.mark.parametrize("change", [{"arc": []}, {"lin": 3}, {"arc": "ab"}, {"wav": 1e308}, {"freq": None}])
def test_a_damaged_older_form_is_no_detector_state(change: dict[str, Any]) -> None:
    older = {"arc": [-65.3, 104.95], "wav": 2.1, "freq": 60.0, "guideStat": 1, "lin": [0.045, 0.043]}
    with pytest.raises(ValidationError, match="older form"):
        DetectorState.model_validate(older | change)


def test_the_older_form_of_the_detector_state_is_read() -> None:
    older = {"arc": [-65.3, 104.95], "wav": 2.1, "freq": 59.999996185302734, "guideStat": 1, "lin": [0.045, 0.043]}
    state = DetectorState.model_validate(older)
    assert state.state_id is not None
    assert state.state_id.hex == "04bd2c53f6bf6754"
    assert state.pvs["det_lin2"] == 0.043


def test_the_options_of_a_calibration_go_into_the_record() -> None:
    peaks = PeakOptions(fwhm_left=2.0, fwhm_right=2.5, tail_coefficient=3.0, gsas_alpha=0.2)
    record = _state().with_peak_options(peaks).model_dump(by_alias=True)
    assert record["fwhmMultipliers"] == {"left": 2.0, "right": 2.5}
    assert record["peakTailCoefficient"] == 3.0
    assert record["gsasParameters"]["alpha"] == 0.2


def test_a_schema_without_positions_still_gives_a_geometry() -> None:
    schema = {"length": 16, "properties": {"BL3:Mot:OpticsPos:Pos": {"type": "integer"}}}
    state = _state(stateIdSchema=schema)
    assert state.state_id != "04bd2c53f6bf6754"
    expected = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.043, lite=True)
    assert state.geometry(SNAP.lite).difc == pytest.approx(expected.difc)


def test_a_log_without_a_value_is_named_as_such() -> None:
    logs = {name: value for name, value in LOGS.items() if name != "det_arc1"}
    info = RunInfo(logs=logs, unreadable_logs=("det_arc1",))
    with pytest.raises(NotFoundError, match=r"det_arc1 \(there, but without a value\)"):
        instrument_state(info, InstrumentParameters.model_validate(PARAMETERS), SNAP)
