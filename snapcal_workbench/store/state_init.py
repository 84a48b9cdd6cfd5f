"""Initialising an instrument state: its folder with the grouping map and the default of both modes, or nothing.

A new state is built in a staging folder beside the states and renamed into place. Of a state that somebody began and
did not finish, each missing default is published on its own; what is there is kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.errors import FileFormatError, InputError, PermissionDeniedError
from snapcal_workbench.formats.diffcal import diffcal_image
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.owner import Owner
from snapcal_workbench.store.disk.patient import on_disk
from snapcal_workbench.store.disk.strict_json import content_hash, json_bytes
from snapcal_workbench.store.index_file import read_snapshot
from snapcal_workbench.store.layout import DEFAULT_TABLE, has_mode_level, home_of, mode_level_of_tree
from snapcal_workbench.store.publish import publish, remove_dead
from snapcal_workbench.store.text import clean_text
from snapcal_workbench.store.version.record import default_record_json, parameters_json

DEFAULT_MAP = "defaultGroupingMap.json"
GROUPING_MAP = "groupingMap.json"
COMMENTS = "Default of the state: DIFC of the undisturbed geometry"
LAYOUT_HINT = (
    "This is the first state of the tree, which decides the layout of all: versions lie in STATE/diffraction, as "
    "SNAPRed's documentation says. Today's SNAPRed reads only STATE/lite/diffraction and STATE/native/diffraction. "
    "For a tree that it is to read, initialise the first state with --mode-level, or set index_layout."
)
_STAGING = re.compile(r"\.staging\.(?P<state>[0-9a-fA-F]{8,64})\.(?P<owner>.+)", re.ASCII)


def init_state(
    settings: Settings, state: InstrumentState, *, name: str, run_number: str, author: str, progress: Progress
) -> Path:
    """Make the folder of a state with its grouping map and its default calibrations (version 0, from the geometry).

    Args:
        settings: Where the tree is.
        state: The state.
        name: What people call it.
        run_number: The run that it was first seen in.
        author: Who initialises it.
        progress: Cancelling leaves nothing behind.

    Returns:
        The folder of the state.

    Raises:
        InputError: The state is initialised already; name or author are empty.
        NotFoundError: There is no default grouping map.
        FileFormatError: The default grouping map is no JSON object.
        StoreError: The folder could not be written.
        Cancelled: The user cancelled.
    """
    target = settings.powder_home / state.state_id
    known = instrument_of(settings).modes
    modes = known if has_mode_level(settings, state.state_id) else known[:1]
    defaults = {mode: _Default(state, mode, clean_text(name, "name"), run_number, author) for mode in modes}
    grouping_map = _grouping_map(settings, state.state_id)
    if why_not := fs.writable(settings.powder_home):
        raise PermissionDeniedError(
            f"The folder of state {state.state_id} must be writable.",
            found=why_not,
            fix="Ask the owner of the calibration tree, or set 'calibration_home' to a tree of your own.",
        )
    if mode_level_of_tree(settings) is None:
        progress.inform(LAYOUT_HINT)

    def make() -> None:
        with fs.reported(f"State {state.state_id} could not be initialised; run it again, nothing is half done."):
            fs.make_directories(settings.powder_home)
            build = _complete if target.exists() else _build
            build(settings, state.state_id, target, grouping_map, defaults, progress)

    on_disk(settings, make)
    return target


def _grouping_map(settings: Settings, state_id: str) -> bytes:
    path = settings.pixel_groupings / DEFAULT_MAP
    found = read_json(path, "the default grouping map")
    if not isinstance(found, dict):
        raise FileFormatError(
            "The default grouping map must be a JSON object.",
            found=str(path),
            fix="Write one with '<mode>FocusGroups' for each pixel mode, a list of name and definition.",
        )
    return json_bytes({**found, "stateId": state_id})


def _build(
    settings: Settings,
    state_id: str,
    target: Path,
    grouping_map: bytes,
    defaults: Mapping[PixelMode, _Default],
    progress: Progress,
) -> None:
    """Build the whole state in a staging folder and rename it into place."""
    remove_dead(dead_states(settings.powder_home), progress)
    staging = settings.powder_home / f".staging.{state_id}.{Owner.current()}"
    homes = {mode: staging / home_of(settings, state_id, mode).relative_to(target) for mode in defaults}
    fs.make_directory(staging)
    try:
        fs.create(staging / GROUPING_MAP, grouping_map)
        for number, (mode, home) in enumerate(homes.items()):
            fs.make_directories(home)
            part = progress.part(number / len(homes), (number + 1) / len(homes))
            publish(home, settings, defaults[mode], part, version=0)
        fs.sync_directory(staging)
        progress.check()
        fs.publish(staging, target)
        with fs.reported(f"State {state_id} was initialised, but a power cut may undo it."):
            fs.sync_directory(settings.powder_home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _complete(
    settings: Settings,
    state_id: str,
    target: Path,
    grouping_map: bytes,
    defaults: Mapping[PixelMode, _Default],
    progress: Progress,
) -> None:
    """Add what is missing of a state that is there."""
    homes = {mode: home_of(settings, state_id, mode) for mode in defaults}
    missing = [mode for mode, home in homes.items() if 0 not in {e.version for e in read_snapshot(home).entries}]
    has_map = (target / GROUPING_MAP).exists()
    if not missing and has_map:
        raise InputError(
            f"State {state_id} is initialised already.",
            found=str(target),
            fix="Calibrate the run; a state is initialised once.",
        )
    for mode in missing:
        publish(homes[mode], settings, defaults[mode], progress, version=0)
    if not has_map:
        fs.replace_file(target / GROUPING_MAP, grouping_map, "the grouping map")


def dead_states(powder_home: Path) -> list[Path]:
    """Staging folders of states whose process has died on this host."""
    found = []
    with suppress(OSError), os.scandir(powder_home) as items:
        for item in items:
            named = _STAGING.fullmatch(item.name)
            owner = Owner.parse(named["owner"]) if named else None
            if owner and owner.state == "dead":
                found.append(Path(item.path))
    return sorted(found)


class _Default:
    """The default calibration of a state in one mode; see `publish.Draft`."""

    def __init__(self, state: InstrumentState, mode: PixelMode, name: str, run_number: str, author: str) -> None:
        self._state = state
        self._mode = mode
        self._name = name
        self._run = run_number.split("+")[0]
        self._author = clean_text(author, "author")

    def write_files(self, folder: Path, version: int, progress: Progress) -> dict[str, str]:
        progress.report(0.0, f"Writing the {self._mode.name} default")
        table = DiffCalTable.from_geometry(self._state.geometry(self._mode))
        instrument = self._mode.definition
        data = diffcal_image(table, instrument=instrument, source=instrument)
        fs.create(folder / f"{DEFAULT_TABLE}.h5", data)
        return {f"{DEFAULT_TABLE}.h5": content_hash(data)}

    def entry(self, version: int, timestamp: str) -> IndexEntry:
        return IndexEntry(
            version=version,
            run_number=self._run,
            use_lite_mode=self._mode.merged,
            applies_to=">=0",
            comments=COMMENTS,
            author=self._author,
            timestamp=timestamp,
        )

    def documents(self, entry: IndexEntry, hashes: Mapping[str, str]) -> tuple[dict[str, object], dict[str, object]]:
        parameters = parameters_json(
            entry,
            self._state.model_dump(mode="json", by_alias=True),
            seed_run=self._run,
            creation_date=entry.timestamp,
            name=self._name,
            calibrant_path=None,
        )
        return parameters, default_record_json(entry, parameters, DEFAULT_TABLE, hashes)
