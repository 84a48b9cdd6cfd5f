"""A writer that is killed at any moment leaves the old state or the new one, and the next save succeeds.

The writer is a process of its own, forked from this one and killed with SIGKILL: at random moments, and right after
each call of the operating system that a save makes. The same checks must fail when the rename is taken out.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from snapcal_workbench.progress import Progress
from snapcal_workbench.store import index_file
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.locks import LOCK
from snapcal_workbench.store.disk.strict_json import parse_json
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.verify import verify_home
from snapcal_workbench.store.version.contents import VersionContents

CALLS = ("open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir", "symlink", "chmod")
VERSIONS_A_TREE = 10
VERSIONS_A_TREE_LONG = 50

pytestmark = pytest.mark.usefixtures("small_instrument")


def save(store, contents):
    """Save one version: a whole calibration, or a draft of one small file."""
    if isinstance(contents, VersionContents):
        return store.save(contents, author="tester", comments="c").version
    return publish(store.home, store.settings, contents, Progress()).version


def in_child(action):
    """Run an action in a forked process; returns its id."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid


def ended_by_itself(pid):
    """Wait for a process; whether it was not killed."""
    return os.WIFEXITED(os.waitpid(pid, 0)[1])


def kill_after(calls):
    """In this process, count the calls of the operating system, and die right after one of them."""
    count = [0]

    def counting(call):
        def counted(*args, **kwargs):
            result = call(*args, **kwargs)
            only_reads = call.__name__ == "open" and not args[1] & os.O_CREAT
            count[0] += not only_reads
            if count[0] == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


def complaints(store, contents, known):
    """What is wrong after a crash; `known` are the versions that were there before, and takes up what is there now."""
    wrong = []
    try:
        assert isinstance(parse_json(store.index_path.read_bytes()), list)
    except (OSError, ValueError, AssertionError) as error:
        wrong.append(f"the index does not parse: {error!r}")
    present = {entry.version for entry in store.entries()}
    if not known <= present <= known | {max(known) + 1}:
        wrong.append(f"versions {sorted(known)} became {sorted(present)}")
    findings = verify_home(store.home, Progress())
    wrong += [f"{found.path.name}: {found.message}" for found in findings if found.path.name.startswith("v_")]
    number = save(store, contents)
    if number != max(present) + 1:
        wrong.append(f"the next save made version {number} after {sorted(present)}")
    wrong += [f"after the next save: {problem}" for problem in store.problems()]
    litter = sorted(path.name for path in store.home.iterdir() if path.name.startswith(".") and path.name != LOCK)
    wrong += [f"after the next save there is still {name}" for name in litter]
    known |= present | {number}
    return wrong


def kill_after_each_call(fresh_store, contents):
    """Kill a save after its first call, its second, and so on to its end or the first complaints."""
    kills = 0
    wrong: list[str] = []
    while not wrong:
        if kills % VERSIONS_A_TREE == 0:
            store, known = fresh_store(), {0}

        def killed(store=store, calls=kills + 1):
            kill_after(calls)
            save(store, contents)

        if ended_by_itself(in_child(killed)):
            break
        kills += 1
        wrong += [f"killed after call {kills}: {problem}" for problem in complaints(store, contents, known)]
    return kills, wrong


def test_kill_after_each_call(fresh_store, tiny_draft):
    """After every single call of the operating system that changes something."""
    kills, wrong = kill_after_each_call(fresh_store, tiny_draft)
    assert wrong == []
    assert kills > 25


def kill_at_random(fresh_store, contents, kills, versions_a_tree):
    """Kill saves at random moments; returns how many were killed before they ended, and the complaints."""
    generator = random.Random(7)
    store, known, cut_short, wrong = fresh_store(), {0}, 0, []
    started = time.perf_counter()
    save(store, contents)
    usual = time.perf_counter() - started
    known.add(1)
    for number in range(kills):
        if len(known) > versions_a_tree:
            store, known = fresh_store(), {0}
        pid = in_child(lambda store=store: save(store, contents))
        time.sleep(generator.uniform(0, 1.1 * usual))
        os.kill(pid, signal.SIGKILL)
        cut_short += not ended_by_itself(pid)
        wrong += [f"kill {number}: {problem}" for problem in complaints(store, contents, known)]
    return cut_short, wrong


@pytest.mark.parametrize(("kind", "kills"), [("few_pixels", 12), ("tiny_draft", 30)])
def test_kill_at_random_moments(request, fresh_store, kind, kills):
    """Some moments lie inside a call: the HDF5 library's writes among them."""
    cut_short, wrong = kill_at_random(fresh_store, request.getfixturevalue(kind), kills, VERSIONS_A_TREE)
    assert wrong == []
    assert cut_short > kills // 6


@pytest.mark.long
def test_kill_at_a_thousand_random_moments(fresh_store, few_pixels):
    """The long form."""
    cut_short, wrong = kill_at_random(fresh_store, few_pixels, 1000, VERSIONS_A_TREE_LONG)
    assert wrong == []
    assert cut_short > 200


def test_kills_are_noticed_when_the_rename_of_the_folder_is_taken_out(fresh_store, tiny_draft, monkeypatch):
    """With a version that is copied into place file by file the same checks fail."""

    def copied(source, target):
        fs.make_directory(target)
        for path in sorted(source.iterdir()):
            fs.copy(path, target / path.name)
        fs.remove_tree(source)

    monkeypatch.setattr(fs, "publish", copied)
    _, wrong = kill_after_each_call(fresh_store, tiny_draft)
    assert any("CalibrationRecord.json cannot be read" in problem for problem in wrong)


def test_kills_are_noticed_when_the_rename_of_the_index_is_taken_out(fresh_store, tiny_draft, monkeypatch):
    """With an index that is emptied and written anew, as SNAPRed does it, the same checks fail."""

    def written_in_place(home, data):
        descriptor = os.open(home / "CalibrationIndex.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, data)
        os.close(descriptor)

    monkeypatch.setattr(index_file, "replace_index", written_in_place)
    _, wrong = kill_after_each_call(fresh_store, tiny_draft)
    assert any("the index does not parse" in problem for problem in wrong)
