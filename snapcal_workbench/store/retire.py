"""Retiring a version and bringing it back: one line in `retirements.jsonl`, which is the truth, then the index."""

from __future__ import annotations

import time
from pathlib import Path

from snapcal_workbench.errors import InputError, StoreError
from snapcal_workbench.formats.index import IndexEntry, format_timestamp
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store import fs
from snapcal_workbench.store.index_file import read_snapshot, write_index
from snapcal_workbench.store.journal import append_line
from snapcal_workbench.store.layout import RETIREMENTS
from snapcal_workbench.store.locks import hold_index
from snapcal_workbench.store.owner import user_name
from snapcal_workbench.store.publish import append_audit, file_stamp


def change_retirement(
    home: Path, settings: Settings, action: str, version: int, *, reason: str, author: str, progress: Progress
) -> IndexEntry:
    """Retire ("retire") a version or bring it back ("unretire"); returns its entry as the index then has it.

    A crash after the line leaves an index that is behind; every reader lays the retirements over it, and the next
    writer writes it so.
    """
    if version == 0:
        raise InputError(
            "The default of a state (version 0) cannot be retired: SNAPRed fails without it.",
            fix="Save a version that applies to these runs; it is then used instead.",
        )
    with (
        fs.reported(f"Version {version} in {home} could not be changed; it is as it was."),
        hold_index(home, settings, progress),
    ):
        if (version in read_snapshot(home).retired) == (action == "retire"):
            raise InputError(
                f"Version {version} is {'retired already' if action == 'retire' else 'not retired'}.",
                fix="Nothing is to be done; `snapcal versions` lists the retired versions.",
            )
        stamp = format_timestamp(time.time_ns())
        line = {"action": action, "version": version, "reason": reason, "author": author, "time": stamp}
        try:
            append_line(home / RETIREMENTS, {**line, "user": user_name()})
            append_audit(home, action, version, author=author, reason=reason)
            snapshot = read_snapshot(home)
            write_index(snapshot, file_stamp(stamp))
        except (OSError, StoreError) as error:
            if (version in read_snapshot(home).retired) != (action == "retire"):
                raise
            raise _half_told(home, action, version, error) from error
    return next(entry for entry in snapshot.entries if entry.version == version)


def _half_told(home: Path, action: str, version: int, error: OSError | StoreError) -> StoreError:
    """The error that a change counts already, but that the index or the audit log do not say so."""
    done = "retired" if action == "retire" else "back"
    return StoreError(
        f"Version {version} is {done}, but the index or the audit log in {home} could not be written.",
        found=error.found if isinstance(error, StoreError) else str(error),
        fix="Do not repeat it: free space or get write permission, then run `snapcal repair --apply`.",
    )
