"""Calibrants: samples of known lattice, each a JSON file that names a CIF file.

Of the JSON file only the CIF, the intensity threshold and the overrides matter to diffraction calibration; the rest
(geometry, material, atoms) is neither needed nor checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError, SnapcalError
from snapcal_workbench.formats.disk.files import read_bytes
from snapcal_workbench.formats.disk.json_file import json_of_file
from snapcal_workbench.options import CalibrationOptions, PeakFunction, Settings, value_at
from snapcal_workbench.paths import user_path


class Overrides(BaseModel):
    """Options that a calibrant fixes; None where it leaves them to the user."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peak_function: PeakFunction | None = Field(None, alias="peakFunction")
    crystal_d_min: float | None = Field(None, alias="crystalDMin", gt=0)
    crystal_d_max: float | None = Field(None, alias="crystalDMax", gt=0)


class _Crystallography(BaseModel):
    cif_file: str | None = Field(None, alias="cifFile")


class _CalibrantFile(BaseModel):
    name: str = ""
    crystallography: _Crystallography | None = None
    intensity_fraction: float = Field(0.05, alias="peakIntensityFractionThreshold", ge=0, allow_inf_nan=False)
    overrides: Overrides | None = None


@dataclass(frozen=True)
class Calibrant:
    """A calibrant.

    Attributes:
        name: Its name.
        path: Its JSON file.
        text: Content of the JSON file.
        cif_path: Its CIF file.
        cif_text: Content of the CIF file.
        intensity_fraction: Weakest peak used, as a fraction of the strongest.
        overrides: Options that it fixes.
    """

    name: str
    path: Path
    text: str
    cif_path: Path
    cif_text: str
    intensity_fraction: float
    overrides: Overrides = field(default_factory=Overrides)

    def apply(self, options: CalibrationOptions) -> CalibrationOptions:
        """The options with what this calibrant fixes, and with its intensity threshold where they have none.

        Raises:
            InputError: The fixed d range and the one of the options leave no d-spacing.
        """
        limits = {
            name: value
            for name, value in self.overrides.model_dump(exclude_none=True).items()
            if name in ("crystal_d_min", "crystal_d_max")
        }
        peaks = options.peaks.model_copy(update=limits)
        if peaks.intensity_fraction is None:
            peaks = peaks.model_copy(update={"intensity_fraction": self.intensity_fraction})
        if peaks.crystal_d_min >= peaks.crystal_d_max:
            raise InputError(
                "The smallest d-spacing of the reflections must be below the largest.",
                found=f"{peaks.crystal_d_min} to {peaks.crystal_d_max} A with the limits that {self.path} fixes",
                fix="Change crystal_d_min or crystal_d_max.",
            )
        function = self.overrides.peak_function or options.groups.peak_function
        groups = options.groups.model_copy(update={"peak_function": function})
        return options.model_copy(update={"peaks": peaks, "groups": groups})

    @property
    def fixed(self) -> dict[str, float | str]:
        """The options that this calibrant fixes, by dotted name: those of a request are not used."""
        fixed = {
            "peaks.crystal_d_min": self.overrides.crystal_d_min,
            "peaks.crystal_d_max": self.overrides.crystal_d_max,
            "groups.peak_function": self.overrides.peak_function,
        }
        return {name: value for name, value in fixed.items() if value is not None}

    def overruled(self, options: CalibrationOptions) -> list[str]:
        """Options that differ from what this calibrant fixes, and so are not used: one sentence each."""
        given = {name: value_at(options, tuple(name.split("."))) for name in self.fixed}
        return [
            f"Calibrant {self.name} fixes {name} = {used}; {given[name]} is not used."
            for name, used in self.fixed.items()
            if given[name] != used
        ]


def find_calibrants(settings: Settings) -> list[Path]:
    """JSON files of the calibrants that the facility has, sorted; empty where there is no such folder."""
    return sorted(path for path in settings.calibrant_samples.glob("*.json") if os.path.isfile(path))


