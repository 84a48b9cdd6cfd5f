"""Instrument parameters: the numbers of an instrument that the facility keeps in versions (SNAPInstPrm for SNAP).

The folder has an index `InstrumentParameterIndex.json` and one folder `v_NNNN` a version with `<folder>.json`. Which
version applies to a run follows the same rule as for calibrations. Unknown fields are kept, so that a copy in a
calibration record loses nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.disk.files import naming
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.index import IndexEntry, choose_version, parse_index
from snapcal_workbench.instrument.state_id import effective_schema
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress

INDEX_NAME = "InstrumentParameterIndex.json"

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, ge=1e-6, le=1e6, allow_inf_nan=False)]
"""What is more or less than that is not of an instrument, in any unit."""
Frequency = Annotated[float, Field(strict=True, ge=0.1, le=1e4, allow_inf_nan=False)]
"""Each pulse makes a gap in the TOF window: at 10 kHz there are hundreds."""


class Cycle(BaseModel):
    """Run cycle of the facility that a version of the parameters belongs to."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    cycle_id: str = Field(alias="cycleID")
    start_date: str = Field(alias="startDate")
    stop_date: str = Field(alias="stopDate")
    first_run: int = Field(alias="firstRun")


class InstrumentParameters(BaseModel):
    """One version of the instrument parameters. Lengths in m, wavelengths in A, width in us, frequency in Hz."""

    model_config = ConfigDict(alias_generator=AliasGenerator(alias=to_camel), extra="allow", populate_by_name=True)

    version: int | str = Field(0, description="Number of the version")
    index_entry: IndexEntry | None = Field(None, description="Copy of its index entry")
    facility: str = Field("SNS", description="Facility")
    bandwidth: Positive = Field(
        validation_alias=AliasChoices("bandwidth", "neutronBandwidth"), description="Wavelength bandwidth"
    )
    max_bandwidth: Positive = Field(
        validation_alias=AliasChoices("maxBandwidth", "max_bandwidth", "extendedNeutronBandwidth"),
        description="Largest bandwidth",
    )
    l1: Positive = Field(alias="L1", description="Moderator to sample")
    l2: Positive = Field(alias="L2", description="Nominal sample to detector distance")
    del_t_over_t: Number = Field(
        validation_alias=AliasChoices("delTOverT", "del_t_over_t", "delToT"),
        serialization_alias="delTOverT",
        ge=0,
        description="Relative width of the moderator pulse",
    )
    del_l_over_l: Number = Field(
        validation_alias=AliasChoices("delLOverL", "del_l_over_l", "delLoL"),
        serialization_alias="delLOverL",
        ge=0,
        description="Relative uncertainty of the flight path",
    )
    width: Number = Field(ge=0, description="TOF removed after each prompt pulse")
    frequency: Frequency = Field(description="Frequency of the prompt pulses")
    low_wavelength_crop: Number = Field(0.05, ge=0, description="Cut off the low end of the bandwidth")
    cycle: Cycle | None = Field(None, description="Run cycle")
    state_id_schema: dict[str, object] | None = Field(None, description="How the state id follows from the logs")


def read_instrument_parameters(
    settings: Settings, run_number: str | int, progress: Progress | None = None
) -> InstrumentParameters:
    """The version of the instrument parameters that applies to a run.

    Args:
        settings: Where they are.
        run_number: The run; of summed runs ("58881+58882") the first counts.
        progress: Where warnings go.

    Raises:
        InputError: The run number is none.
        NotFoundError: No folder, no index, no version that applies, or its file is missing.
        FileFormatError: The index or the file cannot be understood; names the fields.
    """
    folder, run = settings.instrument_parameters, _first_run(run_number)
    entry = _applicable(folder, run)
    path = folder / f"v_{entry.version:04d}" / f"{folder.name}.json"
    try:
        parameters = InstrumentParameters.model_validate(read_json(path, "instrument parameters"))
    except ValidationError as error:
        raise FileFormatError(
            f"The instrument parameters {path} are not complete.",
            found="; ".join(
                f"{'.'.join(map(str, e['loc']))} = {e['input']!r:.60}: {e['msg']}" for e in error.errors()[:8]
            ),
            fix="Correct the file, or ask the instrument's staff for a valid version.",
        ) from None
    with naming(path):
        effective_schema(parameters.state_id_schema, None)
    if progress:
        _warn_of_cycle(parameters, path, run, progress)
    return parameters.model_copy(update={"index_entry": parameters.index_entry or entry})


def _first_run(run_number: str | int) -> int:
    text = str(run_number).split("+")[0].strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    raise InputError(
        "The instrument parameters depend on the run number.",
        found=f"run number {run_number!r}",
        fix="Load the run from its file, or give its number.",
    )


def _applicable(folder: Path, run: int) -> IndexEntry:
    index = folder / INDEX_NAME
    if not os.path.isfile(index):
        raise NotFoundError(
            "The instrument parameters were not found.",
            found=f"no file {index}",
            fix="Set 'calibration_home' or 'instrument_parameters' to a tree that has them.",
        )
    parsed = parse_index(read_json(index, "an index of instrument parameters"))
    entry = choose_version(parsed.entries, run, None)
    if entry is None:
        listed = ", ".join(f"v_{e.version:04d} ({e.applies_to})" for e in parsed.entries) or "none"
        raise NotFoundError(
            f"No version of the instrument parameters applies to run {run}.",
            found=f"versions in {index}: {listed}",
            fix="Check the run number, or ask the instrument's staff to add a version for it.",
        )
    return entry


def _warn_of_cycle(parameters: InstrumentParameters, path: Path, run: int, progress: Progress) -> None:
    if parameters.cycle is None:
        progress.warn(f"{path} names no run cycle: SNAPRed will refuse to load a calibration that is made with it.")
    elif run < parameters.cycle.first_run:
        progress.warn(f"Run {run} is before the first run {parameters.cycle.first_run} of the cycle in {path}.")
