"""HDF5 files that are too large to be made in memory: written in parts, and verified by reading.

The library writes into an object of ours, which writes to the disk and keeps the first error: the library passes over
what fails when it closes a file, and crashes on a disk that fills up, so it is told that all went well and the error is
raised here. Of every chunk a checksum is kept, against which the finished file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

import errno
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from snapcal_workbench.formats.disk.writing import like_parent, replacing, sync_file, write_all


class _Target(io.RawIOBase):
    """The file that the HDF5 library writes into (h5py's driver "fileobj"). `failure` is the first error, or None."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._position = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        """The place in the file."""
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Read what was written before."""
        room = memoryview(buffer)
        found = os.pread(self._descriptor, len(room), self._position)
        room[: len(found)] = found
        self._position += len(found)
        return len(found)

    def write(self, data: Buffer, /) -> int:
        """Write, or keep the error."""
        if self.failure is None:
            try:
                os.lseek(self._descriptor, self._position, os.SEEK_SET)
                write_all(self._descriptor, data)
            except OSError as error:
                self.failure = error
        length = memoryview(data).nbytes
        self._position += length
        return length

    def truncate(self, size: int | None = None, /) -> int:
        """Give the file a length, or keep the error."""
        size = self._position if size is None else size
        if self.failure is None:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as error:
                self.failure = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class Parts:
    """An HDF5 file that is being written in parts."""

    def __init__(self, file: h5py.File, target: _Target) -> None:
        self.file = file
        self._target = target
        self._chunks: dict[str, list[tuple[int, int]]] = {}

    def write_chunk(self, dataset: h5py.Dataset, offset: int, packed: bytes) -> None:
        """Write the packed chunk that begins at a row of a one-dimensional dataset."""
        dataset.id.write_direct_chunk((offset,), packed)
        self._chunks.setdefault(dataset.name, []).append((offset, zlib.crc32(packed)))

    def check(self) -> None:
        """Raise the error of a write that has failed."""
        if self._target.failure is not None:
            raise self._target.failure

    def verify(self, path: Path) -> None:
        """Read every chunk of the finished file.

        Raises:
            OSError: One is not what was written.
        """
        with h5py.File(path, "r") as file:
            for name, chunks in self._chunks.items():
                for offset, checksum in chunks:
                    if zlib.crc32(file[name].id.read_direct_chunk((offset,))[1]) != checksum:
                        raise OSError(errno.EIO, f"{name} reads back other values than were written", str(path))


@contextmanager
def hdf5_in_parts(path: Path, what: str) -> Iterator[Parts]:
    """Write an HDF5 file, complete or not at all; an existing file is replaced.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason, such as a full disk.
    """
    with replacing(Path(path), what) as temporary:
        target = _Target(temporary)
        try:
            like_parent(temporary)
            with h5py.File(target, "w") as file:
                parts = Parts(file, target)
                yield parts
            parts.check()
        finally:
            target.close()
        sync_file(temporary)
        parts.verify(temporary)
