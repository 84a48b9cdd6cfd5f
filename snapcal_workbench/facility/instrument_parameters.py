"""Versions of the instrument parameters: listed, shown, and edited into a new version.

A version is never changed. An edit takes the version that applies to the runs it is for, changes some fields, and adds
the result as the next version: folder first, then index, each whole or not at all, under the lock of the folder's
index. Fields that are not known are kept.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError, PermissionDeniedError
from snapcal_workbench.formats.disk.json_file import read_json
from snapcal_workbench.formats.index import AppliesTo, IndexEntry, choose_version, format_timestamp, parse_index
from snapcal_workbench.instrument.parameters import INDEX_NAME, InstrumentParameters
from snapcal_workbench.instrument.state_id import effective_schema
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.locks import hold_index
from snapcal_workbench.store.disk.owner import Owner
from snapcal_workbench.store.disk.patient import on_disk
from snapcal_workbench.store.disk.strict_json import json_bytes
from snapcal_workbench.store.layout import list_home, staging_folder, version_folder
from snapcal_workbench.store.publish import STEP
from snapcal_workbench.store.text import LONGEST_COMMENTS, clean_text

DUMMY_RUN = "000000"
"""Run number of every entry: the parameters are of no run."""
OWN = ("version", "indexEntry")
"""Fields that the version itself decides."""


@dataclass(frozen=True)
class ParameterEdit:
    """What an edit does, or did.

    Attributes:
        based_on: The version that was changed.
        applies_to: Runs of the new version.
        changes: (old, new) value of each changed field by its dotted name.
        version: The new version; None where nothing was saved.
        path: Its file; "" where nothing was saved.
    """

    based_on: int
    applies_to: str
    changes: Mapping[str, tuple[object, object]]
    version: int | None = None
    path: str = ""


def list_parameters(settings: Settings) -> list[IndexEntry]:
    """Index entries of all versions, in the order of the index.

    Raises:
        NotFoundError: There are no instrument parameters.
        FileFormatError: The index cannot be understood.
    """
    return on_disk(settings, lambda: _entries(settings.instrument_parameters))


def read_parameters(settings: Settings, version: int) -> dict[str, object]:
    """The fields of a version as its file has them; errors as for `list_parameters`."""
    folder = settings.instrument_parameters
    known = [entry.version for entry in list_parameters(settings)]
    if version not in known:
        raise NotFoundError(
            f"There is no version {version} of the instrument parameters.",
            found=f"versions {', '.join(map(str, known)) or 'none'} in {folder}",
            fix="Choose one of these.",
        )
    value = read_json(_file(folder, version), "instrument parameters")
    if not isinstance(value, dict):
        raise FileFormatError(
            f"{_file(folder, version)} must be a JSON object.", found=type(value).__name__, fix="Correct the file."
        )
    return value


def edit_parameters(
    settings: Settings,
    changes: Mapping[str, str],
    *,
    applies_to: str,
    author: str,
    comments: str,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ParameterEdit:
    """Add a version of the instrument parameters with some fields changed.

    Args:
        settings: Where they are.
        changes: New values by dotted name, as {"cycle.firstRun": "60000"}; JSON, or else a text.
        applies_to: Condition on the run number, as ">=60000". The version that applies to its first run is changed.
        author: Who changes them.
        comments: Why.
        dry_run: Say what would be done, and change nothing.
        progress: Cancelling leaves everything as it was.

    Raises:
        PermissionDeniedError: Nothing can be written there; told before anything else is done.
        InputError: A field or value does not fit, or nothing would change; author, comments or condition do not fit.
        NotFoundError: No version applies to the first of these runs.
        FileFormatError: The index or that version cannot be understood.
        StoreError: It could not be written.
    """
    folder = settings.instrument_parameters
    why_not = on_disk(settings, lambda: fs.writable(folder))
    if why_not:
        raise PermissionDeniedError(
            "The instrument parameters must be writable to add a version.",
            found=why_not,
            fix="Ask whoever keeps them, or set 'instrument_parameters' to a folder of your own.",
        )
    condition = AppliesTo.from_text(applies_to)
    said = {"author": clean_text(author, "author"), "comments": clean_text(comments, "comments", LONGEST_COMMENTS)}
    entries = list_parameters(settings)
    base = _base(entries, condition, folder)
    before = read_parameters(settings, base)
    after = _changed(before, changes)
    _check(after)
    edit = ParameterEdit(base, str(condition), _differences(before, after))
    if not edit.changes:
        raise InputError("An edit must change something.", found="the values that there are", fix="Give other values.")
    if dry_run:
        return edit
    entry = {"runNumber": DUMMY_RUN, "useLiteMode": False, "appliesTo": str(condition), **said}
    version = on_disk(settings, lambda: _save(settings, after, entry, progress or Progress()))
    return ParameterEdit(base, str(condition), edit.changes, version, str(_file(folder, version)))


def _entries(folder: Path) -> list[IndexEntry]:
    parsed = parse_index(read_json(folder / INDEX_NAME, "an index of instrument parameters"))
    if parsed.rejected:
        raise FileFormatError(
            f"{folder / INDEX_NAME} has items that are no entries.",
            found=f"{parsed.rejected[0]!r:.120}",
            fix="Correct the file: nothing is added to an index that would lose something by it.",
        )
    return list(parsed.entries)


def _file(folder: Path, version: int) -> Path:
    return folder / version_folder(version) / f"{folder.name}.json"


def _base(entries: list[IndexEntry], condition: AppliesTo, folder: Path) -> int:
    first = int(max(condition.interval[0], 1))
    chosen = choose_version(entries, first, None)
    if chosen is None:
        raise NotFoundError(
            f"No version of the instrument parameters applies to run {first}, which could be changed.",
            found=f"{len(entries)} versions in {folder / INDEX_NAME}",
            fix="Choose other runs with --applies-to.",
        )
    return chosen.version


def _changed(before: Mapping[str, object], changes: Mapping[str, str]) -> dict[str, object]:
    after = deepcopy(dict(before))
    for name, text in changes.items():
        *parents, last = name.split(".")
        target: object = after
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict) or last not in target or name in OWN:
            raise InputError(
                "A change names a field of the instrument parameters.",
                found=repr(name)[:80],
                fix=f"Use one of {', '.join(sorted(_names(before)))}.",
            )
        target[last] = _value(text)
    return after


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _names(value: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Every field that has a value of its own, by dotted name."""
    found: dict[str, object] = {}
    for name, item in value.items():
        if before + name in OWN:
            continue
        found |= _names(item, f"{before}{name}.") if isinstance(item, dict) else {before + name: item}
    return found


