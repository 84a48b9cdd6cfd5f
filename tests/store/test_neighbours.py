"""Other users, dead processes and odd things in the tree stop no save, and none of them is passed over unsaid."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from snapcal_workbench.errors import PermissionDeniedError, StoreError
from snapcal_workbench.formats.index import MAX_VERSION, next_version
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs, locks, snapred_lock
from snapcal_workbench.store.disk.locks import HOLDER
from snapcal_workbench.store.disk.owner import Owner, state_of
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.repair import repair
from snapcal_workbench.store.upkeep.verify import verify_home

NOBODY = 65534

pytestmark = pytest.mark.usefixtures("small_instrument")


class Told:
    """What a user would be told of an action that is given `progress`."""

    def __init__(self):
        self.messages: list[str] = []
        self.progress = Progress(on_message=lambda level, message: self.messages.append(message))


def save(store, draft, progress=None):
    """Save one version; returns its number."""
    return publish(store.home, store.settings, draft, progress or Progress()).version


@pytest.fixture
def store(fresh_store):
    """A store with the default alone."""
    return fresh_store()


@pytest.fixture
def zombie():
    """The owner text of a process that has ended and whose parent has not asked for it."""
    code = "import os, time; pid = os.fork() or os._exit(0); print(pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        stat = Path(f"/proc/{pid}/stat")
        while (fields := stat.read_text().rpartition(")")[2].split())[0] != "Z":
            time.sleep(0.01)
        yield replace(Owner.current(), pid=pid, start=int(fields[19]))
        parent.kill()


def test_a_zombie_is_dead(store, tiny_draft, zombie):
    """Its lock is removed, its staging folder too, and `verify` and `repair` see both."""
    assert zombie.state == "dead"
    (store.home / HOLDER).symlink_to(str(zombie))
    (store.home / f".staging.v_0001.{zombie}").mkdir()
    found = " ".join(finding.message for finding in verify_home(store.home, Progress()))
    assert found.count("which has ended") == 2
    assert len(repair(store.settings)) == 2
    started = time.monotonic()
    assert save(store, tiny_draft) == 1
    assert time.monotonic() - started < 10
    assert verify_home(store.home, Progress()) == []


def test_a_zombies_lock_of_snapred_is_no_hindrance(tmp_path, zombie):
    """The same for SNAPRed's lock files."""
    host = snapred_lock._short_host()
    (tmp_path / f"{zombie.pid}_{host}.lock").write_text(f"{tmp_path.resolve()}\n")
    assert snapred_lock._blocker(tmp_path, tmp_path / "own.lock", str(tmp_path.resolve())) is None


@pytest.mark.parametrize("pid", [0, 2**31 - 1, 9_999_999_999])
def test_numbers_that_no_process_has_are_dead(pid):
    """Also beyond what the system takes for a process id."""
    assert state_of(pid) == "dead"


