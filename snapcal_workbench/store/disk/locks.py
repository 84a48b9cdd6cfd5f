"""The lock of an index: held by one writer at a time, only while the index is read, changed and written.

Three things are held together, taken in this order and given back in the reverse one:

1. a `filelock` on `.CalibrationIndex.lock`, which keeps the writers of one host apart (and those of all hosts where the
   file system shares such locks); the kernel frees it when its holder dies;
2. the *holder mark* `.CalibrationIndex.holder`, a symbolic link whose text names the process (`owner.Owner`): made
   atomically and exclusively on every file system, NFS included. A mark whose process is dead on this host is removed;
   one of another host is waited for and then reported, never removed: nobody but that host can tell;
3. SNAPRed's lock file, where its folder exists (`snapred_lock`).

Readers take no lock.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from snapcal_workbench.errors import StoreError
from snapcal_workbench.options import Settings
from snapcal_workbench.patience import sign_of_life
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs, snapred_lock
from snapcal_workbench.store.disk.owner import Owner, describe

if TYPE_CHECKING:
    from filelock import FileLock

LOCK = ".CalibrationIndex.lock"
HOLDER = ".CalibrationIndex.holder"
WAIT = 300.0
PATIENCE = 2.0
"""Seconds of waiting after which an error ends it, and after which the user is told of it."""
_POLL = 0.02


@contextmanager
def hold_index(home: Path, settings: Settings, progress: Progress, *, wait: float = WAIT) -> Iterator[None]:
    """Hold the lock of the index in the folder `home`.

    Args:
        home: Folder of the index.
        settings: For SNAPRed's lock folder, and whether it is honoured.
        progress: Asked for cancellation while waiting.
        wait: Seconds after which waiting ends with an error.

    Raises:
        StoreError: Another writer held it for all that time; the message says who and since when.
        Cancelled: The user cancelled while waiting.
    """
    deadline = time.monotonic() + wait
    with _file_lock(home, progress, deadline), _holder_mark(home, progress, deadline):
        if not (settings.honour_snapred_locks and settings.lock_directory.is_dir()):
            yield
            return

        def pause(blocker: str) -> None:
            _pause(blocker, progress, deadline)

        with snapred_lock.hold(settings.lock_directory, home, pause, progress.warn):
            yield


@contextmanager
def _file_lock(home: Path, progress: Progress, deadline: float) -> Iterator[None]:
    from filelock import FileLock  # it brings asyncio with it, which those that only read need not load

    with fs.reported(f"The index in {home} cannot be locked."):
        lock = FileLock(home / LOCK, mode=stat.S_IMODE(os.stat(home).st_mode) & 0o666 | 0o600)
        _until(lambda: _try_file_lock(lock, home), progress, deadline)
    try:
        yield
    finally:
        _give_back(home / LOCK, lock.release, progress)


def _try_file_lock(lock: FileLock, home: Path) -> str | None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _blocker(home)
    return None


@contextmanager
def _holder_mark(home: Path, progress: Progress, deadline: float) -> Iterator[None]:
    mark = home / HOLDER
    with fs.reported(f"The index in {home} cannot be locked."):
        _until(lambda: _try_mark(mark), progress, deadline)
    try:
        yield
    finally:
        _give_back(mark, lambda: fs.remove(mark), progress)


def _give_back(path: Path, give_back: Callable[[], None], progress: Progress) -> None:
    """Give a lock back. Should that fail, what was done under it stands, so that it is told and no error."""
    try:
        give_back()
    except OSError as error:
        progress.warn(
            f"{path} could not be given back ({error}). What was done is done, but others wait until this program ends."
        )


def _try_mark(mark: Path) -> str | None:
    try:
        fs.make_link(mark, str(Owner.current()))
    except FileExistsError:
        holder = holder_of(mark)
        if holder is None or (holder.state != "dead" and holder != Owner.current()):
            return _blocker(mark.parent)
        fs.remove(mark)  # its process is dead, or this one, which has the file lock: nobody holds the index
        return _try_mark(mark)
    return None


def holder_of(mark: Path) -> Owner | None:
    """The process that a holder mark names; None where there is no mark, or not one of ours."""
    try:
        return Owner.parse(os.readlink(mark))
    except OSError:
        return None


def _blocker(home: Path) -> str:
    mark = home / HOLDER
    holder = holder_of(mark)
    if holder is None:
        return f"another process holds {home / LOCK}" if not os.path.lexists(mark) else f"{mark} is not one of ours"
    return f"process {holder.pid} on {holder.host} ({describe(mark)}) holds {mark}"


def _until(attempt: Callable[[], str | None], progress: Progress, deadline: float) -> None:
    """Repeat an attempt until it succeeds (returns None) instead of naming what is in its way."""
    tell_at, told = time.monotonic() + PATIENCE, False
    while blocker := attempt():
        if not told and time.monotonic() > tell_at:
            progress.inform(f"Waiting for the index: {blocker}.")
            told = True
        _pause(blocker, progress, deadline)


def _pause(blocker: str, progress: Progress, deadline: float) -> None:
    progress.check()
    sign_of_life()
    if time.monotonic() > deadline:
        raise StoreError(
            "The index of this state is being changed by somebody else.",
            found=blocker,
            fix="Try again later. If that process has ended, run `snapcal repair` on its host, or remove that file.",
        )
    time.sleep(_POLL)
