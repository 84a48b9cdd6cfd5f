"""What an index should say where it does not say what the folders and the retirements do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.formats.index import RECORD_HASH, IndexEntry
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import parse_json
from snapcal_workbench.store.index_file import Snapshot
from snapcal_workbench.store.layout import INDEX
from snapcal_workbench.store.version.record import entry_in_folder


@dataclass(frozen=True)
class MendedIndex:
    """What an index should say.

    Attributes:
        entries: All of it.
        what: How that differs from what it says now, in a sentence.
        is_told: Whether the snapshot's problems say already what is wrong with it.
    """

    entries: list[IndexEntry]
    what: str
    is_told: bool


def mended_index(snapshot: Snapshot) -> MendedIndex | None:
    """What the index of a home should say; None where it says so."""
    entries = [_mended(entry, snapshot) for entry in snapshot.entries]
    current = _current(snapshot.home / INDEX)
    if current == [entry.to_json() for entry in entries] or (current is None and not entries):
        return None
    if current is None:
        return MendedIndex(entries, f"Make the index anew from {len(entries)} version folders.", True)
    parts = _changes(snapshot, current, entries)
    what = f"Rewrite the index: {', '.join(parts) or 'let it say of each version what is known of it'}."
    return MendedIndex(entries, what, bool(parts))


def _current(path: Path) -> object:
    try:
        return parse_json(fs.read(path))
    except (OSError, ValueError):
        return None


def _changes(snapshot: Snapshot, current: object, entries: list[IndexEntry]) -> list[str]:
    parts = [
        f"add versions {snapshot.adopted} that it lacks" if snapshot.adopted else "",
        f"drop versions {[e.version for e in snapshot.missing]} without a folder" if snapshot.missing else "",
        f"drop {len(snapshot.rejected)} items that are no entries" if snapshot.rejected else "",
        f"leave out {RECORD_HASH}, which SNAPWrap takes for damage" if _has_hashes(current) else "",
        "write every field as SNAPRed can read it" if snapshot.index_problems else "",
        *_conditions(snapshot.entries, entries),
    ]
    return [part for part in parts if part]


def _conditions(before: list[IndexEntry], after: list[IndexEntry]) -> list[str]:
    """Versions that apply to other runs than before, as the text of their condition could not be understood."""
    return [
        f"let version {new.version} apply to {new.applies_to} again, as its record says"
        for old, new in zip(before, after, strict=True)
        if old.applies_to != new.applies_to
    ]


def _has_hashes(current: object) -> bool:
    return isinstance(current, list) and any(isinstance(item, dict) and RECORD_HASH in item for item in current)


def _mended(entry: IndexEntry, snapshot: Snapshot) -> IndexEntry:
    """The entry, with what is odd or missing in the index from the record."""
    is_odd = any(f"Version {entry.version}:" in problem for problem in snapshot.index_problems)
    missing = [name for name in ("comments", "author") if getattr(entry, name) is None]
    if not (is_odd or missing):
        return entry
    folder = snapshot.home / snapshot.listing.versions[entry.version]
    recorded, _ = entry_in_folder(folder, entry.version)
    if recorded is None:
        return entry
    known = {name: getattr(recorded, name) for name in [*missing, *(["timestamp"] if is_odd else [])]}
    entry = IndexEntry.model_validate({**entry.model_dump(by_alias=True), **known})
    return entry if entry.interval or not is_odd else entry.with_applies_to(recorded.applies_to)
