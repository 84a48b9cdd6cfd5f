"""A version as it is read: nothing in it is believed before it was checked.

Names from JSON are joined to the folder only when they are plain file names, and only regular files are opened, so that
neither a path nor a symbolic link leads out of the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from snapcal_workbench.calibration.types import DiffCalTable, FitTable, PixelMask, PixelResults, Spectra
from snapcal_workbench.errors import FileFormatError, StoreError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.formats.index import RECORD_HASH, IndexEntry
from snapcal_workbench.formats.processed import Table, read_processed, table_to_fit_table
from snapcal_workbench.formats.values import Kept, read_values
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import content_hash
from snapcal_workbench.store.journal import Audited, audited
from snapcal_workbench.store.layout import PARAMETERS, RECORD, is_plain, mode_name
from snapcal_workbench.store.version.record import FORMAT, CalibrationRecord, parse_parameters
from snapcal_workbench.store.version.recorded import group_figures, recorded_metrics
from snapcal_workbench.store.version.rewritten import Documents, read_documents

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class StoredVersion:
    """A saved version.

    Attributes:
        state_id: State of the instrument that it belongs to.
        entry: Its entry in the index.
        path: Its folder.
        record: Its record.
        table: DIFC, DIFA, TZERO of every pixel.
        mask: Of the same pixels; reasons where the version has them, else "inherited".
        notes: What a reader should know: how others have rewritten its record, one sentence each.
    """

    state_id: str
    entry: IndexEntry
    path: Path
    record: CalibrationRecord
    table: DiffCalTable
    mask: PixelMask
    notes: tuple[str, ...] = ()

    @cached_property
    def spectra(self) -> Spectra | None:
        """Focused spectra in d-spacing; None in a version that has none, such as a state's default."""
        return self._first(self._named("diffCalOutput"), Spectra)

    @cached_property
    def fits(self) -> FitTable | None:
        """Fitted peaks; None in a version that has none, or only those of SNAPRed's recipe."""
        table = self._first(self._named("diffCalDiagnostic"), Table)
        try:
            return table_to_fit_table(table) if table is not None else None
        except FileFormatError:
            return None

    @cached_property
    def pixel_results(self) -> PixelResults | None:
        """What the pixel calibration found; None where it was left out, and in SNAPRed's versions."""
        found = own_values(self.path, self.record).get("results")
        return found if isinstance(found, PixelResults) else None

    def _named(self, kind: str) -> Path | None:
        names = self.record.names(kind)
        return file_in(self.path, f"{names[0]}.nxs.h5") if names else None

    def _first(self, path: Path | None, kind: type[T]) -> T | None:
        if path is None:
            return None
        return next((value for value in read_processed(path).values() if isinstance(value, kind)), None)

    def describe(self) -> dict[str, Any]:
        """What the version is, as JSON values.

        Raises:
            FileFormatError: The record's figures of the groups are none.
        """
        own = self.record.own
        metrics = recorded_metrics(self.record, self.path)
        return {
            "stateId": self.state_id,
            "mode": mode_name(self.entry.use_lite_mode),
            "version": self.entry.version,
            "path": str(self.path),
            "entry": self.entry.to_json(),
            "pixels": len(self.table),
            "masked": {reason.text: count for reason, count in self.mask.counts().items()},
            "workspaces": self.record.workspaces,
            "metrics": metrics.model_dump(by_alias=True) if metrics else None,
            "groups": group_figures(self.record, self.path),
            "snapredVersion": self.record.snapred_version,
            "writtenBy": f"snapcal-workbench {own.written_by}" if own else "SNAPRed",
            "options": own.options if own else None,
            "provenance": own.provenance if own else None,
            "account": own.account if own else None,
            "files": own.content_hashes if own else None,
            "notes": list(self.notes),
        }


