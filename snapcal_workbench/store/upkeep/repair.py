"""Putting a home right: what would be done, and doing it after a backup. Published versions are never touched.

What can be put right is the index, which can always be made anew from the folders and the retirements, and what dead
processes left behind. Damaged versions, and what other hosts may still be using, are for people to decide on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from snapcal_workbench.errors import StoreError
from snapcal_workbench.formats.index import IndexEntry, format_timestamp
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.locks import HOLDER, hold_index, holder_of
from snapcal_workbench.store.disk.owner import Owner
from snapcal_workbench.store.disk.patient import on_disk
from snapcal_workbench.store.disk.strict_json import content_hash
from snapcal_workbench.store.index_file import Snapshot, index_bytes, keep_hashes, read_snapshot, replace_index
from snapcal_workbench.store.journal import ADOPT, Audited, append_audit, audited
from snapcal_workbench.store.layout import AUDIT, BACKUPS, INDEX, PARAMETERS, RECORD, TEMPORARY_INDEX
from snapcal_workbench.store.publish import file_stamp
from snapcal_workbench.store.state_init import dead_states
from snapcal_workbench.store.upkeep.index_mending import mended_index
from snapcal_workbench.store.upkeep.verify import homes_in
from snapcal_workbench.store.version.rewritten import Documents, read_documents
from snapcal_workbench.store.version.stored import known_of


@dataclass(frozen=True)
class Action:
    """Something that a repair does: where, what, whether it was done or would be, and why it could not be done."""

    path: Path
    what: str
    done: bool = False
    why_not: str = ""


@dataclass(frozen=True)
class _Step:
    path: Path
    what: str
    do: Callable[[Path], None]


def repair(
    settings: Settings,
    state_id: str | None = None,
    *,
    apply: bool = False,
    adopt: bool = False,
    progress: Progress | None = None,
) -> list[Action]:
    """Put the tree, or one state of it, right.

    Args:
        settings: Where the tree is.
        state_id: One state; None for all.
        apply: Do it; otherwise only say what would be done, and write nothing.
        adopt: Let records that other programs have rewritten count as they are from now on; no file is changed.
        progress: Asked for cancellation while waiting for locks.

    Returns:
        What was or would be done; empty if nothing is to be done.

    Raises:
        InputError: The state id is none.
        NotFoundError: There is no such tree, or no such state in it.
        StoreError: Something could not be written, or is being changed by others for too long.
        Cancelled: The user cancelled.
    """
    return on_disk(settings, lambda: _repaired(settings, state_id, apply, adopt, progress or Progress()))


def _repaired(settings: Settings, state_id: str | None, apply: bool, adopt: bool, progress: Progress) -> list[Action]:
    steps = [_dead_state(path) for path in dead_states(settings.powder_home)]
    actions = [_done(step, settings.powder_home) if apply else Action(step.path, step.what) for step in steps]
    for home in homes_in(settings, state_id):
        steps = _plan(home, adopt)
        applied = _apply(home, settings, progress, adopt) if apply and steps else {}
        # what the lock's taking or another program has done meanwhile is done, too
        actions.extend(applied.get(step.path, Action(step.path, step.what, apply)) for step in steps)
    return actions


def _dead_state(path: Path) -> _Step:
    what = "Remove a state that was being initialised when its process died."
    return _Step(path, what, lambda _: fs.remove_tree(path))


def _apply(home: Path, settings: Settings, progress: Progress, adopt: bool) -> dict[Path, Action]:
    with fs.reported(f"{home} could not be repaired; it is as it was."), hold_index(home, settings, progress):
        steps = _plan(home, adopt)
        backup = home / BACKUPS / file_stamp(format_timestamp(time.time_ns()))
        fs.make_directories(backup)
        return {step.path: _recorded(_done(step, backup), home, backup) for step in steps}


def _done(step: _Step, backup: Path) -> Action:
    """Do a step. What cannot be done, such as moving a folder of another user, is told and hinders no other."""
    try:
        step.do(backup)
    except (OSError, StoreError) as error:
        why_not = error.found if isinstance(error, StoreError) else str(error)
        return Action(step.path, step.what, False, why_not)
    return Action(step.path, step.what, True)


def _recorded(action: Action, home: Path, backup: Path) -> Action:
    """The action, entered into the audit log if it was done."""
    if not action.done:
        return action
    try:
        append_audit(home, "repair", -1, what=action.what, backup=str(backup.relative_to(home)))
    except OSError as error:
        return replace(action, why_not=f"it was done, but {home / AUDIT} could not be written ({error})")
    return action


def _plan(home: Path, adopt: bool) -> list[_Step]:
    snapshot = read_snapshot(home)
    steps = [*_dead_stagings(snapshot), *_dead_lock(home), *_left_index(home), *_index(snapshot)]
    return [*steps, *_adoptions(snapshot)] if adopt else steps


def _adoptions(snapshot: Snapshot) -> list[_Step]:
    known, steps = audited(snapshot.home), []
    for entry in snapshot.entries:
        folder = snapshot.home / snapshot.listing.versions[entry.version]
        with suppress(OSError, ValueError):
            documents = read_documents(folder, known_of(known, entry))
            if documents.hashes:
                steps.append(_adoption(folder, entry, documents, known_of(known, entry)))
    return steps


def _adoption(folder: Path, entry: IndexEntry, documents: Documents, known: Audited) -> _Step:
    hashes = dict(documents.hashes)
    record = hashes.get(RECORD) or known.record or content_hash(fs.read(folder / RECORD))
    parameters = {"parameters": hashes[PARAMETERS]} if PARAMETERS in hashes else {}

    def adopt(backup: Path) -> None:
        append_audit(folder.parent, ADOPT, entry.version, record=record, **parameters)

    return _Step(folder / RECORD, f"Adopt version {entry.version} as it is: {'; '.join(documents.rewritten)}.", adopt)


def _dead_stagings(snapshot: Snapshot) -> list[_Step]:
    return [
        _Step(
            staging.path,
            f"Move version {staging.version}, whose building was broken off, to the backup.",
            lambda backup, path=staging.path: fs.publish(path, backup / path.name),  # type: ignore[misc]
        )
        for staging in snapshot.listing.staging
        if staging.is_dead
    ]


def _dead_lock(home: Path) -> list[_Step]:
    holder = holder_of(home / HOLDER)
    if not (holder and holder.state == "dead"):
        return []
    return [_Step(home / HOLDER, f"Remove the lock of process {holder.pid}, which has ended.", lambda backup: None)]


def _left_index(home: Path) -> list[_Step]:
    path, holder = home / TEMPORARY_INDEX, holder_of(home / HOLDER)
    in_use = holder is not None and holder != Owner.current() and holder.state != "dead"
    if in_use or not path.exists():
        return []
    return [_Step(path, "Remove an index that was never put into place.", lambda backup: fs.remove(path))]


def _index(snapshot: Snapshot) -> list[_Step]:
    mended = mended_index(snapshot)
    if mended is None:
        return []
    path, data = snapshot.home / INDEX, index_bytes(mended.entries)

    def rewrite(backup: Path) -> None:
        if path.exists():
            fs.create(backup / INDEX, fs.read(path))
            fs.sync_directory(backup)
        keep_hashes(snapshot.home, snapshot.entries)
        replace_index(snapshot.home, data)

    return [_Step(path, mended.what, rewrite)]
