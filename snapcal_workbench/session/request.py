"""What a scientist asks for: one calibration's inputs, and what can be said against them before anything is run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import PRESETS, CalibrationOptions, PresetName, Settings


class Request(BaseModel):
    """Inputs of one calibration.

    Either `runs` or `workspace` says what is calibrated. `start_from` is "default" (the geometry in the logs), a
    version ("STATE/N" or "RUN:N", with "lite/" or "native/" before it where needed), the path of a DiffCal file, or
    "iteration N" of the session.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[str, ...] = Field((), description="Run numbers or NeXus files; several are summed")
    workspace: str = Field("", description="A run that is in the workspace list already, used as it is")
    calibrant: str = Field("", description="Name of the calibrant sample, or its JSON file")
    grouping: str = Field("", description="Name or file of the pixel grouping; empty: the state's first 'column' one")
    lite: bool = Field(True, description="Calibrate blocks of pixels (lite) instead of single ones (native)")
    start_from: str = Field("default", description="Calibration that the first pass starts from")
    inherit_mask: bool = Field(False, description="Take over the mask of the calibration that is started from")
    masks: tuple[str, ...] = Field((), description="Mask workspaces or mask files")
    preset: PresetName = Field("standard", description="Where the options come from that are not given")
    options: CalibrationOptions = Field(CalibrationOptions(), description="All options")
    excluded_peaks: tuple[tuple[int, tuple[int, int, int]], ...] = Field(
        (), description="Peaks that are not to be fitted: group and hkl of each"
    )

    def mode(self, settings: Settings) -> PixelMode:
        """How the pixels of the run are counted."""
        return requested_mode(settings, self.lite)

    def changed(self, changes: dict[str, Any]) -> Request:
        """This request with other inputs; `changes` may name options by dotted path ("pixels.max_passes").

        A new preset replaces all options but those that `changes` names.

        Raises:
            InputError: A change does not fit.
        """
        data = self.model_dump()
        if changes.get("preset", self.preset) != self.preset:
            data["options"] = PRESETS[changes["preset"]].model_dump() if changes["preset"] in PRESETS else {}
        for name, value in changes.items():
            _set(data, name, value)
        return build_request(data)

    def differences(self, other: Request) -> dict[str, tuple[Any, Any]]:
        """Inputs in which this request differs from `other`: dotted name -> (other's value, this one's)."""
        mine, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        return {name: (theirs.get(name), value) for name, value in mine.items() if theirs.get(name) != value}


def build_request(data: dict[str, Any]) -> Request:
    """A request from plain data.

    Raises:
        InputError: A value does not fit; names the field, what was found, and what is allowed.
    """
    try:
        return Request.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "request"
        raise InputProblemError(
            name.removeprefix("options."),
            f"The input '{name}' does not fit: {first['msg']}.",
            found=repr(first.get("input")),
            fix=f"Give another value for '{name}'.",
        ) from error


def _set(data: dict[str, Any], name: str, value: Any) -> None:
    if name in Request.model_fields:
        data[name] = value
        return
    *path, last = name.split(".")
    place = data["options"]
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise InputError(
            f"There is no input or option '{name}'.", fix="See `snapcal config` for the names of all options."
        )
    place[last] = value


def _flat(data: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        full = f"{before}{name}"
        if isinstance(value, dict):
            flat |= _flat(value, "" if full == "options" else f"{full}.")
        else:
            flat[full] = value
    return flat


class InputProblemError(InputError):
    """A value that does not fit an input; `field` is the input's (dotted) name."""

    def __init__(self, field: str, what: str, *, found: str, fix: str) -> None:
        super().__init__(what, found=found, fix=fix)
        self.field = field


class Problem(BaseModel):
    """Something that speaks against a request: beside which input to show it, and how serious it is."""

    model_config = ConfigDict(frozen=True)

    field: str
    severity: Literal["error", "warning"]
    message: str
    fix: str = ""


class RunSummary(BaseModel):
    """What was found about the run of a request, without reading its events."""

    model_config = ConfigDict(frozen=True)

    run_number: str
    title: str
    start_time: str
    proton_charge: float = Field(description="Microampere hours")
    state_id: str
    state_values: dict[str, Any] = Field(description="The values that make the state id")
    state_exists: bool
    ipts: str
    files: tuple[str, ...]
    groupings: tuple[str, ...]
    n_versions: int
