"""Work in chunks: order, errors, cancel, and the cutting into slices."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.calibration.chunks import MAX_THREADS, in_order, split
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress


@pytest.mark.parametrize("threads", [1, 2, 4, None])
def test_results_come_in_the_order_of_the_chunks(threads):
    fast = threading.Event()

    def work(chunk: int) -> int:
        if chunk == 0 and threads != 1:
            fast.wait(5.0)
        fast.set()
        return chunk * chunk

    if threads is None:
        fast.set()
    assert list(in_order(work, range(10), progress=Progress(), threads=threads)) == [k * k for k in range(10)]


def test_no_chunk_gives_no_result():
    assert list(in_order(str, [], progress=Progress())) == []


def test_progress_never_goes_back_and_ends_at_the_end():
    seen: list[float] = []
    list(in_order(str, range(20), progress=Progress(lambda fraction, _: seen.append(fraction)).part(0.2, 0.7)))
    assert seen == sorted(seen)
    assert seen[0] >= 0.2
    assert seen[-1] == pytest.approx(0.7)


def test_an_error_in_a_chunk_reaches_the_caller():
    def work(chunk: int) -> int:
        if chunk == 5:
            raise ValueError("chunk 5")
        return chunk

    with pytest.raises(ValueError, match="chunk 5"):
        list(in_order(work, range(10), progress=Progress()))


def test_cancel_leaves_most_of_the_chunks_undone():
    done: list[int] = []
    progress = Progress(is_cancelled=lambda: len(done) >= 3)
    with pytest.raises(Cancelled):
        list(in_order(done.append, range(1000), progress=progress, threads=2))
    assert len(done) < 3 + 2 * MAX_THREADS + 1


@given(
    cost=st.lists(st.integers(0, 1000), max_size=60),
    limit=st.integers(1, 3000),
    most=st.integers(1, 20),
)
def test_slices_cover_all_items_once_within_the_limits(cost, limit, most):
    costs = np.array(cost, np.int64)
    slices = split(costs, limit, most)
    covered = [k for part in slices for k in range(part.start, part.stop)]
    assert covered == list(range(len(cost)))
    for part in slices:
        items = part.stop - part.start
        assert 1 <= items <= most
        assert items == 1 or costs[part].sum() <= limit
