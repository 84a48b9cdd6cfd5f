"""Settings of the plugin: where things are, and which options of the calibration are in force.

Sources, strongest first: flags, environment variables (SNAPCAL_*), the TOML file, the preset, the default.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.options.model import PRESETS, CalibrationOptions, PresetName
from snapcal_workbench.options.tree import flattened, leaves, nested
from snapcal_workbench.paths import user_path

IndexLayout = Literal["auto", "with mode level", "without mode level"]
ENVIRONMENT_PREFIX = "SNAPCAL_"


def _absolute(path: Path) -> Path:
    try:
        return user_path(path).absolute()
    except InputError as error:
        raise ValueError(error.found) from None


Home = Annotated[Path, AfterValidator(_absolute)]
"""A folder or file of the facility: absolute, "~" expanded."""


InstrumentName = Annotated[str, AfterValidator(lambda name: name.strip().upper())]
"""Name of an instrument, in capitals as the facility's folders have it."""

_BEAMLINES = {"POWGEN": "PG3"}
"""Names of instruments in the facility's folders, where they differ."""


def _beamline(instrument: str) -> str:
    return _BEAMLINES.get(instrument, instrument)


def _derived(parent: str, *parts: str, description: str) -> Any:
    """A field that lies below another home unless it is set; `{beamline}` in it stands for the instrument's folder."""

    def place(data: dict[str, object]) -> Path:
        beamline = _beamline(str(data.get("instrument", "")))
        return Path(str(data.get(parent, ""))).joinpath(*(part.format(beamline=beamline) for part in parts))

    return Field(default_factory=place, description=description, json_schema_extra={"derived_from": parent})


def _xdg(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback)


