"""The file-system calls of the store, one function a call, so that their order can be recorded, replayed and broken.

Nothing in this package writes to the calibration tree but through these functions; whole files are those of
`formats/disk/writing.py`, which says what a flush is, and which group and permissions new files and folders get.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from snapcal_workbench.formats.disk.writing import (
    create,
    like_parent,
    remove,
    replace,
    replace_file,
    reported,
    sync_directory,
    sync_file,
    write_all,
)
from snapcal_workbench.patience import sign_of_life

__all__ = [
    "append",
    "copy",
    "create",
    "is_regular",
    "like_parent",
    "make_directories",
    "make_directory",
    "make_link",
    "publish",
    "read",
    "remove",
    "remove_tree",
    "replace",
    "replace_file",
    "reported",
    "sync_directory",
    "sync_file",
    "writable",
]

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
"""Not blocking, so that a pipe in the place of a file is refused instead of being waited for."""


def append(path: Path, data: bytes) -> None:
    """Append to a regular file, in one write where the system takes it whole; the file is made if absent."""
    sign_of_life()
    descriptor = os.open(path, _APPEND, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if found.st_size == 0:
            like_parent(path)
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def copy(source: Path, path: Path) -> None:
    """Copy a regular file to one that must not exist yet; flushed and compared."""
    create(path, read(source))


def make_directory(path: Path) -> None:
    """Make one folder, which must not exist yet."""
    os.mkdir(path)
    like_parent(path)


def make_link(path: Path, text: str) -> None:
    """Make a symbolic link that names no file but states `text`: atomic and exclusive, on NFS too."""
    os.symlink(text, path)


def publish(source: Path, target: Path) -> None:
    """Rename a folder to a name beside it that must not exist yet."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    sign_of_life()
    os.rename(source, target)


def remove_tree(path: Path) -> None:
    """Remove a folder and what is in it, without following symbolic links."""
    shutil.rmtree(path)


def make_directories(path: Path) -> None:
    """Make a folder and those above it that are missing, each lasting."""
    if path.is_dir():
        return
    make_directories(path.parent)
    with suppress(FileExistsError):
        make_directory(path)
    sync_directory(path.parent)


def read(path: Path, limit: int = 1 << 30) -> bytes:
    """Contents of a regular file; a symbolic link, a device or a file beyond `limit` bytes is refused."""
    sign_of_life()
    descriptor = os.open(path, _READ)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if found.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
        return file.read()


def is_regular(path: Path) -> bool:
    """Whether a name is that of a regular file, not of a symbolic link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def writable(folder: Path) -> str | None:
    """Why nothing can be written in a folder, or in the nearest one above it that exists; None where it can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    return f"you may not write in {folder}, or it is mounted read-only"
