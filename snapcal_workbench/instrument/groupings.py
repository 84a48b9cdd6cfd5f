"""Groupings of a state: which there are, and which is the default.

A *grouping map* (JSON) lists names and files for native and for lite pixels: the state's own `groupingMap.json`, or
`defaultGroupingMap.json` of the folder of the grouping files for a state that has none. Paths in it are absolute or
relative to that folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from snapcal_workbench.calibration.peaks.expected import require_few_groups
from snapcal_workbench.calibration.types import Geometry, PixelGrouping
from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.grouping import read_grouping
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress

STATE_MAP = "groupingMap.json"
DEFAULT_MAP = "defaultGroupingMap.json"
MAP_EXTENSIONS = ("hdf", "xml", "nxs")
"""How the name of a file in a grouping map may end."""


def groupings_of_state(
    settings: Settings, state_id: str, mode: PixelMode, progress: Progress | None = None
) -> dict[str, Path]:
    """Name and file of the groupings of a state, in the order of its map.

    Entries whose file is missing or of another kind are left out with a warning.

    Raises:
        NotFoundError: There is no map, or none of its files exists; lists what the folder has.
        FileFormatError: The map cannot be understood.
    """
    path = grouping_map_path(settings, state_id)
    progress = progress or Progress()
    groupings: dict[str, Path] = {}
    for name, definition in _entries(path, f"{mode.name}FocusGroups", progress):
        file = settings.pixel_groupings / definition  # an absolute definition stays as it is
        problem = _problem(file)
        if problem:
            progress.warn(f"Grouping '{name}' of {path} is left out: {file} {problem}.")
        else:
            groupings[name] = file
    if not groupings:
        raise NotFoundError(
            f"The grouping map has no usable grouping for {mode.name} pixels.",
            found=f"{path}; {_listing(settings.pixel_groupings)}",
            fix="Correct the map, or give the path of a grouping file.",
        )
    return groupings


def grouping_map_path(settings: Settings, state_id: str) -> Path:
    """The grouping map that holds for a state.

    Raises:
        NotFoundError: Neither the state nor the facility has one.
    """
    candidates = (settings.powder_home / state_id / STATE_MAP, settings.pixel_groupings / DEFAULT_MAP)
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise NotFoundError(
        "There is no grouping map.",
        found=f"neither {candidates[0]} nor {candidates[1]}; {_listing(settings.pixel_groupings)}",
        fix="Set 'calibration_home' or 'pixel_groupings' to a tree that has one, or give the path of a grouping file.",
    )


def default_grouping(groupings: Mapping[str, Path]) -> str:
    """The grouping that is used unless another is asked for: the first with "column" in its name, else the first."""
    return next((name for name in groupings if "column" in name.lower()), next(iter(groupings)))


def read_grouping_named(
    settings: Settings,
    state_id: str,
    mode: PixelMode,
    name_or_path: str | Path | None,
    geometry: Geometry,
    progress: Progress | None = None,
) -> PixelGrouping:
    """Read a grouping.

    Args:
        settings: Where groupings are.
        state_id: Of the run.
        mode: How the pixels are counted.
        name_or_path: Name in the state's map (letter case does not matter), or path of a grouping file; None or "":
            the default.
        geometry: Of the pixels that the grouping must be for.
        progress: Where warnings go.

    Raises:
        NotFoundError: There is no such grouping; lists those there are.
        FileFormatError: The file is damaged, is for other pixels, or groups none of them.
        InputError: It has too many groups.
    """
    name, path = locate_grouping(settings, state_id, mode, name_or_path, progress)
    grouping = replace(read_grouping(path, geometry.detid), name=name)
    require_few_groups(grouping, str(path))
    return grouping


def locate_grouping(
    settings: Settings,
    state_id: str,
    mode: PixelMode,
    name_or_path: str | Path | None,
    progress: Progress | None = None,
) -> tuple[str, Path]:
    """Name and file of a grouping; arguments and errors as for `read_grouping_named`."""
    given = user_path(name_or_path) if name_or_path else None
    if given and os.path.isfile(given):
        return name_of_file(given), given.absolute()
    groupings = groupings_of_state(settings, state_id, mode, progress)
    wanted = str(name_or_path or default_grouping(groupings)).lower()
    for name, path in groupings.items():
        if wanted in (name.lower(), path.name.lower()):
            return name, path
    raise NotFoundError(
        f"There is no grouping {str(name_or_path)!r}.",
        found=f"groupings of state {state_id} for {mode.name} pixels: {', '.join(groupings)}",
        fix="Give one of these, or the path of a grouping file.",
    )


def name_of_file(path: Path) -> str:
    """Name of a grouping given by its file: SNAPFocGroup_Column.lite.hdf is "Column"."""
    return re.sub(r"\A[A-Za-z0-9]+FocGroup_", "", path.name.split(".")[0])


def _entries(path: Path, key: str, progress: Progress) -> list[tuple[str, str]]:
    content: object = read_json(path, "a grouping map")
    if not isinstance(content, Mapping):
        raise _not_understood(path, type(content).__name__)
    if key not in content:
        progress.warn(f"The grouping map {path} has no list '{key}'; SNAPRed cannot read such a map.")
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise _not_understood(path, f"{key}: {type(entries).__name__}")
    for entry in entries:
        if not isinstance(entry, Mapping) or not all(isinstance(entry.get(k), str) for k in ("name", "definition")):
            raise _not_understood(path, f"{key}: {entry!r}"[:120])
    return [(entry["name"], entry["definition"]) for entry in entries]


def _not_understood(path: Path, found: str) -> FileFormatError:
    return FileFormatError(
        f"The grouping map {path} must be an object with lists of names and definitions.",
        found=found,
        fix="Correct the file.",
    )


def _problem(path: Path) -> str:
    if not os.path.isfile(path):
        return "is not a file" if os.path.exists(path) else "does not exist"
    return "" if path.name.endswith(MAP_EXTENSIONS) else f"does not end in {', '.join(MAP_EXTENSIONS)}"


def _listing(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return f"no readable folder {folder}"
    return f"{folder} has " + (", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "nothing")
