"""Reading a file once while it stays the same, however many steps of one piece of work ask for it."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 64
"""Values that a function remembers: a calibration asks for about twenty files; half is enough, twice costs little."""
SETTLED = 0.25
"""Age (s) from which a file is trusted to be told from a later one by its times, which some file systems count in
steps of several ms. Of a younger one nothing is remembered: at half of this a busy server's clock may be behind its
clients', at twice a file that has just been copied is read once more than it need be."""

Stamp = tuple[int, int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """What tells a file from any other content of its name: device, inode, size, times; None where nothing does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    if time.time_ns() - changed < SETTLED * 1e9:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_once(
    largest: int | None = None,
) -> Callable[[Callable[Concatenate[Path, P], T]], Callable[Concatenate[Path, P], T]]:
    """Make a function that reads a file remember what it has read of files of up to `largest` bytes.

    Whoever calls it must not change what it returns. Errors, and what is read with options, are not remembered.
    """

    def remembering(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
        known: OrderedDict[tuple[object, ...], T] = OrderedDict()
        lock = threading.Lock()

        @wraps(read)
        def remembered(path: Path, *arguments: P.args, **options: P.kwargs) -> T:
            stamp = stamp_of(path)
            if stamp is None or options or (largest is not None and stamp[2] > largest):
                return read(path, *arguments, **options)
            key = (str(path), stamp, arguments)
            with lock:
                if key in known:
                    known.move_to_end(key)
                    return known[key]
            value = read(path, *arguments, **options)
            if stamp_of(path) == stamp:  # else it was replaced while it was read
                with lock:
                    known[key] = value
                    if len(known) > KEPT:
                        known.popitem(last=False)
            return value

        return remembered

    return remembering
