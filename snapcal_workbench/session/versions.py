"""The saved versions of a run's state, as people want to see them: what each is used for, who wrote it, how it is.

*Standing* says whether a version is the one that the run would use. *Health* says what is wrong with its files: what
can be told without reading all of them, or, after a check, all that differs from what was saved.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store import fs
from snapcal_workbench.store.journal import written_by
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.listing import versions_of_state
from snapcal_workbench.store.record import parse_record
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_store import StateStore

GOOD = "good"
RECORDS_READ = 200
"""Records that are read for a list: those of the newest versions, as each takes most of a millisecond. Of older ones
the audit log tells the software, and a check the health."""


def described_versions(settings: Settings, state_id: str, mode: PixelMode, *, run: int) -> dict[str, Any]:
    """As `store.listing.versions_of_state`, with `reference`, `software`, `standing` and `health` of each version."""
    found = versions_of_state(settings, state_id, mode, run=run)
    store = StateStore(settings, state_id, mode)
    folders = store.folders()
    entries = {entry.version: entry for entry in store.entries()}
    saved_by = written_by(store.home)
    newest = set(sorted(folders)[-RECORDS_READ:])
    for item in found["versions"]:
        version = item["version"]
        software, health = _record_of(folders.get(version)) if version in newest else (saved_by.get(version, ""), "")
        item["reference"] = f"{item['mode']}/{state_id}/{version}"
        item["software"], item["health"] = software, health
        item["standing"] = _standing(item, entries.get(version), found["applies"], run, mode)
    return found


def _standing(item: dict[str, Any], entry: IndexEntry | None, chosen: int | None, run: int, mode: PixelMode) -> str:
    if item["retired"] is not None:
        return "retired"
    if item["version"] == chosen and item["useLiteMode"] == mode.merged:
        return "used for this run"
    if item["useLiteMode"] != mode.merged:
        return "other mode"
    if entry is not None and entry.accepts(run):
        return f"hidden by version {chosen}"
    return "not for this run"


def _record_of(folder: Path | None) -> tuple[str, str]:
    """The software that wrote a version, and what is wrong with its record."""
    if folder is None:
        return "", "its folder is missing"
    try:
        status = (folder / RECORD).stat()
    except OSError as error:
        return "", f"{RECORD} cannot be read ({error.strerror})"
    return _parsed_record(folder, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _parsed_record(folder: Path, changed: int, size: int) -> tuple[str, str]:
    try:
        record = parse_record(fs.read(folder / RECORD))
    except OSError as error:
        return "", f"{RECORD} cannot be read ({error.strerror})"
    except ValueError:
        return "", f"{RECORD} is damaged"
    if record.own is not None and record.own.is_newer:
        return f"SNAPCal Workbench {record.own.written_by}", "it was saved by a newer release"
    if record.own is not None:
        return f"SNAPCal Workbench {record.own.written_by}", ""
    return f"SNAPRed {record.snapred_version or ''}".strip(), ""


def checked_health(settings: Settings, references: list[str], progress: Progress) -> dict[str, str]:
    """What is wrong with the files of each version, by reference; "good" where nothing is."""
    health = {}
    for number, reference in enumerate(references):
        progress.report(number / len(references), f"Checking version {reference}")
        try:
            health[reference] = "; ".join(open_version(settings, reference).notes) or GOOD
        except SnapcalError as error:
            health[reference] = error.found or error.what
        except (OSError, ValueError, KeyError, RuntimeError) as error:  # what the HDF5 library says of damaged files
            health[reference] = f"it cannot be read ({error})"
    return health
