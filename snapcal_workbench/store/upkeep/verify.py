"""What is wrong in a calibration tree: every state, both layouts, every version and file. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.errors import NotFoundError, SnapcalError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.formats.index import IndexEntry, same_time, unmarked
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import Instrument
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk.locks import HOLDER, holder_of
from snapcal_workbench.store.disk.owner import Owner, describe
from snapcal_workbench.store.disk.patient import on_disk
from snapcal_workbench.store.index_file import Snapshot, read_snapshot
from snapcal_workbench.store.journal import Audited, audited, read_audit
from snapcal_workbench.store.layout import (
    DEFAULT_TABLE,
    INDEX,
    PARAMETERS,
    RECORD,
    RECORD_COPY,
    TEMPORARY_INDEX,
    Staging,
    check_tree,
    checked_state,
    is_state,
)
from snapcal_workbench.store.state_init import dead_states
from snapcal_workbench.store.upkeep.index_mending import mended_index
from snapcal_workbench.store.version.record import CalibrationRecord, entry_in_folder
from snapcal_workbench.store.version.rewritten import REWRITTEN, copy_problem, read_documents
from snapcal_workbench.store.version.stored import changes, check_parameters, file_in, known_of
from snapcal_workbench.workspaces.names import run_token, version_token


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: where, and what, in one sentence."""

    path: Path
    message: str

    @property
    def is_adoptable(self) -> bool:
        """Whether it is that another program has rewritten a record, which a repair can let count as it is."""
        return REWRITTEN in self.message


def verify_tree(settings: Settings, state_id: str | None = None, progress: Progress | None = None) -> list[Finding]:
    """All that is wrong in the tree, or in one state of it; an empty list if nothing is.

    Raises:
        InputError: The state id is none.
        NotFoundError: There is no such tree, or no such state in it.
        Cancelled: The user cancelled.
    """
    return on_disk(settings, lambda: _verified(settings, state_id, progress or Progress()))


def _verified(settings: Settings, state_id: str | None, progress: Progress) -> list[Finding]:
    homes = homes_in(settings, state_id)
    findings = [
        Finding(path, "A state that was being initialised when its process died.")
        for path in dead_states(settings.powder_home)
    ]
    for number, home in enumerate(homes):
        progress.report(number / len(homes), f"Checking {home}")
        findings.extend(verify_home(home, progress, instrument_of(settings)))
    return findings


def homes_in(settings: Settings, state_id: str | None) -> list[Path]:
    """Every folder of an index in the tree, or in one state of it, with and without the mode level.

    Raises:
        InputError: The state id is none.
        NotFoundError: There is no such tree, or no such state in it: nothing can be said of it.
    """
    check_tree(settings)
    names = [checked_state(state_id)] if state_id else _state_names(settings.powder_home)
    candidates = [
        settings.powder_home.joinpath(name, *level, "diffraction")
        for name in names
        for level in ((), ("lite",), ("native",))
    ]
    if state_id and not (settings.powder_home / names[0]).is_dir():
        raise NotFoundError(
            f"There is no state {state_id} in {settings.powder_home}.",
            fix="`snapcal states` lists those that there are.",
        )
    inside = settings.powder_home.resolve()
    return [home for home in candidates if home.is_dir() and home.resolve().is_relative_to(inside)]


def _state_names(powder_home: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(powder_home) if is_state(name))
    except OSError:
        return []


def verify_home(home: Path, progress: Progress, instrument: Instrument | None = None) -> list[Finding]:
    """All that is wrong in the folder of one index."""
    snapshot = read_snapshot(home)
    entries = {entry.version: entry for entry in snapshot.entries}
    findings = [Finding(home, problem) for problem in snapshot.problems]
    findings.extend(_leftovers(home, snapshot))
    findings.extend(_behind(home, snapshot))
    findings.extend(Finding(home, message) for message in _vanished(home, snapshot))
    known = audited(home)
    for version, name in sorted(snapshot.listing.versions.items()):
        progress.check()
        messages = verify_version(home / name, version, entries.get(version), known, instrument)
        findings.extend(Finding(home / name, message) for message in messages)
    return findings


def _behind(home: Path, snapshot: Snapshot) -> list[Finding]:
    """An index that other programs would read otherwise than we do, who lay the retirements over it."""
    mended = mended_index(snapshot)
    if mended is None or mended.is_told:
        return []
    text = "The index does not say of each version what is known of it, as a write was broken off or others changed it."
    return [Finding(home / INDEX, text)]


