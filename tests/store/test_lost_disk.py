"""A network disk that was pulled away: calls on it hang or say that it is gone. An error in time, and in a sentence.

The disk is a real mount whose file system is served by nobody: a FUSE connection that is held and never answered.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest

from snapcal_workbench.errors import SnapcalError, StoreError
from snapcal_workbench.patience import sign_of_life, with_patience
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.repair import repair
from snapcal_workbench.store.upkeep.verify import verify_tree

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
LIMIT = 0.2

pytestmark = pytest.mark.usefixtures("small_instrument")


def mount_that_hangs(place):
    """Mount a file system that nobody serves; None where that is not allowed, else the connection to be held."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
        return None
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    try:
        connection = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        return None
    options = f"fd={connection},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"lost", str(place).encode(), b"fuse", 0, options) != 0:
        return None
    return connection


def on_a_lost_disk(store, contents):
    """What each use of the store says when the disk does not answer, and after how many seconds."""
    settings = store.settings
    connection = mount_that_hangs(settings.powder_home)
    if connection is None:
        return None
    uses = {
        "open": lambda: StateStore(settings, store.state_id, store.mode),
        "entries": store.entries,
        "choose": lambda: store.choose(58882),
        "read": lambda: store.read(0),
        "save": lambda: store.save(contents, author="a", comments="c"),
        "retire": lambda: store.retire(1, "r", "a"),
        "verify": lambda: verify_tree(settings),
        "repair": lambda: repair(settings),
    }
    said = {}
    for name, use in uses.items():
        started = time.monotonic()
        try:
            use()
            said[name] = "nothing", 0.0
        except SnapcalError as error:
            said[name] = str(error), time.monotonic() - started
    os.close(connection)
    try:
        store.check_writable()
        store.save(contents, author="a", comments="c")
        said["gone"] = "nothing", 0.0
    except SnapcalError as error:
        said["gone"] = str(error), 0.0
    return said


def in_child(action):
    """Run an action in a process of its own, with its own mounts; returns what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = action()
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return answer


def test_a_disk_that_hangs_is_given_up_in_time(fresh_store, few_pixels):
    """Every use of the store ends soon after the limit, with one sentence; a disk that says it is gone, at once."""
    made = fresh_store()
    settings = made.settings.model_copy(update={"disk_time_limit": LIMIT})
    store = StateStore(settings, made.state_id, made.mode)
    said = in_child(lambda: on_a_lost_disk(store, few_pixels))
    if said is None:
        pytest.skip("this system allows no FUSE mounts in a user namespace")
    gone, _ = said.pop("gone")
    for name, (message, seconds) in said.items():
        assert "has not answered for" in message, name
        assert LIMIT <= seconds < LIMIT + 5, name
    assert gone != "nothing"
    assert "Traceback" not in gone


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_a_disk_that_is_gone_is_told_as_that(fresh_store, few_pixels, monkeypatch, code):
    """What a network disk answers after its server was restarted, or while it is away."""
    store = fresh_store()

    def gone(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(fs, "make_directory", gone)
        with pytest.raises(StoreError, match=r"nothing was changed.*\n.*\n.*mount it anew"):
            store.save(few_pixels, author="a", comments="c")
    assert store.save(few_pixels, author="a", comments="c").version == 1


def test_work_that_gives_signs_of_life_may_take_long(tmp_path):
    """Only silence counts."""

    def slow():
        for _ in range(10):
            time.sleep(0.05)
            sign_of_life()
        return "done"

    assert with_patience(0.3, tmp_path, slow) == "done"


def test_work_that_was_given_up_stops_at_its_next_call(tmp_path):
    """Should the disk ever answer: nothing is published behind the back of who was told that it failed."""
    answers, reached = threading.Event(), []

    def hanging():
        answers.wait(20)
        fs.make_directories(tmp_path / "a")
        fs.publish(tmp_path / "a", tmp_path / "b")
        reached.append("published")

    with pytest.raises(StoreError, match="has not answered"):
        with_patience(0.2, tmp_path, hanging)
    answers.set()
    for thread in threading.enumerate():
        if thread.name == "snapcal store":
            thread.join(20)
    assert reached == []
    assert not (tmp_path / "b").exists()


def test_errors_of_the_work_are_its_own(tmp_path):
    """They come out as they are."""

    def wrong():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        with_patience(5, tmp_path, wrong)
    assert with_patience(5, tmp_path, lambda: with_patience(5, tmp_path, threading.current_thread)).name
