"""A calibration on its way into the store: its files, record and index entry, before it has a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.index import AppliesTo, IndexEntry
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.text import LONGEST_COMMENTS, clean_text
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.store.version.record import Seed, parameters_json, record_json
from snapcal_workbench.store.version.version_files import write_files
from snapcal_workbench.workspaces.names import OutputNames


class CalibrationDraft:
    """A calibration on its way into the store; see `publish.Draft`."""

    def __init__(
        self,
        contents: VersionContents,
        mode: PixelMode,
        seed: Seed,
        *,
        author: str,
        comments: str,
        applies_to: str | None,
    ) -> None:
        check_contents(contents, mode)
        self._contents = contents
        self._run = contents.run_number.split("+")[0]
        condition = AppliesTo.from_text(applies_to) if applies_to else AppliesTo.from_run(int(self._run))
        self._entry = {
            "runNumber": self._run,
            "useLiteMode": contents.mode.merged,
            "appliesTo": str(condition),
            "comments": clean_text(comments, "comments", LONGEST_COMMENTS),
            "author": clean_text(author, "author"),
        }
        self._state = contents.state.with_peak_options(contents.options.peaks).model_dump(mode="json", by_alias=True)
        self._seed = seed

    def _names(self, version: int) -> OutputNames:
        return OutputNames.of_version(self._run, self._contents.grouping_name, version)

    def write_files(self, folder: Path, version: int, progress: Progress) -> dict[str, str]:
        return write_files(folder, self._contents, self._names(version), progress)

    def entry(self, version: int, timestamp: str) -> IndexEntry:
        return IndexEntry.model_validate({"version": version, **self._entry, "timestamp": timestamp})

    def documents(self, entry: IndexEntry, hashes: Mapping[str, str]) -> tuple[dict[str, object], dict[str, object]]:
        parameters = parameters_json(
            entry,
            self._state,
            seed_run=self._seed.run or self._run,
            creation_date=self._seed.created or entry.timestamp,
            name=self._seed.name,
            calibrant_path=self._contents.calibrant_path,
            intensity_threshold=self._contents.options.peaks.intensity_fraction,
        )
        return parameters, record_json(self._contents, entry, parameters, self._names(entry.version), hashes)


def check_contents(contents: VersionContents, mode: PixelMode) -> None:
    """Raise InputError where SNAPRed could not use the contents; writing the table checks its values."""
    problem = ""
    if contents.mode is not mode or len(contents.table) != mode.n_pixels:
        problem = f"{len(contents.table)} rows of {contents.mode.name} pixels; {mode.n_pixels} are needed"
    elif not re.fullmatch(r"\d{1,12}(\+\d{1,12})*", contents.run_number, re.ASCII):
        problem = f"run number {contents.run_number!r:.40}"
    if problem:
        raise InputError(
            f"A version needs a run number, and a table with one row for each {mode.name} pixel.",
            found=problem,
            fix="Save the table and mask of a finished calibration of that run.",
        )