class BeamCycle(BaseModel):
    """A run cycle of the facility: its name, its first run, and its last run and dates where they are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    first_run: int = Field(ge=0)
    last_run: int | None = Field(None, ge=0)
    start: str = ""
    stop: str = ""


BeyondCycle = Literal["warn", "refuse", "allow"]


class Settings(BaseModel):
    """Where things are, and the defaults. `Settings(...)` takes what is given and reads nothing; `Settings.load` reads.

    Homes that are not set are derived: `calibration_home` from `instrument_home`, and so on down the tree.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    preset: PresetName = Field("standard", description="Preset of the calibration options: standard or snapred")
    instrument: InstrumentName = Field("SNAP", min_length=1, description="Name of the instrument")
    ipts_root: Home = Field(Path("/SNS"), description="Root of the proposals: <root>/<beam line>/IPTS-<number>")
    instrument_home: Home = _derived("ipts_root", "{beamline}", description="Home of the instrument")
    calibration_home: Home = _derived(
        "instrument_home", "shared", "Calibration", description="Root of all calibrations"
    )
    calibrant_samples: Home = _derived(
        "calibration_home", "CalibrantSamples", description="Folder of the calibrants (JSON and CIF)"
    )
    instrument_parameters: Home = _derived(
        "calibration_home", "{beamline}InstPrm", description="Indexed folder of the instrument parameters"
    )
    powder_home: Home = _derived("calibration_home", "Powder", description="Folder of the states")
    pixel_groupings: Home = _derived(
        "powder_home", "PixelGroupingDefinitions", description="Folder of the grouping files"
    )
    lite_map: Home = _derived("powder_home", "LiteGroupMap.hdf", description="File of the native to lite map")
    index_layout: IndexLayout = Field(
        "auto",
        description="Whether a state has a lite or native level above 'diffraction'; auto: as the tree has it, else no",
    )
    lock_directory: Home = Field(
        Path("/SNS/EXAMPLES/scratch/snapred"), description="Folder of the lock files that SNAPRed uses"
    )
    honour_snapred_locks: bool = Field(True, description="Take and respect SNAPRed's lock files where their folder is")
    disk_time_limit: float = Field(
        60.0, gt=0, description="Seconds after which a disk of versions that does not answer is given up"
    )
    read_lite_from_ipts: bool = Field(
        False, description="Read <IPTS>/shared/lite instead of making lite data from the native file"
    )
    minimum_run: int | None = Field(
        None, ge=0, description="Lowest run number of which the state can be known; empty: the instrument's own"
    )
    cycles: tuple[BeamCycle, ...] = Field(
        (), description="Run cycles (name, first_run, last_run); empty: those of the instrument parameters"
    )
    beyond_cycle: BeyondCycle = Field(
        "warn", description="Whether a version counts for runs of another cycle: warn, refuse or allow"
    )
    session_directory: Home = Field(
        default_factory=lambda: _xdg("XDG_STATE_HOME", ".local/state") / "snapcal" / "session",
        description="Folder of the iterations of the current work",
    )
    batch_cluster: Literal["local", "slurm"] = Field(
        "local", description="Where the workers of a batch run: processes of this machine, or jobs of SLURM"
    )
    batch_scheduler: str = Field("", description="Address of a Dask scheduler, as tcp://HOST:8786; empty: none")
    batch_workers: int | None = Field(
        None, ge=1, le=1000, description="Workers of a batch; empty: one a core of this machine, one of SLURM"
    )
    batch_memory: float | None = Field(
        None, gt=0, description="GiB that a worker may use; empty: its share of this machine's, 8 of SLURM's"
    )
    slurm_partition: str = Field("", description="SLURM's partition; empty: its default")
    slurm_account: str = Field("", description="SLURM's account; empty: the user's default")
    slurm_walltime: str = Field("02:00:00", description="Longest time of a SLURM job, after which another is asked for")
    slurm_directives: tuple[str, ...] = Field((), description="More #SBATCH directives, as ['--qos=high']")
    slurm_prologue: tuple[str, ...] = Field(
        (), description="Lines of a shell that make the environment of a SLURM job, as ['module load python']"
    )
    option_changes: CalibrationOptions = Field(
        default_factory=lambda: CalibrationOptions(),
        alias="options",
        description="Options of the calibration that differ from the preset",
    )

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, config_file: Path | str | None = None, **overrides: object) -> Settings:
        """The settings from all sources: overrides > environment > TOML file > preset > default.

        Args:
            config_file: TOML file; else the one SNAPCAL_CONFIG names; else config.toml in ~/.config/snapcal if present.
                Relative paths in it are relative to its folder.
            overrides: Fields by name, `options` as nested dicts, e.g. options={"pixels": {"max_passes": 3}}. None means
                "not given"; "" empties an option that may be empty.

        Raises:
            NotFoundError: A configuration file was named but is absent.
            FileFormatError: The configuration file is not TOML.
            InputError: A value or name is wrong; says which, what was found and where it came from.
        """
        merged: dict[str, object] = {}
        sources: dict[str, str] = {}
        for values, where in cls._layers(config_file, overrides):
            try:
                flat = {key: value for key, value in flattened(values).items() if value is not None}
            except RecursionError:
                raise InputError(
                    "Settings are nested one level deep, options two.",
                    found=f"{where('')}: tables that are nested much deeper",
                    fix="Give the options one by one, e.g. max_passes below [options.pixels].",
                ) from None
            merged.update(flat)
            sources.update({key: where(key) for key in flat})
        try:
            settings = cls.model_validate(nested(merged, sources))
        except ValidationError as error:
            raise _wrong_settings(error, sources) from None
        settings._sources.update(sources)
        return settings

    @classmethod
    def _layers(
        cls, config_file: Path | str | None, overrides: dict[str, object]
    ) -> Iterator[tuple[dict[str, object], Callable[[str], str]]]:
        """Each source's values with what names it, weakest first."""
        path = _config_file(config_file)
        if path:
            yield _read_toml(cls, path), lambda key: f"file {path}"
        environment = _read_environment(cls)
        yield environment, lambda key: f"environment {ENVIRONMENT_PREFIX}{key.upper().replace('.', '__')}"
        yield overrides, lambda key: "flag"

    @property
    def beamline(self) -> str:
        """Name of the instrument in the facility's folders, such as "PG3" for POWGEN."""
        return _beamline(self.instrument)

    def options(self, preset: PresetName | None = None) -> CalibrationOptions:
        """The calibration options of a preset (default: the one that is set), with the user's changes."""
        base = flattened(PRESETS[preset or self.preset].model_dump())
        changes = flattened(self.option_changes.model_dump(exclude_unset=True))
        return CalibrationOptions.model_validate(nested({**base, **changes}))

    def effective(self) -> dict[str, object]:
        """The value of every setting and option, by dotted name, e.g. "options.pixels.max_passes"."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name != "option_changes"}
        return {**own, **flattened({"options": self.options().model_dump()})}

    def origins(self) -> dict[str, str]:
        """Where each value of `effective` came from, by dotted name."""
        given = flattened(self.model_dump(by_alias=True, exclude_unset=True))
        return {
            key: self._sources.get(key) or ("program" if key in given else self._default_origin(key))
            for key in self.effective()
        }

    def _default_origin(self, key: str) -> str:
        if not key.startswith("options."):
            extra = type(self).model_fields[key].json_schema_extra
            return f"derived from {extra['derived_from']}" if isinstance(extra, dict) else "default"
        name = key.removeprefix("options.")
        preset, standard = (flattened(PRESETS[p].model_dump())[name] for p in (self.preset, "standard"))
        return "default" if preset == standard else f"preset {self.preset}"


def _config_file(named: Path | str | None) -> Path | None:
    named = named or os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    path = user_path(named) if named else _xdg("XDG_CONFIG_HOME", ".config") / "snapcal" / "config.toml"
    if os.path.isfile(path):
        return path.absolute()
    if named:
        raise NotFoundError(
            "The configuration file does not exist.",
            found=str(path),
            fix=f"Correct --config or {ENVIRONMENT_PREFIX}CONFIG, or leave them out.",
        )
    return None


def _read_toml(settings: type[Settings], path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            values: dict[str, object] = tomllib.load(file)
    except (ValueError, OSError, RecursionError) as error:
        found = "tables or lists that are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FileFormatError(
            f"The configuration file {path} cannot be read as TOML.", found=found, fix="Correct the file."
        ) from None
    for name, field in settings.model_fields.items():
        given = values.get(name)
        if field.annotation is Path and isinstance(given, str) and not given.startswith("~"):
            values[name] = path.parent / given
    return values


def _read_environment(settings: type[Settings]) -> dict[str, object]:
    """What variables say; what reads them takes longer to load than all settings, and most people have none."""
    names = {name for key, field in settings.model_fields.items() for name in (key, field.alias)}
    given = (key.lower().removeprefix(ENVIRONMENT_PREFIX.lower()).partition("__")[0] for key in os.environ)
    if not any(name in names for name in given):
        return {}
    from snapcal_workbench.options.environment import from_environment

    return from_environment(settings, ENVIRONMENT_PREFIX)


def _wrong_settings(error: ValidationError, sources: Mapping[str, str]) -> InputError:
    """One error for all wrong settings: name, value, what is wrong with it, and where it came from."""
    lines = []
    known = {*Settings.model_fields, *(f"options.{leaf.name}" for leaf in leaves(CalibrationOptions))}
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        where = sources.get(key) or next((w for k, w in sources.items() if k.startswith(f"{key}.")), "program")
        reason = item["msg"]
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known, 1)
            reason = "there is no such setting" + (f"; did you mean '{near[0]}'?" if near else "")
        lines.append(f"{key} = {item['input']!r} ({where}): {reason}")
    return InputError(
        "The settings have a wrong value or name.",
        found="\n       ".join(lines),
        fix="Correct it there; `snapcal config` lists all settings with their values and sources.",
    )
