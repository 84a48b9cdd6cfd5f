"""`CalibrationRecord.json` and `CalibrationParameters.json` in SNAPRed's shape, with our own fields beside it.

SNAPRed's fields are those of its release `SNAPRED_VERSION`. Ours stand under one key, `snapcalWorkbench`, which SNAPRed
passes over: who wrote the record, the options, the provenance, the metrics of every group, and the hash of every other
file of the version. Records of SNAPRed have no such key and no hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from snapcal_workbench import __version__
from snapcal_workbench.calibration.types import GroupMetrics, GroupParameters, as_dict
from snapcal_workbench.formats.index import IndexEntry, parse_entry
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import parse_json
from snapcal_workbench.store.layout import PARAMETERS, RECORD, RECORD_COPY
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.workspaces.names import OutputNames

SNAPRED_VERSION = "2.2.0"
FORMAT = 2
"""Version of the format of our own fields: 2 has the account of the calibration."""
BINNING_LOGARITHMIC = -1


R = TypeVar("R", bound=BaseModel)


class _Recorded(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class OwnFields(_Recorded):
    """What only our records have.

    Attributes:
        format: Version of the format of these fields.
        written_by: Version of this package.
        runs: All runs that were summed, joined with "+".
        content_hashes: Hash of every other file of the version, by name.
        options: Options of the calibration.
        provenance: Inputs, software, history.
        grouping_name: As the user chose it.
        parameters, metrics: Of all groups, as `calibration.types.as_dict` writes them.
        account: What the calibration was made from, every step and warning, see `calibration.types.calibration`; None
            where it was not known when the version was saved.
    """

    format: int = FORMAT
    written_by: str = __version__
    runs: str = ""
    content_hashes: dict[str, str] = Field(default_factory=dict)
    options: dict[str, object] = Field(default_factory=dict)
    provenance: dict[str, object] = Field(default_factory=dict)
    grouping_name: str = ""
    parameters: dict[str, object] | None = None
    metrics: dict[str, object] | None = None
    account: dict[str, object] | None = None

    @property
    def is_newer(self) -> bool:
        """Whether a newer release wrote the fields, in a format that this one does not know."""
        return self.format > FORMAT

    @model_validator(mode="before")
    @classmethod
    def _leave_newer_fields(cls, values: object) -> object:
        """Of a newer format only what says so is read; the rest may mean something else."""
        if isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
            return {"format": values["format"], "writtenBy": str(values.get("writtenBy", "a newer release"))}
        return values


class CalibrationParameters(_Recorded):
    """What SNAPRed needs of a state with a version; unknown fields are kept."""

    version: int
    index_entry: dict[str, object] | None = None
    instrument_state: dict[str, object] | None = None
    seed_run: str | int | None = None
    use_lite_mode: bool | None = None
    creation_date: object = None
    name: str | None = None


class CalibrationRecord(_Recorded):
    """The record of a version, ours or SNAPRed's; unknown fields are kept."""

    version: int
    index_entry: dict[str, object] | None = None
    run_number: str | int = ""
    use_lite_mode: bool | None = None
    calculation_parameters: dict[str, object] | None = None
    snapred_version: str | None = None
    workspaces: dict[str, list[str]] = Field(default_factory=dict)
    crystal_info: dict[str, object] | None = None
    pixel_groups: list[dict[str, object]] | None = None
    focus_group_calibration_metrics: dict[str, object] | None = None
    own: OwnFields | None = Field(None, alias="snapcalWorkbench")

    def names(self, kind: str) -> list[str]:
        """Names of the workspaces of a kind, as "diffCalTable"."""
        return self.workspaces.get(kind, [])


def parse_record(data: bytes) -> CalibrationRecord:
    """The record that bytes hold.

    Raises:
        ValueError: They hold none.
    """
    return _validated(CalibrationRecord, data)


def parse_parameters(data: bytes) -> CalibrationParameters:
    """The parameters that bytes hold.

    Raises:
        ValueError: They hold none.
    """
    return _validated(CalibrationParameters, data)


