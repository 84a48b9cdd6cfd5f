"""The file-system calls of the store, one function a call, so that their order can be recorded, replayed and broken.

Nothing in this package writes to the calibration tree but through these functions. A *flush* is an fsync: of a file it
makes the contents last, of a directory the names in it. New files and folders get the group and the permissions of the
folder they are made in, whatever the umask of the process says: a tree shared by a group stays shared.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snapcal_workbench.errors import PermissionDeniedError, StoreError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet."""
    _write(path, data, _NEW)


def append(path: Path, data: bytes) -> None:
    """Append to a file, in one write where the system takes it whole; the file is made if absent."""
    _write(path, data, _APPEND)


def _write(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, flags, 0o600)
    try:
        if os.fstat(descriptor).st_size == 0:
            like_parent(path)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function of `formats` write a new file.

    Raises:
        OSError: It could not be written; what an HDF5 library says of a full disk when it closes a file is one, too.
    """
    try:
        write(path)
    except RuntimeError as error:
        raise OSError(_errno_in(str(error)), str(error), str(path)) from error
    like_parent(path)


def copy(source: Path, path: Path) -> None:
    """Copy a regular file to one that must not exist yet."""
    write_new(path, read(source))


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
    os.rename(source, target)


def replace(source: Path, target: Path) -> None:
    """Put a file in the place of another, or of none; whoever opens the name finds the old or the new one, whole."""
    os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a file or a symbolic link, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and what is in it, without following symbolic links."""
    shutil.rmtree(path)


def sync_file(path: Path) -> None:
    """Flush the contents of a file."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Flush the names in a folder."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, data: bytes) -> None:
    """Write a new file and flush its contents; its name lasts once its folder is flushed."""
    write_new(path, data)
    sync_file(path)


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


def like_parent(path: Path) -> None:
    """Give a new file or folder the group and the permissions of its folder, as far as the user may."""
    parent = os.stat(path.parent)
    own = os.stat(path)
    if own.st_gid != parent.st_gid:
        with suppress(PermissionError):
            os.chown(path, -1, parent.st_gid)
    mask = 0o3777 if stat.S_ISDIR(own.st_mode) else 0o666
    with suppress(PermissionError):
        os.chmod(path, stat.S_IMODE(parent.st_mode) & mask | stat.S_IRUSR | stat.S_IWUSR)


def writable(folder: Path) -> str | None:
    """Why nothing can be written in a folder, or in the nearest one above it that exists; None where it can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    return f"you may not write in {folder}, or it is mounted read-only"


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
        code = error.errno or _errno_in(str(error))
        found = str(error) or type(error).__name__
        if code in _DENIED:
            raise PermissionDeniedError(
                what, found=found, fix=fix or "Ask the owner of the calibration tree for write permission."
            ) from error
        if code in _FULL:
            raise StoreError(what, found=found, fix=fix or "Free space on that disk, then try again.") from error
        raise StoreError(what, found=found, fix=fix or "Check the disk and the path, then try again.") from error


def _errno_in(message: str) -> int:
    """The error number in a message of the HDF5 library, 0 if it has none."""
    found = re.search(r"errno = (\d+)", message)
    return int(found.group(1)) if found else 0
