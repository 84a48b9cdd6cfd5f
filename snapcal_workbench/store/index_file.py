"""The index of a home, read together with the folders and the retirements, and replaced as a whole.

A *snapshot* is what a home holds at one look: entries of the index whose folder exists, entries adopted from folders
that the index does not name, with the retirements laid over them. It is made without a lock and never raises for what
it finds; every oddity is one sentence in its problems.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from snapcal_workbench.formats.index import (
    NO_RUN,
    RECORD_HASH,
    IndexEntry,
    ParsedIndex,
    interval_of,
    parse_index,
)
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import json_line, parse_json
from snapcal_workbench.store.journal import append_audit, audited, read_audit, read_lines
from snapcal_workbench.store.layout import INDEX, RETIREMENTS, TEMPORARY_INDEX, Listing, list_home
from snapcal_workbench.store.version.record import entry_in_folder, saved_entry


@dataclass(frozen=True)
class Snapshot:
    """What a home holds.

    Attributes:
        home: The folder.
        entries: Entries of the versions that exist, in the order of the index.
        missing: Entries of the index without a folder: being written by SNAPRed, or lost.
        adopted: Versions that the index does not name; their entries are among `entries`.
        rejected: Items of the index that are no entries.
        listing: The folders.
        retired: For each retired version the line of its retirement.
        index_problems: What is wrong with the index file.
        problems: All that is wrong, those of the index included.
        damaged: Bytes of an index file that is not JSON.
        mirrored: Bytes of an index file that says of every version what `entries` say; None if it does not.
    """

    home: Path
    entries: list[IndexEntry]
    missing: list[IndexEntry]
    adopted: list[int]
    rejected: list[object]
    listing: Listing
    retired: dict[int, dict[str, object]]
    index_problems: list[str]
    problems: list[str]
    damaged: bytes | None = None
    mirrored: bytes | None = None

    @property
    def taken(self) -> set[int]:
        """Numbers that a new version must not have; a dead process claims none."""
        return {
            *self.listing.versions,
            *(staging.version for staging in self.listing.staging if not staging.is_dead),
            *(entry.version for entry in self.entries),
            *(entry.version for entry in self.missing),
        }

    @property
    def newest(self) -> int:
        """Time of the newest entry, ns; 0 if there is none."""
        return max([0, *(entry.time for entry in self.entries), *(entry.time for entry in self.missing)])


@dataclass
class _Parts:
    parsed: ParsedIndex
    problems: list[str] = field(default_factory=list)
    damaged: bytes | None = None
    data: bytes | None = None
    has_hashes: bool = False


def read_snapshot(home: Path) -> Snapshot:
    """Look at a home: one directory listing, the index and the retirements; records only of folders not in the index.

    The folders are listed before the index is read. So a version published in between is in the index alone, and asking
    for its folder settles it; the other way round it would look like a folder without an entry.
    """
    listing = list_home(home)
    index = _read_index(home, bool(listing.versions))
    retired, journal_problems = read_retirements(home)
    entries, missing = _split(index.parsed.entries, listing, home)
    adopted, adoption_problems = _adopt(home, listing, {e.version for e in index.parsed.entries})
    indexed = [*entries, *adopted]
    entries = [
        _with_retirement(entry, retired[entry.version], home, listing) if entry.version in retired else entry
        for entry in indexed
    ]
    is_mirrored = not (index.problems or adopted or index.has_hashes) and all(map(operator.is_, entries, indexed))
    problems = [
        *listing.problems,
        *index.problems,
        *(f"Version {entry.version} is in the index, but its folder is missing." for entry in missing),
        *adoption_problems,
        *journal_problems,
        *_retired_by_others(entries, retired),
    ]
    return Snapshot(
        home=home,
        entries=entries,
        missing=missing,
        adopted=[entry.version for entry in adopted],
        rejected=index.parsed.rejected if index.damaged is None else [],
        listing=listing,
        retired=_retired(entries, retired),
        index_problems=index.problems,
        problems=problems,
        damaged=index.damaged,
        mirrored=index.data if is_mirrored else None,
    )


def _read_index(home: Path, has_versions: bool) -> _Parts:
    path = home / INDEX
    try:
        data = fs.read(path)
    except FileNotFoundError:
        rebuilt = [f"{INDEX} is missing; it was rebuilt in memory from the version folders."] if has_versions else []
        return _Parts(ParsedIndex([]), rebuilt)
    except OSError as error:
        return _Parts(
            ParsedIndex([]), [f"{INDEX} cannot be read ({error}); it was rebuilt in memory from the version folders."]
        )
    return parse_bytes(data)


@lru_cache(maxsize=8)
def parse_bytes(data: bytes) -> _Parts:
    """Parse the bytes of an index; kept for the next look, as an index seldom changes between two."""
    try:
        value = parse_json(data)
    except ValueError as error:
        return _Parts(
            ParsedIndex([]),
            [f"{INDEX} is damaged ({error}); it was rebuilt in memory from the version folders."],
            data,
        )
    parsed = parse_index(value)
    damaged = None if isinstance(value, list) else data
    has_hashes = any(RECORD_HASH in (entry.model_extra or {}) for entry in parsed.entries)
    return _Parts(parsed, [f"{INDEX}: {problem}" for problem in parsed.problems], damaged, data, has_hashes)


def _split(entries: list[IndexEntry], listing: Listing, home: Path) -> tuple[list[IndexEntry], list[IndexEntry]]:
    """Entries with and without a folder; one that was published after the listing is found by a second look."""
    late = {entry.version for entry in entries} - set(listing.versions)
    if late:
        again = list_home(home).versions
        listing.versions.update({version: again[version] for version in late & set(again)})
    found = [entry for entry in entries if entry.version in listing.versions]
    return found, [entry for entry in entries if entry.version not in listing.versions]


def _adopt(home: Path, listing: Listing, known: set[int]) -> tuple[list[IndexEntry], list[str]]:
    adopted, problems = [], []
    for version in sorted(set(listing.versions) - known):
        name = listing.versions[version]
        entry, why_not = entry_in_folder(home / name, version)
        if entry is None:
            problems.append(f"{name} is not in the index and cannot be used: {why_not}.")
        else:
            adopted.append(entry)
            problems.append(f"Version {version} is not in the index; its entry was taken from its record.")
    return adopted, problems


def read_retirements(home: Path) -> tuple[dict[int, dict[str, object]], list[str]]:
    """The last retirement or return of each version, and what could not be read."""
    lines, problems = read_lines(home / RETIREMENTS)
    last: dict[int, dict[str, object]] = {}
    for line in lines:
        version = line.get("version")
        if isinstance(version, int) and not isinstance(version, bool) and line.get("action") in ("retire", "unretire"):
            last[version] = line
        else:
            problems.append(f"{RETIREMENTS} has a line that is no retirement: {json.dumps(line)[:80]}.")
    return last, problems


def _with_retirement(entry: IndexEntry, line: dict[str, object], home: Path, listing: Listing) -> IndexEntry:
    """The entry as its last retirement or return has it."""
    if line["action"] == "retire":
        return entry.retired()
    if not entry.is_retired or (entry.is_marked and _is_finished(home, line)):
        return entry  # not behind: it was brought back, and another program may have retired it again
    return entry.restored(original_condition(home / listing.versions[entry.version], entry.version, line))


def _is_finished(home: Path, line: dict[str, object]) -> bool:
    """Whether the index has followed a return: the audit log has its line since."""
    return any(known.get("finished") == line.get("time", "") for known in read_audit(home)[0])


def original_condition(folder: Path, version: int, line: Mapping[str, object] | None) -> str | None:
    """The condition that a version had before it was retired; None where nothing tells it.

    Args:
        folder: Of the version.
        version: Its number.
        line: Its retirement or return, which states it; others may have overwritten what its record says.
    """
    candidates = [(line or {}).get("appliesTo")]
    candidates += [entry.applies_to for entry in (saved_entry(folder), entry_in_folder(folder, version)[0]) if entry]
    usable = (text for text in candidates if isinstance(text, str) and interval_of(text) and text.strip() != NO_RUN)
    return next(usable, None)


def _retired(entries: list[IndexEntry], lines: dict[int, dict[str, object]]) -> dict[int, dict[str, object]]:
    """For each retired version the line that says so, or one that says who else does."""
    unsaid: dict[str, object] = {"action": "retire", "reason": "by another program", "author": "", "time": ""}
    return {
        entry.version: line if (line := lines.get(entry.version, {})).get("action") == "retire" else unsaid
        for entry in entries
        if entry.is_retired
    }


def is_unsaid(snapshot: Snapshot, version: int) -> bool:
    """Whether a version applies to no run and nothing says that this is meant: neither a line nor SNAPWrap's mark."""
    return any(
        entry.version == version and entry.is_retired and not entry.is_marked for entry in snapshot.entries
    ) and not snapshot.retired[version].get("time")


