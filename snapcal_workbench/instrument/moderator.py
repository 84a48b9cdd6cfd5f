"""The moderator's profile as a property of the instrument: learned from runs, kept in versions, with its errors.

It stands beside the instrument parameters, in files `ModeratorProfile_v0001.json` that SNAPRed passes over, one a
version. A version applies to its first run and later ones; of those that apply the newest counts. A version that is
there is never changed.

    {"format": "snapcal moderator profile 1", "version": 1, "firstRun": 58882, "runs": ["58882"], "created": "...",
     "names": ["rise0", ...], "value": [...], "covariance": [[...], ...]}

Names, units and formulas of the coefficients are those of `ModeratorProfile`.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snapcal_workbench.calibration.groups.pattern.fit import PROFILE_NAMES, UNKNOWN_PROFILE
from snapcal_workbench.calibration.types import ModeratorProfile
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.disk.writing import create
from snapcal_workbench.options import Settings

FORMAT = "snapcal moderator profile 1"
_NAME = re.compile(r"ModeratorProfile_v(\d{4,})\.json")


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    format: str = Field(pattern=f"^{FORMAT}$")
    version: int = Field(ge=1)
    first_run: int = Field(ge=0, alias="firstRun")
    runs: tuple[str, ...]
    created: str = ""
    names: tuple[str, ...]
    value: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


def moderator_profile(settings: Settings, run_number: str | int) -> ModeratorProfile:
    """What is known of the moderator's pulse for a run; `UNKNOWN_PROFILE` where nothing was learned.

    Raises:
        FileFormatError: The version that applies cannot be understood.
    """
    digits = str(run_number).split("+")[0]
    run = int(digits) if digits.isdecimal() else None
    for version, path in sorted(_versions(settings).items(), reverse=True):
        found = _read(path)
        if run is None or found.first_run <= run:
            return ModeratorProfile(found.names, np.array(found.value), np.array(found.covariance), found.runs, version)
    return UNKNOWN_PROFILE


def write_moderator_profile(settings: Settings, profile: ModeratorProfile, first_run: int) -> Path:
    """Keep a profile as the next version.

    Args:
        settings: Where the instrument parameters are.
        profile: Learned from its runs.
        first_run: The first run that it applies to.

    Returns:
        The new file.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason.
    """
    version = max(_versions(settings), default=0) + 1
    path = settings.instrument_parameters / f"ModeratorProfile_v{version:04d}.json"
    kept = _ProfileFile(
        format=FORMAT,
        version=version,
        first_run=first_run,
        runs=profile.runs,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        names=profile.names,
        value=tuple(profile.value.tolist()),
        covariance=tuple(tuple(row) for row in profile.covariance.tolist()),
    )
    create(path, (json.dumps(kept.model_dump(mode="json", by_alias=True), indent=1) + "\n").encode())
    return path


def _versions(settings: Settings) -> dict[int, Path]:
    folder = settings.instrument_parameters
    if not os.path.isdir(folder):
        return {}
    found = ((_NAME.fullmatch(name), folder / name) for name in os.listdir(folder))
    return {int(match.group(1)): path for match, path in found if match}


def _read(path: Path) -> _ProfileFile:
    try:
        found = _ProfileFile.model_validate(read_json(path, "a moderator's profile"))
    except ValidationError as error:
        raise _wrong(path, "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
    covariance = np.array(found.covariance, dtype=float) if len({len(row) for row in found.covariance}) == 1 else None
    n = len(PROFILE_NAMES)
    if found.names != PROFILE_NAMES or len(found.value) != n or covariance is None or covariance.shape != (n, n):
        raise _wrong(path, f"{len(found.value)} values of {', '.join(found.names)}")
    if not (np.isfinite(found.value).all() and np.isfinite(covariance).all()):
        raise _wrong(path, "numbers that are not finite")
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance).min() <= 0.0:
        raise _wrong(path, "a covariance that is not positive")
    return found


def _wrong(path: Path, found: str) -> FileFormatError:
    return FileFormatError(
        f"The moderator's profile {path} cannot be used.",
        found=found[:300],
        fix="Move the file away, and learn the profile again: snapcal learn-profile.",
    )