def read_version(folder: Path, entry: IndexEntry, state_id: str, *, verify: bool) -> StoredVersion:
    """Read a version.

    Raises:
        FileFormatError: Its record or table is damaged or not that of the version.
        StoreError: With `verify`, a file was changed, or is missing, since the version was saved.
    """
    documents = _documents_of(folder, entry)
    record = documents.record
    if verify:
        _raise_for(changes(folder, record), folder)
    table_file = read_diffcal(_table_path(folder, record))
    own, mask = own_values(folder, record).get("mask"), table_file.mask
    if isinstance(own, PixelMask) and own.detid.tolist() == table_file.table.detid.tolist():
        mask = own
    return StoredVersion(state_id, entry, folder, record, table_file.table, mask, documents.rewritten)


def _documents_of(folder: Path, entry: IndexEntry) -> Documents:
    try:
        documents = read_documents(folder, known_of(audited(folder.parent), entry))
    except (OSError, ValueError) as error:
        raise _bad_record(folder, str(error)) from error
    if documents.record.version != entry.version:
        raise _bad_record(folder, f"it is of version {documents.record.version}")
    own = documents.record.own
    if own is not None and own.is_newer:
        raise FileFormatError(
            f"Version {entry.version} was saved by a newer release of SNAPCal Workbench.",
            found=f"format {own.format} in {folder / RECORD}, written by {own.written_by}; "
            f"this release reads formats up to {FORMAT}",
            fix="Update SNAPCal Workbench, or choose another version.",
        )
    return documents


def known_of(known: Mapping[int, Audited], entry: IndexEntry) -> Audited:
    """What is known of a version's documents: by the audit log, else by the index of an older release."""
    recorded = (entry.model_extra or {}).get(RECORD_HASH)
    by_index = Audited(recorded, recorded) if isinstance(recorded, str) else Audited()
    return known.get(entry.version, by_index)


def _bad_record(folder: Path, found: str) -> FileFormatError:
    return FileFormatError(
        f"{folder / RECORD} must be the record of that version.",
        found=found,
        fix="Choose another version; Check in the panel, or `snapcal verify`, lists what is wrong.",
    )


def _raise_for(problems: list[str], folder: Path) -> None:
    if problems:
        raise StoreError(
            f"The files in {folder} must be those that were saved.",
            found="; ".join(problems),
            fix="Choose another version, or read it unchecked with --no-verify.",
        )


def changes(folder: Path, record: CalibrationRecord) -> list[str]:
    """Which data files are not those that were saved; nothing can be said of a version without hashes."""
    problems = []
    for name, known in record.own.content_hashes.items() if record.own else ():
        if name == PARAMETERS:
            continue  # a document: see `rewritten`
        if not is_plain(name):
            problems.append(f"{name!r:.80} is no file name")
            continue
        try:
            if content_hash(fs.read(folder / name)) != known:
                problems.append(f"{name} was changed")
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
    return problems


def check_parameters(folder: Path, version: int) -> str | None:
    """What is wrong with the parameters of a version, or None."""
    try:
        found = parse_parameters(fs.read(folder / PARAMETERS)).version
    except (OSError, ValueError) as error:
        return f"{PARAMETERS} cannot be read ({error})"
    return None if found == version else f"{PARAMETERS} is of version {found}"


def _table_path(folder: Path, record: CalibrationRecord) -> Path:
    names = record.names("diffCalTable")
    path = file_in(folder, f"{names[0]}.h5") if names else None
    if path is None:
        raise FileFormatError(
            f"The record in {folder} must name the file of the calibration table.",
            found=f"diffCalTable: {names!r:.120}, which is no regular file there",
            fix="Choose another version; Check in the panel, or `snapcal verify`, lists what is wrong.",
        )
    return path


def file_in(folder: Path, name: str) -> Path | None:
    """The regular file of that plain name in a folder, or None."""
    return folder / name if is_plain(name) and fs.is_regular(folder / name) else None


def own_values(folder: Path, record: CalibrationRecord) -> Mapping[str, Kept]:
    """The per-pixel results and mask reasons that only our versions have."""
    for name in record.own.content_hashes if record.own else ():
        if name.startswith("pixel_results_") and (path := file_in(folder, name)):
            return read_values(path)
    return {}
