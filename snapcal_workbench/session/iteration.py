"""One iteration of a session: what was asked, what came out, and its folder.

The folder `iteration_<nn>` holds `iteration.json` (the model `Iteration`), `values.h5` (the workspaces by role) and
`report/` (the HTML report and its pictures). `iteration.json` is written last, so a folder without it is no iteration.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snapcal_workbench.algorithms import calibrate
from snapcal_workbench.calibration.types import (
    ExpectedPeaks,
    FitTable,
    GroupMetrics,
    GroupParameters,
    GroupResults,
    PassRecord,
    PixelMap,
    from_dict,
)
from snapcal_workbench.errors import NotFoundError, StoreError
from snapcal_workbench.formats.values import read_values, write_values
from snapcal_workbench.formats.writing import replace_file
from snapcal_workbench.session.request import Request

_FOLDER = re.compile(r"iteration_(\d{2,})")


class Iteration(BaseModel):
    """One finished calibration."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(ge=1)
    label: str = ""
    request: Request
    run_number: str
    title: str
    state_id: str
    grouping_name: str
    started: str = Field(description="ISO 8601 time")
    seconds: float
    outcome: calibrate.Outputs
    history: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        """As the user reads it."""
        return self.label or f"iteration {self.number}"

    @property
    def lite(self) -> bool:
        """Whether it is of lite pixels."""
        return self.request.lite

    @property
    def passes(self) -> list[PassRecord]:
        """Figures of the pixel calibration's passes; none where it was left out."""
        pixel = self.outcome.pixel
        return [from_dict(PassRecord, record) for record in pixel.passes] if pixel else []

    @property
    def kept_pass(self) -> PassRecord | None:
        """The pass whose table is the result."""
        return next((record for record in reversed(self.passes) if record.kept), None)

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was made, for the record of a version."""
        outcome = self.outcome
        return {
            "iteration": self.number,
            "label": self.label,
            "calibrated": self.started,
            "request": self.request.model_dump(mode="json"),
            "passes": outcome.pixel.passes if outcome.pixel else [],
            "stop": self.stop,
            "groups": outcome.group.groups,
            "masked": outcome.masked,
            "warnings": outcome.warnings,
            "history": self.history,
        }

    @property
    def stop(self) -> str:
        """Why the pixel calibration stopped."""
        return self.outcome.pixel.stop if self.outcome.pixel else "left out"

    @property
    def n_masked(self) -> int:
        """Number of masked pixels in the groups."""
        return sum(self.outcome.masked.values())

    @property
    def metrics(self) -> GroupMetrics:
        """Quality figures of each group."""
        return from_dict(GroupMetrics, self.outcome.group.metrics)

    @property
    def groups(self) -> GroupResults:
        """Fitted terms of each group."""
        return from_dict(GroupResults, self.outcome.group.groups)

    @property
    def parameters(self) -> GroupParameters:
        """Position, resolution and limits of each group."""
        return from_dict(GroupParameters, self.outcome.group.parameters)

    @property
    def peaks(self) -> dict[int, ExpectedPeaks]:
        """Expected peaks of each group."""
        found = (from_dict(ExpectedPeaks, data) for data in self.outcome.group.peaks)
        return {peaks.group: peaks for peaks in found}

    @property
    def fits_before(self) -> FitTable:
        """Fitted peaks before the group correction."""
        return from_dict(FitTable, self.outcome.group.fits_before)


class IterationFolders:
    """The iterations that a session's folder holds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[int, tuple[tuple[int, int], Iteration]] = {}

    def path(self, number: int) -> Path:
        """Folder of an iteration."""
        return self.directory / f"iteration_{number:02d}"

    def report(self, number: int) -> Path:
        """Folder of an iteration's report."""
        return self.path(number) / "report"

    def numbers(self) -> list[int]:
        """Numbers of the finished iterations, ascending."""
        found = (_FOLDER.fullmatch(path.name) for path in self.directory.glob("iteration_*"))
        return sorted(int(m.group(1)) for m in found if m and self._record(int(m.group(1))).is_file())

    def next_number(self) -> int:
        """Number of the next iteration: never one that was used before, also by a removed one."""
        found = (_FOLDER.fullmatch(path.name) for path in self.directory.glob("iteration_*"))
        return 1 + max([int(match.group(1)) for match in found if match], default=0)

    def read(self, number: int) -> Iteration:
        """One iteration.

        Raises:
            NotFoundError: There is none of that number, or its file is damaged.
        """
        try:
            status = self._record(number).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if number not in self._known or self._known[number][0] != stamp:
                found = Iteration.model_validate_json(self._record(number).read_bytes())
                self._known[number] = (stamp, found)
            return self._known[number][1]
        except (OSError, ValidationError) as error:
            raise NotFoundError(
                f"There is no readable iteration {number} in {self.directory}.",
                found=", ".join(map(str, self.numbers())) or "no iterations",
                fix="Name one that exists, or calibrate again.",
            ) from error

    def write(self, iteration: Iteration, values: Mapping[str, Any]) -> None:
        """Keep a finished iteration.

        Raises:
            StoreError: The folder cannot be written.
        """
        folder = self.path(iteration.number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_values(folder / "values.h5", values)
            self.update(iteration)
        except (OSError, StoreError) as error:
            raise StoreError(
                f"The iteration cannot be kept in {folder}.",
                found=error.found if isinstance(error, StoreError) else str(error),
                fix="Free space or choose another place with --session DIR; the workspaces are still in the list.",
            ) from error

    def update(self, iteration: Iteration) -> None:
        """Replace the record of an iteration (a new label)."""
        text = json.dumps(iteration.model_dump(mode="json"), indent=1)
        replace_file(self._record(iteration.number), text.encode(), "the record of an iteration")

    def values(self, number: int) -> dict[str, Any]:
        """The kept workspaces of an iteration by role, and `grouping` and `start` (the table it started from)."""
        return read_values(self.path(number) / "values.h5")

    def remove(self, number: int) -> None:
        """Forget an iteration. Its empty folder stays, so that its number is not used again."""
        self._record(number).unlink(missing_ok=True)
        for path in list(self.path(number).iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _record(self, number: int) -> Path:
        return self.path(number) / "iteration.json"


def maps_of(iteration: Iteration, values: dict[str, Any]) -> dict[str, PixelMap]:
    """The per-pixel maps of an iteration, made from what is kept of it."""
    mask, results = values["mask"], values.get("results")
    maps = {
        "mask_reason": PixelMap(mask.detid, mask.reason.astype(np.float64), "mask reason"),
        "difc_change": calibrate.change_map(values["start"], values["table"]),
    }
    if results is not None and iteration.outcome.pixel is not None:
        offset = -results.shift / np.log1p(iteration.outcome.pixel.bin_width)
        maps["offsets"] = PixelMap(results.detid, offset, "offset (bins)")
    return maps
