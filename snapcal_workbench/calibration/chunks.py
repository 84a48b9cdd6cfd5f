"""Work in chunks on both cores, with progress and cancel between chunks.

A *chunk* is a fixed part of the work, chosen without regard to the number of threads, and results come in the order of
the chunks: what is computed does not depend on how many threads compute it. The work must release the GIL (numpy,
scipy.fft, numba with nogil) for threads to help.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.progress import Progress

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

MAX_THREADS = 4
"""Most threads that are ever used at once: memory budgets are divided by it."""


_allowed = MAX_THREADS


def limit_threads(count: int) -> None:
    """Use no more threads than `count` in this process, which is one of several on its machine."""
    global _allowed
    _allowed = max(1, min(MAX_THREADS, count))


def default_threads() -> int:
    """Number of threads: the cores that the process may use, at most `MAX_THREADS` and what `limit_threads` allows."""
    return max(1, min(_allowed, usable_cores()))


def usable_cores() -> int:
    """Cores that this process may use: a queue gives a job only some of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[Chunk], Result],
    chunks: Sequence[Chunk],
    *,
    progress: Progress,
    message: str = "",
    threads: int | None = None,
) -> Iterator[Result]:
    """Results of `work` for each chunk, in the order of the chunks; only a few are ahead of the consumer.

    Args:
        work: Called with one chunk; must not change anything that another chunk reads.
        chunks: What to work on.
        progress: Reported to after each chunk.
        message: Shown with the progress.
        threads: Number of threads; None: `default_threads`.

    Raises:
        Cancelled: If the user has cancelled; chunks that have not started are dropped.
    """
    threads = min(threads or default_threads(), MAX_THREADS)
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, chunk in enumerate(chunks):
                ahead.append(pool.submit(work, chunk))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
                progress.report(max(0, done - threads) / len(chunks), message)
            while ahead:
                yield ahead.popleft().result()
                progress.report(1.0 - len(ahead) / len(chunks), message)
        finally:
            for future in ahead:
                future.cancel()


def split(cost: NDArray[np.int64], limit: float, most: int) -> list[slice]:
    """Consecutive items cut into slices of at most `most` items and about `limit` cost (one item at least).

    Args:
        cost: int64[n], cost of each item, not negative.
        limit: Cost after which a slice ends.
        most: Largest number of items in a slice.
    """
    total = np.concatenate([[0], np.cumsum(cost)])
    slices, first = [], 0
    while first < len(cost):
        last = int(np.searchsorted(total, total[first] + limit, side="right")) - 1
        last = min(max(last, first + 1), first + most, len(cost))
        slices.append(slice(first, last))
        first = last
    return slices