def read_calibrant(path_or_name: str | Path, settings: Settings) -> Calibrant:
    """Read a calibrant.

    Args:
        path_or_name: Path of the JSON file; or its name in the folder of the calibrants, with or without ".json"; or
            the name that the file states. Letter case does not matter for names.
        settings: Where the calibrants are.

    Raises:
        NotFoundError: No such calibrant (lists those there are), or its CIF file is missing.
        InputError: Several calibrants have that name; it is a CIF file itself; it has no CIF file; or the CIF file lies
            outside the folder.
        FileFormatError: The JSON file cannot be understood.
    """
    path = _locate(path_or_name, settings)
    data = read_bytes(path, "a calibrant")
    content = _parsed(data, path)
    cif_path = _cif_path(path, content, settings)
    return Calibrant(
        name=content.name or path.stem,
        path=path,
        text=data.decode("utf-8-sig", "replace"),
        cif_path=cif_path,
        cif_text=_read_cif(cif_path, path),
        intensity_fraction=content.intensity_fraction,
        overrides=content.overrides or Overrides(),
    )


def _locate(path_or_name: str | Path, settings: Settings) -> Path:
    given = user_path(path_or_name)
    if os.path.isfile(given):
        return _no_cif(given.absolute())
    calibrants = find_calibrants(settings)
    wanted = str(path_or_name).strip().lower()
    found = [path for path in calibrants if wanted in (path.name.lower(), path.stem.lower())]
    found = found or [path for path in calibrants if _stated_name(path).lower() == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"More than one calibrant is named {path_or_name!s}.",
            found=", ".join(path.name for path in found),
            fix="Give the name of the file.",
        )
    if os.path.isfile(settings.calibrant_samples / given):
        _no_cif(settings.calibrant_samples / given)
    raise NotFoundError(
        f"There is no calibrant {str(path_or_name)!r}.",
        found=f"in {settings.calibrant_samples}: {', '.join(path.stem for path in calibrants) or 'nothing'}",
        fix="Give one of these, or the path of a calibrant's JSON file; see the setting 'calibrant_samples'.",
    )


def _no_cif(path: Path) -> Path:
    """The path of a calibrant; a CIF file alone does not make one.

    Raises:
        InputError: It is a CIF file.
    """
    if path.suffix.lower() != ".cif":
        return path
    text = json.dumps({"name": path.stem, "crystallography": {"cifFile": str(path)}}, ensure_ascii=False)
    raise InputError(
        "A calibrant is a JSON file that names a CIF file, not the CIF file itself.",
        found=str(path),
        fix=f"Write {text} into a file such as {path.stem}.json, and give that one.",
    )


def _stated_name(path: Path) -> str:
    """The name in a calibrant's file; "" if the file cannot be read, which must not hide the others."""
    try:
        return _parsed(read_bytes(path, "a calibrant"), path).name
    except SnapcalError:
        return ""


def _parsed(data: bytes, path: Path) -> _CalibrantFile:
    content: object = json_of_file(data, path, "a calibrant")
    if not isinstance(content, Mapping):
        raise FileFormatError(
            f"The calibrant {path} must be a JSON object.", found=type(content).__name__, fix="Correct the file."
        )
    try:
        return _CalibrantFile.model_validate(content)
    except ValidationError as error:
        raise FileFormatError(
            f"The calibrant {path} cannot be understood.",
            found="; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()),
            fix="Correct the file.",
        ) from None


def _cif_path(path: Path, content: _CalibrantFile, settings: Settings) -> Path:
    """Absolute as given, or below the folder of the calibrants (of the JSON file, where it is there only)."""
    text = (content.crystallography and content.crystallography.cif_file) or ""
    if not text.lower().endswith(".cif"):
        raise InputError(
            f"Calibrant {path.name} has no CIF file, from which the expected peaks follow.",
            found=f"crystallography.cifFile = {text!r}" if text else "no crystallography.cifFile",
            fix="Name a file that ends in .cif in the calibrant's file, or choose another calibrant.",
        )
    given = Path(os.path.normpath(text))
    if given.is_absolute():
        return given
    if ".." in given.parts:
        raise InputError(
            f"The CIF file of calibrant {path.name} must lie in the folder of the calibrants.",
            found=f"cifFile {text!r}, relative to {settings.calibrant_samples}",
            fix="Copy the CIF file there, or give its absolute path.",
        )
    candidates = [folder / given for folder in (settings.calibrant_samples, path.parent)]
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), candidates[0])


def _read_cif(cif_path: Path, path: Path) -> str:
    try:
        return read_bytes(cif_path, "a CIF file").decode("utf-8-sig", "replace")
    except NotFoundError as error:
        raise NotFoundError(
            f"The CIF file of calibrant {path.name} does not exist, or may not be read.",
            found=f"{cif_path}: {error.found}",
            fix="Copy the CIF file there, or correct 'crystallography.cifFile' in the calibrant's file.",
        ) from None
