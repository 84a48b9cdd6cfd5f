"""State ids: vectors that SNAPRed computed, and the rules of a schema."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.instrument.snap.logs import GUIDE_LOG, LEGACY_SCHEMA, LOGS, WAVELENGTH_LOG
from snapcal_workbench.instrument.state_id import (
    derived_value,
    effective_schema,
    hashed_text,
    log_value,
    rounded,
    state_id_of,
    state_values,
)


def _logs(arc1: float, arc2: float, wavelength: float, frequency: float, guide: float) -> dict[str, Any]:
    return {
        "det_arc1": arc1,
        "det_arc2": arc2,
        WAVELENGTH_LOG: wavelength,
        "BL3:Det:TH:BL:Frequency": frequency,
        GUIDE_LOG: guide,
        "det_lin1": 0.045,
        "det_lin2": 0.043,
    }


def _values(logs: dict[str, Any], schema: Any) -> dict[str, Any]:
    return state_values(logs, schema, alternatives=LOGS.alternatives)


def _id(logs: dict[str, Any], schema: Any = None) -> str:
    schema = effective_schema(schema, LEGACY_SCHEMA)
    return state_id_of(_values(logs, schema), schema)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((-65.3, 104.95, 2.1, 59.999996185302734, 1), "04bd2c53f6bf6754"),
        ((-65.3, 104.95, 2.3, 60, 1), "e65700ae57929b7d"),
        ((-65.3, 104.95, 2.1, 60.0, 2), "ffefaa93ccb23678"),  # run 61991
        ((-50.02, 89.96, 2.1, 60.0, 2), "861d38b2a12abcfa"),  # run 64858
    ],
)
def test_ids_are_those_of_snapred(values: tuple, expected: str) -> None:
    assert _id(_logs(*values)) == expected


def test_the_hashed_text_keeps_dirty_floats() -> None:
    dirty = {3, 6, 7, 12, 14, 17, 19, 23, 24, 28, 29, 33, 34, 38, 39, 41, 46, 48}
    dirty |= {51, 53, 56, 58, 61, 63, 66, 68, 71, 73, 76, 78, 82, 87, 92, 96, 97}
    for tenths in range(1, 101):
        wavelength = f"{tenths // 10}.{tenths % 10}"
        values = _values(_logs(-65.3, 104.95, float(wavelength), 60, 1), LEGACY_SCHEMA)
        is_clean = f'"WavelengthUserReq": {wavelength},' in hashed_text(values, LEGACY_SCHEMA)
        assert is_clean == (tenths not in dirty)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"det_arc1": -65.25}, '"vdet_arc1": -65.0'),
        ({"det_arc1": -65.75}, '"vdet_arc1": -66.0'),
        ({"det_arc1": -0.1}, '"vdet_arc1": 0.0'),
        ({"BL3:Det:TH:BL:Frequency": 59.5}, '"Frequency": 60,'),
        ({"BL3:Det:TH:BL:Frequency": 60.5}, '"Frequency": 60,'),
        ({GUIDE_LOG: np.float32(2.0)}, '"Pos": 2}'),
    ],
)
def test_halves_round_to_even(changes: dict[str, Any], text: str) -> None:
    values = _values({**_logs(-65.3, 104.95, 2.1, 60, 1), **changes}, LEGACY_SCHEMA)
    assert text in hashed_text(values, LEGACY_SCHEMA)


def test_lin_is_needed_but_not_hashed() -> None:
    logs = _logs(-65.3, 104.95, 2.1, 60, 1)
    assert _id({**logs, "det_lin1": 0.2, "det_lin2": 0.3}) == _id(logs)
    with pytest.raises(NotFoundError, match="det_lin2"):
        _id({name: value for name, value in logs.items() if name != "det_lin2"})


def test_alternatives_stand_in_in_their_order() -> None:
    logs = _logs(-65.3, 104.95, 2.1, 60, 1)
    del logs[WAVELENGTH_LOG], logs[GUIDE_LOG]
    other = {"BL3:Det:TH:BL:Lambda": 2.1, "optics": 1}
    assert _id({**logs, **other}) == "04bd2c53f6bf6754"
    assert _id({**logs, **other, "BL3:Chop:Gbl:WavelengthReq": 2.3}) == "e65700ae57929b7d"
    assert log_value({**logs, **other, WAVELENGTH_LOG: 0.0}, WAVELENGTH_LOG, LOGS.alternatives) == 0.0


def test_all_missing_logs_are_in_one_error() -> None:
    with pytest.raises(NotFoundError) as caught:
        _id({"det_arc2": 104.95, "det_lin1": 0.0})
    for name in ("det_arc1", "det_lin2", WAVELENGTH_LOG, "BL3:Chop:Gbl:WavelengthReq", "optics", "TH:BL:Frequency"):
        assert name in str(caught.value)
    assert "det_arc2" not in str(caught.value)


def test_a_series_counts_by_its_last_value() -> None:
    logs = _logs(-65.3, 104.95, 2.1, 60, 1)
    assert _id({**logs, "det_arc1": [0.0, -65.3], WAVELENGTH_LOG: np.array([0.0, 2.1])}) == "04bd2c53f6bf6754"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "2.1", b"x", [], None, 1 + 2j])
def test_a_log_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(FileFormatError, match=WAVELENGTH_LOG):
        _id({**_logs(-65.3, 104.95, 2.1, 60, 1), WAVELENGTH_LOG: value})


def _schema(**properties: Any) -> dict[str, Any]:
    return {"length": 16, "properties": properties}


def test_a_schema_sets_types_order_names_and_defaults() -> None:
    schema: Any = _schema(
        mode={"type": "string", "alias": "Mode"},
        open={"type": "boolean"},
        gap={"type": "number", "resolution": 0.25, "default": 1.1},
        slits={"type": "array", "items": {"type": "array", "items": {"type": "number", "resolution": 0.1}}},
        note={"type": "string", "ignore": True},
    )
    logs = {"slits": np.array([[2.31, 1.0], [0.04, 3.0]]), "open": np.int32(1), "mode": b"high", "note": "x"}
    values = _values(logs, schema)
    text = '{"Mode": "high", "open": true, "gap": 1.0, "slits": [[2.3, 1.0], [0.0, 3.0]]}'
    assert hashed_text(values, schema) == text
    assert values["gap"] == 1.1
    assert state_id_of(values, schema) == hashlib.shake_256(text.encode()).digest(8).hex()


def test_the_order_of_the_schema_counts_not_that_of_the_logs() -> None:
    logs = _logs(-65.3, 104.95, 2.1, 60, 1)
    assert _id(dict(reversed(logs.items()))) == _id(logs)
    properties = dict(reversed(list(LEGACY_SCHEMA["properties"].items())))
    assert _id(logs, {**LEGACY_SCHEMA, "properties": properties}) != _id(logs)


@pytest.mark.parametrize("length", [1, 7, 16, 17, 40])
def test_the_length_cuts_or_extends_the_same_digits(length: int) -> None:
    logs = _logs(-65.3, 104.95, 2.1, 60, 1)
    longest = _id(logs, {**LEGACY_SCHEMA, "length": 64})
    assert _id(logs, {**LEGACY_SCHEMA, "length": length}) == longest[:length]


@pytest.mark.parametrize("schema", [None, {}, {"length": 16}, {"properties": {}}, {"derivedPVs": {}}])
def test_without_length_or_properties_the_legacy_schema_holds(schema: Any) -> None:
    assert effective_schema(schema, LEGACY_SCHEMA) is LEGACY_SCHEMA


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "integer", "resolution": 0.5},
        {"type": "number", "resolution": -0.5},
        {"type": "number", "resolution": "fine"},
        {"type": "object"},
        {"type": "array"},
        {},
        "number",
    ],
)
def test_a_schema_that_is_not_understood_is_refused(rule: Any) -> None:
    with pytest.raises(FileFormatError, match="gap"):
        effective_schema(_schema(gap=rule), LEGACY_SCHEMA)


@given(
    st.integers(-(10**6), 10**6),
    st.sampled_from(["0.5", "0.1", "0.02", "0.001", "1", "2", "10"]),
)
def test_rounding_without_the_legacy_flag_is_exact(multiple: int, resolution: str) -> None:
    value = float(Decimal(multiple) * Decimal(resolution))
    assert rounded(value, {"type": "number", "resolution": float(resolution)}, legacy=False) == value


def test_decimals_follow_the_resolutions_logarithm_even_where_they_are_too_few() -> None:
    assert rounded(0.25, {"type": "number", "resolution": 0.25}, legacy=False) == 0.2
    assert rounded(0.25, {"type": "number", "resolution": 0.25}, legacy=True) == 0.25


@given(st.floats(-1e4, 1e4))
def test_rounding_is_to_the_nearest_multiple(value: float) -> None:
    exact = Decimal(value) / Decimal("0.5")
    nearest = exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN) * Decimal("0.5")
    assert rounded(value, {"type": "number", "resolution": 0.5}, legacy=True) == float(nearest)


def test_a_derived_value_is_looked_up_by_rounded_logs() -> None:
    values = _values(_logs(-65.3, 104.95, 2.1, 60, 2), LEGACY_SCHEMA)
    assert derived_value(LOGS.delta_theta, values, LEGACY_SCHEMA, "deltaTheta") == 2.0e-3
    rule = {"keyPVs": ["det_arc1", GUIDE_LOG], "items": [[[-65.3, 2], 1.0], [[-65.5, 2], 4.0]]}
    assert derived_value(rule, values, LEGACY_SCHEMA, "deltaTheta") == 4.0


@pytest.mark.parametrize(
    "rule",
    [
        {"keyPVs": [GUIDE_LOG], "items": [[[1], 1.0]]},
        {"keyPVs": ["unknown"], "items": []},
        {"items": []},
        {"keyPVs": [GUIDE_LOG], "items": [[1.0]]},
    ],
)
def test_a_derived_value_that_cannot_be_found_is_an_error(rule: dict[str, Any]) -> None:
    values = _values(_logs(-65.3, 104.95, 2.1, 60, 2), LEGACY_SCHEMA)
    with pytest.raises(FileFormatError, match="deltaTheta"):
        derived_value(rule, values, LEGACY_SCHEMA, "deltaTheta")


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, 1e13])
@pytest.mark.parametrize("log", ["det_arc1", "BL3:Det:TH:BL:Frequency", WAVELENGTH_LOG])
def test_a_log_beyond_all_devices_is_named(log: str, value: float) -> None:
    """Such a value has no whole multiple of the resolution."""
    logs = _logs(-65.3, 104.95, 2.1, 60.0, 1) | {log: value}
    with pytest.raises(FileFormatError, match=log):
        _id(logs)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"length": 10**9}, "length 1000000000"),
        ({"length": True}, "length True"),
        ({"properties": {"a": {"type": "number", "resolution": 1e-320}}}, "resolution 1e-320"),
        ({"properties": {"a": {"type": "number", "alias": {}}}}, "alias"),
        ({"properties": {"a": {"type": "array", "items": {"type": "array", "items": {}}}}}, "type None"),
    ],
)
def test_a_schema_without_measure_is_refused(change: dict[str, Any], found: str) -> None:
    """Refused before its numbers are used, with the number in the message."""
    with pytest.raises(FileFormatError, match=found):
        effective_schema({**LEGACY_SCHEMA, **change}, LEGACY_SCHEMA)


def test_arrays_within_arrays_end_somewhere() -> None:
    rule: dict[str, Any] = {"type": "number"}
    for _ in range(900):
        rule = {"type": "array", "items": rule}
    with pytest.raises(FileFormatError, match="type 'array'"):
        effective_schema({"length": 16, "properties": {"a": rule}}, LEGACY_SCHEMA)


@pytest.mark.parametrize("value", [float("nan"), -1e-3, 10**400, "x", None, [1]])
def test_a_divergence_that_is_none_is_refused(value: Any) -> None:
    rule = {"keyPVs": [GUIDE_LOG], "items": [[[1], value]]}
    with pytest.raises(FileFormatError, match="deltaTheta"):
        derived_value(rule, {GUIDE_LOG: 1}, LEGACY_SCHEMA, "deltaTheta")