def _check(values: Mapping[str, object]) -> None:
    try:
        found = InstrumentParameters.model_validate(values)
    except ValidationError as error:
        raise InputError(
            "A value does not fit the instrument parameters.",
            found="; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r:.60}: {e['msg']}" for e in error.errors()),
            fix="Give another value.",
        ) from None
    effective_schema(found.state_id_schema, None)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    old, new = _names(before), _names(after)
    return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}


def _save(settings: Settings, values: Mapping[str, object], entry: Mapping[str, object], progress: Progress) -> int:
    folder = settings.instrument_parameters
    with hold_index(folder, settings, progress):
        entries = _entries(folder)
        version = 1 + max([-1, *list_home(folder).versions, *(known.version for known in entries)])
        stamp = format_timestamp(max(time.time_ns(), max((known.time for known in entries), default=0) + STEP))
        added = IndexEntry.model_validate({"version": version, **entry, "timestamp": stamp})
        _publish(folder, version, {**values, "version": version, "indexEntry": added.to_json()})
        listed = [known.to_json() for known in (*entries, added)]
        fs.replace_file(folder / INDEX_NAME, json_bytes(listed), "an index of instrument parameters", keep_mode=True)
    return version


def _publish(folder: Path, version: int, values: Mapping[str, object]) -> None:
    staging = folder / staging_folder(version, Owner.current())
    fs.make_directory(staging)
    try:
        fs.create(staging / f"{folder.name}.json", json_bytes(values))
        fs.sync_directory(staging)
        fs.publish(staging, folder / version_folder(version))
        fs.sync_directory(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
