"""Full disks, lost permissions and read-only trees: a clear error, nothing lost, and the next save succeeds."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import traceback

import pytest

from snapcal_workbench.errors import PermissionDeniedError, StoreError
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.verify import verify_home, verify_tree

CALLS_THAT_NEED_SPACE = ("open", "write", "fsync", "mkdir", "symlink", "rename", "replace")
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
NOBODY = 65534

pytestmark = pytest.mark.usefixtures("small_instrument")


def save(store, contents):
    """Save one version."""
    return store.save(contents, author="tester", comments="c").version


class FullDisk:
    """From call number `start` on, every call that needs space fails as on a full disk."""

    def __init__(self, monkeypatch, start):
        self.calls, self.start = 0, start
        for name in CALLS_THAT_NEED_SPACE:
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, call):
        def maybe(*args, **kwargs):
            if call.__name__ == "open" and not args[1] & os.O_CREAT:
                return call(*args, **kwargs)
            self.calls += 1
            if self.calls >= self.start:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
            return call(*args, **kwargs)

        return maybe


def error_on_a_full_disk(store, draft, monkeypatch, start):
    """Save with a disk that is full from some call on; returns the message of the error, or ""."""
    with monkeypatch.context() as patch:
        FullDisk(patch, start)
        try:
            publish(store.home, store.settings, draft, Progress())
        except StoreError as error:
            return str(error)
    return ""


def test_full_disk_at_every_call(fresh_store, tiny_draft, monkeypatch):
    """The disk is full from some call on: the old state, or the new version with the index to follow."""
    start, message = 1, "not tried"
    while message:
        store = fresh_store()
        message = error_on_a_full_disk(store, tiny_draft, monkeypatch, start)
        assert not message or ("pace" in message and "To do:" in message), start
        versions = [entry.version for entry in store.entries()]
        assert versions == ([0, 1] if "was saved" in message or not message else [0]), (start, message)
        number = publish(store.home, store.settings, tiny_draft, Progress()).version
        assert number == versions[-1] + 1
        assert [found.message for found in verify_home(store.home, Progress())] == [], start
        start += 1
    assert start > 12


@pytest.mark.parametrize("action", ["retire", "unretire"])
def test_full_disk_while_retiring(fresh_store, tiny_draft, monkeypatch, action):
    """Either it counts or it does not; the choice and the index never disagree afterwards."""
    for start in range(1, 12):
        store = fresh_store()
        publish(store.home, store.settings, tiny_draft, Progress())
        if action == "unretire":
            store.retire(1, "r", "a")
        with monkeypatch.context() as patch:
            FullDisk(patch, start)
            try:
                getattr(store, action)(1, "r", "a")
            except StoreError:
                assert store.choose(58882).version in (0, 1)
        chosen = store.choose(58882).version
        publish(store.home, store.settings, tiny_draft, Progress())
        written = {item["version"]: item["appliesTo"] for item in json.loads(store.index_path.read_text())}
        assert (written[1] == "<0") == (chosen == 0)


def in_child(action):
    """Run an action in a forked process; returns what it returned (JSON), or fails with its traceback."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = {"result": action()}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert "error" not in answer, answer["error"]
    return answer["result"]


