"""Who holds a lock or builds a version: a process on a host, as text that fits into a file name.

A process is known by its id, its start time (an id can be used again) and its process namespace (two containers of one
host have ids of their own). Whether it is alive can be told only on its own host and in its own namespace.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

_TEXT = re.compile(r"(\d{1,10})\.(\d{1,20})\.(\d{1,20})\.([0-9A-Za-z-]{1,64})", re.ASCII)

State = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class Owner:
    """A process on a host. `start` is its start time in clock ticks since the host started, 0 where it is unknown."""

    pid: int
    start: int
    namespace: int
    host: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(os.getpid(), _start_of(os.getpid()), _namespace(), host_name())

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that `str` wrote, or None where the text is not of that form."""
        found = _TEXT.fullmatch(text)
        if not found:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3]), found[4])

    def __str__(self) -> str:
        return f"{self.pid}.{self.start}.{self.namespace}.{self.host}"

    @property
    def state(self) -> State:
        """Whether the process is alive; "unknown" where only another host, container or user can tell."""
        if self.host != host_name() or self.namespace != _namespace():
            return "unknown"
        return state_of(self.pid, self.start)


def host_name() -> str:
    """Name of this host, with characters that fit into a file name."""
    return re.sub(r"[^0-9A-Za-z-]", "-", socket.gethostname().split(".")[0])[:64] or "unknown"


def state_of(pid: int, start: int | None = None) -> State:
    """Whether a process of this host is alive, and is the one that started then; a zombie is dead."""
    import psutil  # here and below: those that only read a tree need not load it

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return "dead"
        return "alive" if start in (None, _start_of(pid)) else "dead"
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return "unknown" if _is_hidden(pid) else "dead"
    except psutil.AccessDenied:
        return "unknown"


def _is_hidden(pid: int) -> bool:
    """Whether a process is there that only its user sees: some hosts hide the processes of others."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def describe(path: Path) -> str:
    """Who made a file and when, in words: for messages about a lock or a staging folder."""
    try:
        found = os.lstat(path)
    except OSError:
        return "its owner is not known"
    return f"user {user_name(found.st_uid)}, since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found.st_mtime))}"


def user_name(uid: int | None = None) -> str:
    """Login name of a user, by default of this process; the number where there is no name."""
    number = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@lru_cache(maxsize=1)
def _namespace() -> int:
    with suppress(OSError):
        found = re.search(r"\d+", os.readlink("/proc/self/ns/pid"))
        return int(found.group()) if found else 0
    return 0


def _start_of(pid: int) -> int:
    """Clock ticks from the start of the host to that of a process: a number that no change of the clock changes."""
    import psutil

    with suppress(psutil.Error):
        since_boot = -psutil.boot_time() + psutil.Process(pid).create_time()
        return round(since_boot * os.sysconf("SC_CLK_TCK"))
    return 0
