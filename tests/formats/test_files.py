"""Writing complete or not at all, and what is said when it fails."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, Spectra
from snapcal_workbench.errors import NotFoundError, PermissionDeniedError, SnapcalError, StoreError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.processed import write_processed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and file permissions of Unix")


def _in_child(work: Callable[[], None]) -> tuple[str, str]:
    """Class and message of the error that `work` raises in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = "nothing\n"
        try:
            work()
        except SnapcalError as error:
            outcome = f"{type(error).__name__}\n{error}"
        except BaseException as error:
            outcome = f"other {type(error).__name__}\n{error}"
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        name, _, message = pipe.read().partition("\n")
    os.waitpid(child, 0)
    return name, message


def _with_room_for(size: int, work: Callable[[], None]) -> Callable[[], None]:
    """`work` with files limited to a size: a write beyond it fails, as on a full disk."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        work()

    return limited


def _large_table() -> DiffCalTable:
    n = 20_000
    difc = np.random.default_rng(1).uniform(3000, 8000, n)
    return DiffCalTable(np.arange(n, dtype=np.int32), difc, np.zeros(n), np.zeros(n))


@pytest.mark.parametrize("room", [0, 100, 3000, 50_000, 120_000])
def test_a_full_disk_keeps_the_file_of_before(tmp_path: Path, table: DiffCalTable, room: int) -> None:
    """Wherever the writing fails: our error, the old file untouched, and no litter."""
    path = tmp_path / "a.h5"
    write_diffcal(path, table)
    before = path.read_bytes()
    name, message = _in_child(_with_room_for(room, lambda: write_diffcal(path, _large_table())))
    assert name == StoreError.__name__, message
    assert "Could not write a DiffCal file" in message
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_for_spectra(tmp_path: Path, spectra: Spectra) -> None:
    """The same for processed NeXus."""
    work = _with_room_for(5000, lambda: write_processed(tmp_path / "a.nxs", {"s": spectra}, instrument="SNAP"))
    assert _in_child(work)[0] == StoreError.__name__
    assert not list(tmp_path.iterdir())


def _as_nobody(work: Callable[[], None]) -> Callable[[], None]:
    """`work` without the rights of root."""

    def unprivileged() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work()

    return unprivileged


def _reachable(folder: Path) -> None:
    """Let everybody pass the folders above, so that only the last one is at stake."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and "pytest" in str(parent):
            parent.chmod(0o755)


def test_no_permission_to_write(tmp_path: Path, table: DiffCalTable) -> None:
    """The folder belongs to somebody else."""
    _reachable(tmp_path / "x")
    tmp_path.chmod(0o555)
    name, message = _in_child(_as_nobody(lambda: write_diffcal(tmp_path / "a.h5", table)))
    tmp_path.chmod(0o755)
    assert name == PermissionDeniedError.__name__, message
    assert "May not write a DiffCal file" in message


def test_no_permission_to_read(tmp_path: Path, table: DiffCalTable) -> None:
    """It is there, but not for us."""
    _reachable(tmp_path / "x")
    write_diffcal(tmp_path / "a.h5", table)
    (tmp_path / "a.h5").chmod(0)
    name, message = _in_child(_as_nobody(lambda: read_diffcal(tmp_path / "a.h5")))  # type: ignore[arg-type]
    assert name == NotFoundError.__name__, message
    assert "no permission to read it" in message


def test_no_folder_to_write_to(tmp_path: Path, table: DiffCalTable) -> None:
    """The message names the file."""
    with pytest.raises(StoreError, match=r"none/a\.h5"):
        write_diffcal(tmp_path / "none" / "a.h5", table)


def test_an_existing_file_is_replaced(tmp_path: Path, table: DiffCalTable) -> None:
    """Whole, by another one."""
    write_diffcal(tmp_path / "a.h5", table)
    write_diffcal(tmp_path / "a.h5", _large_table())
    assert len(read_diffcal(tmp_path / "a.h5").table) == 20_000
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]