def own_mounts():
    """Give this process mounts of its own; False where the system does not allow it."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def mount(source, target, kind, flags, options=""):
    """Mount; False where the system does not allow it."""
    arguments = (str(source).encode(), str(target).encode(), kind.encode(), flags, options.encode())
    return ctypes.CDLL(None, use_errno=True).mount(*arguments) == 0


def saves_on_a_small_disk(make_store, contents, root, size):
    """Save until a disk of some bytes is full; returns the versions, the error and what is wrong."""
    if not own_mounts() or not mount("tmpfs", root, "tmpfs", 0, f"size={size}"):
        return None
    store, saved, message = make_store(), [0], ""
    try:
        while len(saved) < 50:
            saved.append(save(store, contents))
    except StoreError as error:
        message = str(error)
    there = [entry.version for entry in store.entries()]
    findings = [f"{found.path.name}: {found.message}" for found in verify_home(store.home, Progress())]
    return saved, there, message, findings


@pytest.mark.parametrize("kilobytes", [700, 760, 820])
def test_small_disk(fresh_store, few_pixels, quick_path, kilobytes):
    """On a real disk that fills up, the HDF5 library's writes included."""
    found = in_child(lambda: saves_on_a_small_disk(fresh_store, few_pixels, quick_path, kilobytes * 1024))
    if found is None:
        pytest.skip("this system allows no mounts in a user namespace")
    saved, there, message, findings = found
    assert len(saved) > 1
    assert there[: len(saved)] == saved
    assert len(there) == len(saved) or "was saved" in message
    assert "To do:" in message
    assert [finding for finding in findings if finding.startswith("v_")] == []


def on_a_read_only_mount(store, contents, root):
    """Read, choose, verify and try to save and to retire on a read-only mount."""
    if not (
        own_mounts() and mount(root, root, "", MS_BIND) and mount(root, root, "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    ):
        return None
    errors = []
    for action in (lambda: save(store, contents), lambda: store.retire(1, "r", "a")):
        try:
            action()
        except PermissionDeniedError as error:
            errors.append(error.found)
    read = store.read(1)
    findings = [found.message for found in verify_tree(store.settings)]
    return errors, store.choose(58882).version, len(read.table), findings, store.writable()


def test_read_only_tree_is_fully_usable_for_reading(fresh_store, few_pixels, quick_path):
    """Everything but writing works, and writing says why it does not."""
    store = fresh_store()
    save(store, few_pixels)
    found = in_child(lambda: on_a_read_only_mount(store, few_pixels, quick_path))
    if found is None:
        pytest.skip("this system allows no mounts in a user namespace")
    errors, chosen, pixels, findings, why_not = found
    assert len(errors) == 2
    assert (chosen, pixels, findings) == (1, 12, [])
    assert "read-only" in why_not


def as_nobody(action):
    """Run an action in a process without privileges."""

    def without_privileges():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return action()

    return in_child(without_privileges)


@pytest.fixture
def nobodys_store(fresh_store, quick_path):
    """A store that belongs to an unprivileged user."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    store = fresh_store()
    os.chmod(quick_path, 0o755)
    for folder, _, files in os.walk(quick_path / "fresh"):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, NOBODY, NOBODY)
    return store


def test_user_without_permission_is_told_so(nobodys_store, few_pixels):
    """A tree of others can be read; saving is refused before anything is built."""
    os.chown(nobodys_store.home, 0, 0)

    def action():
        try:
            save(nobodys_store, few_pixels)
        except PermissionDeniedError as error:
            return error.found, nobodys_store.choose(58882).version
        return None

    found, chosen = as_nobody(action)
    assert "may not write" in found
    assert chosen == 0


@pytest.mark.parametrize("moment", [1, 3])
def test_permission_that_is_lost_in_the_middle(nobodys_store, few_pixels, moment):
    """The tree becomes read-only while the version is built: the old state, and the next save cleans up."""
    home = nobodys_store.home

    def action():
        looks = []

        def lose_it(fraction, message):
            looks.append(1)
            if len(looks) == moment:
                os.chmod(home, 0o555)

        try:
            nobodys_store.save(few_pixels, author="a", comments="c", progress=Progress(on_report=lose_it))
        except PermissionDeniedError as error:
            return error.found
        return ""

    assert "Permission denied" in as_nobody(action)
    assert [entry.version for entry in nobodys_store.entries()] == [0]
    os.chmod(home, 0o755)
    assert as_nobody(lambda: save(nobodys_store, few_pixels)) == 1
    assert [found.message for found in verify_home(home, Progress())] == []
