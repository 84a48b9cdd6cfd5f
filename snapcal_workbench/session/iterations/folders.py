"""The folder of a session: its iterations, their workspaces and their reports.

The folder `iteration_<nn>` holds `iteration.json` (the model `Iteration`), `values.h5` (the workspaces by role) and
`report/` (the HTML report and its pictures). `iteration.json` is written last, so a folder without it is no iteration:
it is the claim of a calibration that runs, or what a removed one leaves, and keeps the number from being used again.
`docs/session-format.md` describes the files.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NotRequired, TypedDict, cast, get_type_hints

from snapcal_workbench.calibration.types import (
    Calibration,
    DiffCalTable,
    FitTable,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.errors import FileFormatError, NotFoundError, StoreError
from snapcal_workbench.formats.disk.files import damaged
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.formats.values import read_values, write_values
from snapcal_workbench.session.iterations.iteration import Iteration, UnreadableIteration, parsed_iteration
from snapcal_workbench.store.disk.fs import writable

_KEPT = {
    "table": "table",
    "mask": "mask",
    "output": "spectra",
    "fit_table": "fits",
    "fitted": "fitted",
    "results": "results",
    "grouping": "grouping",
    "start": "start",
}
"""Fields of a `Calibration` by their names in `values.h5`."""
_FOLDER = re.compile(r"iteration_(\d{2,})")


class KeptValues(TypedDict):
    """The kept workspaces of an iteration; `results` is absent where the pixel calibration was left out."""

    table: DiffCalTable
    mask: PixelMask
    output: Spectra
    fit_table: FitTable
    fitted: Spectra
    grouping: PixelGrouping
    results: NotRequired[PixelResults]
    start: NotRequired[DiffCalTable]


_KINDS = get_type_hints(KeptValues)


class IterationFolders:
    """The iterations that a session's folder holds. Several sessions, also of other processes, may share the folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[int, tuple[tuple[int, int], Iteration]] = {}

    def path(self, number: int) -> Path:
        """Folder of an iteration."""
        return self.directory / f"iteration_{number:02d}"

    def report(self, number: int) -> Path:
        """Folder of an iteration's report."""
        return self.path(number) / "report"

    def asked(self, number: int) -> Path:
        """File that is there while an iteration's report was asked for and is not drawn yet."""
        return self.path(number) / "report.asked"

    def kept(self) -> list[int]:
        """Numbers of all iterations that were kept, ascending, also of those that cannot be read."""
        return [number for number in self._claimed() if self._record(number).is_file()]

    def numbers(self) -> list[int]:
        """Numbers of the iterations that can be read, ascending."""
        return [iteration.number for iteration in self.survey()[0]]

    def survey(self) -> tuple[list[Iteration], list[UnreadableIteration]]:
        """The iterations that can be read, and those that cannot, both in ascending order."""
        readable, unreadable = [], []
        for number in self.kept():
            try:
                readable.append(self.read(number))
            except NotFoundError:
                continue  # removed meanwhile by another session
            except FileFormatError as error:
                unreadable.append(UnreadableIteration(number, self._started(number), error.found))
        return readable, unreadable

    def require_writable(self) -> None:
        """Find out, without writing, whether an iteration could be kept.

        Raises:
            StoreError: The session's folder, or where it would be made, cannot be written.
        """
        reason = writable(self.directory)
        if reason is not None:
            raise self._not_writable(reason)

    def _not_writable(self, found: str) -> StoreError:
        return StoreError(
            f"The session's folder {self.directory} must be writable.",
            found=found,
            fix="Free space, or choose another folder: setting session_directory, in a shell also --session DIR.",
        )

    def claim(self) -> int:
        """The number of a new iteration, which is this caller's alone; never one that was used before.

        Raises:
            StoreError: The session's folder cannot be written.
        """
        number = self.next_number()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            while True:
                with suppress(FileExistsError):
                    self.path(number).mkdir()  # exclusive, on a shared file system too
                    return number
                number += 1
        except OSError as error:
            raise self._not_writable(str(error)) from error

    def release(self, number: int) -> None:
        """Give up the claim of a calibration that came to nothing."""
        shutil.rmtree(self.path(number), ignore_errors=True)

    def next_number(self) -> int:
        """The number that the next iteration has if nobody else is calibrating."""
        return 1 + max(self._claimed(), default=0)

    def read(self, number: int) -> Iteration:
        """One iteration.

        Raises:
            NotFoundError: There is none of that number.
            FileFormatError: It is of a newer release, or damaged.
        """
        try:
            status = self._record(number).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if number not in self._known or self._known[number][0] != stamp:
                self._known[number] = (stamp, parsed_iteration(self._record(number).read_bytes()))
            return self._known[number][1]
        except OSError as error:
            raise NotFoundError(
                f"There is no iteration {number} in {self.directory}.",
                found=", ".join(map(str, self.kept())) or "no iterations",
                fix="Name one that exists, or calibrate again.",
            ) from error
        except ValueError as error:
            raise FileFormatError(
                f"Iteration {number} cannot be read.",
                found=str(error),
                fix="Use another iteration: this one hinders none. The release that made it can read it.",
            ) from error

    def write(self, iteration: Iteration, calibration: Calibration) -> None:
        """Keep a finished iteration in the folder that was claimed for it.

        Raises:
            StoreError: The folder cannot be written.
        """
        folder = self.path(iteration.number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            values = {role: getattr(calibration, name) for role, name in _KEPT.items()}
            write_values(folder / "values.h5", {role: value for role, value in values.items() if value is not None})
            self._replace(iteration.number, iteration.model_dump(mode="json"))
        except (OSError, StoreError) as error:
            raise StoreError(
                f"The iteration cannot be kept in {folder}.",
                found=error.found if isinstance(error, StoreError) else str(error),
                fix="Free space, or choose another folder (setting session_directory). The workspaces are still there.",
            ) from error

    def label(self, number: int, text: str) -> Iteration:
        """Give an iteration a name; whatever else its file says stays as it is."""
        self.read(number)
        content = json.loads(self._record(number).read_bytes())
        self._replace(number, {**content, "label": text})
        return self.read(number)

    def _replace(self, number: int, content: Mapping[str, object]) -> None:
        text = json.dumps(content)
        replace_file(self._record(number), text.encode(), "the record of an iteration")

    def values(self, number: int) -> KeptValues:
        """The kept workspaces of an iteration by role, and `grouping` and `start` (the table it started from).

        Raises:
            NotFoundError: Their file is not there.
            FileFormatError: It is damaged, or lacks one of them.
        """
        path = self.path(number) / "values.h5"
        values = read_values(path)
        missing = _KEPT.keys() - values.keys() - {"results", "start"}  # which not every calibration has
        if missing:
            raise damaged(
                path, "the results of an iteration", f"no {', no '.join(sorted(missing))}", "Calibrate again."
            )
        odd = [role for role in _KEPT.keys() & values.keys() if not isinstance(values[role], _KINDS[role])]
        if odd:
            raise damaged(
                path, "the results of an iteration", f"other kinds of {', '.join(sorted(odd))}", "Calibrate again."
            )
        return cast(KeptValues, values)

    def calibration(self, number: int) -> Calibration:
        """A whole iteration, as the chain returned it; errors as for `read` and `values`."""
        account, values = self.read(number).account, self.values(number)
        return Calibration(
            account,
            table=values["table"],
            mask=values["mask"],
            spectra=values["output"],
            fits=values["fit_table"],
            fitted=values["fitted"],
            grouping=values["grouping"],
            results=values.get("results"),
            start=values.get("start"),
        )

    def remove(self, number: int) -> None:
        """Forget an iteration, readable or not. Its empty folder stays, so that its number is not used again.

        Raises:
            NotFoundError: There is none of that number.
        """
        if not self._record(number).is_file():
            self.read(number)
        self._record(number).unlink(missing_ok=True)
        for path in list(self.path(number).iterdir()):
            # what another process draws just now may come or go meanwhile: without its record nothing of it counts
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _claimed(self) -> list[int]:
        found = (_FOLDER.fullmatch(path.name) for path in self.directory.glob("iteration_*"))
        return sorted(int(match.group(1)) for match in found if match)

    def _started(self, number: int) -> str:
        """When an iteration was made, as its file says, else as the file system does."""
        path = self._record(number)
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            return str(json.loads(path.read_bytes())["started"])
        try:
            return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
        except OSError:
            return "unknown"

    def _record(self, number: int) -> Path:
        return self.path(number) / "iteration.json"
