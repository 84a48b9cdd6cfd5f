"""Records that others have rewritten: read all the same, told field by field, and adopted when a person says so.

SNAPRed and SNAPWrap write records anew: SNAPWrap's repair copies the entry of the index into them, SNAPRed drops the
fields that it does not know. What was accepted is the record as it was saved, of which a copy lies beside it and the
audit log has the hash. Until somebody adopts the new one, what is read is what was saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.index import parse_timestamp, same_time
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import content_hash, parse_json
from snapcal_workbench.store.journal import Audited
from snapcal_workbench.store.layout import PARAMETERS, RECORD, RECORD_COPY
from snapcal_workbench.store.version.record import CalibrationRecord, parse_record

REWRITTEN = "was rewritten since it was saved"
_SHOWN = 12
"""Differences that are listed; a record that was written by another program altogether differs in hundreds."""


@dataclass(frozen=True)
class Documents:
    """The record and the parameters of a version.

    Attributes:
        record: What counts: the record as it was saved or adopted.
        rewritten: How the documents in the folder differ from it, one sentence each; empty if they do not.
        hashes: Hash of each of the two that is in the folder and differs; what adopting them means.
    """

    record: CalibrationRecord
    rewritten: tuple[str, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()


def read_documents(folder: Path, known: Audited) -> Documents:
    """The record and the parameters of a version, compared with what was saved.

    Raises:
        OSError: The record cannot be read, and there is no copy of it.
        ValueError: The same; it is damaged.
    """
    copy_bytes = _copy(folder, known)
    copy = parse_record(copy_bytes) if copy_bytes is not None else None
    accepted = known.record or (content_hash(copy_bytes) if copy_bytes is not None else None)
    try:
        data = fs.read(folder / RECORD)
        found = parse_record(data)
    except (OSError, ValueError) as error:
        if copy is None:
            raise
        return Documents(copy, (f"{RECORD} cannot be read ({error}); what was saved is read from {RECORD_COPY}",))
    if accepted is None or content_hash(data) == accepted:
        record = found if found.own or copy is None else found.model_copy(update={"own": copy.own})
        return _with_parameters(folder, known, Documents(record))
    saved = parse_json(copy_bytes) if copy_bytes is not None else None
    told = _told(RECORD, saved, parse_json(data))
    return _with_parameters(folder, known, Documents(copy or found, told, ((RECORD, content_hash(data)),)))


def copy_problem(folder: Path, known: Audited) -> str | None:
    """What is wrong with the copy of a version's record, or None; versions of older releases and SNAPRed have none."""
    try:
        data = fs.read(folder / RECORD_COPY)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{RECORD_COPY} cannot be read ({error})"
    return None if known.saved in (None, content_hash(data)) else f"{RECORD_COPY} was changed"


def _copy(folder: Path, known: Audited) -> bytes | None:
    """The record as it was saved, if its copy is there and is what the audit log says."""
    try:
        data = fs.read(folder / RECORD_COPY)
        parse_record(data)
    except (OSError, ValueError):
        return None
    return data if known.saved in (None, content_hash(data)) else None


def _with_parameters(folder: Path, known: Audited, documents: Documents) -> Documents:
    """The documents, with what is to be said of the parameters; those of SNAPRed's versions have no hash."""
    own = documents.record.own
    accepted = known.parameters or (own.content_hashes.get(PARAMETERS) if own else None)
    if accepted is None:
        return documents
    try:
        data = fs.read(folder / PARAMETERS)
        found = parse_json(data)
    except (OSError, ValueError) as error:
        told: tuple[str, ...] = (f"{PARAMETERS} cannot be read ({error})",)
        return Documents(documents.record, (*documents.rewritten, *told), documents.hashes)
    if content_hash(data) == accepted:
        return documents
    told = _told(PARAMETERS, documents.record.calculation_parameters, found)
    hashes = (*documents.hashes, (PARAMETERS, content_hash(data)))
    return Documents(documents.record, (*documents.rewritten, *told), hashes)


def _told(name: str, saved: object, found: object) -> tuple[str, ...]:
    if saved is None:
        return (f"{name} {REWRITTEN}, and no copy of what was saved was kept",)
    found_differences = list(differences(saved, found))
    if not found_differences:
        return (f"{name} {REWRITTEN}, with the same contents",)
    more = len(found_differences) - _SHOWN
    told = tuple(f"{name} {REWRITTEN}: {text}" for text in found_differences[:_SHOWN])
    return (*told, f"{name} has {more} more differences") if more > 0 else told


def differences(saved: object, found: object, where: str = "") -> Iterator[str]:
    """What differs between two JSON values, one text a field; times as precisely as SNAPRed keeps them."""
    if isinstance(saved, dict) and isinstance(found, dict):
        for key in (*saved, *(key for key in found if key not in saved)):
            place = f"{where}.{key}" if where else str(key)
            if key not in found:
                yield f"{place} is gone"
            elif key not in saved:
                yield f"{place} was added"
            else:
                yield from differences(saved[key], found[key], place)
    elif isinstance(saved, list) and isinstance(found, list) and len(saved) == len(found):
        for number, (one, other) in enumerate(zip(saved, found, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif not _same(saved, found):
        yield f"{where} is {found!r:.80}, was {saved!r:.80}"


def _same(saved: object, found: object) -> bool:
    if saved == found and isinstance(saved, bool) == isinstance(found, bool):
        return True
    if not (isinstance(saved, str) and isinstance(found, (str, float))):
        return False
    try:
        return same_time(parse_timestamp(saved), parse_timestamp(found))
    except FileFormatError:
        return False