def _leftovers(home: Path, snapshot: Snapshot) -> list[Finding]:
    findings = [Finding(staging.path, _staging_state(staging)) for staging in snapshot.listing.staging]
    holder = holder_of(home / HOLDER)
    if holder and holder.state != "alive":
        findings.append(Finding(home / HOLDER, f"The index is locked by {_who(holder, home / HOLDER)}."))
    if (home / TEMPORARY_INDEX).exists() and not holder:
        findings.append(Finding(home / TEMPORARY_INDEX, "An index that was never put into place."))
    return findings


def _staging_state(staging: Staging) -> str:
    if staging.owner is None:
        return f"Version {staging.version} is being built by nobody we know ({describe(staging.path)})."
    return f"Version {staging.version} is being built by {_who(staging.owner, staging.path)}."


def _who(owner: Owner, path: Path) -> str:
    state = {"alive": "which is running", "dead": "which has ended", "unknown": "of which only that host can tell"}
    return f"process {owner.pid} on {owner.host} ({describe(path)}), {state[owner.state]}"


def _vanished(home: Path, snapshot: Snapshot) -> list[str]:
    """Versions that the audit log says were saved, and whose folder is gone."""
    lines, problems = read_audit(home)
    saved = {line["version"]: line.get("time") for line in lines if line.get("action") == "save"}
    gone = {version: time for version, time in saved.items() if version not in snapshot.listing.versions}
    return problems + [f"Version {version}, saved at {time}, is gone." for version, time in gone.items()]


def verify_version(
    folder: Path,
    version: int,
    entry: IndexEntry | None,
    known: Mapping[int, Audited],
    instrument: Instrument | None = None,
) -> list[str]:
    """All that is wrong with one version, one sentence each; `known` is what the audit log says of documents."""
    own_entry, why_not = entry_in_folder(folder, version)
    usable = own_entry or entry
    hashes = known_of(known, entry) if entry else known.get(version, Audited())
    try:
        documents = read_documents(folder, hashes)
    except (OSError, ValueError) as error:
        return [f"{RECORD} cannot be read ({error})."]
    problems = (why_not, check_parameters(folder, version), copy_problem(folder, hashes))
    messages = [problem for problem in problems if problem]
    messages.extend(documents.rewritten)
    if usable:
        messages.extend(changes(folder, documents.record))
        messages.extend(_table_problems(folder, documents.record, usable, instrument))
    if own_entry and entry:
        messages.extend(_differences(own_entry, entry))
    return [f"{message}." for message in (*messages, *_foreign_files(folder, documents.record))]


def _differences(recorded: IndexEntry, indexed: IndexEntry) -> list[str]:
    found = [
        f"{field} is {getattr(indexed, field)!r:.80} in the index and {getattr(recorded, field)!r:.80} in the record"
        for field in ("run_number", "use_lite_mode", "author")
        if getattr(recorded, field) != getattr(indexed, field)
    ]
    if unmarked(recorded.comments) != unmarked(indexed.comments):
        found.append(f"comments are {indexed.comments!r:.80} in the index and {recorded.comments!r:.80} in the record")
    if not same_time(recorded.time, indexed.time):
        found.append(f"timestamp is {indexed.timestamp} in the index and {recorded.timestamp} in the record")
    return found


def _table_problems(
    folder: Path, record: CalibrationRecord, entry: IndexEntry, instrument: Instrument | None
) -> list[str]:
    names = record.names("diffCalTable")
    expected = f"diffract_consts_{run_token(entry.run_number)}_{version_token(entry.version)}"
    if entry.version == 0:
        expected = DEFAULT_TABLE
    if names[:1] != [expected]:
        return [f"the record names the table {names!r:.80}, which must be {expected!r}"]
    path = file_in(folder, f"{expected}.h5")
    if path is None:
        return [f"{expected}.h5 is missing or no regular file"]
    try:
        table = read_diffcal(path).table
    except SnapcalError as error:
        return [f"{expected}.h5 cannot be used: {error.what} {error.found}"]
    problems = []
    if instrument is not None:
        modes = [mode for mode in instrument.modes if mode.merged == entry.use_lite_mode]
        if len(table) not in {mode.n_pixels for mode in modes}:
            rows = (
                " or ".join(str(mode.n_pixels) for mode in modes)
                or f"those of another instrument than {instrument.name}"
            )
            problems.append(f"{expected}.h5 has {len(table)} rows instead of {rows}")
    return problems if (table.difc > 0).all() else [*problems, f"{expected}.h5 has pixels without a positive DIFC"]


def _foreign_files(folder: Path, record: CalibrationRecord) -> list[str]:
    known = {RECORD, RECORD_COPY, PARAMETERS, *(record.own.content_hashes if record.own else ())}
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    links = [f"{name} is a symbolic link; it is not followed" for name in names if (folder / name).is_symlink()]
    if record.own is None:
        return links
    return links + [f"{name} was added after the version was saved" for name in names if name not in known]
