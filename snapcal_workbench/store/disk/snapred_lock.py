"""SNAPRed's lock: files `<pid>_<host>.lock` in one folder, whose lines are the paths that the process holds.

SNAPRed removes any lock file older than 120 s, whoever holds it, so ours is held briefly and its loss is no error. We
remove no lock of others; one whose process is dead on this host is passed over. Taking it is check, create, and check
again, because two processes can both pass the first check.
"""

from __future__ import annotations

import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.owner import describe, state_of

_NAME = re.compile(r"(\d{1,10})_(.+)\.lock", re.ASCII)
_own_file = threading.Lock()


@contextmanager
def hold(directory: Path, home: Path, pause: Callable[[str], None], warn: Callable[[str], None]) -> Iterator[None]:
    """Hold SNAPRed's lock on a folder.

    Args:
        directory: Folder of the lock files.
        home: Folder that is locked.
        pause: Called with who is in the way, once a poll; it waits, and raises when that has taken too long.
        warn: Called when the lock folder cannot be written, so that SNAPRed cannot be kept out.
    """
    path = str(home.resolve())
    own = directory / f"{os.getpid()}_{_short_host()}.lock"
    try:
        _take(directory, own, path, pause)
    except PermissionError:
        warn(f"SNAPRed's lock folder {directory} cannot be written; do not save with SNAPRed at the same time.")
        yield
        return
    try:
        yield
    finally:
        try:
            _release(own, path)
        except OSError as error:
            warn(f"SNAPRed's lock {own} could not be given back ({error}); SNAPRed removes it itself in two minutes.")


def _take(directory: Path, own: Path, path: str, pause: Callable[[str], None]) -> None:
    while True:
        while blocker := _blocker(directory, own, path):
            pause(blocker)
        with _own_file:
            fs.append(own, f"{path}\n".encode())
        blocker = _blocker(directory, own, path)
        if not blocker:
            return
        _release(own, path)
        time.sleep(random.uniform(0, 0.1))
        pause(blocker)


def _blocker(directory: Path, own: Path, path: str) -> str | None:
    """Who else holds the path, in words; None when nobody does."""
    for file in sorted(directory.glob("*.lock")):
        if file.name != own.name and path in _lines(file) and not _is_dead(file.name):
            return f"SNAPRed's lock {file} ({describe(file)})"
    return None


def _is_dead(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found[2] == _short_host() and state_of(int(found[1])) == "dead"


def _lines(file: Path) -> list[str]:
    try:
        return fs.read(file).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _release(own: Path, path: str) -> None:
    with _own_file, suppress(FileNotFoundError):
        lines = _lines(own)
        if path in lines:
            lines.remove(path)
        if lines:
            own.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        else:
            own.unlink()


def _short_host() -> str:
    return socket.gethostname().split(".")[0]
