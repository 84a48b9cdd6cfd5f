"""Faults of the system, injected into single system calls of a process (strace), and what came of them."""

from __future__ import annotations

import collections
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from snapcal_workbench.errors import StoreError

CALLS = (
    "write",
    "fsync",
    "openat",
    "mkdir",
    "rename",
    "symlink",
    "unlink",
    "chmod",
    "close",
    "flock",
    "newfstatat",
    "fstat",
    "read",
    "getdents64",
    "readlink",
)
"""System calls of a save that can fail on a disk; a name that this machine does not know is left out."""
SAVED, REFUSED, TOLD_SAVED, ERROR, NO_MOUNTS = 0, 3, 4, 5, 6
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
ATTACHED_WITHIN = 20.0


def outcome_of(action: Callable[[], object]) -> int:
    """Run an action; what it said, as an exit code. Nothing is written, as that might be what fails."""
    try:
        action()
    except StoreError as error:
        return TOLD_SAVED if "was saved" in str(error) or "was written, but" in str(error) else REFUSED
    except BaseException:
        return ERROR
    return SAVED


def forked(action: Callable[[], object]) -> int:
    """Fork a process that waits to be continued and then runs an action; returns its id."""
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(outcome_of(action))
    os.waitpid(pid, os.WUNTRACED)
    return pid


def traced(action: Callable[[], object], *options: str) -> int:
    """Run an action in a process under strace; returns its exit code, or minus the signal that ended it."""
    pid = forked(action)
    with subprocess.Popen(["strace", "-qq", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE) as tracer:
        deadline = time.monotonic() + ATTACHED_WITHIN
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            if tracer.poll() is not None or time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise RuntimeError("strace cannot attach here")
            time.sleep(0.002)
        os.kill(pid, signal.SIGCONT)
        while True:
            _, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)


def can_trace() -> bool:
    """Whether strace is here and may attach to a process of ours."""
    if shutil.which("strace") is None:
        return False
    try:
        return traced(lambda: None, "-e", "trace=close", "-o", os.devnull) == SAVED
    except (RuntimeError, OSError):
        return False


def count_calls(action: Callable[[], object]) -> dict[str, int]:
    """How often an action makes each system call."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as log:
        traced(action, "-o", log.name)
        lines = [line.split(None, 1)[1] for line in log if " " in line]
    return dict(collections.Counter(line.split("(")[0] for line in lines if "(" in line))


def with_fault(action: Callable[[], object], call: str, error: str, number: int) -> int:
    """Run an action whose call of that number fails with an error."""
    return traced(action, "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}")


def on_a_full_disk(place: Path, kilobytes: int, prepare: Callable[[], Callable[[], object]]) -> int | None:
    """Run an action on a disk in memory with little room; its exit code, or minus the signal that ended it.

    Args:
        place: Where the disk is mounted, in a process of its own.
        kilobytes: Room that is left when the action begins.
        prepare: Makes the files that are there before, and returns the action.

    Returns:
        As `traced`; None where the system allows no mounts.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(_fill_and_run(place, kilobytes, prepare))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return None if code == NO_MOUNTS else code


def _fill_and_run(place: Path, kilobytes: int, prepare: Callable[[], Callable[[], object]]) -> int:
    user, group, libc = os.getuid(), os.getgid(), ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
        return NO_MOUNTS
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    if libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=64m") != 0:
        return NO_MOUNTS
    action = prepare()
    found = os.statvfs(place)
    (place / "filler").write_bytes(bytes(max(found.f_bavail * found.f_frsize - 1024 * kilobytes, 0)))
    return outcome_of(action)


@dataclass
class Tally:
    """What came of the faults of one kind.

    Attributes:
        injected: Faults.
        saved: The work was done all the same, or the fault did not matter.
        refused: An error of ours, and nothing was changed.
        told_saved: An error of ours that says that the work was done.
        wrong: What was false or lost afterwards, and what crashed.
    """

    injected: int = 0
    saved: int = 0
    refused: int = 0
    told_saved: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, code: int, what: str, complaints: list[str]) -> None:
        """Count one fault."""
        self.injected += 1
        self.saved += code == SAVED
        self.refused += code == REFUSED
        self.told_saved += code == TOLD_SAVED
        if code not in (SAVED, REFUSED, TOLD_SAVED):
            self.wrong.append(f"{what}: " + (f"killed by signal {-code}" if code < 0 else "a traceback"))
        self.wrong.extend(f"{what}: {complaint}" for complaint in complaints)

    def row(self) -> str:
        """The figures in words."""
        return (
            f"{self.injected:4d} faults: {self.refused:4d} refused, {self.told_saved:3d} told as saved, "
            f"{self.saved:3d} of no consequence, {len(self.wrong):3d} wrong"
        )
