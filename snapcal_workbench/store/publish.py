"""How a version comes into being: claim a number, build in a staging folder, rename into place, replace the index.

The order of the calls, and why a crash after each of them leaves the old state or the new one, is in DESIGN.md. A
*draft* is a version without a number: it can be built again under another one.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapcal_workbench.errors import StoreError
from snapcal_workbench.formats.index import IndexEntry, format_timestamp, next_version
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.locks import hold_index
from snapcal_workbench.store.disk.owner import Owner, describe
from snapcal_workbench.store.disk.strict_json import content_hash, json_bytes
from snapcal_workbench.store.index_file import Snapshot, read_snapshot, write_index
from snapcal_workbench.store.journal import append_audit
from snapcal_workbench.store.layout import (
    PARAMETERS,
    RECORD,
    RECORD_COPY,
    Staging,
    staging_folder,
    version_folder,
)

ATTEMPTS = 5
STEP = 1_000_000
"""How much later than the newest entry a new one is at least, ns: more than SNAPRed's reading of a time can blur."""


class Draft(Protocol):
    """A version without a number."""

    def write_files(self, folder: Path, version: int, progress: Progress) -> dict[str, str]:
        """Write and flush the data files, named for the version; returns the hash of each by name."""

    def entry(self, version: int, timestamp: str) -> IndexEntry:
        """The index entry."""

    def documents(self, entry: IndexEntry, hashes: Mapping[str, str]) -> tuple[dict[str, object], dict[str, object]]:
        """The parameters, and the record without the hash of the parameters' file in `hashes`."""


@dataclass(frozen=True)
class SavedVersion:
    """A version that was published: its number, its folder and its index entry."""

    version: int
    path: Path
    entry: IndexEntry


class _NumberTakenError(Exception):
    """Another program published the number that was claimed."""


def publish(
    home: Path, settings: Settings, draft: Draft, progress: Progress, *, version: int | None = None
) -> SavedVersion:
    """Publish a draft as a new version of a home.

    Args:
        home: Folder of the index; made if absent.
        settings: For the locks.
        draft: What is published.
        progress: Cancelling leaves the home as it was.
        version: The number, where it is given (0, a state's default); else the next one.

    Raises:
        StoreError: The home could not be written, or is being changed by others for too long.
        Cancelled: The user cancelled before the version was published.
    """
    for _ in range(ATTEMPTS if version is None else 1):
        with suppress(_NumberTakenError), fs.reported(f"A version could not be saved in {home}; nothing was changed."):
            return _publish_once(home, settings, draft, progress, version)
    raise StoreError(
        f"A version could not be saved in {home}.",
        found=f"version {version} is there already" if version is not None else "other programs took every number",
        fix="Try again when nobody else is saving.",
    )


def _publish_once(
    home: Path, settings: Settings, draft: Draft, progress: Progress, version: int | None
) -> SavedVersion:
    """Publish under one number. Only before the version is in place does an `OSError` come out of this."""
    fs.make_directories(home)
    with hold_index(home, settings, progress):
        staging = _claim(home, version, progress)
    try:
        hashes = draft.write_files(staging.path, staging.version, progress.part(0.0, 0.9))
        with hold_index(home, settings, progress):
            return _commit(home, staging, draft, hashes)
    finally:
        shutil.rmtree(staging.path, ignore_errors=True)


def _claim(home: Path, version: int | None, progress: Progress) -> Staging:
    """Make the staging folder of the next version, which reserves its number. The index is locked."""
    snapshot = read_snapshot(home)
    remove_dead([staging.path for staging in snapshot.listing.staging if staging.is_dead], progress)
    claimed = next_version(snapshot.taken) if version is None else version
    if version is not None and version in snapshot.taken:
        raise _NumberTakenError
    staging = Staging(home / staging_folder(claimed, Owner.current()), claimed, Owner.current())
    fs.make_directory(staging.path)
    return staging


def remove_dead(folders: Iterable[Path], progress: Progress) -> None:
    """Remove the staging folders of dead processes; those of others that we may not remove are told and passed over."""
    for folder in folders:
        try:
            fs.remove_tree(folder)
        except OSError as error:
            progress.warn(
                f"{folder} is left of a process that has ended ({describe(folder)}). It could not be removed ({error}) "
                "and is passed over; its owner can remove it."
            )


def _commit(home: Path, staging: Staging, draft: Draft, hashes: Mapping[str, str]) -> SavedVersion:
    """Complete the staging folder and put it and its index entry into place. The index is locked."""
    snapshot = read_snapshot(home)
    target = home / version_folder(staging.version)
    if staging.version in snapshot.listing.versions or staging.version in {e.version for e in snapshot.entries}:
        raise _NumberTakenError
    stamp = format_timestamp(max(time.time_ns(), snapshot.newest + STEP))
    entry = draft.entry(staging.version, stamp)
    record_hash = _write_documents(staging.path, draft, entry, hashes)
    fs.sync_directory(staging.path)
    append_audit(home, "announce", entry.version, author=entry.author, record=record_hash)
    _rename(staging.path, target)
    _enter(snapshot, entry, stamp, record_hash)
    return SavedVersion(entry.version, target, entry)


def _rename(staging: Path, target: Path) -> None:
    """Rename the staging folder into place. On a network disk the answer can be lost of a rename that was done."""
    try:
        fs.publish(staging, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(staging) or not target.is_dir():
            raise


def _write_documents(folder: Path, draft: Draft, entry: IndexEntry, hashes: Mapping[str, str]) -> str:
    """Write parameters and record, the record after them, as it has the hashes of all others; returns its own."""
    parameters, _ = draft.documents(entry, hashes)
    parameter_bytes = json_bytes(parameters)
    _, record = draft.documents(entry, {**hashes, PARAMETERS: content_hash(parameter_bytes)})
    record_bytes = json_bytes(record)
    for name, data in ((PARAMETERS, parameter_bytes), (RECORD_COPY, record_bytes), (RECORD, record_bytes)):
        fs.create(folder / name, data)
    return content_hash(record_bytes)


def _enter(snapshot: Snapshot, entry: IndexEntry, stamp: str, record_hash: str) -> None:
    """Make a published version last and add it to the index and the audit log.

    Should that fail, the version is there all the same and is adopted by every reader.
    """
    home = snapshot.home
    try:
        fs.sync_directory(home)
        write_index(snapshot, file_stamp(stamp), entry)
        append_audit(home, "save", entry.version, author=entry.author, record=record_hash)
    except (OSError, StoreError) as error:
        raise StoreError(
            f"Version {entry.version} was saved, but the index or the audit log in {home} could not be written.",
            found=error.found if isinstance(error, StoreError) else str(error),
            fix="Do not save it again: free space or get write permission, then run `snapcal repair --apply`.",
        ) from error


def file_stamp(timestamp: str) -> str:
    """A timestamp as it can stand in a file name."""
    return timestamp.replace(":", "")
