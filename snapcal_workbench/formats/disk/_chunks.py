"""The values of a dataset, with no chunk of it inflated beyond the size that it must have.

HDF5's own deflate filter inflates whatever a chunk holds, so that 6 MB of a damaged file can take 6 GB of memory. Here
chunks are read as stored and inflated up to their size. Datasets that are not deflated are left to HDF5.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator

import h5py
import numpy as np

MOST_CHUNKS = 1_000_000
"""More chunks of one dataset are not read: the file's own index of them would take longer than the values."""

SMALL_CHUNK = 1 << 17
"""Chunks of that many bytes are inflated without a limit, which is faster: twice as many stored bytes, more than which
are refused, make 270 MB at most."""

LARGEST_PACKED_TEXT = 1 << 16
"""Largest deflated chunk (bytes) of texts of variable length, which HDF5 must inflate: to 66 MB at most."""

_KNOWN = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_CHECKSUM = 4


def inflated(raw: bytes, size: int) -> bytes:
    """What deflate packed into `raw`.

    Raises:
        ValueError: That is not `size` bytes.
        zlib.error: It is not deflated.
    """
    if size <= SMALL_CHUNK:
        found = zlib.decompress(raw, bufsize=size)
        if len(found) != size:
            raise ValueError(f"a chunk that inflates to {len(found)} bytes instead of {size}")
        return found
    machine = zlib.decompressobj()
    found = machine.decompress(raw, size)
    if len(found) != size or not (machine.eof or not machine.decompress(machine.unconsumed_tail, 1)):
        raise ValueError(f"a chunk that does not inflate to its {size} bytes")
    return found


def filters_of(source: h5py.Dataset) -> list[int]:
    """Codes of the filters of a dataset, in the order in which they were applied."""
    properties = source.id.get_create_plist()
    return [properties.get_filter(position)[0] for position in range(properties.get_nfilters())]


def read_whole(source: h5py.Dataset) -> np.ndarray:
    """All values of a dataset.

    Raises:
        ValueError: A chunk holds something else than its values, or there are too many chunks.
        zlib.error, OSError: They cannot be read.
    """
    filters = filters_of(source)
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return source[()]
    require_known(source, filters)
    out = np.full(source.shape, source.fillvalue, source.dtype)
    for offset in _offsets(source):
        part = read_chunk(source, offset, filters)
        if part is not None:
            place = tuple(slice(o, o + n) for o, n in zip(offset, source.chunks, strict=True))
            target = out[place]
            target[...] = part[tuple(slice(n) for n in target.shape)]
    return out


def read_element(source: h5py.Dataset, index: tuple[int, ...]) -> object:
    """One value of a dataset.

    Raises:
        ValueError, zlib.error, OSError: As `read_whole`.
    """
    filters = filters_of(source)
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return source[index]
    offset = tuple(i // step * step for i, step in zip(index, source.chunks, strict=True))
    if source.dtype.hasobject:
        stored = source.id.get_chunk_info_by_coord(offset)
        if stored.size > LARGEST_PACKED_TEXT:
            raise ValueError(f"a packed text of {stored.size} bytes; no more than {LARGEST_PACKED_TEXT} are read")
        return source[index]
    require_known(source, filters)
    part = read_chunk(source, offset, filters)
    return source.fillvalue if part is None else part[tuple(i - o for i, o in zip(index, offset, strict=True))]


def require_known(source: h5py.Dataset, filters: list[int]) -> None:
    """Raise ValueError unless the chunks of a deflated dataset can be inflated here."""
    if source.dtype.hasobject or not set(filters) <= _KNOWN:
        raise ValueError(f"deflated values that were packed in another way, too ({source.dtype}, filters {filters})")


def _offsets(source: h5py.Dataset) -> Iterator[tuple[int, ...]]:
    axes = [range(0, length, step) for length, step in zip(source.shape, source.chunks, strict=True)]
    count = math.prod(len(axis) for axis in axes)
    if count > MOST_CHUNKS:
        raise ValueError(f"{count} chunks; no more than {MOST_CHUNKS} are read")
    return itertools.product(*axes)


def read_chunk(source: h5py.Dataset, offset: tuple[int, ...], filters: list[int]) -> np.ndarray | None:
    """The values of one chunk, None for one that was never written; several threads may do that at once.

    Args:
        source: A dataset that `require_known` lets pass.
        offset: Where the chunk begins.
        filters: From `filters_of`.

    Raises:
        ValueError, zlib.error, OSError: As `read_whole`.
    """
    size = math.prod(source.chunks) * source.dtype.itemsize
    stored = source.id.get_chunk_info_by_coord(offset)
    if stored.byte_offset is None:
        return None
    if stored.size > 2 * size + 1024:  # deflate never makes more than a little more of it
        raise ValueError(f"a chunk of {stored.size} bytes for {size} bytes of values")
    skipped, data = source.id.read_direct_chunk(offset)
    for position, code in reversed(list(enumerate(filters))):
        if not skipped >> position & 1:
            data = _undone(code, data, size, source.dtype.itemsize)
    if len(data) != size:
        raise ValueError(f"a chunk of {len(data)} bytes instead of {size}")
    return np.frombuffer(data, source.dtype).reshape(source.chunks)


def _undone(code: int, data: bytes, size: int, itemsize: int) -> bytes:
    if code == h5py.h5z.FILTER_FLETCHER32:
        return data[:-_CHECKSUM]  # deflate has a checksum of its own
    if code == h5py.h5z.FILTER_DEFLATE:
        return inflated(data, size)
    return np.frombuffer(data, np.uint8).reshape(itemsize, -1).T.tobytes()
