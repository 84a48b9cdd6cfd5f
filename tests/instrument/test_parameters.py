"""Instrument parameters: which version applies, what is kept, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.instrument.parameters import InstrumentParameters, read_instrument_parameters
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from tests.instrument.conftest import PARAMETERS, write_parameters


def _stamp(day: int) -> str:
    return f"2024-01-{day:02d}T00:00:00.000000000+0000"


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def progress(messages: list[str]) -> Progress:
    return Progress(on_message=lambda level, text: messages.append(f"{level}: {text}"))


def test_the_newest_version_that_accepts_the_run_applies(settings: Settings) -> None:
    versions = {
        0: (">=0", _stamp(1), {"bandwidth": 3.2}),
        1: (">=50000", _stamp(9), {"bandwidth": 3.0}),
        2: (">=50000,<60000", _stamp(5), {"bandwidth": 2.9}),
        3: (">=70000", _stamp(7), {"bandwidth": 2.8}),
    }
    write_parameters(settings, versions)
    assert read_instrument_parameters(settings, 46500).bandwidth == 3.2
    assert read_instrument_parameters(settings, "58882").bandwidth == 3.0
    assert read_instrument_parameters(settings, 70000).version == 1
    assert read_instrument_parameters(settings, "49999+58882").bandwidth == 3.2


@pytest.mark.parametrize("run", ["", "unknown", "-5", "5.0"])
def test_no_run_number_is_an_error(settings: Settings, run: str) -> None:
    write_parameters(settings, {0: (">=0", _stamp(1), {})})
    with pytest.raises(InputError, match="run number"):
        read_instrument_parameters(settings, run)


def test_unknown_fields_survive(settings: Settings) -> None:
    extras: dict[str, Any] = {"delThWithGuide": 3.2e-3, "calibrationDirectory": "/x", "nested": {"a": [1, None]}}
    write_parameters(settings, {0: (">=0", _stamp(1), extras)})
    parameters = read_instrument_parameters(settings, 58882)
    dumped = parameters.model_dump(by_alias=True, mode="json")
    path = settings.instrument_parameters / "v_0000" / "SNAPInstPrm.json"
    assert dumped == {**json.loads(path.read_text()), "stateIdSchema": None}


def test_older_names_and_versions_are_read() -> None:
    renamed = {"bandwidth": "neutronBandwidth", "maxBandwidth": "extendedNeutronBandwidth"}
    renamed |= {"delTOverT": "delToT", "delLOverL": "delLoL"}
    older = {renamed.get(name, name): value for name, value in PARAMETERS.items()}
    older |= {"version": "1.4", "frequency": 60}
    del older["cycle"], older["lowWavelengthCrop"]
    parameters = InstrumentParameters.model_validate(older)
    assert (parameters.bandwidth, parameters.del_t_over_t, parameters.frequency) == (3.0, 0.002, 60.0)
    assert (parameters.version, parameters.low_wavelength_crop) == ("1.4", 0.05)
    assert parameters.model_dump(by_alias=True)["delLOverL"] == 6.452e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"L1": "15.0"},
        {"bandwidth": None},
        {"frequency": 0.0},
        {"width": -1.0},
        {"delTOverT": "x"},
        {"frequency": 1e9},
        {"frequency": 1e-320},
        {"bandwidth": 1e300},
        {"L2": 1e-320},
    ],
)
def test_wrong_values_are_named(settings: Settings, changes: dict[str, Any]) -> None:
    write_parameters(settings, {0: (">=0", _stamp(1), changes)})
    with pytest.raises(FileFormatError) as caught:
        read_instrument_parameters(settings, 58882)
    assert next(iter(changes)) in str(caught.value)
    assert "v_0000" in str(caught.value)


def test_a_missing_tree_says_what_to_set(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match=r"InstrumentParameterIndex\.json") as caught:
        read_instrument_parameters(settings, 58882)
    assert "calibration_home" in caught.value.fix


def test_no_version_for_the_run_lists_those_there_are(settings: Settings) -> None:
    write_parameters(settings, {4: (">=60000", _stamp(1), {})})
    with pytest.raises(NotFoundError, match=r"v_0004 \(>=60000\)"):
        read_instrument_parameters(settings, 58882)


def test_a_version_without_its_file_is_an_error(settings: Settings) -> None:
    write_parameters(settings, {0: (">=0", _stamp(1), {})})
    (settings.instrument_parameters / "v_0000" / "SNAPInstPrm.json").unlink()
    with pytest.raises(NotFoundError, match="v_0000"):
        read_instrument_parameters(settings, 58882)


def test_a_missing_or_later_cycle_is_a_warning(settings: Settings, progress: Progress, messages: list[str]) -> None:
    write_parameters(settings, {0: ("<50000", _stamp(1), {}), 1: (">=50000", _stamp(1), {"cycle": None})})
    assert read_instrument_parameters(settings, 58882, progress).cycle is None
    assert len(messages) == 1
    assert "no run cycle" in messages[0]
    read_instrument_parameters(settings, 46500, progress)
    assert "52862" in messages[1]


def test_the_index_entry_stands_in_where_the_file_has_none(settings: Settings) -> None:
    write_parameters(settings, {0: (">=0", _stamp(1), {"indexEntry": None})})
    entry = read_instrument_parameters(settings, 58882).index_entry
    assert entry is not None
    assert entry.applies_to == ">=0"
