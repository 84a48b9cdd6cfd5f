"""One writer at a time; a dead one is detected, another host's is reported, SNAPRed's is honoured, waiting can end."""

from __future__ import annotations

import itertools
import os
import re
import socket
import threading
from dataclasses import replace

import pytest

from snapcal_workbench.errors import Cancelled, StoreError
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk.locks import HOLDER, hold_index
from snapcal_workbench.store.disk.owner import Owner

SHORT_HOST = socket.gethostname().split(".")[0]


def dead_pid():
    """The id of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


@pytest.fixture
def locks(settings):
    """SNAPRed's lock folder."""
    settings.lock_directory.mkdir()
    return settings.lock_directory


def hold(tmp_path, settings, progress=None, wait=0.2):
    """The lock of the index of a folder."""
    return hold_index(tmp_path, settings, progress or Progress(), wait=wait)


def test_second_writer_waits_and_is_told_who_is_first(tmp_path, settings):
    """The message names process, host, user and since when."""
    with (
        hold(tmp_path, settings),
        pytest.raises(StoreError, match=rf"process {os.getpid()} on .*user \w+, since \d{{4}}-") as caught,
        hold(tmp_path, settings),
    ):
        pass
    assert "snapcal repair" in caught.value.fix
    with hold(tmp_path, settings):
        pass


def test_second_writer_goes_on_when_the_first_has_ended(tmp_path, settings):
    """Two threads take turns."""
    order = []

    def second():
        with hold(tmp_path, settings, wait=30):
            order.append("second")

    thread = threading.Thread(target=second)
    with hold(tmp_path, settings):
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_waiting_can_be_cancelled(tmp_path, settings):
    """A cancelled wait leaves the first writer's lock alone."""
    asked = itertools.count()
    progress = Progress(is_cancelled=lambda: next(asked) > 3)
    with hold(tmp_path, settings):
        with pytest.raises(Cancelled), hold(tmp_path, settings, progress, wait=30):
            pass
        assert (tmp_path / HOLDER).is_symlink()


def test_dead_holder_on_this_host_is_detected(tmp_path, settings):
    """Its mark is removed at once, however young it is."""
    (tmp_path / HOLDER).symlink_to(str(replace(Owner.current(), pid=dead_pid())))
    with hold(tmp_path, settings):
        assert os.readlink(tmp_path / HOLDER) == str(Owner.current())
    assert not os.path.lexists(tmp_path / HOLDER)


def test_process_id_that_is_used_again_is_not_taken_for_the_holder(tmp_path, settings):
    """Same id, other start time: the holder has died."""
    parent = Owner(os.getppid(), 1, Owner.current().namespace, Owner.current().host)
    (tmp_path / HOLDER).symlink_to(str(parent))
    with hold(tmp_path, settings):
        assert os.readlink(tmp_path / HOLDER) == str(Owner.current())


@pytest.mark.parametrize("change", [{"host": "other"}, {"namespace": 1}])
def test_holder_on_another_host_is_never_removed(tmp_path, settings, change):
    """However old its mark is: only that host, or container, can tell whether it is alive."""
    elsewhere = replace(Owner.current(), pid=dead_pid(), **change)
    (tmp_path / HOLDER).symlink_to(str(elsewhere))
    os.utime(tmp_path / HOLDER, (0, 0), follow_symlinks=False)
    with pytest.raises(StoreError, match=f"on {elsewhere.host} .*since 1970"), hold(tmp_path, settings):
        pass
    assert os.readlink(tmp_path / HOLDER) == str(elsewhere)


def test_lock_is_given_back_after_an_error(tmp_path, settings, locks):
    """Nothing stays behind but the empty lock file."""
    with pytest.raises(ZeroDivisionError), hold(tmp_path, settings):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".CalibrationIndex.lock"]
    assert list(locks.iterdir()) == []


def test_snapreds_lock_is_taken_as_it_takes_it(tmp_path, settings, locks):
    """`<pid>_<host>.lock` with the resolved path of the folder, and gone afterwards."""
    with hold(tmp_path, settings):
        (file,) = locks.iterdir()
        assert file.name == f"{os.getpid()}_{SHORT_HOST}.lock"
        assert file.read_text().splitlines() == [str(tmp_path.resolve())]
    assert list(locks.iterdir()) == []


def test_nested_lines_in_our_lock_file_stay(tmp_path, settings, locks):
    """Another path that this process holds stays in the file."""
    own = locks / f"{os.getpid()}_{SHORT_HOST}.lock"
    own.write_text("/some/other/path\n")
    with hold(tmp_path, settings):
        assert len(own.read_text().splitlines()) == 2
    assert own.read_text() == "/some/other/path\n"


@pytest.mark.parametrize("name", ["1_{host}.lock", "77_elsewhere.lock", "odd.lock"])
def test_snapreds_lock_of_others_is_honoured(tmp_path, settings, locks, name):
    """A live process of this host, any of another host, or a file we do not understand: waited for, never removed."""
    file = locks / name.format(host=SHORT_HOST)
    file.write_text(f"/another\n{tmp_path.resolve()}\n")
    os.utime(file, (0, 0))
    with pytest.raises(StoreError, match=re.escape(file.name)), hold(tmp_path, settings):
        pass
    assert file.exists()


def test_snapreds_lock_of_a_dead_process_or_another_path_is_no_hindrance(tmp_path, settings, locks):
    """A process of this host that has ended, or a lock on another folder."""
    (locks / f"{dead_pid()}_{SHORT_HOST}.lock").write_text(f"{tmp_path.resolve()}\n")
    (locks / "77_elsewhere.lock").write_text("/another\n")
    with hold(tmp_path, settings):
        pass
    assert len(list(locks.iterdir())) == 2


def test_snapreds_removal_of_our_lock_file_is_no_error(tmp_path, settings, locks):
    """SNAPRed removes lock files that are older than two minutes."""
    with hold(tmp_path, settings):
        for file in locks.iterdir():
            file.unlink()
        assert os.path.lexists(tmp_path / HOLDER)
    assert not os.path.lexists(tmp_path / HOLDER)
    assert list(locks.iterdir()) == []


def test_snapreds_lock_can_be_left_out(tmp_path, settings, locks):
    """By setting, and where its folder does not exist."""
    (locks / "77_elsewhere.lock").write_text(f"{tmp_path.resolve()}\n")
    with hold(tmp_path, settings.model_copy(update={"honour_snapred_locks": False})):
        assert [file.name for file in locks.iterdir()] == ["77_elsewhere.lock"]
    with hold(tmp_path, settings.model_copy(update={"lock_directory": tmp_path / "nowhere"})):
        assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("text", ["", "1.2.3", "a.b.c.d", "1.2.3.host/..", "1.2.3." + "h" * 99])
def test_odd_marks_are_not_taken_for_owners(tmp_path, settings, text):
    """A mark that is not ours is nobody's to remove; the message names it."""
    assert Owner.parse(text) is None
    if text:
        (tmp_path / HOLDER).symlink_to(text)
        with pytest.raises(StoreError, match="not one of ours"), hold(tmp_path, settings):
            pass


def test_owner_survives_its_text():
    """What is written in a name is read from it."""
    assert Owner.parse(str(Owner.current())) == Owner.current()
    assert Owner.current().state == "alive"
