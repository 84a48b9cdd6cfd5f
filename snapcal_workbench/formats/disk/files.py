"""Reading files so that whatever is wrong with one is said in one of our errors.

A file that is absent or may not be read is a `NotFoundError`; one that is not what it should be is a `FileFormatError`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snapcal_workbench.errors import FileFormatError, NotFoundError, SnapcalError
from snapcal_workbench.formats.disk.once import read_once


def require_file(path: Path, what: str) -> Path:
    """The path, if a file that can be read is there.

    Args:
        path: Where the file should be.
        what: What it should be, such as "a DiffCal file".

    Raises:
        NotFoundError: There is no file, or we may not read it.
    """
    path = Path(path)
    found = _obstacle(path)
    if found:
        raise NotFoundError(f"Expected {what} at {path}.", found=found, fix="Check the path and its permissions.")
    return path


def _obstacle(path: Path) -> str:
    try:
        if not path.exists():
            return "no such file"
        if not path.is_file():
            return "a folder" if path.is_dir() else "not a regular file"
        return "" if os.access(path, os.R_OK) else "no permission to read it"
    except (OSError, ValueError) as error:
        return str(error)


LARGEST_TEXT = 64 << 20
"""Largest file (bytes) that is read as a whole: an index of 20,000 versions has 8 MB, and takes 80 MB once parsed."""


@read_once(largest=1 << 20)
def read_bytes(path: Path, what: str, limit: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file.

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is larger than `limit` bytes, or the file system cannot deliver it.
    """
    path = require_file(path, what)
    try:
        # a pipe may have taken the file's place since it was looked at: opening it must not wait for a writer
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise damaged(path, what, "not a regular file")
            if found.st_size > limit:
                raise damaged(path, what, f"{found.st_size} bytes; no more than {limit} are read")
            return file.read(limit + 1)
    except OSError as error:
        raise damaged(path, what, str(error)) from error


def damaged(path: str | Path, what: str, found: str, fix: str = "") -> FileFormatError:
    """The error that a file is not what it should be."""
    return FileFormatError(
        f"Expected {what} in {path}.",
        found=found,
        fix=fix or "Check that this is the right file; copy or make it anew if it is damaged.",
    )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let every error of ours that comes out of the block name the file that it is about."""
    try:
        yield
    except SnapcalError as error:
        if str(path) in str(error):
            raise
        found = f"{error.found} in {path}" if error.found else str(path)
        raise type(error)(error.what, found=found, fix=error.fix) from error
