"""Append-only files of JSON lines: the audit log and the retirements.

A line is whole or it is not read: a crash or a full disk can leave the beginning of one, after which the next append
starts on a new line. Lines are appended under the lock of the index and flushed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snapcal_workbench.formats.json_file import json_value
from snapcal_workbench.store import fs
from snapcal_workbench.store.layout import AUDIT


def append_line(path: Path, item: Mapping[str, Any]) -> None:
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


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
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


def read_audit(home: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of a home's audit log that say which version they are about, and what else is in it."""
    lines, problems = read_lines(home / AUDIT)
    whole = [line for line in lines if type(line.get("version")) is int]
    odd = [json.dumps(line)[:80] for line in lines if type(line.get("version")) is not int]
    return whole, problems + [f"{AUDIT} has a line that names no version: {text}." for text in odd]


def _item(line: bytes) -> dict[str, Any] | None:
    try:
        item = json_value(line.decode("utf-8"))
    except ValueError:
        return None
    return item if isinstance(item, dict) else None
