"""Single system calls of a save fail: nothing false is published, nothing is lost, and what is said is true."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from snapcal_workbench.calibration.types import RunInfo
from snapcal_workbench.formats.nexus.event_writer import BankEvents, write_events
from snapcal_workbench.formats.values import read_values, write_values
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.upkeep.verify import verify_home
from tests.store.faults import CALLS, REFUSED, SAVED, TOLD_SAVED, Tally, can_trace, count_calls, with_fault

A_FEW = 3
"""Faults of a call in the short form, spread over its calls."""

pytestmark = [
    pytest.mark.usefixtures("small_instrument"),
    pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not attach"),
]


def save(store, contents):
    """Save one version."""
    return store.save(contents, author="tester", comments="c").version


def complaints(store, contents, code):
    """What is wrong after a save that ended so."""
    wrong = []
    versions = [entry.version for entry in store.entries()]
    allowed = {REFUSED: [[0]], TOLD_SAVED: [[0, 1]], SAVED: [[0, 1]]}.get(code, [[0], [0, 1]])
    if versions not in allowed:
        wrong.append(f"versions {versions}")
    if not isinstance(json.loads(store.index_path.read_bytes()), list):
        wrong.append("the index is no list")
    found = verify_home(store.home, Progress())
    wrong += [f"{finding.path.name}: {finding.message}" for finding in found if finding.path.name.startswith("v_")]
    number = save(store, contents)
    if number != versions[-1] + 1:
        wrong.append(f"the next save made version {number} after {versions}")
    wrong += [f"after the next save: {problem}" for problem in store.problems()]
    return wrong


def faults_of_a_save(fresh_store, contents, call, error, numbers):
    """Let a call of a save fail, each of some numbers in a tree of its own."""
    tally = Tally()
    for number in numbers:
        store = fresh_store()
        code = with_fault(partial(save, store, contents), call, error, number)
        tally.add(code, f"{error} in {call} {number}", complaints(store, contents, code))
    return tally


def spread(count, number):
    """Some of the numbers from 1 to `count`: the first, the last, and between them."""
    number = min(number, count)
    return sorted({1 + round(i * (count - 1) / max(number - 1, 1)) for i in range(number)})


@pytest.fixture
def counted(fresh_store, few_pixels):
    """How often a save makes each call."""
    store = fresh_store()
    return count_calls(lambda: save(store, few_pixels))


def test_the_hdf5_library_writes_nothing_to_the_disk(counted):
    """It would use positioned writes; all that is written goes through plain ones, of which every error is seen."""
    assert {"pwrite64", "pwritev", "pwritev2", "writev", "ftruncate"} & set(counted) == set()
    assert counted["write"] >= 9
    assert counted["fsync"] >= 12


@pytest.mark.parametrize("call", ["write", "fsync", "openat", "rename", "close"])
def test_a_few_calls_fail(fresh_store, few_pixels, counted, call):
    """The first, the last and one between."""
    tally = faults_of_a_save(fresh_store, few_pixels, call, "EIO", spread(counted[call], A_FEW))
    assert tally.wrong == []
    assert tally.injected >= min(A_FEW, counted[call])


@pytest.mark.long
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "ESTALE", "EACCES"])
@pytest.mark.parametrize("call", CALLS)
def test_every_call_fails(fresh_store, few_pixels, counted, call, error, capsys):
    """Each call of each kind, one by one; a row of the long run's table each."""
    tally = faults_of_a_save(fresh_store, few_pixels, call, error, range(1, counted.get(call, 0) + 1))
    with capsys.disabled():
        print(f"\n{call:>12} {error:>7} {tally.row()}")
    assert tally.wrong == []


def banks(bank):
    """Two banks of some chunks."""
    return (bank._replace(name=name) for name in ("bank11_events", "bank12_events"))


@pytest.mark.parametrize("what", ["iteration", "run"])
def test_files_of_a_session_and_of_a_simulation(quick_path, few_pixels, what):
    """An error in any write is told, and the file of before is there."""
    path = quick_path / "file.h5"
    n = 150_000
    ids, tof = np.arange(n, dtype=np.uint32), np.linspace(2000, 14000, n, dtype=np.float32)
    bank = BankEvents("", ids, tof, np.zeros(1), np.zeros(1, np.uint64))

    def write():
        if what == "iteration":
            write_values(path, {"mask": few_pixels.mask})
        else:
            write_events(path, run_info=RunInfo("1"), banks=banks(bank))

    write()
    before = path.read_bytes()
    count = count_calls(write)["write"]
    for number in spread(count, A_FEW):
        assert with_fault(write, "write", "EIO", number) == REFUSED
        assert path.read_bytes() == before
        assert list(quick_path.iterdir()) == [path]
    if what == "iteration":
        assert set(read_values(path)) == {"mask"}
