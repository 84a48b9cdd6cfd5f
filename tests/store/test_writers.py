"""Many processes saving at once: every version is there, every number once, and readers never see a broken index."""

from __future__ import annotations

import json
import os
import traceback
from contextlib import nullcontext

import pytest

from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.store import journal
from snapcal_workbench.store.disk import locks, owner
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.verify import verify_home

PROCESSES = 16
HOSTS_PROCESSES = 8

pytestmark = pytest.mark.usefixtures("small_instrument")


def saver(store, draft, saves):
    """Fork a process that saves versions; returns its id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for _ in range(saves):
                publish(store.home, store.settings, draft, Progress())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def read_until_done(store, pids):
    """Read while the writers write; returns the number of looks and what was wrong."""
    looks, wrong, running = 0, [], set(pids)
    while running:
        looks += 1
        named = {item["version"] for item in json.loads(store.index_path.read_bytes())}
        reader = StateStore(store.settings, store.state_id, SNAP.lite)
        wrong += [f"look {looks}: not read: {lost}" for lost in [named - {e.version for e in reader.entries()}] if lost]
        wrong += [problem for problem in reader.problems() if "damaged" in problem or "folder is missing" in problem]
        for pid in list(running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                running.remove(pid)
                wrong += [f"writer {pid} failed"] if status else []
    return looks, wrong


def save_at_once(store, draft, saves):
    """All processes save; then look at what is there."""
    looks, wrong = read_until_done(store, [saver(store, draft, saves) for _ in range(PROCESSES)])
    assert wrong == []
    assert looks > 10
    total = PROCESSES * saves
    index = json.loads(store.index_path.read_text())
    assert sorted(item["version"] for item in index) == list(range(total + 1))
    assert sorted(path.name for path in store.home.glob("v_*")) == [f"v_{n:04d}" for n in range(total + 1)]
    assert [finding.message for finding in verify_home(store.home, Progress())] == []
    times = [entry.time for entry in sorted(store.entries(), key=lambda entry: entry.time)]
    assert len(set(times)) == total + 1


def test_sixteen_processes_save_at_once(fresh_store, tiny_draft):
    """Five versions each."""
    save_at_once(fresh_store(), tiny_draft, 5)


def savers_of_two_hosts(store, draft, saves, monkeypatch):
    """Fork processes that take themselves for those of two hosts, between which the file lock does not reach."""
    pids = []
    for number in range(HOSTS_PROCESSES):
        with monkeypatch.context() as patch:
            for module in (owner, journal):
                patch.setattr(module, "host_name", lambda number=number: f"host{number % 2}")
            patch.setattr(locks, "_file_lock", lambda *_: nullcontext())
            pids.append(saver(store, draft, saves))
    return pids


def save_from_two_hosts(store, draft, saves, monkeypatch):
    """The holder mark alone keeps them apart."""
    _, wrong = read_until_done(store, savers_of_two_hosts(store, draft, saves, monkeypatch))
    assert wrong == []
    total = HOSTS_PROCESSES * saves
    assert sorted(item["version"] for item in json.loads(store.index_path.read_text())) == list(range(total + 1))
    assert [finding.message for finding in verify_home(store.home, Progress())] == []
    hosts = {json.loads(line)["host"] for line in (store.home / "audit.jsonl").read_text().splitlines()}
    assert {"host0", "host1"} <= hosts


def test_processes_of_two_hosts_save_at_once(fresh_store, tiny_draft, monkeypatch):
    """Where a network disk shares no file locks."""
    save_from_two_hosts(fresh_store(), tiny_draft, 3, monkeypatch)


@pytest.mark.long
def test_processes_of_two_hosts_save_many_versions_at_once(fresh_store, tiny_draft, monkeypatch):
    """The long form."""
    save_from_two_hosts(fresh_store(), tiny_draft, 25, monkeypatch)


@pytest.mark.long
def test_sixteen_processes_save_many_versions_at_once(fresh_store, tiny_draft):
    """Twenty-five versions each: 400 numbers without gaps or repeats."""
    save_at_once(fresh_store(), tiny_draft, 25)


def test_writers_collide_when_the_lock_is_taken_out(fresh_store, tiny_draft, monkeypatch):
    """Without the lock the same processes lose entries or fail: the test above can fail."""
    from snapcal_workbench.store import publish as module

    monkeypatch.setattr(module, "hold_index", lambda *_: nullcontext())
    store = fresh_store()
    statuses = [os.waitpid(pid, 0)[1] for pid in [saver(store, tiny_draft, 5) for _ in range(PROCESSES)]]
    index = json.loads(store.index_path.read_text())
    assert any(statuses) or len(index) < PROCESSES * 5 + 1
