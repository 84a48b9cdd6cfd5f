"""Retiring a version and bringing it back: one line in `retirements.jsonl`, which is the truth, then the index."""

from __future__ import annotations

import time
from pathlib import Path

from snapcal_workbench.errors import InputError, StoreError
from snapcal_workbench.formats.index import IndexEntry, format_timestamp
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.locks import hold_index
from snapcal_workbench.store.disk.owner import user_name
from snapcal_workbench.store.index_file import Snapshot, is_unsaid, original_condition, read_snapshot, write_index
from snapcal_workbench.store.journal import append_audit, append_line
from snapcal_workbench.store.layout import RETIREMENTS
from snapcal_workbench.store.publish import file_stamp


def change_retirement(
    home: Path,
    settings: Settings,
    action: str,
    version: int,
    *,
    reason: str,
    author: str,
    progress: Progress,
    applies_to: str | None = None,
) -> IndexEntry:
    """Retire ("retire") a version or bring it back ("unretire"); returns its entry as the index then has it.

    A crash after the line leaves an index that is behind; every reader lays the retirements over it, and the next
    writer writes it so. `applies_to` is the condition of a version that is brought back, if not that of before.
    """
    if version == 0:
        raise InputError(
            "The default of a state (version 0) cannot be retired: SNAPRed fails without it.",
            fix="Save a version that applies to these runs; it is then used instead.",
        )
    failed = f"Version {version} in {home} could not be changed; it is as it was."
    with fs.reported(failed), hold_index(home, settings, progress):
        snapshot = read_snapshot(home)
        line = {"action": action, "version": version, "reason": reason, "author": author}
        line["appliesTo"] = _condition(snapshot, action, version, applies_to)
        line["time"] = stamp = format_timestamp(time.time_ns())
        try:
            append_line(home / RETIREMENTS, {**line, "user": user_name()})
            snapshot = read_snapshot(home)
            write_index(snapshot, file_stamp(stamp))
            append_audit(home, action, version, author=author, reason=reason, finished=stamp)
        except (OSError, StoreError) as error:
            if (version in read_snapshot(home).retired) != (action == "retire"):
                raise
            raise _half_told(home, action, version, error) from error
    return next(entry for entry in snapshot.entries if entry.version == version)


def _condition(snapshot: Snapshot, action: str, version: int, applies_to: str | None) -> str | None:
    """The condition that a version has, or, if it is to be brought back, that it is to have again."""
    if action == "retire" and is_unsaid(snapshot, version):
        return original_condition(snapshot.home / snapshot.listing.versions[version], version, None)
    if (version in snapshot.retired) == (action == "retire"):
        raise InputError(
            f"Version {version} is {'retired already' if action == 'retire' else 'not retired'}.",
            fix="Nothing is to be done; the saved versions (in a shell `snapcal versions`) say which are retired.",
        )
    if action == "retire":
        return next(entry.applies_to for entry in snapshot.entries if entry.version == version)
    folder = snapshot.home / snapshot.listing.versions[version]
    known = applies_to or original_condition(folder, version, snapshot.retired[version])
    if known is None:
        raise InputError(
            f"Nothing tells which runs version {version} applied to before another program retired it.",
            fix="Say it in a shell: `snapcal unretire VERSION --reason … --applies-to '>=58882'`, with your runs.",
        )
    return known


def _half_told(home: Path, action: str, version: int, error: OSError | StoreError) -> StoreError:
    """The error that a change counts already, but that the index or the audit log do not say so."""
    done = "retired" if action == "retire" else "back"
    return StoreError(
        f"Version {version} is {done}, but the index or the audit log in {home} could not be written.",
        found=error.found if isinstance(error, StoreError) else str(error),
        fix="Do not repeat it: free space or get write permission, then run `snapcal repair --apply`.",
    )
