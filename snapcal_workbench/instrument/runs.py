"""Where the data of a run are.

A run is given as its number or as the path of a NeXus file. Numbers are looked up in the proposal folders
<IPTS root>/<beam line>/IPTS-<proposal>; the file's name must carry exactly that number, so that a run never gets the
proposal of a neighbour.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.options import Settings
from snapcal_workbench.options.runs import check_length
from snapcal_workbench.paths import user_path

RESERVED_RUNS = {"000000": "0000000000000000", "000001": "0000000000000001"}
"""State ids of the run numbers that stand for the bare native and the bare lite instrument; they have no data."""

_SUFFIXES = r"(?:\.nxs\.h5|_event\.nxs|\.lite\.nxs\.h5)"


@dataclass(frozen=True)
class RunFile:
    """The files of one run.

    Attributes:
        run_number: Digits without padding; "" for a path whose name does not tell.
        ipts: Folder of the proposal, None if the path lies in none.
        path: File with the native events and the logs.
        kind: "native" or "legacy" file of the facility (`RunFiles.kinds`), or "path" as the user gave it.
        lite_path: The facility's lite file, where it exists and the settings ask for it.
    """

    run_number: str
    ipts: Path | None
    path: Path
    kind: str
    lite_path: Path | None = None


def find_run(run: str | int | Path, settings: Settings) -> RunFile:
    """Find the files of a run.

    Args:
        run: Run number, or path of a NeXus file.
        settings: Where to look.

    Raises:
        InputError: No run number and no path; too small a number; the run is in two proposals.
        NotFoundError: There is no such file; the error says where it was looked for.
    """
    text = str(run).strip()
    if isinstance(run, Path) or "/" in text or text.lower().endswith((".h5", ".nxs", ".hdf5")):
        return _given_file(user_path(text).absolute(), settings)
    return _facility_file(run_number_of(text, settings), settings)


def all_runs(settings: Settings) -> dict[int, Path]:
    """File of every run of all proposals that may be read, by ascending run number; of several the preferred kind."""
    found: dict[int, Path] = {}
    for ipts in _proposals(settings.ipts_root / settings.beamline)[0]:
        for pattern in instrument_of(settings).files.kinds.values():
            folder, name = os.path.split(pattern)
            for number, path in _runs_in(ipts / folder, name):
                found.setdefault(number, path)
    return dict(sorted(found.items()))


def _runs_in(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    before, _, after = pattern.partition("{run}")
    name = re.compile(rf"{re.escape(before)}(\d{{1,9}}){re.escape(after)}", re.ASCII)
    try:
        with os.scandir(folder) as items:
            matched = [(name.fullmatch(item.name), item.path) for item in items]
    except OSError:
        return []
    return [(int(match[1]), Path(path)) for match, path in matched if match]


def run_number_of(text: str, settings: Settings) -> str:
    """The run number that a text holds, without padding.

    Raises:
        InputError: It is not a number, or one that cannot have data.
    """
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise InputError(
            "A run is given by its number, or by the path of a NeXus file.",
            found=repr(text)[:80],
            fix="Give digits only, e.g. 58882.",
        )
    check_length(text)
    if text.zfill(6) in RESERVED_RUNS:
        raise InputError(
            "Run numbers 0 and 1 stand for the bare instrument and have no data.",
            found=text,
            fix="Give a measured run.",
        )
    number = str(int(text))
    first = instrument_of(settings).first_run if settings.minimum_run is None else settings.minimum_run
    if int(number) < first:
        raise InputError(
            f"Runs before {first} lack the logs that tell the instrument's state.",
            found=f"run {number}",
            fix="Give a later run, or lower the setting 'minimum_run' if this run has the logs.",
        )
    return number


def _given_file(path: Path, settings: Settings) -> RunFile:
    if not os.path.isfile(path):
        raise NotFoundError(
            "There is no such NeXus file.", found=str(path), fix="Correct the path, or give the run number instead."
        )
    match = re.fullmatch(rf"{instrument_of(settings).files.prefix}(\d+){_SUFFIXES}", path.name)
    ipts = next((folder for folder in path.parents if folder.name.startswith("IPTS-")), None)
    number = str(int(match[1])) if match else ""
    lite = _lite_file(ipts, number, settings) if ipts and number else None
    return RunFile(number, ipts, path, "path", lite)


def _facility_file(number: str, settings: Settings) -> RunFile:
    root = settings.ipts_root / settings.beamline
    proposals, unreadable = _proposals(root)
    found: list[RunFile] = []
    for ipts in proposals:
        try:
            run_file = _in_proposal(ipts, number, settings)
        except PermissionError:
            unreadable.append(ipts)
            continue
        if run_file and not any(run_file.path.samefile(other.path) for other in found):
            found.append(run_file)
    if len(found) > 1:
        raise InputError(
            f"Run {number} is in more than one proposal.",
            found=", ".join(str(run_file.path) for run_file in found),
            fix="Give the path of the file that you mean instead of the run number.",
        )
    if not found:
        patterns = tuple(instrument_of(settings).files.kinds.values())
        raise _no_such_run(number, root, patterns, len(proposals), unreadable)
    return found[0]


def _proposals(root: Path) -> tuple[list[Path], list[Path]]:
    """Folders of the proposals, and the folders that could not be listed."""
    try:
        return sorted(path for path in root.iterdir() if path.name.startswith("IPTS-")), []
    except PermissionError:
        return [], [root]
    except (FileNotFoundError, NotADirectoryError):
        return [], []


def _in_proposal(ipts: Path, number: str, settings: Settings) -> RunFile | None:
    for kind, pattern in instrument_of(settings).files.kinds.items():
        path = ipts / pattern.format(run=number)
        if path.is_file():
            return RunFile(number, ipts, path, kind, _lite_file(ipts, number, settings))
    return None


def _lite_file(ipts: Path, number: str, settings: Settings) -> Path | None:
    pattern = instrument_of(settings).files.merged
    path = ipts / pattern.format(run=number)
    return path if pattern and settings.read_lite_from_ipts and os.path.isfile(path) else None


def _no_such_run(
    number: str, root: Path, patterns: tuple[str, ...], proposals: int, unreadable: list[Path]
) -> NotFoundError:
    names = " or ".join(f"{root}/IPTS-*/{pattern.format(run=number)}" for pattern in patterns)
    found = f"no file {names}; looked into {proposals} proposals"
    fix = "Check the run number and the setting 'ipts_root', or give the path of the NeXus file."
    if not unreadable and not os.path.isdir(root):
        found = f"no folder {root}, where the proposals should be"
        fix = f"Set 'ipts_root' to the folder that has {root.name}/IPTS-…, or give the path of the NeXus file."
    if unreadable:
        shown = ", ".join(map(str, unreadable[:5])) + (", …" if len(unreadable) > 5 else "")
        found += f", of which {len(unreadable)} may not be read: {shown}"
        fix = f"Ask for access to the proposal if the run is in one of these. {fix}"
    return NotFoundError(f"Run {number} was not found.", found=found, fix=fix)
