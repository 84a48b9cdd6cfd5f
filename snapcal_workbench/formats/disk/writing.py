"""The one way in which a file comes into being: whole, flushed and read back, or not at all.

A file is made under a temporary name beside its own from bytes that are complete in memory, flushed, read back and
compared, and renamed into place. No library writes to the target disk itself: HDF5 passes over write errors when it
closes a file, and crashes on a disk that fills up.

New files have the group and the permissions of the folder they are in, whatever the umask of the process says: a tree
shared by a group stays shared. A *flush* is an fsync: of a file it makes the contents last, of a folder its names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snapcal_workbench.errors import PermissionDeniedError, StoreError
from snapcal_workbench.patience import sign_of_life

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GONE = {errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.EHOSTDOWN, errno.ETIMEDOUT}
_PART = 1 << 20
"""Bytes that are written or compared at a time, so that a large file is never in memory twice."""


def replace_file(path: Path, data: bytes, what: str, *, temporary: Path | None = None, keep_mode: bool = False) -> None:
    """Put bytes in the place of a file, or of none; whoever opens the name finds the old or the new file, whole.

    Args:
        path: The file.
        data: All that it is to hold.
        what: What it is, such as "a DiffCal file"; used in the messages.
        temporary: Where it is made, on the same disk; by default a name that no other process uses.
        keep_mode: Whether a file that is there keeps its permissions, instead of getting those of its folder.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason, such as a full disk; what was there is untouched.
    """
    path = Path(path)
    with replacing(path, what, temporary) as made:
        create(made, data)
        if keep_mode and path.exists():
            os.chmod(made, stat.S_IMODE(path.stat().st_mode))


@contextmanager
def replacing(path: Path, what: str, temporary: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, where a flushed file is to be made; it takes the place of `path` at the end.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason, such as a full disk; what was there is untouched.
    """
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.part")
    try:
        with naming(path, what):
            remove(temporary)
            yield temporary
            replace(temporary, path)
    finally:
        with suppress(OSError):
            remove(temporary)
    with reported(f"{path} was written, but a power cut may undo it."):
        sync_directory(path.parent)


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """Turn an error of the file system into one that names the file that could not be written.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if _is_denied(error):
            raise PermissionDeniedError(
                f"May not write {what} to {path}.", found=str(error), fix="Choose another folder or ask its owner."
            ) from error
        raise StoreError(
            f"Could not write {what} to {path}.",
            found=str(error),
            fix="Check that the folder exists and that the disk has room, then write it again.",
        ) from error


def create(path: Path, data: bytes) -> None:
    """Write a new file, flush it, read it back and compare; its name lasts once its folder is flushed.

    Raises:
        OSError: It could not be written, or does not read back as it was meant.
    """
    write_new(path, data)
    sync_file(path)
    if not holds(path, data):
        raise OSError(errno.EIO, "it reads back other bytes than were written", str(path))


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet."""
    descriptor = os.open(path, _NEW, 0o600)
    try:
        like_parent(path)
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: Buffer) -> None:
    """Write bytes to an open file, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:_PART]) :]
        sign_of_life()


def holds(path: Path, data: bytes) -> bool:
    """Whether a file holds just these bytes."""
    view = memoryview(data)
    with open(path, "rb", buffering=0) as file:
        while view:
            part = file.read(min(_PART, len(view)))
            if not part or part != view[: len(part)]:
                return False
            view = view[len(part) :]
        return not file.read(1)


def replace(source: Path, target: Path) -> None:
    """Put a file in the place of another, or of none; whoever opens the name finds the old or the new one, whole."""
    sign_of_life()
    os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a file or a symbolic link, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def sync_file(path: Path) -> None:
    """Flush the contents of a file."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Flush the names in a folder."""
    _sync(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def _sync(path: Path, flags: int) -> None:
    sign_of_life()
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def like_parent(path: Path) -> None:
    """Give a new file or folder the group and the permissions of its folder, as far as the user may.

    In a sticky folder, such as /tmp, others may make files, and yet nobody but the owner writes a file.
    """
    parent = os.stat(path.parent)
    own = os.stat(path)
    if own.st_gid != parent.st_gid:
        with suppress(PermissionError):
            os.chown(path, -1, parent.st_gid)
    mask = 0o3777 if stat.S_ISDIR(own.st_mode) else 0o664 if parent.st_mode & stat.S_ISVTX else 0o666
    with suppress(PermissionError):
        os.chmod(path, stat.S_IMODE(parent.st_mode) & mask | stat.S_IRUSR | stat.S_IWUSR)


@contextmanager
def reported(what: str, fix: str = "") -> Iterator[None]:
    """Turn an error of the file system into one that says what failed and what to do.

    Raises:
        PermissionDeniedError: The user may not write there, or the tree is mounted read-only.
        StoreError: The disk is full, or another error of the file system.
    """
    try:
        yield
    except OSError as error:
        found = str(error) or type(error).__name__
        if _is_denied(error):
            raise PermissionDeniedError(
                what, found=found, fix=fix or "Ask the owner of the calibration tree for write permission."
            ) from error
        raise StoreError(what, found=found, fix=fix or _remedy(error.errno)) from error


def _is_denied(error: OSError) -> bool:
    return isinstance(error, PermissionError) or error.errno in _DENIED


def _remedy(code: int | None) -> str:
    if code in _FULL:
        return "Free space on that disk, then try again."
    if code in _GONE:
        return "That disk was taken away or its server was restarted: mount it anew, then try again."
    return "Check the disk and the path, then try again."