def _retired_by_others(entries: list[IndexEntry], lines: dict[int, dict[str, object]]) -> list[str]:
    problems = []
    for entry in entries:
        action = lines.get(entry.version, {}).get("action")
        if not entry.is_retired or action == "retire":
            continue
        if action == "unretire":
            problems.append(f"Version {entry.version} was brought back, but another program has retired it since.")
        elif not entry.is_marked:
            problems.append(
                f"Version {entry.version} applies to no run ({NO_RUN}), but {RETIREMENTS} does not say why: "
                "`snapcal retire` with a reason says it, `snapcal unretire` brings it back."
            )
    return problems


def index_bytes(entries: Iterable[IndexEntry], rejected: Iterable[object] = ()) -> bytes:
    """The text of an index: a JSON list, one item a line."""
    items = [json_line(item) for item in (*(entry.to_json() for entry in entries), *rejected)]
    return ("[\n    " + ",\n    ".join(items) + "\n]\n").encode() if items else b"[]\n"


def write_index(snapshot: Snapshot, stamp: str, new: IndexEntry | None = None) -> None:
    """Replace the index by what a snapshot and a new entry say: a whole index at every moment.

    Items that are no entries and entries without folders are kept: only a repair removes them. A damaged index file is
    kept beside it under a name with `stamp`.
    """
    home = snapshot.home
    if snapshot.damaged is not None:
        fs.create(home / f".{INDEX}.damaged-{stamp}", snapshot.damaged)
    entries = [*snapshot.entries, *([new] if new else []), *snapshot.missing]
    keep_hashes(home, snapshot.entries)
    replace_index(home, _appended(snapshot, new) or index_bytes(entries, snapshot.rejected))


def keep_hashes(home: Path, entries: Iterable[IndexEntry]) -> None:
    """Put the hashes that an index of an older release has, and the audit log has not, into the log."""
    hashes = {entry.version: (entry.model_extra or {}).get(RECORD_HASH) for entry in entries}
    if not any(hashes.values()):
        return
    known = audited(home)
    for version, value in hashes.items():
        if isinstance(value, str) and version not in known:
            append_audit(home, "hash", version, record=value)


def _appended(snapshot: Snapshot, new: IndexEntry | None) -> bytes | None:
    """The index with one more line, where it already says all else in the form that we write; else None."""
    data, end = snapshot.mirrored, b"}\n]\n"
    if new is None or data is None or not data.endswith(end):
        return None
    return data[: 1 - len(end)] + f",\n    {json_line(new.to_json())}\n]\n".encode()


def replace_index(home: Path, data: bytes) -> None:
    """Put an index in the place of the one that is there."""
    fs.replace_file(home / INDEX, data, "the index", temporary=home / TEMPORARY_INDEX)