def _validated(kind: type[R], data: bytes) -> R:
    try:
        return kind.model_validate(parse_json(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None


def entry_in_folder(folder: Path, version: int) -> tuple[IndexEntry | None, str]:
    """The index entry that a version folder's record states, or None and why it has no usable one.

    Usable is what SNAPRed would adopt: record and parameters can be read, and both carry the folder's number.
    """
    try:
        record = parse_record(fs.read(folder / RECORD))
        parameters = parse_parameters(fs.read(folder / PARAMETERS))
    except (OSError, ValueError) as error:
        return None, f"its record or parameters cannot be read ({error})"
    if record.version != version or parameters.version != version:
        return None, f"its record is of version {record.version}, its parameters are of version {parameters.version}"
    entry, problems = parse_entry(record.index_entry)
    if entry is None or entry.version != version:
        return None, f"its record has no index entry of its version ({' '.join(problems) or record.index_entry})"
    return entry, ""


def saved_entry(folder: Path) -> IndexEntry | None:
    """The index entry of a version as it was saved, by the copy of its record; None where there is no copy."""
    try:
        return parse_entry(parse_record(fs.read(folder / RECORD_COPY)).index_entry)[0]
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Seed:
    """What every version of a state copies from the state's default; empty where that does not say it."""

    run: str = ""
    created: object = None
    name: str = ""


def parameters_json(
    entry: IndexEntry,
    state: Mapping[str, object],
    *,
    seed_run: str,
    creation_date: object,
    name: str,
    calibrant_path: str | None,
    intensity_threshold: float | None = None,
) -> dict[str, object]:
    """`CalibrationParameters.json`. Seed run, creation date and name are those of the state, not of the calibration."""
    return {
        "version": entry.version,
        "indexEntry": entry.to_json(),
        "instrumentState": dict(state),
        "seedRun": seed_run,
        "useLiteMode": entry.use_lite_mode,
        "creationDate": creation_date,
        "name": name,
        "calibrantSamplePath": calibrant_path,
        "peakIntensityThreshold": intensity_threshold,
    }


def default_record_json(
    entry: IndexEntry, parameters: Mapping[str, object], table_name: str, hashes: Mapping[str, str]
) -> dict[str, object]:
    """The record of a state's default: no peaks, groups or metrics."""
    return _head(entry, parameters, {"diffCalTable": [table_name]}) | {
        "snapcalWorkbench": OwnFields(runs=entry.run_number, content_hashes=dict(hashes)).model_dump(by_alias=True)
    }


def record_json(
    contents: VersionContents,
    entry: IndexEntry,
    parameters: Mapping[str, object],
    names: OutputNames,
    hashes: Mapping[str, str],
) -> dict[str, object]:
    """The record of a calibration; `hashes` are of every other file of the version."""
    workspaces = {
        "diffCalOutput": [names.output],
        "diffCalDiagnostic": [names.diagnostic],
        "diffCalTable": [names.table],
        "diffCalMask": [names.mask],
    }
    good = _complete_groups(contents.metrics)
    own = OwnFields(
        runs=contents.run_number,
        content_hashes=dict(hashes),
        options=contents.options.model_dump(mode="json"),
        provenance=dict(contents.provenance),
        grouping_name=contents.grouping_name,
        parameters=as_dict(contents.parameters),
        metrics=as_dict(contents.metrics),
        account=as_dict(contents.account) if contents.account else None,
    )
    return _head(entry, parameters, workspaces) | {
        "crystalInfo": {"peaks": _peaks(contents)},
        "pixelGroups": [_pixel_group(contents, good)],
        "focusGroupCalibrationMetrics": _metrics(contents, good),
        "snapcalWorkbench": own.model_dump(by_alias=True),
    }


def _head(
    entry: IndexEntry, parameters: Mapping[str, object], workspaces: Mapping[str, list[str]]
) -> dict[str, object]:
    return {
        "version": entry.version,
        "indexEntry": entry.to_json(),
        "runNumber": entry.run_number,
        "useLiteMode": entry.use_lite_mode,
        "calculationParameters": dict(parameters),
        "hooks": None,
        "snapredVersion": SNAPRED_VERSION,
        "snapwrapVersion": None,
        "workspaces": dict(workspaces),
    }


def _complete_groups(metrics: GroupMetrics) -> list[int]:
    """Ids of the groups that have every figure SNAPRed asks for; it can read no null."""
    figures = (metrics.sigma, metrics.sigma_std, metrics.snapred_strain, metrics.snapred_strain_std, metrics.two_theta)
    complete = np.all(np.isfinite(figures), axis=0)
    return [int(group) for group in metrics.group[complete]]


def _peaks(contents: VersionContents) -> list[dict[str, object]]:
    """Every reflection that is a peak of some group, once, in ascending d."""
    found: dict[tuple[int, ...], tuple[float, dict[str, object]]] = {}
    for peaks in contents.peaks.values():
        for hkl, d, f_squared, multiplicity in zip(
            peaks.hkl.tolist(), peaks.d, peaks.f_squared, peaks.multiplicity, strict=True
        ):
            peak = {
                "hkl": hkl,
                "dSpacing": float(d),
                "fSquared": float(f_squared),
                "multiplicity": int(multiplicity),
            }
            found[tuple(hkl)] = float(d), peak
    return [peak for _, peak in sorted(found.values(), key=lambda each: each[0])]


def _pixel_group(contents: VersionContents, good: list[int]) -> dict[str, object]:
    parameters, bins = contents.parameters, contents.options.pixels.bins_per_delta_d
    groups = {
        str(int(group)): _group(parameters, index) for index, group in enumerate(parameters.group) if int(group) in good
    }
    return {
        "pixelGroupingParameters": groups,
        "nBinsAcrossPeakWidth": bins,
        "focusGroup": {"name": contents.grouping_name, "definition": contents.grouping_definition},
        "timeOfFlight": {
            "minimum": parameters.tof_min,
            "binWidth": parameters.bin_width(bins) if len(parameters) else None,
            "maximum": parameters.tof_max,
            "binningMode": BINNING_LOGARITHMIC,
        },
        "binningMode": BINNING_LOGARITHMIC,
    }


def _group(parameters: GroupParameters, index: int) -> dict[str, object]:
    return {
        "groupID": int(parameters.group[index]),
        "L2": float(parameters.l2[index]),
        "twoTheta": float(parameters.two_theta[index]),
        "azimuth": float(parameters.azimuth[index]),
        "dResolution": {"minimum": float(parameters.d_min[index]), "maximum": float(parameters.d_max[index])},
        "dRelativeResolution": float(parameters.delta_d[index]),
    }


def _metrics(contents: VersionContents, good: list[int]) -> dict[str, object]:
    metrics = contents.metrics
    rows = [
        {
            "sigmaAverage": float(metrics.sigma[i]),
            "sigmaStandardDeviation": float(metrics.sigma_std[i]),
            "strainAverage": float(metrics.snapred_strain[i]),
            "strainStandardDeviation": float(metrics.snapred_strain_std[i]),
            "twoThetaAverage": float(np.degrees(metrics.two_theta[i])),
        }
        for i, group in enumerate(metrics.group)
        if int(group) in good
    ]
    return {"focusGroupName": contents.grouping_name, "calibrationMetric": rows}


def propagated_record_json(
    source: CalibrationRecord,
    entry: IndexEntry,
    parameters: Mapping[str, object],
    names: OutputNames,
    hashes: Mapping[str, str],
    provenance: Mapping[str, object],
) -> dict[str, object]:
    """The record of a version that has table and mask of another state's: peaks and figures are those of the source.

    It names no spectra, as none were measured in its state.
    """
    workspaces = {"diffCalTable": [names.table], "diffCalMask": [names.mask]}
    known = source.own or OwnFields(runs=str(source.run_number))
    own = known.model_copy(update={"content_hashes": dict(hashes), "provenance": dict(provenance), "format": FORMAT})
    return _head(entry, parameters, workspaces) | {
        "crystalInfo": source.crystal_info,
        "pixelGroups": source.pixel_groups,
        "focusGroupCalibrationMetrics": source.focus_group_calibration_metrics,
        "snapcalWorkbench": own.model_copy(update={"written_by": __version__}).model_dump(by_alias=True),
    }