def as_nobody(action):
    """Run an action in a process without privileges; returns what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            answer = action()
        except BaseException as error:
            answer = repr(error)
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return answer


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("protection", ["sticky", "private"])
def test_another_users_dead_staging_folder_is_worked_around(store, quick_path, tiny_draft, zombie, protection):
    """It stays, is told, and takes no number; `repair` says what it could not do."""
    quick_path.chmod(0o755)
    for folder, _, files in os.walk(quick_path / "fresh"):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, NOBODY, NOBODY)
    if protection == "sticky":
        os.chown(store.home, 0, NOBODY)
        store.home.chmod(0o1777)
    left = store.home / f".staging.v_0001.{zombie}"
    left.mkdir(mode=0o700 if protection == "private" else 0o755)
    (left / "half.h5").write_bytes(b"half")

    def action():
        told = Told()
        return (
            save(store, tiny_draft, told.progress),
            told.messages,
            [a.why_not for a in repair(store.settings, apply=True)],
        )

    version, messages, why_not = as_nobody(action)
    assert version == 1
    assert "could not be removed" in " ".join(messages)
    assert "user root" in " ".join(messages)
    if protection == "sticky":
        assert ["ermitted" in text for text in why_not] == [True]
    assert left.is_dir() == (protection == "sticky" or bool(why_not[0]))


@pytest.mark.parametrize("kind", ["folder", "entry", "staging"])
def test_the_largest_number_ends_no_save(store, tiny_draft, kind):
    """A stray folder, an entry or a staging folder with the last number that there is."""
    if kind == "folder":
        (store.home / f"v_{MAX_VERSION}").mkdir()
    elif kind == "staging":
        (store.home / f".staging.v_{MAX_VERSION}.{replace(Owner.current(), host='elsewhere')}").mkdir()
    else:
        index = json.loads(store.index_path.read_text())
        store.index_path.write_text(json.dumps([*index, {**index[0], "version": MAX_VERSION}]))
    assert [save(store, tiny_draft), save(store, tiny_draft)] == [1, 2]
    assert any(str(MAX_VERSION) in finding.message for finding in verify_home(store.home, Progress()))


def test_next_number():
    """One more than the largest, past those that nothing can follow."""
    assert next_version([]) == 1
    assert next_version([0, 4, 2]) == 5
    assert next_version([0, 1, MAX_VERSION]) == 2
    assert next_version([0, 1, MAX_VERSION - 1, MAX_VERSION]) == 2
    assert next_version([0, MAX_VERSION - 1]) == MAX_VERSION


@pytest.mark.parametrize("has_reader", [False, True])
@pytest.mark.parametrize("name", ["audit.jsonl", "retirements.jsonl"])
def test_a_pipe_in_the_place_of_a_log_hangs_nobody(store, tiny_draft, name, has_reader):
    """An error at once, before anything is published, whether somebody reads the pipe or not."""
    (store.home / name).unlink(missing_ok=True)
    os.mkfifo(store.home / name)
    reader = os.open(store.home / name, os.O_RDONLY | os.O_NONBLOCK) if has_reader else None
    errors = []

    def change():
        try:
            if name == "audit.jsonl":
                save(store, tiny_draft)
            else:
                store.retire(1, "r", "a")
        except StoreError as error:
            errors.append(str(error))

    if name == "retirements.jsonl":
        save(store, tiny_draft)
    before = [entry.to_json() for entry in store.entries()]
    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    thread.join(20)
    if reader is not None:
        os.close(reader)
    assert not thread.is_alive()
    assert "not a regular file" in errors[0]
    assert name in errors[0]
    assert [entry.to_json() for entry in store.entries()] == before
    (store.home / name).unlink()
    assert save(store, tiny_draft) == len(before)


def test_a_pipe_among_snapreds_locks_hangs_nobody(store, tiny_draft):
    """It is no lock that one could read."""
    store.settings.lock_directory.mkdir(exist_ok=True)
    os.mkfifo(store.settings.lock_directory / "77_elsewhere.lock")
    assert save(store, tiny_draft) == 1


@pytest.mark.parametrize("version", ["[1]", '{"a": 1}', '"1"', "true", "null", "1.0"])
def test_verify_lists_odd_lines_of_the_audit_log(store, tiny_draft, version):
    """A version that is no whole number."""
    save(store, tiny_draft)
    with open(store.home / "audit.jsonl", "a") as log:
        log.write(f'{{"action": "save", "version": {version}, "record": "sha256:0"}}\n')
    assert ["names no version" in finding.message for finding in verify_home(store.home, Progress())] == [True]
    assert store.read(1).entry.version == 1


# -- what is true after each point of no return ---------------------------------------------------------------------


def failing(monkeypatch, module, name, when=lambda *_: True, after=lambda *_: None):
    """Let a call fail where `when` holds for its arguments, after doing something else."""
    original = getattr(module, name)

    def call(*arguments):
        if not when(*arguments):
            return original(*arguments)
        after(*arguments)
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))

    monkeypatch.setattr(module, name, call)


def test_a_lock_that_cannot_be_given_back_is_told_beside_the_saved_version(store, tiny_draft, monkeypatch):
    """The version is there: no error, but a warning; and the next save of this program succeeds."""
    told = Told()
    with monkeypatch.context() as patch:
        failing(patch, locks.fs, "remove", when=lambda path: path.name == HOLDER and (store.home / "v_0001").exists())
        assert save(store, tiny_draft, told.progress) == 1
    assert "What was done is done" in " ".join(told.messages)
    assert [entry.version for entry in store.entries()] == [0, 1]
    assert save(store, tiny_draft) == 2
    assert not os.path.lexists(store.home / HOLDER)


def test_a_file_lock_that_cannot_be_given_back_is_told(store, tiny_draft, monkeypatch):
    """The same for the lock of the operating system."""
    told = Told()
    release = FileLock.release

    def failing_release(lock, force=False):
        release(lock, force)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(FileLock, "release", failing_release)
    assert save(store, tiny_draft, told.progress) == 1
    assert "could not be given back" in " ".join(told.messages)


def test_a_rename_whose_answer_is_lost_is_a_saved_version(store, tiny_draft, monkeypatch):
    """As on a network disk: done, and reported as failed."""
    with monkeypatch.context() as patch:
        failing(patch, fs, "publish", after=os.rename)
        assert save(store, tiny_draft) == 1
    assert verify_home(store.home, Progress()) == []


def test_a_rename_that_fails_changes_nothing(store, tiny_draft, monkeypatch):
    """And says so."""
    with monkeypatch.context() as patch:
        failing(patch, fs, "publish")
        with pytest.raises(StoreError, match="nothing was changed"):
            save(store, tiny_draft)
    assert [entry.version for entry in store.entries()] == [0]


@pytest.mark.parametrize("what", ["CalibrationIndex.json", "audit.jsonl"])
def test_errors_after_the_publication_say_that_it_is_saved(store, tiny_draft, monkeypatch, what):
    """The index, or the last line of the audit log."""
    with monkeypatch.context() as patch:
        failing(patch, fs, "append", when=lambda path, data: path.name == what and b'"save"' in data)
        failing(patch, os, "replace", when=lambda source, target: target.name == what)
        with pytest.raises(StoreError, match=r"Version 1 was saved.*\n.*\n.*Do not save it again"):
            save(store, tiny_draft)
    assert [entry.version for entry in store.entries()] == [0, 1]


@pytest.mark.parametrize("what", ["CalibrationIndex.json", "audit.jsonl"])
@pytest.mark.parametrize("action", ["retire", "unretire"])
def test_errors_after_the_line_of_a_retirement_say_that_it_counts(store, tiny_draft, monkeypatch, action, what):
    """The line in `retirements.jsonl` is the truth; the rest is repaired."""
    save(store, tiny_draft)
    if action == "unretire":
        store.retire(1, "r", "a")
    with monkeypatch.context() as patch:
        failing(patch, fs, "append", when=lambda path, data: path.name == what)
        failing(patch, os, "replace", when=lambda source, target: target.name == what)
        with pytest.raises(StoreError, match=r"Version 1 is (retired|back), but.*\n.*\n.*Do not repeat it"):
            getattr(store, action)(1, "r", "a")
    assert (store.choose(58882).version == 0) == (action == "retire")
    repair(store.settings, apply=True)
    assert {e["version"]: e["appliesTo"] == "<0" for e in json.loads(store.index_path.read_text())}[1] == (
        action == "retire"
    )


def test_a_retirement_whose_line_cannot_be_written_changes_nothing(store, tiny_draft, monkeypatch):
    """And says so."""
    save(store, tiny_draft)
    with monkeypatch.context() as patch:
        failing(patch, fs, "append", when=lambda path, data: path.name == "retirements.jsonl")
        with pytest.raises(StoreError, match="it is as it was"):
            store.retire(1, "r", "a")
    assert store.choose(58882).version == 1


def test_a_step_of_a_repair_that_fails_hinders_no_other(store, tiny_draft, zombie, monkeypatch):
    """It is told, and the index is put right all the same."""
    save(store, tiny_draft)
    (store.home / f".staging.v_0002.{zombie}").mkdir()
    store.index_path.unlink()
    with monkeypatch.context() as patch:
        failing(patch, fs, "publish")
        actions = repair(store.settings, apply=True)
    assert [(action.done, bool(action.why_not)) for action in actions] == [(False, True), (True, False)]
    assert len(json.loads(store.index_path.read_text())) == 2


def test_a_store_error_keeps_its_kind(store, tiny_draft, monkeypatch):
    """A disk that may not be written is told as that."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(fs, "make_directory", refuse)
    with pytest.raises(PermissionDeniedError):
        save(store, tiny_draft)
