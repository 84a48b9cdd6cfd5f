"""Append-only files of JSON lines: the audit log and the retirements.

A line is whole or it is not read: a crash or a full disk can leave the beginning of one, after which the next append
starts on a new line. Lines are appended under the lock of the index and flushed.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict, TypeGuard

from snapcal_workbench import __version__
from snapcal_workbench.formats.disk.json_file import json_value
from snapcal_workbench.formats.index import format_timestamp
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.owner import host_name, user_name
from snapcal_workbench.store.layout import AUDIT

ADOPT = "adopt"
"""The action of an audit line by which a record that others have rewritten counts from then on."""


def append_line(path: Path, item: Mapping[str, object]) -> None:
    """Append one item and make it last."""
    is_new = not os.path.lexists(path)
    if not is_new and not fs.is_regular(path):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    data = json.dumps(item, allow_nan=False).encode() + b"\n"
    if not is_new and _is_torn(path):
        data = b"\n" + data
    fs.append(path, data)
    fs.sync_file(path)
    if is_new:
        fs.sync_directory(path.parent)


def _is_torn(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def read_lines(path: Path) -> tuple[list[dict[str, object]], list[str]]:
    """The items of a file, oldest first, and what could not be read of it; an absent file has none."""
    try:
        lines = fs.read(path).split(b"\n")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"{path.name} cannot be read: {error}."]
    items, problems = [], []
    for number, line in enumerate(lines, 1):
        item = _item(line) if line.strip() else {}
        if item is None:
            problems.append(f"{path.name}, line {number} is not whole; it is passed over.")
        elif item:
            items.append(item)
    return items, problems


class AuditLine(TypedDict, total=False):
    """A line of the audit log, of which only the version is sure to be of its type."""

    version: Required[int]
    action: object
    software: object
    record: object
    parameters: object
    finished: object


def _names_version(line: Mapping[str, object]) -> TypeGuard[AuditLine]:
    return type(line.get("version")) is int


def read_audit(home: Path) -> tuple[list[AuditLine], list[str]]:
    """The lines of a home's audit log that say which version they are about, and what else is in it."""
    lines, problems = read_lines(home / AUDIT)
    whole = [line for line in lines if _names_version(line)]
    odd = [json.dumps(line)[:80] for line in lines if not _names_version(line)]
    return whole, problems + [f"{AUDIT} has a line that names no version: {text}." for text in odd]


def append_audit(home: Path, action: str, version: int, **more: object) -> None:
    """Record a write in the audit log of a home."""
    append_line(
        home / AUDIT,
        {
            "action": action,
            "version": version,
            "time": format_timestamp(time.time_ns()),
            "user": user_name(),
            "host": host_name(),
            "software": __version__,
            **more,
        },
    )


def written_by(home: Path) -> dict[int, str]:
    """The software that saved each version, by the audit log of a home; others' versions are not in it."""
    saves = (line for line in read_audit(home)[0] if line.get("action") == "save")
    return {line["version"]: f"SNAPCal Workbench {line.get('software', '')}".rstrip() for line in saves}


@dataclass(frozen=True)
class Audited:
    """What the audit log knows of a version's documents.

    Attributes:
        saved: Hash of the record as it was saved; None if unknown.
        record: Hash of the record that counts: as saved, or as somebody adopted it.
        parameters: Hash of the parameters that somebody adopted; None if nobody did.
    """

    saved: str | None = None
    record: str | None = None
    parameters: str | None = None


def audited(home: Path) -> dict[int, Audited]:
    """What the audit log of a home knows of each version."""
    found: dict[int, Audited] = {}
    for line in read_audit(home)[0]:
        version, record, parameters = line["version"], line.get("record"), line.get("parameters")
        if not isinstance(record, str):
            continue
        known = found.get(version, Audited())
        if line.get("action") == ADOPT:
            adopted = parameters if isinstance(parameters, str) else known.parameters
            found[version] = Audited(known.saved, record, adopted)
        else:
            found[version] = Audited(record, record)
    return found


def _item(line: bytes) -> dict[str, object] | None:
    try:
        item = json_value(line.decode("utf-8"))
    except ValueError:
        return None
    return item if isinstance(item, dict) else None
