"""What stands below the top of a version's record, checked where it is used; what later releases add is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from snapcal_workbench.calibration.types import GroupMetrics, from_dict
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.version.record import CalibrationRecord

M = TypeVar("M", bound=BaseModel)


class _Recorded(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class RecordedMetric(_Recorded):
    """SNAPRed's figures of one group; None where it has none. The mean of 2theta is in degrees."""

    sigma_average: float | None = None
    sigma_standard_deviation: float | None = None
    strain_average: float | None = None
    strain_standard_deviation: float | None = None
    two_theta_average: float | None = None


class RecordedMetrics(_Recorded):
    """SNAPRed's figures of all groups, in the order of the groups."""

    calibration_metric: list[RecordedMetric] = Field(default_factory=list)


def recorded_state(record: CalibrationRecord, folder: Path) -> InstrumentState:
    """The instrument's state that the record in a version's folder states.

    Raises:
        FileFormatError: It states none.
    """
    parameters = record.calculation_parameters or {}
    return _checked(folder, InstrumentState, parameters.get("instrumentState"), "the instrument's state")


def recorded_metrics(record: CalibrationRecord, folder: Path) -> RecordedMetrics | None:
    """SNAPRed's figures of the groups; None in a version without them.

    Raises:
        FileFormatError: They are no such figures.
    """
    found = record.focus_group_calibration_metrics
    return None if found is None else _checked(folder, RecordedMetrics, found, "figures of the groups")


def own_metrics(record: CalibrationRecord, folder: Path) -> GroupMetrics | None:
    """Our own figures of the groups; None in a version without them.

    Raises:
        FileFormatError: They are no such figures.
    """
    own = record.own
    if own is None or own.metrics is None:
        return None
    try:
        return from_dict(GroupMetrics, own.metrics)
    except FileFormatError as error:
        raise _wrong(folder, "figures of the groups", error.found) from None


def group_figures(record: CalibrationRecord, folder: Path) -> list[dict[str, object]] | None:
    """The figures of each group as plain values, our own where there are; None in a version without any.

    Each has "group" (its id; in SNAPRed's versions its position from 1), "twoTheta" (degrees), "sigma" (relative),
    "strainPpm" and "strainStdPpm" of (d_obs - d_ref) / d_ref; None stands for what is not known. SNAPRed states
    (d_ref - d_obs) / sigma, which is taken times its mean sigma / d.

    Raises:
        FileFormatError: They are no such figures.
    """
    names = ("group", "twoTheta", "sigma", "strainPpm", "strainStdPpm")
    own = own_metrics(record, folder)
    if own is not None:
        columns = (own.group, np.degrees(own.two_theta), own.sigma, 1e6 * own.strain, 1e6 * own.strain_std)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [{n: None if v != v else v for n, v in zip(names, row, strict=True)} for row in rows]
    recorded = recorded_metrics(record, folder)
    if recorded is None:
        return None
    return [
        {
            "group": position,
            "twoTheta": row.two_theta_average,
            "sigma": row.sigma_average,
            "strainPpm": _ppm(row.strain_average, row.sigma_average, -1e6),
            "strainStdPpm": _ppm(row.strain_standard_deviation, row.sigma_average, 1e6),
        }
        for position, row in enumerate(recorded.calibration_metric, start=1)
    ]


def _ppm(value: float | None, sigma: float | None, factor: float) -> float | None:
    return None if value is None or sigma is None else factor * value * sigma


def _checked(folder: Path, kind: type[M], value: object, what: str) -> M:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise _wrong(folder, what, f"{where} = {first['input']!r:.80}: {first['msg']}") from None


def _wrong(folder: Path, what: str, found: str) -> FileFormatError:
    return FileFormatError(
        f"{folder / RECORD} must state {what}.",
        found=found,
        fix="Choose another version; Check in the panel, or `snapcal verify`, lists what is wrong.",
    )
