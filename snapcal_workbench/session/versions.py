"""The saved versions of a run's state, as people want to see them: what each is used for, who wrote it, how it is.

*Standing* says whether a version is the one that the run would use. *Health* says what is wrong with its files: what
can be told without reading all of them, or, after a check, all that differs from what was saved.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np

from snapcal_workbench.errors import FileFormatError, SnapcalError
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.cycles import beyond_cycle
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.journal import written_by
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.listing import ListedVersion, versions_of_state
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.record import CalibrationRecord, parse_record
from snapcal_workbench.store.version.recorded import own_metrics

GOOD = "good"
RECORDS_READ = 200
"""Records that are read for a list: those of the newest versions, as each takes most of a millisecond. Of older ones
the audit log tells the software, and a check the health."""


class DescribedVersion(ListedVersion):
    """A listed version, and what its record tells; see `described_versions`."""

    reference: str
    software: str
    standing: str
    health: str
    quality: str


class Described(TypedDict):
    """The versions of a state, as `store.listing.Listed`, with more of each."""

    stateId: str
    versions: list[DescribedVersion]
    applies: int | None
    problems: list[str]


def described_versions(settings: Settings, state_id: str, mode: PixelMode, *, run: int) -> Described:
    """As `store.listing.versions_of_state`, with `reference`, `software`, `standing`, `health` and `quality` of
    each version."""
    found = versions_of_state(settings, state_id, mode, run=run)
    store = StateStore(settings, state_id, mode)
    folders = store.folders()
    entries = {entry.version: entry for entry in store.entries()}
    saved_by = written_by(store.home)
    newest = {found["applies"], *sorted(folders)[-RECORDS_READ:]}

    def described(item: ListedVersion) -> DescribedVersion:
        version = item["version"]
        told = _record_of(folders.get(version)) if version in newest else (saved_by.get(version, ""), "", "")
        software, health, quality = told
        return {
            **item,
            "reference": f"{item['mode']}/{state_id}/{version}",
            "software": software,
            "standing": _standing(item, entries.get(version), found["applies"], run, mode, settings),
            "health": health,
            "quality": quality,
        }

    return {**found, "versions": [described(item) for item in found["versions"]]}


def _standing(
    item: ListedVersion, entry: IndexEntry | None, chosen: int | None, run: int, mode: PixelMode, settings: Settings
) -> str:
    if item["retired"] is not None:
        return "retired"
    if item["version"] == chosen and item["useLiteMode"] == mode.merged:
        return "used for this run"
    if item["useLiteMode"] != mode.merged:
        return "other mode"
    if entry is None or not entry.accepts(run):
        return "not for this run"
    refused = settings.beyond_cycle == "refuse" and beyond_cycle(settings, entry.run_number, run)
    return "of another cycle" if refused and entry.version else f"hidden by version {chosen}"


def _record_of(folder: Path | None) -> tuple[str, str, str]:
    """The software that wrote a version, what is wrong with its record, and how good that says it is."""
    if folder is None:
        return "", "its folder is missing", ""
    try:
        status = (folder / RECORD).stat()
    except OSError as error:
        return "", f"{RECORD} cannot be read ({error.strerror})", ""
    return _parsed_record(folder, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _parsed_record(folder: Path, changed: int, size: int) -> tuple[str, str, str]:
    try:
        record = parse_record(fs.read(folder / RECORD))
    except OSError as error:
        return "", f"{RECORD} cannot be read ({error.strerror})", ""
    except ValueError:
        return "", f"{RECORD} is damaged", ""
    if record.own is not None and record.own.is_newer:
        return f"SNAPCal Workbench {record.own.written_by}", "it was saved by a newer release", ""
    if record.own is not None:
        return f"SNAPCal Workbench {record.own.written_by}", "", _quality(record, folder)
    return f"SNAPRed {record.snapred_version or ''}".strip(), "", ""


def _quality(record: CalibrationRecord, folder: Path) -> str:
    """The verdict on a version and how far its peaks scatter, as its record states them; "" where it does not."""
    verdict = (record.own.account or {}).get("verdict") if record.own is not None else None
    word = str(verdict.get("word", "")) if isinstance(verdict, dict) else ""
    try:
        metrics = own_metrics(record, folder)
    except FileFormatError:
        return word
    strain = ""
    if metrics is not None and np.isfinite(metrics.strain_std).any():
        strain = f"strain {1e6 * np.nanmedian(metrics.strain_std):.3g} ppm"
    return ", ".join(text for text in (word, strain) if text)


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
