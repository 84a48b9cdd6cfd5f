"""The file of a run, opened once for all that one piece of work reads of it: what the run says of itself, its events.

Within `opened_once` a file stays open from its first reader to the end of the work, so that all of them see one state
of it, and a busy server looks it up once. A file that has been replaced since is opened anew, and outside of such work
every reader opens the file for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

import h5py

from snapcal_workbench.formats.disk.hdf5 import naming_damage, open_hdf5, opened_hdf5
from snapcal_workbench.formats.disk.once import Stamp, stamp_of

WHAT = "an SNS event NeXus file"


class _Opened:
    """The files that are open, and what closes them."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._files: dict[tuple[Path, Stamp], h5py.File] = {}

    def file(self, path: Path, stamp: Stamp) -> h5py.File:
        """The file, opened if it is not."""
        key = path.absolute(), stamp
        if key not in self._files:
            self._files[key] = self._closing.enter_context(opened_hdf5(path, WHAT))
        return self._files[key]


_opened: ContextVar[_Opened | None] = ContextVar("opened run files", default=None)


@contextmanager
def opened_once() -> Iterator[None]:
    """Keep the files of runs open that `open_run` opens in this thread, until the end of the outermost such work."""
    if _opened.get() is not None:
        yield
        return
    with ExitStack() as closing:
        before = _opened.set(_Opened(closing))
        try:
            yield
        finally:
            _opened.reset(before)


@contextmanager
def open_run(path: Path) -> Iterator[h5py.File]:
    """The file of a run, for reading.

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is not HDF5, or something in it cannot be read.
    """
    opened, stamp = _opened.get(), stamp_of(path)
    if opened is None or stamp is None:
        with open_hdf5(path, WHAT) as file:
            yield file
        return
    file = opened.file(path, stamp)
    with naming_damage(path, WHAT):
        yield file
