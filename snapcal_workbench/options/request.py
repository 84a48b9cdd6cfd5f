"""What a scientist asks for: the inputs of one calibration.

This is the one declaration of them: the command line's options, the panel's form and the records are made from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from snapcal_workbench.errors import InputError, InputProblemError
from snapcal_workbench.options.model import PRESETS, CalibrationOptions, PresetName
from snapcal_workbench.options.runs import Runs
from snapcal_workbench.options.tree import flattened, nested

_OPTIONS = "options."


def _peak(value: object) -> object:
    """A peak that is named as text, "3:2,2,0", by its group and hkl."""
    if not isinstance(value, str):
        return value
    try:
        group, hkl = value.split(":")
        indices = tuple(int(part) for part in hkl.split(","))
        if len(indices) != 3:
            raise ValueError(hkl)
        return int(group), indices
    except ValueError as error:
        fix = "Write for example 3:2,2,0."
        raise InputProblemError(
            "excluded_peaks", "A peak is named as GROUP:H,K,L.", found=value[:80], fix=fix
        ) from error


ExcludedPeak = Annotated[tuple[int, tuple[int, int, int]], BeforeValidator(_peak)]
"""Group and hkl of a peak that is not to be fitted."""


class Request(BaseModel):
    """Inputs of one calibration.

    Either `runs` or `workspace` says what is calibrated. `start_from` is "default" (the geometry in the logs), a
    version ("STATE/N" or "RUN:N", with "lite/" or "native/" before it where needed), the path of a DiffCal file, or
    "iteration N" of the session.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    runs: Runs = Field(
        (), description="Run numbers, ranges of them as 58882-58885,58890, or NeXus files; several are summed"
    )
    workspace: str = Field("", description="A run that is in the workspace list already, used as it is")
    calibrant: str = Field("", description="Name of the calibrant sample, or its JSON file")
    grouping: str = Field("", description="Name or file of the pixel grouping; empty: the state's first 'column' one")
    lite: bool = Field(True, description="Calibrate blocks of pixels (lite) instead of single ones (native)")
    start_from: str = Field("default", description="Calibration that the first pass starts from")
    inherit_mask: bool = Field(False, description="Take over the mask of the calibration that is started from")
    masks: tuple[str, ...] = Field((), description="Mask workspaces or mask files")
    preset: PresetName = Field("standard", description="Where the options come from that are not given")
    options: CalibrationOptions = Field(CalibrationOptions(), description="All options")
    excluded_peaks: tuple[ExcludedPeak, ...] = Field(
        (), description="Peaks that are not to be fitted: group and hkl of each"
    )

    def changed(self, changes: dict[str, object]) -> Request:
        """This request with other inputs; `changes` may name options by dotted path ("pixels.max_passes").

        A new preset replaces all options but those that `changes` names.

        Raises:
            InputError: A change does not fit.
        """
        flat = flattened(self.model_dump())
        if changes.get("preset", self.preset) != self.preset and changes["preset"] in PRESETS:
            flat |= flattened({"options": PRESETS[changes["preset"]].model_dump()})
        for name, value in changes.items():
            if name == "options":
                flat |= flattened({"options": CalibrationOptions.model_validate(value).model_dump()})
            else:
                flat[_known(name, flat)] = value
        return build_request(nested(flat))

    def differences(self, other: Request) -> dict[str, tuple[object, object]]:
        """Inputs in which this request differs from `other`: dotted name -> (other's value, this one's)."""
        mine, theirs = (flattened(request.model_dump(mode="json")) for request in (self, other))
        return {
            name.removeprefix(_OPTIONS): (theirs.get(name), value)
            for name, value in mine.items()
            if theirs.get(name) != value
        }


def in_words(value: object) -> str:
    """An input's value as a scientist writes it: 58882, 58883 for runs, 3:2,2,0 for a peak that is left out."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], ()):
        return "none"
    if not isinstance(value, list | tuple):
        return str(value)
    if len(value) == 2 and isinstance(value[0], int):
        return f"{value[0]}:{','.join(str(index) for index in value[1])}"
    return ", ".join(in_words(part) for part in value)


def build_request(data: dict[str, object]) -> Request:
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


def _known(name: str, flat: Mapping[str, object]) -> str:
    """The flat form's name of an input or option."""
    for full in (name, f"{_OPTIONS}{name}"):
        if full in flat:
            return full
    near = difflib.get_close_matches(name, [full.removeprefix(_OPTIONS) for full in flat], 1)
    raise InputError(
        f"There is no input or option '{name}'.",
        fix=(f"Did you mean '{near[0]}'? " if near else "") + "See `snapcal config` for the names of all options.",
    )
