"""`snapcal batch` as a process: ended by Ctrl-C and started again, and with the workers of a scheduler of others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from snapcal_workbench.simulation.tree import SimulatedTree
from tests.support import copy_tree, run_snapcal

PLAN = """
name = "terms"
runs = ["58882"]
[inputs]
calibrant = "Silicon_NIST_640d_001"
grouping = "Column"
pixels.skip = true
groups.method = "peaks"
groups.repeats = 1
[vary]
groups.model = ["DIFC", "DIFC+TZERO", "DIFC+DIFA", "DIFC+DIFA+TZERO"]
"""
LIMIT = 240.0
"""Seconds that something may take on a machine that is busy."""


@pytest.fixture
def tree(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A tree with an initialised state, and a plan of four tasks of about a second."""
    tree = copy_tree(calibrated_tree, tmp_path / "tree")
    (tree.directory / "plan.toml").write_text(PLAN)
    return tree


def wait_for(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.long
def test_ctrl_c_in_a_shell_ends_the_workers_and_the_same_command_goes_on(tree: SimulatedTree) -> None:
    folder = tree.directory / "batch"
    given = ("batch", str(tree.directory / "plan.toml"), "--directory", str(folder), "--workers", "1")
    command = [sys.executable, "-m", "snapcal_workbench.cli", "--config", str(tree.config_path), *given]
    done: Callable[[], dict[Path, int]] = lambda: {  # noqa: E731
        path: path.stat().st_mtime_ns for path in folder.glob("tasks/*/result.json")
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            wait_for(lambda: bool(done()) or running.poll() is not None)
            workers = psutil.Process(running.pid).children(recursive=True)
            os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
            _, err = running.communicate(timeout=LIMIT)
        finally:
            running.kill()
    kept = done()
    assert running.returncode == 130, err
    assert f"{len(kept)} of 4 tasks are done and stay. The same command goes on from there." in err
    assert "Cancelled." in err
    assert "Traceback" not in err
    assert 1 <= len(kept) < 4
    assert workers
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    again = run_snapcal(*given, "--json", config=tree.config_path, timeout=LIMIT)
    assert again.code == 0, again.err
    tasks = json.loads(again.out)["tasks"]
    assert [task["stage"] for task in tasks] == ["done"] * 4
    assert len(done()) == 4
    assert {path: done()[path] for path in kept} == kept, "what was done is not repeated"


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Address of a Dask scheduler that somebody has started, and its worker."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    where = ("--scheduler-file", str(file), "--no-dashboard")
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen:
            process = stack.enter_context(subprocess.Popen([*dask, *arguments], stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
            return process

        start("scheduler", *where, "--host", "127.0.0.1", "--port", "0")
        wait_for(file.is_file)
        local = ("--local-directory", str(tmp_path / "scratch"), "--nworkers", "1", "--nthreads", "1")
        worker = start("worker", *where, *local, "--memory-limit", "1.5GiB")
        yield json.loads(file.read_text())["address"], worker


@pytest.mark.long
def test_the_workers_of_a_scheduler_that_runs_do_the_tasks_and_stay(
    tree: SimulatedTree, scheduler: tuple[str, subprocess.Popen]
) -> None:
    address, worker = scheduler
    given = ("batch", str(tree.directory / "plan.toml"), "--directory", str(tree.directory / "batch"))
    ended = run_snapcal(*given, "--scheduler", address, "--json", config=tree.config_path, timeout=LIMIT)
    assert ended.code == 0, ended.err
    tasks = json.loads(ended.out)["tasks"]
    assert [task["stage"] for task in tasks] == ["done"] * 4
    processes = {int(task["outcome"]["worker"].rpartition(":")[2]) for task in tasks}
    assert processes <= {child.pid for child in psutil.Process(worker.pid).children(recursive=True)}
    assert worker.poll() is None, "they are not ours to end"
    assert address in ended.err
